"""One softmax classifier's objective as a problem, and how it is minimised."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from softunit._checks import check_count
from softunit._numeric import EPS, as_columns, is_centred
from softunit._typing import Array, Vector
from softunit.checkpoints import Checkpoint
from softunit.designs import ScaledDesign, as_design
from softunit.errors import InputError
from softunit.estimators._conditioning import (
    conditioned,
    scaled_elastic_net,
)
from softunit.estimators._continued import SETTLED, joined, settled
from softunit.estimators._data import ClassTarget
from softunit.problem import FORM_LIMIT, Problem
from softunit.run import Callback, Interrupt, minimize
from softunit.solution import Solution, Status
from softunit.solvers import Newton, SketchedNewton, Solver
from softunit.solvers.auto import resolve_solver
from softunit.units import Multinomial


def mean_ridge(C: float, mass: float) -> float:
    """Return the ridge of the mean objective, 1 / (C * mass); 0 for infinite C.

    Raises
    ------
    InputError
        If it overflows.
    """
    ridge = 0.0 if math.isinf(C) else 1.0 / max(C * mass, 1e-310)
    if not math.isfinite(ridge):
        raise InputError(f"C = {C} is too small: 1 / (C * sum of weights) overflows.")
    return ridge


def class_problem(
    x: Any,
    classes: ClassTarget,
    weights: Vector | None,
    *,
    C: float,
    intercept: bool,
    offset: Any = None,
    l1_ratio: float = 0.0,
    grouped: bool = False,
) -> Problem:
    """Return the mean objective in scaled columns.

    Parameters
    ----------
    x : ndarray or CSR matrix of shape (n, d)
    classes : ClassTarget
    weights : ndarray of shape (n,) or None
        With class weights multiplied in.
    C : float
    intercept : bool
    offset : array_like or None, default None
    l1_ratio : float, default 0.0
        Share of l1 in the penalty.
    grouped : bool, default False
        Whether l1 takes the norms of a column's coefficients over the classes.
    """
    k = classes.n_classes
    ridge = mean_ridge(C, float(x.shape[0] if weights is None else weights.sum()))
    # A mean p (1 - p) of (K - 1) / K^2 is what the ridge is weighed against.
    design = conditioned(
        as_design(x),
        intercept=intercept,
        centre=intercept,
        ridge=(1.0 - l1_ratio) * ridge * k * k / (k - 1),
        weights=weights,
    )
    penalty = scaled_elastic_net(design, ridge, l1_ratio=l1_ratio, grouped=grouped)
    return Problem(design, Multinomial(k), classes.target, penalty, weights=weights, offset=offset)


@dataclass
class Bases:
    """The objective on all rows, from which all others are derived without a copy.

    Attributes
    ----------
    x : ndarray or CSR matrix of shape (n, d)
    classes : ClassTarget
    weights : ndarray of shape (n,) or None
    Cs : ndarray of shape (m,)
    intercept : bool
    ratios : ndarray of shape (r,)
        Shares of l1.
    grouped : bool
    """

    x: Any
    classes: ClassTarget
    weights: Vector | None
    Cs: Array
    intercept: bool
    ratios: Array = field(default_factory=lambda: np.zeros(1))
    grouped: bool = False
    made: dict[bool, Problem] = field(default_factory=dict)

    def of(self, *, free: bool) -> Problem:
        """Return it with columns scaled for the weakest ridge, or for none where that is asked.

        The hardest problems are then the best conditioned; a stronger ridge only makes short
        columns heavier.
        """
        if free not in self.made:
            C = math.inf if free else float(self.Cs[np.isfinite(self.Cs)].max())
            self.made[free] = class_problem(
                self.x, self.classes, self.weights, C=C, intercept=self.intercept
            )
        return self.made[free]

    def penalised(self, problem: Problem, C: float, ratio: float) -> Problem:
        """Return a problem of these columns with the penalty of a C and a share of l1."""
        return at_strength(problem, C, l1_ratio=ratio, grouped=self.grouped)


def at_strength(
    problem: Problem, C: float, *, l1_ratio: float = 0.0, grouped: bool = False
) -> Problem:
    """Return the problem with the penalty that belongs to C."""
    design, strength = problem.design, mean_ridge(C, problem.mass)
    assert isinstance(design, ScaledDesign)
    return problem.derived(
        penalty=scaled_elastic_net(design, strength, l1_ratio=l1_ratio, grouped=grouped)
    )


def without_constant(x: Array) -> Array:
    """Return x less its mean across the classes: no score difference changes, and |x| falls.

    An x whose mean is rounding is returned itself: what is known of it need not be made again.
    """
    if x.ndim == 1:
        return x
    return x if is_centred(x) else x - x.mean(axis=1, keepdims=True)


def without_gauge(problem: Problem, x: Array) -> Array:
    """Return an x like it, one chosen among those whose constants across the classes are open.

    1. With l1 alone, a row with as many entries above zero as below keeps |x_j|_1 when a constant
    is added: it moves until an entry is zero, the way that leaves its sum nearer to zero.  2.
    Intercepts, in the input's columns, sum to zero. Without l1 this is `without_constant`.

    Parameters
    ----------
    problem : Problem
        Of a `ScaledDesign`.
    x : ndarray of shape (d,) or (d, K)
    """
    lasso, design = problem.lasso, problem.design
    if lasso is None or x.ndim == 1:
        return without_constant(x)
    assert isinstance(design, ScaledDesign)
    x = x.copy()
    held = slice(0, len(design.scale))
    if not lasso.group and not problem.ridge[held].any():  # 1.
        ordered, k = np.sort(x[held], axis=1), x.shape[1]
        low, high, mean = ordered[:, (k - 1) // 2], ordered[:, k // 2], x[held].mean(axis=1)
        nearer = np.where(np.abs(mean - low) <= np.abs(mean - high), low, high)
        x[held] -= np.where(low * high < 0, nearer, 0.0)[:, None]
    if design.intercept:  # 2.
        own = design.to_input(x)[-1]
        # What is rounding stays, so that a point that has been moved already is not moved again.
        x[-1] -= own.mean() if abs(own.mean()) > 8 * EPS * np.abs(own).max() else 0.0
    return x


@dataclass(frozen=True)
class Settings:
    """How an estimator asks for its problems to be minimised.

    Attributes
    ----------
    solver : str or Solver
    tol : float
    max_iter : int
    keyboard_interrupt : {"raise", "return"}, default "raise"
    share : float, default SETTLED
        Of tol: how far the value may promise to fall, relative to itself, where solver is "auto".
    seed : int or None, default None
        For solvers that sample rows; None leaves them their own.
    checkpoint : Checkpoint or None, default None
        Where the runs of the fit note how far they are.
    """

    solver: str | Solver[Any]
    tol: float
    max_iter: int
    keyboard_interrupt: Interrupt = "raise"
    share: float = SETTLED
    seed: int | None = None
    checkpoint: Checkpoint | None = None

    def minimize(self, problem: Problem, x0: Array, callback: Callback) -> Solution:
        """Return the minimum of a classifier's problem, its value settled where solver is auto."""
        solver = self._seeded(problem)

        def run(x: Array, tol: float, max_iter: int) -> Solution:
            return minimize(
                problem,
                x,
                solver=solver,
                tol=tol,
                max_iter=max_iter,
                callback=callback,
                keyboard_interrupt=self.keyboard_interrupt,
                checkpoint=self.checkpoint,
            )

        solution = run(x0, self.tol, self.max_iter)
        if self.solver != "auto":
            return solution
        solution = settled(
            solution,
            run,
            self.max_iter,
            share=self.share,
            gap=lambda x: ridge_gap(problem, x),
            cheap=problem.lasso is not None and problem.size <= FORM_LIMIT,
        )
        stuck = solution.status in (Status.ROUNDING, Status.NO_DESCENT)
        if not stuck or solution.solver != "SketchedNewton":
            return solution
        # Where float32 and samples leave nothing to go by, all digits of all rows may.
        solver = Newton(kind="exact")
        left = max(0, self.max_iter - solution.n_iter)
        more = run(solution.x, self.tol, left)
        return joined(solution, more) if more.value <= solution.value else solution

    def _seeded(self, problem: Problem) -> str | Solver[Any]:
        if self.seed is None:
            return self.solver
        solver = resolve_solver(self.solver, problem)
        return replace(solver, seed=self.seed) if isinstance(solver, SketchedNewton) else solver


def ridge_gap(problem: Problem, x: Array) -> float:
    """Return |g|^2 / (2 ridge) over the rows of x that ridge holds; 0 where it holds none.

    With l1 g is the subgradient of least norm. No pass over the rows at a point that has just been
    evaluated.
    """
    gradient, lasso = problem.evaluate(x).gradient, problem.lasso
    g = as_columns(gradient if lasso is None else lasso.least_subgradient(x, gradient))
    held = problem.ridge > 0
    with np.errstate(over="ignore"):
        return 0.5 * float((g[held] ** 2 / problem.ridge[held, None]).sum())


def seed_of(random_state: Any) -> int | None:
    """Return a seed for scikit-learn's `random_state`; None for None.

    Raises
    ------
    InputError
        If it is a negative number.
    """
    if random_state is None or isinstance(random_state, (int, np.integer)):
        return None if random_state is None else check_count("random_state", random_state)
    return int(check_random_state(random_state).randint(1 << 31))
