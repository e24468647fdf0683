"""Every format is read; every bad file gets a sentence."""

import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from softunit.errors import FileError, InputError, MissingExtraError
from softunit.tables import read_table, table_format, write_table

COLUMNS = {
    "age": np.array([30, 41, 52]),
    "größe": np.array([1.5, 2.5, np.pi]),
    "<script>alert(1)</script>": np.array(["red", "NA", ""]),
    "ok": np.array([True, False, True]),
}
EXTENSIONS = [".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".arrow", ".arrows", ".feather"]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_what_is_written_is_read_back(tmp_path, extension):
    path = tmp_path / f"table{extension}"
    write_table(path, COLUMNS)
    table = read_table(path)
    assert table.names == tuple(COLUMNS)
    assert table.n_rows == 3
    for name, values in COLUMNS.items():
        assert table.column(name).to_pylist() == values.tolist()


def test_format_overrides_the_extension(tmp_path):
    path = tmp_path / "table.data"
    path.write_text("a\tb\n1\t2\n")
    assert read_table(path, format="tsv").names == ("a", "b")
    with pytest.raises(FileError, match=r"`format` must be one of arrow, csv.*got 'excel'"):
        read_table(path, format="excel")


def test_columns_can_be_kept_as_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("zip,n\n01234,1\n04321,2\n")
    assert read_table(path).column("zip").to_pylist() == [1234, 4321]
    table = read_table(path, text=("zip", "not there"))
    assert table.column("zip").to_pylist() == ["01234", "04321"]
    assert table.names == ("zip", "n")


def test_cells_may_hold_line_ends_and_a_byte_order_mark_is_no_name(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n"1\n2",3\r\n')
    table = read_table(path)
    assert table.names == ("a", "b")
    assert table.column("a").to_pylist() == ["1\n2"]


def test_type_of_a_column_comes_from_all_rows(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1,2\n" * 400_000 + "1.5,x\n")
    table = read_table(path)
    assert str(table.column("a").type) == "double"
    assert str(table.column("b").type) == "string"


def test_frames_of_pandas_and_polars(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}, index=["r", "s"])
    frame.to_parquet(tmp_path / "pandas.parquet")
    assert read_table(tmp_path / "pandas.parquet").names == ("a", "b")
    pl.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}).write_ipc(tmp_path / "polars.arrow")
    assert read_table(tmp_path / "polars.arrow").column("b").to_pylist() == ["x", "y"]


def test_npz_is_not_copied_to_another_type(tmp_path):
    path = tmp_path / "table.npz"
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.savez_compressed(path, X=x, y=np.array(["a", "b", "a", "b"]))
    table = read_table(path)
    assert table.names == ("x0", "x1", "x2", "y")
    assert table.matrix.dtype == np.float32
    np.testing.assert_array_equal(table.matrix, x)
    np.testing.assert_array_equal(table.column("x1"), x[:, 1])
    assert table.column("y").tolist() == ["a", "b", "a", "b"]


def test_npz_names_and_other_number_types(tmp_path):
    path = tmp_path / "table.npz"
    np.savez(path, X=np.array([[1, 2], [3, 4]], dtype=">i4"), names=np.array(["length", "y"]))
    table = read_table(path)
    assert table.names == ("length", "y")
    assert table.matrix.dtype == np.float64
    assert table.column("y").tolist() == [2.0, 4.0]


@pytest.mark.parametrize(("first", "names"), [(0, ("x0", "x1", "x2")), (1, ("x1", "x2", "x3"))])
@pytest.mark.parametrize("packed", [False, True])
def test_svmlight_columns_are_called_by_their_index(tmp_path, first, names, packed):
    content = f"# c\n1 {first}:1.5 {first + 2}:2\n-1 {first + 1}:4 # c\n".encode()
    path = tmp_path / ("table.svm.gz" if packed else "table.svmlight")
    path.write_bytes(gzip.compress(content) if packed else content)
    table = read_table(path)
    assert table.names == (*names, "y")
    assert table.matrix.toarray().tolist() == [[1.5, 0, 2], [0, 4, 0]]
    assert table.column("y").tolist() == [1, -1]
    assert table.column(names[2]).tolist() == [2, 0]
    assert len(read_table(path, n_features=10).names) == 10 - first + 1


def test_column_that_is_not_there(tmp_path):
    path = tmp_path / "table.csv"
    write_table(path, {"Colour": np.arange(2), **{f"c{i:02}": np.arange(2) for i in range(30)}})
    sentence = r"no column 'color' in .*\(target\)\. Did you mean 'Colour'\?.*and 11 more"
    with pytest.raises(InputError, match=sentence):
        read_table(path).column("color", role="target")


