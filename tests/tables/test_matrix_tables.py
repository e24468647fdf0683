"""NPZ and svmlight tables: their matrix is passed on, or its columns are chosen by name."""

import json

import numpy as np
import pytest
from scipy import sparse

from softunit.errors import InputError
from softunit.tables import Encoding, NumericColumn, Table, fit_encoding, read_table


def tabled(matrix, *, names=None):
    """Return a matrix table with a target."""
    names = names or tuple(f"x{i}" for i in range(matrix.shape[1]))
    target = np.arange(matrix.shape[0]) % 2
    return Table((*names, "y"), matrix.shape[0], matrix=matrix, target=target)


@pytest.fixture(params=[np.asarray, sparse.csr_array], ids=["dense", "csr"])
def kind(request):
    """Make the matrix dense or CSR."""
    return request.param


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("target", ["y", None])
def test_matrix_is_passed_on_without_a_copy(rng, kind, dtype, target):
    table = tabled(kind(rng.normal(size=(5, 3)).astype(dtype)))
    encoding = fit_encoding(table, target=target)
    assert encoding.feature_names == ("x0", "x1", "x2")
    assert encoding.apply(table) is table.matrix


def test_columns_are_found_by_name(rng, kind):
    values = rng.normal(size=(5, 4)).astype(np.float32)
    table = tabled(kind(values))
    encoding = fit_encoding(table, target="y", drop=["x2"], roles={"weights": "x0"})
    assert encoding.feature_names == ("x1", "x3")
    shuffled = tabled(kind(values[:, [3, 2, 1, 0]]), names=("x3", "x2", "x1", "x0"))
    for given in (table, shuffled):
        design = encoding.apply(given)
        assert design.dtype == np.float32
        np.testing.assert_array_equal(dense(design), values[:, [1, 3]])


def test_a_column_that_is_not_there(rng, kind):
    values = rng.normal(size=(5, 3))
    encoding = fit_encoding(tabled(kind(values)), target="y")
    narrow = tabled(kind(values[:, [0, 2]]), names=("x0", "x2"))
    if kind is np.asarray:
        with pytest.raises(InputError, match=r"no column 'x1' in .*which the model needs"):
            encoding.apply(narrow)
    else:
        # A svmlight file does not write zeros, so a column it lacks is zero.
        design = encoding.apply(narrow)
        np.testing.assert_array_equal(dense(design), values * [1, 0, 1])
        assert design.has_sorted_indices


def test_svmlight_files_of_other_widths(tmp_path):
    (tmp_path / "fit.svm").write_text("1 1:1 3:3\n0 2:2\n")
    (tmp_path / "predict.svm").write_text("0 2:5 9:9\n0 0:7 2:6\n")
    encoding = fit_encoding(read_table(tmp_path / "fit.svm"), target="y")
    design = encoding.apply(read_table(tmp_path / "predict.svm"))
    assert encoding.feature_names == ("x1", "x2", "x3")
    assert design.toarray().tolist() == [[0, 5, 0], [0, 6, 0]]


def test_missing_and_infinite_entries_are_found(kind):
    values = np.array([[1.0, 2.0], [np.nan, 3.0], [np.nan, np.inf]])
    table = tabled(kind(values))
    with pytest.raises(InputError, match="'x1' has 1 infinite value, in data row 3"):
        fit_encoding(table, target="y", impute="mean")
    finite = tabled(kind(np.where(np.isinf(values), 4.0, values)))
    sentence = "'x0' has 2 missing values, the first in data row 2.*--impute"
    with pytest.raises(InputError, match=sentence):
        fit_encoding(finite, target="y")
    encoding = Encoding((NumericColumn("x0"), NumericColumn("x1", 1.0)))
    with pytest.raises(InputError, match=sentence):
        encoding.apply(finite)
    with pytest.raises(InputError, match="'x1' has 1 infinite value"):
        encoding.apply(table)


def test_missing_entries_are_filled(kind):
    values = np.array([[1.0, 2.0], [np.nan, 3.0], [3.0, 4.0]])
    table = tabled(kind(values))
    encoding = fit_encoding(table, target="y", impute="mean")
    assert [column.fill for column in encoding.columns] == [2.0, 3.0]
    np.testing.assert_array_equal(dense(encoding.apply(table)), [[1, 2], [2, 3], [3, 4]])
    assert np.isnan(dense(table.matrix)[1, 0])


def test_column_without_values(kind):
    with pytest.raises(InputError, match="'x1' has no values at all"):
        fit_encoding(tabled(kind(np.array([[1.0, np.nan]] * 2))), target="y", impute="mean")


@pytest.mark.parametrize("target", ["y", None])
def test_the_target_of_the_file_is_never_a_feature(target):
    with pytest.raises(InputError, match=r"No column of .* is left"):
        fit_encoding(tabled(np.ones((2, 1))), target=target, drop=["x0"])


def test_large_finite_entries_are_not_taken_for_infinite():
    table = tabled(np.full((4, 2), 1e308))
    assert fit_encoding(table, target="y").apply(table) is table.matrix


def test_many_columns_are_one_entry_of_the_json():
    encoding = Encoding(tuple(NumericColumn(f"x{i}") for i in range(1, 100_001)))
    text = json.dumps(encoding.to_json())
    assert len(text) < 200
    assert Encoding.from_json(json.loads(text)) == encoding


@pytest.mark.parametrize("names", [("x1", "x3"), ("x01", "x02"), ("x1", "y2"), ("x²", "x3")])
def test_other_names_are_not_taken_for_a_run(names):
    encoding = Encoding(tuple(NumericColumn(name) for name in names))
    assert Encoding.from_json(encoding.to_json()) == encoding


def test_encoding_of_a_file_with_names_fits_an_array_with_names(rng):
    values = rng.normal(size=(3, 2))
    encoding = Encoding((NumericColumn("b"), NumericColumn("a")))
    table = tabled(values, names=("a", "b"))
    np.testing.assert_array_equal(encoding.apply(table), values[:, ::-1])
