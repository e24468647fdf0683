"""The benchmark of GPUs, run small on the CPU: what it makes, judges and tells."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="the benchmark of GPUs is written for PyTorch")

from benchmarks import gpu
from benchmarks.gpu import Shape
from softunit.bench.judge import Task, gradient_of

SMALL = Shape(3_000, 6, 4, C=0.5)


def test_rows_are_the_same_for_one_seed_however_they_are_cut(monkeypatch):
    X, y = gpu.planted(SMALL, "cpu")
    again, labels = gpu.planted(SMALL, "cpu")
    assert bool((again == X).all())
    assert bool((y == labels).all())
    other, _ = gpu.planted(Shape(3_000, 6, 4, seed=1), "cpu")
    assert not bool((other == X).any())
    assert X.shape == (3_000, 6)
    assert sorted(set(y.tolist())) == [0, 1, 2, 3]
    monkeypatch.setattr(gpu, "ENTRIES", 6_000)
    assert [part.stop for part in gpu._parts(3_000, 6)] == [1_000, 2_000, 3_000]


@pytest.mark.parametrize("classes", [2, 4])
def test_the_judge_agrees_with_the_one_of_the_other_benchmarks(classes, monkeypatch):
    shape = Shape(1_000, 5, classes, C=0.5)
    monkeypatch.setattr(gpu, "ENTRIES", 2_000)
    X, y = gpu.planted(shape, "cpu")
    rng = np.random.default_rng(5)
    columns = 1 if classes == 2 else classes
    W, b = rng.standard_normal((5, columns)), rng.standard_normal(columns)
    value, gradient = gpu.judged(X, y, shape.C, W, b)
    task = Task(X.double().numpy(), y.numpy(), classes, 1 / (shape.C * 1_000), True)
    told, G, g = gradient_of(task, W, b)
    assert value == pytest.approx(told, rel=1e-12)
    assert gradient == pytest.approx(max(np.abs(G).max(), np.abs(g).max()), rel=1e-10)


def test_end_to_end_on_the_cpu(tmp_path, monkeypatch, capsys):
    path = tmp_path / "gpu.json"
    words = "gpu --device cpu --parity small --rows 2000 --columns 6 --classes 4 --C 0.5 --json"
    monkeypatch.setattr("sys.argv", [*words.split(), str(path)])
    assert gpu.main() == 0
    found = json.loads(path.read_text("utf-8"))
    assert found["met"] == {"parity": True, "probe": True}
    probe = found["probe"]
    assert probe["gradient"] <= 1e-6
    # The judge sees coefficients as they are kept for float32 rows: rounded to that.
    assert probe["gradient"] == pytest.approx(probe["own_gradient"], abs=1e-7)
    assert probe["value"] == pytest.approx(probe["own_value"], rel=1e-9)
    assert probe["bytes"] == 2000 * 6 * 4
    told = capsys.readouterr().out
    assert "probe 2000 x 6, K = 4" in told
    assert "parity: met" in told


def test_where_there_is_no_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "found_device", lambda: (None, "none was plugged in"))
    monkeypatch.setattr("sys.argv", ["gpu"])
    assert gpu.main() == 0
    assert "There is no GPU here that PyTorch can use (none was plugged in)" in (
        capsys.readouterr().out
    )


def test_each_bar_can_be_missed():
    near = {"float64": {"apart": 1e-9}, "float32": {"apart": 1e-7}}
    probe = {"converged": True, "gradient": 9e-7}
    found = {"parity": [near], "probe": probe}
    assert gpu.bars(found, 1e-6) == {"parity": True, "probe": True}
    assert gpu.bars(found | {"probe": None}, 1e-6) == {"parity": True}
    far = near | {"float32": {"apart": 2e-6}}
    assert gpu.bars({"parity": [near, far], "probe": probe}, 1e-6)["parity"] is False
    assert gpu.bars(found, 1e-7)["probe"] is False
    assert gpu.bars(found | {"probe": probe | {"converged": False}}, 1e-6)["probe"] is False
