"""`softunit certify`: the certificate of saved coefficients, computed afresh from the data."""

from __future__ import annotations

import numpy as np
import pytest

from softunit.model_file import load_model
from softunit.tables import read_table, write_table
from tests.cli.commands import columns, figures, market, matrix_file, refused, run, table


@pytest.fixture
def model(tmp_path, rng):
    data = table(tmp_path / "t.csv", rng)
    args = ("fit", data, "--target", "species", "--weights", "weight", "--out", tmp_path / "m.st")
    run(*args, "--json", tmp_path / "fit.json")
    return tmp_path / "m.st", data


def test_the_optimum_is_certified_on_its_own_table(model, tmp_path):
    result = run("certify", *model, "--json", tmp_path / "f.json")
    found, fit = figures(tmp_path / "f.json"), figures(tmp_path / "fit.json")
    assert found["converged"] is True
    assert found["value"] == pytest.approx(fit["value"], rel=1e-12)
    assert found["gap_bound"] == pytest.approx(fit["gap_bound"], rel=0.5)
    assert "Certified." in result.stdout
    assert "proved" in result.stdout
    saved = load_model(model[0])
    data = read_table(model[1])
    X, y = saved.encoding.apply(data), data.arrow.column("species").to_numpy()
    again = saved.estimator.certify(X, y, data.arrow.column("weight").to_numpy())
    assert found["certificate"]["gap_bound"] == again.gap_bound


def test_another_table_is_status_three_with_advice(model, tmp_path):
    other = table(tmp_path / "other.csv", np.random.default_rng(5))
    result = run("certify", model[0], other, "--json", tmp_path / "f.json", status=3)
    assert "Not the optimum." in result.stdout
    assert "above the tolerance" in result.stdout
    assert figures(tmp_path / "f.json")["converged"] is False
    quiet = run("certify", model[0], other, "--quiet", status=3)
    assert quiet.stdout == ""
    assert "not certified" in quiet.stderr


def test_softmax_regressions_are_certified(tmp_path, rng):
    data = market(tmp_path / "t.parquet", rng)
    run("fit", data, "--target", "share", "--problem", "softmax", "--out", tmp_path / "m.st")
    run("certify", tmp_path / "m.st", data, "--json", tmp_path / "f.json")
    assert figures(tmp_path / "f.json")["gap_bound"] < 1e-20


@pytest.mark.parametrize("name", ["m.npz", "m.svm"])
def test_matrices_are_certified(name, tmp_path, rng):
    data = matrix_file(tmp_path / name, rng)
    run("fit", data, "--out", tmp_path / "m.st")
    run("certify", tmp_path / "m.st", data)


def test_labels_that_look_like_numbers_stay_text(tmp_path, rng):
    data = columns(rng)
    data["species"] = np.array(["01", "02", "03"])[np.arange(120) % 3]
    write_table(tmp_path / "t.parquet", data)
    write_table(tmp_path / "t.csv", data)
    args = ("fit", tmp_path / "t.parquet", "--target", "species", "--out", tmp_path / "m.st")
    run(*args)
    run("certify", tmp_path / "m.st", tmp_path / "t.csv")


def test_labels_that_the_model_does_not_know_are_refused(model, tmp_path, rng):
    data = columns(rng)
    data["species"] = np.where(np.arange(120) == 3, "iris", data["species"])
    write_table(tmp_path / "new.csv", data)
    said = refused("certify", model[0], tmp_path / "new.csv")
    assert "'species' holds 'iris' (1 row, in data row 4), which" in said
    data["species"] = np.arange(120) % 2 == 0
    write_table(tmp_path / "new.parquet", data)
    assert "does not know" in refused("certify", model[0], tmp_path / "new.parquet")


def test_balanced_weights_need_every_class(tmp_path, rng):
    data = columns(rng)
    write_table(tmp_path / "t.csv", data)
    args = ("fit", tmp_path / "t.csv", "--target", "species", "--class-weight", "balanced")
    run(*args, "--out", tmp_path / "m.st")
    run("certify", tmp_path / "m.st", tmp_path / "t.csv")
    two = {name: values[data["species"] != "setosa"] for name, values in data.items()}
    write_table(tmp_path / "two.csv", two)
    said = refused("certify", tmp_path / "m.st", tmp_path / "two.csv")
    assert "lacks the classes 'setosa'" in said


def test_the_target_is_needed(model, tmp_path, rng):
    data = columns(rng)
    data["specie"] = data.pop("species")
    write_table(tmp_path / "new.csv", data)
    assert "Did you mean 'specie'?" in refused("certify", model[0], tmp_path / "new.csv")


def test_what_a_proof_ended_is_certified_by_it(tmp_path, rng):
    data = columns(rng)
    # So large that rounding alone leaves the gradient above the tolerance.
    data["width"] = 1e12 * (1 + data["width"])
    write_table(tmp_path / "t.parquet", data)
    model, found = tmp_path / "m.st", tmp_path / "f.json"
    result = run(
        "fit", tmp_path / "t.parquet", "--target", "species", "--out", model, "--json", found
    )
    assert figures(found)["status"] == "PROVED"
    assert "Converged." in result.stdout
    result = run("certify", model, tmp_path / "t.parquet", "--json", found)
    assert figures(found)["gradient_norm"] > figures(found)["tol"]
    assert "Certified." in result.stdout
    result = run("predict", model, tmp_path / "t.parquet", "--out", tmp_path / "p.csv")
    assert "had not converged" not in result.stdout
