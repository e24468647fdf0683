"""Summaries of fitted models of choice and of ordered classes."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, Protocol

import numpy as np

from softunit._groups import Groups
from softunit._typing import Array, Matrix, Vector
from softunit.report.build import (
    MOST_COEFFICIENTS,
    Fitted,
    FittedClassifier,
    classifier_summary,
    described,
)
from softunit.report.measure import (
    BINS,
    add_to_bins,
    blocks,
    calibrated,
    codes_of,
    deviations,
    largest_coefficients,
)
from softunit.report.objectives import choice_objective, ordinal_objective
from softunit.report.summary import Calibration, FitSummary, Labels, Rows, Share
from softunit.report.words import number, percent

MOST_THRESHOLDS = 6


class FittedChoice(Fitted, Protocol):
    """A fitted conditional logit."""

    log_likelihood_: float
    null_log_likelihood_: float
    mcfadden_r2_: float
    n_sets_: int
    n_dropped_: int


@dataclasses.dataclass(frozen=True, eq=False)
class ChoiceRows:
    """The rows that a model of choice was fitted to.

    Attributes
    ----------
    chosen : ndarray of shape (n,)
        How often each row was chosen, or its share.
    groups : array_like of shape (n,)
        The set of each row.
    probability : ndarray of shape (n,)
        As the model predicts it.
    alternatives : ndarray of shape (n,) or None
        Which alternative each row is.
    weights : ndarray of shape (n,) or None
        Of the sets, repeated in their rows.
    """

    chosen: Vector
    groups: Any
    probability: Vector
    alternatives: Array | None = None
    weights: Vector | None = None


def choice_summary(
    estimator: FittedChoice, X: Any, rows: ChoiceRows, *, labels: Labels | None = None
) -> FitSummary:
    """Return the summary of a fitted model of choice on the sets it was fitted to.

    Parameters
    ----------
    estimator : fitted conditional logit
    X : array or sparse array of shape (n, d)
    rows : ChoiceRows
    labels : Labels or None
        Names and sentences that the estimator does not know.

    Returns
    -------
    FitSummary
    """
    labels = labels or Labels()
    sets = Groups(rows.groups)
    mass = sets.sums(np.asarray(rows.chosen, dtype=np.float64))
    bins = np.zeros((3, BINS))
    whole = sets.spread(np.where(mass > 0, mass, np.inf))
    add_to_bins(bins, rows.probability, rows.chosen / whole)
    coef = np.asarray(estimator.coef_, dtype=np.float64)[None, :]
    # Constants of the alternatives are columns of zeros and ones that X does not hold.
    spread = deviations(X)
    scale = np.ones(coef.size) if spread is None else np.append(spread, np.ones(coef.size))
    names = labels.feature_names or tuple(f"column {j}" for j in range(coef.size))
    return FitSummary(
        **described(estimator, X, labels, rows.weights),
        objective=labels.objective or choice_objective(estimator.get_params(deep=False)),
        scale="minus the log-likelihood, plus penalty",
        measures=(
            *_likelihoods(estimator, told=labels.estimates is not None),
            ("Most probable was chosen", percent(hits(rows, sets))),
        ),
        calibration=calibrated(bins, "probability of an alternative"),
        coefficients=()
        if labels.estimates
        else largest_coefficients(coef, scale[: coef.size], names, ("",), MOST_COEFFICIENTS),
        n_coefficients=coef.size,
        effect="the coefficient times the standard deviation of its column",
        estimates=labels.estimates,
        willingness=labels.willingness,
        elasticities=labels.elasticities,
        shares=choice_shares(rows, sets),
    )


def _likelihoods(estimator: FittedChoice, *, told: bool) -> Rows:
    """Return how well the sets are explained; less where a table of coefficients tells it."""
    rows: Rows = (("Sets", number(estimator.n_sets_)),)
    if estimator.n_dropped_:
        rows = (*rows, ("Sets left out", number(estimator.n_dropped_)))
    if told:
        return rows
    return (
        *rows,
        ("Log-likelihood", number(estimator.log_likelihood_, 8)),
        ("The same, all equally likely", number(estimator.null_log_likelihood_, 8)),
        ("McFadden's R²", number(estimator.mcfadden_r2_)),
    )


def hits(rows: ChoiceRows, sets: Groups) -> float:
    """Return the share of the choices that fell on the most probable alternative of their set.

    Parameters
    ----------
    rows : ChoiceRows
    sets : Groups
        Of the rows.
    """
    weight = np.ones(len(rows.chosen)) if rows.weights is None else rows.weights
    best = rows.probability >= sets.spread(sets.largest(rows.probability))
    chosen = rows.chosen * weight
    # Of several that are equally probable each is as good a guess.
    ties = sets.spread(sets.sums(best.astype(np.float64)))
    return float((chosen * best / ties).sum() / chosen.sum())


def choice_shares(rows: ChoiceRows, sets: Groups) -> tuple[Share, ...]:
    """Return how often each alternative was offered, chosen, and predicted to be chosen.

    Parameters
    ----------
    rows : ChoiceRows
    sets : Groups
        Of the rows.

    Returns
    -------
    tuple of Share
        In the order of the names; empty where alternatives have none.
    """
    if rows.alternatives is None:
        return ()
    names, codes = np.unique(rows.alternatives, return_inverse=True)
    weight = np.ones(len(codes)) if rows.weights is None else rows.weights
    chosen = rows.chosen * weight
    mass = sets.spread(sets.sums(chosen))
    total = chosen.sum()

    def share(each: Vector) -> Vector:
        counts = np.bincount(codes.ravel(), weights=each, minlength=len(names))
        return np.asarray(counts / total, dtype=np.float64)

    parts = zip(names, share(mass), share(chosen), share(mass * rows.probability), strict=True)
    return tuple(
        Share(str(name), float(offered), float(observed), float(predicted))
        for name, offered, observed, predicted in parts
    )


def ordinal_summary(
    estimator: FittedClassifier,
    X: Any,
    y: Any,
    *,
    labels: Labels | None = None,
    sample_weight: Any = None,
) -> FitSummary:
    """Return the summary of a fitted model of ordered classes on the rows it was fitted to.

    Parameters
    ----------
    estimator : fitted ordinal classifier
        `classes_` in their order.
    X : array, sparse array or frame of shape (n, d)
    y : array of shape (n,)
    labels : Labels or None
        Names and sentences that the estimator does not know.
    sample_weight : array of shape (n,) or None
        Only described; every row counts once in the measures.

    Returns
    -------
    FitSummary
    """
    labels = labels or Labels()
    settings = estimator.get_params(deep=False)
    labels = dataclasses.replace(labels, objective=labels.objective or ordinal_objective(settings))
    # One row of coefficients is for all thresholds; several are for one each, as in the tables.
    names = [str(name) for name in np.asarray(estimator.classes_).tolist()]
    single = np.ndim(estimator.coef_) == 1
    headings = ("",) if single else tuple(map("|".join, itertools.pairwise(names)))
    summary = classifier_summary(
        estimator, X, y, labels=labels, sample_weight=sample_weight, headings=headings
    )
    return dataclasses.replace(
        summary, calibration=None, thresholds=threshold_calibrations(estimator, X, y)
    )


def threshold_calibrations(estimator: FittedClassifier, X: Any, y: Any) -> tuple[Calibration, ...]:
    """Return how far the probability of being at most a class can be believed, class by class.

    Parameters
    ----------
    estimator : fitted ordinal classifier
    X : array, sparse array or frame of shape (n, d)
    y : array of shape (n,)

    Returns
    -------
    tuple of Calibration
        One for each threshold; of many, MOST_THRESHOLDS spread evenly.
    """
    classes = np.asarray(estimator.classes_)
    codes = codes_of(np.asarray(y), classes)
    shown = np.arange(len(classes) - 1)
    if len(shown) > MOST_THRESHOLDS:
        shown = np.linspace(0, len(classes) - 2, MOST_THRESHOLDS).astype(int)
    bins = np.zeros((len(shown), 3, BINS))
    for rows, block in blocks(X, len(classes)):
        below: Matrix = np.cumsum(np.asarray(estimator.predict_proba(block)), axis=1)
        for place, k in enumerate(shown):
            add_to_bins(bins[place], np.clip(below[:, k], 0, 1), (codes[rows] <= k).astype(float))
    return tuple(
        calibrated(each, f"probability of at most {classes[k]}")
        for each, k in zip(bins, shown, strict=True)
    )