BAD_TEXTS = [
    pytest.param(".csv", b"", r"is empty \(0 bytes\)", id="empty"),
    pytest.param(".csv", b"\n\n", "Empty CSV file", id="blank"),
    pytest.param(".csv", b"a,b\n", "has no rows: only the names of 2 columns", id="header"),
    pytest.param(".csv", b"a,b\n1,2\n1,2,3\n", r"Row #3: Expected 2 columns, got 3", id="long-row"),
    pytest.param(".csv", b"a,b\n1,2\n1\n", r"Row #3: Expected 2 columns, got 1", id="short-row"),
    pytest.param(".csv", b"a,b,a\n1,2,3\n", "more than one column called 'a'", id="twice"),
    pytest.param(".csv", b",b\n1,2\n", "column without a name, number 1 of 2", id="no-name"),
    pytest.param(".csv", b"\xe9,b\n1,2\n", "names that are not UTF-8", id="latin-1"),
    pytest.param(".csv", b"a;b\n1;2\n", "separated by semicolons", id="semicolons"),
    pytest.param(".csv", b"a\tb\n1\t2\n", "separated by tabs", id="tabs"),
    pytest.param(".tsv", b"a,b\n1,2\n", "separated by commas", id="commas"),
    pytest.param(".csv.gz", b"a,b\n1,2\n", "cannot be read as csv: zlib inflate", id="no-gzip"),
    pytest.param(".csv.gz", gzip.compress(b"a\n" + b"1\n" * 999)[:-12], "Truncated", id="cut-gzip"),
    pytest.param(".parquet", b"a,b\n1,2\n", "Parquet magic bytes|smaller than", id="no-parquet"),
    pytest.param(".arrow", b"ARROW1 and more", "cannot be read as arrow", id="no-arrow"),
    pytest.param(".feather", b"FEA1 and more", "Feather version 1", id="feather-1"),
    pytest.param(".svm", b"1 1:2\n1 2:x\n1 3:1\n", "not svmlight at line 2: could not", id="svm"),
    pytest.param(".svm", b"1 3:2 2:1\n", "line 1: Feature indices.*sorted", id="svm-order"),
    pytest.param(".svm", b"1 99999999:2\n", "feature index 99,999,999; at most", id="svm-wide"),
    pytest.param(".svm", b"1 99999999999:2\n", "line 1: value too large", id="svm-huge"),
    pytest.param(".svm", b"# only a comment\n", "has no ", id="svm-empty"),
    pytest.param(".svm.gz", gzip.compress(b"1 1:2\n" * 99)[:-9], "end-of-stream", id="svm-gzip"),
    pytest.param(".npz", b"PK no zip", "cannot be read as npz: File is not a zip", id="no-zip"),
    pytest.param(".xlsx", b"x", r"not known: '.xlsx'. Known are .arrow, .arrows, .csv", id="xlsx"),
    pytest.param(".npz.gz", b"x", "not known: '.npz.gz'", id="packed-npz"),
    pytest.param("", b"x", "not known: ''", id="no-extension"),
]


@pytest.mark.parametrize(("extension", "content", "sentence"), BAD_TEXTS)
def test_bad_file_gets_a_sentence_with_its_name(tmp_path, extension, content, sentence):
    path = tmp_path / f"some-table{extension}"
    path.write_bytes(content)
    with pytest.raises(FileError, match=f"(?s)some-table.*(?:{sentence})"):
        read_table(path)


def test_file_that_is_not_there(tmp_path):
    (tmp_path / "digits.csv").touch()
    with pytest.raises(FileError, match=r"digit.csv is not there. Did you mean 'digits.csv'\?"):
        read_table(tmp_path / "digit.csv")
    with pytest.raises(FileError, match=r"the folder .*nowhere does not exist"):
        read_table(tmp_path / "nowhere" / "digits.csv")
    with pytest.raises(FileError, match="is a folder: give the path of one file"):
        read_table(tmp_path)


