"""In-context learning and weight shifting: attention and a gradient step move the target alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from softunit._numeric import softmax
from softunit._typing import Matrix, Vector
from softunit.claims._attention_layer import (
    Tasks,
    cosines,
    draw_tasks,
    gradient_moves,
    learned_step,
    loss,
    predicted,
    softmaxes,
    trained,
    untrained,
)
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series
from softunit.problem import Problem
from softunit.units import SoftmaxSquares

NEAR = 0.9
"""Mean cosine of the predictions from which on attention counts as a gradient step."""

_SHIFTS, _TASKS, _LAYERS = range(3)  # streams of random numbers


def measure(effort: Effort) -> Evidence:
    """Measure the claim.

    Parameters
    ----------
    effort : Effort
    """
    trainings = _trainings(effort)
    findings = (*_shifts(effort), *_closeness(trainings))
    notes = (
        "M = exp(R^2 + log n) = n exp(R^2) is far above what can happen: the softmax is"
        " 1/2-Lipschitz, so that 1/2 |A| and 1/2 |x| take its place, and are attained. Two shifts"
        " below one bound need not be near each other; that they are is what the trained layers"
        " show.",
        "Cosines are those of the predictions less their mean: with it, any two vectors of shares"
        " are close. On the test tasks the mean loss of the trained layers was"
        f" {_mean(t.layer_loss for t in trainings):.4f}, of the gradient step"
        f" {_mean(t.step_loss for t in trainings):.4f} (learned step size"
        f" {_mean(t.step for t in trainings):.3g}), of uniform shares"
        f" {_mean(t.uniform_loss for t in trainings):.4f}.",
    )
    return Evidence(findings, notes, _picture(trainings))


# Both shifts ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shift:
    """How far the target moves, over what the bounds allow; and the loss that stays."""

    step_over_m: float
    attention_over_m: float
    step_over_sharp: float
    attention_over_sharp: float
    pair_over_sharp: float
    identity: float


def _shifts(effort: Effort) -> Iterator[Finding]:
    """Yield the largest shifts over their bounds."""
    draws = effort.count(1000, least=50)
    effort.tick(f"shifts of the target on {draws:,} draws")
    found = [_shift(effort.rng(_SHIFTS, draw)) for draw in range(draws)]
    words = {
        "step_over_m": "gradient step: |b~ - b| over M |x+ - x|",
        "attention_over_m": "self-attention update: |b~ - b| over M |A+ - A|",
        "step_over_sharp": "gradient step: |b~ - b| over 1/2 |A| |x+ - x|",
        "attention_over_sharp": "self-attention update: |b~ - b| over 1/2 |x| |A+ - A|",
        "pair_over_sharp": "any x and y: |f(x) - f(y)| over 1/2 |A| |x - y|",
    }
    for name, what in words.items():
        worst = float(np.max([getattr(shift, name) for shift in found]))
        bar = 1.0 if name.endswith("_m") else 1.0 + 1e-9  # a sharp bound is met up to rounding
        yield Finding(f"{what}, largest of {draws:,} draws", worst, bar)
    yield Finding(
        f"|L(x+; b) - L(x; b~)| with b~ = b + f(x) - f(x+), largest of {draws:,} draws",
        float(np.max([shift.identity for shift in found])),
        1e-12,
    )


def _shift(rng: np.random.Generator) -> Shift:
    """Return the shifts for one draw with |A| and |x| at most R, R from 1 to 3."""
    n, d, R = int(rng.integers(2, 30)), int(rng.integers(1, 8)), rng.uniform(1.0, 3.0)
    A = _of_norm(rng.standard_normal((n, d)), R * rng.uniform(0.3, 1.0))
    x, y = (_of_norm(rng.standard_normal((d, 1)), R * rng.uniform(0.1, 1.0))[:, 0] for _ in "xy")
    b = rng.dirichlet(np.full(n, rng.choice([0.1, 1.0])))
    problem = Problem(A, SoftmaxSquares(), b)
    moved = x - 10.0 ** rng.uniform(-2, 1) * problem.gradient(x)
    updated = attention_update(A, rng)
    size, most = float(np.linalg.norm(A, 2)), n * math.exp(R * R)
    f = softmax(A @ x)
    by_step, by_attention, by_pair = (
        float(np.linalg.norm(softmax(z) - f)) for z in (A @ moved, updated @ x, A @ y)
    )
    dx, dA = float(np.linalg.norm(moved - x)), float(np.linalg.norm(updated - A, 2))
    shifted = Problem(A, SoftmaxSquares(), b + f - softmax(A @ moved))
    return Shift(
        step_over_m=_over(by_step, most * dx),
        attention_over_m=_over(by_attention, most * dA),
        step_over_sharp=_over(by_step, 0.5 * size * dx),
        attention_over_sharp=_over(by_attention, 0.5 * float(np.linalg.norm(x)) * dA),
        pair_over_sharp=_over(by_pair, 0.5 * size * float(np.linalg.norm(x - y))),
        identity=abs(problem.value(moved) - shifted.value(x)),
    )


def attention_update(A: Matrix, rng: np.random.Generator) -> Matrix:
    """Return A + softmax(A Q K' A') A V, the rows after one layer of random self-attention.

    Parameters
    ----------
    A : ndarray of shape (n, d)
    rng : numpy.random.Generator
    """
    d = A.shape[1]
    Q, K, V = rng.standard_normal((3, d, d)) / math.sqrt(d)
    attention = softmaxes(A @ Q @ K.T @ A.T)
    return np.asarray(A + 10.0 ** rng.uniform(-2, 0) * attention @ A @ V)


def _of_norm(A: Matrix, norm: float) -> Matrix:
    return np.asarray(A * (norm / np.linalg.norm(A, 2)))


def _over(moved: float, allowed: float) -> float:
    """Return moved over allowed; where a step is lost in rounding there is nothing to compare."""
    return moved / allowed if allowed > 1e-8 else 0.0


# A trained layer beside a gradient step -------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """A layer before and after training, seen on tasks that it has not met."""

    before: Vector  # cosines with the gradient step, (t,)
    after: Vector
    progress: tuple[float, ...]  # mean cosines after each iteration
    layer_loss: float
    step_loss: float
    uniform_loss: float
    step: float


def _trainings(effort: Effort) -> list[Training]:
    seeds, found = effort.count(5, least=2), []
    for seed in range(seeds):
        effort.tick(f"training of layer {seed + 1} of {seeds}")
        rng = effort.rng(_TASKS, seed)
        # Fewer lessons than some hundreds are learned by heart.
        lessons = draw_tasks(rng, effort.count(1000, least=400))
        test = draw_tasks(rng, effort.count(500, least=150))
        layer = untrained(effort.rng(_LAYERS, seed), lessons.rows.shape[2])
        found.append(_training(layer, lessons, test))
    return found


def _training(layer: Vector, lessons: Tasks, test: Tasks) -> Training:
    step = learned_step(lessons)
    outputs = step * gradient_moves(test)
    by_step = softmaxes(outputs)
    layers: list[Vector] = [layer]
    final = trained(layer, lessons, lambda now: layers.append(np.array(now)))
    after = predicted(final, test)
    return Training(
        before=cosines(predicted(layer, test), by_step),
        after=cosines(after, by_step),
        progress=tuple(float(cosines(predicted(x, test), by_step).mean()) for x in layers),
        layer_loss=0.5 * float(((after - test.truth) ** 2).sum(axis=1).mean()),
        step_loss=loss(outputs, test.truth)[0],
        uniform_loss=loss(0 * outputs, test.truth)[0],
        step=step,
    )


def _closeness(trainings: list[Training]) -> Iterator[Finding]:
    """Yield the cosines after training, and what training added."""
    where = f"n = 20, d = 5, {len(trainings)} trainings, {len(trainings[0].after)} test tasks each"
    after = [float(t.after.mean()) for t in trainings]
    gains = [float(t.after.mean() - t.before.mean()) for t in trainings]
    yield Finding(
        f"trained attention and one gradient step: smallest mean cosine of predictions, {where}",
        min(after),
        NEAR,
        ">=",
    )
    yield Finding(
        "the same cosine less that of the layer before its training, smallest",
        min(gains),
        0.0,
        ">=",
    )


def _mean(values: Iterator[float]) -> float:
    return float(np.mean(list(values)))


def _picture(trainings: list[Training]) -> Picture:
    lines = [
        Series(f"training {index + 1}", tuple(range(len(t.progress))), t.progress)
        for index, t in enumerate(trainings)
    ]
    last = max(len(t.progress) for t in trainings) - 1
    return Picture(
        "Attention comes to predict what a gradient step predicts",
        "iteration of the training",
        "mean cosine on test tasks",
        (*lines, Series("the bar", (0, last), (NEAR, NEAR))),
        caption="Cosines of the predictions less their mean, with one gradient step from x = 0.",
    )


CLAIM = Claim(
    id="1.42",
    title="The Closeness of In-Context Learning and Weight Shifting for Softmax Regression",
    paper="arXiv 2304.13276",
    sentence=(
        "A gradient step on softmax regression and one self-attention update of its data both act"
        " as a shift of the target b, bounded by the same constant times the change of x or of A;"
        " attention trained on such tasks in context comes to predict what a gradient step"
        " predicts."
    ),
    measure=measure,
)
