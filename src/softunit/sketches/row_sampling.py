"""What sketches that are samples of rows have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit._typing import Matrix, Vector
from softunit.designs import Design, as_design
from softunit.sketches.base import Drawn, Index, Sketch


@dataclass(frozen=True)
class RowSampling(Sketch):
    """A sketch whose rows are rows of A, times a number.

    A' diag(weights) A stays a sum over rows, so a sample can stand for the whole in any sum of that
    kind; and the rows of a sparse A stay sparse.
    """

    @abstractmethod
    def sample(self, a: Any, rng: np.random.Generator) -> tuple[Index, Vector]:
        """Return which rows of A to take, and the weights with which they stand for all.

        Sums over the sample, sum_j weight_j h(row index_j), are unbiased for sum_i h(row i) over
        the rows that can be drawn.
        """

    def draw(self, a: Any, rng: np.random.Generator) -> RowMap:
        """Return the drawn rows as a map, for a design or array of shape (n, d)."""
        design = as_design(a)
        index, weight = self.sample(design, rng)
        return RowMap(design.shape[0], index, np.sqrt(weight))


@dataclass(frozen=True, eq=False)
class RowMap(Drawn):
    """A drawn sample: which rows, and what each is multiplied by."""

    index: Index
    scale: Vector

    def _image(self, design: Design, root: Vector | None) -> Matrix:
        scale = self.scale if root is None else self.scale * root[self.index]
        return np.asarray(design.rows(self.index).toarray() * scale[:, None])
