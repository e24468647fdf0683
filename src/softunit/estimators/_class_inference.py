"""Errors and tests of a softmax classifier: its classes, columns and null model for `infer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from softunit._typing import Array, Vector
from softunit.errors import InputError
from softunit.estimators._data import ClassTarget, known_classes
from softunit.estimators._homes import brought, check_places, checked_design
from softunit.estimators._row_weights import checked_row_weights
from softunit.inference import ErrorKind, Facts, Inference, Summary, infer
from softunit.problem import Problem
from softunit.run import minimize
from softunit.solution import Solution, Status
from softunit.units import Multinomial

SHARES = (
    "The target holds shares: classical errors take each row for one draw from them. Robust ones"
    " need only that the mean shares are right (Papke and Wooldridge 1996)."
)
WEIGHTED = (
    "The fit carries class weights. They are no frequencies: its likelihood is not that of the"
    " data, and classical errors do not hold. Take robust ones."
)


class ClassInference:
    """Errors and tests of fitted coefficients, on the data they were fitted to."""

    classes_: Array
    class_weight: Any

    def _problem(self, x: Any, classes: ClassTarget, sample_weight: Any, offset: Any) -> Problem:
        raise NotImplementedError

    def _coefficients(self) -> Array:
        raise NotImplementedError

    def inference(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        offset: Any = None,
        *,
        reference: Any = None,
    ) -> Inference:
        """Return errors, intervals and tests of the coefficients.

        Fit with C=inf for errors that mean what they say: a ridge biases the coefficients, and the
        summary says so.

        Parameters
        ----------
        X, y, sample_weight, offset
            The data of the fit, which the model does not keep. Weights count how often a row was
            seen.
        reference : label or None, default None
            With several classes: None reports each class against the mean of all, as `coef_` does;
            a label reports the others against that class, as other packages do (statsmodels takes
            the first).

        Returns
        -------
        Inference
            Of parameters named (class, column), class by class, the intercept last.

        Raises
        ------
        InputError
            If the classes are separable, the reference is none of them, or the data do not fit
            the model.
        """
        check_is_fitted(self)
        check_places(X, y=y, sample_weight=sample_weight, offset=offset)
        x = checked_design(self, X, reset=False)
        classes = known_classes(brought(x, y, "y"), x.shape[0], self.classes_, narrow=True)
        problem = self._problem(x, classes, sample_weight, offset)
        frequencies = None
        if self.class_weight is not None:  # else the problem's weights are the frequencies
            given = 1.0 if sample_weight is None else brought(x, sample_weight, "sample_weight")
            frequencies = np.asarray(checked_row_weights(given, None, classes, x.shape[0])[0])
        at = problem.design.from_input(self._coefficients())
        number = reference_number(self.classes_, reference)
        return FittedClasses.of(self, frequencies).inference(problem, at, number)

    def standard_errors(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        offset: Any = None,
        *,
        kind: ErrorKind = "classical",
        clusters: Any = None,
        reference: Any = None,
        which: Any = None,
        memory: str | float = "1GB",
    ) -> Vector:
        """Return the standard errors of the coefficients, class by class, the intercept last.

        Parameters
        ----------
        X, y, sample_weight, offset, reference
            As in `inference`.
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
            As in `Inference.covariance`.
        clusters : array_like of shape (n,) or None, default None
            Label of each row's cluster, with kind="clustered".
        which : int, str, (class, column), list of these, or None, default None
            Parameters wanted; None means all.
        memory : str or float, default "1GB"
            What may be held at once beside the data.
        """
        found = self.inference(X, y, sample_weight, offset, reference=reference)
        return found.standard_errors(kind, clusters, which=which, memory=memory)

    def summary(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        offset: Any = None,
        *,
        kind: ErrorKind = "classical",
        clusters: Any = None,
        reference: Any = None,
        level: float = 0.95,
    ) -> Summary:
        """Return a table of the coefficients: text, HTML, or a pandas frame.

        Parameters
        ----------
        X, y, sample_weight, offset, reference
            As in `inference`.
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
            As in `Inference.covariance`.
        clusters : array_like of shape (n,) or None, default None
            Label of each row's cluster, with kind="clustered".
        level : float, default 0.95
            Of the intervals.
        """
        found = self.inference(X, y, sample_weight, offset, reference=reference)
        return found.summary(kind, clusters, level)


def column_names(model: Any) -> list[str]:
    """Return the names of a fitted model's columns, "x0" and on where they have none."""
    features = getattr(model, "feature_names_in_", None)
    names = [f"x{j}" for j in range(model.n_features_in_)] if features is None else features
    return [str(name) for name in names]


