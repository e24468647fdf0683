"""The recession of a unit is what its loss does far along a direction."""

from __future__ import annotations

import numpy as np
import pytest

from softunit.units import CumulativeLogit, GroupedSoftmax, Multinomial, SoftmaxSquares

GROUPS = np.array([0, 1, 0, 1, 1, 2, 0, 2])
SHARES = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5], [0, 0, 1], [0, 0.5, 0.5]])
HALVES = np.array([[1, 0], [0.5, 0.5], [0.3, 0.7], [0, 1], [0.5, 0.5]])
LABELS = np.array([0, 2, 1, 2, 0])
WEIGHTS = np.array([1.0, 0.0, 2.0, 1.0, 0.5])

CASES = {
    "labels": (Multinomial(3), LABELS, 3, None),
    "weighted": (Multinomial(3), LABELS, 3, WEIGHTS),
    "shares": (Multinomial(3), SHARES, 3, None),
    "one-score": (Multinomial(2), LABELS.clip(0, 1), 1, WEIGHTS),
    "one-score-shares": (Multinomial(2), HALVES, 1, None),
    "choices": (GroupedSoftmax(GROUPS), np.array([1.0, 0, 0, 1, 0.5, 0, 0, 1]), 1, None),
    "choices-weighted": (
        GroupedSoftmax(GROUPS),
        np.array([1.0, 0, 0, 1, 0.5, 0, 0, 1]),
        1,
        np.array([0.0, 1, 0, 1, 1, 1, 0, 1]),
    ),
    "levels": (CumulativeLogit(4), np.array([0, 3, 1, 2, 1]), 3, WEIGHTS),
    "gaps": (CumulativeLogit(4, differences=True), np.array([0, 3, 1, 2, 1]), 3, None),
}


def loss_along(case, dz, t):
    unit, target, columns, weights = case
    z = np.zeros((len(target), columns))
    if unit.outcome == "level":
        z += [1.0, 1.0, 1.0] if unit.differences else [-1.0, 0.0, 1.0]
    z = z + t * dz
    return unit.value(z[:, 0] if columns == 1 else z, target, weights)


@pytest.mark.parametrize("name", CASES)
def test_forms_tell_whether_the_loss_rises_or_falls_or_stays(name, rng):
    case = CASES[name]
    unit, target, columns, weights = case
    forms = unit.recession(target, columns, weights)
    assert forms.forms.shape == (len(forms), len(target) * columns)
    assert forms.forms.indices.min() >= 0  # a score of zero has no entry
    seen = set()
    for _ in range(400):
        dz = rng.integers(-1, 2, (len(target), columns)).astype(float)
        if rng.random() < 0.8:  # most directions at random rise: push forms that do to zero
            v = forms.forms @ dz.ravel()
            wrong = np.where(forms.equal, v != 0, v < 0)
            dense = forms.forms.toarray()
            off = np.linalg.lstsq(dense[wrong], v[wrong], rcond=None)[0]
            dz = dz - off.reshape(dz.shape)
        v = forms.forms @ dz.ravel()
        rises = bool((np.where(forms.equal, np.abs(v), -v) > 1e-9).any())
        falls = not rises and bool((v > 1e-9).any())
        near, mid, far = (loss_along(case, dz, t) for t in (0.0, 2.0, 2000.0))
        if rises:
            assert far > near
        elif falls:
            assert far < mid < near
        else:
            assert mid == pytest.approx(near, abs=1e-6)
            assert far == pytest.approx(near, abs=1e-2)
        seen.add("rises" if rises else "falls" if falls else "stays")
    assert {"rises", "falls"} <= seen


def test_rows_of_no_weight_have_no_forms():
    kept = Multinomial(3).recession(LABELS[[0, 2]], 3)
    weights = np.array([1.0, 0.0, 1.0, 0.0, 0.0])
    whole = Multinomial(3).recession(LABELS, 3, weights)
    np.testing.assert_array_equal(whole.own, kept.own)
    np.testing.assert_array_equal(whole.other, kept.other)


def test_losses_that_are_no_likelihood_have_none():
    assert SoftmaxSquares().recession(np.ones(3) / 3, 1) is None
    squares = GroupedSoftmax(GROUPS, loss="squares")
    assert squares.recession(np.ones(8) / 8, 1) is None
