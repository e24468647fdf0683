"""The papers' rescaled regression: exp, cosh or sinh of A x, compared with b up to its sum."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from softunit._checks import check_choice, check_count
from softunit._progress import Tick
from softunit._typing import Vector
from softunit.certificate import Certificate, Statement
from softunit.errors import InputError, SoftunitWarning, warn
from softunit.estimators._data import checked_x
from softunit.estimators._descents import Descents, unpenalised
from softunit.estimators._objective import Settings
from softunit.estimators._rescaled_phases import RescaledPhases, falls_everywhere
from softunit.estimators._softmax_phases import Phases
from softunit.estimators._unit_regressor import UnitRegressor
from softunit.estimators.hyperbolic_regressor import signed
from softunit.problem import Problem
from softunit.run import Interrupt
from softunit.solution import Solution
from softunit.solvers import Solver
from softunit.solvers.paper_newton import PaperNewton
from softunit.units import NormalisedSquares, RescaledSquares, SoftmaxSquares, Unit
from softunit.units._curves import CURVES

ESCAPES = (
    "rescaled exp without a gauge has no optimum on this A: the objective tends to zero along a"
    " direction v with A v < 0 in every row, whatever b is. gauge='normaliser' holds the scale of"
    " exp(A x)."
)
UNTOLD = (
    "rescaled exp without a gauge tends to zero along any v with A v < 0 in every row; A is too"
    " large to tell whether there is one."
)
TRIVIAL = (
    "rescaled sinh without a gauge is zero at x = 0, whatever b is: a small value says nothing."
    " gauge='normaliser' holds the scale of sinh(A x)."
)
MIRROR = (
    "{unit} regression up to scale does not see the sign of A x: -x fits as well as x. The one"
    " given has its first nonzero entry positive."
)


class RescaledRegressor(UnitRegressor):
    """Rescaled regression: exp, cosh or sinh over all rows, fitted to shares of their sum.

    ::

        gauge "normaliser"    1/2 |u / <u, 1> - b|^2 + penalties,    u = exp, cosh or sinh of A x
        gauge None            1/2 |u - <u, 1> b|^2   + penalties

    with penalties 1/2 |diag(w) A x|^2 + ridge/2 |x|^2. The second is the paper's. It does not hold
    the scale of u: with exp it may fall to zero along a direction, with sinh it is zero at x = 0,
    for every b. Then a fit says nothing, and a warning says so. Where b can be met both have the
    same answer.

    With exp and the gauge this is `SoftmaxRegressor`. For cosh and sinh the fit starts where the
    scores that some multiple of b asks for are closest to the range of A, and goes on by
    gradient-regularised Newton; without the gauge, from the end of the gauged fit.

    Parameters
    ----------
    unit : {"exp", "cosh", "sinh"}, default "exp"
        u.
    gauge : {"normaliser"} or None, default "normaliser"
        What holds the scale of u.
    w : float or array_like of shape (n,), default 0.0
        Weights of the scores in the regulariser.
    ridge : float, default 0.0
        Strength of a ridge on x.
    tol : float, default 1e-10
        Largest entry of the gradient, relative to its terms at scores of one (for softmax, zero),
        at which the fit has converged.
    solver : str or Solver, default "auto"
        For the objective; "auto" is gradient-regularised Newton up to 2,000 columns.
    max_iter : int, default 200
        Of each phase.
    restarts : int, default 10
        Random starts for cosh, whose scores have unknown signs.
    fidelity : {"auto", "paper"}, default "auto"
        "paper" runs the paper's algorithm from zero: full Newton steps on a Hessian of rows sampled
        by leverage scores. It needs `gauge=None` and a large w; `solver` is not used.
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
        x. Where A has null directions the one of least norm. cosh and sinh do not see its sign: the
        first nonzero entry is positive.
    n_iter_ : int
        Iterations of all phases.
    n_features_in_ : int
        Columns of A.
    feature_names_in_ : ndarray of shape (d,)
        Only if X has names.
    solution_ : Solution
        Of the phase that gave the answer, x in the columns of A.
    phases_ : tuple of Solution
        All phases, the answer last; their x is in scaled columns, centred for the softmax. Beyond
        5,000 rows the starts of cosh are tried on a sample of them.
    certificate_ : Certificate
        It names the vacuous cases.

    Notes
    -----
    Source: Gao, Song, Yin, arXiv 2305.00660; the gauge is ours: docs/maths/rescaled.
    """

    def __init__(
        self,
        unit: Literal["exp", "cosh", "sinh"] = "exp",
        gauge: Literal["normaliser"] | None = "normaliser",
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
        self.gauge = gauge
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

    @property
    def _blind(self) -> bool:
        return self.unit == "exp" and self.gauge is not None

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit and certify.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
            A, n >= 2.
        y : array_like of shape (n,)
            b. Its sum must be one to be met; another sum is accepted with a warning.
        sample_weight : array_like of shape (n,), default None
            Outcome weights s of the squared residuals.

        Returns
        -------
        RescaledRegressor
            Itself, fitted. It warns with `ConvergenceWarning` where it has not converged, with
            `NotUniqueWarning` where null directions of A leave the optimum open, and where the
            objective without a gauge is vacuous.

        Raises
        ------
        InputError
            If A, b, the weights or a parameter is wrong; the message says where.
        """
        return super().fit(X, y, sample_weight)

    def predict(self, X: Any) -> Vector:
        """Return u(A x) over its sum, over the rows given, shape (n,): it sums to one."""
        check_is_fitted(self)
        u, _, _ = CURVES[self.unit].scaled(np.asarray(checked_x(self, X, reset=False) @ self.coef_))
        return np.asarray(u / u.sum())

    def _unit(self, n: int) -> Unit:
        if self.gauge is None:
            return RescaledSquares(self.unit)
        return SoftmaxSquares() if self.unit == "exp" else NormalisedSquares(self.unit)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("unit", self.unit, tuple(CURVES))
        check_count("restarts", self.restarts)
        if self.gauge not in ("normaliser", None):
            raise InputError(f"`gauge` must be 'normaliser' or None; got {self.gauge!r}.")
        if self.fidelity == "paper" and self.gauge is not None:
            raise InputError(
                "`fidelity` = 'paper' minimises the paper's objective, which has no gauge: give"
                f" gauge=None; got {self.gauge!r}."
            )

    def _phases(
        self, problem: Problem, settings: Settings, tick: Tick, seed: int
    ) -> tuple[Solution, ...]:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        if self.fidelity == "paper":
            paper = dataclasses.replace(settings, solver=PaperNewton(seed=seed))
            runs: tuple[Solution, ...] = (Descents(problem, paper, tick).descend(None),)
        else:
            runs = self._gauged(problem, settings, tick, np.random.default_rng(seed))
        for note in self._vacuous(problem):
            warn(note, SoftunitWarning)
        return runs

    def _gauged(
        self, problem: Problem, settings: Settings, tick: Tick, rng: np.random.Generator
    ) -> tuple[Solution, ...]:
        """Return the runs on the gauged objective, and those that go on without the gauge."""
        gauged = problem
        if self.gauge is None:
            unit = SoftmaxSquares() if self.unit == "exp" else NormalisedSquares(self.unit)
            gauged = Problem(
                problem.design, unit, problem.target, problem.penalties, weights=problem.weights
            )
        if self.unit == "exp":
            runs = Phases(gauged, settings, tick).run()
        else:
            descents = Descents(gauged, settings, tick)
            runs = RescaledPhases(descents, self.unit, self.restarts, rng).run()
        if self.gauge is not None:
            return runs
        descents = Descents(problem, settings, tick)
        # Zero may be lower, and vacuous: the start moves towards it only as far as it must.
        start = descents.representable(runs[-1].x)
        return (*runs, descents.polished(descents.descend(start)))

    def _vacuous(self, problem: Problem) -> tuple[str, ...]:
        """Return what makes the objective say nothing, in sentences."""
        if self.gauge is not None or not unpenalised(problem):
            return ()
        if self.unit == "exp":
            falls = falls_everywhere(problem)
            return () if falls is False else (ESCAPES if falls else UNTOLD,)
        return (TRIVIAL,) if self.unit == "sinh" else ()

    def _checked_target(self, y: Any, n: int) -> Vector:
        if n < 2:
            raise InputError(
                f"over {n} row a share is always 1 (n_samples = 1): A needs at least two rows."
            )
        b = super()._checked_target(y, n)
        total = float(b.sum())
        if abs(total - 1) > 1e-6:
            warn(
                f"the target b sums to {total:.6g}, but shares of a sum add up to one: b cannot be"
                " met. Divide b by its sum if it holds counts or amounts.",
                SoftunitWarning,
            )
        return b

    def _keep(self, problem: Problem, best: Solution) -> None:
        super()._keep(problem, best)
        if self.unit != "exp":
            self.coef_ = signed(self.coef_)
            self.solution_ = dataclasses.replace(self.solution_, x=self.coef_)

    def _notes(self, problem: Problem, x: Vector) -> tuple[Statement, ...]:
        notes = [Statement(note, proved=None) for note in self._vacuous(problem)]
        if self.unit != "exp" and x.any():
            notes.append(Statement(MIRROR.format(unit=self.unit), proved=True))
        return tuple(notes)

    def _with_notes(self, problem: Problem, x: Vector, certificate: Certificate) -> Certificate:
        certificate = super()._with_notes(problem, x, certificate)
        if self.unit != "exp" and x.any():
            return dataclasses.replace(certificate, unique=False)
        return certificate
