"""Files, folders, patterns and URLs: which files, in which order, and what does not fit."""

from __future__ import annotations

import decimal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from softunit.designs import ChunkedDesign
from softunit.errors import FileError, InputError

opened = ChunkedDesign.from_dataset


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def folder(tmp_path):
    for part in (2, 10, 1):
        write(tmp_path / f"part-{part}.parquet", a=[part + 0.0], b=[-part])
    write(tmp_path / ".hidden.parquet", a=[99.0], b=[0])
    write(tmp_path / "_temporary" / "x.parquet", a=[99.0], b=[0])
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "notes.txt").write_text("not data")
    return tmp_path


def first_column(design):
    return design.toarray()[:, 0].tolist()


def test_files_of_a_folder_come_by_name(folder):
    design = opened(folder)
    assert first_column(design) == [1, 10, 2]
    assert design.names == ("a", "b")
    assert first_column(opened(str(folder) + "/")) == [1, 10, 2]


def test_patterns_lists_and_urls(folder):
    assert first_column(opened(f"{folder}/part-1*.parquet")) == [1, 10]
    assert first_column(opened(f"{folder.parent}/{folder.name[:-1]}?")) == [1, 10, 2]
    assert first_column(opened([folder / "part-2.parquet", folder / "part-1.parquet"])) == [2, 1]
    assert first_column(opened(f"file://{folder}")) == [1, 10, 2]
    assert first_column(opened(f"file://{folder}/part-2.parquet")) == [2]


def test_a_url_is_checked_like_a_file(folder):
    design = opened(f"file://{folder}")
    first_column(design)
    (folder / "part-1.parquet").unlink()
    with pytest.raises(FileError, match=r"part-1.parquet was there"):
        first_column(design)
    with pytest.raises(FileError, match="does not exist"):
        opened(f"file://{folder}/nothing.parquet")


@pytest.mark.parametrize("url", ["nosuch://a", "http://example.org/a.parquet", "s3:///"], ids=str)
def test_a_url_that_nothing_reads_is_told_what_can_be(url):
    with pytest.raises(FileError, match=r"no URL that pyarrow can open: .*It knows file://, s3:"):
        opened(url)


def test_a_place_that_cannot_be_reached_is_said(monkeypatch):
    class Away:
        def get_file_info(self, path):
            raise OSError("no route to host")

    class Systems:
        FileSystem = type("FileSystem", (), {"from_uri": staticmethod(lambda url: (Away(), "a"))})

    monkeypatch.setattr("pyarrow.fs", Systems)
    with pytest.raises(FileError, match=r"s3://far/a cannot be reached: no route to host\. Check"):
        opened("s3://far/a")


@pytest.mark.parametrize("path", [None, 3, b"a.npy", {"a": 1}, [None]], ids=str)
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InputError, match=r"a dataset is a path, a pattern, a URL, or a list of th"):
        opened(path)


def test_paths_and_names_may_come_from_a_generator(folder):
    paths = (folder / f"part-{part}.parquet" for part in (2, 1))
    design = opened(paths, columns=(name for name in ("b", "a")))
    assert design.names == ("b", "a")
    assert first_column(design) == [-2, -1]


def keyed(folder, *values):
    for i, value in enumerate(values):
        write(folder / f"k={value}" / f"{i}.parquet", a=[float(i)])
    return opened(folder, columns=["a"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("01", "02"), [1, 2]),
        (("1", "01"), ["01", "1"]),  # in the order of the folders' names
        (("1", "nan"), ["1", "nan"]),
        (("inf", "2"), ["2", "inf"]),
        (("1_0", "2"), ["1_0", "2"]),
        (("0.5", "1"), [0.5, 1.0]),
        (("1e999", "2"), ["1e999", "2"]),
        (("99999999999", "1"), [1, 99999999999]),
    ],
    ids=str,
)
def test_what_folders_say_is_a_number_only_where_each_text_is_one(values, expected, tmp_path):
    assert keyed(tmp_path, *values).read_column("k").tolist() == expected


@pytest.mark.parametrize("other", ["7", "red"])
def test_the_folder_of_missing_values_is_one_of_missing_values(other, tmp_path):
    design = keyed(tmp_path, other, "__HIVE_DEFAULT_PARTITION__")
    said = r"column 'k' has no value in the rows of .*1.parquet, whose folder is k=__HIVE_DEFAULT"
    with pytest.raises(InputError, match=said):
        design.read_column("k")
    if other == "7":
        with pytest.raises(InputError, match=r"'k' holds NaN, infinity or nothing in row \d"):
            opened(tmp_path, columns=["a", "k"]).rmatvec(np.ones(2))


