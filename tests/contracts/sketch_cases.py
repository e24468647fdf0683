"""One row for each sketch: a row buys every check of its kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from softunit.sketches import (
    SRHT,
    CountSketch,
    Gaussian,
    LeverageSampling,
    Sketch,
    UniformSampling,
)

N, D, M = 2000, 3, 1024
"""Shape of A and rows of S where distortions are measured."""


def coherent(rng: np.random.Generator) -> np.ndarray:
    """A of shape (N, D) in which D rows outweigh all others."""
    a = rng.standard_normal((N, D))
    a[:: N // D][:D] += 200 * np.eye(D)
    return a


def even(rng: np.random.Generator) -> np.ndarray:
    """A of shape (N, D) in which no row matters much more than others."""
    return rng.uniform(0.5, 1.5, (N, D)) * rng.choice([-1.0, 1.0], (N, D))


@dataclass(frozen=True)
class SketchCase:
    """A sketch, a matrix that it has a promise for, and what is found there.

    `typical` is the distortion that 95 of 100 seeds stay below: measured, and far below the promise
    for those whose proofs are loose.
    """

    name: str
    subject: Sketch
    typical: float
    matrix: Callable[[np.random.Generator], np.ndarray] = coherent


SKETCHES = [
    SketchCase("gaussian", Gaussian(M), 0.15),
    SketchCase("srht", SRHT(M), 0.08),
    SketchCase("count-sketch", CountSketch(M), 0.06),
    SketchCase("count-sketch-eight", CountSketch(M, nonzeros=8), 0.15),
    SketchCase("leverage-exact", LeverageSampling(M, method="exact"), 0.11),
    SketchCase("leverage-sketched", LeverageSampling(M), 0.11),
    SketchCase("uniform", UniformSampling(M, coherence=0.01), 0.08, matrix=even),
]
