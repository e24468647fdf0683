"""Whether ordered classes are separable by one score that all thresholds share."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from softunit._typing import Array, Vector
from softunit.certificate import Certificate
from softunit.designs import as_design
from softunit.estimators._ordinal_problem import Long, long_problem
from softunit.estimators._ordinal_target import OrderedTarget
from softunit.problem import Problem
from softunit.separation import Separation, examine
from softunit.separation.tally import INTERCEPT
from softunit.separation.words import separated
from softunit.units._ordered_terms import GAP, KINDS

SEEN = 1e-9  # of the largest form: a positive one


def proportional_separation(
    x: Any,
    target: OrderedTarget,
    weights: Vector | None,
    end: tuple[Array, Certificate],
    names: list[str],
) -> str:
    """Return the sentence on what separates the classes; "" where nothing does.

    Parameters
    ----------
    x : ndarray or CSR matrix of shape (n, d)
    target : OrderedTarget
    weights : ndarray of shape (n,) or None
    end : (ndarray of shape (d + K - 1,), Certificate)
        Where the fit ended, in the input's columns, and what is proved about it.
    names : list of str
        Of the columns.
    """
    k = len(target.classes)
    long = Long.of(target.codes, k, together=True)
    # Columns as they are: a separation is checked in exact arithmetic.
    problem = long_problem(long, as_design(x), target, weights)
    found = examine(
        problem,
        end[0],
        names=[*names, *[INTERCEPT] * (k - 1)],
        outcomes=target.classes.tolist(),
        certificate=end[1],
    )
    if found.separation is None:
        return found.sentence
    return separated(_by_observation(problem, long, found.separation), problem.unit.outcome)


def _by_observation(problem: Problem, long: Long, found: Separation) -> Separation:
    """Return the separation with observations counted, not their long rows."""
    z = np.abs(problem.design.matvec(found.direction))
    heard = long.terms % KINDS != GAP
    if problem.weights is not None:
        heard &= problem.weights > 0
    falls = heard & (z > SEEN * z[heard].max(initial=0.0))
    rows, n_rows = (len(np.unique(long.observation[which])) for which in (falls, heard))
    return dataclasses.replace(found, rows=rows, n_rows=n_rows)
