"""Bad input gets one sentence and status 2; nothing is fitted, nothing is lost."""

from __future__ import annotations

import os

import numpy as np
import pytest

import softunit.model_file.files as model_files
from softunit import SoftmaxClassifier
from softunit.cli import exits, reading
from softunit.tables import write_table
from tests.cli.commands import columns, market, matrix_file, refused, run, table

# What is asked for, and what the sentence must hold.
SENTENCES = {
    "--target specis": ["no column 'specis'", "Did you mean 'species'?", "'width', 'height'"],
    "": ["--target is missing", "'species'"],
    "--tagret species": ["No such option", "--target", "softunit fit --help"],
    "--target species --C abc": ["--C"],
    "--target species --C -1": ["--C must be", "-1"],
    "--target species --C nan": ["--C must be", "nan"],
    "--target species --tol -1": ["--tol must be"],
    "--target species --max-iter -3": ["--max-iter must be"],
    "--target species --solver newtn": ["newtn", "Did you mean 'newton'"],
    "--target species --ridge 1": ["--ridge belongs to --problem softmax"],
    "--target species --impute zero": ["--impute", "median"],
    "--target species --problem softmax --C 2": ["--C belongs to --problem classifier"],
    "--target species --problem softmax --offset weight": ["--offset belongs to"],
    "--target species --problem softmax --no-intercept": ["--no-intercept belongs to"],
    "--target species --problem softmax": ["'species' must hold numbers", "'setosa'"],
    "--target width": ["'width'", "looks continuous", "--problem softmax"],
    "--target species --offset weight": ["--offset is for two classes", "has 3"],
    "--target species --weights species": ["'species' has two roles"],
    "--target species --weights colour": ["'colour' must hold numbers"],
    "--target species --weights wieght": ["no column 'wieght'", "'weight'"],
    "--target species --drop colur": ["no column 'colur'", "'colour'"],
    "--target species --drop width --drop height --drop colour --drop weight": ["No column of"],
}


