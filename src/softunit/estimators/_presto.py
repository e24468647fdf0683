"""Separate weights for each threshold, drawn together by an l1 penalty: PRESTO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit._typing import Array, Vector
from softunit.designs import ScaledDesign, as_design
from softunit.estimators._conditioning import conditioned, scaled_ridge
from softunit.estimators._objective import mean_ridge
from softunit.estimators._ordinal_problem import STEEP
from softunit.estimators._ordinal_target import OrderedTarget
from softunit.penalties import ElasticNet, Penalty
from softunit.problem import Problem
from softunit.units import CumulativeLogit


@dataclass(frozen=True)
class Strengths:
    """What stands before the l1 norms of a PRESTO penalty, beside the mean loss.

    ::

        first * sum_j |beta_j1| + differences * sum_j sum_{k >= 2} |beta_jk - beta_j,k-1|
    """

    differences: float
    first: float


def presto_problem(
    x: Any, target: OrderedTarget, weights: Vector | None, *, C: float, strengths: Strengths
) -> tuple[Problem, Array]:
    """Return the mean loss with the penalty, in scaled columns, and a start.

    Its x is (d + 1, K - 1): in the first column the negative coefficients of the first cumulative
    logit and its threshold, in the others how these change from one logit to the next.

    Parameters
    ----------
    x : ndarray or CSR matrix of shape (n, d)
    target : OrderedTarget
    weights : ndarray of shape (n,) or None
    C : float
        Of the ridge 1 / (2 C sum(s)) on the same differences.
    strengths : Strengths
    """
    n, k = x.shape[0], len(target.classes)
    ridge = mean_ridge(C, float(n if weights is None else weights.sum()))
    design = conditioned(
        as_design(x), intercept=True, centre=True, ridge=STEEP * ridge, weights=weights
    )
    unit = CumulativeLogit(k, differences=True)
    penalty = presto_penalty(design, strengths, ridge, k - 1)
    problem = Problem(design, unit, target.codes, penalty, weights=weights)
    start = np.zeros(problem.shape)
    start[-1] = unit.start(target.codes, weights)
    return problem, start


def presto_penalty(
    design: ScaledDesign, strengths: Strengths, ridge: float, columns: int
) -> tuple[Penalty, ...]:
    """Return the penalties on the scaled columns; thresholds are free."""
    held = scaled_ridge(design, ridge)
    if strengths.differences == 0 == strengths.first:
        return (held,)
    each = np.full(columns, strengths.differences)
    each[0] = strengths.first
    silent = np.isinf(design.scale)
    scaled = np.where(silent[:, None], 1.0, each / design.scale[:, None])
    return ElasticNet(np.vstack([scaled, np.zeros(columns)])), held


def from_proportional(design: ScaledDesign, beta: Vector, thresholds: Vector) -> Array:
    """Return the x of a PRESTO problem at which all thresholds share their coefficients.

    Parameters
    ----------
    design : ScaledDesign
    beta : ndarray of shape (d,)
    thresholds : ndarray of shape (K - 1,)
    """
    x = np.zeros((len(beta) + 1, len(thresholds)))
    x[:-1, 0] = -beta
    x[-1] = np.diff(thresholds, prepend=0.0)
    return design.from_input(x)


def to_parts(x: Array) -> tuple[Array, Vector]:
    """Return the coefficients (K - 1, d) and thresholds (K - 1,) of an x in the input's columns."""
    z = np.cumsum(x, axis=1)
    return np.ascontiguousarray(-z[:-1].T), z[-1].copy()


def from_parts(coef: Array, thresholds: Vector) -> Array:
    """Return the x, in the input's columns, that `to_parts` takes apart."""
    z = np.vstack([-coef.T, thresholds])
    return np.diff(z, axis=1, prepend=0.0)
