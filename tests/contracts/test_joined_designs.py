"""Designs side by side: what the table of cases does not ask."""

from __future__ import annotations

import numpy as np
import pytest

from softunit.designs import DenseDesign, JoinedDesign, OneHotDesign
from softunit.errors import InputError


@pytest.mark.parametrize(
    ("codes", "columns", "sentence"),
    [
        ([0, 1, 3], 3, "the first that does not is 3 in row 2"),
        ([0, -2], 3, "the first that does not is -2 in row 1"),
        ([], 3, "needs codes of shape"),
        ([0, 1], 0, "and 0 columns"),
    ],
    ids=["above", "below", "empty", "none"],
)
def test_bad_codes_get_a_sentence(codes, columns, sentence):
    with pytest.raises(InputError, match=sentence):
        OneHotDesign(codes, columns)


def test_designs_side_by_side_need_the_same_rows():
    with pytest.raises(InputError, match="got 3 and 4"):
        JoinedDesign(DenseDesign(np.ones((3, 1))), OneHotDesign(np.zeros(4), 1))


def test_nothing_large_is_copied():
    a = np.ones((100, 3))
    joined = JoinedDesign(DenseDesign(a), OneHotDesign(np.zeros(100), 2))
    assert np.shares_memory(joined.first.array, a)
    assert joined.nbytes == a.nbytes + 400
    part = joined.rows(slice(3, 50))
    assert np.shares_memory(part.first.array, a)
    assert np.shares_memory(part.second.codes, joined.second.codes)
