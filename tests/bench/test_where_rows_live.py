"""The same rows are fitted wherever they may live, and the fits compared in a table."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks.planted_rows import Planted, generate

where_rows_live = pytest.importorskip("benchmarks.where_rows_live")  # it asks POSIX for its peak
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
SMALL = Planted(n=6_000, d=4, k=3, file_rows=2_500, group_rows=1_000)


@pytest.fixture
def folder(tmp_path):
    generate(SMALL, tmp_path, processes=1)
    where_rows_live.write_npy(SMALL, tmp_path)
    return tmp_path


def test_arrays_and_files_hold_the_same_rows(folder):
    X, y = where_rows_live.arrays(folder, SMALL)
    drawn = [block for number in range(3) for block in SMALL.drawn(number)]
    assert np.array_equal(X, np.concatenate([rows for rows, _ in drawn]))
    assert np.array_equal(y, np.concatenate([classes for _, classes in drawn]))
    for home in ("parquet", "npy"):
        with where_rows_live.HOMES[home].bring(folder, SMALL, "50MB") as (A, target):
            assert np.array_equal(A.toarray(), X)
            assert np.array_equal(target, y)


@pytest.mark.parametrize("home", ["memory", "parquet", "npy", "torch"])
def test_a_fit_says_what_it_took(home, folder):
    if home == "torch":
        pytest.importorskip("torch")
    order = {"planted": vars(SMALL), "folder": str(folder), "memory": "50MB", "C": 0.01}
    order |= {"tol": 1e-10, "home": home, "out": str(folder / "found.npy")}
    told = where_rows_live.fitted(order)
    assert told["converged"] is True
    assert told["gradient_norm"] <= 1e-10
    assert (told["reads"] is not None) == (home in ("parquet", "npy"))
    assert told["reads"] is None or told["reads"] > 2
    X, y = where_rows_live.arrays(folder, SMALL)
    model = where_rows_live.classifier(order).fit(X, y)
    assert np.load(order["out"]) == pytest.approx(model.coef_, abs=1e-8)


def test_end_to_end_it_prints_a_row_for_each(folder, monkeypatch, capsys):
    words = f"where --folder {folder} --rows 6000 --columns 4 --classes 3 --file-rows 2500"
    words += f" --group-rows 1000 --memory 50MB --homes memory npy --json {folder / 'w.json'}"
    monkeypatch.setattr("sys.argv", words.split())
    assert where_rows_live.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("6,000 x 4, K = 3")
    assert [line.split("|")[1].strip() for line in lines[3:]] == ["in memory", "in an NPY file"]
    found = json.loads((folder / "w.json").read_text("utf-8"))
    assert max(found["apart"]) < 1e-8
    assert all(result["peak"] > 5e7 for result in found["results"])


@pytest.mark.parametrize(
    ("shift", "converged", "status"), [(0.0, True, 0), (1e-7, True, 1), (0.0, False, 1)]
)
def test_it_fails_where_coefficients_are_apart(shift, converged, status, folder, monkeypatch):
    def measured(home, planted, given):
        coefficients = np.zeros((3, 4)) + shift * (home == "npy")
        numbers = {"seconds": 1.0, "bring": 1.0, "peak": 1e9, "reads": None, "gap_bound": 0.0}
        return numbers | {"home": home, "converged": converged, "coefficients": coefficients}

    monkeypatch.setattr(where_rows_live, "measured", measured)
    words = f"where --folder {folder} --rows 6000 --columns 4 --classes 3 --file-rows 2500"
    monkeypatch.setattr("sys.argv", [*words.split(), "--group-rows", "1000"])
    assert where_rows_live.main() == status
