"""Labels and numbers that stand in columns of a table."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from softunit.errors import InputError
from softunit.tables import read_chosen, read_labels, read_numeric, read_table, read_target


@pytest.fixture
def tabled(tmp_path):
    """Return a function that writes columns to Parquet and reads them back."""

    def make(**columns):
        path = tmp_path / "table.parquet"
        parquet.write_table(pa.table(columns), path)
        return read_table(path)

    return make


LABELS = [
    pytest.param(["b", "a", "b"], "U", id="text"),
    pytest.param(pa.array(["b", "a", "b"]).dictionary_encode(), "U", id="dictionary"),
    pytest.param(pa.array([3, 1, 3]).dictionary_encode(), "i", id="dictionary-of-integers"),
    pytest.param(pa.array([3, 1, 3], pa.int8()), "i", id="int8"),
    pytest.param(pa.array([3, 1, 2**64 - 1], pa.uint64()), "u", id="uint64"),
    pytest.param([True, False, True], "b", id="bool"),
    pytest.param([0.5, 1.5, 0.5], "f", id="float"),
    pytest.param([Decimal("0.5"), Decimal("1.5"), Decimal("0.5")], "f", id="decimal"),
]


@pytest.mark.parametrize(("values", "kind"), LABELS)
def test_labels_keep_their_type(tabled, values, kind):
    labels = read_target(tabled(t=values), "t", kind="labels")
    expected = values.to_pylist() if isinstance(values, pa.Array) else values
    assert labels.dtype.kind == kind
    assert labels.tolist() == expected
    assert kind != "i" or labels.dtype == np.int64


@pytest.mark.parametrize("labels", [["a", "b"], [1, 2], [True, False], [0.5, 1.5]])
def test_labels_of_npz(tmp_path, labels):
    np.savez(tmp_path / "table.npz", X=np.ones((2, 1)), y=np.array(labels))
    table = read_table(tmp_path / "table.npz")
    assert read_target(table, "y", kind="labels").tolist() == labels


def test_text_labels_of_npz_are_no_numbers(tmp_path):
    np.savez(tmp_path / "table.npz", X=np.ones((2, 1)), y=np.array(["a", "b"]))
    with pytest.raises(InputError, match="'y' must hold numbers; it holds text, for example 'a'"):
        read_target(read_table(tmp_path / "table.npz"), "y", kind="numeric")


def test_many_whole_numbers_are_labels_and_many_fractions_are_not(tabled):
    whole = np.arange(200.0)
    assert read_target(tabled(t=whole), "t", kind="labels").tolist() == whole.tolist()
    sentence = r"'t' has 200 different values.*looks continuous.*use --problem softmax"
    with pytest.raises(InputError, match=sentence):
        read_target(tabled(t=whole + 0.5), "t", kind="labels")


def test_numeric(tabled):
    table = tabled(t=[1, 2], d=[Decimal("0.25"), Decimal("4")], b=[True, False])
    assert read_target(table, "t", kind="numeric").dtype == np.float64
    assert read_numeric(table, "d").tolist() == [0.25, 4.0]
    assert read_numeric(table, "b").tolist() == [1.0, 0.0]


BAD_TARGETS = [
    pytest.param("labels", ["a", None, None], "2 missing values, the first in data row 2", id="n"),
    pytest.param("labels", [1.0, np.nan], "1 missing value, in data row 2", id="nan"),
    pytest.param("labels", [1.0, np.inf], "1 infinite value, in data row 2", id="inf"),
    pytest.param("labels", [datetime.date(2020, 1, 1)] * 2, "dates, times or durations", id="date"),
    pytest.param("labels", [None, None], "2 missing values", id="empty"),
    pytest.param("numeric", [1, None], "1 missing value", id="numeric-null"),
    pytest.param("numeric", [1.0, -np.inf], "1 infinite value", id="numeric-inf"),
    pytest.param("numeric", ["1", "x"], "holds text, for example 'x' in data row 2", id="text"),
    pytest.param("both", [1, 2], "`kind` must be 'labels' or 'numeric'; got 'both'", id="kind"),
]


@pytest.mark.parametrize(("kind", "values", "sentence"), BAD_TARGETS)
def test_bad_target_gets_a_sentence(tabled, kind, values, sentence):
    with pytest.raises(InputError, match=sentence):
        read_target(tabled(t=values), "t", kind=kind)


def test_target_that_is_not_there(tabled):
    with pytest.raises(InputError, match=r"no column 'speces'.*\(target\).*mean 'species'\?"):
        read_target(tabled(species=[1], weight=[2]), "speces", kind="labels")
    with pytest.raises(InputError, match=r"\(weights\). Its columns are 'species', 'weight'\."):
        read_numeric(tabled(species=[1], weight=[2]), "zzz", role="weights")


WHOLE = [
    pytest.param([1.0, 2.0, 1.0], [1, 2, 1], id="whole-floats"),
    pytest.param(["x", "y", "x"], ["x", "y", "x"], id="text"),
    pytest.param([0.5, 1.0, 0.5], [0.5, 1.0, 0.5], id="fractions"),
    pytest.param([Decimal("1"), Decimal("2"), Decimal("1")], [1, 2, 1], id="decimal"),
]


@pytest.mark.parametrize(("values", "labels"), WHOLE)
def test_labels_of_sets(tabled, values, labels):
    found = read_labels(tabled(s=values), "s", role="choice set")
    assert found.tolist() == labels
    assert [type(each) for each in found.tolist()] == [type(each) for each in labels]


def test_labels_of_sets_must_all_be_there(tabled):
    with pytest.raises(InputError, match="'s' has 1 missing value, in data row 2"):
        read_labels(tabled(s=[1, None, 3]), "s")
    with pytest.raises(InputError, match=r"no column 'sets' in .* \(choice set\)"):
        read_labels(tabled(set=[1]), "sets", role="choice set")


def test_choices_are_switches_counts_or_names(tabled):
    alternatives = np.array(["car", "bus", "car", "bus"])
    table = tabled(c=[True, False, False, True], n=[3, 0, 1, 2], s=["bus", "bus", "car", "car"])
    assert read_chosen(table, "c").tolist() == [1, 0, 0, 1]
    assert read_chosen(table, "n").tolist() == [3, 0, 1, 2]
    assert read_chosen(table, "s", alternatives).tolist() == [0, 1, 1, 0]


def test_choices_that_cannot_be(tabled):
    table = tabled(n=[1, -2], s=["car", "buss"])
    with pytest.raises(InputError, match=r"1 negative value, in data row 2 \(-2\)"):
        read_chosen(table, "n")
    with pytest.raises(InputError, match=r"holds text, for example 'car'.*--wide"):
        read_chosen(table, "s")
    with pytest.raises(InputError, match=r"'buss' \(1 row, in data row 2\).*Did you mean 'bus'"):
        read_chosen(table, "s", np.array(["car", "bus"]))
