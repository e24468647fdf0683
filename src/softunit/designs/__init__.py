"""Designs: the linear map A behind a handful of products."""

from softunit.designs.auto import as_design
from softunit.designs.base import Design
from softunit.designs.chunked import ChunkedDesign
from softunit.designs.dask import DaskDesign
from softunit.designs.dense import DenseDesign
from softunit.designs.grouped import GroupedDesign
from softunit.designs.joined import JoinedDesign, OneHotDesign
from softunit.designs.proportional import ProportionalDesign
from softunit.designs.scaled import ScaledDesign
from softunit.designs.sparse import SparseDesign
from softunit.designs.tensor import TensorDesign

__all__ = [
    "ChunkedDesign",
    "DaskDesign",
    "DenseDesign",
    "Design",
    "GroupedDesign",
    "JoinedDesign",
    "OneHotDesign",
    "ProportionalDesign",
    "ScaledDesign",
    "SparseDesign",
    "TensorDesign",
    "as_design",
]
