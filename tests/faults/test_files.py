"""Files that are harmed while a fit reads them: the right answer or a sentence, no third way."""

from __future__ import annotations

import numpy as np
import pytest

from tests.faults.disk_actions import HARM

FORMATS = ("arrow", "npy", "parquet")


@pytest.fixture(scope="module")
def right(runner, tmp_path_factory):
    """The answers from whole files, and how many blocks they took."""
    found = {}
    for format in FORMATS:
        folder = str(tmp_path_factory.mktemp(format))
        assert runner("write_data", folder=folder, format=format).end == "done"
        told = runner("fit_files", folder=folder, format=format)
        assert told.end == "done", told
        assert told.value["status"] == "CONVERGED"
        found[format] = told.value
    one = found["npy"]["x"]
    for format in FORMATS:
        np.testing.assert_allclose(found[format]["x"], one, rtol=0, atol=1e-12)
    return found


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("harm", sorted(HARM))
def test_harmed_between_passes_and_within_one(format, harm, right, runner, tmp_path):
    total = right[format]["blocks"]
    rng = np.random.default_rng(len(harm) * len(format))
    # From the second pass on, so that the rows were seen whole once; then anywhere.
    first, refused = total // 4, 0
    for number, after in enumerate(rng.integers(first, total, 3).tolist()):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert runner("write_data", folder=folder, format=format).end == "done"
        told = runner("fit_files", folder=folder, format=format, harm=harm, after=after)
        if told.end == "done":  # what was harmed was not read again
            np.testing.assert_allclose(told.value["x"], right[format]["x"], rtol=0, atol=1e-10)
        else:
            assert told.refused, told
            assert str(folder) in told.message
            refused += 1
    assert refused


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_before(format, runner, tmp_path):
    assert runner("write_data", folder=tmp_path, format=format).end == "done"
    told = runner("fit_files", folder=tmp_path, format=format, harm="truncated")
    assert told.refused, told
    assert "part-1" in told.message


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_vanished_after_it_was_found(format, right, runner, tmp_path):
    assert runner("write_data", folder=tmp_path, format=format).end == "done"
    told = runner("fit_files", folder=tmp_path, format=format, harm="removed", after=1)
    assert told.refused, told
    assert "part-1" in told.message


@pytest.mark.parametrize("format", FORMATS)
def test_nan_in_the_very_last_row(format, runner, tmp_path):
    assert runner("write_data", folder=tmp_path, format=format, nan=True).end == "done"
    told = runner("fit_files", folder=tmp_path, format=format)
    assert told.refused, told
    assert "x1" in told.message or "column 1" in told.message
    assert "row 3599" in told.message
    assert "row 1199 of" in told.message
    assert "part-2" in told.message
