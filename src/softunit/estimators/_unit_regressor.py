"""What the regressors share: x such that a unit of A x comes close to a target."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted

from softunit._checks import check_choice, check_count, check_positive, check_vector, check_weights
from softunit._progress import Tick, progress
from softunit._typing import Vector
from softunit.certificate import Certificate, Statement, at_optimum, certify
from softunit.designs import as_design
from softunit.errors import InputError, NotUniqueWarning, SoftunitWarning, warn
from softunit.estimators._conditioning import (
    NullSpace,
    conditioned,
    least_norm_point,
    scaled_ridge,
)
from softunit.estimators._data import checked_x
from softunit.estimators._descents import Descents
from softunit.estimators._objective import Settings
from softunit.penalties import ScoreRidge
from softunit.problem import Problem
from softunit.run import check_interrupt
from softunit.solution import Solution, Status
from softunit.solvers.auto import check_solver
from softunit.solvers.paper_newton import PaperNewton
from softunit.units import Unit

LARGEST = 1e100  # entry of w
AT_BEST = 1e-12  # of the value: a smaller bound on the gap leaves no lower minimum to speak of
LOCAL = (
    "the objective is not convex: this is the lowest point of the starts that were tried, and a"
    " start of another kind may end lower."
)
NAMED, HEARD = 8, 1e-6  # columns that a warning names, and their least part in a direction


def not_unique(problem: Problem, names: Any, *, blind: bool) -> str:
    """Return the sentence on combinations of columns that move no score, naming the columns."""
    basis = NullSpace.of(problem).basis
    which = "some columns of A are"
    if basis is not None:
        found = np.flatnonzero(np.abs(basis).max(axis=1, initial=0.0) > HEARD)
        told = [repr(str(names[j])) if names is not None else str(j) for j in found[:NAMED]]
        rest = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        one = len(found) == 1
        which = f"column{'' if one else 's'} {', '.join(told)}{rest} of A {'is' if one else 'are'}"
    why = " or constant, to which a softmax is blind" if blind else ""
    return (
        f"the optimum is not unique: {which} collinear{why}, so some combination of the columns"
        " moves no score. The x of least norm is returned; a small `ridge` makes it unique."
    )


class UnitRegressor(RegressorMixin, BaseEstimator, ABC):
    """A regressor of one unit: checks, phases, certificate.

    A subclass sets the parameters w, ridge, tol, solver, max_iter, fidelity, random_state, verbose
    and keyboard_interrupt in its own signature, and says what is its own:

    - `_unit(n)`: the unit for n rows;
    - `_phases(problem, settings, tick, seed)`: the runs that lead to the answer, the answer last;
    - `predict`;
    - `_checked_target(y, n)`, `_check_parameters()`, `_notes(problem, x)` where the defaults
      do not do.
    """

    w: Any
    ridge: float
    tol: float
    solver: Any
    max_iter: int
    fidelity: Literal["auto", "paper"]
    random_state: Any
    verbose: int
    keyboard_interrupt: Any

    @property
    def _blind(self) -> bool:
        """Whether the unit does not see a constant added to all scores."""
        return False

    @abstractmethod
    def _unit(self, n: int) -> Unit:
        """Return the unit for a design of n rows."""

    @abstractmethod
    def _phases(
        self, problem: Problem, settings: Settings, tick: Tick, seed: int
    ) -> tuple[Solution, ...]:
        """Return the runs that lead to the answer, the answer last."""

    def _notes(self, problem: Problem, x: Vector) -> tuple[Statement, ...]:
        """Return what the certificate should say beyond the usual, first things first."""
        return ()

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit and certify.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
            A, n >= 2.
        y : array_like of shape (n,)
            b.
        sample_weight : array_like of shape (n,), default None
            Weights s of the squared residuals.

        Returns
        -------
        UnitRegressor
            Itself, fitted. It warns with `ConvergenceWarning` where it has not converged, and with
            `NotUniqueWarning` where null directions of A leave the optimum open.

        Raises
        ------
        InputError
            If A, b, the weights or a parameter is wrong; the message says where.
        """
        self._check_parameters()
        problem = self._problem(*self._checked(X, y, sample_weight, reset=True))
        with progress(self.verbose, self.tol) as line:
            settings = Settings(self.solver, self.tol, self.max_iter, self.keyboard_interrupt)
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self.phases_ = self._runs(problem, settings, line, seed)
        self._keep(problem, self.phases_[-1])
        return self

    def _runs(
        self, problem: Problem, settings: Settings, tick: Tick, seed: int
    ) -> tuple[Solution, ...]:
        """Return the phases, or the paper's algorithm alone."""
        if self.fidelity == "auto":
            return self._phases(problem, settings, tick, seed)
        theory = problem.unit.theory(problem.target)
        lacks = 0.0 if theory is None else float(np.max(theory.w_squared - problem.score_ridge))
        if theory is not None and lacks > 0:
            warn(
                f"`fidelity` = 'paper' rests on a large `w`: the paper asks for w_i^2 >="
                f" {float(theory.w_squared.max()):.4g} and more, of which some row lacks"
                f" {lacks:.4g}. Its full steps may fail here.",
                SoftunitWarning,
            )
        printed = dataclasses.replace(settings, solver=PaperNewton(seed=seed))
        return (Descents(problem, printed, tick).descend(None),)

    def certify(self, X: Any, y: Any, sample_weight: Any = None) -> Certificate:
        """Return a full certificate of the fitted x on some data, as `fit` takes them."""
        check_is_fitted(self)
        problem = self._problem(*self._checked(X, y, sample_weight, reset=False))
        full = certify(problem, problem.design.from_input(self.coef_))
        return self._with_notes(problem, self.coef_, full)

    def _check_parameters(self) -> None:
        check_positive("ridge", self.ridge, zero=True)
        check_positive("tol", self.tol, zero=True)
        check_count("max_iter", self.max_iter)
        check_solver(self.solver)
        check_interrupt(self.keyboard_interrupt)
        check_choice("fidelity", self.fidelity, ("auto", "paper"))

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> tuple[Any, Vector, Vector | None]:
        a = checked_x(self, X, reset=reset)
        b = self._checked_target(y, a.shape[0])
        weights = None if sample_weight is None else check_weights(sample_weight, len(b))
        return a, b, weights

    def _checked_target(self, y: Any, n: int) -> Vector:
        if y is None:
            raise InputError("requires y to be passed, but the target y is None")
        return check_vector("the target b", column_or_1d(y, warn=True), n)

    def _problem(self, a: Any, b: Vector, weights: Vector | None) -> Problem:
        """Return the objective in scaled columns, centred too where nothing sees that."""
        n = a.shape[0]
        centre = self._blind and not np.any(self._score_weights(n))
        design = conditioned(as_design(a), intercept=False, centre=centre, ridge=0.0)
        penalties = (scaled_ridge(design, self.ridge), ScoreRidge(self._score_weights(n)))
        return Problem(design, self._unit(n), b, penalties, weights=weights)

    def _score_weights(self, n: int) -> Any:
        try:
            w = np.asarray(self.w, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"`w` must be a number or one for each row; got {self.w!r}."
            ) from error
        if not np.isfinite(w).all():
            raise InputError(f"`w` must hold finite numbers; got {self.w!r}.")
        if float(np.abs(w).max(initial=0.0)) > LARGEST:
            raise InputError(
                f"`w` must not exceed {LARGEST:.0e}, where its squares overflow; its largest entry"
                f" is {float(np.abs(w).max()):.3g}."
            )
        return w if w.ndim == 0 else check_vector("`w` (one for each row)", w, n)

    def _keep(self, problem: Problem, best: Solution) -> None:
        """Set the fitted attributes, and warn where the fit is not what it seems."""
        x, null, status = best.x, False, best.status
        if self.ridge == 0:
            x, null = least_norm_point(problem, x, self.tol)
        certificate = certify(problem, x, effort="quick")
        if status is Status.ROUNDING and at_optimum(certificate):
            status = Status.PROVED
        if null:
            certificate = dataclasses.replace(certificate, unique=False)
        self.solution_ = dataclasses.replace(best, x=problem.design.to_input(x), status=status)
        self.certificate_ = self._with_notes(problem, self.solution_.x, certificate)
        self.coef_ = self.solution_.x
        self.n_iter_ = max(1, sum(run.n_iter for run in self.phases_))
        if null:
            names = getattr(self, "feature_names_in_", None)
            said = not_unique(problem, names, blind=self._blind)
            warn(said, NotUniqueWarning)
        if not self.solution_.converged:
            warn(self.solution_.message, ConvergenceWarning)

    def _with_notes(self, problem: Problem, x: Vector, certificate: Certificate) -> Certificate:
        notes = self._notes(problem, x)
        floor = AT_BEST * max(1.0, abs(certificate.value))
        convex = problem.unit.bounds(problem.target, problem.weights).convex
        if not convex and certificate.gap_bound > floor and certificate.unique is not True:
            notes = (*notes, Statement(LOCAL, proved=None))
        return dataclasses.replace(certificate, statements=(*notes, *certificate.statements))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
