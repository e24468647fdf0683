"""Random directions, and what differences of values along them tell: no gradient is ever made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from softunit._checks import check_positive
from softunit._numeric import EPS, dot
from softunit._threads import add_up
from softunit._typing import Array, Vector
from softunit.designs.base import Block
from softunit.errors import InputError, NeedsError
from softunit.point import Point
from softunit.problem import Problem

Directions: TypeAlias = Literal["orthonormal", "gaussian", "coordinate"]
"""How directions are drawn."""

SCORES_MOVE: float = (3 * EPS) ** (1 / 3)  # 1e-5: rounding and third derivative weigh the same
CHUNK = 1 << 21  # floats of A Z held at once
POWER_STEPS, POWER_RTOL = 200, 1e-7
MAX_TRIALS, ARMIJO = 40, 1e-4
SAMPLED_ROWS = 64
SHORTEST, LONGEST = 1e-100, 1e100  # h whose square divides


def draw(kind: Directions, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return random directions, (k, *shape).

    Parameters
    ----------
    kind : {"orthonormal", "gaussian", "coordinate"}
        Orthonormal vectors and distinct unit vectors are at most as many as x has entries.
    count : int
        k.
    shape : tuple of int
        That of x.
    rng : Generator
    """
    size = int(np.prod(shape))
    if kind == "gaussian":
        return rng.standard_normal((count, *shape))
    k = min(count, size)
    if kind == "coordinate":
        flat = np.zeros((k, size))
        flat[np.arange(k), rng.choice(size, k, replace=False)] = 1.0
    else:
        q, r = np.linalg.qr(rng.standard_normal((size, k)))
        flat = (q * np.sign(np.diagonal(r))).T  # signs make the law that of a random rotation
    return flat.reshape(k, *shape)


def scaling(kind: Directions, k: int, size: int) -> float:
    """Return c for which c sum_j <g, z_j> z_j has mean g: 1/k, or size/k for unit vectors."""
    return 1 / k if kind == "gaussian" else size / k


def second_moment(kind: Directions, k: int, size: int) -> tuple[float, float]:
    """Return (a, b) with E ghat' H ghat <= (a |H| + b tr(H)) |g|^2, for convex H.

    Gaussian: a = (k+1)/k, b = 1/k. Orthonormal: from E P H P = a' H + b' tr(H) I for a random
    projection P of rank k. Coordinates: a = size/k, b = 0, as each diagonal entry is at most |H|.
    """
    if kind == "gaussian":
        return (k + 1) / k, 1 / k
    if kind == "coordinate" or size == 1:
        return size / k, 0.0
    b = (size - k) * size / (k * (size + 2) * (size - 1))
    return (k + 2) * size / (k * (size + 2)) - b, b


@dataclass(frozen=True)
class Seen:
    """What two values along each direction told.

    Attributes
    ----------
    slopes : ndarray of shape (k,)
        <g, z_j>, by central differences.
    curvatures : ndarray of shape (k,)
        z_j' H z_j, by second differences.
    image : ndarray of the shape of the scores
        sum_j slopes_j A z_j.
    spread : float
        Root mean square of the differences of values that the slopes were made of.
    """

    slopes: Vector
    curvatures: Vector
    image: Array
    spread: float


@dataclass(frozen=True)
class Downhill:
    """A direction -ghat, and what is known of F along it.

    Attributes
    ----------
    value : float
        F at the start.
    ghat : ndarray of the shape of x
    image : ndarray of the shape of the scores
        A ghat.
    slope : float
        Of F along -ghat.
    noise : float
        What a value may be off by.
    """

    value: float
    ghat: Array
    image: Array
    slope: float
    noise: float


def check_smoothing(value: object) -> None:
    """Raise `InputError` unless h is a number whose square float64 holds."""
    h = check_positive("smoothing", value)
    if not SHORTEST <= h <= LONGEST:
        raise InputError(
            f"`smoothing` must be from {SHORTEST:g} to {LONGEST:g}, or None; got {h:g}, whose"
            " square float64 cannot divide by."
        )


