"""The workbench measures what it says: costs, errors, rows, a Lipschitz constant, trainings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from softunit.errors import InputError
from softunit.nn import workbench
from softunit.nn.attention import UNITS, AttentionUnit, Softmax, attend
from softunit.nn.studies.models import Training
from softunit.nn.workbench import (
    PEERS,
    Limits,
    Shape,
    UnitContender,
    best_seconds,
    causal_refusal,
    costs,
    draw,
    errors,
    fitted,
    ladders,
    largest,
    lipschitz,
    peak_bytes,
    rows_of,
    training,
    unit_contender,
    unit_names,
)

SMALL = Shape(24, heads=1, width=8)


@dataclass(frozen=True)
class Mean(AttentionUnit):
    """The mean of all values, times a factor in its efficient form."""

    name: ClassVar[str] = "mean"
    factor: float = 1.0

    def reference_weights(self, q, k, pattern, scale):
        return (q @ k.mT) * 0.0 + 1.0 / k.shape[-2]

    def forward(self, q, k, v, pattern, scale, dropout):
        return self.factor * v.mean(-2, keepdim=True).expand(*q.shape[:-1], v.shape[-1]) + 0.0 * q


@dataclass(frozen=True)
class Choosy(Softmax):
    """Softmax of small entries and narrow heads that cannot be causal."""

    name: ClassVar[str] = "choosy"

    def check(self, q, k, pattern):
        if pattern.offset is not None:
            raise InputError("It cannot be causal.")
        if q.shape[-1] > 8:
            raise InputError("It is too wide.")
        if float(q.abs().max()) > 1.0:
            raise InputError("An entry is above one.")


def test_inputs_are_the_same_for_one_seed():
    one, same, other = (draw(SMALL, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.q, same.q)
    assert not torch.equal(one.q, other.q)
    pair = draw(SMALL, pairs=True)
    assert len(pair.leaves) == 5
    assert pair.like(pair.leaves).k[1] is pair.k[1]


def test_smaller_entries_are_tried_until_a_unit_takes_them():
    inputs, sentence = workbench.accepted(Choosy(), SMALL)
    assert sentence == "An entry is above one."
    assert inputs.scale == 0.25
    assert float(inputs.q.detach().abs().max()) <= 1.0
    with pytest.raises(InputError, match="It is too wide"):
        workbench.accepted(Choosy(), Shape(24, width=16))


def test_a_refused_width_is_made_narrow():
    shape, said = fitted(UnitContender("choosy", Choosy()), Shape(24, width=32))
    assert shape is not None
    assert shape.width == 8
    assert said == "Measured with width 8 in place of 32: It is too wide."
    assert fitted(UnitContender("choosy", Choosy()), Shape(24, causal=True)) == (
        None,
        "It cannot be causal.",
    )


def test_the_best_of_several_runs_counts(monkeypatch):
    clock = iter([0.0, 3.0, 3.0, 4.0, 4.0, 6.0])
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(clock))
    assert best_seconds(lambda: None, budget=100.0, enough=5.0) == (1.0, 3)


def test_one_run_is_made_whatever_the_budget():
    ran = []
    seconds, runs = best_seconds(lambda: ran.append(1), budget=0.0)
    assert (runs, len(ran)) == (1, 1)
    assert seconds >= 0.0


def test_the_largest_array_is_seen_forward_and_backward():
    x = torch.ones(50, 1, requires_grad=True)
    numbers, operation = largest(lambda: (x @ x.mT).sum().backward())
    assert numbers == 2500
    assert "mm" in operation or "expand" in operation
    assert largest(lambda: x.detach() + 1)[0] == 50


def test_peak_memory_counts_what_a_run_holds():
    if not costs.restart_peak():
        assert peak_bytes(lambda: None) is None
        return
    held = peak_bytes(lambda: torch.ones(8_000_000).add(1))
    assert held is not None
    assert 60e6 < held < 80e6


def test_peak_memory_is_none_where_the_system_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "CLEAR", tmp_path / "no" / "clear")
    assert peak_bytes(lambda: None) is None


@pytest.mark.parametrize("name", sorted(UNITS))
def test_every_unit_is_measured(name):
    contender = unit_contender(name)
    unit = contender.unit
    found = errors(unit, SMALL)
    assert max(found.output, found.gradient) < 1e-5
    assert max(found.output_double, found.gradient_double) < 1e-10
    rows = rows_of(unit, SMALL)
    assert 0.0 < rows.entropy <= 1.0 + 1e-6
    if unit.sums_to_one:
        assert rows.least_sum == pytest.approx(1.0, abs=1e-5)
        assert rows.most_sum == pytest.approx(1.0, abs=1e-5)
    assert 0.0 < lipschitz(unit, Shape(8, heads=1, width=4), points=1, iterations=5) < 1e6


def test_an_efficient_form_that_is_off_is_seen():
    assert errors(Mean(), SMALL).output_double < 1e-14
    off = errors(Mean(1.001), SMALL)
    assert off.output_double == pytest.approx(1e-3, rel=1e-6)
    assert off.gradient > 1e-4


def test_even_weights_have_full_entropy():
    rows = rows_of(Mean(), SMALL)
    assert rows.entropy == pytest.approx(1.0, abs=1e-6)
    assert rows.effective_keys == pytest.approx(24.0, rel=1e-5)
    assert rows.negative == 0.0


@pytest.mark.parametrize("unit", [Softmax(), Mean()], ids=["softmax", "mean"])
def test_the_lipschitz_estimate_is_the_largest_singular_value(unit):
    shape = Shape(4, heads=1, width=3, dtype="float64")
    inputs = draw(shape, seed=0)

    def mix(*leaves):
        return attend(*leaves, unit=unit)

    parts = torch.autograd.functional.jacobian(mix, inputs.leaves)
    whole = torch.cat([part.reshape(12, 12) for part in parts], 1)
    found = lipschitz(unit, shape, points=1, iterations=200)
    assert found == pytest.approx(float(torch.linalg.matrix_norm(whole, 2)), rel=1e-6)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", ["torch-sdpa", "torch-math", "torch-plain"])
def test_peers_of_softmax_give_softmax(name, causal):
    shape = Shape(40, heads=2, width=8, causal=causal)
    found = workbench.peer_errors(PEERS[name], shape)
    assert found["output"] < 1e-5
    assert found["gradient"] < 1e-5


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install flash-linear-attention" in PEERS["fla-linear"].missing(SMALL)
    with pytest.raises(InputError, match="no peer 'flash'"):
        workbench.peer_of("flash")


def test_a_relative_bias_changes_the_values():
    assert "kernelized+rpe" in unit_names()
    inputs = draw(SMALL)
    plain, biased = (
        unit_contender(name).mix(SMALL)(inputs.q, inputs.k, inputs.v)
        for name in ("softmax", "softmax+rpe")
    )
    assert float((plain - biased).detach().abs().max()) > 1e-4


@pytest.mark.parametrize("name", ["kernelized+rpe", "softmax+rpe"])
def test_a_relative_bias_is_in_what_is_measured(name):
    contender = unit_contender(name)
    unit, bias = contender.at_length, contender.bias(SMALL)
    assert getattr(unit, "direct", 0) == 0
    found = errors(unit, SMALL, bias=bias)
    assert max(found.output, found.gradient) < 1e-5
    assert max(found.output_double, found.gradient_double) < 1e-10
    assert rows_of(unit, SMALL, bias=bias) != rows_of(unit, SMALL)
    small = Shape(8, heads=1, width=4)
    one, two = (
        lipschitz(unit, small, points=1, iterations=5, bias=given)
        for given in (contender.bias(small), None)
    )
    assert one != two


def test_lengths_up_to_a_switch_are_told_apart():
    assert [unit_contender(name).switch for name in ("kernelized+rpe", "kernelized")] == [512, 0]
    steep = [{"n": 256, "both": 0.001}, {"n": 512, "both": 0.01}, {"n": 1024, "both": 1.0}]
    contender = unit_contender("kernelized+rpe")
    assert ladders._alike(steep, 2048, contender) == steep[2:]
    assert ladders._alike(steep[:1], 512, contender) == steep[:1]
    large = ladders._largest(contender, Shape(heads=1, width=8), 1024, 0)
    assert (large["n"], large["power"]) == (1024, None)


def test_times_end_where_the_budget_ends(monkeypatch):
    cost = {"n": 0}

    def best(work, *, budget, device, enough):
        return (cost["n"] / 100) ** 2, 1

    class Watched(UnitContender):
        def inputs(self, shape, seed):
            cost["n"] = shape.n
            return draw(shape), "small"

    monkeypatch.setattr(ladders, "best_seconds", best)
    told = []
    found = workbench.times(
        Watched("softmax", Softmax()), SMALL, (200, 400, 800), Limits(5.0),
        lambda seen: told.append(len(seen["points"])),
    )  # fmt: skip
    assert [point["n"] for point in found["points"]] == [64, 128, 200]
    assert told == [1, 2, 3]
    assert found["stopped"] == (
        "At n = 400 one forward and backward would take about 16 s, above the budget of 5 s for a"
        " length."
    )
    assert found["note"] == "small"


def test_growth_is_foretold_and_not_believed_beyond_a_power():
    points = [{"n": 100, "both": 1.0}, {"n": 200, "both": 4.0}]
    assert ladders.foretold(points, 400, "both") == pytest.approx(16.0)
    steep = [{"n": 100, "both": 1.0}, {"n": 200, "both": 64.0}]
    assert ladders.foretold(steep, 400, "both", power=2.0) == pytest.approx(256.0)
    assert ladders.foretold(points[:1], 400, "both") == 0.0


def test_memory_is_measured_and_ends_at_its_limit():
    def ignore(found):
        pass

    contender = PEERS["torch-plain"]
    found = workbench.memory(contender, SMALL, (64, 128), Limits(100.0), ignore)
    assert [point["n"] for point in found["points"]] == [64, 128]
    assert found["largest"]["power"] == pytest.approx(2.0, abs=0.1)
    assert found["largest"]["numbers"] >= found["largest"]["scores"]
    assert found["largest"]["n"] == 128
    linear = workbench.memory(unit_contender("nalaformer"), SMALL, (64,), Limits(100.0), ignore)
    assert linear["largest"]["power"] < 1.2
    grown = [{"n": 100, "both": 1e6}, {"n": 200, "both": 4e6}]
    stop = ladders._memory_stop(grown, [], 400, Limits(1.0, 1e7), 2.2)
    assert stop == "At n = 400 it would hold about 0.0 GB, above the 0.0 GB that may be used."


def test_a_unit_that_cannot_be_causal_says_so_and_is_trained_on_hidden_characters():
    def ignore(found):
        pass

    assert causal_refusal(Softmax()) == ""
    plan = Training(steps=2, rows=2)
    assert causal_refusal(UNITS["soft"]).startswith("The unit 'soft'")
    assert set(workbench.trained("text", UNITS["soft"], plan, ignore)) == {"refused"}
    told = []
    found = workbench.trained("hidden", Softmax(), plan, told.append)
    assert found["causal"] is False
    assert len(found["losses"]) == 2
    assert found["losses"][0] == pytest.approx(math.log(90), abs=1.5)
    assert told[0]["parameters"] == found["parameters"]
    assert workbench.trained("recall", UNITS["soft"], plan, ignore)["causal"] is False


def test_a_training_that_would_take_hours_is_not_begun():
    task = training.task_of("recall")
    model = training.model_of("recall", task, Softmax(), causal=True)
    assert training._too_slow(model, task, Training(steps=2)) == ""
    said = training._too_slow(model, task, Training(steps=10**9, seconds=1.0))
    assert said.startswith("1000000000 steps of 32 sequences would take about")
