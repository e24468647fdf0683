"""A certificate for cumulative logits: gaps bounded from below where it matters."""

from __future__ import annotations

import dataclasses

import numpy as np

from softunit._typing import Array, Vector
from softunit.certificate import Certificate, Effort, Statement, certify
from softunit.problem import Problem
from softunit.units import CumulativeLogit
from softunit.units._gaps import gap_losses
from softunit.units._ordered_terms import GAP, KINDS, OrderedTerms

PART = 0.5  # of the smallest gap: where the domain ends on which constants are taken


def ordinal_certificate(problem: Problem, x: Array, *, effort: Effort) -> Certificate:
    """Return what is proved about a point of a cumulative logit model.

    1. The third derivative of the loss grows without bound as gaps close. Let g be half the
    smallest gap at x: on the points whose gaps are all larger it is bounded, and the usual proof
    gives a gap bound G for the infimum over these.  2. Take a point beyond them with a value below
    F(x). On the segment from x to it lies one at which some gap of weight s has fallen from g_j to
    g, of value below F(x) too. Half way the value is then lower than F(x) by more than
    s_j (h(g_j) / 2 + h(g) / 2 - h((g_j + g) / 2)) with h(g) = -log(1 - exp(-g)), as the rest is
    convex, but by no more than G. So where G is less than each of these numbers, there is no
    such point, and G holds everywhere.

    Parameters
    ----------
    problem : Problem
        Of `OrderedTerms` or `CumulativeLogit`.
    x : ndarray
    effort : {"quick", "full"}
    """
    if problem.lasso is not None:
        return certify(problem, x, effort=effort)
    gaps, shares = _gaps(problem, x)
    unit = problem.unit
    if not len(gaps) or not isinstance(unit, OrderedTerms | CumulativeLogit):
        return certify(problem, x, effort=effort)
    least = PART * float(gaps.min())
    inside = problem.derived(penalty=problem.penalties)
    inside.unit = dataclasses.replace(unit, least_gap=least)
    found = certify(inside, x, effort=effort)
    ends = gap_losses(gaps) / 2 + gap_losses(np.full(len(gaps), least)) / 2
    dips = shares * (ends - gap_losses((gaps + least) / 2))
    if not found.gap_bound < float(dips.min()):
        return certify(problem, x, effort=effort)
    said = Statement(
        f"the constants are those where neighbouring cumulative logits are more than {least:.2g}"
        " apart: every point of smaller value is such a point.",
        proved=True,
    )
    *facts, last = found.statements
    return dataclasses.replace(found, statements=(*facts, said, last))


def _gaps(problem: Problem, x: Array) -> tuple[Vector, Vector]:
    """Return the gaps that have weight, and their shares of the mass."""
    z = problem.scores(x)
    unit, target = problem.unit, problem.target
    weights = np.ones(len(target)) if problem.weights is None else problem.weights
    shares = weights / problem.mass
    if isinstance(unit, OrderedTerms):
        level, kind = np.divmod(target, KINDS)
        held = (kind == GAP) & (weights > 0)
        # All observations of a class share their gap: their weights add up.
        each = np.bincount(level[held], weights=shares[held])
        kept, first = np.unique(level[held], return_index=True)
        return z[held][first], each[kept]
    assert isinstance(unit, CumulativeLogit)
    held = (target > 0) & (target < z.shape[1]) & (weights > 0)
    return unit.gaps(z, target)[held], shares[held]
