"""One layer of self-attention on in-context softmax tasks, and one gradient step beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from softunit._typing import Array, Matrix, Vector
from softunit.problem import Problem
from softunit.units import SoftmaxSquares

ROUNDS = 150
"""Most iterations of the training."""


@dataclass(frozen=True)
class Tasks:
    """In-context softmax regressions, t of them.

    Attributes
    ----------
    rows : ndarray of shape (t, n, d)
        The designs A of the contexts.
    answers : ndarray of shape (t, n)
        Their b = softmax(A x), with an x of each task's own.
    queries : ndarray of shape (t, m, d)
    truth : ndarray of shape (t, m)
        What is to be predicted: the softmax of the queries times x.
    """

    rows: Array
    answers: Matrix
    queries: Array
    truth: Matrix


def draw_tasks(rng: np.random.Generator, count: int, n: int = 20, d: int = 5) -> Tasks:
    """Return tasks with rows from N(0, I / d) and x from 3 N(0, I), as many queries as rows.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
    n, d : int, default 20 and 5
    """
    rows, queries = rng.standard_normal((2, count, n, d)) / math.sqrt(d)
    x = 3 * rng.standard_normal((count, d, 1))
    return Tasks(rows, softmaxes((rows @ x)[..., 0]), queries, softmaxes((queries @ x)[..., 0]))


def softmaxes(z: Array) -> Array:
    """Return the softmax along the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def loss(outputs: Matrix, truth: Matrix) -> tuple[float, Matrix]:
    """Return the mean of 1/2 |softmax(output) - truth|^2 over tasks, and its derivative."""
    p = softmaxes(outputs)
    c = p - truth
    slope = p * (c - (p * c).sum(axis=1, keepdims=True)) / len(outputs)
    return 0.5 * float((c * c).sum()) / len(outputs), slope


# One gradient step ----------------------------------------------------------------------------


def gradient_moves(tasks: Tasks) -> Matrix:
    """Return the queries times minus the gradient at x = 0 of each context, (t, m)."""
    zero = np.zeros(tasks.rows.shape[2])
    steps = [
        -Problem(A, SoftmaxSquares(), b).gradient(zero)
        for A, b in zip(tasks.rows, tasks.answers, strict=True)
    ]
    return np.asarray((tasks.queries @ np.array(steps)[:, :, None])[..., 0])


def learned_step(tasks: Tasks) -> float:
    """Return the step size of least loss over the tasks."""
    moves = gradient_moves(tasks)
    found = minimize_scalar(
        lambda log: loss(math.exp(log) * moves, tasks.truth)[0], bounds=(-5, 12), method="bounded"
    )
    return math.exp(found.x)


# One layer of attention -----------------------------------------------------------------------


def attend(layer: Vector, tasks: Tasks) -> tuple[Matrix, Array]:
    """Return the outputs (t, m) of a layer before its scale, and its attention (t, m, n).

    Query q looks at row a_j with the score q' M a_j and takes the mean of the answers b_j.

    Parameters
    ----------
    layer : ndarray of shape (d d + 1,)
        M, row by row, and the scale of the output.
    tasks : Tasks
    """
    d = tasks.rows.shape[2]
    scores = tasks.queries @ layer[:-1].reshape(d, d) @ tasks.rows.transpose(0, 2, 1)
    attention = softmaxes(scores)
    return (attention @ tasks.answers[:, :, None])[..., 0], attention


def layer_loss(layer: Vector, tasks: Tasks) -> tuple[float, Vector]:
    """Return the loss of a layer's predictions and its derivative, (d d + 1,)."""
    means, attention = attend(layer, tasks)
    value, slope = loss(layer[-1] * means, tasks.truth)
    spread = attention * (tasks.answers[:, None, :] - means[:, :, None])
    scores = layer[-1] * slope[:, :, None] * spread
    matrix = np.einsum("tmd,tme->de", tasks.queries, scores @ tasks.rows)
    return value, np.append(matrix.ravel(), (slope * means).sum())


def predicted(layer: Vector, tasks: Tasks) -> Matrix:
    """Return the layer's predictions, (t, m): a softmax over the queries of each task."""
    return softmaxes(layer[-1] * attend(layer, tasks)[0])


def untrained(rng: np.random.Generator, d: int) -> Vector:
    """Return a layer with M from N(0, 1 / d) and scale one."""
    return np.append(rng.standard_normal(d * d) / math.sqrt(d), 1.0)


def trained(layer: Vector, tasks: Tasks, watch: Callable[[Vector], None]) -> Vector:
    """Return the layer after training by L-BFGS on the loss over the tasks.

    Parameters
    ----------
    layer : ndarray of shape (d d + 1,)
        The start.
    tasks : Tasks
    watch : callable
        Called with the layer after each iteration.
    """
    found = minimize(
        layer_loss,
        layer,
        args=(tasks,),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": ROUNDS},
        callback=watch,
    )
    return np.asarray(found.x)


def cosines(one: Matrix, other: Matrix) -> Vector:
    """Return the cosine of each task's predictions less the uniform ones, (t,).

    Shares are positive, so that any two have a cosine near one; without their mean they do not.
    """
    a, b = (v - v.mean(axis=1, keepdims=True) for v in (one, other))
    return np.asarray((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))
