"""The claim on block coordinate descent holds at a small size, and can come out false."""

from __future__ import annotations

import math

import numpy as np
import pytest

from softunit.claims import block_coordinate
from softunit.claims.base import Effort
from softunit.solvers import BlockCoordinate

SMALL = Effort(share=0.05)


@pytest.fixture(autouse=True)
def small_trees(monkeypatch):
    monkeypatch.setattr(block_coordinate, "NODES", (200, 400))


def test_the_claim_holds():
    evidence = block_coordinate.CLAIM.measure(SMALL)
    judged = [finding for finding in evidence.findings if "time" not in finding.what]
    assert len(judged) == len(evidence.findings) - 1
    assert not [finding.what for finding in judged if not finding.holds]
    assert all(math.isfinite(finding.value) for finding in evidence.findings)


def test_a_rule_that_picks_the_worst_is_found(monkeypatch):
    honest = block_coordinate.BlockCoordinate

    def swapped(rule, *arguments, **settings):
        return honest({"gsq": "random", "random": "gsq"}.get(rule, rule), *arguments, **settings)

    monkeypatch.setattr(block_coordinate, "BlockCoordinate", swapped)
    findings = list(block_coordinate._ordering(block_coordinate._gaps(SMALL, "variable", 1), 60))
    assert not all(finding.holds for finding in findings)


def test_steps_without_curvature_are_not_superlinear(monkeypatch):
    def matrix(*arguments, **settings):
        return BlockCoordinate(*arguments, **settings, update="matrix")

    monkeypatch.setattr(block_coordinate, "BlockCoordinate", matrix)
    findings, _ = block_coordinate._identification(SMALL)
    assert not all(finding.holds for finding in findings)


def test_a_wrong_message_is_found(monkeypatch):
    honest = block_coordinate.tree_solve
    monkeypatch.setattr(block_coordinate, "tree_solve", lambda *a: honest(*a) * (1 + 1e-8))
    worst = [
        finding for finding in block_coordinate._trees(SMALL) if "solve against" in finding.what
    ]
    assert len(worst) == 1
    assert not worst[0].holds


def test_least_squares_are_what_they_say(rng):
    unit, z, b = block_coordinate._Squares(), rng.standard_normal(5), rng.standard_normal(5)
    s = rng.uniform(0, 2, 5)
    assert unit.value(z, b, s) == pytest.approx(0.5 * (s * (z - b) ** 2).sum())
    steps = 1e-6 * np.eye(5)
    slopes = [(unit.value(z + h, b, s) - unit.value(z - h, b, s)) / 2e-6 for h in steps]
    np.testing.assert_allclose(unit.value_gradient(z, b, s)[1], slopes, rtol=1e-6)
    np.testing.assert_array_equal(unit.curvature(z, b, s).weights, s)
    assert unit.bounds(b, s).highest == s.max()
    assert unit.value(z, b) == pytest.approx(unit.value(z, b, np.ones(5)))