@pytest.mark.parametrize("options", SENTENCES)
def test_refuses_with_a_sentence(options, tmp_path, rng):
    said = refused("fit", table(tmp_path / "t.csv", rng), *options.split())
    for words in SENTENCES[options]:
        assert words in said, said


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,b\n1,2\n3\n", "row"),
        ("t.parquet", b"PAR1 and then nothing", "cannot be read as parquet"),
        ("t.npz", b"PK\x03\x04 cut", "cannot be read as npz"),
        ("t.svm", b"1 1:2\nnonsense:\n", "line 2"),
        ("t.xls", b"1", "extension that is not known"),
    ],
)
def test_damaged_files_are_named(name, content, words, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    said = refused("fit", path, "--target", "b")
    assert words in said
    assert name in said


def test_a_truncated_file_is_named(tmp_path, rng):
    path = table(tmp_path / "t.parquet", rng)
    path.write_bytes(path.read_bytes()[:-20])
    assert "t.parquet cannot be read as parquet" in refused("fit", path, "--target", "species")


def test_a_file_that_is_not_there_has_near_names(tmp_path, rng):
    table(tmp_path / "flowers.csv", rng)
    said = refused("fit", tmp_path / "flower.csv", "--target", "species")
    assert "Did you mean 'flowers.csv'?" in said


def test_one_class_only_is_refused(tmp_path):
    write_table(tmp_path / "t.csv", {"x": np.arange(5.0), "y": np.array(["a"] * 5)})
    assert "one class only" in refused("fit", tmp_path / "t.csv", "--target", "y")


def test_infinity_is_refused_with_its_column(tmp_path, rng):
    data = columns(rng)
    data["width"][11] = np.inf
    write_table(tmp_path / "t.parquet", data)
    said = refused("fit", tmp_path / "t.parquet", "--target", "species")
    assert "'width' has 1 infinite value, in data row 12" in said


def test_negative_weights_are_refused(tmp_path, rng):
    data = columns(rng)
    data["weight"][2] = -1.0
    write_table(tmp_path / "t.csv", data)
    said = refused("fit", tmp_path / "t.csv", "--target", "species", "--weights", "weight")
    assert "negative" in said


def test_control_codes_in_names_are_written_out(tmp_path):
    write_table(tmp_path / "t.parquet", {"\x1b[31mx": np.arange(3.0), "y": np.arange(3)})
    said = refused("fit", tmp_path / "t.parquet", "--target", "\x1b[31my\n")
    assert "\\x1b[31m" in said


@pytest.fixture
def no_fit(monkeypatch):
    """Make any fit, and any reading of the table, a failure of the test."""

    def called(*args, **kwargs):
        pytest.fail("the fit was reached")

    monkeypatch.setattr(SoftmaxClassifier, "fit", called)
    monkeypatch.setattr(reading, "read_tables", called)


@pytest.mark.parametrize("option", ["--out", "--report", "--json"])
def test_outputs_are_checked_before_the_fit(option, tmp_path, rng, no_fit):
    args = ("fit", table(tmp_path / "t.csv", rng), "--target", "species", option)
    assert "does not exist" in refused(*args, tmp_path / "nowhere" / "x")
    assert "it is a folder" in refused(*args, tmp_path)
    assert "are the same file" in refused(*args, tmp_path / "t.csv")


def test_outputs_that_are_one_file_are_refused(tmp_path, rng, no_fit):
    data, one = table(tmp_path / "t.csv", rng), tmp_path / "x"
    said = refused("fit", data, "--target", "species", "--out", one, "--report", f"{tmp_path}/./x")
    assert "--report and --out are the same file" in said
    one.write_text("old")
    os.link(one, tmp_path / "linked")
    said = refused("fit", data, "--target", "species", "--out", one, "--json", tmp_path / "linked")
    assert "are the same file" in said
    assert one.read_text() == "old"


def test_settings_are_checked_before_the_table_is_read(tmp_path, rng, no_fit):
    data = table(tmp_path / "t.csv", rng)
    assert "--C must be" in refused("fit", data, "--target", "species", "--C", 0)


def test_missing_packages_are_found_before_the_fit(tmp_path, rng, no_fit, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    data = table(tmp_path / "t.csv", rng)
    for option in ("--out", "--report"):
        said = refused("fit", data, "--target", "species", option, tmp_path / "x")
        assert "pip install 'softunit[cli]'" in said


def test_an_interrupted_run_leaves_the_old_model_whole(tmp_path, rng, monkeypatch):
    data, model = table(tmp_path / "t.csv", rng), tmp_path / "m.safetensors"
    run("fit", data, "--target", "species", "--out", model)
    before = model.read_bytes()

    def half(path, content):
        with open(path, "wb") as file:
            file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_bytes", half)
    result = run("fit", data, "--target", "species", "--out", model, status=130)
    assert "interrupted" in result.stderr
    assert model.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "m.safetensors"}


def test_a_full_disk_leaves_the_old_model_whole(tmp_path, rng, monkeypatch):
    data, model = table(tmp_path / "t.csv", rng), tmp_path / "m.safetensors"
    model.write_bytes(b"old")

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    said = refused("fit", data, "--target", "species", "--out", model)
    assert "No space left" in said
    assert model.read_bytes() == b"old"
    assert model_files.KEY == "softunit"


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            MemoryError("Unable to allocate 9 TiB"),
            2,
            "not enough memory (Unable to allocate 9 TiB)",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), exits.PIPE_CLOSED, ""),
    ],
)
def test_other_ends_have_their_status(error, status, words, tmp_path, rng, monkeypatch):
    def fails(*args, **kwargs):
        raise error

    monkeypatch.setattr(reading, "fit_encoding", fails)
    result = run("fit", table(tmp_path / "t.csv", rng), "--target", "species", status=status)
    assert words in result.stderr
    assert result.stdout == ""


def test_faults_of_the_program_keep_their_traceback(tmp_path, rng, monkeypatch):
    def fails(*args, **kwargs):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(reading, "fit_encoding", fails)
    result = run("fit", table(tmp_path / "t.csv", rng), "--target", "species", status=1)
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_market_needs_no_classifier(tmp_path, rng):
    said = refused("fit", market(tmp_path / "t.csv", rng, 80), "--target", "share")
    assert "looks continuous" in said


def test_fractions_are_no_classes(tmp_path, rng):
    write_table(tmp_path / "t.csv", {"x": rng.random(20), "y": np.arange(20) % 3 + 0.5})
    said = refused("fit", tmp_path / "t.csv", "--target", "y")
    assert "'y' holds 0.5, and 20 such rows in all" in said


def test_matrix_files_have_a_target_of_their_own(tmp_path, rng):
    said = refused("fit", matrix_file(tmp_path / "m.npz", rng), "--target", "z")
    assert "no column 'z'" in said
