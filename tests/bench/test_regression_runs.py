"""Regressions go through the worker, ladder and record of classifiers, at bars of their own."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from softunit.bench import (
    ALL_SUITES,
    BAR,
    CaseRun,
    Plan,
    Result,
    any_suite,
    case_from,
    figures,
    planned,
    record,
    regression_figures,
)
from softunit.bench.ladder import climb
from softunit.bench.peers import Answer, Peer
from softunit.bench.regression import REGRESSION_CASES, REGRESSION_PEERS
from softunit.bench.results import from_fits
from softunit.bench.worker import serve
from softunit.errors import InputError
from tests.bench.stand_ins import SMALL, Clock, made_up, regression

CASE = regression("exp", bar=1e-8)


def served(*orders):
    """Return the events of a worker after its orders."""
    events = []
    first = {"case": CASE.to_dict(), "threads": 1}
    serve(map(json.dumps, (first, *orders)), events.append)
    return events


def test_a_worker_draws_and_judges_a_regression():
    order = {"peer": "scipy-trust-ncg", "budget": 60.0, "repeats": 1}
    ready, *told = served(order)
    assert ready["event"] == "ready"
    assert ready["bytes"] == 8 * CASE.n * CASE.d
    assert ready["gradient_seconds"] > 0
    fits = [event for event in told if event["event"] == "fit"]
    assert {event["bar"] for event in fits} == {1e-8}
    assert fits[-1]["gradient"] <= 1e-8
    found = from_fits("c", "p", fits, unit=1.0, budget=60.0, stopped=False)
    assert found.reached
    short = [dict(fit, bar=fits[-1]["gradient"] / 2) for fit in fits]
    assert from_fits("c", "p", short, unit=1.0, budget=60.0, stopped=False).outcome == "missed"


def test_classifiers_are_no_peers_of_regressions():
    assert served({"peer": "sklearn-lbfgs", "budget": 1.0, "repeats": 1})[-1]["event"] == "failed"


def test_the_first_tolerance_follows_the_bar():
    asked = []

    def fit(task, tol):
        asked.append(tol)
        return Answer(task.start[:, None], np.zeros(1))

    peer = Peer("stand-in", fit, "softunit", "softunit", 10 * BAR)
    climb(peer, CASE.task(), lambda event: None, budget=1e9, repeats=1, clock=Clock(1.0))
    assert asked == pytest.approx([10 * 1e-8 * 0.1**rung for rung in range(5)])


def test_a_peer_may_prepare_before_the_clock_starts(monkeypatch):
    order = []

    def fit(task, tol):
        order.append(("fit", task.n))
        return Answer(task.start[:, None], np.zeros(1))

    peer = Peer(
        "stand-in",
        fit,
        "softunit",
        "softunit",
        prepare=lambda task: order.append(("prepare", task.n)),
    )
    monkeypatch.setitem(REGRESSION_PEERS, "stand-in", peer)
    served({"peer": "stand-in", "budget": 1.0, "repeats": 1})
    prepared = order.index(("prepare", CASE.n))
    assert {n for what, n in order[:prepared] if what == "fit"} == {60}
    assert {n for what, n in order[prepared + 1 :] if what == "fit"} == {CASE.n}


def test_suites_say_who_runs_and_wrong_names_are_refused():
    suite = any_suite("regression-quick")
    cases, peers = planned(suite, [], [])
    assert [case.name for case in cases] == list(suite.cases)
    assert [peer.name for peer in peers][:2] == ["softunit", "softunit-minimize"]
    cases, peers = planned(suite, ["exp-2k-10-e8", "exp-2k-10-e8"], ["scipy-lm", "softunit"])
    assert [case.name for case in cases] == ["exp-2k-10-e8"]
    assert [peer.name for peer in peers] == ["softunit", "scipy-lm"]
    with pytest.raises(InputError, match="iris"):
        planned(suite, ["iris"], [])
    with pytest.raises(InputError, match="sklearn-lbfgs"):
        planned(suite, [], ["sklearn-lbfgs"])
    with pytest.raises(InputError, match="regresion"):
        any_suite("regresion")


def test_cases_of_both_kinds_come_back_from_their_records():
    assert case_from(SMALL.to_dict()) == SMALL
    assert case_from(CASE.to_dict()) == CASE
    for suite in ALL_SUITES.values():
        assert suite.cases
        assert {name in REGRESSION_CASES for name in suite.cases} == {suite.kind == "regression"}


def runs():
    """Return the runs of two tables that the figures name, and of one that they do not."""
    size, much = REGRESSION_CASES["softmax-100k-100-e8"], REGRESSION_CASES["softmax-500k-200-e8"]
    first = made_up(size, softunit=1.0, scipy_trf=9.0, scipy_lm=8.0, scipy_lbfgs=None)
    first.results.append(Result(size.name, "scipy-lbfgs", "stopped", bound=4.0))
    alone = made_up(much, softunit=3.0, scipy_lbfgs=None)
    missed = made_up(CASE, softunit=None, scipy_lm=1.0)
    return [first, alone, missed]


def test_figures_name_the_better_of_trf_and_lm():
    found = regression_figures(runs())
    assert found["least_squares_ratio"] == {"softmax-100k-100-e8": 8.0}
    assert found["lbfgs_ratio"] == {"softmax-100k-100-e8": 4.0}
    assert found["at_least"] == ["lbfgs_ratio: softmax-100k-100-e8"]
    assert found["gradient_equivalents"] == {"softmax-500k-200-e8": 6.0}
    assert found["nobody_else"] == ["softmax-500k-200-e8"]
    assert found["ours_missed"] == [CASE.name]
    assert found["worst_case"] == CASE.name
    assert found["worst_ratio"] == 0.0


def test_a_record_holds_the_bars_of_its_cases():
    told = record(Plan(any_suite("regression"), 1, 1), {"threads": 1}, runs())
    assert told["bar"] is None
    assert [case["bar"] for case in told["cases"]] == [1e-8] * 3
    assert {case["kind"] for case in told["cases"]} == {"regression"}
    assert told["summary"]["lbfgs_ratio"] == {"softmax-100k-100-e8": 4.0}
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    plain = record(Plan(any_suite("quick"), 1, 1), {}, [made_up(SMALL, softunit=1.0)])
    assert plain["bar"] == BAR
    assert plain["summary"] == figures([made_up(SMALL, softunit=1.0)])


def test_no_runs_have_no_figures():
    found = regression_figures([CaseRun(CASE)])
    assert found["geometric_mean"] is None
    assert found["worst_case"] is None
    assert not any(isinstance(v, float) and math.isnan(v) for v in found.values())
