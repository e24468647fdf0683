"""The workbench on a real GPU; `make gpu` runs these, elsewhere they are skipped."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="units of attention are written for PyTorch")

import torch

from softunit.nn import workbench
from softunit.nn.attention import UNITS
from softunit.nn.studies.models import Training
from softunit.nn.workbench import PEERS, Limits, Shape, unit_contender

if not torch.cuda.is_available():
    pytest.skip("no GPU here that PyTorch calls cuda", allow_module_level=True)

SMALL = Shape(65, heads=1, width=8, device="cuda")


def ignore(found):
    pass


@pytest.mark.parametrize("name", sorted(UNITS))
def test_units_give_their_definition_on_the_gpu(name):
    found = workbench.errors(UNITS[name], SMALL)
    assert max(found.output, found.gradient) < 1e-4  # matrix units may round more than the CPU
    assert max(found.output_double, found.gradient_double) < 1e-10


@pytest.mark.parametrize("name", ["softmax", "nalaformer"])
def test_costs_are_measured_on_the_gpu(name):
    shape = Shape(device="cuda")
    contender = unit_contender(name)
    times = workbench.times(contender, shape, (1024, 2048), Limits(10.0), ignore)
    assert [point["n"] for point in times["points"]][-2:] == [1024, 2048]
    held = workbench.memory(contender, shape, (1024, 2048), Limits(10.0), ignore)
    assert 0 < held["points"][-2]["both"] <= held["points"][-1]["both"]


def test_models_train_on_the_gpu():
    plan = Training(steps=2, rows=2)
    found = workbench.trained("recall", UNITS["softmax"], plan, ignore, device="cuda")
    assert len(found["losses"]) == 2
    assert found["loss"] > 0


def test_the_peers_that_are_there_run_on_the_gpu():
    for peer in PEERS.values():
        shape = Shape(128, width=64, device="cuda", dtype="float16")
        if not peer.missing(shape):
            inputs, _ = peer.inputs(shape, 0)
            assert peer.mix(shape)(inputs.q, inputs.k, inputs.v).shape == inputs.v.shape
