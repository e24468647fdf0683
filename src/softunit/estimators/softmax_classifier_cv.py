"""Multinomial logistic regression whose C and share of l1 are chosen by cross-validation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from softunit._checks import check_count, check_positive, check_switch
from softunit._progress import search_progress
from softunit._typing import Vector
from softunit.errors import InputError, SeparationWarning, warn
from softunit.estimators._data import (
    ClassTarget,
    checked_labels,
    checked_strengths,
    checked_x,
)
from softunit.estimators._folds import checked_splits
from softunit.estimators._objective import Bases
from softunit.estimators._row_weights import checked_row_weights
from softunit.estimators._scoring import Judge, checked_scorer, told_of_classes
from softunit.estimators._search import NOTHING, PathSearch
from softunit.estimators._softmax_model import SoftmaxModel
from softunit.estimators._sparsity import checked_ratios, entering_strengths
from softunit.estimators.softmax_classifier import SoftmaxClassifier
from softunit.point import Point
from softunit.problem import Problem
from softunit.run import Interrupt, check_interrupt, minimize
from softunit.solution import Record, Solution, Status
from softunit.solvers import Solver
from softunit.solvers.auto import check_solver

FOLD_SETTLED = 0.1  # of tol: scores ask less of the value than a certificate does


class SoftmaxClassifierCV(SoftmaxModel):
    """Softmax regression with C and l1_ratio chosen by cross-validation, along warm paths.

    The objective on a fold is that of `SoftmaxClassifier` on its rows for training. The Cs are
    visited from strong penalty to weak, on all folds at once; each fit begins where the others
    lead, and no fold copies the data. What has the best mean score is fitted to all rows.

    Parameters
    ----------
    Cs : int or array_like of shape (m,), default 10
        Values of C to try; a number stands for so many from 1e-4 to 1e4, evenly in log C, or, with
        l1, from where the first coefficient enters (`l1_min_c`) to 1e4 times that. Infinity is
        allowed without l1.
    cv : int, splitter, iterable or None, default None
        Folds, as scikit-learn takes them; None means five stratified ones, without shuffling (fewer
        where the largest class has fewer rows).
    scoring : str, callable or None, default None
        A scikit-learn scorer; None means accuracy.
    tol : float, default 1e-6
        Largest entry of the gradient of the mean objective, as in `SoftmaxClassifier`; for every
        fit.
    fit_intercept : bool, default True
        Whether scores have an intercept; it carries no penalty.
    solver : str or Solver, default "auto"
        As in `SoftmaxClassifier`.
    max_iter : int, default 200
        Of each fit.
    class_weight : dict, "balanced" or None, default None
        Weight of each class; balanced on all rows, as in `LogisticRegressionCV`. Scores are not
        weighed by it.
    refit : bool, default True
        Whether to fit all rows with the best C. If not, coefficients and C are means over the
        folds, each at its own best C, and there is no certificate.
    random_state : int, RandomState or None, default None
        Seed of solvers that sample rows; folds are shuffled by a splitter as `cv`.
    verbose : int, default 0
        1 shows one progress line for the whole search, on a terminal.
    keyboard_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does once a C has been scored on all folds: raise, or choose among the Cs that
        have been and end there, certified, with a `ConvergenceWarning`.
    l1_ratios : array_like of shape (r,) or None, default None
        Shares of l1 in the penalty to try, each with every C; None means 0 alone, ridge.
    grouped : bool, default False
        As in `SoftmaxClassifier`: whether l1 keeps or drops a column for all classes at once.

    Attributes
    ----------
    C_ : float
        The best C; among equals the smallest.
    l1_ratio_ : float
        The best share of l1; among equals, with the same C, the first.
    Cs_ : ndarray of shape (m,)
        All of them, in the order given.
    l1_ratios_ : ndarray of shape (r,)
        Likewise.
    scores_ : ndarray of shape (folds, r, m), or (folds, m) if `l1_ratios` is None
        Of the held-out rows; NaN where an interrupt came first.
    coef_ : ndarray of shape (1, d) or (K, d)
        Coefficients in the dtype of X; with several classes they sum to zero over the classes,
        except with l1 and without groups.
    intercept_ : ndarray of shape (1,) or (K,)
        They sum to zero over several classes; zeros without an intercept.
    classes_ : ndarray of shape (K,)
        Labels in sorted order.
    n_iter_ : ndarray of the shape of scores_
        Iterations made; those of the last fit are in `solution_`.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Only if X has names.
    solution_ : Solution
        Of the fit to all rows, as in `SoftmaxClassifier`; only if refit.
    certificate_ : Certificate
        What is proved about that fit; only if refit.

    Notes
    -----
    The paths of coefficients are not kept: they can outgrow the data. Predictions, `certify` and
    `to_sklearn` are those of `SoftmaxClassifier`, into which `to_classifier` turns the fit.
    """

    def __init__(
        self,
        Cs: Any = 10,
        *,
        cv: Any = None,
        scoring: Any = None,
        tol: float = 1e-6,
        fit_intercept: bool = True,
        solver: str | Solver[Any] = "auto",
        max_iter: int = 200,
        class_weight: Any = None,
        refit: bool = True,
        random_state: Any = None,
        verbose: int = 0,
        keyboard_interrupt: Interrupt = "raise",
        l1_ratios: Any = None,
        grouped: bool = False,
    ) -> None:
        self.Cs = Cs
        self.cv = cv
        self.scoring = scoring
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.refit = refit
        self.random_state = random_state
        self.verbose = verbose
        self.keyboard_interrupt = keyboard_interrupt
        self.l1_ratios = l1_ratios
        self.grouped = grouped

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Search, fit and certify.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
            Contiguous floats are not copied.
        y : array_like of shape (n,)
            Labels of any type.
        sample_weight : float or array_like of shape (n,), default None
            Nonnegative row weights; of the objective and of the scores.
        groups : array_like of shape (n,), default None
            Handed to the splitter, for those that keep groups together.

        Returns
        -------
        SoftmaxClassifierCV
            Itself, fitted. One `ConvergenceWarning` tells of all fits that have not converged.

        Raises
        ------
        InputError
            If X, y, weights or a parameter is wrong; the message says where.
        """
        Cs, ratios = self._check_parameters()
        scorer = checked_scorer(self.scoring, weighted=sample_weight is not None)
        x = checked_x(self, X, reset=True)
        classes = checked_labels(y, x.shape[0])
        given, _ = checked_row_weights(sample_weight, None, classes, x.shape[0])
        weights, _ = checked_row_weights(sample_weight, self.class_weight, classes, x.shape[0])
        labels = classes.classes[classes.target]
        judge = Judge(told_of_classes(scorer, classes.classes), classes.classes, x, labels, given)
        splits = checked_splits(self.cv, x, classes, weights, groups)
        bases = Bases(x, classes, weights, Cs, bool(self.fit_intercept), ratios, bool(self.grouped))
        if ratios.any() and isinstance(self.Cs, (int, np.integer)):
            bases.Cs = entering_strengths(bases, len(Cs))
        with search_progress(self.verbose, len(ratios) * len(Cs) * len(splits) + 1) as watch:
            search = PathSearch(
                bases=bases,
                splits=splits,
                settings=dataclasses.replace(
                    self._settings, keyboard_interrupt="raise", share=FOLD_SETTLED
                ),
                judge=judge,
                watch=watch,
                twin=lambda problem, point, C, ratio: self._twin(
                    C, ratio, self._fitted(problem, point, x.dtype, classes)
                ),
            )
            whole = self._walked(search)
            last = self._refitted(search, whole) if self.refit else None
        self._keep_search(search)
        if last is None:
            self._keep_means(search, x.dtype, classes)
        else:
            self._keep(*last, x.dtype, classes, search.shortfall())
        return self

    def _check_parameters(self) -> tuple[Vector, Vector]:
        """Check the parameters and return the values of C and the shares of l1."""
        check_positive("tol", self.tol, zero=True)
        check_count("max_iter", self.max_iter)
        check_solver(self.solver)
        for name in ("fit_intercept", "refit", "grouped"):
            check_switch(name, getattr(self, name))
        check_interrupt(self.keyboard_interrupt)
        Cs = checked_strengths(self.Cs)
        return Cs, checked_ratios(self.l1_ratios, float(Cs.max()), self.solver)

    @property
    def _strength(self) -> float:
        return self.C_

    @property
    def _ratio(self) -> float:
        return self.l1_ratio_

    def _walked(self, search: PathSearch) -> bool:
        """Walk the path; return whether that came to its end."""
        try:
            search.run()
        except KeyboardInterrupt:
            if self.keyboard_interrupt == "raise" or search.best is NOTHING:
                raise
            return False
        if search.best is NOTHING:
            raise InputError(
                f"`scoring` = {self.scoring!r} gave NaN for each of the {len(search.bases.Cs)}"
                " values of C: no best one can be told."
            )
        return True

    def _refitted(self, search: PathSearch, whole: bool) -> tuple[Problem, Solution]:
        """Return the problem of all rows with the best C and its solution.

        It begins at the mean over the folds, and after an interrupt it ends there.
        """
        C, ratio = search.settings_of(search.best)
        problem = search.bases.penalised(search.bases.of(free=math.isinf(C)), C, ratio)
        start = problem.design.from_input(search.best.x)
        fits = search.scores.size

        def tick(record: Record, point: Point) -> None:
            search.watch(record, f"all rows, C {C:.0e}", fits)

        try:
            if whole:
                return problem, self._settings.minimize(problem, start, tick)
        except KeyboardInterrupt:
            if self.keyboard_interrupt == "raise":
                raise
        halted = minimize(problem, start, solver=self.solver, tol=self.tol, max_iter=0)
        status = halted.status if halted.converged else Status.INTERRUPTED
        return problem, dataclasses.replace(halted, status=status)

    def _keep_search(self, search: PathSearch) -> None:
        self.Cs_, self.l1_ratios_ = search.bases.Cs, search.bases.ratios
        plain = self.l1_ratios is None
        self.scores_ = search.scores[:, 0] if plain else search.scores
        self.n_iter_ = search.n_iter[:, 0] if plain else search.n_iter
        self.C_, self.l1_ratio_ = search.settings_of(search.best)
        for name in ("solution_", "certificate_"):  # of an earlier fit
            if hasattr(self, name):
                delattr(self, name)
        if search.separable:
            warn(
                f"without ridge (C = inf) {search.separable} of {len(search.scores)} fits on folds"
                " have no optimum: their classes are separable. Their scores are those of where"
                " the run stopped; leave infinity out of `Cs`.",
                SeparationWarning,
            )

    def _keep_means(self, search: PathSearch, dtype: Any, classes: ClassTarget) -> None:
        """Set coefficients, C and share of l1 to means over the folds, each at its own best."""
        found = np.mean([search.settings_of(best) for best in search.each], axis=0)
        self.C_, self.l1_ratio_ = (float(number) for number in found)
        mean = np.mean([best.x for best in search.each], axis=0)
        for name, value in self._attributes(mean, dtype, classes).items():
            setattr(self, name, value)
        said = search.shortfall()
        if said:
            warn(said, ConvergenceWarning)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the score of the predictions by `scoring`, accuracy by default."""
        check_is_fitted(self)
        weighted = sample_weight is not None
        scorer = told_of_classes(checked_scorer(self.scoring, weighted=weighted), self.classes_)
        return float(scorer(self, X, y, **({"sample_weight": sample_weight} if weighted else {})))

    def to_classifier(self) -> SoftmaxClassifier:
        """Return the same fit as a `SoftmaxClassifier`, with `C_` and `l1_ratio_`.

        It is what model files take.
        """
        check_is_fitted(self)
        fitted = {"coef_": np.array(self._dense_coef())}
        for name in ("intercept_", "classes_", "solution_", "certificate_", "feature_names_in_"):
            if hasattr(self, name):
                fitted[name] = getattr(self, name)
        twin = self._twin(self.C_, self.l1_ratio_, fitted)
        iterations = self.solution_.n_iter if self.refit else int(self.n_iter_.max())
        twin.n_iter_ = np.array([iterations], dtype=np.int32)
        return twin

    def to_sklearn(self) -> Any:
        """Return a fitted `sklearn.linear_model.LogisticRegression` with C = `C_`."""
        return self.to_classifier().to_sklearn()

    def _twin(self, C: float, ratio: float, fitted: Mapping[str, Any]) -> SoftmaxClassifier:
        """Return a classifier with this one's settings and the fitted attributes given."""
        twin = SoftmaxClassifier(
            C,
            tol=self.tol,
            fit_intercept=self.fit_intercept,
            solver=self.solver,
            max_iter=self.max_iter,
            class_weight=self.class_weight,
            random_state=self.random_state,
            verbose=self.verbose,
            keyboard_interrupt=self.keyboard_interrupt,
            l1_ratio=ratio,
            grouped=self.grouped,
        )
        twin.n_features_in_ = self.n_features_in_
        for name, value in fitted.items():
            setattr(twin, name, value)
        return twin
