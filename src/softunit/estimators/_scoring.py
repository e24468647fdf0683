"""scikit-learn's scorers on held-out rows, of which no copy is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer, get_scorer_names, make_scorer

from softunit._checks import near_names
from softunit._typing import Array, Vector
from softunit.designs.base import BLOCK_ENTRIES
from softunit.errors import InputError
from softunit.estimators._prediction import SoftmaxPrediction
from softunit.problem import Problem

Scorer = Callable[..., Any]
Twin = Callable[[Array], Any]
"""From a point of the scaled problem to a fitted classifier."""


def checked_scorer(scoring: Any, *, weighted: bool = False) -> Scorer:
    """Return the scorer for a name, a callable or None (accuracy).

    Parameters
    ----------
    scoring : str, callable or None
    weighted : bool, default False
        Whether it will be given sample weights.

    Raises
    ------
    InputError
        If there is no such scorer, it is a metric and no scorer, or it takes no weights.
    """
    wish = "`scoring` must be the name of a scikit-learn scorer or a callable(estimator, X, y)"
    scorer: Scorer
    if scoring is None or isinstance(scoring, str):
        name = scoring or "accuracy"
        if name not in get_scorer_names():
            raise InputError(f"{wish}; got {name!r}.{near_names(name, get_scorer_names())}")
        scorer = get_scorer(name)
    elif not callable(scoring):
        raise InputError(f"{wish}; got {scoring!r}.")
    else:
        scorer = scoring
    module = str(getattr(scorer, "__module__", ""))
    if inspect.isfunction(scorer) and module.startswith("sklearn.metrics."):
        raise InputError(
            f"{wish}; got the metric {scorer.__name__}: wrap it by sklearn.metrics.make_scorer."
        )
    if weighted and not _takes(getattr(scorer, "_score_func", scorer), "sample_weight"):
        raise InputError(
            f"`scoring` = {scoring!r} takes no sample_weight: leave `sample_weight` out, or choose"
            " a scorer that weighs rows."
        )
    return scorer


def _takes(function: Any, name: str) -> bool:
    """Return whether a function can be given an argument by that name."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some callables do not tell
        return True
    return any(p.name == name or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def _names(function: Any, name: str) -> bool:
    return name in inspect.signature(function).parameters


class KnownScores(SoftmaxPrediction, ClassifierMixin, BaseEstimator):
    """A classifier of rows whose scores are known already, whatever X it is given.

    Parameters
    ----------
    classes : ndarray of shape (K,)
    scores : ndarray of shape (n,) or (n, K)
    """

    def __init__(self, classes: Array, scores: Array) -> None:
        self.classes = classes
        self.scores = scores
        self.classes_ = classes

    def decision_function(self, X: Any, offset: Any = None) -> Array:
        """Return the scores that it was made with."""
        return self.scores


@dataclass(frozen=True)
class Judge:
    """A scorer with the labels and weights of all rows.

    Attributes
    ----------
    scorer : callable
    classes : ndarray of shape (K,)
    x : array or CSR matrix of shape (n, d)
        For callables that look at it; scikit-learn's own scorers ask the classifier only.
    labels : ndarray of shape (n,)
    weights : ndarray of shape (n,) or None
        As given to `fit`: class weights do not count in scores.
    """

    scorer: Scorer
    classes: Array
    x: Any
    labels: Array
    weights: Vector | None

    def score(self, problem: Problem, x: Array, rows: Array, twin: Twin) -> float:
        """Return the score on some rows of a point of the scaled problem.

        Parameters
        ----------
        problem : Problem
        x : ndarray of shape (d,) or (d, K)
        rows : ndarray of int
        twin : callable
            Makes the classifier that a callable scorer is handed.
        """
        extra = {} if self.weights is None else {"sample_weight": self.weights[rows]}
        if extra and not extra["sample_weight"].any():
            raise InputError(
                f"a fold of `cv` holds out {len(rows)} rows, none of them with a positive weight."
            )
        if hasattr(self.scorer, "_score_func"):
            known = KnownScores(self.classes, _scores(problem, x, rows))
            found = self.scorer(known, rows[:, None], self.labels[rows], **extra)
        else:
            found = self.scorer(twin(x), self.x[rows], self.labels[rows], **extra)
        try:
            return float(found)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"`scoring` must return one number; got {type(found).__name__}."
            ) from error


def told_of_classes(scorer: Any, classes: Array) -> Scorer:
    """Return a scorer that knows of all classes, where it can: rows to score may lack some.

    Parameters
    ----------
    scorer : callable
    classes : ndarray of shape (K,)
        The last of two is the positive one.
    """
    metric = getattr(scorer, "_score_func", None)
    if metric is None or not _names(metric, "labels"):
        return cast(Scorer, scorer)
    settings = dict(scorer._kwargs)
    settings.setdefault("labels", classes)
    if len(classes) == 2 and _names(metric, "pos_label"):
        settings.setdefault("pos_label", classes[1])
    told = make_scorer(
        metric,
        response_method=scorer._response_method,
        greater_is_better=scorer._sign == 1,
        **settings,
    )
    return cast(Scorer, told)


def _scores(problem: Problem, x: Array, rows: Array) -> Array:
    """Return the scores of some rows, block by block, (m,) or (m, K)."""
    size = max(64, BLOCK_ENTRIES // problem.design.shape[1])
    parts = [
        problem.design.rows(rows[start : start + size]).matvec(x)
        for start in range(0, len(rows), size)
    ]
    return np.concatenate(parts)
