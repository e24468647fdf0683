"""The papers' exp, cosh and sinh regression: x such that u(A x) comes close to b, row by row."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from softunit._checks import check_choice, check_count
from softunit._progress import Tick
from softunit._typing import Vector
from softunit.certificate import Certificate, Statement
from softunit.errors import SoftunitWarning, warn
from softunit.estimators._data import checked_x
from softunit.estimators._descents import Descents
from softunit.estimators._hyperbolic_phases import HyperbolicPhases
from softunit.estimators._objective import Settings
from softunit.estimators._unit_regressor import UnitRegressor
from softunit.problem import Problem
from softunit.run import Interrupt
from softunit.solution import Solution
from softunit.solvers import Solver
from softunit.units import CoshSquares, ExpSquares, SinhSquares, Unit

UNITS: dict[str, Unit] = {"exp": ExpSquares(), "cosh": CoshSquares(), "sinh": SinhSquares()}
MIRRORED = 1e-5  # of the largest score: smaller ones leave x at zero, its own mirror image
SIGN = "cosh does not see the sign of A x: -x fits as well as x. The one given has its first"


class HyperbolicRegressor(UnitRegressor):
    """Exp, cosh or sinh regression: a curve of one score in each row, by least squares.

    ::

        1/2 |u(A x) - b|^2 + 1/2 |diag(w) A x|^2 + ridge/2 |x|^2,    u = exp, cosh or sinh

    The squared error of such curves is not convex, and zero is a bad start: that of cosh never
    leaves it. The fit goes in phases:

    1. Where the scores that b asks for (log b, asinh b) are a combination of the columns of A, a
    linear solve meets b.
    2. Else solve the least squares linearised there, and go on by gradient-regularised Newton on
    the exact curvature. For cosh, whose scores have unknown signs, do so from several guesses and
    keep the best.
    3. Settle flat directions by a few plain Newton steps.

    Parameters
    ----------
    unit : {"exp", "cosh", "sinh"}, default "exp"
        u.
    w : float or array_like of shape (n,), default 0.0
        Weights of the scores in the regulariser. The paper's theory asks for w^2 above b^2 / 2,
        which pulls the answer far towards zero: keep it small.
    ridge : float, default 0.0
        Strength of a ridge on x.
    tol : float, default 1e-10
        Largest entry of the gradient, over that of |A|' |u'(z) b| where u(z) = b, at which the fit
        has converged.
    solver : str or Solver, default "auto"
        For the objective; "auto" is gradient-regularised Newton up to 2,000 columns.
    max_iter : int, default 200
        Of each phase.
    restarts : int, default 10
        Random starts for cosh, beside the one by eigenvectors.
    fidelity : {"auto", "paper"}, default "auto"
        "paper" runs the paper's algorithm as printed, its sign slip mended: full Newton steps from
        zero on a Hessian of rows sampled by leverage scores, no line search. It needs the paper's
        w; `solver` is not used.
    random_state : int, RandomState or None, default 0
        Draws the random starts and the paper's samples.
    verbose : int, default 0
        1 shows a progress line on work over two seconds, on a terminal.
    keyboard_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does during the iterations: raise, or end the fit at the best point so far,
        certified, with a `ConvergenceWarning`.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        x. Where A has null directions the one of least norm; for cosh, where x and -x do equally
        well, the one whose first nonzero entry is positive.
    n_iter_ : int
        Iterations of all phases.
    n_features_in_ : int
        Columns of A.
    feature_names_in_ : ndarray of shape (d,)
        Only if X has names.
    solution_ : Solution
        Of the phase that gave the answer, x in the columns of A; its value is the sum above.
    phases_ : tuple of Solution
        All phases, the answer last; their x is in scaled columns.
    certificate_ : Certificate

    Notes
    -----
    Source: Li, Song, Zhou, arXiv 2303.15725; starts and thresholds: docs/maths/exp-cosh-sinh.
    """

    def __init__(
        self,
        unit: Literal["exp", "cosh", "sinh"] = "exp",
        w: Any = 0.0,
        *,
        ridge: float = 0.0,
        tol: float = 1e-10,
        solver: str | Solver[Any] = "auto",
        max_iter: int = 200,
        restarts: int = 10,
        fidelity: Literal["auto", "paper"] = "auto",
        random_state: Any = 0,
        verbose: int = 0,
        keyboard_interrupt: Interrupt = "raise",
    ) -> None:
        self.unit = unit
        self.w = w
        self.ridge = ridge
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter
        self.restarts = restarts
        self.fidelity = fidelity
        self.random_state = random_state
        self.verbose = verbose
        self.keyboard_interrupt = keyboard_interrupt

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit and certify.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
            A.
        y : array_like of shape (n,)
            b. exp cannot meet b <= 0 (a warning says how many rows), nor cosh b < 1.
        sample_weight : array_like of shape (n,), default None
            Row weights s: the loss becomes 1/2 sum_i s_i (u(A x) - b)_i^2.

        Returns
        -------
        HyperbolicRegressor
            Itself, fitted. It warns with `ConvergenceWarning` where it has not converged, with
            `NotUniqueWarning` where null directions of A leave the optimum open, and where the
            linearised start would overflow and was moved.

        Raises
        ------
        InputError
            If A, b, the weights or a parameter is wrong; the message says where.
        """
        return super().fit(X, y, sample_weight)

    def predict(self, X: Any) -> Vector:
        """Return u(A x), shape (n,); inf where it is beyond float64."""
        check_is_fitted(self)
        z = np.asarray(checked_x(self, X, reset=False) @ self.coef_)
        with np.errstate(over="ignore"):
            return np.asarray(getattr(np, self.unit)(z))

    def _unit(self, n: int) -> Unit:
        return UNITS[self.unit]

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("unit", self.unit, tuple(UNITS))
        check_count("restarts", self.restarts)

    def _phases(
        self, problem: Problem, settings: Settings, tick: Tick, seed: int
    ) -> tuple[Solution, ...]:
        descents, rng = Descents(problem, settings, tick), np.random.default_rng(seed)
        return HyperbolicPhases(descents, self.unit, self.restarts, rng).run()

    def _checked_target(self, y: Any, n: int) -> Vector:
        b = super()._checked_target(y, n)
        low = np.flatnonzero(b <= 0)
        if self.unit == "exp" and len(low):
            warn(
                f"the target b holds {len(low)} entries <= 0; the first is {b[low[0]]:.6g} in row"
                f" {low[0]}. No exp can meet them: they have no weight in the start, and at least"
                f" {0.5 * float(b[low] @ b[low]):.3g} of the unweighted loss is irreducible. They"
                " count in the fit all the same: drop them if they mark missing values, and use"
                " the sinh unit for data of both signs.",
                SoftunitWarning,
            )
        return b

    def _keep(self, problem: Problem, best: Solution) -> None:
        super()._keep(problem, best)
        if self.unit == "cosh":
            self.coef_ = signed(self.coef_)
            self.solution_ = dataclasses.replace(self.solution_, x=self.coef_)

    def _notes(self, problem: Problem, x: Vector) -> tuple[Statement, ...]:
        if not self._mirrored(problem, x):
            return ()
        return (Statement(f"{SIGN} nonzero entry positive.", proved=True),)

    def _with_notes(self, problem: Problem, x: Vector, certificate: Certificate) -> Certificate:
        certificate = super()._with_notes(problem, x, certificate)
        if self._mirrored(problem, x):
            return dataclasses.replace(certificate, unique=False)
        return certificate

    def _mirrored(self, problem: Problem, x: Vector) -> bool:
        """Return whether -x is another point of the same value."""
        if self.unit != "cosh":
            return False
        scores = problem.scores(problem.design.from_input(x))
        return bool(np.abs(scores).max() > MIRRORED)


def signed(x: Vector) -> Vector:
    """Return x or -x: the one whose first nonzero entry is positive."""
    heard = np.flatnonzero(x)
    return -x if len(heard) and x[heard[0]] < 0 else x