@dataclass(frozen=True)
class FittedClasses:
    """What inference needs of a fitted classifier.

    Attributes
    ----------
    classes : list of str
    columns : list of str
        Of the coefficients of a class, the intercept last.
    solution : Solution
        Of the fit.
    frequencies : ndarray of shape (n,), or None
        The weights without class weights; None where there are no class weights.
    separation : str, default ""
        The sentence on classes that are separable, where the fit has one.
    """

    classes: list[str]
    columns: list[str]
    solution: Solution
    frequencies: Vector | None
    separation: str = ""

    @classmethod
    def of(cls, model: Any, frequencies: Vector | None) -> FittedClasses:
        """Take them from a fitted model."""
        columns = column_names(model)
        if model.fit_intercept:
            columns.append("(intercept)" if "intercept" in columns else "intercept")
        classes = [str(one) for one in model.classes_.tolist()]
        separation = getattr(model, "_separated", "")
        return cls(classes, columns, model.solution_, frequencies, separation)

    def inference(self, problem: Problem, x: Array, reference: int | None) -> Inference:
        """Return what the data say of each coefficient, class by class.

        Parameters
        ----------
        problem : Problem
        x : ndarray of shape (d,) or (d, K)
            The optimum, in the problem's coordinates.
        reference : int or None
            Number of the class that others are compared with; None means the mean of them all.
        """
        told, basis = self._basis(reference)
        names = [(name, column) for name in told for column in self.columns]
        remarks = [SHARES] if problem.target.ndim == 2 else []
        if self.frequencies is not None:
            remarks.append(WEIGHTED)
        if len(self.classes) > 2:
            against = "the mean of all" if reference is None else repr(self.classes[reference])
            remarks.append(f"Coefficients are log odds of a class against {against}.")
        facts = Facts(
            model="Logit" if len(self.classes) == 2 else "Multinomial logit",
            converged=self.solution.converged,
            message=self.solution.message,
            separated=self._separated,
            null_log_likelihood=null_log_likelihood(problem, len(self.classes)),
            frequencies=self.frequencies,
            remarks=tuple(remarks),
        )
        return infer(problem, x, names, basis=basis, facts=facts)

    @property
    def _separated(self) -> str:
        status = self.solution.status
        return self.separation or (status.advice if status is Status.SEPARABLE else "")

    def _basis(self, reference: int | None) -> tuple[list[str], Any]:
        """Return the classes told of and R, (d K, d m): class by class from column by column."""
        d, k = len(self.columns), len(self.classes)
        if k == 2:
            one = reference == 1
            return [self.classes[0 if one else 1]], sparse.eye_array(d) * (-1.0 if one else 1.0)
        kept = [c for c in range(k) if c != reference]
        contrasts = np.eye(k)[:, kept]
        if reference is not None:
            contrasts[reference] = -1.0
        # Column j of class c stands at c * d + j in a report, and entry (j, k) of x at j * K + k.
        blocks = [sparse.kron(sparse.eye_array(d), one[:, None]) for one in contrasts.T]
        return [self.classes[c] for c in kept], sparse.hstack(blocks, format="csr")


def reference_number(classes: Array, reference: Any) -> int | None:
    """Return which of the classes is the reference; None for None.

    Raises
    ------
    InputError
        If it is none of them.
    """
    if reference is None:
        return None
    known = classes.tolist()
    if reference not in known:
        raise InputError(
            f"`reference` must be one of the classes, or None for their mean; got {reference!r}."
            f" The classes are {', '.join(map(repr, known[:10]))}{' ...' if known[10:] else ''}."
        )
    return int(known.index(reference))


def null_log_likelihood(problem: Problem, n_classes: int) -> float:
    """Return the log-likelihood of intercepts alone, one for each class (and the offset)."""
    target, weights = problem.target, problem.weights
    if problem.offset is None:
        totals = ClassTarget(np.arange(n_classes), target).class_totals(weights)
        seen = totals[totals > 0]
        return float(seen @ np.log(seen / totals.sum()))
    null = Problem(
        np.ones((problem.design.shape[0], 1)),
        Multinomial(n_classes),
        np.asarray(target),
        weights=None if weights is None else np.asarray(weights),
        offset=np.asarray(problem.offset),
    )
    return -null.mass * minimize(null, solver="newton", tol=1e-9).value
