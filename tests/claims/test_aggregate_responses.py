"""Claim 3.15: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from softunit.claims import Effort, aggregate_responses
from softunit.claims.aggregate_responses import (
    CLAIM,
    asymptotic_risk,
    bag_means,
    fitted,
    square_losses,
)

QUICK = Effort(share=0.2)


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def test_it_holds():
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence) == []
    assert len(evidence.findings) == 4
    assert len(evidence.picture.series) == 6
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_bags_that_are_mixed_up_are_found(monkeypatch):
    monkeypatch.setattr(
        aggregate_responses, "bag_means", lambda y, size: bag_means(np.roll(y, 1, axis=0), size)
    )
    assert any("asymptotic formula" in what for what in failing(CLAIM.measure(QUICK)))


def test_a_formula_without_bias_is_found(monkeypatch):
    def without(bags, within, rho, variance):
        right = asymptotic_risk(bags, within, rho, variance)
        return right - asymptotic_risk(bags, within, rho, 0.0) if math.isfinite(right) else right

    monkeypatch.setattr(aggregate_responses, "asymptotic_risk", without)
    assert any("asymptotic formula" in what for what in failing(CLAIM.measure(QUICK)))


def test_a_loss_between_that_is_no_better_is_found(monkeypatch):
    monkeypatch.setattr(aggregate_responses, "best_rho", lambda size, variance: 0.9)
    assert any("risk of the best rho" in what for what in failing(CLAIM.measure(QUICK)))


def test_noise_that_does_not_fall_with_the_size_is_found(monkeypatch):
    class Noisy(type(QUICK.rng())):
        def laplace(self, scale, size):
            return super().laplace(scale=1e-6, size=size)

    rng = Effort.rng
    monkeypatch.setattr(Effort, "rng", lambda self, *keys: Noisy(rng(self, *keys).bit_generator))
    # Without noise there is no reason for bags at all.
    assert [what for what in failing(CLAIM.measure(QUICK)) if "private" in what] != []


def test_a_loss_that_sums_within_bags_is_found(monkeypatch):
    def summed(f, response):
        bag, within = square_losses(f, response)
        return bag, within * f.shape[1]

    monkeypatch.setattr(aggregate_responses, "square_losses", summed)
    (what,) = failing(CLAIM.measure(QUICK))
    assert what.startswith("|L_ins - L_bag - variance")


@pytest.mark.parametrize("rho", [0.02, 0.4, 1.0])
def test_the_fit_is_the_minimum_of_both_losses(rho, rng):
    x, means, size = rng.standard_normal((24, 3)), rng.standard_normal((6, 1)), 4
    (found,) = fitted(x, means, size, (rho,))

    def loss(w):
        bag, within = square_losses((x @ w).reshape(6, size), means)
        return (1 - rho) * bag + rho * (bag + within)

    end = minimize(loss, np.zeros(3), tol=1e-14)
    np.testing.assert_allclose(found[:, 0], end.x, atol=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(9, 4), (4, 9)])
def test_no_penalty_is_least_squares_of_least_norm(rows, columns, rng):
    x, means = rng.standard_normal((2 * rows, columns)), rng.standard_normal((rows, 2))
    (found,) = fitted(x, means, 2, (0.0,))
    centres = x.reshape(rows, 2, columns).mean(axis=1)
    np.testing.assert_allclose(found, np.linalg.pinv(centres) @ means, atol=1e-10)


def test_the_formula_at_its_ends():
    # One row in each bag, and rho = 1, are ordinary least squares.
    assert asymptotic_risk(4.0, 0.0, 0.3, 2.0) == pytest.approx(2 / 3)
    # As rho falls to zero with more bags than columns: least squares of the bags' means.
    assert asymptotic_risk(2.0, 2.0, 1e-9, 1.0) == pytest.approx(1.0, rel=1e-6)
    assert asymptotic_risk(2.0, 2.0, 0.0, 1.0) == 1.0
    # rho = 1: theta = (X'X)^-1 X' (means, spread), by hand.
    size, c = 5, 4.0
    bias = (1 - 1 / size) ** 2 + (1 - 1 / size) / size / (c - 1)
    by_hand = bias + 0.7 / size / (c - 1)
    assert asymptotic_risk(c / size, c - c / size, 1.0, 0.7) == pytest.approx(by_hand)


def test_private_responses_are_cut_and_hidden_by_the_noise_that_privacy_asks_for(monkeypatch):
    seen, scales = [], []

    def watched(y, size):
        seen.append(float(np.abs(y).max()))
        return bag_means(y, size)

    class Watched(type(QUICK.rng())):
        def laplace(self, scale, size):
            scales.append(scale)
            return super().laplace(scale=scale, size=size)

    rng = Effort.rng
    monkeypatch.setattr(Effort, "rng", lambda self, *keys: Watched(rng(self, *keys).bit_generator))
    monkeypatch.setattr(aggregate_responses, "bag_means", watched)
    monkeypatch.setattr(aggregate_responses, "PRIVATE_SIZES", (1, 5))
    aggregate_responses._private(QUICK, 120, 1)
    bound = 3.0 * math.sqrt(1 + 0.5**2)
    # Enough draws that some would lie outside.
    assert seen == pytest.approx([bound, bound])
    # One response moves the mean of its bag by twice the bound over the size.
    assert scales == pytest.approx([2 * bound / 3.0, 2 * bound / 5 / 3.0])
