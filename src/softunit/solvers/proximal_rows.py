"""Which rows of x a model with kinks works on, and along which its loss says nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from softunit._typing import Array
from softunit.penalties import Lasso
from softunit.problem import Problem

NEW, LEAST_NEW = 1, 1000  # zeros that may join, times what is not zero, and at any rate

Mask = npt.NDArray[np.bool_]


def fewer(free: Mask, lasso: Lasso, x: Array, gradient: Array) -> Mask:
    """Return the mask with no more zeros in it than a few times what is not zero.

    Those stay whose gradient exceeds their strength by most, by ratio: after a fall of the strength
    many do, of which few will be off zero in the end.
    """
    free = np.broadcast_to(free, lasso.sizes(x).shape)
    new = free & (lasso.sizes(x) == 0) & (lasso.strength > 0)
    most = max(LEAST_NEW, NEW * int(np.count_nonzero(free & ~new)))
    if int(np.count_nonzero(new)) <= most:
        return free
    strength = np.broadcast_to(lasso.strength, new.shape)
    pull = lasso.sizes(gradient)[new] / strength[new]
    out = free & ~new
    out[new] = pull >= np.partition(pull, len(pull) - most)[len(pull) - most]
    return np.asarray(out)


def blind_rows(problem: Problem, part: Problem, lasso: Lasso, free: Mask) -> Mask | None:
    """Return the rows in which a constant across the columns changes the penalty only."""
    unit = problem.unit
    one_strength = lasso.strength.ndim == 2 and lasso.strength.shape[1] == 1
    if not (unit.rowwise and unit.shift_invariant and one_strength) or lasso.group:
        return None
    if problem.score_ridge.any():
        return None
    return np.asarray((part.ridge == 0) & (lasso.strength[:, 0] > 0) & free.all(axis=1))


def flat_rows(problem: Problem, part: Problem, lasso: Lasso) -> Mask | None:
    """Return the rows in which a constant across the columns changes nothing at all."""
    unit = problem.unit
    if len(part.shape) < 2 or not (unit.rowwise and unit.shift_invariant):
        return None
    if problem.score_ridge.any():
        return None
    flat = np.asarray((part.ridge == 0) & (lasso.strength.max(axis=1) == 0))
    return flat if flat.any() else None


def smooth_or(lasso: Lasso | None, shape: tuple[int, ...]) -> Lasso:
    """Return the penalty, or one of strength zero where there is none."""
    zero = np.zeros((shape[0], *(1 for _ in shape[1:])))
    return lasso or Lasso(zero, group=False)
