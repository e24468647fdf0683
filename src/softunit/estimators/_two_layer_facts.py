"""What a two-layer target is capable of: outputs out of reach, dead zones, open directions."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from softunit._numeric import softmax
from softunit._typing import Vector
from softunit.certificate import Statement
from softunit.estimators._simplex import nearest_in_hull
from softunit.estimators._two_layer_phases import is_met, open_directions, two_layers
from softunit.problem import Problem
from softunit.units import TwoLayerSquares

HULL_ITER = 500
HULL_WORK = 2e6  # entries of C up to which the distance of a target from the hull is measured
SATURATED = 1e-9  # share of a row that a softmax has as good as left
DISTANT = 1e-9  # of the size of the target: smaller distances are rounding


def statements(problem: Problem, x: Vector) -> tuple[Statement, ...]:
    """Return what should be known of the target and of an end x, beyond the usual."""
    found = [_open(problem, x)]
    if not is_met(problem, x):
        unit, b = two_layers(problem), problem.target
        found += [_dead(problem, x), _at_infinity(problem, x)]
        found += [_out_of_range(unit, b), _outside_hull(unit, b)]
    return tuple(statement for statement in found if statement is not None)


def dead_outputs(problem: Problem, x: Vector) -> int:
    """Return how many outputs should and could be positive, and lie where relu is flat."""
    unit, b = two_layers(problem), problem.target
    if unit.function.smooth:
        return 0
    reachable = unit.interval[1] > 0
    return int(((unit.output(problem.scores(x)) == 0) & (b > 0) & reachable).sum())


def _open(problem: Problem, x: Vector) -> Statement | None:
    count = open_directions(problem, x)
    if count == 0:
        return None
    m, d = two_layers(problem).matrix.shape[0], problem.shape[0]
    return Statement(
        f"the target is met, and {count} of {d} directions of x leave the {m} outputs unchanged to"
        " first order: x is one of many answers, of locally least norm. More outputs than columns"
        " of A, or a small `ridge`, would single one out.",
        proved=False,
    )


def _dead(problem: Problem, x: Vector) -> Statement | None:
    count = dead_outputs(problem, x)
    if count == 0:
        return None
    return Statement(
        f"{count} of {problem.target.size} outputs lie in the dead zone of relu, C softmax(A x) <="
        " 0, though their target is positive: the gradient does not see them, and no start tried"
        " led to a better end.",
        proved=False,
    )


def _out_of_range(unit: TwoLayerSquares, b: Vector) -> Statement | None:
    """Say which entries of b phi cannot attain between the entries of C's rows."""
    least, most = unit.function.between(*unit.interval)
    short = b - np.clip(b, least, most)
    bad = np.flatnonzero(np.abs(short) > DISTANT * (1 + np.abs(b)))
    if not len(bad):
        return None
    row = int(bad[np.abs(short[bad]).argmax()])
    return Statement(
        f"{len(bad)} of {len(b)} entries of the target are out of reach: entry {row} is"
        f" {b[row]:.6g}, but {unit.outer}(C softmax(z)) lies between {least[row]:.6g} and"
        f" {most[row]:.6g} there. At least {0.5 * float(short @ short):.3g} of the loss is"
        " irreducible.",
        proved=True,
    )


def _at_infinity(problem: Problem, x: Vector) -> Statement | None:
    """Say where x has run off towards a limit of the loss, which is never coercive."""
    seen = int((softmax(problem.scores(x)) > SATURATED).sum())
    if seen > problem.shape[0] or problem.ridge.any() or problem.score_ridge.any():
        return None
    return Statement(
        f"softmax(A x) has all its weight on {seen} of {problem.design.shape[0]} rows, too few for"
        f" {problem.shape[0]} columns: the loss falls towards a limit as x grows, and has no"
        " optimum there. A small `ridge` or `w` would give it one.",
        proved=False,
    )


def _outside_hull(unit: TwoLayerSquares, b: Vector) -> Statement | None:
    """Say how far b is from phi of the convex hull of C's columns, where that is proved.

    |phi(y) - b| >= s |y - phi^-1(b)| in each entry, with s the least slope on an interval that
    holds both: the distance of the hull from phi^-1(b), weighted by s, bounds the loss.
    """
    phi, c = unit.function, unit.matrix
    inside = ((b > phi.image[0]) & (b < phi.image[1])).all()
    if phi.even or not phi.smooth or not inside or np.prod(c.shape) > HULL_WORK:
        return None
    goal, (low, high) = phi.inverse(b), unit.interval
    low, high = np.minimum(low, goal), np.maximum(high, goal)
    least = np.minimum.reduce([phi.slope(y) for y in (low, high, np.clip(0.0, low, high))])
    rows = sparse.diags_array(least) @ c if sparse.issparse(c) else least[:, None] * c
    near = nearest_in_hull(rows, least * goal, unit.norm * least.max(), max_iter=HULL_ITER)
    lost = 0.5 * near.least**2
    if near.least <= DISTANT * np.linalg.norm(least * goal) or lost <= unit.bounds(b).lower:
        return None
    return Statement(
        "the target lies outside of what the second layer attains, phi of the convex hull of C's"
        f" columns: at least {lost:.3g} of the loss is irreducible.",
        proved=True,
    )
