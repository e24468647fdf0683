"""What a pass over many machines costs on paper: the formulas, and the guide that shows them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import communication
from benchmarks.communication import CASES, Case, rows, told

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "distributed.md"
WIDE, NARROW = CASES


def test_the_guide_shows_what_the_script_prints(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["communication"])
    assert communication.main() == 0
    assert capsys.readouterr().out in GUIDE.read_text("utf-8")


def test_each_part_by_hand():
    # 80 MB over 1.25 GB/s are 64 ms; 1,000 workers are ten doublings, and four times by eights.
    assert WIDE.message == 8e7
    assert WIDE.down(1000) == pytest.approx(10 * (1e-4 + 0.064))
    assert WIDE.up(1000) == pytest.approx(4 * (1e-4 + 8 * 0.064))
    assert [WIDE.down(w) / WIDE.down(2) for w in (1, 2, 3, 1024, 1025)] == [0, 1, 2, 10, 11]
    assert [WIDE.up(w) / WIDE.up(2) for w in (1, 8, 9, 512, 513)] == [0, 1, 2, 3, 4]
    assert WIDE.star(1000) == pytest.approx(2 * (1e-4 + 64.0))
    assert NARROW.compute(1000) == pytest.approx(1e12 / (1000 * 16 * 5e8))
    assert NARROW.tasks(1000) == pytest.approx(8 / 7)


@pytest.mark.parametrize("case", CASES, ids=["wide", "narrow"])
def test_the_points_where_things_change(case):
    even = case.even()
    assert case.tree(even) > case.compute(even)
    assert case.tree(even - 1) <= case.compute(even - 1)
    best = case.best()
    assert case.passing(best) <= min(case.passing(best - 1), case.passing(best + 1))


def test_the_formulas_of_the_guide():
    still = replace(NARROW, bandwidth=math.inf, latency=0.0)
    work = still.nonzeros / (still.cores * still.rate)
    assert still.best() == pytest.approx(math.sqrt(7 * work / (8 * still.task)), rel=0.01)
    shortest = still.passing(still.best())
    assert shortest == pytest.approx(2 * math.sqrt(8 * work * still.task / 7), rel=1e-3)
    # 8 and 64 and so on are whole powers of both: there the logarithm is that of the hops.
    for workers in (8, 64, 512, 4096):
        swift = replace(WIDE, latency=0.0)
        seconds = 11 / 3 * math.log2(workers) * swift.message / swift.bandwidth
        assert swift.tree(workers) == pytest.approx(seconds)


def test_how_much_faster_cores_change_is_as_the_guide_says():
    assert WIDE.even() == 1514
    assert replace(WIDE, rate=100 * WIDE.rate).even() == 31
    assert "from 1,514 workers to 31" in GUIDE.read_text("utf-8")


def test_the_table_follows_the_cases():
    doubled = rows((replace(WIDE, nonzeros=2e12),))
    assert told(2 * WIDE.compute(1000)) in next(line for line in doubled if "compute, N" in line)
    assert [told(s) for s in (4166.7, 4.1667, 0.125, 3.28e-3, 2e-5, 0.0)] == [
        "4,200 s", "4.2 s", "120 ms", "3.3 ms", "20 us", "0 s",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_a_rate_is_measured(kind, monkeypatch):
    seconds = iter([0.0, 2.0, 2.0, 2.5, 2.5, 4.5])
    monkeypatch.setattr(communication, "perf_counter", lambda: next(seconds))
    monkeypatch.setattr(communication.su.Problem, "evaluate", lambda self, x: None)
    assert communication.measured(kind, 50_000) == pytest.approx(50_000 / 0.5)
    assert isinstance(Case("one", 1.0, 1, 1, 1.0).even(), int)
