"""A process that is allowed less memory than a fit may take ends with a sentence, or is right."""

from __future__ import annotations

import numpy as np
import pytest

ROWS, COLUMNS = 300_000, 12
LIMITS = (4, 12, 30, 60, 120, 280, 400)
"""Megabytes beyond what the process has; the rows alone take 29."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Rows on disk, and a table of them."""
    folder = tmp_path_factory.mktemp("rows")
    X = np.random.default_rng(3).standard_normal((ROWS, COLUMNS))
    np.save(folder / "rows.npy", X)
    np.savez(folder / "table.npz", X=X, y=np.arange(ROWS) % 2)
    return folder


def test_a_limit_below_the_budget(folder, runner):
    path = str(folder / "rows.npy")
    right = runner("fit_limited", path=path, memory="1GB")
    assert right.end == "done", right
    refused = 0
    for megabytes in LIMITS:
        told = runner("fit_limited", path=path, memory="1GB", limits={"memory": megabytes << 20})
        if told.end == "done":
            np.testing.assert_allclose(told.value["x"], right.value["x"], rtol=0, atol=1e-10)
            continue
        # What NumPy says is a sentence too: how much it could not get, and what for.
        assert told.refused or "MemoryError" in told.error, told
        assert "memory" in told.message or "Unable to allocate" in told.message
        refused += 1
    assert refused


def test_a_limit_below_a_table(folder, runner, tmp_path):
    out = tmp_path / "model.safetensors"
    arguments = ["fit", str(folder / "table.npz"), "--target", "y", "--out", str(out)]
    refused = 0
    for megabytes in LIMITS[1:]:  # with less the command is not even loaded whole
        told = runner("run_command", arguments=arguments, limits={"memory": megabytes << 20})
        assert told.end == "done", told
        if told.value["status"] == 0:
            out.unlink()
            continue
        assert told.value["status"] == 2, told.value
        assert "memory" in told.value["err"]
        assert "Traceback" not in told.value["err"]
        assert not out.exists()
        refused += 1
    assert refused
    assert not list(tmp_path.iterdir())
