"""Warnings name the caller's line, however deep in an estimator they arise."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import softunit as su
from softunit.errors import SoftunitWarning, warn

RNG = np.random.default_rng(0)
A = RNG.standard_normal((30, 3))
TWICE = np.column_stack([A, A[:, 0]])
B = np.exp(A @ [0.5, -0.5, 0.2]) + 0.1 * RNG.uniform(size=30)

CASES = {
    "softmax": lambda: su.SoftmaxRegressor(max_iter=1).fit(TWICE, B),
    "exp": lambda: su.HyperbolicRegressor("exp", max_iter=1).fit(TWICE, B - 1.0),
    "cosh": lambda: su.HyperbolicRegressor("cosh", max_iter=1, restarts=1).fit(TWICE, B + 1.0),
    "paper": lambda: su.HyperbolicRegressor("sinh", fidelity="paper", max_iter=1).fit(TWICE, B),
    "rescaled": lambda: su.RescaledRegressor("cosh", max_iter=1, restarts=1).fit(TWICE, B),
    "two-layer": lambda: su.TwoLayerRegressor(
        RNG.standard_normal((3, 30)), max_iter=1, restarts=1
    ).fit(TWICE, np.full(3, 0.9)),
    "leverage": lambda: su.LeverageScoreInverter(restarts=1).fit(TWICE, np.full(30, 0.2), B),
    "classifier": lambda: su.SoftmaxClassifier(C=np.inf, max_iter=1).fit(TWICE, B > 1.0),
}


@pytest.mark.parametrize("name", CASES)
def test_every_warning_names_the_line_that_called(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CASES[name]()
    assert caught
    assert {warning.filename for warning in caught} == {__file__}


def test_a_warning_from_outside_is_at_its_own_line():
    with pytest.warns(SoftunitWarning, match="here") as caught:
        warn("here", SoftunitWarning)
    assert caught[0].filename == __file__
