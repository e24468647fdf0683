"""Zeroth-order softmax optimisation: values are enough, and the effective rank sets the price."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from softunit._typing import Array, Kind, Vector
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series
from softunit.curvature import CentredDiagonal
from softunit.penalties import ScoreRidge
from softunit.point import Point
from softunit.problem import Problem
from softunit.run import minimize
from softunit.solution import Record
from softunit.solvers import ZerothOrder
from softunit.solvers.directions import Directions, Probe, draw, scaling
from softunit.units import SoftmaxSquares

ROWS, RANK = 1200, 5
SCORE_WEIGHT = 1.0  # w of the regulariser: 1/2 |w A x|^2 makes the objective strongly convex
BATCH, STEEP = 4, 1e-3  # directions of a step, and the gradient norm to reach from one
DRAWS = 20_000
DIMENSIONS = (10, 100, 1000)
MOST = 20_000  # steps
STEPS: tuple[Literal["measured", "bound"], ...] = ("measured", "bound")

_PLANTED, _DRAWS = range(2)  # streams of random numbers


@dataclass(frozen=True)
class _Watched(SoftmaxSquares):
    """Softmax regression that counts what is asked of it beside values."""

    asked: list[str] = field(default_factory=list)

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return value and gradient, and note the call."""
        self.asked.append("gradient")
        return super().value_gradient(z, target, weights)

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> CentredDiagonal:
        """Return the curvature, and note the call."""
        self.asked.append("curvature")
        return super().curvature(z, target, weights, kind=kind)


def measure(effort: Effort) -> Evidence:
    """Measure the claim.

    Parameters
    ----------
    effort : Effort
    """
    dimensions = DIMENSIONS if effort.share >= 0.5 else (10, 30, 100)
    unit = _Watched()
    errors = _estimates(effort)
    low, full = _calls(effort, unit, dimensions)
    findings = (
        *(
            Finding(f"{kind}: |mean of {DRAWS:,} estimates - g| over |g|, d = 10", error, 0.02)
            for kind, error in errors.items()
        ),
        *(
            Finding(
                f"calls to |g| <= {STEEP:g} at rank {RANK}, steps {steps}: most over fewest for d"
                f" in {dimensions}, medians of runs from {effort.count(11, least=5)} seeds",
                max(calls) / min(calls),
                2.0,
            )
            for steps, calls in low.items()
        ),
        Finding(
            f"calls at full rank, steps measured: d = {dimensions[-1]} over d = {dimensions[0]}",
            full[-1] / full[0],
            5.0,
            ">=",
        ),
        Finding(
            "calls at full rank: least growth from one d to the next",
            min(after / before for before, after in pairwise(full)),
            2.0,
            ">=",
        ),
        Finding("gradients and curvatures asked of the unit in all runs", len(unit.asked), 0.0),
    )
    return Evidence(findings, _notes(low, full), _picture(dimensions, low["measured"], full))


def _notes(low: dict[str, list[float]], full: list[float]) -> tuple[str, ...]:
    told = "; ".join(
        f"steps {steps} " + ", ".join(f"{n:,.0f}" for n in calls) for steps, calls in low.items()
    )
    return (
        f"Calls of the objective, from the least d to the largest, at rank {RANK}: {told}; at full"
        f" rank: {', '.join(f'{n:,.0f}' for n in full)}. The problems of one rank differ in d"
        " alone: the same five strong columns of scores, turned at random, beside others of at most"
        " a ten-thousandth of their squares. Gradients were made by another problem, only to tell"
        " when to stop counting.",
        "The objective is softmax regression with the paper's regulariser 1/2 |w A x|^2, w = 1."
        f" Steps take {BATCH} Gaussian directions. The loss is one softmax, so there are no terms"
        " to draw a mini-batch from: the batch is one of directions.",
    )