class Probe:
    """Values of F around one point, from its scores: each costs no product with the design.

    Parameters
    ----------
    problem : Problem
    x : ndarray of shape (d,) or (d, K)
    scores : ndarray of shape (n,) or (n, K)
        A x + offset.
    """

    def __init__(self, problem: Problem, x: Array, scores: Array) -> None:
        self.problem, self.x, self.scores = problem, x, scores
        self._by_rows = problem.by_rows
        self._blocks: list[Block] = self._by_rows.blocks(problem.columns)

    def loss(self, scores: Array) -> float:
        """Return F at some scores, without the ridge in x."""
        self.problem.cost.values += self.problem.share
        by_rows = self._by_rows
        if len(self._blocks) == 1:
            return by_rows.value(self._blocks[0][0], scores)

        def part(block: Block) -> tuple[float]:
            return (by_rows.value(block[0], scores[block[0]]),)

        return float(add_up(part, self._blocks)[0])

    def ridge_value(self, x: Array) -> float:
        """Return the ridge's part of F at x."""
        return 0.5 * dot(x, (self.problem.ridge * x.T).T)

    def along(
        self, directions: Array, value: float, smoothing: float | None, move: float = SCORES_MOVE
    ) -> Seen:
        """Return slopes and curvatures along each direction: two values each.

        The ridge is a parabola along a line, so its slope is exact.

        Parameters
        ----------
        directions : ndarray of shape (k, *shape of x)
        value : float
            F at x.
        smoothing : float or None
            h; None takes for each direction the step that moves the scores by `move` at most.
        move : float, default SCORES_MOVE
        """
        k = len(directions)
        here = value - self.ridge_value(self.x)
        slopes, curvatures, changes = np.zeros(k), np.zeros(k), np.zeros(k)
        image = np.zeros_like(self.scores)
        for j, q in self._images(directions):
            h = smoothing or move / (float(np.abs(q).max()) or 1.0)
            above, below = self.loss(self.scores + h * q), self.loss(self.scores - h * q)
            held = (self.problem.ridge * directions[j].T).T
            changes[j] = above - below
            slopes[j] = changes[j] / (2 * h) + dot(held, self.x)
            curvatures[j] = (above + below - 2 * here) / h**2 + dot(held, directions[j])
            image += slopes[j] * q
        return Seen(slopes, curvatures, image, float(np.sqrt(np.mean(changes**2))))

    def check_step(
        self, seen: Seen, directions: Array, value: float, smoothing: float | None
    ) -> None:
        """Raise `InputError` where values tell nothing at the step h, and would at the usual."""
        if smoothing is None or 0 < seen.spread < np.inf:
            return
        if seen.spread == 0 and not self.along(directions, value, None).spread > 0:
            return  # F is flat here
        wrong = "small: they do not differ" if seen.spread == 0 else "large: they are not finite"
        raise InputError(
            f"`smoothing` {smoothing:g} tells no slope from values on both sides of the start."
            f" It is too {wrong}. None takes a step that does."
        )

    def fall(self, line: Downhill, first: float) -> tuple[Point, float, float] | None:
        """Return the point along a line where F has fallen, the step length, and ghat' H ghat.

        A trial fails unless a share 1e-4 of the promised decrease is there; the next is the bottom
        of the parabola through what is known, between a tenth and a half. None: F never falls.

        Parameters
        ----------
        line : Downhill
        first : float
            Step length to try first.
        """
        t = first
        if not line.slope < 0:
            return None
        for _ in range(MAX_TRIALS):
            x, scores = self.x - t * line.ghat, self.scores - t * line.image
            there = self.loss(scores) + self.ridge_value(x)
            bend = 2 * (there - line.value - t * line.slope) / t**2
            if there <= line.value + ARMIJO * t * line.slope + line.noise:
                return Point(x, there, line.ghat, scores, exact=False), t, bend
            bottom = -line.slope / bend if np.isfinite(bend) and bend > 0 else 0.0
            t = min(max(bottom, 0.1 * t), 0.5 * t)
        return None

    def _images(self, directions: Array) -> Iterator[tuple[int, Array]]:
        """Yield (j, A z_j), made for as many directions at once as memory allows."""
        k, columns = len(directions), self.problem.columns
        width = max(1, CHUNK // self.scores.size)
        for start in range(0, k, width):
            chunk = directions[start : start + width]
            self.problem.cost.products += len(chunk) * self.problem.share
            flat = np.moveaxis(chunk, 0, -1).reshape(self.problem.shape[0], -1)
            moved = self.problem.design.matvec(flat)
            for j in range(len(chunk)):
                q = moved[:, j :: len(chunk)] if self.scores.ndim == 2 else moved[:, j]
                assert q.size == len(self.scores) * columns
                yield start + j, q

    def gradient(self, value: float, smoothing: float | None, move: float = SCORES_MOVE) -> Array:
        """Return the gradient from two values for each coordinate, of the shape of x.

        Parameters
        ----------
        value : float
            F at x.
        smoothing : float or None
        move : float, default SCORES_MOVE
        """
        size, parts = self.problem.size, []
        width = max(1, CHUNK // max(size, len(self.scores)))
        for start in range(0, size, width):
            chosen = np.arange(start, min(start + width, size))
            flat = np.zeros((len(chosen), size))
            flat[np.arange(len(chosen)), chosen] = 1.0
            directions = flat.reshape(len(chosen), *self.problem.shape)
            parts.append(self.along(directions, value, smoothing, move).slopes)
        return np.concatenate(parts).reshape(self.problem.shape)


def majoriser(problem: Problem, seed: int) -> tuple[float, float]:
    """Return |M| and tr(M) of a matrix M above every Hessian, from products with A alone.

    M = A' diag(c) A + ridge, with c the unit's bound on its curvature, weighted, and the score
    ridge: 0.3081 A'A for softmax regression. Its norm comes from power iteration.

    Parameters
    ----------
    problem : Problem
    seed : int
        Of the power iteration's start.

    Raises
    ------
    NeedsError
        If no bound on the unit's curvature is known.
    """
    design, c = problem.design, score_bound(problem)
    mean, variance = design.column_moments(c)
    total = float(c.sum()) * float((mean**2 + variance).sum()) + float(problem.ridge.sum())
    v = np.random.default_rng(seed).standard_normal(problem.shape[0])
    norm = 0.0
    for _ in range(POWER_STEPS):
        v /= np.linalg.norm(v)
        problem.cost.products += 2 * problem.share
        v = design.rmatvec(c * design.matvec(v)) + problem.ridge * v
        before, norm = norm, float(np.linalg.norm(v))
        if norm - before <= POWER_RTOL * norm:
            break
    return norm, total * problem.columns


def score_bound(problem: Problem) -> Vector:
    """Return c, (n,), with diag(c) above the curvature in score space, score ridge included.

    Raises
    ------
    NeedsError
        If no bound on the unit's curvature is known.
    """
    n, weights, unit = problem.design.shape[0], problem.weights, problem.unit
    alone = unit.rowwise and weights is not None
    highest = unit.bounds(problem.target, None if alone else weights).highest
    if not np.isfinite(highest):
        raise NeedsError(
            f"{type(unit).__name__} has no known bound on its curvature"
            f"{'' if weights is None or alone else ' with weights'}, which fixed steps and matrix"
            ' updates need. `steps="measured"` and `update="newton"` do without.'
        )
    each = weights if alone and weights is not None else np.ones(n)
    return np.asarray(highest * each / problem.mass + problem.score_ridge)


def scale_from_values(problem: Problem, seed: int) -> float:
    """Return `Problem.gradient_scale` from values alone.

    The largest entry of |A|' |g_z(0)|, with the entries of g_z(0) by central differences in score
    space: all of them up to 64 rows, else 64 rows drawn at random that stand for all.

    Parameters
    ----------
    problem : Problem
    seed : int
        Of the drawn rows.
    """
    if problem.unit.rowwise:
        return 1.0
    n = problem.design.shape[0]
    start = np.zeros(n) if problem.offset is None else problem.offset
    m = min(n, SAMPLED_ROWS)
    rows = np.sort(np.random.default_rng(seed).choice(n, m, replace=False))
    # Without the penalties: the scale is that of the unit alone.
    plain = problem.derived(penalty=())
    plain.cost = problem.cost
    probe, sizes = Probe(plain, np.zeros(problem.shape), start), np.zeros(m)
    for j, row in enumerate(rows):
        move = np.zeros(n)
        move[row] = SCORES_MOVE
        sizes[j] = abs(probe.loss(start + move) - probe.loss(start - move)) / (2 * SCORES_MOVE)
    g = problem.design.rows(rows).abs_rmatvec(sizes) * (n / m)
    scale = float(np.abs(problem.design.gradient_to_input(g)).max())
    return scale if scale > 0 and np.isfinite(scale) else 1.0
