"""One softmax classifier's objective as a problem, and how it is minimised."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from softunit._checks import check_count
from softunit._numeric import EPS, as_columns
from softunit._typing import Array, Vector
from softunit.designs import ScaledDesign, as_design
from softunit.errors import InputError
from softunit.estimators._conditioning import conditioned, least_norm_point, scaled_ridge
from softunit.estimators._continued import SETTLED, joined, settled
from softunit.estimators._data import ClassTarget
from softunit.estimators._separation import separation_sentence
from softunit.problem import Problem
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
    """
    k = classes.n_classes
    ridge = mean_ridge(C, float(x.shape[0] if weights is None else weights.sum()))
    # A mean p (1 - p) of (K - 1) / K^2 is what the ridge is weighed against.
    design = conditioned(
        as_design(x),
        intercept=intercept,
        centre=intercept,
        ridge=ridge * k * k / (k - 1),
        weights=weights,
    )
    penalty = scaled_ridge(design, ridge)
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
    """

    x: Any
    classes: ClassTarget
    weights: Vector | None
    Cs: Array
    intercept: bool
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


def at_strength(problem: Problem, C: float) -> Problem:
    """Return the problem with the ridge that belongs to C."""
    design = problem.design
    assert isinstance(design, ScaledDesign)
    return problem.derived(penalty=scaled_ridge(design, mean_ridge(C, problem.mass)))


def without_constant(x: Array) -> Array:
    """Return x less its mean across the classes: no score difference changes, and |x| falls.

    An x whose mean is rounding is returned itself: what is known of it need not be made again.
    """
    if x.ndim == 1:
        return x
    mean = x.mean(axis=1, keepdims=True)
    return x if np.abs(mean).max() <= 8 * EPS * np.abs(x).max() else x - mean


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
    """

    solver: str | Solver[Any]
    tol: float
    max_iter: int
    keyboard_interrupt: Interrupt = "raise"
    share: float = SETTLED
    seed: int | None = None

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
            )

        solution = run(x0, self.tol, self.max_iter)
        if self.solver != "auto":
            return solution
        solution = settled(
            solution, run, self.max_iter, share=self.share, gap=lambda x: ridge_gap(problem, x)
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

    No pass over the rows at a point that has just been evaluated.
    """
    g = as_columns(problem.evaluate(x).gradient)
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


@dataclass(frozen=True)
class End:
    """The point that a fit takes from a run.

    Attributes
    ----------
    x : ndarray of shape (d,) or (d, K)
        In the scaled columns; sums to zero over the classes.
    status : Status
    separation : str
        A sentence on the classes that are separable where there is no ridge; mostly empty.
    collinear : bool
        Whether other points score like x where there is no ridge; x has the least norm.
    """

    x: Array
    status: Status
    separation: str = ""
    collinear: bool = False

    @classmethod
    def of(
        cls, problem: Problem, solution: Solution, classes: ClassTarget, *, free: bool, tol: float
    ) -> End:
        """Return where a run ended, after a look at what the absence of ridge leaves open.

        Parameters
        ----------
        problem : Problem
        solution : Solution
        classes : ClassTarget
        free : bool
            Whether C is infinite.
        tol : float
        """
        x = without_constant(solution.x)
        if not free:
            return cls(x, solution.status)
        separation = separation_sentence(problem, x, classes)
        if separation:
            return cls(x, Status.SEPARABLE, separation)
        x, null = least_norm_point(problem, x, tol)
        return cls(np.asarray(x), solution.status, "", null)
