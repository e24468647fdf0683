"""Designs: the linear map A behind a handful of products."""

from softunit.designs.auto import as_design
from softunit.designs.base import Design
from softunit.designs.dense import DenseDesign
from softunit.designs.grouped import GroupedDesign
from softunit.designs.joined import JoinedDesign, OneHotDesign
from softunit.designs.proportional import ProportionalDesign
from softunit.designs.scaled import ScaledDesign
from softunit.designs.sparse import SparseDesign

__all__ = [
    "DenseDesign",
    "Design",
    "GroupedDesign",
    "JoinedDesign",
    "OneHotDesign",
    "ProportionalDesign",
    "ScaledDesign",
    "SparseDesign",
    "as_design",
]
