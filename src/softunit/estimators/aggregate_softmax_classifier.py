"""Softmax classification where only the shares of bags of rows are known."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from softunit._checks import check_count, check_positive, check_switch, check_weights
from softunit._progress import Tick, progress
from softunit._typing import Array, Vector
from softunit.certificate import Certificate, Statement, certify
from softunit.errors import warn
from softunit.estimators._bags import Bags, checked_bags
from softunit.estimators._data import ClassTarget, checked_x
from softunit.estimators._objective import Settings, class_problem, without_constant
from softunit.estimators._prediction import SoftmaxPrediction
from softunit.estimators._unit_regressor import AT_BEST, LOCAL
from softunit.problem import Problem
from softunit.run import Interrupt, check_interrupt
from softunit.solution import Solution
from softunit.solvers import Newton, Solver
from softunit.solvers.auto import check_solver
from softunit.units import AggregateSoftmax


class AggregateSoftmaxClassifier(SoftmaxPrediction, ClassifierMixin, BaseEstimator):
    """Softmax regression from the shares of classes in bags of rows.

    Nobody's own label is known, only how often each class occurs in each bag. The objective is::

        C * [ (1 - rho) L_bag + rho L_ins ] + 1/2 |W|^2

    L_bag is the log loss of the bag's mean prediction, L_ins that of each row against the shares
    of its bag, both summed with the row weights; with bags of one row both are the log loss of
    `SoftmaxClassifier`. L_ins is convex and draws all rows of a bag to one prediction: it is L_bag
    and a penalty on how much predictions differ within a bag. L_bag has no such bias and more
    variance, and is not convex.

    1. Minimise L_ins, which is convex.  2. Unless rho is one, minimise the objective from there
    and from zero, and keep the lower end.

    Parameters
    ----------
    rho : float, default 0.0
        From 0, the bag-level loss, to 1, the instance-level loss.
    C : float, default 1.0
        Inverse strength of the ridge; `numpy.inf` means none.
    tol : float, default 1e-6
        Largest entry of the gradient at which the fit has converged: of the mean objective for
        rho = 1, else over the largest entry of |A|' |g_z(0)|, as rows couple.
    fit_intercept : bool, default True
        Whether scores have an intercept; it carries no penalty.
    solver : str or Solver, default "auto"
        As in `SoftmaxClassifier`; "auto" is Newton's method on the exact curvature where rho < 1.
    max_iter : int, default 200
        Iterations of each run.
    verbose : int, default 0
        1 shows a progress line on work over two seconds, on a terminal.
    keyboard_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does during the iterations: raise, or end at the best point so far.

    Attributes
    ----------
    coef_ : ndarray of shape (1, d) or (K, d)
        Coefficients W in the dtype of X; with several classes they sum to zero over the classes.
    intercept_ : ndarray of shape (1,) or (K,)
        Likewise; zeros without an intercept.
    classes_ : ndarray of shape (K,)
        Names of the columns of the shares, or 0 to K - 1.
    n_bags_ : int
    n_iter_ : int
        Iterations of all runs.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (d,)
        Only if X has names.
    solution_ : Solution
        `solution_.x` holds coefficients and, last, intercepts: (d + 1,) or (d + 1, K).
    phases_ : tuple of Solution
        All runs, the answer last; their x is in centred and scaled columns.
    certificate_ : Certificate
        Of the mean objective. For rho < 1 it says what is known near this minimum, and that
        others may be lower.

    Notes
    -----
    The scores and their derivative, 2 n K floats, are held besides X. Source: Javanmard, Chen,
    Mirrokni, Badanidiyuru, Fu, arXiv 2401.11081; why it goes so: docs/guides/aggregate-responses.
    """

    def __init__(
        self,
        rho: float = 0.0,
        *,
        C: float = 1.0,
        tol: float = 1e-6,
        fit_intercept: bool = True,
        solver: str | Solver[Any] = "auto",
        max_iter: int = 200,
        verbose: int = 0,
        keyboard_interrupt: Interrupt = "raise",
    ) -> None:
        self.rho = rho
        self.C = C
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.keyboard_interrupt = keyboard_interrupt

    def fit(self, X: Any, bags: Any, shares: Any, sample_weight: Any = None) -> Self:
        """Fit and certify.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
            Contiguous floats are not copied.
        bags : array_like of shape (n,)
            Label of the bag of each row; rows of a bag need not stand together. A bag of one row
            is a row whose shares are known.
        shares : mapping, frame, series or array_like
            By label of the bag: a mapping, or a frame or series with the bags as its index. Else
            an array (bags, K) in sorted order of the labels. One number for a bag, as the mean of
            a yes or no response, is the share of the second of two classes.
        sample_weight : float or array_like of shape (n,), default None
            Nonnegative row weights; 1 / size of the bag lets bags count alike.

        Returns
        -------
        AggregateSoftmaxClassifier
            Itself, fitted. A fit that has not converged warns with `ConvergenceWarning`.

        Raises
        ------
        InputError
            If X, bags, shares, weights or a parameter is wrong; the message names row or bag.
        """
        self._check_parameters()
        x = checked_x(self, X, reset=True)
        found = checked_bags(bags, shares, x.shape[0])
        weights = _checked_weights(sample_weight, x.shape[0])
        instance = self._instance_problem(x, found, weights)
        problem = self._problem(instance, found, weights)
        with progress(self.verbose, self.tol) as line:
            self.phases_ = self._runs(instance, problem, line)
        self._keep(problem, found, x.dtype)
        return self

    def certify(self, X: Any, bags: Any, shares: Any, sample_weight: Any = None) -> Certificate:
        """Return a full certificate of the fitted coefficients on some data.

        Parameters
        ----------
        X, bags, shares, sample_weight
            As in `fit`.
        """
        check_is_fitted(self)
        x = checked_x(self, X, reset=False)
        found = checked_bags(bags, shares, x.shape[0], self.classes_)
        weights = _checked_weights(sample_weight, x.shape[0])
        problem = self._problem(self._instance_problem(x, found, weights), found, weights)
        w = np.asarray(self._dense_coef(), dtype=np.float64)
        if self.fit_intercept:
            w = np.column_stack([w, self.intercept_])
        at = problem.design.from_input(w[0] if len(w) == 1 else np.ascontiguousarray(w.T))
        return _told(problem, certify(problem, at))

    def _check_parameters(self) -> None:
        AggregateSoftmax(np.zeros(2), self.rho)  # refuses what is no share
        check_positive("C", self.C, infinite=True)
        check_positive("tol", self.tol, zero=True)
        check_count("max_iter", self.max_iter)
        check_solver(self.solver)
        check_switch("fit_intercept", self.fit_intercept)
        check_interrupt(self.keyboard_interrupt)

    def _instance_problem(self, x: Any, bags: Bags, weights: Vector | None) -> Problem:
        """Return the mean instance-level objective: each row meets the shares of its bag."""
        target = ClassTarget(bags.classes, bags.shares[bags.members.codes])
        intercept = bool(self.fit_intercept)
        return class_problem(x, target, weights, C=self.C, intercept=intercept)

    def _problem(self, instance: Problem, bags: Bags, weights: Vector | None) -> Problem:
        """Return the mean objective in the same columns, with the same ridge."""
        if self.rho == 1 or bags.members.count == len(bags.members):
            return instance  # bags of one row: both losses are the same
        n = instance.design.shape[0]
        each = np.full(n, 1 / n) if weights is None else weights / weights.sum()
        unit = AggregateSoftmax(bags.members, float(self.rho))
        return Problem(instance.design, unit, bags.shares, instance.penalties, weights=each)

    def _runs(self, instance: Problem, problem: Problem, tick: Tick) -> tuple[Solution, ...]:
        start = self._run(instance, np.zeros(instance.shape), tick)
        if problem is instance:
            return (start,)
        ends = [self._run(problem, x0, tick) for x0 in (start.x, np.zeros(problem.shape))]
        # The nearer start wins a draw, so that rounding does not choose.
        best = 1 if ends[1].value < ends[0].value - 1e-9 * abs(ends[0].value) else 0
        return (start, ends[1 - best], ends[best])

    def _run(self, problem: Problem, x0: Array, tick: Tick) -> Solution:
        solver = self.solver
        if solver == "auto" and isinstance(problem.unit, AggregateSoftmax):
            solver = Newton(kind="exact")
        settings = Settings(solver, self.tol, self.max_iter, self.keyboard_interrupt)
        return settings.minimize(problem, x0, lambda record, point: tick(record))

    def _keep(self, problem: Problem, bags: Bags, dtype: Any) -> None:
        best = self.phases_[-1]
        x = without_constant(best.x)
        problem.prepared.clear()
        self.certificate_ = _told(problem, certify(problem, x, effort="quick"))
        moved = problem.design.to_input(x)
        self.solution_ = dataclasses.replace(best, x=moved)
        w = moved.T if moved.ndim == 2 else moved[None, :]
        intercept = w[:, -1] if self.fit_intercept else np.zeros(len(w))
        self.coef_ = np.ascontiguousarray(w[:, :-1] if self.fit_intercept else w, dtype=dtype)
        self.intercept_ = np.array(intercept, dtype=dtype)
        self.classes_ = bags.classes
        self.n_bags_ = bags.members.count
        self.n_iter_ = sum(run.n_iter for run in self.phases_)
        if not self.solution_.converged:
            warn(self.solution_.message, ConvergenceWarning)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _checked_weights(sample_weight: Any, n: int) -> Vector | None:
    if sample_weight is None:
        return None
    given = np.asarray(sample_weight)
    return check_weights(np.full(n, given) if given.ndim == 0 else given, n)


def _told(problem: Problem, certificate: Certificate) -> Certificate:
    """Return the certificate with a word on other minima, where there may be lower ones."""
    convex = problem.unit.bounds(problem.target, problem.weights).convex
    floor = AT_BEST * max(1.0, abs(certificate.value))
    if convex or certificate.gap_bound <= floor:
        return certificate
    statements = (Statement(LOCAL, proved=None), *certificate.statements)
    return dataclasses.replace(certificate, statements=statements)
