"""`softunit predict`: what is written is what the estimator answers."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from softunit.cli.predict import predicted_columns
from softunit.model_file import load_model
from softunit.tables import read_table, write_table
from tests.cli.commands import columns, figures, market, matrix_file, refused, run, table


@pytest.fixture
def model(tmp_path, rng):
    """A model of the flowers, and the table it was fitted to."""
    data = table(tmp_path / "t.csv", rng)
    run("fit", data, "--target", "species", "--drop", "weight", "--out", tmp_path / "m.st")
    return tmp_path / "m.st", data


@pytest.mark.parametrize("name", ["p.csv", "p.tsv.gz", "p.parquet", "p.arrow", "p.feather"])
def test_predictions_are_those_of_the_estimator(name, model, tmp_path):
    out = tmp_path / name
    result = run("predict", *model, "--out", out, "--json", tmp_path / "f.json")
    saved = load_model(model[0])
    X = saved.encoding.apply(read_table(model[1]))
    written = read_table(out).arrow
    assert written.column_names == ["prediction", "p(setosa)", "p(versicolor)", "p(virginica)"]
    assert written.column(0).to_pylist() == saved.estimator.predict(X).tolist()
    shares = np.column_stack([written.column(k).to_numpy() for k in (1, 2, 3)])
    np.testing.assert_array_equal(shares, saved.estimator.predict_proba(X))
    assert "Predicted species for 120 rows" in result.stdout
    found = figures(tmp_path / "f.json")
    assert found["rows"] == sum(found["counts"].values()) == 120
    assert found["converged"] is True


def test_npz_holds_one_array_for_each_column(model, tmp_path):
    run("predict", *model, "--out", tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz") as arrays:
        assert sorted(arrays)[-1] == "prediction"
        assert len(arrays["p(setosa)"]) == 120


def test_the_table_needs_no_target_and_may_have_another_order(model, tmp_path, rng):
    data = columns(rng)
    data = {name: data[name][:7] for name in ("colour", "height", "width")}
    write_table(tmp_path / "new.parquet", data)
    run("predict", model[0], tmp_path / "new.parquet", "--out", tmp_path / "p.csv")
    assert read_table(tmp_path / "p.csv").n_rows == 7


def test_unknown_overrides_the_rule_of_the_fit(model, tmp_path, rng):
    data = columns(rng)
    data["colour"] = np.where(np.arange(120) == 5, "mauve", data["colour"])
    write_table(tmp_path / "new.csv", data)
    out = tmp_path / "p.csv"
    for command in (["predict", "--out", out], ["certify"]):
        args = (command[0], model[0], tmp_path / "new.csv", *command[1:])
        said = refused(*args)
        assert said.endswith("with --unknown other.")
        assert "unknown=" not in said
        # On these rows the coefficients are not the optimum; what counts is that they are taken.
        run(*args, "--unknown", "other", status=0 if command[0] == "predict" else 3)
    assert read_table(out).n_rows == 120
    run("fit", model[1], "--target", "species", "--unknown", "other", "--out", tmp_path / "o.st")
    args = ("predict", tmp_path / "o.st", tmp_path / "new.csv", "--out", out)
    run(*args)
    assert "'mauve'" in refused(*args, "--unknown", "error")


def test_out_format_says_what_is_written(model, tmp_path):
    run("predict", *model, "--out", tmp_path / "p.txt", "--out-format", "tsv")
    assert read_table(tmp_path / "p.txt", format="tsv").n_rows == 120
    run("predict", *model, "--out", tmp_path / "p.csv", "--out-format", "parquet")
    assert read_table(tmp_path / "p.csv", format="parquet").n_rows == 120
    said = refused("predict", *model, "--out", tmp_path / "p.csv", "--out-format", "svmlight")
    assert "--out-format" in said


@pytest.mark.skipif(os.name == "nt", reason="there is no /dev/stdout")
def test_predictions_go_to_a_pipe_alone(model, tmp_path):
    words = ["predict", *model, "--out", "/dev/stdout", "--out-format", "csv"]
    command = [sys.executable, "-m", "softunit", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, 121)
    assert lines[0] == '"prediction","p(setosa)","p(versicolor)","p(virginica)"'
    assert "Predicted species for 120 rows" in done.stderr
    quiet = subprocess.run([*command, "--quiet"], capture_output=True, text=True)
    assert (quiet.stdout, quiet.stderr) == (done.stdout, "")
    # Appended to a file that holds something already, as a shell's >> does.
    with open(tmp_path / "all.csv", "w") as file:
        file.write("first\n")
        file.flush()
        subprocess.run(command, stdout=file, stderr=-1, check=True)
    assert (tmp_path / "all.csv").read_text() == "first\n" + done.stdout


@pytest.mark.skipif(os.name == "nt", reason="there is no /dev/stdout")
def test_nobody_reading_predictions_is_no_error(model):
    read, write = os.pipe()
    os.close(read)
    words = ["predict", *model, "--out", "/dev/stdout", "--out-format", "csv", "--quiet"]
    command = [sys.executable, "-m", "softunit", *map(str, words)]
    done = subprocess.run(command, stdout=write, stderr=-1)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_levels_never_seen_are_refused_or_other(tmp_path, rng):
    data, fitted, new = columns(rng), tmp_path / "t.csv", tmp_path / "new.csv"
    write_table(fitted, data)
    data["colour"] = np.where(np.arange(120) == 5, "mauve", data["colour"])
    write_table(new, data)
    out = tmp_path / "p.csv"
    for how in ("error", "other"):
        run("fit", fitted, "--target", "species", "--unknown", how, "--out", tmp_path / how)
    said = refused("predict", tmp_path / "error", new, "--out", out)
    assert "'colour' holds 'mauve', never seen" in said
    assert not out.exists()
    run("predict", tmp_path / "other", new, "--out", out)
    assert read_table(out).n_rows == 120


def test_missing_values_are_filled_as_at_the_fit(tmp_path, rng):
    data = columns(rng)
    data["width"][3] = np.nan
    write_table(tmp_path / "t.csv", data)
    args = ("fit", tmp_path / "t.csv", "--target", "species", "--impute", "median")
    run(*args, "--out", tmp_path / "m.st")
    run("predict", tmp_path / "m.st", tmp_path / "t.csv", "--out", tmp_path / "p.parquet")
    median = np.nanmedian(data["width"])
    data["width"][3] = median
    write_table(tmp_path / "filled.csv", data)
    run("predict", tmp_path / "m.st", tmp_path / "filled.csv", "--out", tmp_path / "q.parquet")
    one, other = (read_table(tmp_path / name).arrow for name in ("p.parquet", "q.parquet"))
    assert one == other


@pytest.mark.parametrize("name", ["m.npz", "m.svm"])
def test_matrices_are_predicted_by_index(name, tmp_path, rng):
    data = matrix_file(tmp_path / name, rng)
    run("fit", data, "--out", tmp_path / "m.st")
    run("predict", tmp_path / "m.st", data, "--out", tmp_path / "p.csv")
    saved = load_model(tmp_path / "m.st")
    X = saved.encoding.apply(read_table(data))
    found = read_table(tmp_path / "p.csv").arrow.column("prediction").to_numpy()
    np.testing.assert_array_equal(found, saved.estimator.predict(X))


def test_the_offset_column_is_used_and_needed(tmp_path, rng):
    data = columns(rng)
    data["species"] = data["species"] == "setosa"
    write_table(tmp_path / "t.parquet", data)
    args = ("fit", tmp_path / "t.parquet", "--target", "species", "--offset", "weight")
    run(*args, "--out", tmp_path / "m.st")
    saved = load_model(tmp_path / "m.st")
    found = predicted_columns(saved, read_table(tmp_path / "t.parquet"))
    assert list(found) == ["prediction", "p(False)", "p(True)"]
    X = saved.encoding.apply(read_table(tmp_path / "t.parquet"))
    expected = saved.estimator.predict_proba(X, data["weight"])
    np.testing.assert_array_equal(found["p(True)"], expected[:, 1])
    del data["weight"]
    write_table(tmp_path / "new.parquet", data)
    said = refused(
        "predict", tmp_path / "m.st", tmp_path / "new.parquet", "--out", tmp_path / "p.csv"
    )
    assert "no column 'weight'" in said
    assert "offset" in said


def test_softmax_shares_sum_to_one_over_the_rows_given(tmp_path, rng):
    data = market(tmp_path / "t.csv", rng)
    args = ("fit", data, "--target", "share", "--problem", "softmax", "--out", tmp_path / "m.st")
    run(*args)
    result = run("predict", tmp_path / "m.st", data, "--out", tmp_path / "p.parquet")
    found = read_table(tmp_path / "p.parquet").arrow
    assert found.column_names == ["prediction"]
    share = read_table(data).arrow.column("share").to_numpy()
    np.testing.assert_allclose(found.column(0).to_numpy(), share, rtol=1e-10)
    assert "sum to one" in result.stdout


def test_scores_beyond_floats_are_refused(model, tmp_path):
    data = {"width": [1.7e308, 1.0], "height": [-1.7e308, 1.0], "colour": ["red", "red"]}
    write_table(tmp_path / "new.parquet", {name: np.array(v) for name, v in data.items()})
    with np.errstate(over="ignore", invalid="ignore"):
        said = refused("predict", model[0], tmp_path / "new.parquet", "--out", tmp_path / "p.csv")
    assert "overflow" in said


def test_a_model_that_had_not_converged_says_so(tmp_path, rng):
    data = table(tmp_path / "t.csv", rng)
    args = ("--max-iter", 0, "--out", tmp_path / "m.st")
    run("fit", data, "--target", "species", *args, status=3)
    result = run("predict", tmp_path / "m.st", data, "--out", tmp_path / "p.csv")
    assert "had not converged" in result.stdout


def test_bad_input_is_refused_and_leaves_the_old_file(model, tmp_path):
    out = tmp_path / "p.csv"
    out.write_text("old")
    (tmp_path / "short.csv").write_text("width,height\n1,2\n")
    assert "no column 'colour'" in refused(
        "predict", model[0], tmp_path / "short.csv", "--out", out
    )
    assert "is not a model" in refused("predict", model[1], model[1], "--out", out)
    assert "Did you mean" in refused("predict", tmp_path / "mm.st", model[1], "--out", out)
    assert "same file" in refused("predict", *model, "--out", model[1])
    for name in ("p.doc", "p.svm"):
        said = refused("predict", *model, "--out", tmp_path / name)
        assert ".csv, .tsv, .parquet, .arrow, .feather, .npz" in said
        assert "--out-format" in said
        assert "svmlight" not in said
        assert "--format" not in said.replace("--out-format", "")
    assert "Missing option '--out'" in refused("predict", *model)
    assert out.read_text() == "old"
