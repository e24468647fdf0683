"""Runs of the workbench: plans, workers, slopes, faults, what is resumed, pictures."""

from __future__ import annotations

import itertools
import json
import math
import sys

import pytest

pytest.importorskip("torch", reason="units of attention are written for PyTorch")

from softunit.bench.attention import (
    Plan,
    Row,
    as_text,
    bar_of,
    check_device,
    draw_costs,
    draw_losses,
    faults,
    met,
    parts_of,
    pictures,
    record,
    resumed,
    run_rows,
    slope_of,
    worker,
)
from softunit.errors import InputError
from softunit.nn import workbench

TINY = Plan(("softmax",), ("torch-plain",), lengths=(32, 64), heads=1, width=8, steps=2)
ECHO = "import sys; sys.stdin.readline(); "


def points(power, *lengths):
    return [{"n": n, "both": 1e-6 * n**power} for n in lengths]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lengths": ()}, "got none"),
        ({"lengths": (64, 32)}, "that grow; got 64, 32"),
        ({"heads": 0}, "`heads` must be at least one; got 0"),
        ({"steps": -1}, "`steps` must be 0"),
        ({"seconds": 0.0}, "must be above zero; got 0.0"),
        ({"dtype": "int8"}, "got 'int8'"),
        ({"device": "tpu"}, "got 'tpu'"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(settings, words):
    with pytest.raises(InputError, match=words):
        Plan((), (), **settings)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    check_device(TINY)
    with pytest.raises(InputError, match="there is no GPU here"):
        check_device(Plan((), (), device="cuda"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    check_device(Plan((), (), device="cuda:1"))
    with pytest.raises(InputError, match="there are 2 GPUs"):
        check_device(Plan((), (), device="cuda:2"))


def test_units_that_refuse_to_be_causal_bring_softmax_along():
    parts = parts_of(Plan(("softmax", "soft", "kernelized+rpe"), ("torch-sdpa",)))
    assert "hidden" in parts["softmax"]
    assert "hidden" in parts["soft"]
    assert parts["torch-sdpa"] == ("memory", "times", "measures")
    assert parts["kernelized+rpe"] == (*parts["torch-sdpa"], "text", "recall")
    assert "hidden" not in parts_of(Plan(("softmax", "sigmoid"), ()))["softmax"]
    assert parts_of(Plan(("softmax",), (), steps=0))["softmax"] == parts["torch-sdpa"]


def test_a_worker_measures_everything_of_a_unit_and_a_peer():
    rows = [Row(kind, name) for kind, name in TINY.names]
    heard = []
    done = list(run_rows(TINY, rows, parts_of(TINY), lambda row, part, found: heard.append(part)))
    assert done == rows
    softmax, plain = (row.parts for row in rows)
    assert faults(rows) == []
    assert [point["n"] for point in softmax["times"]["points"]] == [32, 64]
    assert softmax["measures"]["error"]["output_double"] < 1e-10
    assert len(softmax["text"]["losses"]) == len(softmax["recall"]["losses"]) == 2
    assert plain["measures"]["error"]["gradient"] < 1e-5
    assert set(heard) == {"memory", "times", "measures", "text", "recall"}
    told = json.loads(json.dumps(record(TINY, {}, rows)))
    again = resumed(TINY, told)
    assert [row.to_dict() for row in again] == [row.to_dict() for row in rows]
    # What is whole is not measured again: this worker would fail.
    dead = [sys.executable, "-c", "raise SystemExit(1)"]
    assert list(run_rows(TINY, again, parts_of(TINY), command=dead)) == again
    assert faults(again) == []


def test_a_part_that_fails_leaves_the_others(monkeypatch):
    def broken(part, *rest):
        if part == "times":
            raise RuntimeError("the clock stopped")
        return {"points": []}

    monkeypatch.setattr(worker, "_measured", broken)
    said = []
    order = {"plan": TINY.to_dict(), "kind": "unit", "name": "softmax"}
    worker.serve(order | {"parts": ["memory", "times", "measures"]}, said.append)
    assert [event["part"] for event in said] == ["memory", "times", "measures"]
    assert said[1]["found"] == {"failed": "RuntimeError: the clock stopped", "complete": True}
    assert all(event["found"]["complete"] for event in said)


def test_a_refusal_is_a_finding(monkeypatch):
    said = []
    plan = Plan(("soft",), (), lengths=(32,), causal=True)
    order = {"plan": plan.to_dict(), "kind": "unit", "name": "soft", "parts": ["times", "text"]}
    worker.serve(order, said.append)
    assert [event["found"]["refused"][:15] for event in said] == ["The unit 'soft'"] * 2


def test_a_unit_with_a_bias_is_measured_with_it_by_fft_and_says_why_it_is_not_trained(monkeypatch):
    seen = []

    def errors(unit, shape, *, seed, bias):
        if bias is not None:
            seen.append((unit.direct, bias.values.shape[-1] - 2 * shape.n))
        return real(unit, shape, seed=seed, bias=bias)

    real = workbench.errors
    monkeypatch.setattr(workbench, "errors", errors)
    said = []
    order = {"plan": TINY.to_dict(), "kind": "unit", "name": "kernelized+rpe"}
    worker.serve(order | {"parts": ["measures", "text", "recall"]}, said.append)
    assert seen == [(0, -1)]
    kept, text, recall = (event["found"] for event in said)
    assert kept["error"]["gradient_double"] < 1e-10
    plain = []
    worker.serve(order | {"name": "kernelized", "parts": ["measures"]}, plain.append)
    assert kept["rows"]["entropy"] != plain[0]["found"]["rows"]["entropy"]
    assert kept["lipschitz"] != plain[0]["found"]["lipschitz"]
    assert text == recall
    assert "kernelized is trained without one" in text["skipped"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (ECHO + "print('too much', file=sys.stderr); sys.exit(3)", "status 3: too much"),
        (ECHO + "import os; os.kill(os.getpid(), 9)", "take too much memory"),
    ],
)
def test_a_worker_that_dies_is_told(code, words):
    row = Row("unit", "softmax")
    parts = {"softmax": ("memory", "times")}
    assert list(run_rows(TINY, [row], parts, command=[sys.executable, "-c", code])) == [row]
    assert words in row.parts["memory"]["failed"]
    assert row.parts["times"]["failed"] == "not begun: softmax ended in memory"
    assert len(faults([row])) == 2


def test_slopes_are_those_of_the_lengths_that_count():
    found = slope_of([*points(3.0, 64, 128), *points(1.5, 2048, 4096, 16384)], "both")
    assert found is not None
    assert found.power == pytest.approx(1.5)
    assert (found.least, found.most) == (2048, 16384)
    short = slope_of(points(2.0, 64, 128, 256), "both")
    assert short is not None
    assert (short.power, short.least, short.most) == (pytest.approx(2.0), 64, 256)
    assert slope_of(points(2.0, 64, 128), "both") is None
    assert slope_of([{"n": 64, "both": None}, *points(1.0, 128, 256)], "both") is None


def test_a_slope_is_never_one_of_two_ways_of_going():
    both = [*points(3.0, 128, 256, 512), *points(1.0, 1024, 2048)]
    assert slope_of(both, "both", 512) is None
    after = slope_of([*both, *points(1.0, 4096)], "both", 512)
    assert after is not None
    assert (after.power, after.least) == (pytest.approx(1.0), 1024)


@pytest.mark.parametrize(
    ("linear", "switch", "power", "least", "bar", "kept"),
    [
        (True, 0, 1.14, 2048, 1.15, True),
        (True, 0, 1.16, 2048, 1.15, False),
        (True, 512, 1.24, 2048, 1.25, True),
        (True, 0, 1.0, 1024, 1.15, None),
        (False, 0, 2.0, 2048, None, None),
    ],
)
def test_linear_units_have_a_bar_for_their_slope(linear, switch, power, least, bar, kept):
    grown = points(power, least, 2 * least, 4 * least)
    if least < 2048:
        grown = grown[:3]
    row = Row("unit", "a", {"times": {"linear": linear, "switch": switch, "points": grown}})
    assert bar_of(row) == bar
    assert met(row) is kept
    told = record(TINY, {}, [row])["rows"][0]["slopes"]["seconds"]
    assert (told["bar"], told["met"]) == (bar, kept)
    assert met(Row("peer", "a", row.parts)) is None


def test_errors_above_the_bars_are_faults():
    good = {"output": 1e-6, "gradient": 9e-6, "output_double": 1e-12, "gradient_double": 9e-11}
    assert faults([Row("unit", "a", {"measures": {"error": good}})]) == []
    for key, value in (("gradient", 2e-5), ("output_double", 2e-10), ("output", math.nan)):
        found = faults([Row("unit", "a", {"measures": {"error": good | {key: value}}})])
        assert len(found) == 1
        assert f"{value:.1e} away from the plain definition" in found[0]


def test_a_record_tells_the_worst_slope_of_linear_units():
    rows = [
        Row("unit", "a", {"times": {"linear": True, "points": points(1.1, 2048, 4096, 8192)}}),
        Row("unit", "b", {"times": {"linear": True, "points": points(1.3, 2048, 4096, 8192)}}),
        Row("unit", "c", {"times": {"linear": False, "points": points(2.0, 2048, 4096, 8192)}}),
    ]
    told = record(TINY, {"cores": 2}, rows)
    assert told["largest_linear_slope"] == pytest.approx(1.3)
    for key in ("value", "gradient_norm", "gap_bound", "n_iter"):
        assert told[key] is None
    assert told["converged"] is True
    assert told["rows"][2]["slopes"]["seconds"]["power"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"format": "other"}, "is no record of softunit bench attention"),
        (record(Plan((), (), (32, 64), heads=2), {}, []), "measured with heads 2; now it is 1"),
    ],
)
def test_only_a_record_of_the_same_settings_is_resumed(told, words):
    with pytest.raises(InputError, match=words):
        resumed(TINY, told)


def test_pictures_have_a_line_for_each_and_are_the_same_twice():
    rows = [
        Row("unit", name, {"times": {"points": points(1.0, 64, 128)}, "text": {"losses": [3, 2]}})
        for name in ("softmax", "sigmoid")
    ]
    rows.append(Row("peer", "torch-plain", {"times": {"refused": "no"}}))
    for draw, part in ((draw_costs, "times"), (draw_losses, "text")):
        text = as_text(draw, rows, part)
        assert text == as_text(draw, rows, part)
        assert "softmax" in text
        assert "sigmoid" in text
        assert "torch-plain" not in text
    assert ">128<" in as_text(draw_costs, rows, "times")


def test_names_at_the_ends_of_lines_do_not_touch():
    placed = pictures._spread([0.0, 0.01, 0.02, 0.5, 0.9, 0.9])
    gaps = [b - a for a, b in itertools.pairwise(placed)]
    assert min(gaps) == pytest.approx(pictures.APART)
    assert placed[1] == pytest.approx(0.01)
    assert placed[3] == 0.5
