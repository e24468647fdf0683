"""Zeroth order: descent that sees values of the objective and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np
from scipy.special import digamma

from softunit._checks import check_choice, check_count, check_positive
from softunit._numeric import EPS, dot
from softunit._typing import Array
from softunit.errors import InputError
from softunit.point import Point
from softunit.problem import Problem
from softunit.solution import Status
from softunit.solvers.base import Solver, check_scores_kept
from softunit.solvers.directions import (
    SCORES_MOVE,
    Directions,
    Downhill,
    Probe,
    Seen,
    check_smoothing,
    draw,
    majoriser,
    scale_from_values,
    scaling,
    second_moment,
)
from softunit.solvers.ends import why_no_step

REFRESH = 50  # steps after which scores that were moved are made anew
WINDOW = 20  # directions over which slopes and curvatures are averaged
SWEEP = 1000  # parameters up to which a sweep over all coordinates tells the gradient
LOOKS = 64  # directions that stand for a sweep beyond
DROP = 8.0  # of the logarithm of |g|^2 from one step to the next, where few directions are seen
GROWTH = 4.0  # of the step length from one step to the next, at most
TRUSTED = 1e4  # roundings of F that a step must promise for its parabola to be believed


@dataclass(frozen=True)
class ZerothOrderState:
    """The point, and what differences of values have taught so far.

    Attributes
    ----------
    point : Point
        Its gradient is an estimate, from before the last step.
    count : int
        Steps so far: the seed of the next directions.
    squares : float
        Running mean of c sum_j slope_j^2, whose mean is |g|^2.
    size : float
        Running mean of its logarithm, freed from bias: old and larger ones do not outweigh.
    bend : float
        Running mean of ghat' H ghat, from the parabola along each step.
    trace : float
        Running mean of tr(H), from second differences.
    rank : float
        The effective rank tr(H) / |H| that these make; nan before the first step.
    largest : float
        Largest entry of the gradient over its norm, when last known; nan before.
    length : float
        The last step length.
    bound : tuple of float or None
        |M| and tr(M) of the majoriser, for steps by the bound.
    """

    point: Point
    count: int = 0
    squares: float = math.nan
    size: float = math.nan
    bend: float = math.nan
    trace: float = math.nan
    rank: float = math.nan
    largest: float = math.nan
    length: float = math.nan
    bound: tuple[float, float] | None = None


@dataclass(frozen=True)
class ZerothOrder(Solver[ZerothOrderState]):
    """Two-point estimates of the gradient from values alone: no gradient is ever evaluated.

    ::

        ghat = c sum_j (F(x + h z_j) - F(x - h z_j)) / (2 h) z_j
        x+   = x - eta ghat,   eta = k / (l (k + 1 + r)),   r = tr(H) / |H|

    1. Draw k directions z_j, multiply A by them once, and evaluate F on both sides: O(n) each.
    2. Step against ghat. The length is one over (a l + b tr(H)), the mean curvature along ghat,
    with a = (k+1)/k and b = 1/k for Gaussian directions: dimension enters through the effective
    rank r alone.  3. Halve the step, by the parabola through what is known, until F falls.

    The gradient norm in the history is an estimate from the last 20 directions. Before a run ends,
    a sweep over all coordinates (two values each; beyond 1,000 parameters 64 fresh directions)
    tells the gradient at the point, and only that is believed.

    Parameters
    ----------
    directions : {"orthonormal", "gaussian", "coordinate"}, default "orthonormal"
        "orthonormal" vectors, scaled by d/k, have the smallest variance; d of them give the
        gradient. "coordinate" takes columns of A for products.
    batch : int, default 10
        k; at most the number of parameters where directions are orthogonal.
    smoothing : float or None, default None
        h. None takes for each direction the step that moves the scores by (3 u)^(1/3) = 1e-5 at
        most, or (noise / |F|)^(1/3) if that is more: there rounding, or noise, and the third
        derivative weigh the same.
    steps : {"measured", "bound"}, default "measured"
        "measured" takes a l + b tr(H) from the parabola along each step; the first step takes
        tr(H) from second differences, with r = 1. "bound" takes l and r of the unit's majoriser,
        0.3081 A'A for softmax regression: safe from the first step, and often far too short.
    noise : float, default 0.0
        How far a value of F may be off; zero means rounding alone.
    seed : int, default 0
        Step t draws from a generator seeded by (seed, t).

    Raises
    ------
    InputError
        If a parameter is wrong, or the values at the start do not differ by more than `noise`.
    NeedsError
        If scores are not stored, or steps go by a bound that the unit does not have.

    Notes
    -----
    Source: Deng, Li, Mahadevan, Song, arXiv 2307.08352; moments and step length are derived in
    docs/maths/zeroth-order.
    """

    directions: Directions = "orthonormal"
    batch: int = 10
    smoothing: float | None = None
    steps: Literal["measured", "bound"] = "measured"
    noise: float = 0.0
    seed: int = 0
    needs: ClassVar[frozenset[str]] = frozenset({"value"})

    def __post_init__(self) -> None:
        check_choice("directions", self.directions, get_args(Directions))
        check_choice("steps", self.steps, ("measured", "bound"))
        check_count("batch", self.batch, least=1)
        check_count("seed", self.seed)
        check_positive("noise", self.noise, zero=True)
        if self.smoothing is not None:
            check_smoothing(self.smoothing)

    def check(self, problem: Problem) -> None:
        """Raise `NeedsError` where scores do not fit the memory rule."""
        super().check(problem)
        check_scores_kept(self, problem)

    # Hooks of the loop: what others ask of a gradient ---------------------------------------------

    def begin(self, problem: Problem, x: Array) -> Point:
        """Return x with its value and an estimate of its gradient."""
        point = self._valued(problem, x)
        seen, directions = self._look(problem, point, (self.seed, 0), self.batch)
        if self.noise > 0 and not seen.spread > 2 * self.noise:
            raise InputError(
                f"`noise` {self.noise:.3g} is above the difference step: values on both sides of"
                f" the start differ by {seen.spread:.3g}, which noise alone would make. Raise"
                " `smoothing`, average the values, or start where the objective is steeper."
            )
        probe = Probe(problem, point.x, _scores(point))
        probe.check_step(seen, directions, point.value, self.smoothing)
        c = scaling(self.directions, len(directions), problem.size)
        return replace(point, gradient=c * np.tensordot(seen.slopes, directions, 1))

    def refresh(self, problem: Problem, point: Point) -> Point:
        """Return the point with a value made afresh and a gradient by a sweep over coordinates."""
        point = self._valued(problem, point.x)
        if problem.size <= SWEEP:
            probe = Probe(problem, point.x, _scores(point))
            move = self._move(point.value)
            gradient = probe.gradient(point.value, self.smoothing, move)
            return replace(point, gradient=gradient, exact=True)
        seen, directions = self._look(problem, point, (self.seed, 0), LOOKS)
        c = scaling(self.directions, len(directions), problem.size)
        estimate = c * np.tensordot(seen.slopes, directions, 1)
        norm, size = math.sqrt(c * float(seen.slopes @ seen.slopes)), dot(estimate, estimate) ** 0.5
        return replace(point, gradient=estimate * (norm / (size or 1.0)), exact=True)

    def gradient_scale(self, problem: Problem) -> float:
        """Return the scale of `Problem.gradient_scale`, from values."""
        return scale_from_values(problem, self.seed)

    def patience(self, problem: Problem) -> int:
        """Return more iterations than it takes to look along every coordinate."""
        return 5 + 4 * problem.size // self.batch

    # Steps ----------------------------------------------------------------------------------------

    def init(self, problem: Problem, point: Point) -> ZerothOrderState:
        """Return the state at the start."""
        bound = majoriser(problem, self.seed) if self.steps == "bound" else None
        return ZerothOrderState(point, bound=bound)

    def step(self, problem: Problem, state: ZerothOrderState) -> tuple[ZerothOrderState, Status]:
        """Return the next state."""
        point = state.point
        seen, z = self._look(problem, point, (self.seed, 1 + state.count), self.batch)  # 1.
        c = scaling(self.directions, len(z), problem.size)
        ghat, slope = c * np.tensordot(seen.slopes, z, 1), -c * float(seen.slopes @ seen.slopes)
        state = self._learnt(problem, state, seen, -slope)
        line = Downhill(point.value, ghat, c * seen.image, slope, self.noise)
        length = self._length(problem, state, ghat)
        found = Probe(problem, point.x, _scores(point)).fall(line, length)  # 2. and 3.
        if found is None and len(z) >= problem.size:
            return state, why_no_step(point, slope)
        if found is None:  # other directions may still lead down
            stay = replace(point, gradient=_reported(problem, state, ghat), exact=False)
            return replace(state, point=stay, count=state.count + 1), Status.RUNNING
        moved, length, bend = found
        moved = replace(moved, gradient=_reported(problem, state, ghat))
        count = state.count + 1
        if count % REFRESH == 0:
            moved = replace(moved, scores=problem.scores(moved.x))
        state = replace(state, point=moved, count=count)
        if -length * slope > TRUSTED * EPS * abs(point.value) + self.noise:
            weight = _weight(len(z), problem.size)
            squares = _mean(state.squares, -slope, weight)
            state = replace(
                state, squares=squares, bend=_mean(state.bend, bend, weight), length=length
            )
        return replace(state, rank=self._rank(problem, state, len(z))), Status.RUNNING

    def _valued(self, problem: Problem, x: Array) -> Point:
        """Return x with scores and value made afresh, and no gradient yet."""
        scores = problem.scores(x)
        probe = Probe(problem, x, scores)
        value = probe.loss(scores) + probe.ridge_value(x)
        return Point(x, value, np.zeros_like(x), scores, exact=False)

    def _move(self, value: float) -> float:
        """Return how far differences move the scores."""
        relative = min(self.noise / abs(value), 1.0) if value else 0.0
        return max(SCORES_MOVE, math.pow(relative, 1 / 3))

    def _look(
        self, problem: Problem, point: Point, seed: tuple[int, int], count: int
    ) -> tuple[Seen, Array]:
        """Return what values tell along random directions, and the directions."""
        z = draw(self.directions, count, problem.shape, np.random.default_rng(seed))
        probe = Probe(problem, point.x, _scores(point))
        return probe.along(z, point.value, self.smoothing, self._move(point.value)), z

    def _learnt(
        self, problem: Problem, state: ZerothOrderState, seen: Seen, squares: float
    ) -> ZerothOrderState:
        """Return the state with its running means, and what a sweep before this step told."""
        k, size = len(seen.slopes), problem.size
        each = 1.0 if self.directions == "gaussian" else float(size)
        trace = each * float(np.abs(seen.curvatures).mean())
        if state.point.exact:
            norm = dot(state.point.gradient, state.point.gradient) ** 0.5
            entries = problem.design.gradient_to_input(state.point.gradient)
            largest = float(np.abs(entries).max()) / (norm or 1.0)
            told = 2 * math.log(norm) if norm > 0 else state.size
            state = replace(state, largest=largest, size=told)
        weight = _weight(k, size)
        bias = _log_bias(k, 1.0 if each == 1 else 1 - k / size)
        # No slope along these few directions does not mean that there is none.
        least = 1e-300 if k >= size or math.isnan(state.size) else math.exp(state.size - DROP)
        logarithm = math.log(max(squares, least, 1e-300)) - bias
        return replace(
            state,
            size=_mean(state.size, logarithm, weight),
            trace=_mean(state.trace, trace, weight),
        )

    def _length(self, problem: Problem, state: ZerothOrderState, ghat: Array) -> float:
        """Return the step length to try first: 1 / (a l + b tr(H))."""
        a, b = second_moment(self.directions, self._count(problem), problem.size)
        if state.bound is not None:
            norm, trace = state.bound
            return 1 / (a * norm + b * trace) if trace > 0 else 1.0
        if math.isnan(state.bend):
            if state.trace > 0:
                return 1 / ((a + b) * state.trace)
            size = max(1.0, math.sqrt(dot(state.point.x, state.point.x)))
            return size / (math.sqrt(dot(ghat, ghat)) or 1.0)
        longest = GROWTH * state.length
        return min(state.squares / state.bend, longest) if state.bend > 0 else longest

    def _rank(self, problem: Problem, state: ZerothOrderState, k: int) -> float:
        """Return tr(H) / |H| from a l + b tr(H) = bend / squares, or from the bound."""
        if state.bound is not None:
            return state.bound[1] / state.bound[0] if state.bound[0] > 0 else math.nan
        if not (state.squares > 0 and state.trace > 0):
            return math.nan
        a, b = second_moment(self.directions, k, problem.size)
        norm = (state.bend / state.squares - b * state.trace) / a
        return (
            float(np.clip(state.trace / norm, 1.0, problem.size))
            if norm > 0
            else float(problem.size)
        )

    def _count(self, problem: Problem) -> int:
        gaussian = self.directions == "gaussian"
        return self.batch if gaussian else min(self.batch, problem.size)


def _scores(point: Point) -> Array:
    assert point.scores is not None  # `ZerothOrder.check` refuses what does not store them
    return point.scores


def _weight(k: int, size: int) -> float:
    """Return the weight of k new directions in a running mean."""
    return 1.0 if k >= size else min(1.0, k / WINDOW)


def _log_bias(k: int, unseen: float) -> float:
    """Return about E log of the mean of k squared slopes, with a share of g left unseen."""
    return unseen * float(digamma(k / 2) - math.log(k / 2))


def _mean(before: float, new: float, weight: float) -> float:
    return new if math.isnan(before) else (1 - weight) * before + weight * new


def _reported(problem: Problem, state: ZerothOrderState, ghat: Array) -> Array:
    """Return ghat at the length that the last slopes tell together.

    One estimate is often short by luck, and would seem to be within the tolerance.
    """
    norm, size = math.exp(0.5 * state.size), dot(ghat, ghat) ** 0.5
    if not size > 0:
        return ghat
    if math.isnan(state.largest):
        return np.asarray(ghat * (norm / size))
    entry = float(np.abs(problem.design.gradient_to_input(ghat)).max())
    return np.asarray(ghat * (state.largest * norm / entry)) if entry > 0 else ghat
