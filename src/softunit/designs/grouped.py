"""Scaled columns for units that see differences within groups only."""

from __future__ import annotations

from softunit._typing import Matrix
from softunit.coupled_curvature import GroupedDiagonal
from softunit.curvature import Curvature
from softunit.designs.scaled import ScaledDesign
from softunit.designs.sparse import SparseDesign


class GroupedDesign(ScaledDesign):
    """A `ScaledDesign` whose Grams of grouped curvatures are taken of the stored columns.

    ::

        A' C A = diag(1/s) B' C B diag(1/s)       for A = (B - 1 m') diag(1/s)

    A curvature that centres every group does not see m, so no block of rows is centred and scaled
    first, and a sparse B stays sparse.

    Parameters
    ----------
    inner : Design
        B, shape (n, d).
    intercept, centre, scale
        As `ScaledDesign` takes them; an intercept, which no group sees, is not offered.
    """

    def gram(self, curvature: Curvature) -> Matrix:
        """Return A' C A, symmetric, (d, d)."""
        if not isinstance(curvature, GroupedDiagonal) or self.intercept:
            return super().gram(curvature)
        if isinstance(self.inner, SparseDesign):
            total = curvature.sparse_gram(self.inner.matrix)
        else:
            total = curvature.gram_in(self.inner)
        total /= self.scale
        total /= self.scale[:, None]
        return total
