"""Proportional odds as a problem of long rows, and its point of least norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Vector
from softunit.designs import Design, ProportionalDesign, ScaledDesign, as_design
from softunit.estimators._conditioning import conditioned, scaled_ridge
from softunit.estimators._objective import mean_ridge
from softunit.estimators._ordinal_target import OrderedTarget
from softunit.penalties import ElasticNet, NoPenalty, Penalty, Ridge
from softunit.problem import FORM_LIMIT, Problem
from softunit.spectrum import Metric, clearly_independent
from softunit.units import CumulativeLogit
from softunit.units._ordered_terms import GAP, KINDS, LOWER, UPPER, OrderedTerms

HEARD = 1e-6  # of the largest entry of a null direction: a column that has a part in it
STEEP = 4.0  # the ridge is weighed against a curvature of 1 / 4


@dataclass(frozen=True)
class Long:
    """The long rows of observations: one for a class at an end, three for one in between.

    The gap of a class is the same in all its rows, so one row may stand for them together.

    Attributes
    ----------
    observation : ndarray of int, shape (L,)
        Which observation each row belongs to; -1 for a gap that stands for a whole class.
    terms : ndarray of int, shape (L,)
        3 k + kind, as `OrderedTerms` takes them.
    """

    observation: npt.NDArray[np.int32]
    terms: npt.NDArray[np.int32]

    @classmethod
    def of(cls, codes: npt.NDArray[np.int64], n_classes: int, *, together: bool = False) -> Long:
        """Return the rows of observations of these classes, one observation after the other.

        Parameters
        ----------
        codes : ndarray of int, shape (n,)
        n_classes : int
        together : bool, default False
            Whether gaps are one row for each class, after all others.
        """
        middle = (codes > 0) & (codes < n_classes - 1)
        times = np.where(middle, 2 if together else 3, 1)
        observation = np.repeat(np.arange(len(codes), dtype=np.int32), times)
        y, place = codes[observation], np.arange(len(observation), dtype=np.int32)
        place -= np.repeat(np.cumsum(times) - times, times).astype(np.int32)
        kind = np.where(middle[observation], place, np.where(y == 0, UPPER, LOWER))
        terms = (KINDS * (y - (kind == LOWER)) + kind).astype(np.int32)
        if not together:
            return cls(observation, terms)
        gaps = KINDS * np.arange(1, n_classes - 1, dtype=np.int32) + GAP
        nobody = np.full(len(gaps), -1, dtype=np.int32)
        return cls(np.concatenate([observation, nobody]), np.concatenate([terms, gaps]))

    def weights(self, target: OrderedTarget, weights: Vector | None) -> Vector | None:
        """Return the weights of the rows, (L,), from those of the observations.

        Parameters
        ----------
        target : OrderedTarget
        weights : ndarray of shape (n,) or None
        """
        whole = self.observation < 0
        if not whole.any():
            return None if weights is None else weights[self.observation]
        out = np.ones(len(whole)) if weights is None else weights[self.observation]
        out[whole] = target.totals(weights)[self.terms[whole] // KINDS]
        return out

    def design(self, inner: Design, n_classes: int) -> ProportionalDesign:
        """Return thresholds less the scores of an inner design of the observations."""
        level, kind = np.divmod(self.terms, KINDS)
        member = np.where(kind == GAP, np.int32(-1), self.observation)
        down = np.where(kind == GAP, level - 1, -1)
        return ProportionalDesign(inner, member, level, down, n_classes - 1)


def proportional_problem(
    x: Any, target: OrderedTarget, weights: Vector | None, *, C: float, l1: float = 0.0
) -> tuple[Problem, Vector]:
    """Return the mean loss in scaled columns, and thresholds alone at their best, to start from.

    Parameters
    ----------
    x : ndarray or CSR matrix of shape (n, d)
    target : OrderedTarget
    weights : ndarray of shape (n,) or None
    C : float
        Of the ridge 1 / (2 C sum(s)) |beta|^2.
    l1 : float, default 0.0
        Strength of |beta|_1 beside the mean loss.
    """
    n, k = x.shape[0], len(target.classes)
    mass = float(n if weights is None else weights.sum())
    ridge = mean_ridge(C, mass)
    inner = conditioned(
        as_design(x), intercept=False, centre=True, ridge=STEEP * ridge, weights=weights
    )
    long = Long.of(target.codes, k, together=True)
    penalty = _beside_thresholds(inner, ridge, l1, k - 1)
    problem = long_problem(long, inner, target, weights, penalty)
    start = CumulativeLogit(k).start(target.codes, weights)
    return problem, np.concatenate([np.zeros(inner.shape[1]), start])


def long_problem(
    long: Long,
    inner: Design,
    target: OrderedTarget,
    weights: Vector | None,
    penalty: Penalty | Sequence[Penalty] = NoPenalty(),
) -> Problem:
    """Return the mean loss over observations, from their long rows.

    Parameters
    ----------
    long : Long
    inner : Design
        Of the observations.
    target : OrderedTarget
    weights : ndarray of shape (n,) or None
    penalty : Penalty or sequence of Penalty, default NoPenalty()
    """
    design = long.design(inner, len(target.classes))
    each = long.weights(target, weights)
    problem = Problem(design, OrderedTerms(), long.terms, penalty, weights=each)
    # A mean over observations, not over their rows.
    problem.mass = float(len(target.codes) if weights is None else weights.sum())
    return problem


def _beside_thresholds(
    inner: ScaledDesign, ridge: float, l1: float, levels: int
) -> tuple[Penalty, ...]:
    """Return the penalties on the scaled columns; thresholds are free."""
    free = np.zeros(levels)
    held = scaled_ridge(inner, ridge).diagonal(inner.shape[1])
    if l1 == 0:
        return (Ridge(np.append(held, free)),)
    silent = np.isinf(inner.scale)
    each = np.where(silent, 1.0, l1 / inner.scale)
    return ElasticNet(np.append(each, free)), Ridge(np.append(held, free))


def least_norm(
    problem: Problem, x: Array, loose: slice = slice(None)
) -> tuple[Array, npt.NDArray[np.intp]]:
    """Return the x of least coefficients among those of the same scores, and the columns involved.

    Without a penalty, collinear columns leave some combinations of the coefficients open; what
    they add to all scores alike, the thresholds make up for.

    Parameters
    ----------
    problem : Problem
        Of a `ProportionalDesign`, or of a `ScaledDesign` with an intercept; without ridge.
    x : ndarray of shape (d + K - 1,) or (d + 1, K - 1)
    loose : slice, default all
        The columns of x that carry no l1 penalty; only they move.
    """
    design = problem.design
    inner = design.inner if isinstance(design, ProportionalDesign) else design
    assert isinstance(inner, ScaledDesign)
    # Constant columns are silenced: they have no coefficient but zero.
    d, constant = len(inner.scale), np.flatnonzero(np.isinf(inner.scale))
    if problem.size > FORM_LIMIT or clearly_independent(problem):
        return x, constant
    null = Metric.of(problem).null
    heard = np.linalg.norm(null[:d][np.isfinite(inner.scale)], axis=0)
    null = null[:, heard > HEARD * np.linalg.norm(null, axis=0)]
    if not null.shape[1]:
        return x, constant
    moved = np.stack([design.to_input(v) for v in null.T], axis=1)
    at = design.to_input(x)
    at[..., loose] -= moved @ np.linalg.lstsq(moved[:d], at[..., loose][:d])[0]
    # Judged in scaled columns: those of small units count like others.
    sizes = np.abs(null[:d] / np.abs(null).max(axis=0)).max(axis=1)
    sizes[constant] = 0.0
    involved = np.flatnonzero(sizes > HEARD * sizes.max())
    return design.from_input(at), np.union1d(constant, involved)
