"""PRESTO: rare last classes, predicted by weights that are drawn towards proportional odds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import ttest_rel

from softunit._numeric import softplus
from softunit._typing import Array, Matrix, Vector
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series
from softunit.estimators import OrdinalClassifier, SoftmaxClassifier
from softunit.estimators._ordinal_path import PrestoPath

ROWS, COLUMNS, HELD_OUT = 2500, 10, 20_000
FIRST, GAP = 2.3, 3.0  # the first threshold, and how far the second is above it
WEIGHT, DIFFERENCE = 0.7, 0.5  # sizes of entries of beta_1, and of beta_2 - beta_1
SPARSE = {"a third": 1 / 3, "half": 1 / 2}  # of the differences are not zero
STRENGTHS, FOLDS = 8, 4
FREE, RIDGE = 1e5, 1.0  # C of logistic regression: practically none, and scikit-learn's
STRONG, NEAR = 1e3, 1e-4
LEVEL = 0.05

_ENDS, _RUNS = range(2)  # streams of random numbers

OTHERS: dict[str, Any] = {
    "logistic regression": SoftmaxClassifier(C=FREE, tol=1e-7),
    f"logistic regression, C = {RIDGE:g}": SoftmaxClassifier(C=RIDGE),
    "proportional odds": OrdinalClassifier(),
}
OWN = "PRESTO"

Errors = dict[str, list[float]]
"""Mean squared errors by method, one for each run."""


def measure(effort: Effort) -> Evidence:
    """Measure the claim.

    Parameters
    ----------
    effort : Effort
    """
    runs = effort.count(50, least=3)
    findings, notes = list(_ends(effort)), []
    for words in SPARSE:
        errors, rare = _errors(effort, words, runs)
        where = (
            f"{words} of the differences not zero, K = 3, n = {ROWS:,}, p = {COLUMNS}, {runs} runs"
        )
        findings.extend(_tests(errors, where))
        notes.append(_note(errors, rare, words))
    return Evidence(tuple(findings), tuple(notes), _picture(errors, words))


def _errors(effort: Effort, words: str, runs: int) -> tuple[Errors, float]:
    """Return the mean squared error of each method in each run, and how rare the last class is."""
    errors: Errors = {name: [] for name in (OWN, *OTHERS)}
    rare = []
    for run in range(runs):
        effort.tick(f"{words} of the differences, run {run + 1} of {runs}")
        rng = effort.rng(_RUNS, list(SPARSE).index(words), run)
        truth = Truth.drawn(rng, SPARSE[words])
        x, y = truth.sample(rng, ROWS)
        shown = rng.uniform(-1, 1, (HELD_OUT, COLUMNS))
        expected = truth.rare(shown)
        rare.append(float(expected.mean()))
        for name, found in predictions(x, y, shown, rng).items():
            errors[name].append(float(np.mean((found - expected) ** 2)))
    return errors, float(np.mean(rare))


@dataclass(frozen=True)
class Truth:
    """Thresholds and weights of P(y <= k | x) = sigma(threshold_k - x'beta_k), k = 0 and 1.

    Attributes
    ----------
    thresholds : ndarray of shape (2,)
    beta : ndarray of shape (2, p)
    """

    thresholds: Vector
    beta: Matrix

    @classmethod
    def drawn(cls, rng: np.random.Generator, share: float) -> Truth:
        """Return one with that share of differences, its logits in order for all |x_j| <= 1."""
        first = WEIGHT * rng.choice([-1.0, 1.0], COLUMNS)
        while True:
            kept = rng.random(COLUMNS) < share
            apart = np.where(kept, DIFFERENCE * rng.choice([-1.0, 1.0], COLUMNS), 0.0)
            if np.abs(apart).sum() < GAP:
                break
        return cls(np.array([FIRST, FIRST + GAP]), np.stack([first, first + apart]))

    def below(self, x: Matrix) -> Matrix:
        """Return P(y <= k | x), (n, 2)."""
        return np.asarray(expit(self.thresholds - x @ self.beta.T))

    def rare(self, x: Matrix) -> Vector:
        """Return the probability of the last class, (n,)."""
        return np.asarray(1 - self.below(x)[:, 1])

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Matrix, Array]:
        """Return rows, uniform between -1 and 1, and their classes 0, 1, 2."""
        x = rng.uniform(-1, 1, (n, COLUMNS))
        return x, (rng.random((n, 1)) > self.below(x)).sum(axis=1)


def predictions(x: Matrix, y: Array, shown: Matrix, rng: np.random.Generator) -> dict[str, Vector]:
    """Return the probability of the last class by each method.

    Parameters
    ----------
    x : ndarray of shape (n, p)
    y : ndarray of int, shape (n,)
    shown : ndarray of shape (m, p)
    rng : numpy.random.Generator
        Cuts the folds that choose PRESTO's strength.
    """
    found = {}
    for name, model in OTHERS.items():
        rare = isinstance(model, SoftmaxClassifier)
        found[name] = model.fit(x, y == 2 if rare else y).predict_proba(shown)[:, -1]
    path = _path(x, y, STRENGTHS)
    best = _best(x, y, path.strengths, rng)
    return {OWN: expit(shown @ path.coef[best, -1] - path.thresholds[best, -1]), **found}


def _path(x: Matrix, y: Array, strengths: int | Vector) -> PrestoPath:
    return OrdinalClassifier(presto=0.0).path(x, y, strengths=strengths)


def _best(x: Matrix, y: Array, strengths: Vector, rng: np.random.Generator) -> int:
    """Return the strength of the least log loss of the last class on rows left out."""
    loss = np.zeros(len(strengths))
    fold = rng.permutation(len(y)) % FOLDS
    for out in range(FOLDS):
        path = _path(x[fold != out], y[fold != out], strengths)
        z = x[fold == out] @ path.coef[:, -1].T - path.thresholds[:, -1]
        loss += (softplus(z) - z * (y[fold == out] == 2)[:, None]).sum(axis=0)
    return int(loss.argmin())


# Both ends of the path ------------------------------------------------------------------------


def _ends(effort: Effort) -> Iterator[Finding]:
    """Yield how far a strong and a zero penalty are from the fits that they must be."""
    strong, none, draws = [], [], effort.count(10, least=2)
    for draw in range(draws):
        effort.tick(f"ends of the path, draw {draw + 1} of {draws}")
        rng = effort.rng(_ENDS, draw)
        truth = Truth.drawn(rng, min(SPARSE.values()))
        # Common classes: a weight that hardly anything holds is not known to four digits.
        x, y = Truth(truth.thresholds - FIRST, truth.beta).sample(rng, ROWS)
        shared = OrdinalClassifier(tol=1e-9).fit(x, y)
        tied = OrdinalClassifier(presto=STRONG, tol=1e-9).fit(x, y)
        strong.append(float(np.abs(tied.coef_ - shared.coef_).max()))
        free = OrdinalClassifier(presto=0.0, tol=1e-9).fit(x, y)
        none.append(float(np.abs(free.coef_ - unpenalised(x, y, shared)).max()))
    yield Finding(
        f"weights at presto = {STRONG:g} less those of proportional odds, largest of {draws} draws",
        max(strong),
        NEAR,
    )
    yield Finding(
        "weights at presto = 0 less those of largest likelihood (by BFGS, without this package's"
        f" losses), largest of {draws} draws",
        max(none),
        NEAR,
    )


def unpenalised(x: Matrix, y: Array, start: OrdinalClassifier) -> Matrix:
    """Return the weights (2, p) of largest likelihood, each threshold with its own.

    Parameters
    ----------
    x : ndarray of shape (n, p)
    y : ndarray of int, shape (n,)
    start : OrdinalClassifier
        Proportional odds: their logits are in order.
    """
    rows = np.column_stack([np.ones(len(x)), -x])

    def loss(w: Vector) -> tuple[float, Vector]:
        below = expit(rows @ w.reshape(2, -1).T)
        p = np.column_stack([below[:, 0], below[:, 1] - below[:, 0], 1 - below[:, 1]])
        own = p[np.arange(len(y)), y]
        if own.min() <= 0:
            return np.inf, np.zeros_like(w)
        slope = below * (1 - below) / own[:, None]
        sign = np.stack([(y == 1) * 1.0 - (y == 0), (y == 2) * 1.0 - (y == 1)], axis=1)
        return -float(np.log(own).mean()), ((slope * sign).T @ rows).ravel() / len(y)

    first = [[threshold, *start.coef_] for threshold in start.thresholds_]
    end = minimize(loss, np.ravel(first), jac=True, method="BFGS", options={"gtol": 1e-9})
    return np.asarray(end.x.reshape(2, -1)[:, 1:])


def _tests(errors: Errors, where: str) -> Iterator[Finding]:
    for name in OTHERS:
        test = ttest_rel(errors[OWN], errors[name], alternative="less")
        yield Finding(
            f"P(last class given x): paired one-sided t-test that the squared error of PRESTO is"
            f" below that of {name}, p-value, {where}",
            float(test.pvalue),
            LEVEL,
        )


def _note(errors: Errors, rare: float, words: str) -> str:
    each = ", ".join(f"{name} {np.mean(found):.2e}" for name, found in errors.items())
    return (
        f"With {words} of the differences not zero the last class is {100 * rare:.2g} percent of"
        f" the rows. Mean squared errors of its probability: {each}. PRESTO's strength is chosen"
        f" from {STRENGTHS} by {FOLDS} folds; logistic regression without a C is practically free"
        f" of ridge (C = {FREE:g})."
    )


def _picture(errors: Errors, words: str) -> Picture:
    lines = [
        Series(name, tuple(range(1, len(found) + 1)), tuple(sorted(found)))
        for name, found in errors.items()
    ]
    return Picture(
        f"Squared error of the probability of the rare class, {words} of the differences not zero",
        "run, by size of the error",
        "mean squared error",
        tuple(lines),
        log_y=True,
        caption="Sorted for each method; lower is better.",
    )


CLAIM = Claim(
    id="3.16",
    title="Predicting Rare Events by Shrinking Towards Proportional Odds",
    paper="arXiv 2305.18700",
    sentence=(
        "Where a rare class is the last of a sequence, weights for each threshold under an l1"
        " penalty on their differences predict its probability better than logistic regression on"
        " the rare class alone, and better than proportional odds, to which they shrink."
    ),
    measure=measure,
)
