"""Blocks, columns and names that a design on disk does not take, and what it says of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from softunit.designs import ChunkedDesign
from softunit.errors import InputError


@pytest.fixture
def matrix(rng):
    return rng.standard_normal((1000, 3))


def test_a_masked_entry_is_refused(matrix):
    masked = np.ma.masked_array(matrix, mask=False)
    np.testing.assert_array_equal(ChunkedDesign([masked]).toarray(), matrix)
    masked[7, 2] = np.ma.masked
    with pytest.raises(InputError, match=r"block 1 is masked at \(7, 2\), the first of 1 entry: "):
        ChunkedDesign([matrix, masked])


TEXTS = {
    "texts": np.array([["1", "2"]]),
    "objects": np.array([["1", 2.0]], dtype=object),
    "frame": pd.DataFrame({"a": ["1"], "b": ["2"]}),
    "dates": np.array([["2020-01-01"]], dtype="datetime64[ns]"),
    "durations": np.array([[5]], dtype="timedelta64[s]"),
    "dated frame": pd.DataFrame({"a": [1.0], "t": pd.to_datetime(["2020-01-01"])}),
}


@pytest.mark.parametrize("block", TEXTS.values(), ids=TEXTS)
def test_texts_and_dates_are_no_numbers(block):
    with pytest.raises(InputError, match="block 0 must hold real numbers; "):
        ChunkedDesign([block])


def test_objects_that_are_numbers_are_numbers():
    block = np.array([[1, 2.5], [True, 3]], dtype=object)
    np.testing.assert_array_equal(ChunkedDesign([block]).toarray(), [[1, 2.5], [1, 3]])


def test_two_columns_of_one_name_are_refused_in_frames(matrix):
    frame = pd.DataFrame(matrix, columns=["a", "b", "a"])
    with pytest.raises(InputError, match="block 0 has the column 'a' more than once"):
        ChunkedDesign([frame])


@pytest.mark.parametrize(
    "index", [[9], [-4], [], [0.5], [[0, 1]], [True, False], 1], ids=lambda value: str(value)
)
def test_columns_that_are_not_there_are_refused(index, matrix):
    with pytest.raises(InputError, match=r"columns must be some of 0 to 2; got "):
        ChunkedDesign([matrix]).columns(np.array(index))


def test_columns_by_truth_and_from_the_end(matrix):
    design = ChunkedDesign([matrix])
    part = design.columns(np.array([True, False, True]))
    np.testing.assert_array_equal(part.toarray(), matrix[:, [0, 2]])
    np.testing.assert_array_equal(design.columns(np.array([-1])).toarray(), matrix[:, [2]])


@pytest.mark.parametrize("name", [None, 0, ["x0"]], ids=str)
def test_a_name_that_is_no_text_is_refused(name, matrix, tmp_path):
    np.save(tmp_path / "a.npy", matrix)
    for design in (ChunkedDesign.from_dataset(tmp_path), ChunkedDesign([matrix])):
        with pytest.raises(InputError, match="a column is read by its name, a text; got"):
            design.read_column(name)
