"""Two-layer regression: its Hessian, when it is convex, and the papers' approximate Newton."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from softunit._typing import Matrix, Vector
from softunit.claims._sampled_newton import LAST, RATE, weights_for
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series
from softunit.penalties import ScoreRidge
from softunit.point import Point
from softunit.problem import Problem
from softunit.run import minimize
from softunit.solution import Record
from softunit.solvers.paper_newton import PaperNewton
from softunit.units import TwoLayerSquares
from softunit.units.base import SOFTMAX_SECOND

OUTERS = ("relu", "softplus", "tanh")
HALFWAY, PATIENCE = 1e-5, 2.2  # steps to LAST over steps to HALFWAY
ENOUGH = 0.95  # of the seeds: 19 of 20
NEAR, FARTHER = 0.01, 0.1  # |x0 - x*| where there are no weights: Newton's method is local
AWAY = 1e-3  # relu is measured so far from its kinks, where the Hessian exists

Draw: TypeAlias = tuple[Matrix, TwoLayerSquares, Vector, np.random.Generator]

# Streams of random numbers.
_DERIVATIVES, _CONVEXITY, _PENALISED, _FREE, _KINKS = range(5)


def measure(effort: Effort) -> Evidence:
    """Measure the claim.

    Parameters
    ----------
    effort : Effort
    """
    seeds = effort.count(20, least=3)
    penalised = {outer: _penalised(outer, seeds, effort) for outer in OUTERS}
    free = {outer: _free(outer, seeds, effort, NEAR) for outer in OUTERS}
    farther = [run for outer in OUTERS for run in _free(outer, seeds, effort, FARTHER)]
    findings = (
        *_derivatives(effort),
        *_convexity(effort),
        *_rates(penalised, "weights above the bound, |x0 - x*| = 1"),
        *_rates(free, f"no weights, a planted x*, |x0 - x*| = {NEAR:g}"),
    )
    share = max(run.loss_share for runs in penalised.values() for run in runs)
    notes = (
        "Where the weights are above the bound the penalty decides nearly everything: the loss's"
        f" share of the Hessian at x* was at most {share:.1e}. Hence the runs without weights, in"
        f" which a start must be good indeed: from |x0 - x*| = {FARTHER:g} every step contracted by"
        f" {RATE:g} in {sum(run.worst <= RATE for run in farther)} of {len(farther)} runs.",
        "With relu the bound holds where the Hessian exists. Across a kink the gradient jumps, and"
        f" no weights make the loss convex: there <g(x) - g(y), x - y> / |x - y|^2 fell to"
        f" {_across_a_kink(effort):.3g} times l.",
        "The paper's own condition on w was not found in print; the bound is |C|^2 / 4 times the"
        " largest negative part of phi'^2 + phi'' r, plus 0.2722 |C' (phi' r)|, both over all x.",
    )
    return Evidence(findings, notes, _picture(penalised, free))


def _problem(A: Matrix, C: Matrix, b: Vector, w: Vector, outer: str) -> Problem:
    return Problem(A, TwoLayerSquares(outer, C), b, ScoreRidge(w))


def lowest(unit: TwoLayerSquares, b: Vector) -> float:
    """Return a lower bound on the eigenvalues of the curvature, wherever it exists."""
    if unit.function.smooth:
        return unit.bounds(b).lowest
    least, most = unit.function.between(*unit.interval)
    residual = np.maximum(np.abs(least - b), np.abs(most - b))
    return -SOFTMAX_SECOND * unit.norm * float(np.linalg.norm(residual))


def _derivatives(effort: Effort) -> Iterator[Finding]:
    """Yield the largest relative errors of gradient and Hessian against central differences."""
    draws, step = effort.count(200, least=12), 1e-5
    worst = {"gradient": 0.0, "Hessian": 0.0}
    for draw in range(draws):
        effort.tick(f"derivatives against central differences, draw {draw + 1} of {draws}")
        problem, x = _small(effort.rng(_DERIVATIVES, draw), OUTERS[draw % len(OUTERS)])
        point, moves = problem.evaluate(x), step * np.eye(len(x))
        slopes = [(problem.value(x + m) - problem.value(x - m)) / (2 * step) for m in moves]
        bends = [(problem.gradient(x + m) - problem.gradient(x - m)) / (2 * step) for m in moves]
        hessian = problem.hessian(point)
        pairs = {"gradient": (slopes, point.gradient), "Hessian": (bends, hessian)}
        for what, (differences, formula) in pairs.items():
            off = np.linalg.norm(np.array(differences) - formula) / np.linalg.norm(formula)
            worst[what] = max(worst[what], float(off))
    for what, error in worst.items():
        yield Finding(
            f"{what} against central differences, largest error over its norm, {draws} draws of"
            f" {', '.join(OUTERS)}",
            error,
            1e-6,
        )


def _small(rng: np.random.Generator, outer: str) -> tuple[Problem, Vector]:
    """Return a small problem and a point away from kinks."""
    n, d, m = int(rng.integers(4, 12)), int(rng.integers(1, 5)), int(rng.integers(2, 8))
    while True:
        A, C, b = rng.standard_normal((n, d)), rng.standard_normal((m, n)), rng.standard_normal(m)
        problem = _problem(A, C, b, rng.uniform(0.0, 0.5, n), outer)
        x = rng.standard_normal(d)
        z = A @ x
        y = C @ np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        if np.abs(y).min() > AWAY:
            return problem, x


def _convexity(effort: Effort) -> Iterator[Finding]:
    """Yield the smallest eigenvalue of the Hessian over the l that its weights promise."""
    draws = effort.count(1000, least=60)
    least = math.inf
    for draw in range(draws):
        effort.tick(f"strong convexity, draw {draw + 1} of {draws}")
        rng, outer = effort.rng(_CONVEXITY, draw), OUTERS[draw % len(OUTERS)]
        d, m = int(rng.integers(1, 5)), int(rng.integers(1, 6))
        A = rng.standard_normal((int(rng.integers(d + 1, 25)), d))
        C, b = rng.standard_normal((m, len(A))), rng.standard_normal(m)
        wanted = float(rng.choice([0.01, 0.1, 1.0, 10.0]))
        w = weights_for(A, wanted, -lowest(TwoLayerSquares(outer, C), b))
        problem = _problem(A, C, b, w, outer)
        x = rng.choice([0.3, 1.0, 3.0]) * rng.standard_normal(d)
        hessian = problem.hessian(problem.evaluate(x))
        least = min(least, float(np.linalg.eigvalsh(hessian)[0]) / wanted)
    yield Finding(
        f"smallest eigenvalue of H over l, {draws:,} draws with w^2 = -bound + l / sigma_min(A)^2",
        least,
        1.0 - 1e-9,  # eigenvalues are known to rounding
        ">=",
    )


def _across_a_kink(effort: Effort) -> float:
    """Return the least monotonicity of relu's gradient from one side of a kink to the other."""
    least, promised = math.inf, 0.1
    for draw in range(effort.count(200, least=50)):
        rng = effort.rng(_KINKS, draw)
        A, C = rng.standard_normal((12, 2)), rng.standard_normal((1, 12))
        unit, b = TwoLayerSquares("relu", C), np.array([2.0])
        problem = _problem(A, C, b, weights_for(A, promised, -lowest(unit, b)), "relu")
        x, v = rng.standard_normal(2), rng.standard_normal(2)
        line = x + 1e-3 * np.arange(200)[:, None] * v
        gradients = [problem.gradient(point) for point in line]
        for (one, g), (other, h) in pairwise(zip(line, gradients, strict=True)):
            gap = other - one
            least = min(least, float((h - g) @ gap / (gap @ gap)) / promised)
    return least


