"""The planted vocabulary is what it says it is."""

from __future__ import annotations

import numpy as np
import pytest

from softunit.errors import InputError
from softunit.nn.studies.navigation import Vocabulary, drawn


def test_what_is_planted(rng):
    words = drawn(rng)
    assert words.keys.shape == (2000, 32)
    assert np.bincount(words.cluster).tolist() == [50] * 40
    assert words.correct.sum() == 60
    assert words.correct[words.cluster == 0].sum() == 3
    # The query asks for a direction that correct keys have in common.
    scores = words.keys @ words.query
    away = words.cluster != 0
    assert scores[words.correct & away].mean() > scores[~words.correct & away].mean() + 0.4


def test_ranks_and_company():
    keys = np.array([[3.0, 0], [2.9, 0], [2.5, 0.1], [0, 1], [0, 0.9], [-1, 0]])
    cluster = np.array([0, 0, 0, 1, 1, 1])
    words = Vocabulary(keys, cluster, np.zeros(6, bool), np.array([1.0, 1.0]))
    assert words.ranked(4).tolist() == [0, 1, 2, 3]
    # A strong push leaves the first cluster after one round.
    assert words.ranked(4, rounds=2, strength=0.2).tolist() == [0, 1, 3, 4]
    # Of ranks 2 to 4 two of three share the top's cluster; by chance two of the five others would.
    assert words.company(2, 4) == pytest.approx((2 / 3) / (2 / 5))


def test_what_cannot_be_drawn_is_refused(rng):
    with pytest.raises(InputError, match="got 2000 keys, 41 clusters"):
        drawn(rng, clusters=41)
    with pytest.raises(InputError, match="and 3 correct"):
        drawn(rng, correct=3)
    with pytest.raises(InputError, match="must divide the 100 candidates; got 7"):
        drawn(rng).ranked(100, rounds=7)
