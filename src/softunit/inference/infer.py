"""From a problem and its optimum to an `Inference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._groups import Groups
from softunit._typing import Array, Vector
from softunit.errors import InputError
from softunit.inference.facts import Facts
from softunit.inference.free import Free
from softunit.inference.inference import Inference
from softunit.inference.names import Name, Names
from softunit.inference.unchanged import unchanged_log_likelihood
from softunit.inference.variances import Variances
from softunit.problem import Problem

RIDGE = (
    "The fit carries a ridge, which pulls coefficients towards zero. The errors are those of the"
    " penalised estimate, with the strength of the penalty taken as given: intervals are centred on"
    " an estimate that is off on purpose, and need not cover the true value at their nominal rate."
    " For tests and intervals that do, fit with C=inf."
)
LASSO = (
    "The fit carries an l1 penalty, which pulls coefficients towards zero and holds some there. The"
    " errors are conditional on which were kept, as if the data had not chosen them: they are too"
    " small, and neither p-values nor intervals hold at their nominal rate. For those, choose"
    " columns on other data and fit these with C=inf."
)


def infer(
    problem: Problem,
    x: npt.ArrayLike,
    names: Sequence[Name],
    *,
    basis: Any = None,
    observations: Groups | None = None,
    facts: Facts | None = None,
) -> Inference:
    """Return what the data say of each parameter of a fitted model.

    Parameters
    ----------
    problem : Problem
        Of a unit that is minus a log-likelihood: `Multinomial`, `GroupedSoftmax` with the log
        loss, `CumulativeLogit`. Its weights count how often an observation was seen.
    x : array_like of the shape of x
        The optimum, in the problem's coordinates.
    names : sequence of str or of (class, column)
        One for each reported parameter.
    basis : array_like or sparse matrix of shape (p, q), or None, default None
        R: reported are R' theta, with theta the coefficients of the input's columns
        (`problem.design.to_input(x)`) flattened row-major; None reports theta itself.
    observations : Groups or None, default None
        Rows that are one observation, as a choice set; None means that each row is one.
    facts : Facts or None, default None
        What else is known of the fit.

    Returns
    -------
    Inference

    Raises
    ------
    InputError
        If the data are separable (with the diagnosis), x, names or basis have the wrong shape, the
        penalty is on scores, weights differ within an observation, or the data have been written
        to since the problem was minimised.

    Notes
    -----
    Formulas: docs/maths/inference.
    """
    facts = facts or Facts()
    if facts.separated:
        raise InputError(f"no standard errors exist, as the estimate does not: {facts.separated}")
    at = np.asarray(x, dtype=np.float64)
    if at.shape != problem.shape:
        raise InputError(f"x has shape {at.shape}, but the problem's is {problem.shape}.")
    if problem.score_ridge.any():
        raise InputError("inference is not defined for a penalty on scores (`ScoreRidge`).")
    named = Names.of(names, basis, problem.size)
    frequencies = _frequencies(problem, observations, facts.frequencies)
    point = problem.evaluate(at)
    then = -problem.mass * (point.value - _penalty(problem, at))
    return Inference(
        names=named.names,
        coef=np.asarray(named.basis.T @ problem.design.to_input(at).ravel()),
        log_likelihood=unchanged_log_likelihood(problem, at, then),
        penalised=_penalised(problem, at),
        facts=facts,
        variances=Variances(
            problem,
            point,
            Free.of(problem, at),
            named,
            observations,
            frequencies,
            facts.rows,
        ),
    )


def _frequencies(
    problem: Problem, observations: Groups | None, given: Vector | None
) -> Vector | None:
    """Return how often each observation was seen; None for once."""
    weights = problem.weights if given is None else given
    if weights is None or observations is None:
        return weights
    each = weights[observations.first_rows]
    off = np.flatnonzero(observations.spread(each) != weights)
    if len(off):
        raise InputError(
            f"weights differ within an observation, first in row {off[0]}: a weight says how often"
            " the whole set was seen, so its rows share one."
        )
    return np.asarray(each)


def _penalty(problem: Problem, x: Array) -> float:
    smooth = 0.5 * float((problem.ridge * x.T**2).sum())
    return smooth if problem.lasso is None else smooth + problem.lasso.value(x)


def _penalised(problem: Problem, x: Array) -> str:
    if problem.lasso is not None:
        return LASSO
    return RIDGE if (problem.ridge * np.abs(x.T)).any() else ""