def planted(
    rows: int, d: int, rng: np.random.Generator, *, full: bool, unit: SoftmaxSquares
) -> tuple[Problem, Vector]:
    """Return regularised softmax regression, and a start at which the gradient has norm one.

    Parameters
    ----------
    rows, d : int
    rng : Generator
        The same numbers make the same scores for every d.
    full : bool
        Whether all columns are as strong as the five, so that tr(A'A) / |A'A| = d.
    unit : SoftmaxSquares
    """
    columns = np.linalg.qr(rng.standard_normal((rows, min(rows, DIMENSIONS[-1]))))[0]
    target = rng.dirichlet(np.ones(rows))
    start = np.r_[rng.standard_normal(RANK), np.zeros(d - RANK)]
    squares = np.ones(d) if full else np.r_[np.ones(RANK), 1e-4 / (1.0 + np.arange(d - RANK)) ** 2]
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    problem = Problem(
        (columns[:, :d] * np.sqrt(squares)) @ turn.T, unit, target, ScoreRidge(SCORE_WEIGHT)
    )
    x = turn @ start
    steep = Problem(problem.design, SoftmaxSquares(), target, problem.penalties).gradient(x)
    return problem, x / np.linalg.norm(steep)


def _estimates(effort: Effort) -> dict[str, float]:
    """Return the relative error of the mean of many estimates, for each kind of direction."""
    errors = {}
    kinds = get_args(Directions) if effort.share >= 0.5 else ("gaussian",)
    for stream, kind in enumerate(kinds):
        effort.tick(f"{DRAWS:,} estimates with {kind} directions")
        rng = effort.rng(_DRAWS, stream)
        problem, x = planted(60, 10, rng, full=False, unit=SoftmaxSquares())
        errors[kind] = _error(problem, x, kind, rng)
    return errors


def _error(problem: Problem, x: Vector, kind: Directions, rng: np.random.Generator) -> float:
    truth = problem.gradient(x)
    directions = np.concatenate([draw(kind, BATCH, x.shape, rng) for _ in range(DRAWS)])
    seen = Probe(problem, x, problem.scores(x)).along(directions, problem.value(x), None)
    mean = scaling(kind, BATCH, len(x)) * BATCH * (seen.slopes @ directions) / len(directions)
    return float(np.linalg.norm(mean - truth) / np.linalg.norm(truth))


def _calls(
    effort: Effort, unit: SoftmaxSquares, dimensions: tuple[int, ...]
) -> tuple[dict[str, list[float]], list[float]]:
    """Return median calls at low rank for each kind of steps and each d, and those at full rank."""
    rows = ROWS if effort.share >= 0.5 else 200
    low: dict[str, list[float]] = {steps: [] for steps in STEPS}
    full: list[float] = []
    for d in dimensions:
        effort.tick(f"calls at d = {d}")
        problem, x = planted(rows, d, effort.rng(_PLANTED), full=False, unit=unit)
        for steps in STEPS:
            solvers = [
                ZerothOrder("gaussian", BATCH, steps=steps, seed=seed)
                for seed in range(effort.count(11, least=5))
            ]
            low[steps].append(float(np.median([_calls_of(s, problem, x) for s in solvers])))
        problem, x = planted(rows, d, effort.rng(_PLANTED), full=True, unit=unit)
        full.append(_calls_of(ZerothOrder("gaussian", BATCH, seed=effort.seed), problem, x))
    return low, full


def _calls_of(solver: ZerothOrder, problem: Problem, x: Vector) -> float:
    """Return the values that a run asks for until |g| is small; inf if it never is."""
    judge = Problem(problem.design, SoftmaxSquares(), problem.target, problem.penalties)
    before, found = problem.cost.values, []

    def watch(record: Record, point: Point) -> bool:
        if np.linalg.norm(judge.gradient(point.x)) > STEEP:
            return False
        found.append(problem.cost.values - before)
        return True

    minimize(problem, x, solver=solver, tol=0.0, max_iter=MOST, callback=watch)
    return float(found[0]) if found else float("inf")


def _picture(dimensions: tuple[int, ...], low: list[float], full: list[float]) -> Picture:
    x = tuple(map(float, dimensions))
    return Picture(
        "Calls of the objective until the gradient is small",
        "parameters d",
        "calls",
        (Series(f"effective rank {RANK}", x, tuple(low)), Series("full rank", x, tuple(full))),
        log_x=True,
        log_y=True,
        caption="At one effective rank the number of parameters does not matter.",
    )


CLAIM = Claim(
    id="0.3",
    title="Zero-th order algorithm for softmax attention",
    paper="arXiv 2307.08352",
    sentence=(
        "Softmax regression can be minimised from values alone, by differences along random"
        " directions, and the number of evaluations is set by the effective rank of the Hessian"
        " instead of the number of parameters."
    ),
    measure=measure,
)
