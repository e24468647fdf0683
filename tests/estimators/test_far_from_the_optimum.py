"""Fits in which a small gradient, or no step at all, is far from the optimum."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from softunit import SoftmaxClassifier
from softunit.solution import Status


def gaussian(n: int = 20_000, d: int = 20, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((n, d)), rng.standard_normal((d, k))
    return x, (x @ w + rng.gumbel(size=(n, k))).argmax(axis=1)


def test_a_first_step_that_overshoots_is_not_believed():
    # Five rows for each class: one step leaves a gradient of 1e-7 and sixty times the optimum.
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(20), 5)
    x = rng.standard_normal((100, 150)) + 2 * rng.standard_normal((20, 150))[y]
    model = SoftmaxClassifier(C=1e4).fit(x, y)
    exact = SoftmaxClassifier(C=1e4, solver="newton", tol=1e-12).fit(x, y)
    assert model.solution_.solver == "SketchedNewton"
    assert model.solution_.converged
    assert model.certificate_.value == pytest.approx(exact.certificate_.value, rel=1e-2)
    assert model.certificate_.gap_bound <= 0.1 * model.certificate_.value


@pytest.mark.parametrize("solver", ["auto", "sketched-newton"])
def test_heavy_tails_are_handed_to_newton(solver):
    rng = np.random.default_rng(0)
    h = rng.standard_cauchy((20_000, 20))
    scores = np.sign(h) * np.log1p(np.abs(h)) @ rng.standard_normal((20, 4))
    y = (scores + rng.gumbel(size=(20_000, 4))).argmax(axis=1)
    model = SoftmaxClassifier(solver=solver).fit(h * np.abs(h), y)
    assert model.solution_.converged
    assert model.certificate_.value < 1.32 < np.log(4)


def test_columns_of_very_different_size_are_proved():
    x, y = gaussian()
    x[:, 0] *= 1e12
    x[:, 1] *= 1e-12
    model = SoftmaxClassifier().fit(x, y)
    assert model.solution_.status is Status.PROVED
    assert model.certificate_.gap_bound <= 1e-12


@pytest.mark.parametrize("weight", [1e-300, 1e300])
def test_weights_of_any_size_change_nothing(weight):
    x, y = gaussian(n=6_000)
    plain = SoftmaxClassifier(C=1.0, tol=1e-8).fit(x, y)
    model = SoftmaxClassifier(C=1 / weight, tol=1e-8)
    model.fit(x, y, sample_weight=np.full(len(y), weight))
    assert model.solution_.converged
    assert model.certificate_.value == pytest.approx(plain.certificate_.value, rel=1e-9)


def test_the_bound_is_never_above_the_value():
    x, y = gaussian()
    with pytest.warns(ConvergenceWarning, match="at most .* above the optimum"):
        model = SoftmaxClassifier(C=1e6, max_iter=1).fit(x, y)
    assert model.certificate_.gap_bound <= model.certificate_.value * (1 + 1e-9)