def test_folders_called_key_value_are_columns(tmp_path):
    for year in (2021, 2020):
        write(tmp_path / f"year={year}" / "city=a%20b" / "x.parquet", a=[1.0, 2.0])
    with pytest.raises(InputError, match=r"column 'city' of 2 files, .* holds no numbers but text"):
        opened(tmp_path)
    design = opened(tmp_path, columns=["year", "a"])
    assert design.names == ("year", "a")
    assert design.toarray().tolist() == [[2020, 1], [2020, 2], [2021, 1], [2021, 2]]
    assert design.read_column("city").tolist() == ["a b"] * 4
    assert design.read_column("year").dtype == np.int32
    same = opened(f"{tmp_path}/*/*/*.parquet", columns=["year"])
    assert first_column(same) == [2020, 2020, 2021, 2021]
    # A file by its own name is that file alone.
    with pytest.raises(InputError, match="has no column 'year'"):
        opened(tmp_path / "year=2020" / "city=a%20b" / "x.parquet", columns=["year"])
    write(tmp_path / "year=2020" / "y.parquet", a=[1.0])
    with pytest.raises(FileError, match=r"y.parquet lies in folders that name \['year'\], but"):
        opened(tmp_path)


def test_every_kind_of_number_is_one(tmp_path):
    columns = {
        "small": pa.array([1, 2], pa.int8()),
        "half": pa.array(np.array([0.5, 1.5], np.float16)),
        "truth": [True, False],
        "single": pa.array([1.0, 2.0], pa.float32()),
    }
    path = write(tmp_path / "narrow.parquet", **columns)
    design = opened(path)
    assert design.dtype == np.float32
    assert design.toarray().tolist() == [[1, 0.5, 1, 1], [2, 1.5, 0, 2]]
    assert design.read_column("truth").dtype == bool
    assert design.read_column("small").dtype == np.int8
    columns |= {"large": [2**40 + 1, 3], "money": [decimal.Decimal("1.25"), decimal.Decimal(2)]}
    design = opened(write(tmp_path / "wide.parquet", **columns))
    assert design.dtype == np.float64
    assert design.toarray()[:, 4:].tolist() == [[2**40 + 1, 1.25], [3, 2]]
    assert design.read_column("large").dtype == np.int64


def test_columns_that_are_no_numbers_are_named(tmp_path):
    columns = {"a": [1.0, 2.0], "t": ["x", "y"], "c": pa.array(["u", "v"]).dictionary_encode()}
    path = write(tmp_path / "a.parquet", **columns)
    with pytest.raises(InputError, match=r"column 't' of a.parquet holds no numbers but string: "):
        opened(path)
    design = opened(path, columns=["a"])
    assert design.read_column("t").tolist() == ["x", "y"]
    assert design.read_column("c").tolist() == ["u", "v"]
    with pytest.raises(InputError, match=r"has no column 'tt'. Did you mean 't'"):
        design.read_column("tt")
    nothing = write(tmp_path / "n.parquet", a=pa.array([None, None]))
    with pytest.raises(InputError, match=r"column 'a' of n.parquet holds no numbers but null"):
        opened(nothing)
    times = write(tmp_path / "d.parquet", a=[1.0], d=pa.array([0], pa.timestamp("s")))
    with pytest.raises(InputError, match="column 'd' holds timestamp"):
        opened(times, columns=["a"]).read_column("d")


def test_texts_are_one_object_each(tmp_path):
    texts = ["red", "green", "red"] * 1000
    parquet.write_table(
        pa.table({"a": np.ones(3000), "t": texts}), tmp_path / "a.parquet", row_group_size=500
    )
    column = opened(tmp_path / "a.parquet", columns=["a"]).read_column("t")
    assert column.tolist() == texts
    assert len({id(text) for text in column}) == 2


def test_a_column_with_nothing_in_a_row_is_refused(tmp_path):
    write(tmp_path / "0.parquet", a=[1.0, 2.0], y=["u", "v"])
    write(tmp_path / "1.parquet", a=[1.0, 2.0], y=["u", None])
    design = opened(tmp_path, columns=["a"])
    said = r"'y' has no value in row 1 of .*1.parquet \(row 3 of all\)"
    with pytest.raises(InputError, match=said):
        design.read_column("y")


