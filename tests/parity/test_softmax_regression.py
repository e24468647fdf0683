"""SoftmaxRegressor brings back what was planted, and does not lose to scipy.least_squares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.special import softmax

from softunit import SoftmaxRegressor

PROBLEMS = range(50)
NOISES = ("shares", "scores", "counts")


def drawn(seed):
    """A design of n 20 to 2,000 rows and d 2 to 20 columns, and an x for it."""
    rng = np.random.default_rng(seed)
    n = int(np.exp(rng.uniform(np.log(20), np.log(2000))))
    d = int(rng.integers(2, 21))
    return rng, rng.normal(size=(n, min(d, n - 2))), rng.normal(size=min(d, n - 2))


def noisy(rng, A, x, kind):
    """softmax(A x) with noise of one of three kinds, a distribution still."""
    n = len(A)
    f = softmax(A @ x)
    if kind == "shares":  # multiplied entry by entry
        b = f * rng.gamma(4.0, 0.25, n)
    elif kind == "scores":  # misfit inside the softmax
        b = softmax(A @ x + 0.5 * rng.normal(size=n))
    else:  # a sample of outcomes: most shares are zero
        b = rng.multinomial(5 * n, f).astype(float)
    return b / b.sum()


def value(A, x, b):
    c = softmax(A @ x) - b
    return 0.5 * float(c @ c)


def scipy_value(A, b):
    def jacobian(x):
        f = softmax(A @ x)
        return f[:, None] * (A - f @ A)

    found = least_squares(
        lambda x: softmax(A @ x) - b,
        np.zeros(A.shape[1]),
        jacobian,
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
        max_nfev=2000,
    )
    return value(A, found.x, b)


@pytest.mark.parametrize("seed", PROBLEMS)
def test_planted_x_comes_back(seed):
    _, A, x = drawn(seed)
    b = softmax(A @ x)
    model = SoftmaxRegressor().fit(A, b)
    assert model.solution_.converged
    np.testing.assert_allclose(model.coef_, x, rtol=0, atol=1e-8)
    np.testing.assert_allclose(model.predict(A), b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", PROBLEMS)
def test_noisy_value_is_not_above_scipy(seed):
    rng, A, x = drawn(1000 + seed)
    b = noisy(rng, A, x, NOISES[seed % 3])
    model = SoftmaxRegressor().fit(A, b)
    ours, theirs = value(A, model.coef_, b), scipy_value(A, b)
    assert ours <= theirs * (1 + 1e-8) + 1e-15
    assert model.solution_.value == pytest.approx(ours, rel=1e-10, abs=1e-20)
