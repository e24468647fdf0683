"""Newton's method on rows sampled by leverage, and how fast it comes to the optimum."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from softunit._numeric import softmax
from softunit._typing import Matrix, Vector
from softunit.claims.base import Effort, Finding
from softunit.penalties import ScoreRidge
from softunit.problem import Problem
from softunit.report.words import number
from softunit.run import minimize
from softunit.sketches import LeverageSampling
from softunit.units import SoftmaxSquares

RATE = 0.4
"""The paper's contraction per step."""

ACCURACY, CHANCE = 0.25, 0.1
"""Relative error of the sampled Hessian, and the chance that it is missed."""

NEAR = 0.1
"""|x0 - x*| where there are no weights: Newton's method is local."""

LAST = 1e-10
"""Relative distance to the optimum at which a run ends: below, rounding decides."""

ASTRAY = 1e2
"""Relative distance at which a run is given up."""


def weights_for(A: Matrix, wanted: float, shift: float) -> Vector:
    """Return w (n,) with w_i^2 = shift + wanted / sigma_min(A)^2."""
    smallest = float(np.linalg.svd(A, compute_uv=False)[-1])
    return np.full(len(A), math.sqrt(shift + wanted / smallest**2))


def regression(A: Matrix, b: Vector, w: Vector) -> Problem:
    """Return softmax regression with weights w of the penalty."""
    return Problem(A, SoftmaxSquares(), b, ScoreRidge(w))


@dataclass(frozen=True)
class Run:
    """Distances to x* after each step, the loss's share of the Hessian, and the rows drawn."""

    energy: tuple[float, ...]
    plain: tuple[float, ...]
    loss_share: float
    rows: int


@dataclass(frozen=True)
class Task:
    """A problem with its design, its optimum and a start."""

    problem: Problem
    A: Matrix
    best: Vector
    radius: float


def penalised_task(effort: Effort, rng: np.random.Generator, condition: float = 1.0) -> Task:
    """Return a problem whose weights meet the paper's condition with l = 1."""
    A = rng.standard_normal((effort.count(20_000, least=4000), 10))
    A *= np.geomspace(1.0, condition, A.shape[1])
    b = softmax(2 * rng.standard_normal(len(A)))
    problem = regression(A, b, weights_for(A, 1.0, 4.0))
    return Task(problem, A, minimize(problem, tol=0.0).x, 1.0)


def skewed_task(effort: Effort, rng: np.random.Generator) -> Task:
    """Return the same with columns of A scaled from 1 to 1,000."""
    return penalised_task(effort, rng, condition=1e3)


def free_task(effort: Effort, rng: np.random.Generator) -> Task:
    """Return a problem without weights whose b is the softmax of A x* for a planted x*."""
    A = rng.standard_normal((effort.count(20_000, least=4000), 10))
    best = np.asarray(rng.standard_normal(A.shape[1]) / math.sqrt(A.shape[1]))
    return Task(regression(A, softmax(A @ best), np.zeros(len(A))), A, best, NEAR)


def newton_runs(
    make: Callable[[Effort, np.random.Generator], Task], stream: int, seeds: int, effort: Effort
) -> list[Run]:
    """Return runs on tasks that are drawn one by one from a stream of random numbers."""
    runs = []
    for seed in range(seeds):
        effort.tick(f"Newton on sampled rows, run {seed + 1} of {seeds}")
        rng = effort.rng(stream, seed)
        runs.append(_run(make(effort, rng), rng))
    return runs


def _run(task: Task, rng: np.random.Generator) -> Run:
    """Step until the distance is LAST of that of the start or ASTRAY times it, at most 60 times."""
    problem, A, best = task.problem, task.A, task.best
    H = problem.hessian(problem.evaluate(best))
    loss = H - A.T @ (problem.score_ridge[:, None] * A)
    away = rng.standard_normal(len(best))
    x = best + task.radius * away / np.linalg.norm(away)
    rows = LeverageSampling(1, "exact").rows_needed(*A.shape, eps=ACCURACY, delta=CHANCE)
    energy, plain = [], []
    for _ in range(61):
        e = x - best
        energy.append(math.sqrt(float(e @ H @ e)))
        plain.append(float(np.linalg.norm(e)))
        far = max(energy[-1] / energy[0], plain[-1] / plain[0])
        if far <= LAST or not far <= ASTRAY:
            break
        x = x - step(problem, A, x, rows, rng)
    share = float(np.linalg.norm(loss, 2) / np.linalg.norm(H, 2))
    return Run(tuple(energy), tuple(plain), share, rows)


def step(problem: Problem, A: Matrix, x: Vector, rows: int, rng: np.random.Generator) -> Vector:
    """Return (R' D~ R)^-1 g, shape (d,): a move by an exact gradient g and a sampled Hessian.

    1. With weights w the rows are those of the paper, D = diag(p) + diag(w)^2 and R = A; without,
    D = diag(p) and R = A - 1 f'A, which leaves no part of the Hessian out.  2. Rows of sqrt(D) R
    are drawn with chances proportional to their leverage scores, and weighted so that R' D~ R
    has the mean R' D R.

    Parameters
    ----------
    problem : Problem
    A : ndarray of shape (n, d)
    x : ndarray of shape (d,)
    rows : int
        How many are drawn.
    rng : numpy.random.Generator
    """
    point = problem.evaluate(x)
    curvature = SoftmaxSquares().curvature(problem.scores(x), problem.target)  # 1.
    if problem.score_ridge.any():
        R, D = A, curvature.weights + problem.score_ridge
    else:
        R, D = A - curvature.centre @ A, np.maximum(curvature.weights, 0.0)
    index, weight = LeverageSampling(rows, "exact").sample(R, rng, weights=D)  # 2.
    drawn = R[index]
    hessian = drawn.T @ ((weight * D[index])[:, None] * drawn)
    # Far from the optimum the loss saturates and rows vanish: a bad step is a finding, no fault.
    return np.asarray(np.linalg.lstsq(hessian, point.gradient, rcond=None)[0])


def _factors(path: tuple[float, ...]) -> list[float]:
    return [after / before for before, after in pairwise(path)]


def _steps(path: tuple[float, ...], share: float) -> float:
    """Return after how many steps the distance is a share of its start, infinite if never."""
    reached = (count for count, now in enumerate(path) if now <= share * path[0])
    return next(reached, math.inf)


def worst_factor(paths: Iterable[tuple[float, ...]]) -> float:
    return max(max(_factors(path)) for path in paths)


def rates(runs: list[Run], where: str) -> Iterator[Finding]:
    """Yield the contraction per step in both norms, and the steps to each accuracy."""
    of = f"{len(runs)} runs, {runs[0].rows:,} rows drawn; {where}"
    energy = [run.energy for run in runs]
    yield Finding(f"largest factor of a step, energy norm ({of})", worst_factor(energy), RATE)
    plain = worst_factor(run.plain for run in runs)
    yield Finding(f"largest factor of a step, 2-norm ({of})", plain, RATE)
    shares = 10.0 ** -np.arange(1, 11)
    ratios = [
        _steps(path, share) / math.ceil(math.log(share) / math.log(RATE))
        for path in energy
        for share in shares
    ]
    yield Finding(
        f"steps to eps |x0 - x*| over log(1/eps) / log(1/{RATE:g}) rounded up, largest for"
        f" eps = 0.1 to {number(LAST)}, energy norm ({where})",
        max(ratios),
        1.0,
    )
