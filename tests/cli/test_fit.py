"""`softunit fit`, from all kinds of files to the figures, the model and the report."""

from __future__ import annotations

import math

import numpy as np
import pytest

from softunit import SoftmaxClassifier
from softunit.model_file import load_model
from softunit.tables import read_table, write_table
from tests.cli.commands import EVIL, columns, figures, market, matrix_file, run, table

NAMES = ["t.csv", "t.csv.gz", "t.tsv", "t.parquet", "t.arrow", "t.arrows", "t.feather"]


@pytest.mark.parametrize("name", NAMES)
def test_fits_every_kind_of_table(name, tmp_path, rng):
    data = table(tmp_path / name, rng)
    result = run("fit", data, "--target", "species", "--json", tmp_path / "f.json")
    found = figures(tmp_path / "f.json")
    assert found["converged"] is True
    assert found["n"] == 120
    assert found["classes"] == ["setosa", "versicolor", "virginica"]
    assert 0 <= found["gap_bound"] < 1e-6
    assert found["gradient_norm"] <= found["tol"] == 1e-6
    assert "Converged." in result.stdout
    assert "colour" not in found["data"]["Target"]


@pytest.mark.parametrize("name", ["m.npz", "m.svmlight", "m.svm"])
def test_fits_matrices_without_naming_the_target(name, tmp_path, rng):
    data = matrix_file(tmp_path / name, rng)
    run("fit", data, "--out", tmp_path / "m.safetensors", "--json", tmp_path / "f.json")
    found = figures(tmp_path / "f.json")
    assert (found["n"], found["d"], found["target"], found["classes"]) == (90, 4, "y", [0, 1, 2])
    assert load_model(tmp_path / "m.safetensors").estimator.classes_.dtype == np.int64


def test_the_figures_are_those_of_the_estimator(tmp_path, rng):
    data = table(tmp_path / "t.csv", rng)
    args = ("--C", 0.5, "--weights", "weight", "--drop", "colour", "--tol", 1e-9)
    run("fit", data, "--target", "species", *args, "--json", tmp_path / "f.json")
    found = columns(np.random.default_rng(0), 3) | figures(tmp_path / "f.json")
    arrow = read_table(data).arrow.to_pandas()
    twin = SoftmaxClassifier(C=0.5, tol=1e-9).fit(
        arrow[["width", "height"]].to_numpy(), arrow["species"].to_numpy(), arrow["weight"]
    )
    assert found["value"] == pytest.approx(twin.solution_.value, rel=1e-12)
    assert found["n_iter"] == twin.solution_.n_iter
    assert found["settings"]["C"] == 0.5
    assert found["settings"]["verbose"] == 0
    assert found["cost"]["products"] == twin.solution_.cost.products


def test_writes_model_report_and_figures_and_says_where(tmp_path, rng):
    data = table(tmp_path / "t.csv", rng)
    paths = {name: tmp_path / name for name in ("m.safetensors", "r.html", "f.json")}
    model, report, json = paths.values()
    result = run(
        "fit", data, "--target", "species", "--out", model, "--report", report, "--json", json
    )
    page = report.read_text("utf-8")
    assert "SoftmaxClassifier on" in page
    assert "softunit fit" in page
    assert f"--target species --report {report} --out {model}" in figures(json)["repeat"]
    printed = result.stdout.replace("\n", "")
    assert "m.safetensors" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*paths, "t.csv"])


def test_repeating_the_command_repeats_the_fit(tmp_path, rng):
    import shlex

    data = table(tmp_path / "t.csv", rng)
    args = ("--C", "inf", "--drop", "weight", "--drop", "height", "--unknown", "other")
    more = ("--no-intercept", "--solver", "lbfgs", "--max-iter", 500, "--class-weight", "balanced")
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    run("fit", data, "--target", "species", *args, *more, "--json", first)
    words = shlex.split(figures(first)["repeat"])
    run(*words[1:], "--json", second)
    assert figures(first)["value"] == figures(second)["value"]
    assert figures(first)["settings"] == figures(second)["settings"]
    assert figures(first)["settings"]["C"] is None  # infinity has no number in JSON


def test_two_classes_take_an_offset(tmp_path, rng):
    data = columns(rng)
    data["species"] = np.where(data["species"] == "setosa", "setosa", "other")
    write_table(tmp_path / "t.parquet", data)
    args = ("fit", tmp_path / "t.parquet", "--target", "species", "--offset", "weight")
    run(*args, "--out", tmp_path / "m.safetensors", "--json", tmp_path / "f.json")
    twin = SoftmaxClassifier().fit(
        np.column_stack(
            [
                data["width"],
                data["height"],
                *(data["colour"] == c for c in ("blue", "green", "red")),
            ]
        ).astype(float),
        data["species"],
        offset=data["weight"],
    )
    assert figures(tmp_path / "f.json")["value"] == pytest.approx(twin.solution_.value, rel=1e-12)
    assert load_model(tmp_path / "m.safetensors").offset == "weight"


