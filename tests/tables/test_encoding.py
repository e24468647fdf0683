"""An encoding is learned, applied, sent through JSON, and refuses what it cannot use."""

import datetime
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from scipy import sparse

from softunit.errors import FileError, InputError
from softunit.tables import (
    CategoricalColumn,
    Encoding,
    NumericColumn,
    Table,
    fit_encoding,
    read_table,
)


def tabled(**columns):
    """Return a table of columns in memory."""
    data = pa.table(columns)
    return Table(tuple(data.column_names), data.num_rows, arrow=data)


def refitted(encoding):
    """Return the encoding after a journey through JSON text."""
    return Encoding.from_json(json.loads(json.dumps(encoding.to_json())))


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def encodings(draw):
    columns = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=5, unique=True)):
        if draw(st.booleans()):
            columns.append(NumericColumn(name, draw(st.none() | NUMBERS)))
        else:
            levels = sorted(draw(st.sets(st.text(st.characters(codec="utf-8")), min_size=1)))
            fill = draw(st.none() | st.sampled_from(levels))
            columns.append(CategoricalColumn(name, tuple(levels), fill))
    return Encoding(tuple(columns), draw(st.sampled_from(["error", "other"])))


@given(encodings())
def test_json_round_trip(encoding):
    assert refitted(encoding) == encoding


@given(
    st.lists(
        st.tuples(NUMBERS, st.integers(-(2**40), 2**40), st.booleans(), st.sampled_from("xyzé ")),
        min_size=1,
        max_size=20,
    )
)
def test_apply_equals_get_dummies(rows):
    frame = pd.DataFrame(rows, columns=["f", "i", "b", "c"])
    table = tabled(**{name: frame[name].to_list() for name in frame})
    encoding = fit_encoding(table, target=None)
    expected = pd.get_dummies(frame, columns=["c"], prefix_sep="=", dtype=float)
    design = encoding.apply(table)
    assert list(encoding.feature_names) == expected.columns.to_list()
    assert design.flags.c_contiguous
    assert design.dtype == np.float64
    np.testing.assert_array_equal(design, expected.to_numpy(dtype=float))


@pytest.mark.parametrize("impute", ["mean", "median"])
def test_fill_that_is_not_representable(impute):
    with pytest.raises(InputError, match=f"'c' has values so large that no {impute} can be"):
        fit_encoding(tabled(c=[1.5e308, 1.5e308, None]), target=None, impute=impute)


@given(st.data())
def test_apply_after_the_journey_is_the_same(data):
    size = data.draw(st.integers(1, 12))
    moderate = st.floats(-1e300, 1e300)
    numbers = data.draw(st.lists(st.none() | moderate, min_size=size, max_size=size))
    texts = data.draw(st.lists(st.none() | st.sampled_from("abc"), min_size=size, max_size=size))
    table = tabled(n=pa.array([1.0, *numbers]), t=pa.array(["a", *texts]))
    strategy = data.draw(st.sampled_from(["median", "most-frequent"]))
    encoding = fit_encoding(table, target=None, impute=strategy)
    np.testing.assert_array_equal(encoding.apply(table), refitted(encoding).apply(table))


def test_roles_and_dropped_columns_are_no_features():
    table = tabled(y=[1, 2], w=[1.0, 2.0], o=[0, 0], id=["p", "q"], a=[1, 2])
    encoding = fit_encoding(table, target="y", roles={"weights": "w", "offset": "o"}, drop=["id"])
    assert encoding.feature_names == ("a",)


