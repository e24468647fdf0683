"""Designs that hold their entries: what a look at all of them has told is kept."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from softunit._typing import Vector
from softunit.designs.base import Design


class HeldDesign(Design):
    """A dense design in memory or on a device, whose moments without weights are kept."""

    _moments: tuple[Vector, Vector] | None = None

    def column_moments(self, weights: Vector | None = None) -> tuple[Vector, Vector]:
        """Return weighted mean and variance of each column; without weights they are kept."""
        if weights is None:
            if self._moments is None:
                self._moments = self._measured(np.full(self.shape[0], 1 / self.shape[0]))
            return self._moments[0].copy(), self._moments[1].copy()
        return self._measured(weights / weights.sum())

    @abstractmethod
    def _measured(self, share: Vector) -> tuple[Vector, Vector]:
        """Return mean and variance of each column for shares of the rows that sum to one."""
