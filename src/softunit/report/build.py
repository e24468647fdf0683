"""Summaries of fitted estimators, through nothing but their public attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from softunit._array_api import to_numpy
from softunit._typing import Array, Vector
from softunit.certificate import Certificate
from softunit.errors import InputError
from softunit.report.measure import (
    calibration,
    confused_pairs,
    deviations,
    largest_coefficients,
    regression_measures,
    tally,
)
from softunit.report.objectives import classifier_objective, regressor_objective
from softunit.report.summary import FitSummary, Labels, Rows, Scatter
from softunit.report.words import counted, number, percent, shorten
from softunit.solution import Solution

MOST_COEFFICIENTS = 20
MOST_PAIRS = 15
LARGEST_MATRIX = 30
MOST_POINTS = 2000
_OF_THE_RUN = ("checkpoint", "every", "keyboard_interrupt", "resume", "verbose")


class Fitted(Protocol):
    """What both kinds of fitted estimator have."""

    coef_: Any
    solution_: Solution
    certificate_: Certificate

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name."""


class FittedClassifier(Fitted, Protocol):
    """A fitted classifier of softunit's estimators."""

    classes_: Any

    def predict_proba(self, X: Any) -> Any:
        """Return probabilities of shape (n, K)."""


class FittedRegressor(Fitted, Protocol):
    """A fitted regressor of softunit's estimators."""

    def predict(self, X: Any) -> Any:
        """Return fitted values of shape (n,)."""


def classifier_summary(
    estimator: FittedClassifier,
    X: Any,
    y: Any,
    *,
    labels: Labels | None = None,
    sample_weight: Any = None,
    headings: tuple[str, ...] | None = None,
) -> FitSummary:
    """Return the summary of a fitted classifier on the rows it was fitted to.

    Predictions stream in blocks of rows: no array with n times K entries is made.

    Parameters
    ----------
    estimator : fitted classifier
    X : array, sparse array or frame of shape (n, d)
    y : array of shape (n,) or (n, K)
        Labels or shares.
    labels : Labels or None
        Names and sentences that the estimator does not know.
    sample_weight : array of shape (n,) or None
        Only described; every row counts once in the measures.
    headings : tuple of str or None, default None
        What each row of the coefficients belongs to; None for the classes.

    Returns
    -------
    FitSummary
    """
    labels = labels or Labels()
    X = _table(X)
    classes = tuple(str(item) for item in np.asarray(estimator.classes_).tolist())
    counts = tally(estimator, X, y)
    pairs = confused_pairs(counts.confusion, classes, MOST_PAIRS)
    pair = len(classes) == 2
    about = f"probability of class {classes[1]}" if pair else "probability of the predicted class"
    coef = np.atleast_2d(to_numpy(estimator.coef_))
    if headings is None:
        headings = classes[-1:] if len(coef) == 1 else classes
    shown = shown_coefficients(estimator, X, labels, headings)
    return FitSummary(
        **described(estimator, X, labels, sample_weight, classes),
        objective=labels.objective or classifier_objective(estimator.get_params(deep=False)),
        scale="mean loss plus penalty",
        measures=(
            ("Accuracy", percent(counts.accuracy)),
            ("Always the largest class", percent(counts.largest_class)),
            ("Mean log loss", number(counts.log_loss / counts.rows)),
        ),
        classes=classes,
        confusion=counts.confusion.toarray() if len(classes) <= LARGEST_MATRIX else None,
        confused=pairs,
        calibration=calibration(counts, about),
        coefficients=() if labels.estimates else shown.largest,
        n_coefficients=coef.size,
        effect=shown.effect,
        estimates=labels.estimates,
    )


def regressor_summary(
    estimator: FittedRegressor,
    X: Any,
    b: Any,
    *,
    labels: Labels | None = None,
    sample_weight: Any = None,
    fitted: Any = None,
) -> FitSummary:
    """Return the summary of a fitted regressor on the rows it was fitted to.

    Parameters
    ----------
    estimator : fitted regressor
    X : array, sparse array or frame of shape (n, d)
    b : array of shape (n,)
        The target; for two layers of shape (m,).
    labels : Labels or None
        Names and sentences that the estimator does not know.
    sample_weight : array of shape (n,) or None
        Only described; every row counts once in the measures.
    fitted : array of the shape of b, or None
        The fitted values, where `predict` needs more than X; None calls it.

    Returns
    -------
    FitSummary

    Raises
    ------
    InputError
        If there is not one entry of b for each fitted value.
    """
    labels = labels or Labels()
    X = _table(X)
    # One call: a softmax over all rows couples them, so blocks would give another answer.
    fitted = estimator.predict(X) if fitted is None else fitted
    fitted = np.asarray(fitted, dtype=np.float64).ravel()
    target = np.asarray(b, dtype=np.float64).ravel()
    if fitted.shape != target.shape:
        raise InputError(
            f"`b` must have one entry per fitted value: got {target.shape} and {fitted.shape}."
        )
    shown = shown_coefficients(estimator, X, labels, ("",))
    return FitSummary(
        **described(estimator, X, labels, sample_weight),
        objective=labels.objective
        or regressor_objective(
            type(estimator).__name__,
            estimator.get_params(deep=False),
            weighted=sample_weight is not None,
        ),
        scale="loss plus penalty",
        measures=(*regression_measures(target, fitted), *_of_signs(estimator)),
        coefficients=shown.largest,
        n_coefficients=int(np.asarray(estimator.coef_).size),
        effect=shown.effect,
        fit=_thin(target, fitted),
        runs=_runs(estimator),
    )


