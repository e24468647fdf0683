"""How often 95% intervals hold the true value: simulations from known parameters.

    python -m benchmarks.coverage --simulations 1000 --out coverage.json

Each simulation draws rows and outcomes from a model, fits it without penalty and asks for intervals
of all parameters. Coverage is the share of (simulation, parameter) pairs whose interval holds the
truth; beside it stands that of the parameter covered least. Clustered errors are put to data on
which classical ones fail: people who give the same answer several times.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import softunit as su
from softunit._groups import Groups
from softunit.inference import Inference, infer
from softunit.units import GroupedSoftmax

ROWS, COLUMNS, CLASSES = 600, 3, 3

Draw = Callable[[np.random.Generator], tuple[Inference, np.ndarray, np.ndarray | None]]
"""A seeded generator -> inference on drawn data, the true parameters, clusters or None."""


@dataclass(frozen=True)
class Coverage:
    """What one model with one kind of error came to."""

    model: str
    errors: str
    simulations: int
    parameters: int
    coverage: float
    least: float
    seconds: float


def multinomial(rng: np.random.Generator):
    """Three classes; the truth is contrasts with the first, intercepts last."""
    truth = np.array([[0.8, -0.5, 0.3, 0.2], [-0.4, 0.6, 0.0, -0.3]])
    A = rng.normal(size=(ROWS, COLUMNS))
    z = np.column_stack([np.zeros(ROWS), A @ truth[:, :-1].T + truth[:, -1]])
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    model = su.SoftmaxClassifier(C=np.inf, solver="newton").fit(A, y)
    return model.inference(A, y, reference=0), truth.ravel(), None


def conditional(rng: np.random.Generator):
    """200 sets of 3 to 6 alternatives."""
    truth = np.array([1.0, -0.7, 0.3])
    labels = np.repeat(np.arange(200), rng.integers(3, 7, 200))
    groups = Groups(labels)
    A = rng.normal(size=(len(labels), COLUMNS))
    utility = A @ truth + rng.gumbel(size=len(labels))
    b = (utility == groups.spread(groups.largest(utility))).astype(float)
    return _chosen(A, b, groups), truth, None


def clustered(rng: np.random.Generator):
    """150 people who choose between two and are asked five times, to the same answer.

    A repeat says nothing new, so that classical errors are too small by the root of five.
    """
    truth = np.array([0.8, -0.5, 0.3])
    people, choices = 150, 5
    base = rng.normal(size=(people, 2, COLUMNS))
    utility = base @ truth + rng.gumbel(size=(people, 2))
    first = (utility == utility.max(axis=1, keepdims=True)).astype(float)
    A = np.repeat(base, choices, axis=0).reshape(-1, COLUMNS)
    b = np.repeat(first, choices, axis=0).reshape(-1)
    groups = Groups(np.repeat(np.arange(people * choices), 2))
    return _chosen(A, b, groups), truth, np.repeat(np.arange(people), 2 * choices)


def _chosen(A: np.ndarray, b: np.ndarray, groups: Groups) -> Inference:
    problem = su.Problem(A, GroupedSoftmax(groups), b)
    x = su.minimize(problem, solver="newton").x
    return infer(problem, x, [f"x{j}" for j in range(A.shape[1])], observations=groups)


def ordinal(rng: np.random.Generator):
    """Four ordered classes with proportional odds; thresholds last."""
    slopes, thresholds = np.array([0.9, -0.6, 0.3]), np.array([-1.0, 0.2, 1.4])
    A = rng.normal(size=(ROWS, COLUMNS))
    latent = A @ slopes + rng.logistic(size=ROWS)
    y = np.searchsorted(thresholds, latent)
    found = su.OrdinalClassifier().fit(A, y).inference()
    return found, np.concatenate([slopes, thresholds]), None


CASES: dict[str, tuple[Draw, tuple[str, ...]]] = {
    "multinomial": (multinomial, ("classical", "robust")),
    "conditional": (conditional, ("classical", "robust")),
    "ordinal": (ordinal, ("classical", "robust")),
    "repeated choices": (clustered, ("clustered", "classical")),
}


def measure(model: str, simulations: int, seed: int = 0) -> list[Coverage]:
    """Return the coverage of 95% intervals over so many simulations, each with its own seed."""
    draw, kinds = CASES[model]
    start = time.perf_counter()
    hits: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    for i in range(simulations):
        found, truth, clusters = draw(np.random.default_rng([seed, i]))
        for kind in kinds:
            given = clusters if kind == "clustered" else None
            low, high = found.confidence_intervals(0.95, kind, given).T
            hits[kind].append((low <= truth) & (truth <= high))
    seconds, out = time.perf_counter() - start, []
    for kind in kinds:
        each = np.mean(hits[kind], axis=0)
        share, least = float(each.mean()), float(each.min())
        out.append(Coverage(model, kind, simulations, len(each), share, least, seconds))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    rows = []
    for model in CASES:
        for row in measure(model, asked.simulations, asked.seed):
            rows.append(asdict(row))
            line = f"{model:<18} {row.errors:<10} {row.coverage:.4f}  least {row.least:.4f}"
            print(f"{line}  {row.seconds:.0f} s", flush=True)
    if asked.out is not None:
        asked.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
