"""One revision against another: what counts as slower."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import softunit
from benchmarks.compare import Pair, Thresholds, compare, verdict
from tests.bench.stand_ins import SMALL

LIMITS = Thresholds(1.2, 1.1, 0.01, {"loose": 3.0})


@pytest.mark.parametrize(
    ("pair", "slower"),
    [
        (Pair("a", 1.0, 1.1), False),
        (Pair("a", 1.0, 1.3), True),
        (Pair("loose", 1.0, 1.3), False),
        (Pair("a", 0.001, 0.01), False),  # within the noise of the clock
        (Pair("a", 1.0, None), True),  # head no longer meets the bar
        (Pair("a", None, 1.0), False),
        (Pair("a", None, None), False),
    ],
)
def test_slower_is_above_the_threshold_and_the_noise(pair, slower):
    assert pair.slower(LIMITS) is slower


def test_the_verdict_names_what_is_slower():
    mean, said = verdict([Pair("a", 1.0, 2.0), Pair("b", 1.0, 1.0), Pair("c", 1.0, None)], LIMITS)
    assert mean == pytest.approx(math.sqrt(2))
    assert [sentence.partition(":")[0] for sentence in said[:2]] == ["a", "c"]
    assert said[2].startswith("geometric mean 1.414")
    assert verdict([], LIMITS) == (None, [])


def test_the_thresholds_of_the_file_are_read():
    found = Thresholds.read()
    assert found.of("iris") > found.of("probe") == found.case > 1.0


def test_both_sides_are_fitted_in_turn_and_judged():
    source = Path(softunit.__file__).parents[1]
    pair = compare(SMALL, {"base": source, "head": source}, "auto", 1, 1)
    assert pair.base > 0
    assert pair.head > 0
