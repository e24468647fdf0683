"""Which classes linear scores tell apart without error: then no finite optimum exists."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Matrix, Vector
from softunit.designs import Design
from softunit.estimators._data import ClassTarget
from softunit.point import Point
from softunit.problem import Problem
from softunit.run import minimize
from softunit.solution import Record
from softunit.solvers import Newton
from softunit.units import Multinomial

Mask: TypeAlias = npt.NDArray[np.bool_]

SUSPECT = 0.05  # largest residual of a class that is worth the search for a hyperplane
MARGIN = 1e-7  # of the largest score: smaller margins may be rounding
NAMED = 10  # classes named in a sentence

UNPROVED = (
    "no optimum is proved to exist without ridge: the classes may be separable up to rows on the"
    " boundary (quasi-separable), or columns nearly collinear; the coefficients then grow with"
    " every iteration. Use a finite C, or look at columns whose coefficients are large."
)
CONSEQUENCE = (
    ", so without ridge the coefficients grow without bound and no optimum exists. The coefficients"
    " returned are where the run stopped. Use a finite C."
)


def separation_sentence(problem: Problem, x: Array, classes: ClassTarget) -> str:
    """Return a sentence on the classes shown to be separable, or an empty string.

    1. Where the fitted scores themselves put every row in its class, they all are.  2. Else each
    class whose fitted probabilities are nearly 0 or 1 in every row is fitted against the rest for a
    few iterations; a fit that puts every row on its own side is a hyperplane between them.

    Parameters
    ----------
    problem : Problem
        With a `Multinomial` unit; rows of zero weight are left out.
    x : ndarray
        Where the run without ridge ended.
    classes : ClassTarget
        Labels, or shares; rows of shares that are split among classes cannot be separated.
    """
    labels = _labels(classes.target)
    if labels is None:
        return ""
    # No copy of the rows that count: for a fold that would be most of the data.
    kept = np.ones(len(labels), dtype=bool) if problem.weights is None else problem.weights > 0
    residuals = _largest_residuals(problem.design, x, labels, kept)
    names = classes.classes.tolist()
    if residuals.max() < 0.5 - SUSPECT:  # 1. more than half on the right class, in every row
        return (
            f"perfectly separable: linear scores tell the classes {_listed(names)} apart without"
            f" error{CONSEQUENCE}"
        )
    suspects = np.flatnonzero(residuals < SUSPECT)
    found = [names[k] for k in suspects if _splits(problem.design, labels == k, kept)]  # 2.
    if not found:
        return ""
    one = "a hyperplane separates" if len(found) == 1 else "hyperplanes separate each of"
    return f"perfectly separable: {one} {_listed(found)} from the other classes{CONSEQUENCE}"


def _listed(names: list[object]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more


def _labels(target: Array) -> Vector | None:
    """Return the codes of labels, also of shares that are all zero or one; None for others."""
    if target.ndim == 1:
        return target
    return target.argmax(axis=1) if (target.max(axis=1) == 1).all() else None


def _largest_residuals(design: Design, x: Array, labels: Vector, kept: Mask) -> Vector:
    """Return the largest |P - Y| of each class; offsets left out, as they cannot separate."""
    top = np.zeros(2 if x.ndim == 1 else x.shape[1])
    for rows, block in design.blocks():
        residual = Multinomial.probabilities(block.matvec(x))
        residual[np.arange(len(residual)), labels[rows]] -= 1.0
        np.maximum(top, np.abs(residual[kept[rows]]).max(axis=0, initial=0.0), out=top)
    return top


def _splits(design: Design, inside: Mask, kept: Mask) -> bool:
    problem = Problem(design, Multinomial(2), inside.astype(np.int64), weights=kept)
    seen = False

    def all_on_their_side(record: Record, point: Point) -> bool:
        nonlocal seen
        z: Matrix = problem.design.matvec(point.x)
        margin = np.where(inside, z, -z).min(where=kept, initial=np.inf)
        seen = bool(margin > MARGIN * np.abs(z).max(where=kept, initial=0.0))
        return seen

    minimize(problem, solver=Newton(), tol=0.0, max_iter=30, callback=all_on_their_side)
    return seen
