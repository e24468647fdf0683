"""95% intervals hold the truth about 95 times in 100: 200 simulations, seeds fixed.

The whole of it, 1,000 simulations, is `python -m benchmarks.coverage`.
"""

from __future__ import annotations

import pytest

from benchmarks.coverage import CASES, measure

HONEST = sorted(set(CASES) - {"repeated choices"})


@pytest.mark.parametrize("model", HONEST)
def test_intervals_hold_the_truth_as_often_as_they_say(model):
    for found in measure(model, simulations=200):
        assert 0.93 <= found.coverage <= 0.97, found
        assert found.least >= 0.90, found


def test_clustered_errors_do_where_classical_ones_are_found_out():
    good, wrong = measure("repeated choices", simulations=100)
    assert 0.93 <= good.coverage <= 0.97
    assert wrong.coverage < 0.75
