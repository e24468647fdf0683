"""`softunit demo` ends with certified fits, and says where everything lies."""

from __future__ import annotations

import pytest

from softunit.cli.demo import PLANTED
from softunit.model_file import load_model
from tests.cli.commands import figures, refused, run


def test_demo_fits_predicts_and_certifies(tmp_path):
    folder = tmp_path / "new" / "demo"
    result = run("demo", "--folder", folder, "--json", tmp_path / "f.json")
    found = figures(tmp_path / "f.json")
    assert found["converged"] is True
    assert found["gap_bound"] < 1e-8
    assert found["predict"]["accuracy"] > 0.9
    assert found["shares"]["converged"] is True
    assert found["shares"]["gap_bound"] < 1e-3
    assert found["shares"]["certificate"]["local_gap_bound"] < 1e-12
    assert found["shares"]["found"] == pytest.approx(PLANTED, abs=0.1)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "digits.parquet", "digits-new.csv", "digits.safetensors", "digits.html",
        "digits-predicted.csv", "shares.csv", "shares.safetensors", "shares.html",
    }  # fmt: skip
    assert "Where everything lies" in result.stdout
    assert load_model(folder / "digits.safetensors").training.rows == 1500
    run("certify", folder / "digits.safetensors", folder / "digits.parquet")


def test_demo_finds_out_about_its_folder_first(tmp_path):
    (tmp_path / "taken").write_text("a file")
    assert "cannot be made a folder" in refused("demo", "--folder", tmp_path / "taken")
    assert "does not exist" in refused(
        "demo", "--folder", tmp_path / "d", "--json", tmp_path / "no" / "f.json"
    )
