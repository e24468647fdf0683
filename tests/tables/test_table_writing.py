"""Tables are written whole or not at all."""

import numpy as np
import pytest

from softunit.errors import FileError, InputError, MissingExtraError
from softunit.tables import check_table_path, read_table, write_table


def test_npz_holds_one_array_for_each_column(tmp_path):
    path = tmp_path / "out.npz"
    columns = {"file": np.arange(3.0), "p=é": np.array(["a", "b", "c"], dtype=object)}
    write_table(path, columns)
    with np.load(path, allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["file", "p=é"]
        np.testing.assert_array_equal(arrays["file"], columns["file"])
        assert arrays["p=é"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(("extension", "writer"), [(".csv", "arrow"), (".npz", "npz")])
def test_interrupted_write_leaves_the_old_file_whole(tmp_path, monkeypatch, extension, writer):
    path = tmp_path / f"out{extension}"
    path.write_bytes(b"old")

    def write_half(temporary, *args):
        temporary.write_bytes(b"half of the n")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"softunit.tables.writing._write_{writer}", write_half)
    with pytest.raises(FileError, match=r"out\.\w+ cannot be written: .*No space left on device"):
        write_table(path, {"a": np.ones(3)})
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("extension", [".csv", ".parquet", ".arrow"])
def test_values_without_a_common_type(tmp_path, extension):
    with pytest.raises(FileError, match="cannot be written: "):
        write_table(tmp_path / f"out{extension}", {"a": np.array([1, "x"], dtype=object)})
    assert list(tmp_path.iterdir()) == []


def test_overwrites(tmp_path):
    path = tmp_path / "out.csv"
    write_table(path, {"a": np.arange(100)})
    write_table(path, {"a": np.arange(2)})
    assert read_table(path).n_rows == 2


BAD_COLUMNS = [
    pytest.param({}, "at least one column", id="none"),
    pytest.param({"a": np.ones((2, 2))}, r"'a' must have shape \(n,\); got \(2, 2\)", id="matrix"),
    pytest.param({"a": np.ones(2) * 1j}, "numbers, booleans or text; got dtype complex", id="j"),
    pytest.param({"a": np.ones(2), "b": np.ones(3)}, "same length; got .*2.*3", id="lengths"),
]


@pytest.mark.parametrize(("columns", "sentence"), BAD_COLUMNS)
def test_columns_that_make_no_table(tmp_path, columns, sentence):
    with pytest.raises(InputError, match=sentence):
        write_table(tmp_path / "out.csv", columns)


def test_bad_paths_are_found_out_before(tmp_path):
    check_table_path(tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []
    for name in ("out.svm", "out.xlsx", "out"):
        with pytest.raises(FileError, match=r"must be one of \.csv, .*\.npz \(\.csv"):
            check_table_path(tmp_path / name)
    check_table_path(tmp_path / "out.xlsx", format="csv")
    with pytest.raises(FileError, match=r"`format` must be one of arrow, csv.*; got 'xlsx'"):
        check_table_path(tmp_path / "out.csv", format="xlsx")
    (tmp_path / "plain").touch()
    with pytest.raises(FileError, match="plain does not exist"):
        check_table_path(tmp_path / "plain" / "out.csv")


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    check_table_path(tmp_path / "out.npz")
    with pytest.raises(MissingExtraError, match="writing tables needs packages"):
        check_table_path(tmp_path / "out.csv")