@dataclass(frozen=True)
class Run:
    """Distances to x* after each step, and the loss's share of the Hessian."""

    path: tuple[float, ...]
    loss_share: float

    @property
    def worst(self) -> float:
        """The largest factor of a step; infinite if none was made."""
        factors = [after / before for before, after in pairwise(self.path)]
        return max(factors, default=math.inf)

    def steps(self, share: float) -> float:
        """After how many steps the distance is a share of the start's, infinite if never."""
        found = (k for k, now in enumerate(self.path) if now <= share * self.path[0])
        return next(found, math.inf)

    @property
    def growth(self) -> float:
        """Steps to LAST over steps to HALFWAY; infinite if it never came there."""
        last = self.steps(LAST)
        return last / self.steps(HALFWAY) if math.isfinite(last) else math.inf


def _penalised(outer: str, seeds: int, effort: Effort) -> list[Run]:
    """Return runs of the papers' algorithm with weights above the bound, one for each seed."""
    runs = []
    for seed, (A, unit, planted, rng) in enumerate(_draws(outer, _PENALISED, seeds, effort)):
        effort.tick(f"approximate Newton with {outer} and weights, run {seed + 1} of {seeds}")
        b = unit.output(A @ planted)
        w = weights_for(A, 1.0, -lowest(unit, b))
        problem = Problem(A, unit, b, ScoreRidge(w))
        runs.append(_run(problem, minimize(problem, tol=0.0).x, 1.0, rng))
    return runs


