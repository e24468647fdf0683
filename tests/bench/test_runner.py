"""A worker is heard, stopped at its budget, and replaced where it died."""

from __future__ import annotations

import json
import sys

import pytest

from softunit.bench import PEERS, Case, Plan, Suite, chosen_peers, run_cases
from softunit.bench.machine import THREADS, about, physical_cores, pinned
from softunit.bench.results import from_fits, skipped
from softunit.bench.runner import Worker, WorkerError
from softunit.bench.worker import serve
from softunit.errors import InputError
from tests.bench.stand_ins import SMALL, made_up

SUITE = Suite("test", ("small-one",), 1.0, 10.0, 5.0, 100.0)

# Answers as a worker does, without any fit: what it does depends on the name of the peer.
SCRIPT = """
import json, os, sys, time
def say(**event):
    print(json.dumps(event), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if "case" in order:
        say(event="ready", gradient_seconds=0.5, threads=os.environ["OMP_NUM_THREADS"])
        continue
    fit = dict(event="fit", tol=1e-6, seconds=2.0, gradient=1e-7, value=1.0, n_iter=3, passes=None)
    match order["peer"]:
        case "softunit":
            say(event="begin", left=order["budget"])
            say(**fit)
            say(event="end")
        case "sklearn-lbfgs":
            say(event="begin", left=0.1)
            time.sleep(600)
        case "sklearn-saga":
            say(event="begin", left=5.0)
            say(**fit)
            say(event="begin", left=0.1)
            time.sleep(600)
        case "sklearn-newton-cg":
            sys.exit("out of luck")
        case "glum":
            say(event="refused", reason="two classes only")
        case "cyanure":
            say(event="begin", left=5.0)
            say(**fit | dict(gradient=1e-3))
            say(event="end")
        case _:
            say(event="failed", reason="ValueError: no")
"""
FAKE = (sys.executable, "-c", SCRIPT)


def by_peer(runs):
    """Return the results of the only case by peer."""
    last = list(runs)[-1]
    return {result.peer: result for result in last.results}


def test_every_end_of_a_peer_is_told_apart(monkeypatch):
    monkeypatch.setattr("softunit.bench.peers.base.Peer.missing", lambda self: "")
    names = [
        "softunit", "sklearn-lbfgs", "sklearn-newton-cg", "sklearn-newton-cholesky", "sklearn-saga",
        "glum", "cyanure",
    ]  # fmt: skip
    found = by_peer(run_cases([SMALL], chosen_peers(names), Plan(SUITE, 2, 3, FAKE)))
    assert {name: result.outcome for name, result in found.items()} == {
        "softunit": "reached",
        "sklearn-lbfgs": "stopped",
        "sklearn-newton-cg": "failed",
        "sklearn-newton-cholesky": "failed",
        "sklearn-saga": "reached",
        "glum": "skipped",
        "cyanure": "missed",
    }
    ours = found["softunit"]
    assert (ours.seconds, ours.gradient_equivalents, ours.n_iter) == (2.0, 4.0, 3)
    assert found["sklearn-lbfgs"].seconds is None
    assert found["sklearn-lbfgs"].at_least == found["sklearn-lbfgs"].budget > 0
    assert found["sklearn-saga"].seconds == 2.0  # what it reached before it was stopped stands
    assert "out of luck" in found["sklearn-newton-cg"].reason
    assert found["cyanure"].gradient == 1e-3


@pytest.mark.parametrize(("missed", "bound"), [([], 10.0), ([2.0, 1.0], 7.0), ([6.0, 3.0], 6.0)])
def test_a_stopped_peer_is_slower_than_any_of_its_fits(missed, bound):
    fits = [{"seconds": seconds, "gradient": 1.0} for seconds in missed]
    found = from_fits("a", "b", fits, unit=1.0, budget=10.0, stopped=True)
    assert (found.outcome, found.at_least) == ("stopped", bound)


def test_missing_packages_are_skipped_with_the_pip_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = by_peer(run_cases([SMALL], chosen_peers(["glum"]), Plan(SUITE, 1, 1, FAKE)))
    assert found["glum"] == skipped("small-one", "glum", "not installed: pip install glum")


def test_a_suite_out_of_time_runs_ours_only():
    suite = Suite("test", (), 1.0, 10.0, 5.0, -1.0)
    peers = chosen_peers(["softunit", "sklearn-lbfgs"])
    found = by_peer(run_cases([SMALL], peers, Plan(suite, 1, 1, FAKE)))
    assert found["softunit"].reached
    assert found["sklearn-lbfgs"].reason == "the suite's time was used up"