def test_a_column_that_memory_cannot_hold_is_refused(tmp_path, monkeypatch):
    design = opened(write(tmp_path / "a.parquet", a=np.arange(100.0)))
    monkeypatch.setattr("softunit.designs.sources_columns.free_memory", lambda: 500)
    with pytest.raises(InputError, match="'a' takes 800 B for 100 rows, but only 500 B are free"):
        design.read_column("a")


WRONG = [
    (["a", "a"], "`columns` names 'a' more than once"),
    (3, "`columns` must be a list of names; got 3"),
    (["aa"], "has no column 'aa'. Did you mean 'a'"),
    ([], "`columns` is empty"),
    ("a", "`columns` must be a list of names; got 'a'"),
    ([0], r"`columns` must be a list of names; got \[0\]"),
]


@pytest.mark.parametrize(("columns", "said"), WRONG, ids=lambda value: str(value))
def test_columns_that_cannot_be_chosen(columns, said, tmp_path):
    path = write(tmp_path / "a.parquet", a=[1.0])
    with pytest.raises(InputError, match=said):
        opened(path, columns=columns)


def test_files_that_disagree_are_named(tmp_path):
    first = write(tmp_path / "0.parquet", a=[1.0], b=[1.0])
    other = write(tmp_path / "1.parquet", b=[2.0], a=[3.0])
    assert opened(tmp_path).toarray().tolist() == [[1, 1], [3, 2]]  # by name, not by place
    write(tmp_path / "1.parquet", a=[2.0])
    with pytest.raises(FileError, match=r"1.parquet lacks the column 'b', which .*0.parquet has"):
        opened([first, other])
    write(tmp_path / "1.parquet", a=[2.0], b=[1])
    with pytest.raises(FileError, match=r"'b' is int64 in .*1.parquet, but double in .*0.parquet"):
        opened(tmp_path)
    assert opened(tmp_path, columns=["a"]).shape == (2, 1)


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(FileError, match=r"nothing.parquet does not exist"):
        opened(tmp_path / "nothing.parquet")
    with pytest.raises(FileError, match="holds no data: it needs files that end in"):
        opened(tmp_path)
    with pytest.raises(FileError, match=r"\*.npy holds no data"):
        opened(f"{tmp_path}/*.npy")
    with pytest.raises(FileError, match="the list of files is empty"):
        opened([])
    with pytest.raises(FileError, match="is no path"):
        opened("a\0b")
    write(tmp_path / "a.parquet", a=pa.array([], pa.float64()))
    with pytest.raises(FileError, match=r"a.parquet holds no rows"):
        opened(tmp_path)


def test_kinds_are_told_by_first_bytes_and_not_mixed(tmp_path):
    plain = write(tmp_path / "data", a=[1.0])
    assert opened(plain).shape == (1, 1)
    (tmp_path / "table.csv").write_text("a\n1\n")
    with pytest.raises(FileError, match=r"table.csv is no Parquet, Arrow, Feather or NPY file"):
        opened(tmp_path / "table.csv")
    np.save(tmp_path / "a.npy", np.ones((2, 1)))
    with pytest.raises(FileError, match="are of two kinds"):
        opened([plain, tmp_path / "a.npy"])
    feather.write_feather(pa.table({"a": [2.0]}), tmp_path / "b.feather")
    assert first_column(opened([plain, tmp_path / "b.feather"])) == [1, 2]


def test_empty_files_and_row_groups_do_no_harm(tmp_path):
    write(tmp_path / "0.parquet", a=pa.array([], pa.float64()))
    with parquet.ParquetWriter(tmp_path / "1.parquet", pa.schema([("a", pa.float64())])) as sink:
        for values in ([1.0], [], [2.0, 3.0]):
            sink.write_table(pa.table({"a": pa.array(values, pa.float64())}))
    assert first_column(opened(tmp_path)) == [1, 2, 3]


def test_the_index_that_pandas_writes_is_no_column(tmp_path):
    path = write(tmp_path / "a.parquet", a=[1.0], __index_level_0__=[7])
    assert opened(path).names == ("a",)


def test_pages_that_exceed_the_memory_are_refused(tmp_path):
    columns = {f"x{j}": np.arange(20_000.0) for j in range(30)}
    path = write(tmp_path / "a.parquet", **columns)
    with pytest.raises(InputError, match=r"`memory` is 8 MB, .* 30 columns of Parquet takes"):
        opened(path, memory="8MB")
    assert opened(path, memory="64MB").shape == (20_000, 30)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", a=[1.0])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'softunit\[disk\]'"):
        opened(path)
