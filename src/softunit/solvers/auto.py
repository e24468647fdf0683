"""From a name or "auto" to a solver."""

from __future__ import annotations

from typing import Any

import numpy as np

from softunit._checks import near_names
from softunit.errors import InputError
from softunit.problem import FORM_LIMIT, Problem
from softunit.solvers.base import Solver
from softunit.solvers.block_coordinate import BlockCoordinate
from softunit.solvers.curvature_sample import sample_size, scored_rows
from softunit.solvers.gradient_descent import GradientDescent
from softunit.solvers.gradient_regularized_newton import GradientRegularizedNewton
from softunit.solvers.lbfgs import LBFGS
from softunit.solvers.newton import Newton
from softunit.solvers.proximal_newton import ProximalNewton
from softunit.solvers.sketched_newton import SketchedNewton
from softunit.solvers.zeroth_order import ZerothOrder

SMALL = 1000  # parameters up to which a formed Hessian may be the best way,
SMALL_WORK = 2e6  # and n p^2 where forming it takes no time
WIDE = 50  # columns from which the Hessian of coupled rows takes longer than two gradients

SOLVERS: dict[str, Solver[Any]] = {
    "newton": Newton(),
    "newton-cholesky": Newton(linear="cholesky"),
    "newton-cg": Newton(linear="cg"),
    "sketched-newton": SketchedNewton(),
    "gradient-regularized-newton": GradientRegularizedNewton(),
    "lbfgs": LBFGS(),
    "gradient-descent": GradientDescent(),
    "block-coordinate": BlockCoordinate(),
    "proximal-newton": ProximalNewton(),
    "zeroth-order": ZerothOrder(),
}
"""Solvers by the names that estimators and the command line take, scikit-learn's among them."""


def check_solver(solver: object) -> None:
    """Raise `InputError` unless solver is "auto", a known name or a Solver."""
    if isinstance(solver, Solver) or solver == "auto":
        return
    if isinstance(solver, str) and solver in SOLVERS:
        return
    known = ", ".join(["auto", *SOLVERS])
    hint = near_names(solver, SOLVERS) if isinstance(solver, str) else ""
    raise InputError(
        f"`solver` must be one of {known}, or a Solver of softunit.solvers; got {solver!r}.{hint}"
    )


def resolve_solver(solver: str | Solver[Any], problem: Problem) -> Solver[Any]:
    """Return the solver for a name, for "auto", or the solver itself, its needs checked.

    "auto" takes ProximalNewton where a penalty has kinks; SketchedNewton where forming Hessians
    takes long and rows may be sampled; else Newton for convex units; for others
    gradient-regularised Newton while the Hessian can be formed, and L-BFGS beyond.

    Raises
    ------
    InputError
        If the name is unknown (near names are given).
    NeedsError
        If the problem lacks what the solver needs.
    """
    check_solver(solver)
    if isinstance(solver, Solver):
        chosen = solver
    elif solver != "auto":
        chosen = SOLVERS[solver]
    elif problem.lasso is not None:
        chosen = ProximalNewton()
    elif problem.unit.bounds(problem.target, problem.weights).convex:
        chosen = SketchedNewton() if is_large(problem) else Newton(kind="exact")
    elif problem.size <= FORM_LIMIT and is_large(problem):
        chosen = SketchedNewton()
    elif problem.size <= FORM_LIMIT:
        chosen = GradientRegularizedNewton()
    else:
        chosen = LBFGS()
    chosen.check(problem)
    return chosen


def is_large(problem: Problem) -> bool:
    """Return whether forming a Hessian takes longer than a few passes over rows that may sample."""
    p, n = problem.size, problem.design.shape[0]
    unit, target, weights = problem.unit, problem.target, problem.weights
    if unit.rowwise and unit.bounds(target, weights).convex:
        return p > SMALL or n * p * p > SMALL_WORK
    if len(problem.shape) > 1 or p < WIDE or 2 * sample_size(problem) >= n:
        return False
    return scored_rows(problem, np.zeros(n)) is not None