def test_unreadable_file(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("a\n1\n")

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(FileError, match=r"table.csv cannot be read: .*Permission denied"):
        read_table(path)


@pytest.mark.parametrize("extension", [".parquet", ".arrow", ".arrows", ".npz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_file(tmp_path, extension, share):
    path = tmp_path / f"table{extension}"
    x = np.random.default_rng(0).normal(size=(500, 4))
    if extension == ".npz":
        np.savez(path, X=x)
    else:
        write_table(path, {f"c{i}": x[:, i] for i in range(4)})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FileError, match=r"table\.\w+ (cannot be read as|has no)"):
        read_table(path)


def test_damaged_parquet(tmp_path):
    path = tmp_path / "table.parquet"
    write_table(path, {"a": np.random.default_rng(0).normal(size=1000)})
    content = bytearray(path.read_bytes())
    content[200:600] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"table.parquet cannot be read as parquet: "):
        read_table(path)


def test_arrow_indices_that_point_nowhere(tmp_path):
    path = tmp_path / "table.arrow"
    column = pa.DictionaryArray.from_arrays(pa.array([0, 9]), pa.array(["a"]), safe=False)
    data = pa.table({"a": column})
    with pa.ipc.new_file(str(path), data.schema) as writer:
        writer.write_table(data)
    with pytest.raises(FileError, match=r"table.arrow cannot be read as arrow: .*indices invalid"):
        read_table(path)


def test_parquet_with_two_columns_of_a_name(tmp_path):
    path = tmp_path / "table.parquet"
    parquet.write_table(pa.Table.from_arrays([pa.array([1])] * 2, names=["a", "a"]), path)
    with pytest.raises(FileError, match="more than one column called 'a'"):
        read_table(path)


X = np.ones((3, 2))
BAD_ARRAYS = [
    pytest.param({"y": np.ones(3)}, r"holds the arrays 'y': it must hold 'X'", id="no-x"),
    pytest.param({"X": X, "w": X}, r"holds the arrays 'X', 'w'", id="stranger"),
    pytest.param({"X": np.ones(3)}, r"must have shape \(n, d\); got \(3,\)", id="one-axis"),
    pytest.param({"X": X * 1j}, "must hold real numbers; got dtype complex128", id="complex"),
    pytest.param({"X": X.astype(object)}, "holds Python objects", id="object-x"),
    pytest.param({"X": X, "y": np.array(["a", None, 1])}, "save it as numbers or", id="object-y"),
    pytest.param({"X": X, "y": np.ones(4)}, r"must have shape \(3,\).*got \(4,\)", id="long-y"),
    pytest.param({"X": X, "y": np.ones(3) * 1j}, "must hold numbers or text", id="complex-y"),
    pytest.param({"X": X, "names": np.array(["a"])}, "must hold 2 texts", id="names"),
    pytest.param({"X": X, "names": np.array(["a", "a"])}, "column called 'a'", id="same-names"),
    pytest.param(
        {"X": X, "y": np.ones(3), "names": np.array(["a", "y"])}, "'y', the name of", id="y-twice"
    ),
    pytest.param({"X": np.ones((0, 2))}, "has no rows", id="no-rows"),
    pytest.param({"X": np.ones((2, 0))}, "has no columns", id="no-columns"),
]


@pytest.mark.parametrize(("arrays", "sentence"), BAD_ARRAYS)
def test_bad_npz(tmp_path, arrays, sentence):
    path = tmp_path / "table.npz"
    np.savez(path, **arrays)
    with pytest.raises(FileError, match=rf"table.npz.*{sentence}"):
        read_table(path)


def forged(shape, *, compression=zipfile.ZIP_STORED):
    """Return an NPZ whose X has 8 entries, but claims `shape`."""
    member = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, header)
    member.write(np.ones(8).tobytes())
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as file:
        file.writestr("X.npy", member.getvalue())
    return archive.getvalue()


def test_npz_header_is_not_trusted(tmp_path):
    path = tmp_path / "table.npz"
    path.write_bytes(forged((4, 2)))
    assert read_table(path).n_rows == 4
    path.write_bytes(forged((2**40, 2**10)))
    with pytest.raises(FileError, match=r"promises shape .* but 64 bytes of data"):
        read_table(path)
    path.write_bytes(forged((4, 2), compression=zipfile.ZIP_LZMA))
    with pytest.raises(FileError, match="packed in a way that numpy does not write"):
        read_table(path)


def test_npz_directory_is_not_trusted(tmp_path):
    path = tmp_path / "table.npz"
    content = bytearray(forged((4, 2)))
    at = content.rindex(b"PK\x01\x02") + 24  # the uncompressed size in the central directory
    content[at : at + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(FileError, match="claims 2,147,483,648 bytes"):
        read_table(path)


def test_without_pyarrow_npz_is_still_read(tmp_path, monkeypatch):
    np.savez(tmp_path / "table.npz", X=X)
    (tmp_path / "table.csv").write_text("a\n1\n")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert read_table(tmp_path / "table.npz").n_rows == 3
    with pytest.raises(MissingExtraError, match=r"pip install 'softunit\[cli\]'"):
        read_table(tmp_path / "table.csv")


def test_table_format_looks_at_the_end_of_the_name():
    assert table_format("my.parquet.v2.CSV") == "csv"
    assert table_format("a.tsv.gz") == "tsv"
    assert table_format("a.pq") == "parquet"