def test_names_from_the_file_stay_as_they_are(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("<script>alert(1)</script>,größe\n<b>,1\n\u2028,2\n", encoding="utf-8")
    table = read_table(path)
    names = ("<script>alert(1)</script>=<b>", "<script>alert(1)</script>=\u2028", "größe")
    assert fit_encoding(table, target=None).feature_names == names


def test_dictionary_and_numbers_as_labels():
    table = tabled(d=pa.array([10, 2, 10]).dictionary_encode())
    encoding = fit_encoding(table, target=None)
    assert encoding.columns == (CategoricalColumn("d", ("10", "2")),)
    # The same labels as plain integers, which is how a CSV file gives them.
    assert encoding.apply(tabled(d=[2, 10])).tolist() == [[0, 1], [1, 0]]


def test_dictionary_of_string_views():
    views = pa.DictionaryArray.from_arrays(
        pa.array([1, 0, None], pa.uint32()), pa.array(["b", "a"], pa.string_view())
    )
    encoding = fit_encoding(tabled(d=views), target=None, impute="median")
    assert encoding.columns == (CategoricalColumn("d", ("a", "b"), "a"),)


@pytest.mark.parametrize(
    ("impute", "number"), [("mean", 3.0), ("median", 2.0), ("most-frequent", 1.0)]
)
def test_missing_values_are_filled_as_at_the_fit(impute, number):
    table = tabled(n=[1, 1, 3, 7, None], t=["b", "b", "a", "a", None])
    encoding = fit_encoding(table, target=None, impute=impute)
    assert encoding.columns == (NumericColumn("n", number), CategoricalColumn("t", ("a", "b"), "a"))
    later = tabled(n=pa.nulls(2), t=pa.array(["b", None]))
    assert refitted(encoding).apply(later).tolist() == [[number, 0, 1], [number, 1, 0]]


def test_wide_one_hot_designs_are_sparse():
    levels = [f"level {i:03}" for i in range(150)]
    table = tabled(a=np.arange(300.0), t=levels * 2, b=np.zeros(300))
    encoding = fit_encoding(table, target=None)
    design = encoding.apply(table)
    assert sparse.issparse(design)
    assert design.format == "csr"
    assert design.shape == (300, 152)
    frame = table.arrow.to_pandas()
    dense = pd.get_dummies(frame["t"], dtype=float).to_numpy()
    np.testing.assert_array_equal(design.toarray()[:, 1:-1], dense)
    np.testing.assert_array_equal(design.toarray()[:, 0], np.arange(300.0))


BAD_COLUMNS = [
    pytest.param([1.0, None, np.nan], r"'c' has 2 missing values, the first in data row 2", id="n"),
    pytest.param(["a", "b", None], r"'c' has 1 missing value, in data row 3.*--impute", id="null"),
    pytest.param([1.0, np.inf, -np.inf], r"'c' has 2 infinite values, the first in data row 2"),
    pytest.param([None, None], r"'c' has no values at all: drop it \(--drop 'c'\)", id="empty"),
    pytest.param([datetime.date(2020, 1, 1)], r"'c' holds dates.*date32.*--drop 'c'", id="date"),
    pytest.param([datetime.timedelta(1)], r"'c' holds dates, times or durations", id="duration"),
    pytest.param([[1, 2]], r"'c' holds lists or records", id="list"),
    pytest.param([{"a": 1}], r"'c' holds lists or records", id="struct"),
    pytest.param(
        pa.array([b"ab"], pa.binary(2)), r"'c' is of type fixed_size_binary\[2\]", id="fixed-bytes"
    ),
    pytest.param([b"\xff"], r"'c' holds bytes that are not UTF-8", id="bytes"),
    pytest.param([f"id {i}" for i in range(60)], r"'c' has 60 .* in 60 rows: it looks like an id"),
    pytest.param(
        [f"v {i % 1100}" for i in range(4000)], r"'c' has 1,100 .*; at most 1,000", id="levels"
    ),
]


@pytest.mark.parametrize(("values", "sentence"), BAD_COLUMNS)
def test_column_that_cannot_be_used(values, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_encoding(tabled(c=values), target=None)


def test_infinity_and_emptiness_are_not_filled():
    with pytest.raises(InputError, match="1 infinite value, in data row 2"):
        fit_encoding(tabled(c=[1.0, np.inf, None]), target=None, impute="mean")
    with pytest.raises(InputError, match="no values at all"):
        fit_encoding(tabled(c=[np.nan, None]), target=None, impute="mean")


BAD_CALLS = [
    pytest.param({"target": "yy"}, r"no column 'yy' .*\(target\)", id="target"),
    pytest.param({"target": "y", "drop": ["aa"]}, r"no column 'aa' .*\(to drop\)", id="drop"),
    pytest.param(
        {"target": "y", "roles": {"weights": "w"}}, r"no column 'w' .*\(weights\)", id="weights"
    ),
    pytest.param(
        {"target": "y", "roles": {"offset": "o"}}, r"no column 'o' .*\(offset\)", id="offset"
    ),
    pytest.param({"target": "y", "drop": ["abc"]}, r"No column of .* is left", id="nothing-left"),
    pytest.param({"target": "y", "impute": "max"}, r"`impute` must be one.*'max'", id="impute"),
    pytest.param({"target": "y", "unknown": "x"}, r"`unknown` must be one.*'x'", id="unknown"),
]


@pytest.mark.parametrize(("options", "sentence"), BAD_CALLS)
def test_bad_call(options, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_encoding(tabled(abc=[1], y=[2]), **options)


FITTED = Encoding((NumericColumn("age"), CategoricalColumn("colour", ("green", "red"))))
BAD_TABLES = [
    pytest.param({"ages": [1], "colour": ["red"]}, r"'age' .*model needs.*mean 'ages'\?", id="not"),
    pytest.param(
        {"age": [1, 2, 3], "colour": ["red", "blue", "blue"]},
        r"'colour' holds 'blue', never seen.*\(2 rows, the first in data row 2\).*--unknown other",
        id="unseen",
    ),
    pytest.param(
        {"age": ["1", "2e3", "old"], "colour": ["red"] * 3},
        r"'age' must hold numbers; it holds text, for example 'old' in data row 3",
        id="text",
    ),
    pytest.param({"age": [1, None], "colour": ["red"] * 2}, r"1 missing value.*--impute", id="nan"),
    pytest.param({"age": [1], "colour": pa.nulls(1)}, r"'colour' has 1 missing value", id="null"),
    pytest.param({"age": [np.inf], "colour": ["red"]}, r"'age' has 1 infinite value", id="inf"),
    pytest.param(
        {"age": [datetime.date(2020, 1, 1)], "colour": ["red"]}, r"'age' holds dates", id="date"
    ),
]


@pytest.mark.parametrize(("columns", "sentence"), BAD_TABLES)
def test_table_that_does_not_fit_the_model(columns, sentence):
    with pytest.raises(InputError, match=sentence):
        FITTED.apply(tabled(**columns))


def test_unseen_levels_can_count_as_none():
    table = tabled(extra=["ignored"] * 2, colour=["blue", "red"], age=[1, 2])
    assert Encoding(FITTED.columns, "other").apply(table).tolist() == [[1, 0, 0], [2, 0, 1]]


def test_numbers_in_a_dictionary_are_numbers_where_numbers_are_wanted():
    table = tabled(age=pa.array([3, 4]).dictionary_encode(), colour=["red", "green"])
    assert FITTED.apply(table).tolist() == [[3, 0, 1], [4, 1, 0]]


def test_labels_in_an_array_are_numbers_written_as_text():
    table = Table(("age", "colour"), 2, matrix=np.array([[3.0, 1.0], [4.0, 2.0]]))
    encoding = Encoding((NumericColumn("age"), CategoricalColumn("colour", ("1", "2"))))
    assert encoding.apply(table).tolist() == [[3, 1, 0], [4, 0, 1]]


def test_text_columns_are_kept_as_text_by_the_reader(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("zip\n01234\n00001\nabc\n")
    encoding = fit_encoding(read_table(path), target=None)
    path.write_text("zip\n00001\n")
    table = read_table(path, text=encoding.text_columns)
    assert encoding.apply(table).tolist() == [[1, 0, 0]]


NUMERIC = {"kind": "numeric", "name": "a", "fill": None}
CATEGORICAL = {"kind": "categorical", "name": "a", "levels": ["p", "q"], "fill": None}
RUN = {"kind": "run", "first": 0, "count": 3}
BAD_JSON = [
    pytest.param(
        {"extra": 1}, "must have the keys 'columns', 'unk.*got 'columns', 'ext", id="keys"
    ),
    pytest.param({"version": 2}, "version 2; this release reads 1", id="version"),
    pytest.param({"version": True}, "version True", id="version-type"),
    pytest.param({"unknown": "x"}, "`unknown` .* must be 'error' or 'other'; got 'x'", id="rule"),
    pytest.param({"columns": []}, "`columns` .* must be a list", id="no-columns"),
    pytest.param({"columns": {"a": 1}}, "`columns` .* must be a list", id="dict-columns"),
    pytest.param({"columns": [7]}, "must be a dict of kind .*; got 7", id="column"),
    pytest.param({"columns": [{"kind": "code"}]}, "must be a dict of kind", id="kind"),
    pytest.param({"columns": [NUMERIC, NUMERIC]}, "two columns of the same name", id="twice"),
    pytest.param({"columns": [NUMERIC | {"x": 1}]}, "must have the keys", id="extra-key"),
    pytest.param({"columns": [NUMERIC | {"name": 1}]}, "`name` .* must be a string", id="name"),
    pytest.param({"columns": [NUMERIC | {"fill": True}]}, "finite number or null", id="bool"),
    pytest.param({"columns": [NUMERIC | {"fill": "1"}]}, "finite number or null", id="text"),
    pytest.param({"columns": [NUMERIC | {"fill": np.inf}]}, "finite number or null", id="inf"),
    pytest.param({"columns": [NUMERIC | {"fill": 10**400}]}, "finite number or null", id="huge"),
    pytest.param({"columns": [CATEGORICAL | {"levels": []}]}, "`levels` of column 'a'", id="none"),
    pytest.param({"columns": [CATEGORICAL | {"levels": ["q", "p"]}]}, "sorted list", id="order"),
    pytest.param({"columns": [CATEGORICAL | {"levels": ["p", 1]}]}, "sorted list", id="mixed"),
    pytest.param({"columns": [CATEGORICAL | {"fill": "z"}]}, "must be a level or null", id="fill"),
    pytest.param({"columns": [RUN | {"count": 10**12}]}, "`count` of a run", id="long-run"),
    pytest.param({"columns": [RUN | {"first": -1}]}, "`first` of a run", id="negative-run"),
    pytest.param({"columns": [RUN | {"count": True}]}, "`count` of a run", id="run-type"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD_JSON)
def test_json_is_not_trusted(change, sentence):
    good = {"version": 1, "unknown": "error", "columns": [NUMERIC]}
    with pytest.raises(FileError, match=sentence):
        Encoding.from_json(good | change)


def test_json_of_another_shape():
    with pytest.raises(FileError, match=r"The encoding must be a dict; got \[\]"):
        Encoding.from_json([])
    with pytest.raises(FileError, match=r"must have the keys .*; got 'columns'\."):
        Encoding.from_json({"columns": [NUMERIC]})


def test_parquet_to_design(tmp_path):
    path = tmp_path / "table.parquet"
    parquet.write_table(
        pa.table({"a": pa.array([1, 2], pa.decimal128(9, 2)), "b": ["p", "q"]}), path
    )
    table = read_table(path)
    assert fit_encoding(table, target=None).apply(table).tolist() == [[1, 1, 0], [2, 0, 1]]