def described(
    estimator: Fitted, X: Any, labels: Labels, weight: Any, classes: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return what the summaries of all estimators say, by the names of `FitSummary`.

    Parameters
    ----------
    estimator : fitted estimator
    X : array, sparse array or frame of shape (n, d)
    labels : Labels
    weight : array of shape (n,) or None
    classes : tuple of str
    """
    return {
        "title": labels.title or _title(estimator, labels),
        "solution": estimator.solution_,
        "certificate": estimator.certificate_,
        "data": _data(X, labels, classes, weight),
        "settings": _settings(estimator),
        "notes": labels.notes,
        "repeat": labels.repeat,
        "advice": labels.advice,
    }


def _table(X: Any) -> Any:
    return X if hasattr(X, "shape") else np.asarray(X)


def _of_signs(estimator: object) -> Rows:
    """Return what an inversion of leverage scores says of the signs that it took."""
    signs = getattr(estimator, "signs_", None)
    if signs is None:
        return ()
    below = int(np.count_nonzero(np.asarray(signs) < 0))
    rows: Rows = (("A x below b", f"in {number(below)} of {counted(len(signs), 'row')}"),)
    misfit = float(getattr(estimator, "misfit_", np.nan))
    return (*rows, ("Misfit before the polish", number(misfit, 2))) if np.isfinite(misfit) else rows


def _runs(estimator: object) -> Rows:
    """Return what each phase of a fit did, where there were several."""
    phases: tuple[Solution, ...] = getattr(estimator, "phases_", ())
    if len(phases) < 2:
        return ()
    return tuple(
        (
            f"{place}. {phase.solver}",
            f"{counted(phase.n_iter, 'iteration')}, value {number(phase.value, 6)}",
        )
        for place, phase in enumerate(phases, 1)
    )


def _thin(target: Vector, fitted: Vector) -> Scatter:
    """Keep at most MOST_POINTS rows, spread evenly over the order of the target."""
    rows = len(target)
    if rows > MOST_POINTS:
        places = np.linspace(0, rows - 1, MOST_POINTS).astype(int)
        keep = np.argsort(target, kind="stable")[places]
        target, fitted = target[keep], fitted[keep]
    return Scatter(target, fitted, rows)


def _title(estimator: Fitted, labels: Labels) -> str:
    name = type(estimator).__name__
    settings = estimator.get_params(deep=False)
    kind = settings.get("unit") or settings.get("outer")
    name += f" ({kind})" if isinstance(kind, str) else ""
    return f"{name} on {labels.source}" if labels.source else name


def _data(X: Any, labels: Labels, classes: tuple[str, ...], weight: Any) -> Rows:
    rows, columns = X.shape
    described = [("Source", labels.source)] if labels.source else []
    described += [("Rows", number(rows if labels.rows is None else labels.rows))]
    if labels.rows is not None:
        described.append(("Unfolded into", f"{number(rows)} rows, one for each alternative"))
    described.append(("Columns", number(columns)))
    if sparse.issparse(X):
        described.append(("Storage", f"sparse, {percent(X.nnz / max(rows * columns, 1))} stored"))
    if classes:
        names = ", ".join(classes)
        described.append(("Classes", f"{number(len(classes))}: {shorten(names, 80)}"))
    if weight is not None:
        total = float(np.sum(np.asarray(weight, dtype=np.float64)))
        described.append(("Row weights", f"given, {number(total)} in all"))
    return (*described, *labels.data)


def _settings(estimator: Fitted) -> Rows:
    settings = estimator.get_params(deep=False)
    return tuple(
        (name, _setting(value)) for name, value in settings.items() if name not in _OF_THE_RUN
    )


def _setting(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (int, float)):
        return number(float(value))
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    return shorten(value if isinstance(value, str) else repr(value), 60)


@dataclass(frozen=True)
class Shown:
    """The coefficients that are shown, and what ranks them."""

    largest: tuple[Any, ...]
    effect: str


def shown_coefficients(
    estimator: Fitted, X: Any, labels: Labels, classes: tuple[str, ...]
) -> Shown:
    """Return the coefficients of largest effect.

    Parameters
    ----------
    estimator : fitted estimator
    X : array, sparse array or frame of shape (n, d)
    labels : Labels
    classes : tuple of str
        One for each row of the coefficients.

    Raises
    ------
    InputError
        If there is not a name for each column.
    """
    coef: Array = np.atleast_2d(to_numpy(estimator.coef_).astype(np.float64))
    names = labels.feature_names or getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = [f"column {j}" for j in range(coef.shape[1])]
    if len(names) != coef.shape[1]:
        raise InputError(
            f"`feature_names` must name each of the {coef.shape[1]} columns; got {len(names)}."
        )
    spread = deviations(X)
    effect = (
        "the coefficient itself"
        if spread is None
        else "the coefficient times the standard deviation of its column"
    )
    features = tuple(str(name) for name in names)
    return Shown(largest_coefficients(coef, spread, features, classes, MOST_COEFFICIENTS), effect)
