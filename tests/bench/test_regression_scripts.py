"""The command and the scripts that measure regressions run end to end, on small sizes."""

from __future__ import annotations

import argparse
import json

import pytest

from benchmarks import inversion, scaling_per_iteration
from softunit.bench import CaseRun, Result
from softunit.bench.regression import REGRESSION_CASES
from tests.cli.commands import figures, refused, run


def test_regressions_end_to_end(tmp_path):
    json_file, picture = tmp_path / "b.json", tmp_path / "b.svg"
    result = run(
        "bench", "--suite", "regression-quick", "--cases", "exp-2k-10-e8", "--peers",
        "scipy-lm,softunit", "--threads", 1, "--repeats", 1, "--json", json_file, "--plot", picture,
    )  # fmt: skip
    found = figures(json_file)
    assert found["converged"] is True
    results = found["cases"][0]["results"]
    assert [one["peer"] for one in results] == ["softunit", "scipy-lm"]
    assert all(one["gradient"] <= 1e-8 for one in results)
    assert found["summary"]["worst_case"] == "exp-2k-10-e8"
    assert "scipy" in found["machine"]["versions"]
    assert "bar of each case" in picture.read_text("utf-8")
    for words in ("exp, 2,000 x 10, to 1e-08", "passes", "All cases", "Worst ratio"):
        assert words in result.stdout


def test_another_optimum_and_the_named_ratios_are_shown(monkeypatch):
    name = "softmax-100k-100-e8"
    one = CaseRun(REGRESSION_CASES[name], 0.1)
    one.results += [
        Result(name, "softunit", "reached", 1.0, 10.0, gradient=1e-9, value=0.1),
        Result(name, "scipy-trf", "reached", 9.0, 90.0, gradient=1e-9, value=0.1),
        Result(name, "scipy-lm", "missed", gradient=float("inf"), value=0.3),
        Result(name, "scipy-lbfgs", "stopped", budget=5.0, bound=5.0),
    ]
    monkeypatch.setattr("softunit.cli.bench.run_cases", lambda *args: iter([one]))
    peers = ",".join(result.peer for result in one.results)
    said = run("bench", "--suite", "regression", "--peers", peers).stdout
    for words in (
        "missed: value 0.3, another optimum's",
        "trf or lm 9",
        "L-BFGS at least 5",
        "Geometric mean",
    ):
        assert words in said


def test_the_lists_name_both_kinds_of_cases_and_peers():
    said = run("bench", "--list").stdout
    for words in ("regression-quick", "Cases, regression", "Peers, regression", "scipy-trf-lsmr"):
        assert words in said


def test_cases_of_the_other_kind_are_refused():
    assert "iris" in refused("bench", "--suite", "regression-quick", "--cases", "iris")
    assert "exp-2k-10-e8" in refused("bench", "--cases", "exp-2k-10-e8")


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_one_size_of_the_study_by_iteration(kind):
    given = argparse.Namespace(columns=20, iterations=3, repeats=1, threads=1)
    found = scaling_per_iteration.measured(kind, 4_000, given)
    assert found["rows"] == (200 if kind == "dense" else 1_000)
    assert found["seconds"] > 0
    assert 0 < found["n_iter"] <= 3
    assert 10 < found["peak_mb"] < 2_000


@pytest.mark.parametrize(("power", "status"), [(1.0, 0), (1.2, 1)])
def test_the_study_judges_by_the_slope(power, status, tmp_path, monkeypatch, capsys):
    def measured(kind, nonzeros, given):
        told = {
            "seconds": nonzeros**power,
            "median": 1.0,
            "n_iter": 5,
            "peak_mb": 100.0,
            "values": 2.0,
        }
        return {"kind": kind, "rows": nonzeros, "two_products": 1.0} | told

    path = tmp_path / "s.json"
    monkeypatch.setattr(scaling_per_iteration, "measured", measured)
    monkeypatch.setattr("sys.argv", ["study", "--most", "1e6", "--json", str(path)])
    assert scaling_per_iteration.main() == status
    found = json.loads(path.read_text("utf-8"))
    assert found["slopes"] == pytest.approx({"dense": power, "sparse": power})
    assert len(found["points"]) == 6
    assert ("ABOVE THE LIMIT" in capsys.readouterr().out) == bool(status)


@pytest.mark.parametrize("signs", ["interior", "mixed"])
def test_one_inversion_in_a_process_of_its_own(signs):
    given = argparse.Namespace(rows=400, columns=4, signs=signs, threads=1)
    found = inversion.measured(given)
    assert 1e7 < found["peak"] < 2e9
    assert found["error"] <= inversion.CLOSE
    assert found["converged"] is True


@pytest.mark.parametrize(
    ("told", "status", "words"),
    [
        ({"peak": 1e9, "error": 1e-10}, 0, "within the limit"),
        ({"peak": 3e9, "error": 1e-10}, 1, "ABOVE the limit"),
        ({"peak": 1e9, "error": 1e-3}, 1, "NOT RECOVERED"),
    ],
)
def test_an_inversion_is_judged_by_memory_and_error(told, status, words, monkeypatch, capsys):
    monkeypatch.setattr(inversion, "measured", lambda given: told | {"seconds": 1.0})
    monkeypatch.setattr("sys.argv", ["inversion"])
    assert inversion.main() == status
    assert words in capsys.readouterr().out
