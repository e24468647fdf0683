"""Choice sets as a problem: columns beside constants, scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._typing import Array
from softunit.designs import Design, as_design
from softunit.designs.grouped import GroupedDesign
from softunit.designs.joined import JoinedDesign, OneHotDesign
from softunit.designs.sparse import SparseDesign
from softunit.estimators._choice_data import ChoiceSets
from softunit.estimators._conditioning import conditioned
from softunit.penalties import Ridge
from softunit.problem import Problem
from softunit.units import GroupedSoftmax


@dataclass(frozen=True)
class Constants:
    """One constant for each alternative but the reference.

    Attributes
    ----------
    names : ndarray of shape (K,)
        All alternatives, in sorted order.
    reference : int
        Its number among them.
    """

    names: Array
    reference: int

    @property
    def kept(self) -> list[Any]:
        """The alternatives that have a constant, in order."""
        return [n for i, n in enumerate(self.names.tolist()) if i != self.reference]

    def design(self, codes: npt.NDArray[np.int32]) -> OneHotDesign:
        """Return their columns, (n, K - 1), for the number of each row's alternative."""
        columns = codes - (codes > self.reference).astype(np.int32)
        columns[codes == self.reference] = -1
        return OneHotDesign(columns, len(self.names) - 1)


def choice_design(x: Any, constants: Constants | None, codes: Any) -> Design:
    """Return the columns of x beside those of the constants; a dense x is not copied.

    Parameters
    ----------
    x : ndarray or CSR matrix of shape (n, d), or None
        None means constants alone.
    constants : Constants or None
    codes : ndarray of int, shape (n,), or None
        Number of each row's alternative.
    """
    if constants is None:
        return as_design(x)
    more = constants.design(codes)
    if x is None:
        return more
    first = as_design(x)
    if isinstance(first, SparseDesign):
        return SparseDesign(_beside(first.matrix, more))
    return JoinedDesign(first, more)


def _beside(matrix: Any, more: OneHotDesign) -> Any:
    rows = np.flatnonzero(more.codes >= 0)
    entries = (np.ones(len(rows), dtype=matrix.dtype), (rows, more.codes[rows]))
    return sparse.hstack([matrix, sparse.csr_matrix(entries, shape=more.shape)], format="csr")


def choice_problem(design: Design, sets: ChoiceSets, *, ridge: float, free: int = 0) -> Problem:
    """Return minus the log-likelihood plus 1/2 ridge |x|^2, in scaled columns.

    Parameters
    ----------
    design : Design of shape (n, d)
    sets : ChoiceSets
        Of the same rows.
    ridge : float
        On the input's own columns.
    free : int, default 0
        How many of the last columns, the constants, carry no ridge.
    """
    scaled = conditioned(
        design, intercept=False, centre=not isinstance(design, SparseDesign), ridge=0.0
    )
    columns = GroupedDesign(design, centre=scaled.centre, scale=scaled.scale)
    strength = np.full(design.shape[1], ridge)
    strength[design.shape[1] - free :] = 0.0
    # A column that is constant everywhere is silenced: held, so that it does not count as free.
    silent = np.isinf(columns.scale) & (strength > 0)
    each = np.where(silent, 1.0, strength / columns.scale**2)
    unit = GroupedSoftmax(sets.groups)
    return Problem(
        columns, unit, sets.target, Ridge(each), weights=sets.weights, offset=sets.offset
    )