def test_softmax_regression_finds_what_was_planted(tmp_path, rng):
    data = market(tmp_path / "t.csv", rng)
    args = ("fit", data, "--target", "share", "--problem", "softmax")
    run(*args, "--out", tmp_path / "m.safetensors", "--json", tmp_path / "f.json")
    assert load_model(tmp_path / "m.safetensors").estimator.coef_ == pytest.approx([-1.5, 0.7])
    assert figures(tmp_path / "f.json")["tol"] == 1e-10
    run(*args, "--w", 0.1, "--ridge", 0.01, "--json", tmp_path / "f.json")
    assert figures(tmp_path / "f.json")["settings"]["w"] == 0.1


def test_not_converged_is_status_three_with_advice(tmp_path, rng):
    data = table(tmp_path / "t.csv", rng)
    slow = ("fit", data, "--target", "species", "--solver", "gradient-descent", "--max-iter", 2)
    result = run(*slow, "--json", tmp_path / "f.json", status=3)
    assert "Not converged." in result.stdout
    assert "Raise --max-iter" in " ".join(result.stdout.split())
    assert "GradientDescent stopped after 2 iterations" in " ".join(result.stdout.split())
    found = figures(tmp_path / "f.json")
    assert (found["converged"], found["status"]) == (False, "MAX_ITER")
    assert len(found["notes"]) == 1
    quiet = run(*slow, "--quiet", status=3)
    assert quiet.stdout == ""
    assert "not converged" in quiet.stderr
    assert "above the optimum" in quiet.stderr
    assert len(quiet.stderr.splitlines()) == 1


def test_warnings_of_the_fit_become_notes(tmp_path, rng):
    data = columns(rng)
    data["twice"] = 2 * data["width"]
    write_table(tmp_path / "t.csv", data)
    result = run("fit", tmp_path / "t.csv", "--target", "species", "--C", "inf", "--tol", 1e-5)
    assert "Notes" in result.stdout
    assert "not unique" in result.stdout


def test_separable_classes_without_ridge_are_named(tmp_path):
    x = np.linspace(-1, 1, 40)
    write_table(tmp_path / "t.csv", {"x": x, "side": np.where(x > 0, "right", "left")})
    json = tmp_path / "f.json"
    result = run(
        "fit", tmp_path / "t.csv", "--target", "side", "--C", "inf", "--json", json, status=3
    )
    assert figures(json)["status"] == "SEPARABLE"
    assert "'left'" in result.stdout
    assert "'right'" in result.stdout


def test_missing_values_are_refused_or_filled(tmp_path, rng):
    data = columns(rng)
    data["width"][[4, 7]] = math.nan
    data["colour"][3] = ""
    write_table(tmp_path / "t.parquet", data)
    args = ("fit", tmp_path / "t.parquet", "--target", "species")
    said = run(*args, status=2).stderr
    assert "'width' has 2 missing values, the first in data row 5" in said
    for how in ("mean", "median", "most-frequent"):
        model = tmp_path / "m.safetensors"
        run(*args, "--impute", how, "--out", model, "--json", tmp_path / "f.json")
        assert figures(tmp_path / "f.json")["data"]["Missing values"] == f"filled: {how}"
        assert load_model(model).encoding.columns[0].fill is not None


def test_names_from_data_stay_text(tmp_path, rng):
    data = columns(rng)
    renamed = dict(zip((*EVIL, "weight", "species"), data.values(), strict=True))
    renamed["species"] = np.char.add(renamed["species"], "[bold]\x1b[2J")
    write_table(tmp_path / "t.parquet", renamed)
    report = tmp_path / "r.html"
    result = run("fit", tmp_path / "t.parquet", "--target", "species", "--report", report)
    assert "\x1b" not in result.stdout
    assert "[red]x[/red]" in result.stdout
    assert "<script>alert" in result.stdout
    assert "[bold]" in result.stdout
    assert "\\x1b" in result.stdout
    assert "<script>alert" not in report.read_text("utf-8")


def test_quiet_prints_nothing(tmp_path, rng):
    data = table(tmp_path / "t.csv", rng)
    result = run("fit", data, "--target", "species", "--quiet")
    assert result.stdout == result.stderr == ""


def test_a_format_can_be_told(tmp_path, rng):
    table(tmp_path / "t.tsv", rng).rename(tmp_path / "t.txt")
    run("fit", tmp_path / "t.txt", "--target", "species", "--format", "tsv")


def test_paths_are_printed_on_one_line(tmp_path, rng):
    data, model = table(tmp_path / "t.csv", rng), tmp_path / ("m" * 90 + ".safetensors")
    result = run("fit", data, "--target", "species", "--out", model)
    assert f"Model{' ' * 25}{model}" in result.stdout.splitlines()


def test_quiet_or_not_separable_classes_are_named(tmp_path):
    lines = ["a,b,kind", *(f"{i},{i % 3},{'low' if i < 20 else 'high'}" for i in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    command = ("fit", tmp_path / "t.csv", "--target", "kind", "--C", "inf")
    assert "'high', 'low'" in " ".join(run(*command, status=3).stdout.split())
    assert "'high', 'low'" in run(*command, "-q", status=3).stderr
