"""Where an l1 penalty lets the first coefficient in, and settings that it cannot have."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from softunit._checks import check_positive
from softunit._typing import Array, Vector
from softunit.designs import DenseDesign, ScaledDesign
from softunit.errors import InputError
from softunit.estimators._objective import Bases, Settings, without_gauge
from softunit.point import Point
from softunit.problem import Problem
from softunit.run import Callback, minimize
from softunit.solution import Solution
from softunit.solvers import SOLVERS, Newton
from softunit.sparse_path import Screened, screened_minimum

SPAN = 1e4  # of the values of C that are tried where none are given
BELOW = 1 - 1e-9  # of the first: all is zero there whatever rounding does
LEAST_SHARE = 1e-16  # of a class whose rows all have no weight: its logarithm stays finite


def check_l1(l1_ratio: object, C: object, solver: object, *, name: str = "l1_ratio") -> float:
    """Return a share of l1 as a float.

    Parameters
    ----------
    l1_ratio : object
    C : float
        Or the largest of several.
    solver : str or Solver
        One that is known.
    name : str, default "l1_ratio"
        What the share is called.

    Raises
    ------
    InputError
        If it is not a number from 0 to 1; or above zero where C is infinite or the solver needs a
        smooth objective.
    """
    ratio = check_positive(name, l1_ratio, zero=True)
    if ratio > 1:
        raise InputError(f"`{name}` must be at most 1, a share of the penalty; got {l1_ratio!r}.")
    if ratio > 0 and isinstance(C, (int, float)) and math.isinf(C):
        raise InputError(
            f"`{name}` = {l1_ratio!r} is a share of a penalty, but C = inf leaves none; take a"
            f" finite C, or {name}=0."
        )
    known: Any = SOLVERS.get(solver) if isinstance(solver, str) else solver
    if ratio > 0 and solver != "auto" and not known.composite:
        able = [repr(each) for each, one in SOLVERS.items() if one.composite]
        raise InputError(
            f"`solver` = {solver!r} needs a smooth objective, but `{name}` = {l1_ratio!r} adds l1."
            f" 'auto' and {' and '.join(able)} would do."
        )
    return ratio


def checked_ratios(l1_ratios: Any, C: float, solver: object) -> Vector:
    """Return shares of l1, shape (r,); None stands for 0 alone.

    Parameters
    ----------
    l1_ratios : array_like or None
    C : float
        The largest that they will meet.
    solver : str or Solver

    Raises
    ------
    InputError
        If there is none, or one is wrong.
    """
    if l1_ratios is None:
        return np.zeros(1)
    wish = "`l1_ratios` must be a list of numbers from 0 to 1, or None"
    try:
        values = np.array(l1_ratios, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{wish}; got {l1_ratios!r}.") from error
    if isinstance(l1_ratios, str) or values.ndim != 1 or not len(values):
        raise InputError(f"{wish}; got {l1_ratios!r}.")
    for place, value in enumerate(values):
        check_l1(float(value), C, solver, name=f"l1_ratios[{place}]")
    return values


def entering_strengths(bases: Bases, count: int) -> Vector:
    """Return so many values of C, evenly in log C, from where the first coefficient enters.

    They begin there for the least positive share of l1, and end at SPAN times where it enters for
    the largest. Where no column tells the classes apart they lie around one.

    Parameters
    ----------
    bases : Bases
    count : int
    """
    problem = bases.of(free=False)
    entry = entering_strength(problem, l1_ratio=1.0, grouped=bases.grouped)
    shares = bases.ratios[bases.ratios > 0]
    return spanned(entry * shares.min(), entry * shares.max(), count)


def spanned(low: float, high: float, count: int) -> Vector:
    """Return values of C from low to SPAN times high, evenly in log C; around one if endless."""
    if not math.isfinite(high):
        low, high = 1.0 / math.sqrt(SPAN), 1.0 / math.sqrt(SPAN)
    return np.logspace(math.log10(low * BELOW), math.log10(high * SPAN), count)


def null_point(problem: Problem) -> Point:
    """Return the optimum among points without coefficients: intercepts alone, or zero.

    Without an offset intercepts are the logarithms of the shares of the classes; with one they
    are found by Newton's method.

    Parameters
    ----------
    problem : Problem
        Of a `ScaledDesign` and a `Multinomial`.
    """
    design = problem.design
    assert isinstance(design, ScaledDesign)
    x = np.zeros(problem.shape)
    if design.intercept and problem.offset is not None:
        ones = DenseDesign(np.ones((design.shape[0], 1)))
        alone = Problem(
            ones, problem.unit, problem.target, weights=problem.weights, offset=problem.offset
        )
        x[-1:] = minimize(alone, solver=Newton(kind="exact"), tol=1e-12).x
    elif design.intercept:
        logs = np.log(np.maximum(_class_shares(problem), LEAST_SHARE))
        x[-1] = logs[1] - logs[0] if x.ndim == 1 else logs - logs.mean()
    return problem.evaluate(x)


def _class_shares(problem: Problem) -> Array:
    target, weights = problem.target, problem.weights
    k = max(2, problem.columns)
    if target.ndim == 2:
        totals = target.sum(axis=0) if weights is None else weights @ target
    else:
        totals = np.bincount(target, weights=weights, minlength=k)
    return np.asarray(totals / totals.sum())


def entering_strength(problem: Problem, *, l1_ratio: float, grouped: bool) -> float:
    """Return the C at which the first coefficient leaves zero; inf if none ever does.

    ::

        l1_ratio / max_jk |sum_i s_i a_ij (p_k - y_ik)|

    with the probabilities p of the intercepts alone; in groups the 2-norm over k in place of the
    absolute value. Source: the optimality condition of l1 at zero, as in `sklearn.svm.l1_min_c`.

    Parameters
    ----------
    problem : Problem
        Of a `ScaledDesign`.
    l1_ratio : float
        Above zero.
    grouped : bool
    """
    design = problem.design
    assert isinstance(design, ScaledDesign)
    gradient = design.gradient_to_input(null_point(problem).gradient)[: len(design.scale)]
    each = gradient[:, None] if gradient.ndim == 1 else gradient
    sizes = np.linalg.norm(each, axis=1) if grouped else np.abs(each)
    heard = np.isfinite(design.scale)  # what is left of a constant column is rounding
    largest = float(sizes[heard].max(initial=0.0)) * problem.mass
    return l1_ratio / largest if largest > 0 else math.inf


def all_zero_sentence(problem: Problem, x: Array, C: float) -> str:
    """Return a sentence on a fit whose coefficients are all zero, and the C that would let one in.

    Parameters
    ----------
    problem : Problem
        With l1.
    x : ndarray
        Where the fit ended.
    C : float
    """
    lasso = problem.lasso
    assert lasso is not None
    point = problem.evaluate(x)
    design = problem.design
    gradient = design.gradient_to_input(point.gradient)
    each = gradient[:, None] if gradient.ndim == 1 else gradient
    sizes = np.linalg.norm(each, axis=1, keepdims=True) if lasso.group else np.abs(each)
    bar = design.gradient_to_input(lasso.strength).reshape(len(each), -1)
    share = float((sizes / np.where(bar > 0, bar, np.inf)).max())
    said = f"every coefficient is zero: with C = {C:.6g} the l1 penalty outweighs all columns."
    if share <= 0:
        return f"{said} No column tells the classes apart, so that no C lets one in."
    return f"{said} The first one enters at C = {C / share:.6g} (see l1_min_c)."


def next_minimum(
    settings: Settings, problem: Problem, x: Array, before: Problem | None, callback: Callback
) -> Screened:
    """Return the minimum of the next problem of a path.

    With l1 the columns that would stay at zero are left out, and the point is `without_gauge`.

    Parameters
    ----------
    settings : Settings
    problem : Problem
    x : ndarray of shape (d,) or (d, K)
        Where to begin; with l1 the optimum of `before`.
    before : Problem or None
        With another penalty; None at the beginning of a path.
    callback : callable
    """

    def fit(part: Problem, start: Array, most: int) -> Solution:
        found = replace(settings, max_iter=most).minimize(part, start, callback)
        return found if part.lasso is None else replace(found, x=without_gauge(part, found.x))

    return screened_minimum(problem, x, before, fit, settings.max_iter)