def test_budgets_follow_ours_and_the_best_of_the_others():
    plan = Plan(SUITE, 1, 1)
    assert plan.budget([], ours=True) == 15.0
    assert plan.budget([], ours=False) == 5.0
    assert plan.budget(made_up(SMALL, softunit=0.01).results, ours=False) == 1.0
    assert plan.budget(made_up(SMALL, softunit=0.3).results, ours=False) == pytest.approx(3.0)
    assert plan.budget(made_up(SMALL, softunit=9.0).results, ours=False) == 5.0
    both = made_up(SMALL, softunit=0.4, glum=0.5).results
    assert plan.budget(both, ours=False) == pytest.approx(1.5)
    assert plan.budget(made_up(SMALL, softunit=None).results, ours=False) == 5.0


def test_a_worker_that_dies_at_once_is_a_failure():
    dead = (sys.executable, "-c", "import sys; sys.exit('no such luck')")
    with pytest.raises(WorkerError, match="no such luck"):
        Worker(SMALL, 1, command=dead)
    found = by_peer(run_cases([SMALL], chosen_peers(["softunit"]), Plan(SUITE, 1, 1, dead)))
    assert found["softunit"].outcome == "failed"


def test_a_table_that_is_never_ready_ends():
    slow = (sys.executable, "-c", "import time; time.sleep(600)")
    with pytest.raises(WorkerError, match=r"^$"):
        Worker(SMALL, 1, command=slow, slack=0.2)


def test_threads_are_pinned_in_the_child():
    assert {pinned(3)[name] for name in THREADS} == {"3"}
    with Worker(SMALL, 2, command=FAKE) as worker:
        assert worker.ready["threads"] == "2"
        assert worker.unit == 0.5
    assert not worker.alive
    assert physical_cores() >= 1
    assert about(2)["threads"] == 2
    assert {"numpy", "scipy", "scikit-learn"} <= about(2)["versions"].keys()


def served(*orders):
    """Return what the true worker says to some orders, in this process."""
    events = []
    first = {"case": SMALL.to_dict(), "threads": 1}
    serve([json.dumps(order) for order in (first, *orders)], events.append)
    return events


@pytest.mark.parametrize("name", ["softunit", "softunit-newton", "sklearn-newton-cg"])
def test_the_worker_fits_what_it_is_told(name):
    events = served({"peer": name, "budget": 60.0, "repeats": 1})
    assert [event["event"] for event in events] == ["ready", "warming", "begin", "fit", "end"]
    assert events[0]["bytes"] == 80 * 3 * 8
    assert events[3]["gradient"] <= 1e-6
    assert (events[3]["passes"] is not None) == name.startswith("softunit")


def test_the_worker_tells_what_it_does_not_run():
    assert served({"peer": "sklearn-liblinear", "budget": 1.0, "repeats": 1})[-1] == {
        "event": "refused",
        "reason": "two classes only",
    }


def test_a_peer_that_raises_does_not_end_the_worker(monkeypatch):
    def broken(task, tol):
        raise ArithmeticError("of its own")

    from tests.bench.stand_ins import peer

    monkeypatch.setitem(PEERS, "softunit", peer(broken))
    order = {"peer": "softunit", "budget": 1.0, "repeats": 1}
    ends = [event for event in served(order, order) if event["event"] == "failed"]
    assert ends == 2 * [{"event": "failed", "reason": "ArithmeticError: of its own"}]


def test_peers_are_chosen_by_name_in_their_order():
    assert [peer.name for peer in chosen_peers(["sklearn-saga", "softunit"])] == [
        "softunit",
        "sklearn-saga",
    ]
    assert all(peer.standard for peer in chosen_peers([]))
    with pytest.raises(InputError, match=r"no peer 'sklern-saga'\. Did you mean 'sklearn-saga'"):
        chosen_peers(["sklern-saga"])


REFUSALS = {
    "sklearn-newton-cholesky": (Case("a", "power-law", 60, 2_000, 10, 0.1), "3.2 GB"),
    "sklearn-liblinear": (Case("b", "power-law", 60, 3, 2, 0.1, intercept=True), "intercept"),
    "statsmodels": (SMALL, "no ridge"),
    "glum": (SMALL, "two classes"),
    "torch-lbfgs": (Case("c", "text", 100, 50, 3, 0.1, words=9), "dense"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_peers_say_what_is_not_for_them(name):
    case, words = REFUSALS[name]
    assert words in PEERS[name].refuses(case.task())


def test_a_solver_that_this_version_lacks_is_no_error():
    from softunit.bench.peers.ours import _peer

    assert _peer("of-tomorrow").refuses(SMALL.task()) == "this version has no such solver"
