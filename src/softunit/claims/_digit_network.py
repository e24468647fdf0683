"""A small convolutional network for square pictures, trained by Adam: NumPy and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from softunit._typing import Array, Matrix
from softunit.units import Multinomial

FIRST, SECOND, FEATURES = 16, 32, 64  # channels of the convolutions, and features
RATE, BATCH = 2e-3, 32


@dataclass(frozen=True)
class Network:
    """Two convolutions of 3 by 3, each with ReLU and halved by means, features, and scores.

    Attributes
    ----------
    weights : tuple of ndarray
        Of the convolutions (9, 16) and (144, 32), the features (2 side^2, 64), the scores (64, K).
    shifts : tuple of ndarray
        Added after them.
    """

    weights: tuple[Matrix, ...]
    shifts: tuple[Array, ...]

    def features(self, pictures: Array) -> Matrix:
        """Return what the network makes of pictures before its scores, (n, 64).

        Parameters
        ----------
        pictures : ndarray of shape (n, side, side)
        """
        return self._layers(pictures)[-1]

    def scores(self, pictures: Array) -> Matrix:
        """Return scores of the classes it was trained on, (n, K)."""
        return np.asarray(self.features(pictures) @ self.weights[3] + self.shifts[3])

    def loss(self, pictures: Array, labels: Array) -> tuple[float, tuple[Array, ...]]:
        """Return the mean log loss and its derivatives by weights and shifts, weights first."""
        first, one, second, two, flat, features = self._layers(pictures)
        scores = features @ self.weights[3] + self.shifts[3]
        value, g = Multinomial(scores.shape[1]).value_gradient(scores, labels)
        g = g / len(labels)
        dw3, ds3 = features.T @ g, g.sum(axis=0)
        g = (g @ self.weights[3].T) * (features > 0)
        dw2, ds2 = flat.T @ g, g.sum(axis=0)
        g = _spread((g @ self.weights[2].T).reshape(_halved(two).shape)) * (two > 0)
        dw1, ds1 = _by_weights(second, g)
        g = _spread(_folded(g @ self.weights[1].T)) * (one > 0)
        dw0, ds0 = _by_weights(first, g)
        return value / len(labels), (dw0, dw1, dw2, dw3, ds0, ds1, ds2, ds3)

    def _layers(self, pictures: Array) -> tuple[Array, ...]:
        first = _patches(pictures[..., None])
        one = np.maximum(first @ self.weights[0] + self.shifts[0], 0.0)
        second = _patches(_halved(one))
        two = np.maximum(second @ self.weights[1] + self.shifts[1], 0.0)
        flat = _halved(two).reshape(len(pictures), -1)
        features = np.maximum(flat @ self.weights[2] + self.shifts[2], 0.0)
        return first, one, second, two, flat, features


def untrained(rng: np.random.Generator, side: int, classes: int) -> Network:
    """Return a network of random weights (He et al. 2015), its shifts zero.

    Parameters
    ----------
    rng : numpy.random.Generator
    side : int
        Pixels of a picture's side, a multiple of four.
    classes : int
        K.
    """
    shapes = (
        (9, FIRST),
        (9 * FIRST, SECOND),
        ((side // 4) ** 2 * SECOND, FEATURES),
        (FEATURES, classes),
    )
    weights = tuple(rng.standard_normal(shape) * np.sqrt(2 / shape[0]) for shape in shapes)
    return Network(weights, tuple(np.zeros(width) for _, width in shapes))


def trained(
    network: Network,
    pictures: Array,
    labels: Array,
    rng: np.random.Generator,
    *,
    epochs: int,
    vary: Callable[[Array, np.random.Generator], Array],
) -> Network:
    """Return the network after some epochs of Adam (Kingma, Ba 2015), its rate falling to zero.

    Parameters
    ----------
    network : Network
    pictures : ndarray of shape (n, side, side)
    labels : ndarray of int, shape (n,)
    rng : numpy.random.Generator
        Order of the pictures.
    epochs : int
    vary : callable
        (pictures, rng) -> the pictures as they are shown, varied at random.
    """
    parts = [part.copy() for part in (*network.weights, *network.shifts)]
    means, squares = ([np.zeros_like(part) for part in parts] for _ in "ms")
    per_epoch = -(-len(labels) // BATCH)
    steps = epochs * per_epoch
    for step in range(steps):
        if step % per_epoch == 0:
            order = rng.permutation(len(labels))
        rows = order[step % per_epoch * BATCH :][:BATCH]
        now = Network(tuple(parts[:4]), tuple(parts[4:]))
        _, gradient = now.loss(vary(pictures[rows], rng), labels[rows])
        rate = RATE * (1 - step / steps)
        for part, mean, square, g in zip(parts, means, squares, gradient, strict=True):
            mean += 0.1 * (g - mean)
            square += 0.001 * (g * g - square)
            unbiased = np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8
            part -= rate / (1 - 0.9 ** (step + 1)) * mean / unbiased
    return Network(tuple(parts[:4]), tuple(parts[4:]))


def _patches(pictures: Array) -> Array:
    """Return what a 3 by 3 window sees at each pixel, zeros outside: (n, h, w, 9 c)."""
    n, h, w, c = pictures.shape
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sliding_window_view(padded, (3, 3), axis=(1, 2)).reshape(n, h, w, 9 * c)


def _folded(patches: Array) -> Array:
    """Return the transpose of `_patches`: each pixel collects from all windows that see it."""
    n, h, w, width = patches.shape
    seen = patches.reshape(n, h, w, width // 9, 3, 3)
    total = np.zeros((n, h + 2, w + 2, width // 9))
    for i in range(3):
        for j in range(3):
            total[:, i : i + h, j : j + w] += seen[..., i, j]
    return total[:, 1:-1, 1:-1]


def _halved(pictures: Array) -> Array:
    """Return means of 2 by 2 pixels, (n, h / 2, w / 2, c)."""
    n, h, w, c = pictures.shape
    return np.asarray(pictures.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4)))


def _spread(pictures: Array) -> Array:
    """Return the transpose of `_halved`."""
    return np.asarray(pictures.repeat(2, axis=1).repeat(2, axis=2) / 4)


def _by_weights(patches: Array, g: Array) -> tuple[Matrix, Array]:
    width = g.shape[-1]
    flat = g.reshape(-1, width)
    return patches.reshape(-1, patches.shape[-1]).T @ flat, flat.sum(axis=0)
