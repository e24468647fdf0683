"""Naive Bayes or logistic regression on features: which head needs fewer rows, and how many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from softunit._typing import Array, Matrix, Vector
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series
from softunit.estimators import NaiveBayesHead, SoftmaxClassifier

CLASSES, FEATURES = 5, (16, 64, 256)
APART = 2.0  # class means are normal with this norm, in units of the spread within a class
PER_FEATURE = 5  # rows for each feature at which naive Bayes is looked at
MULTIPLES = (0.5, 1.0, math.sqrt(2), 2.0, 2 * math.sqrt(2), 4.0, 8.0)  # of these rows
HELD_OUT = 4000
FREE, RIDGE = 1e5, 1.0  # C: practically no ridge, as in the theory, and scikit-learn's
SHOTS = (1, 2, 3, 4, 5)
SMOOTHINGS = (0.1, 0.3, 1.0)  # of the digits' variances
KINDS = ("shared", "per-class")

_MIXTURE, _SHOTS, _ALL = range(3)  # streams of random numbers

Curve = dict[str, Vector]
"""Mean accuracy of each head at each multiple."""


def measure(effort: Effort) -> Evidence:
    """Measure the claim.

    Parameters
    ----------
    effort : Effort
    """
    draws = effort.count(10, least=2)
    curves = {n: _curve(effort, n, draws) for n in _features(effort)}
    findings, notes = [], []
    for n, curve in curves.items():
        findings.append(
            Finding(
                f"rows that logistic regression needs for the accuracy of naive Bayes at"
                f" {PER_FEATURE * n} rows, over these rows; {CLASSES} classes, {n} features,"
                f" {draws} draws",
                needed(curve["logistic"], curve["bayes"][1]),
                2.0,
                ">=",
            )
        )
        with_ridge = needed(curve["ridge"], curve["bayes"][1])
        notes.append(f"{with_ridge:.2f} ({n} features)")
    few, full = _digits(effort)
    return Evidence(
        (*findings, *few.findings(), *full),
        (
            "Logistic regression is measured with practically no ridge"
            f" (C = {FREE:g}), as the theory has it. With scikit-learn's ridge, C = {RIDGE:g}, it"
            f" needs fewer rows; the same multiples are {', '.join(notes)}.",
            "The mixture is naive Bayes' own model: columns are independent within a class.",
            few.note(),
        ),
        _picture(curves),
    )


def _features(effort: Effort) -> tuple[int, ...]:
    return FEATURES if effort.share >= 0.5 else FEATURES[:2]


# A mixture of Gaussians -----------------------------------------------------------------------


def mixture(rng: np.random.Generator, centres: Matrix, rows: int) -> tuple[Matrix, Array]:
    """Return rows of a mixture of spherical Gaussians and their classes.

    Parameters
    ----------
    rng : numpy.random.Generator
    centres : ndarray of shape (K, n)
    rows : int
    """
    y = rng.integers(0, len(centres), rows)
    return centres[y] + rng.standard_normal((rows, centres.shape[1])), y


def _curve(effort: Effort, n: int, draws: int) -> Curve:
    """Return the mean accuracy of the heads on 4,000 held-out rows, at multiples of 5 n rows."""
    found: dict[str, list[list[float]]] = {"bayes": [], "logistic": [], "ridge": []}
    for draw in range(draws):
        effort.tick(f"{n} features, draw {draw + 1} of {draws}")
        rng = effort.rng(_MIXTURE, n, draw)
        centres = APART / math.sqrt(n) * rng.standard_normal((CLASSES, n))
        most = round(max(MULTIPLES) * PER_FEATURE * n)
        (x, y), test = mixture(rng, centres, most), mixture(rng, centres, HELD_OUT)
        sizes = [round(multiple * PER_FEATURE * n) for multiple in MULTIPLES]
        for name, head in _heads().items():
            found[name].append([head.fit(x[:m], y[:m]).score(*test) for m in sizes])
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}


def _heads() -> dict[str, Any]:
    return {
        "bayes": NaiveBayesHead(),
        "logistic": SoftmaxClassifier(C=FREE, tol=1e-5),
        "ridge": SoftmaxClassifier(C=RIDGE),
    }


def needed(accuracies: Vector, wanted: float) -> float:
    """Return the multiple of the rows at which an accuracy is first reached, or infinity.

    Between two multiples it is interpolated, on their logarithms.

    Parameters
    ----------
    accuracies : ndarray of shape (len(MULTIPLES),)
    wanted : float
    """
    there = np.flatnonzero(np.asarray(accuracies) >= wanted)
    if not len(there):
        return math.inf
    last = int(there[0])
    if last == 0:
        return MULTIPLES[0]
    below, above = accuracies[last - 1], accuracies[last]
    share = float((wanted - below) / (above - below))
    return math.exp((1 - share) * math.log(MULTIPLES[last - 1]) + share * math.log(MULTIPLES[last]))


# Digits ---------------------------------------------------------------------------------------


class _Few:
    """Mean accuracies at a few shots: of every smoothed naive Bayes, and of logistic regression."""

    def __init__(self, bayes: dict[tuple[str, float], Vector], logistic: Vector, draws: int):
        self.bayes, self.logistic, self.draws = bayes, logistic, draws

    @property
    def best(self) -> tuple[str, float]:
        """The kind and smoothing of the best mean accuracy: the benefit of any doubt."""
        return max(self.bayes, key=lambda key: float(self.bayes[key].mean()))

    def findings(self) -> Iterator[Finding]:
        """Yield how far naive Bayes is ahead, where it is least."""
        ahead = self.bayes[self.best] - self.logistic
        yield Finding(
            "digits' pixels, 1 to 5 rows of each class: accuracy of naive Bayes with smoothed"
            f" variances less that of logistic regression, least, {self.draws} draws",
            float(ahead.min()),
            0.0,
            ">=",
        )

    def note(self) -> str:
        """Return what was compared, and by how much."""
        kind, smoothing = self.best
        each = ", ".join(
            f"{mine:.3f} and {other:.3f}"
            for mine, other in zip(self.bayes[self.best], self.logistic, strict=True)
        )
        ends = "is ahead" if next(self.findings()).holds else "is not ahead"
        return (
            f"Digits at {SHOTS[0]} to {SHOTS[-1]} shots, naive Bayes and logistic regression"
            f" (C = {RIDGE:g}): {each}. Naive Bayes, with the best of {len(self.bayes)} ways to"
            f" smooth ({kind} variances, {smoothing:g} of the largest), {ends} at every count."
            " Their pixels are far from independent, which naive Bayes takes them to be."
        )


def _digits(effort: Effort) -> tuple[_Few, list[Finding]]:
    x, y = load_digits(return_X_y=True)
    x = x / 16.0
    draws = effort.count(40, least=6)
    bayes: dict[tuple[str, float], list[list[float]]] = {
        (kind, smoothing): [] for kind in KINDS for smoothing in SMOOTHINGS
    }
    logistic = []
    for draw in range(draws):
        effort.tick(f"digits, draw {draw + 1} of {draws}")
        order = effort.rng(_SHOTS, draw).permutation(len(y))
        cuts = [shots(y, order, count) for count in SHOTS]
        logistic.append([_accuracy(SoftmaxClassifier(C=RIDGE), x, y, cut) for cut in cuts])
        for (kind, smoothing), found in bayes.items():
            head = NaiveBayesHead(kind, smoothing=smoothing)  # type: ignore[arg-type]
            found.append([_accuracy(head, x, y, cut) for cut in cuts])
    few = _Few({key: np.mean(f, axis=0) for key, f in bayes.items()}, np.mean(logistic, 0), draws)
    cut = np.array_split(effort.rng(_ALL).permutation(len(y)), [len(y) * 2 // 3])
    at_full = [
        _accuracy(NaiveBayesHead(kind, smoothing=smoothing), x, y, cut)  # type: ignore[arg-type]
        for kind, smoothing in bayes
    ]
    ahead = _accuracy(SoftmaxClassifier(C=RIDGE), x, y, cut) - max(at_full)
    what = (
        f"digits' pixels, {len(cut[0]):,} rows: accuracy of logistic regression less that of the"
        " best naive Bayes"
    )
    return few, [Finding(what, ahead, 0.0, ">=")]


def shots(y: Array, order: Array, count: int) -> list[Array]:
    """Return the first rows of each class in an order, so many of each, and all other rows.

    Parameters
    ----------
    y : ndarray of shape (n,)
    order : ndarray of int, shape (n,)
    count : int
    """
    taken = np.concatenate([order[y[order] == label][:count] for label in np.unique(y)])
    return [taken, np.setdiff1d(order, taken)]


def _accuracy(head: Any, x: Matrix, y: Array, cut: list[Array]) -> float:
    train, test = cut
    return float(head.fit(x[train], y[train]).score(x[test], y[test]))


def _picture(curves: dict[int, Curve]) -> Picture:
    n = max(curves)
    names = {
        "bayes": "naive Bayes",
        "logistic": "logistic regression",
        "ridge": f"logistic regression, C = {RIDGE:g}",
    }
    rows = tuple(multiple * PER_FEATURE * n for multiple in MULTIPLES)
    lines = [Series(what, rows, tuple(curves[n][name])) for name, what in names.items()]
    return Picture(
        f"Accuracy on held-out rows, {n} features",
        "rows to learn from",
        "accuracy",
        tuple(lines),
        log_x=True,
        caption="A mixture of five spherical Gaussians; the claim is read across, not up.",
    )


CLAIM = Claim(
    id="3.22",
    title="Revisiting Discriminative vs. Generative Classifiers: Theory and Implications",
    paper="arXiv 2302.02334",
    sentence=(
        "In linear evaluation on n features, naive Bayes comes near its best accuracy with O(log n)"
        " rows where logistic regression takes O(n): it is ahead when rows are few, and behind in"
        " the end."
    ),
    measure=measure,
)
