"""What every softmax classifier has once it is fitted, whoever chose its C."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from softunit._array_api import to_numpy
from softunit._typing import Array
from softunit.certificate import Certificate, Effort, at_optimum, certify
from softunit.errors import AllZeroWarning, NotUniqueWarning, SeparationWarning, warn
from softunit.estimators._class_inference import ClassInference, column_names
from softunit.estimators._data import ClassTarget, known_classes
from softunit.estimators._fit_end import End
from softunit.estimators._home_prediction import HomePrediction
from softunit.estimators._homes import brought, check_places, checked_design
from softunit.estimators._objective import Settings, class_problem, seed_of
from softunit.estimators._row_weights import checked_row_weights
from softunit.estimators._sparsity import all_zero_sentence
from softunit.problem import FORM_LIMIT, Problem
from softunit.run import Interrupt
from softunit.separation import unidentified
from softunit.separation.words import NAMED, listed
from softunit.solution import Solution, Status
from softunit.solvers import Solver

NOT_UNIQUE = (
    "the optimum is not unique where C is infinite: {which}, so that some directions of the"
    " coefficients change no score. The coefficients of least norm are returned; use a finite C, or"
    " drop columns."
)
WEIGHTLESS = (
    "No row, or none of positive weight, belongs to it, so that its intercept falls without bound"
    " (no penalty is on intercepts) and no optimum exists. The coefficients returned are where the"
    " run stopped: its probability is nearly zero everywhere. Leave the rows or the column of the"
    " class out, or give it weight."
)
COLLINEAR = "columns of X are collinear (or constant)"

UNPROVED = (
    "no direction of the coefficients separates the classes, but without ridge no bound on the"
    " distance to the optimum is proved: the classes overlap little, or columns are nearly"
    " collinear. Use a finite C, or look at columns whose coefficients are large."
)


class SoftmaxModel(HomePrediction, ClassInference, ClassifierMixin, BaseEstimator):
    """Coefficients with a certificate, kept and handed on."""

    tol: float
    fit_intercept: bool
    solver: str | Solver[Any]
    max_iter: int
    class_weight: Any
    random_state: Any
    grouped: bool
    keyboard_interrupt: Interrupt
    solution_: Solution
    certificate_: Certificate

    @property
    def _strength(self) -> float:
        """The C of the coefficients."""
        raise NotImplementedError

    @property
    def _ratio(self) -> float:
        """The share of l1 in their penalty."""
        raise NotImplementedError

    @property
    def _settings(self) -> Settings:
        return Settings(
            self.solver,
            self.tol,
            self.max_iter,
            self.keyboard_interrupt,
            seed=seed_of(self.random_state),
        )

    def _problem(self, x: Any, classes: ClassTarget, sample_weight: Any, offset: Any) -> Problem:
        """Return the mean objective, in scaled columns."""
        sample_weight = brought(x, sample_weight, "sample_weight")
        offset = brought(x, offset, "offset")
        weights, classes = checked_row_weights(
            sample_weight, self.class_weight, classes, x.shape[0]
        )
        intercept = bool(self.fit_intercept)
        return class_problem(
            x,
            classes,
            brought(x, weights, "sample_weight"),
            C=self._strength,
            intercept=intercept,
            offset=offset,
            l1_ratio=self._ratio,
            grouped=bool(self.grouped),
        )

    def _keep(
        self,
        problem: Problem,
        solution: Solution,
        dtype: Any,
        classes: ClassTarget,
        others: str = "",
    ) -> None:
        """Set the fitted attributes, and warn where the fit is not what it seems.

        What `others` says of fits besides this one goes into the same warning.
        """
        free = math.isinf(self._strength)
        names = column_names(self)
        end = End.of(problem, solution, classes, free=free, tol=self.tol, names=names)
        weightless = "" if end.separation else self._weightless(problem, classes)
        if weightless:
            end = dataclasses.replace(end, status=Status.SEPARABLE, separation=weightless)
        x, status = end.x, end.status
        self._separated = end.separation
        for name, value in self._fitted(problem, x, dtype, classes).items():
            setattr(self, name, value)
        if dtype != np.float64:
            x = problem.design.from_input(self._coefficients())  # what is stored is certified
        effort: Effort = "full" if free or status is Status.ROUNDING else "quick"
        certificate = end.certificate if dtype == np.float64 else None
        certificate = certificate or certify(problem, x, effort=effort)
        if status is Status.ROUNDING and at_optimum(certificate):
            status = Status.PROVED
        unique = False if end.collinear else certificate.unique
        self.certificate_ = dataclasses.replace(certificate, unique=unique)
        self.solution_ = dataclasses.replace(solution, x=problem.design.to_input(x), status=status)
        self._warn(problem, end, others)
        if problem.lasso is not None and not self.coef_.any():
            warn(all_zero_sentence(problem, x, self._strength), AllZeroWarning)

    def _weightless(self, problem: Problem, classes: ClassTarget) -> str:
        """Return a sentence on classes without weight, which no penalty on an intercept holds."""
        if not self.fit_intercept:
            return ""  # a penalty holds all coefficients there are
        weighed = ClassTarget(classes.classes, problem.target).class_totals(problem.weights)
        found = classes.classes[weighed == 0].tolist()
        if not found:
            return ""
        told = listed([*map(repr, found)])
        some = "a class" if len(found) == 1 else "classes"
        return f"{some} without weight: {told}. {WEIGHTLESS}"

    def _warn(self, problem: Problem, end: End, others: str) -> None:
        """Warn of whatever a user would want to know before the coefficients are used."""
        certificate, free = self.certificate_, math.isinf(self._strength)
        separation = end.separation
        said = [] if separation or self.solution_.converged else [self.solution_.message]
        if said:
            said.append(distance_sentence(certificate))
        if others:
            said.append(others)
        if separation:
            warn(separation, SeparationWarning)
        elif certificate.unique is False and free:
            found = unidentified(problem, column_names(self))
            which = "; ".join(one.sentence for one in found[:NAMED]) if found else COLLINEAR
            warn(NOT_UNIQUE.format(which=which), NotUniqueWarning)
        if said:
            warn(" ".join(said), ConvergenceWarning)
        unproved = free and certificate.gap_bound == math.inf and self.coef_.size <= FORM_LIMIT
        if unproved and not (said or separation):
            warn(end.unsettled or UNPROVED, SeparationWarning)

    def _fitted(
        self, problem: Problem, x: Array, dtype: Any, classes: ClassTarget
    ) -> Mapping[str, Any]:
        """Return the attributes that prediction needs, from a point of the scaled problem."""
        return self._attributes(problem.design.to_input(x), dtype, classes)

    def _attributes(self, x: Array, dtype: Any, classes: ClassTarget) -> Mapping[str, Any]:
        """Return the same from coefficients of the input's columns, intercepts last."""
        w = x.T if x.ndim == 2 else x[None, :]
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
            w = np.column_stack([w, to_numpy(self.intercept_)])
        return np.array(w[0] if len(w) == 1 else w.T)

    def certify(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> Certificate:
        """Return a full certificate of the fitted coefficients on some data.

        Parameters
        ----------
        X, y, sample_weight, offset
            As in `fit`, wherever they live; labels must be among `classes_`.
        """
        check_is_fitted(self)
        check_places(X, y=y, sample_weight=sample_weight, offset=offset)
        x = checked_design(self, X, reset=False)
        classes = known_classes(brought(x, y, "y"), x.shape[0], self.classes_, narrow=True)
        problem = self._problem(x, classes, sample_weight, offset)
        return certify(problem, problem.design.from_input(self._coefficients()))

    def to_sklearn(self) -> Any:
        """Return a fitted `sklearn.linear_model.LogisticRegression`, for ONNX and skops exporters.

        A fit with an offset loses it, and one with groups its grouping, as `LogisticRegression`
        has neither.
        """
        from sklearn.linear_model import LogisticRegression

        check_is_fitted(self)
        sparse = {"l1_ratio": self._ratio, "solver": "saga"} if self._ratio > 0 else {}
        twin = LogisticRegression(
            **sparse,
            C=self._strength,
            tol=self.tol,
            fit_intercept=self.fit_intercept,
            class_weight=self.class_weight,
            max_iter=self.max_iter,
            random_state=self.random_state,
        )
        twin.coef_ = np.array(self._dense_coef())
        for name in ("intercept_", "classes_", "n_iter_"):
            setattr(twin, name, to_numpy(getattr(self, name)).copy())
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(twin, name, getattr(self, name))
        return twin

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def distance_sentence(certificate: Certificate) -> str:
    """Return how far a point is from the optimum, by its certificate."""
    gap, value = certificate.gap_bound, certificate.value
    if math.isinf(gap):
        return "How far its value is from the optimum is not known: no bound is proved here."
    # A loss is positive: then the value itself is a bound as good.
    share = f"{100 * gap / value:.2g}% of it" if gap < value else "which says nothing new"
    return f"The value is at most {gap:.1e} above the optimum, {share}."
