"""Claim 4.18: where it holds at small size and where not, and that broken features are found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import average_precision_score

from softunit.claims import Effort, _digit_network, frozen_features
from softunit.claims._digit_network import Network, trained, untrained
from softunit.claims.frozen_features import (
    CLAIM,
    SIDES,
    mean_average_precision,
    placed,
    representations,
)

QUICK = Effort(share=0.05)
APART = {name: side for name, side in SIDES.items() if side > 8}


@pytest.fixture
def quick(monkeypatch):
    """Two numbers of shots and one C, and digits at random places only."""
    monkeypatch.setattr(frozen_features, "SHOTS", (5, 10))
    monkeypatch.setattr(frozen_features, "TEN", 1)
    monkeypatch.setattr(frozen_features, "CS", (10.0,))
    monkeypatch.setattr(frozen_features, "SIDES", APART)


def gains(evidence):
    return [finding.holds for finding in evidence.findings[:3]]


def test_features_are_better_where_digits_are_not_centred(quick):
    evidence = CLAIM.measure(QUICK)
    assert gains(evidence) == [True] * 3
    assert len(evidence.findings) == 5
    assert len(evidence.picture.series) == 2


def test_pixels_are_better_where_they_are(quick, monkeypatch):
    monkeypatch.setattr(frozen_features, "SIDES", {"as they are": 8})
    assert gains(CLAIM.measure(QUICK)) == [False] * 3


def test_features_that_know_nothing_are_found(quick, monkeypatch):
    def noise(self, pictures):
        return np.random.default_rng(1).random((len(pictures), 8))

    monkeypatch.setattr(Network, "features", noise)
    monkeypatch.setattr(Network, "scores", noise)
    monkeypatch.setattr(frozen_features, "trained", lambda network, *data, **how: network)
    assert gains(CLAIM.measure(QUICK)) == [False] * 3


@pytest.mark.parametrize("index", range(8))
def test_derivatives_of_the_networks_loss(index, rng):
    network = untrained(rng, 8, 3)
    shifts = tuple(0.1 * rng.standard_normal(len(shift)) for shift in network.shifts)
    network = Network(network.weights, shifts)
    pictures, labels = rng.random((5, 8, 8)), rng.integers(0, 3, 5)
    _, slopes = network.loss(pictures, labels)
    parts = [*network.weights, *network.shifts]
    places = rng.integers(0, parts[index].size, 6)
    for place in places:
        values = []
        for sign in (1, -1):
            moved = [part.copy() for part in parts]
            moved[index].flat[place] += sign * 1e-6
            values.append(Network(tuple(moved[:4]), tuple(moved[4:])).loss(pictures, labels)[0])
        quotient = (values[0] - values[1]) / 2e-6
        assert slopes[index].flat[place] == pytest.approx(quotient, rel=1e-4, abs=1e-8)


def test_training_learns(rng):
    pictures = rng.random((60, 8, 8))
    labels = (pictures[:, :4].mean(axis=(1, 2)) > pictures[:, 4:].mean(axis=(1, 2))).astype(int)
    network = untrained(rng, 8, 2)
    after = trained(network, pictures, labels, rng, epochs=60, vary=lambda some, draws: some)
    assert after.loss(pictures, labels)[0] < 0.3 * network.loss(pictures, labels)[0]


def test_windows_and_their_transposes(rng):
    pictures, patches = rng.random((2, 4, 4, 3)), rng.random((2, 4, 4, 27))
    seen = _digit_network._patches(pictures)
    assert seen[0, 1, 2].reshape(3, 3, 3)[1, 0, 2] == pictures[0, 0, 3, 1]
    assert np.vdot(seen, patches) == pytest.approx(
        np.vdot(pictures, _digit_network._folded(patches))
    )
    small = rng.random((2, 2, 2, 3))
    assert np.vdot(_digit_network._halved(pictures), small) == pytest.approx(
        np.vdot(pictures, _digit_network._spread(small))
    )


def test_precision_is_that_of_scikit_learn(rng):
    rows, y = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)
    near = -cdist(rows, rows, "cosine")
    expected = [
        average_precision_score(np.delete(y, i) == y[i], np.delete(near[i], i)) for i in range(40)
    ]
    assert mean_average_precision(rows, y) == pytest.approx(np.mean(expected), rel=1e-10)


def test_places_and_moved_copies(rng):
    pictures = rng.random((4, 8, 8)) + 0.1
    ground = placed(pictures, 12, rng)
    np.testing.assert_allclose(ground.sum(axis=(1, 2)), pictures.sum(axis=(1, 2)))
    np.testing.assert_array_equal(placed(pictures, 8, rng), pictures)
    found = representations(untrained(rng, 12, 2), ground)
    assert found["pixels"].shape == (4, 144)
    for kind in ("features", "averaged"):
        np.testing.assert_allclose(np.linalg.norm(found[kind], axis=1), 1.0)
    assert not np.allclose(found["features"], found["averaged"])
