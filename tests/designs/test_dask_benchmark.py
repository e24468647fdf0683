"""The benchmark of Dask workers draws the same rows each time, and its judge can say no."""

from __future__ import annotations

import numpy as np
import pytest

import softunit as su
from benchmarks.distributed import block_of, data_of, gradients, judged, labels_of, problem_of
from benchmarks.planted_rows import Planted

SMALL = Planted(n=900, d=3, k=3, file_rows=400)


def test_rows_are_those_of_the_partitions():
    X, y = data_of(SMALL, None)
    assert (X.shape, X.dtype, y.dtype) == ((900, 3), np.float32, np.uint8)
    np.testing.assert_array_equal(X[800:], block_of(SMALL, 2))
    np.testing.assert_array_equal(y[400:800], labels_of(SMALL, 1))


def test_gradients_are_those_of_the_problem(rng):
    problem = problem_of(*data_of(SMALL, None), SMALL)
    start = rng.standard_normal(problem.shape)
    optimum = su.minimize(problem, solver="newton", tol=1e-9).x
    points = [problem.design.to_input(x) for x in (start, optimum)]
    far, near = gradients(SMALL, points)
    assert far == pytest.approx(problem.gradient_norm(problem.gradient(start)), rel=1e-9)
    assert near <= 2e-9


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({}, []),
        ({"gradient": 2e-6}, ["gradient"]),
        ({"seconds": 14.0}, ["overhead"]),
        ({"seconds": 9.0}, ["faster"]),
    ],
    ids=["kept", "gradient", "overhead", "faster"],
)
def test_each_bar_can_be_broken(changed, broken):
    runs = [{"seconds": s, "gradient": 1e-7} for s in (10.0, 12.0, 6.0)]
    runs[1] |= changed
    assert [name for name, bar in judged(runs).items() if not bar["kept"]] == broken
