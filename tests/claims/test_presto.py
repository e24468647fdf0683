"""Claim 3.16: what holds at small size, and that broken ends and errors are found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from softunit.claims import Effort, presto
from softunit.claims.presto import CLAIM, OTHERS, OWN, Truth, predictions, unpenalised
from softunit.estimators import OrdinalClassifier

QUICK = Effort(share=0.02)


@pytest.fixture(scope="module")
def evidence():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presto, "FOLDS", 2)
        return CLAIM.measure(QUICK)


def test_both_ends_hold_and_every_method_is_tested(evidence):
    strong, none, *tests = evidence.findings
    assert len(evidence.notes) == 2
    assert strong.holds
    assert none.holds
    assert len(tests) == 2 * len(OTHERS) == 6
    # Few runs leave p-values open, or undefined; that the tests can tell is shown below.
    assert all(math.isnan(test.value) or 0 <= test.value <= 1 for test in tests)
    assert len(evidence.picture.series) == 4


def test_errors_that_do_not_differ_are_no_gain(rng):
    same = rng.random(20).tolist()
    found = list(presto._tests(dict.fromkeys((OWN, *OTHERS), same), ""))
    assert not any(finding.holds for finding in found)


def test_errors_that_are_lower_or_higher_are_told(rng):
    base = rng.random(20)
    for sign, holds in ((-1, True), (1, False)):
        errors = {name: base.tolist() for name in OTHERS}
        errors[OWN] = (base + sign * (0.1 + 0.01 * rng.random(20))).tolist()
        assert [finding.holds for finding in presto._tests(errors, "")] == [holds] * 3


def test_a_weak_penalty_in_place_of_a_strong_one_is_found(monkeypatch):
    monkeypatch.setattr(presto, "STRONG", 1e-4)
    strong, none = presto._ends(QUICK)
    assert not strong.holds
    assert none.holds


def test_a_penalty_in_place_of_none_is_found(monkeypatch):
    class Held(OrdinalClassifier):
        def fit(self, X, y, sample_weight=None):
            self.presto = 1e-3 if self.presto == 0 else self.presto
            return super().fit(X, y, sample_weight)

    monkeypatch.setattr(presto, "OrdinalClassifier", Held)
    strong, none = presto._ends(QUICK)
    assert strong.holds
    assert not none.holds


def test_the_truth_keeps_its_order_and_its_last_class_is_rare(rng):
    truth = Truth.drawn(rng, 0.4)
    x, y = truth.sample(rng, 100_000)
    below = truth.below(x)
    assert (below[:, 1] > below[:, 0]).all()
    assert np.mean(y == 2) == pytest.approx(truth.rare(x).mean(), rel=0.15)
    assert np.mean(y == 0) == pytest.approx(below[:, 0].mean(), rel=0.02)
    assert 0.003 < np.mean(y == 2) < 0.03


def test_largest_likelihood_is_found_without_the_package(rng):
    truth = Truth(np.array([-0.5, 1.0]), np.array([[1.0] * 10, [0.9] * 10]) / 3)
    x, y = truth.sample(rng, 4000)
    found = unpenalised(x, y, OrdinalClassifier().fit(x, y))
    np.testing.assert_allclose(found, truth.beta, atol=0.35)
    assert np.abs(found - truth.beta).max() > 0.0


def test_predictions_are_probabilities_near_the_truth(rng):
    truth = Truth.drawn(rng, 0.4)
    x, y = truth.sample(rng, 2500)
    shown = rng.uniform(-1, 1, (1000, 10))
    found = predictions(x, y, shown, rng)
    assert set(found) == {OWN, *OTHERS}
    for p in found.values():
        assert p.shape == (1000,)
        assert 0 <= p.min() <= p.max() <= 1
        assert np.mean((p - truth.rare(shown)) ** 2) < 1e-3


def test_the_strength_is_that_of_the_least_loss_on_rows_left_out(rng):
    truth = Truth(np.array([-1.0, 2.0]), np.array([[0.3] * 10, [0.01] * 10]))
    x, y = truth.sample(rng, 1500)
    # Shared weights are far from those of the last threshold.
    assert presto._best(x, y, np.array([0.3, 1e-4]), rng) == 1
