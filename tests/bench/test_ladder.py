"""Tolerances are tightened until the judge is content; then fits are repeated, within a budget."""

from __future__ import annotations

import pytest

from softunit.bench.ladder import ENOUGH, MOST, RUNGS, climb
from tests.bench.stand_ins import SMALL, Clock, honest, liar, peer


def told(fit, *, step=1.0, first_tol=1e-6, **settings):
    """Return the events of a stand-in whose fits take `step` seconds of a made-up clock."""
    events = []
    climb(
        peer(fit, first_tol),
        SMALL.task(),
        events.append,
        clock=Clock(step),
        **({"budget": 1e9} | settings),
    )
    assert events[-1] == {"event": "end"}
    return [event for event in events if event["event"] == "fit"]


def test_a_peer_that_lies_is_tried_at_every_tolerance_and_never_believed():
    fits = told(liar)
    assert len(fits) == RUNGS
    assert [fit["tol"] for fit in fits] == pytest.approx([10.0 ** -(6 + i) for i in range(RUNGS)])
    assert min(fit["gradient"] for fit in fits) > 1e-3


def test_a_miss_tightens_and_a_hit_repeats():
    def fit(task, tol):
        return honest(task, tol) if tol < 5e-8 else liar(task, tol)

    fits = told(fit, step=ENOUGH / 2.5)
    assert [one["tol"] for one in fits] == pytest.approx([1e-6, 1e-7, 1e-8, 1e-8, 1e-8])
    assert all(one["gradient"] <= 1e-6 for one in fits[2:])


def test_one_long_fit_is_enough_and_short_ones_are_repeated_more():
    assert len(told(honest, step=ENOUGH)) == 1
    assert len(told(honest, step=1e-6)) == MOST
    assert len(told(honest, step=1e-6, repeats=1)) == 1
    assert len(told(honest, step=0.1, repeats=4)) == 4


def test_no_fit_begins_after_the_budget():
    assert len(told(liar, step=1.0, budget=2.5)) == 3
    assert len(told(honest, step=1.0, budget=0.5)) == 1


def test_the_time_that_is_left_is_said_before_each_fit():
    events = []
    climb(peer(liar), SMALL.task(), events.append, budget=3.0, clock=Clock(1.0))
    assert [e["left"] for e in events if e["event"] == "begin"] == [3.0, 2.0, 1.0]