def _free(outer: str, seeds: int, effort: Effort, radius: float) -> list[Run]:
    """Return runs without weights, one for each seed, to a planted x*."""
    runs = []
    for seed, (A, unit, planted, rng) in enumerate(_draws(outer, _FREE, seeds, effort)):
        effort.tick(f"approximate Newton with {outer}, no weights, run {seed + 1} of {seeds}")
        problem = Problem(A, unit, unit.output(A @ planted))
        runs.append(_run(problem, planted, radius, rng))
    return runs


def _draws(outer: str, stream: int, seeds: int, effort: Effort) -> Iterator[Draw]:
    """Yield a design, a unit, a point and what is left of the random numbers, for each seed."""
    for seed in range(seeds):
        rng = effort.rng(stream, seed, OUTERS.index(outer))
        A = rng.standard_normal((effort.count(20_000, least=3000), 10))
        unit = TwoLayerSquares(outer, rng.standard_normal((40, len(A))))
        yield A, unit, rng.standard_normal(10) / math.sqrt(10), rng


def _run(problem: Problem, best: Vector, radius: float, rng: np.random.Generator) -> Run:
    """Step until the distance is LAST of that of the start, or 40 times."""
    H = problem.hessian(problem.evaluate(best))
    A, q = problem.design.toarray(), problem.score_ridge
    share = float(np.linalg.norm(H - A.T @ (q[:, None] * A), 2) / np.linalg.norm(H, 2))
    away = rng.standard_normal(len(best))
    path: list[float] = []

    def near(record: Record, point: Point) -> bool:
        path.append(float(np.linalg.norm(point.x - best)))
        return path[-1] <= LAST * path[0]

    minimize(
        problem,
        best + radius * away / np.linalg.norm(away),
        solver=PaperNewton(seed=int(rng.integers(2**31))),
        tol=0.0,
        max_iter=40,
        callback=near,
    )
    return Run(tuple(path), share)


def _rates(runs: dict[str, list[Run]], where: str) -> Iterator[Finding]:
    """Yield the share of seeds in which every step contracts, and in which steps grow slowly."""
    for outer, found in runs.items():
        of = f"{outer}, {len(found)} seeds; {where}"
        good = float(np.mean([run.worst <= RATE for run in found]))
        yield Finding(
            f"share of seeds in which every step has |x+ - x*| <= {RATE:g} |x - x*| ({of})",
            good,
            ENOUGH,
            ">=",
        )
        slow = float(np.mean([run.growth <= PATIENCE for run in found]))
        yield Finding(
            f"share of seeds whose steps to {LAST:g} are at most {PATIENCE:g} times those to"
            f" {HALFWAY:g} ({of})",
            slow,
            ENOUGH,
            ">=",
        )


def _picture(penalised: dict[str, list[Run]], free: dict[str, list[Run]]) -> Picture:
    """Return the distances of the slowest run of each kind, as shares of the start's."""
    kinds = {f"{outer}, weights": runs for outer, runs in penalised.items()}
    kinds |= {f"{outer}, no weights": runs for outer, runs in free.items()}
    lines = {}
    for name, runs in kinds.items():
        path = max(runs, key=lambda run: (run.worst, len(run.path))).path
        lines[name] = tuple(now / path[0] for now in path)
    lines[f"the bar: {RATE:g} per step"] = tuple(
        RATE**k for k in range(max(map(len, lines.values())))
    )
    return Picture(
        "Distance to x*, the run of each kind with the worst step",
        "step",
        "|x - x*| over |x0 - x*|",
        tuple(Series(name, tuple(range(len(path))), path) for name, path in lines.items()),
        log_y=True,
        caption="Full Newton steps with exact gradients and a Hessian of sampled rows.",
    )


CLAIM = Claim(
    id="0.2",
    title="Local Convergence of Approximate Newton Method for Two Layer Nonlinear Regression",
    paper="arXiv 2311.15390",
    sentence=(
        "The loss 1/2 |phi(C softmax(A x)) - b|^2 + 1/2 |diag(w) A x|^2 has a Hessian of closed"
        " form which large enough weights make positive definite; from a good start Newton's method"
        " on sampled rows then contracts by a constant at every step, so that the steps to an error"
        " eps grow as log(1 / eps)."
    ),
    measure=measure,
)
