"""From a name or "auto" to a solver."""

from __future__ import annotations

from typing import Any

from softunit._checks import near_names
from softunit.errors import InputError
from softunit.problem import FORM_LIMIT, Problem
from softunit.solvers.base import Solver
from softunit.solvers.gradient_descent import GradientDescent
from softunit.solvers.gradient_regularized_newton import GradientRegularizedNewton
from softunit.solvers.lbfgs import LBFGS
from softunit.solvers.newton import Newton
from softunit.solvers.sketched_newton import SketchedNewton

SMALL = 1000  # parameters up to which a formed Hessian may be the best way,
SMALL_WORK = 2e6  # and n p^2 where forming it takes no time

SOLVERS: dict[str, Solver[Any]] = {
    "newton": Newton(),
    "newton-cholesky": Newton(linear="cholesky"),
    "newton-cg": Newton(linear="cg"),
    "sketched-newton": SketchedNewton(),
    "gradient-regularized-newton": GradientRegularizedNewton(),
    "lbfgs": LBFGS(),
    "gradient-descent": GradientDescent(),
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

    "auto" takes Newton for convex units whose Hessian is small, and SketchedNewton where rows are
    independent and it is not; for units that are not convex gradient-regularised Newton while the
    Hessian can be formed, and L-BFGS beyond.

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
    elif problem.unit.bounds(problem.target, problem.weights).convex:
        chosen = SketchedNewton() if _is_large(problem) else Newton(kind="exact")
    elif problem.size <= FORM_LIMIT:
        chosen = GradientRegularizedNewton()
    else:
        chosen = LBFGS()
    chosen.check(problem)
    return chosen


def _is_large(problem: Problem) -> bool:
    """Return whether forming a Hessian takes longer than a few passes over rows that may sample."""
    if not problem.unit.rowwise:
        return False
    p, n = problem.size, problem.design.shape[0]
    return p > SMALL or n * p * p > SMALL_WORK
