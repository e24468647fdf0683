"""Rows planted on disk come out the same however they are made; a fit of them is judged."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import out_of_core, planted_rows
from benchmarks.planted_rows import Planted, generate
from softunit import SoftmaxClassifier
from softunit.bench.judge import Task, gradient_of

limited_fit = pytest.importorskip("benchmarks.limited_fit")  # limits are those of POSIX
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SMALL = Planted(n=5_000, d=4, k=3, file_rows=2_000, group_rows=700)


def whole(planted, folder):
    """Return all rows of a folder, (n, d) and (n,)."""
    tables = [pq.read_table(folder / name) for name, _ in planted.files]
    X = np.concatenate([np.column_stack([c.to_numpy() for c in t.columns[:-1]]) for t in tables])
    return X, np.concatenate([t.column("y").to_numpy() for t in tables])


def test_files_have_the_rows_the_groups_and_the_columns_that_were_asked_for(tmp_path):
    assert generate(SMALL, tmp_path, processes=1) == 3
    rows = []
    for name, asked in SMALL.files:
        read = pq.ParquetFile(tmp_path / name)
        groups = [read.metadata.row_group(i).num_rows for i in range(read.num_row_groups)]
        assert groups == [700, 700, 600] if asked == 2_000 else groups == [700, 300]
        rows.append(sum(groups))
    assert rows == [2_000, 2_000, 1_000]
    X, y = whole(SMALL, tmp_path)
    assert X.dtype == np.float32
    assert y.dtype == np.int8
    assert read.schema_arrow.names == ["x0", "x1", "x2", "x3", "y"]
    assert len(np.unique(X[:, 0])) > 0.99 * len(X)  # no file and no block repeats another


def test_what_was_interrupted_goes_on_to_the_same_bytes(tmp_path):
    generate(SMALL, tmp_path, processes=1)
    name = SMALL.files[1][0]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / name).unlink()
    (tmp_path / f"_{name}.partial").write_bytes(b"half")
    assert generate(SMALL, tmp_path, processes=2) == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert generate(SMALL, tmp_path) == 0


def test_a_folder_of_other_rows_and_a_full_disk_are_refused(tmp_path, monkeypatch):
    generate(SMALL, tmp_path, processes=1)
    with pytest.raises(SystemExit, match="holds other rows"):
        generate(replace(SMALL, seed=1), tmp_path)
    little = argparse.Namespace(free=50_000)
    monkeypatch.setattr(planted_rows.shutil, "disk_usage", lambda folder: little)
    with pytest.raises(SystemExit, match=r"needs 0\.0 GB, and 0\.0 GB are free"):
        generate(SMALL, tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


def test_the_spectrum_and_the_coefficients_are_those_planted():
    planted = Planted(n=60_000, d=6, k=3, condition=100.0, noise=0.0, file_rows=60_000)
    blocks = list(planted.drawn(0))
    X, y = (np.concatenate(part).astype(np.float64) for part in zip(*blocks, strict=True))
    _, means, W, b = planted.model()
    spectrum = np.linalg.eigvalsh(np.cov(X.T))[::-1]
    power = np.log(100.0) / np.log(6)
    assert spectrum == pytest.approx(np.arange(1, 7) ** -power, rel=0.05)
    assert X.mean(axis=0) == pytest.approx(means, abs=0.02)
    assert (X @ W + b).std(axis=0).mean() == pytest.approx(planted_rows.SPREAD, rel=0.5)
    # At the planted coefficients the gradient is noise, at zero it is not.
    task = Task(X, y.astype(np.int64), 3, 0.0, True)
    _, there, _ = gradient_of(task, W, b)
    _, far, _ = gradient_of(task, 0 * W, 0 * b)
    assert np.abs(there).max() < 0.02 < 0.1 < np.abs(far).max()


def test_noise_draws_classes_from_all_alike():
    quiet, loud = (Planted(n=20_000, d=3, k=4, noise=share) for share in (0.0, 1.0))
    (X, y), (_, other) = next(quiet.drawn(0)), next(loud.drawn(0))
    _, _, W, b = quiet.model()
    likely = (X @ W + b).argmax(axis=1)
    assert (likely == y).mean() > 0.6
    assert (likely == other).mean() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("k", [2, 3])
def test_the_judge_reads_block_by_block_what_is_there(k, tmp_path):
    planted = replace(SMALL, k=k)
    generate(planted, tmp_path, processes=1)
    X, y = whole(planted, tmp_path)
    model = SoftmaxClassifier(0.1, tol=1e-9).fit(X.astype(np.float64), y)
    W, b = model.coef_.T, model.intercept_
    value, gradient = out_of_core.judged(planted, tmp_path, 0.1, W, b)
    assert gradient < 1e-8
    assert value == pytest.approx(model.solution_.value, rel=1e-9)
    ridge = 1 / (0.1 * planted.n)
    told, G, g = gradient_of(Task(X, y.astype(np.int64), k, ridge, True), 2 * W, b)
    value, gradient = out_of_core.judged(planted, tmp_path, 0.1, 2 * W, b)
    assert value == pytest.approx(told, rel=1e-12)
    assert gradient == pytest.approx(max(np.abs(G).max(), np.abs(g).max()), rel=1e-9)


@on_linux
def test_a_plain_read_reads_every_byte(tmp_path):
    generate(SMALL, tmp_path, processes=1)
    paths = out_of_core.files_of(SMALL, tmp_path)
    out_of_core.forget(paths)
    told = out_of_core.plain_read(paths)
    assert told["bytes"] == sum(path.stat().st_size for path in paths)
    assert 0 < told["seconds"] < 60


@on_linux
def test_the_limit_holds_the_address_space():
    script = (
        "from benchmarks.limited_fit import limit, status\nimport numpy as np\n"
        "limit(300_000_000)\nheld = np.zeros(100_000_000, dtype=np.uint8)\n"
        "assert status('VmSize') > len(held) and status('VmHWM') > 10_000_000\n"
        "try:\n    np.zeros(400_000_000, dtype=np.uint8)\n"
        "except MemoryError:\n    print('refused')\n"
    )
    done = out_of_core.subprocess.run(
        [out_of_core.sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "refused\n", done.stderr


FOUND = {
    "fit": {
        "seconds": 30.0,
        "asked": 16_000,
        "bytes_read": 15_000,
        "fetched": 4_000,
        "passes": 2.0,
        "rows_visited": 300,
        "peak": 1e9,
        "converged": True,
    },
    "memory": {"seconds": 1.0, "rows_visited": 30, "pass_seconds": 0.2, "n": 10},
    "cold": {"seconds": 8.0, "bytes": 8_000},
    "warm": {"seconds": 1.0, "bytes": 8_000},
    "gradient": 5e-7,
}


def test_the_bars_compare_time_with_reads_and_compute():
    told = out_of_core.bars(replace(SMALL, n=100), FOUND)
    assert told["reads"] == 2.0
    assert told["compute"] == pytest.approx(10.0)
    assert told["from_disk"] == pytest.approx(0.25)
    assert told["pass_compute"] == pytest.approx(2.0)
    assert told["ratio"] == pytest.approx(30 / (16 + 10))
    assert told["ratio_as_read"] == pytest.approx(30 / (2 * (0.25 * 8 + 0.75 * 1) + 10))
    assert all(told["met"].values())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("converged", {"converged": False}),
        ("peak", {"peak": 1.6e9}),
        ("reads", {"asked": 65_000}),
        ("reads", {"passes": 9.0}),
        ("ratio", {"seconds": 40.0}),
    ],
    ids=["converged", "peak", "reads of the system", "reads of the design", "ratio"],
)
def test_each_bar_can_be_missed(name, change):
    told = out_of_core.bars(replace(SMALL, n=100), FOUND | {"fit": FOUND["fit"] | change})
    assert told["met"][name] is False


@on_linux
def test_end_to_end_in_a_limited_process(tmp_path, monkeypatch, capsys):
    words = f"out_of_core --folder {tmp_path / 'rows'} --rows 20000 --file-rows 6000 --columns 6"
    words += f" --group-rows 2000 --processes 1 --json {tmp_path / 'out.json'}"
    monkeypatch.setattr("sys.argv", words.split())
    out_of_core.main()
    found = json.loads((tmp_path / "out.json").read_text("utf-8"))
    # So few rows are read more often for what a sample of them tells.
    assert found["met"] | {"ratio": True, "reads": True} == dict.fromkeys(found["met"], True)
    assert found["gradient"] <= 1e-6
    assert found["gradient"] == pytest.approx(found["fit"]["own_gradient"], rel=1e-3)
    assert 5e7 < found["fit"]["peak"] < 1e9
    assert found["planted"]["n"] == 20_000
    assert "full reads" in capsys.readouterr().out


def test_either_way_to_fit_finds_the_optimum_of_its_problem(tmp_path):
    generate(SMALL, tmp_path, processes=1)
    X, y = whole(SMALL, tmp_path)
    for by in ("classifier", "minimize"):
        W, b, told = limited_fit.fitted(X, y, {"by": by, "C": 0.1, "tol": 1e-9})
        assert told["converged"] is True
        assert b.any() == (by == "classifier")
        assert out_of_core.judged(SMALL, tmp_path, 0.1, W, b)[1] < 1e-8


def test_the_fit_in_memory_takes_the_first_rows(tmp_path):
    generate(SMALL, tmp_path, processes=1)
    order = {"folder": str(tmp_path), "n": 3_500, "d": 4, "C": 1.0, "tol": 1e-7, "by": "classifier"}
    told = limited_fit.in_memory(order)
    X, y = whole(SMALL, tmp_path)
    model = SoftmaxClassifier(1.0, tol=1e-7).fit(X[:3_500], y[:3_500])
    assert told["n"] == 3_500
    assert told["n_iter"] == model.n_iter_[0]
    assert told["own_gradient"] == pytest.approx(model.solution_.gradient_norm, rel=1e-6)
