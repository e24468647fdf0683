"""Small fitted objects with the public attributes that a report reads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit.certificate import Certificate, Statement
from softunit.report import (
    ElasticityTable,
    Estimates,
    FitSummary,
    Labels,
    Share,
    Willingness,
    classifier_summary,
    elasticity_table,
    estimates,
    regressor_summary,
    worths,
)
from softunit.solution import Cost, Record, Solution, Status

HOSTILE_CLASSES = ['"><img src=x onerror=alert(1)>', "[bold]", "$x$"]
HOSTILE_FEATURES = (
    "<script>alert(1)</script>",
    "price in $ or $US",
    "[bold]x[/bold] \x1b[31mred",
    "a very long column name that goes on and on until it has to wrap somewhere",
)


def solution(status: Status = Status.CONVERGED, *, steps: int = 9, tol: float = 1e-6) -> Solution:
    """Return the end of a run whose gradient falls tenfold per iteration."""
    history = tuple(
        Record(i, 0.05 + 2.0 * 10.0 ** (-1.3 * i), 0.3 * 10.0**-i, 0.004 * i, 4.0 * i)
        for i in range(steps)
    )
    last = history[-1]
    return Solution(
        x=np.zeros(3),
        value=last.value,
        gradient_norm=last.gradient_norm,
        status=status,
        n_iter=last.iteration,
        history=history,
        seconds=last.seconds,
        cost=Cost(products=last.products),
        solver="Newton",
        tol=tol,
    )


def certificate(**changes: Any) -> Certificate:
    """Return a certificate with one proved and one estimated statement."""
    fields: dict[str, Any] = {
        "value": 0.050000003,
        "gradient_norm": 3e-9,
        "gradient_norm_2": 6.1e-9,
        "gap_bound": 3.12e-14,
        "local_gap_bound": 2.4e-17,
        "strong_convexity": 5.6e-4,
        "newton_decrement": 1.1e-9,
        "unique": True,
        "statements": (
            Statement("the objective is strongly convex with constant 5.6e-4.", True),
            Statement("Newton's region of quadratic convergence is reached.", False),
        ),
    }
    return Certificate(**{**fields, **changes})


@dataclass
class Classifier:
    """A softmax classifier with given coefficients (K, d) or (1, d)."""

    coef_: Any
    classes_: Any
    solution_: Solution
    certificate_: Certificate
    largest_block: int = 0

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return settings as an estimator does."""
        return {"C": 1.0, "tol": 1e-6, "fit_intercept": True, "solver": "auto", "verbose": 0}

    def predict_proba(self, X: Any) -> Any:
        """Return softmax scores, and remember the largest block asked for."""
        scores = np.asarray(X @ self.coef_.T)
        self.largest_block = max(self.largest_block, len(scores))
        if scores.shape[1] == 1:
            scores = np.hstack([0 * scores, scores])
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True)


@dataclass
class Regressor:
    """A softmax over all rows, with given coefficients (d,)."""

    coef_: Any
    solution_: Solution
    certificate_: Certificate

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return settings as an estimator does."""
        return {"w": None, "tol": 1e-10}

    def predict(self, X: Any) -> Any:
        """Return softmax(X coef), shape (n,)."""
        scores = X @ self.coef_
        weights = np.exp(scores - scores.max())
        return weights / weights.sum()


def classified(
    names: list[str], *, features: tuple[str, ...] = ("a", "b", "c"), rows: int = 400, **rest: Any
) -> FitSummary:
    """Return the summary of a classifier with these class names on drawn data."""
    rng = np.random.default_rng(7)
    classes = np.array(sorted(names), dtype=object)
    n_scores = 1 if len(names) == 2 else len(names)
    model = Classifier(
        rng.normal(size=(n_scores, len(features))) * 1.5, classes, solution(), certificate()
    )
    X = rng.normal(size=(rows, len(features)))
    proba = model.predict_proba(X)
    y = classes[[rng.choice(len(classes), p=row) for row in proba]]
    labels = Labels(source="drawn.csv", feature_names=features, **rest)
    return classifier_summary(model, X, y, labels=labels)


def regressed(*, rows: int = 300) -> FitSummary:
    """Return the summary of a regressor on drawn data."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(rows, 4))
    model = Regressor(np.array([0.5, -1.0, 0.25, 0.0]), solution(tol=1e-10), certificate())
    b = model.predict(X) * np.exp(0.1 * rng.normal(size=rows))
    labels = Labels(source="drawn.npz", repeat="softunit fit drawn.npz --problem softmax")
    return regressor_summary(model, X, b, labels=labels)


def paid(*, believed: bool = True) -> Willingness:
    """Return rates of exchange between columns with hostile names."""
    size = len(HOSTILE_FEATURES)
    values = np.linspace(-2e4, 3.0, size)
    ends = np.column_stack([values - 1e3, values + 1e3])
    rows = worths(HOSTILE_FEATURES, values, np.full(size, 510.2), ends)
    return Willingness(HOSTILE_FEATURES[0], "classical", rows, believed=believed)


def elastic(names: list[str], *, believed: bool = True) -> ElasticityTable:
    """Return a table of elasticities; the first two alternatives are never offered together."""
    table = np.linspace(-12.0, 0.004, len(names) ** 2).reshape(len(names), len(names))
    table[0, 1] = table[1, 0] = np.nan
    return elasticity_table(HOSTILE_FEATURES[0], names, table, believed=believed)


def estimated(*, believed: bool = True) -> FitSummary:
    """Return a summary with errors by class, shares, and thresholds, names hostile."""
    summary = classified(["no", "yes"])
    names = [(label, name) for label in HOSTILE_CLASSES for name in HOSTILE_FEATURES]
    coef = np.linspace(-2.0, 30.0, len(names))
    rows = estimates(names, coef, np.linspace(0.0, 9.0, len(names)), believed=believed)
    assert summary.calibration is not None
    thresholds = tuple(
        dataclasses.replace(summary.calibration, about=f"probability of at most {name}")
        for name in HOSTILE_CLASSES
    )
    return dataclasses.replace(
        summary,
        coefficients=(),
        estimates=Estimates(rows, "classical", believed=believed, against="[other]"),
        willingness=paid(believed=believed),
        elasticities=elastic(HOSTILE_CLASSES, believed=believed),
        shares=tuple(
            Share(name, 1.0, 0.2 + 0.1 * i, 0.4 - 0.05 * i)
            for i, name in enumerate(HOSTILE_CLASSES)
        ),
        thresholds=thresholds,
    )
