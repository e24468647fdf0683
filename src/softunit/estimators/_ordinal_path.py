"""PRESTO for many strengths, each fit warm from the one before."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit._checks import check_count, check_positive
from softunit._typing import Array, Vector
from softunit.designs import ScaledDesign
from softunit.errors import InputError, SeparationWarning, warn
from softunit.estimators._objective import mean_ridge
from softunit.estimators._ordinal_fit import OrdinalFit
from softunit.estimators._presto import Strengths, presto_penalty


@dataclass(frozen=True)
class PrestoPath:
    """Fits over a path of strengths, from the strongest to the weakest.

    Attributes
    ----------
    strengths : ndarray of shape (m,)
    coef : ndarray of shape (m, K - 1, d)
        beta_k of each threshold, in the sign of `OrdinalClassifier`.
    thresholds : ndarray of shape (m, K - 1)
    log_likelihood : ndarray of shape (m,)
    n_differences : ndarray of int, shape (m,)
        Entries of beta_k - beta_{k-1}, k >= 2, that are not zero.
    n_iter : ndarray of int, shape (m,)
    gradient_norm : ndarray of shape (m,)
        Of the least subgradient, in the input's columns.
    converged : ndarray of bool, shape (m,)
    """

    strengths: Vector
    coef: Array
    thresholds: Array
    log_likelihood: Vector
    n_differences: Array
    n_iter: Array
    gradient_norm: Vector
    converged: Array


def presto_path(
    fit: OrdinalFit, strengths: Any, *, least: float, tied: bool, names: list[str]
) -> PrestoPath:
    """Return fits from the strongest to the weakest.

    Parameters
    ----------
    fit : OrdinalFit
        Of a plan with differences of strength zero, and the strength of the first weights.
    strengths : int or array_like of shape (m,)
    least : float
        The smallest, relative to the largest, where only their number is given.
    tied : bool
        Whether the first weights have the strength of the differences.
    names : list of str
        Of the columns.
    """
    plan = fit.plan
    assert plan.strengths is not None
    start, top = _beginning(fit, names, tied=tied)
    values = _values(strengths, top, least)
    design = fit.problem.design
    assert isinstance(design, ScaledDesign)
    ridge, columns = mean_ridge(plan.C, fit.problem.mass), fit.problem.columns
    rows = []
    for value in values:
        own = Strengths(value, value if tied else plan.strengths.first)
        penalty = presto_penalty(design, own, ridge, columns)
        one = dataclasses.replace(
            fit,
            plan=dataclasses.replace(plan, strengths=own),
            problem=fit.problem.derived(penalty=penalty),
        )
        solution = one.solve(lambda record, point: None, start)
        start = solution.x
        rows.append((one, solution))
    return _gathered(values, rows)


def _beginning(fit: OrdinalFit, names: list[str], *, tied: bool) -> tuple[Array, float]:
    """Return the point at which the path begins, and the least strength at which it stays there."""
    assert fit.plan.strengths is not None
    problem = fit.problem
    if tied:
        start = fit.start
    else:
        first = Strengths(math.inf, fit.plan.strengths.first)
        plan = dataclasses.replace(fit.plan, strengths=first, solver="auto")
        shared = OrdinalFit.of(plan, fit.x, fit.target, fit.weights)
        found = shared.solve(lambda record, point: None)
        separation = shared.end(found, names).separation
        if separation:
            warn(separation, SeparationWarning)
        start = fit.shared_point(*shared.parts(found.x))
    smooth = problem.derived(penalty=presto_penalty_free(fit))
    slopes = problem.design.gradient_to_input(smooth.evaluate(start).gradient)[:-1]
    return start, float(np.abs(slopes if tied else slopes[:, 1:]).max(initial=0.0))


def presto_penalty_free(fit: OrdinalFit) -> Any:
    """Return the penalties of a fit without l1."""
    design = fit.problem.design
    assert isinstance(design, ScaledDesign)
    ridge = mean_ridge(fit.plan.C, fit.problem.mass)
    return presto_penalty(design, Strengths(0.0, 0.0), ridge, fit.problem.columns)


def _values(strengths: Any, top: float, least: float) -> Vector:
    if isinstance(strengths, (int, np.integer)) and not isinstance(strengths, bool):
        count = check_count("strengths", strengths, least=1)
        share = check_positive("least", least)
        if share >= 1:
            raise InputError(f"`least` must be below 1; got {least!r}.")
        return top * np.logspace(0.0, math.log10(share), count)
    try:
        values = np.asarray(strengths, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`strengths` must be numbers >= 0; got {strengths!r}.") from error
    if values.ndim != 1 or not len(values) or not (np.isfinite(values) & (values >= 0)).all():
        raise InputError(f"`strengths` must be finite numbers >= 0; got {strengths!r}.")
    return np.sort(values)[::-1].copy()


def _gathered(values: Vector, rows: list[Any]) -> PrestoPath:
    parts = [one.parts(solution.x) for one, solution in rows]
    coef = np.stack([coef for coef, _ in parts])
    solutions = [solution for _, solution in rows]
    moved = [np.count_nonzero(solution.x[:-1, 1:]) for solution in solutions]
    return PrestoPath(
        strengths=values,
        coef=coef,
        thresholds=np.stack([thresholds for _, thresholds in parts]),
        log_likelihood=np.array([one.log_likelihood(s.x) for one, s in rows]),
        n_differences=np.array(moved),
        n_iter=np.array([s.n_iter for s in solutions]),
        gradient_norm=np.array([s.gradient_norm for s in solutions]),
        converged=np.array([s.converged for s in solutions]),
    )
