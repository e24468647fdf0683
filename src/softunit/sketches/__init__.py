"""Sketches: random linear maps and row samples that keep lengths, with a stated distortion."""

from softunit.sketches.base import Distortion, Drawn, Sketch
from softunit.sketches.count_sketch import CountSketch
from softunit.sketches.gaussian import Gaussian
from softunit.sketches.leverage import leverage_scores
from softunit.sketches.leverage_sampling import LeverageSampling
from softunit.sketches.srht import SRHT
from softunit.sketches.uniform_sampling import UniformSampling

__all__ = [
    "CountSketch",
    "Distortion",
    "Drawn",
    "Gaussian",
    "LeverageSampling",
    "SRHT",
    "Sketch",
    "UniformSampling",
    "leverage_scores",
]
