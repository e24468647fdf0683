"""Columns with a coefficient for each alternative, and text against its first level."""

import json

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from softunit._groups import Groups
from softunit.errors import FileError, InputError
from softunit.tables import (
    Encoding,
    Table,
    fit_encoding,
    with_contrasts,
    with_interactions,
)
from softunit.tables.interactions import is_shared


def trips():
    """Return two sets of three alternatives and a lone row of a third set."""
    made = pa.table(
        {
            "mode": ["bus", "car", "train", "train", "car", "bus", "car"],
            "time": [3.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0],
            "income": [10.0, 10.0, 10.0, 20.0, 20.0, 20.0, 30.0],
            "town": ["a", "a", "a", "b", "b", "b", "c"],
        }
    )
    return Table(tuple(made.column_names), made.num_rows, source="long.csv", arrow=made)


SETS = Groups([1, 1, 1, 2, 2, 2, 3])


def encoded(*names):
    table = trips()
    plain = fit_encoding(table, target=None, roles={"alternatives": "mode"})
    alternatives = ("car", "bus", "train")
    return table, with_interactions(
        plain, table, names, by="mode", alternatives=alternatives, sets=SETS
    )


def test_a_column_of_the_set_has_no_coefficient_for_the_reference():
    table, encoding = encoded("income")
    assert encoding.feature_names == (
        "time", "income:bus", "income:train", "town=a", "town=b", "town=c",
    )  # fmt: skip
    X = encoding.apply(table)
    assert X[:, 1].tolist() == [10, 0, 0, 0, 0, 20, 0]
    assert X[:, 2].tolist() == [0, 0, 10, 20, 0, 0, 0]


def test_a_column_that_varies_has_one_for_each_alternative():
    table, encoding = encoded("time")
    assert encoding.feature_names[:3] == ("time:car", "time:bus", "time:train")
    assert encoding.apply(table)[:, 0].tolist() == [0, 1, 0, 0, 5, 0, 7]


def test_text_of_the_set_is_a_contrast_for_each_alternative():
    table, encoding = encoded("town")
    names = ("town=b:bus", "town=c:bus", "town=b:train", "town=c:train")
    assert encoding.feature_names[2:] == names
    X = encoding.apply(table)
    assert X[:, 2].tolist() == [0, 0, 0, 0, 0, 1, 0]
    assert X[:, 4].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert not X[:, [3, 5]].any()


def test_contrasts_leave_the_first_level_out():
    table = trips()
    encoding = with_contrasts(fit_encoding(table, target="mode"))
    assert encoding.feature_names == ("time", "income", "town=b", "town=c")
    assert encoding.apply(table)[:, 2].tolist() == [0, 0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("wrap", [with_contrasts, lambda plain: encoded("income", "town")[1]])
def test_they_go_through_json(wrap):
    table = trips()
    encoding = wrap(fit_encoding(table, target="mode"))
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert again == encoding
    assert np.array_equal(again.apply(table), encoding.apply(table))
    assert set(again.text_columns) <= {"town"}


def test_many_alternatives_make_a_sparse_design():
    n = 60
    names = [f"a{i:02d}" for i in range(n)]
    made = pa.table({"alt": names * 2, "v": np.arange(2.0 * n)})
    table = Table(("alt", "v"), 2 * n, source="t", arrow=made)
    plain = fit_encoding(table, target=None, roles={"alternatives": "alt"})
    sets = Groups(np.repeat([0, 1], n))
    both = with_interactions(plain, table, ["v"], by="alt", alternatives=names, sets=sets)
    wide = Encoding((*both.columns, *fit_encoding(_digits(n), target=None).columns))
    assert len(wide.feature_names) > 100
    assert sparse.issparse(wide.apply(_digits(n, made)))


def _digits(n, *others):
    made = pa.table({"k": [f"k{i:02d}" for i in range(n)] * 2})
    for other in others:
        for name in other.column_names:
            made = made.append_column(name, other.column(name))
    return Table(tuple(made.column_names), 2 * n, source="t", arrow=made)


def test_names_that_are_not_there():
    with pytest.raises(InputError, match=r"no column 'incom' in long.csv.*Did you mean 'income'"):
        encoded("incom")


def test_what_is_the_same_in_each_set():
    assert is_shared(np.array([1, 1, 1, 1, 1, 1, 2]), SETS)
    assert is_shared(np.array([1.0, 1, 1, np.nan, np.nan, np.nan, 1]), SETS)
    assert not is_shared(np.array([1, 1, 2, 3, 3, 3, 4]), SETS)
    mixed = Groups([2, 1, 2, 1])
    assert is_shared(np.array(["a", "b", "a", "b"]), mixed)
    assert not is_shared(np.array(["a", "a", "b", "b"]), mixed)


HOSTILE = [
    ({"column": {"kind": "interaction"}}, "must be of a column"),
    ({"column": 3}, "must be of a column"),
    ({"by": ""}, "`by` of an interaction must be the name of a column"),
    ({"levels": []}, "`levels` of an interaction must be different texts"),
    ({"levels": ["a", "a"]}, "`levels` of an interaction must be different texts"),
    ({"levels": [{}]}, "`levels` of an interaction must be different texts"),
    ({"more": 1}, "An interaction of the encoding must have the keys"),
]


@pytest.mark.parametrize(("changed", "sentence"), HOSTILE)
def test_interactions_from_a_file_are_checked(changed, sentence):
    data = encoded("income")[1].to_json()
    place = next(i for i, each in enumerate(data["columns"]) if each["kind"] == "interaction")
    data["columns"][place] |= changed
    with pytest.raises(FileError, match=sentence):
        Encoding.from_json(data)
