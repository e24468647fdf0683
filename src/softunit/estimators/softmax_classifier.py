"""Multinomial logistic regression with scikit-learn's objective and a certificate."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from softunit._checks import check_count, check_positive, check_switch
from softunit._progress import progress
from softunit._typing import Array
from softunit.certificate import Certificate, Effort, at_optimum, certify
from softunit.designs import as_design
from softunit.errors import InputError, NotUniqueWarning, SeparationWarning
from softunit.estimators._callbacks import CallbackSupportMixin, FitTasks, with_callbacks
from softunit.estimators._conditioning import conditioned, least_norm_point, scaled_ridge
from softunit.estimators._continued import settled
from softunit.estimators._data import (
    ClassTarget,
    checked_classes,
    checked_row_weights,
    checked_x,
    known_classes,
)
from softunit.estimators._prediction import SoftmaxPrediction
from softunit.estimators._separation import UNPROVED, separation_sentence
from softunit.problem import FORM_LIMIT, Problem
from softunit.run import minimize
from softunit.solution import Solution, Status
from softunit.solvers import Solver
from softunit.solvers.auto import check_solver
from softunit.units import Multinomial

NOT_UNIQUE = (
    "the optimum is not unique: columns of X are collinear (or constant) and C is infinite, so that"
    " some directions of the coefficients change no score. The coefficients of least norm are"
    " returned; use a finite C, or drop columns."
)


class SoftmaxClassifier(CallbackSupportMixin, SoftmaxPrediction, ClassifierMixin, BaseEstimator):
    """Softmax (multinomial logistic) regression that proves how good its fit is.

    The objective is scikit-learn's::

        C * sum_i s_i loss_i + 1/2 |W|^2

    with log loss, an unpenalised intercept, row weights s (times class weights) and, for two
    classes, one column of scores. It is solved in the mean form, divided by C * sum(s).

    Parameters
    ----------
    C : float, default 1.0
        Inverse strength of the ridge; `numpy.inf` means none.
    tol : float, default 1e-6
        Largest entry of the gradient of the mean objective, in the input's columns, at which the
        fit has converged.
    fit_intercept : bool, default True
        Whether scores have an intercept; it carries no penalty.
    solver : str or Solver, default "auto"
        "auto", "newton", "newton-cholesky", "newton-cg", "lbfgs", "gradient-descent",
        "gradient-regularized-newton", or a solver of `softunit.solvers`.
    max_iter : int, default 200
        Iterations after which the fit ends with a `ConvergenceWarning`.
    class_weight : dict, "balanced" or None, default None
        Weight of each class, as in scikit-learn; with shares it weighs the shares.
    warm_start : bool, default False
        Whether `fit` starts from the coefficients of the last fit.
    random_state : int, RandomState or None, default None
        Kept for solvers that sample rows; the present ones draw nothing.
    verbose : int, default 0
        1 shows a progress line on work over two seconds, on a terminal.

    Attributes
    ----------
    coef_ : ndarray of shape (1, d) or (K, d)
        Coefficients W in the dtype of X; with several classes they sum to zero over the classes.
    intercept_ : ndarray of shape (1,) or (K,)
        Likewise; zeros without an intercept.
    classes_ : ndarray of shape (K,)
        Labels in sorted order; for shares the names of the columns, or 0 to K - 1.
    n_iter_ : ndarray of shape (1,)
        Iterations made.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Only if X has names.
    solution_ : Solution
        `solution_.x` holds coefficients and, last, intercepts: (d + 1,) or (d + 1, K).
    certificate_ : Certificate
        What is proved about the fit; all values are of the mean objective.

    Notes
    -----
    With solver="auto" the fit goes on below `tol` while a Newton step promises to lower the
    objective by over tol / 10,000 of itself: where the optimal value is tiny, a small gradient can
    be far from it. Columns are centred and scaled inside, a change of variables. Without ridge and
    with collinear columns the coefficients of least norm are returned.
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        tol: float = 1e-6,
        fit_intercept: bool = True,
        solver: str | Solver[Any] = "auto",
        max_iter: int = 200,
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.C = C
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks  # type: ignore[untyped-decorator, unused-ignore]
    def fit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> Self:
        """Fit and certify.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
            Contiguous floats are not copied.
        y : array_like of shape (n,) or (n, K)
            Labels of any type, or shares that sum to one in every row.
        sample_weight : float or array_like of shape (n,), default None
            Nonnegative row weights.
        offset : array_like of shape (n,) for two classes, else (n, K), default None
            Added to the scores.

        Returns
        -------
        SoftmaxClassifier
            Itself, fitted. A fit that has not converged warns with `ConvergenceWarning`,
            separable classes without ridge with `SeparationWarning`, and collinear columns
            without ridge with `NotUniqueWarning`.

        Raises
        ------
        InputError
            If X, y, weights, offset or a parameter is wrong; the message says where.
        """
        self._check_parameters()
        start = self._coefficients() if self.warm_start and hasattr(self, "coef_") else None
        x_checked = checked_x(self, X, reset=True)
        classes = checked_classes(y, x_checked.shape[0])
        problem = self._problem(x_checked, classes, sample_weight, offset)
        tasks = FitTasks(
            self,
            {"X": X, "y": y, "metadata": {"sample_weight": sample_weight}},
            lambda x: self._fitted(problem, x, x_checked.dtype, classes),
            self.max_iter,
        )
        x0 = np.zeros(problem.shape)
        if start is not None and start.shape == x0.shape:
            # A constant across the classes changes nothing: leave it out from the beginning.
            start = start if start.ndim == 1 else start - start.mean(axis=1, keepdims=True)
            x0 = problem.design.from_input(start)
        tasks.begin(x0)
        with progress(self.verbose, self.tol) as line:

            def run(x: Array, tol: float, max_iter: int) -> Solution:
                return minimize(
                    problem,
                    x,
                    solver=self.solver,
                    tol=tol,
                    max_iter=max_iter,
                    callback=lambda record, point: bool(line(record)) | tasks(record, point),
                )

            solution = run(x0, self.tol, self.max_iter)
            if self.solver == "auto":
                solution = settled(solution, run, self.max_iter)
        self._keep(problem, solution, x_checked.dtype, classes)
        tasks.end()
        return self

    def _check_parameters(self) -> None:
        check_positive("C", self.C, infinite=True)
        check_positive("tol", self.tol, zero=True)
        check_count("max_iter", self.max_iter)
        check_solver(self.solver)
        for name in ("fit_intercept", "warm_start"):
            check_switch(name, getattr(self, name))

    def _problem(self, x: Any, classes: ClassTarget, sample_weight: Any, offset: Any) -> Problem:
        """Return the mean objective, in scaled columns."""
        n, k = x.shape[0], classes.n_classes
        weights, classes = checked_row_weights(sample_weight, self.class_weight, classes, n)
        mass = float(n if weights is None else weights.sum())
        ridge = 0.0 if math.isinf(self.C) else 1.0 / (self.C * mass)
        if not math.isfinite(ridge):
            raise InputError(f"C = {self.C} is too small: 1 / (C * sum of weights) overflows.")
        intercept = bool(self.fit_intercept)
        inner = as_design(x)
        # A mean p (1 - p) of (K - 1) / K^2 is what the ridge is weighed against.
        weighed = ridge * k * k / (k - 1)
        design = conditioned(
            inner, intercept=intercept, centre=intercept, ridge=weighed, weights=weights
        )
        return Problem(
            design,
            Multinomial(k),
            classes.target,
            scaled_ridge(design, ridge),
            weights=weights,
            offset=offset,
        )

    def _keep(self, problem: Problem, solution: Solution, dtype: Any, classes: ClassTarget) -> None:
        """Set the fitted attributes, and warn where the fit is not what it seems."""
        x, status, null = solution.x, solution.status, False
        if x.ndim == 2:
            # A constant across the classes changes no score difference; the ridge wants it zero.
            x = x - x.mean(axis=1, keepdims=True)
        free = math.isinf(self.C)
        separation = separation_sentence(problem, x, classes) if free else ""
        if separation:
            status = Status.SEPARABLE
        elif free:
            x, null = least_norm_point(problem, x, self.tol)
        for name, value in self._fitted(problem, x, dtype, classes).items():
            setattr(self, name, value)
        self.n_iter_ = np.array([solution.n_iter], dtype=np.int32)
        if dtype != np.float64:
            x = problem.design.from_input(self._coefficients())  # what is stored is certified
        effort: Effort = "full" if free or status is Status.ROUNDING else "quick"
        certificate = certify(problem, x, effort=effort)
        if status is Status.ROUNDING and at_optimum(certificate):
            status = Status.PROVED
        unique = False if null else certificate.unique
        self.certificate_ = dataclasses.replace(certificate, unique=unique)
        self.solution_ = dataclasses.replace(solution, x=problem.design.to_input(x), status=status)
        self._warn(separation, unique)

    def _warn(self, separation: str, unique: bool | None) -> None:
        """Warn of whatever a user would want to know before the coefficients are used."""
        gap = self.certificate_.gap_bound
        if separation:
            warnings.warn(separation, SeparationWarning, stacklevel=4)
            return
        if unique is False:
            warnings.warn(NOT_UNIQUE, NotUniqueWarning, stacklevel=4)
        if not self.solution_.converged:
            known = f" The value is at most {gap:.1e} above the optimum." if gap < math.inf else ""
            warnings.warn(self.solution_.message + known, ConvergenceWarning, stacklevel=4)
        elif math.isinf(self.C) and gap == math.inf and self.coef_.size <= FORM_LIMIT:
            warnings.warn(UNPROVED, SeparationWarning, stacklevel=4)

    def _fitted(
        self, problem: Problem, x: Array, dtype: Any, classes: ClassTarget
    ) -> Mapping[str, Any]:
        """Return the attributes that prediction needs, from a point of the scaled problem."""
        w = problem.design.to_input(x).T
        if w.ndim == 1:
            w = w[None, :]
        intercept = w[:, -1] if self.fit_intercept else np.zeros(len(w))
        coef = w[:, :-1] if self.fit_intercept else w
        return {
            "coef_": np.ascontiguousarray(coef, dtype=dtype),
            "intercept_": np.array(intercept, dtype=dtype),
            "classes_": classes.classes,
        }

    def _coefficients(self) -> Array:
        """Return the fitted x in the input's columns, intercepts last: (d + 1,) or (d + 1, K)."""
        w = np.asarray(self._dense_coef(), dtype=np.float64)
        if self.fit_intercept:
            w = np.column_stack([w, self.intercept_])
        return np.array(w[0] if len(w) == 1 else w.T)

    # Certificates and neighbours ----------------------------------------------------------------

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows whose label is predicted; for shares, that of the largest."""
        if np.asarray(y).ndim == 2 and np.asarray(y).shape[1] >= 2:
            y = self.classes_[np.asarray(y).argmax(axis=1)]
        return float(super().score(X, y, sample_weight))

    def certify(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> Certificate:
        """Return a full certificate of the fitted coefficients on some data.

        Parameters
        ----------
        X, y, sample_weight, offset
            As in `fit`; labels must be among `classes_`.
        """
        check_is_fitted(self)
        x = checked_x(self, X, reset=False)
        classes = known_classes(y, x.shape[0], self.classes_)
        problem = self._problem(x, classes, sample_weight, offset)
        return certify(problem, problem.design.from_input(self._coefficients()))

    def to_sklearn(self) -> Any:
        """Return a fitted `sklearn.linear_model.LogisticRegression`, for ONNX and skops exporters.

        A fit with an offset loses it, as `LogisticRegression` has none.
        """
        from sklearn.linear_model import LogisticRegression

        check_is_fitted(self)
        twin = LogisticRegression(
            C=self.C,
            tol=self.tol,
            fit_intercept=self.fit_intercept,
            class_weight=self.class_weight,
            max_iter=self.max_iter,
            random_state=self.random_state,
        )
        twin.coef_ = np.array(self._dense_coef())
        for name in ("intercept_", "classes_", "n_iter_"):
            setattr(twin, name, getattr(self, name).copy())
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(twin, name, getattr(self, name))
        return twin

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
