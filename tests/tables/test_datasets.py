"""Several files as one dataset: which files, which columns, and what is wrong with them."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy import sparse
from sklearn.datasets import dump_svmlight_file

from softunit import _far_files
from softunit.errors import FileError, InputError
from softunit.tables import (
    CategoricalColumn,
    Encoding,
    Table,
    read_table,
    read_tables,
    write_table,
)
from softunit.tables.block_writing import check_block_path, write_blocks
from softunit.tables.columns import text_codes
from softunit.tables.data_files import find_files, shortened, titled
from softunit.tables.sizes import decoded_bytes
from softunit.tables.streams import Dataset
from tests.tables.datasets import mixed, parts


def names_of(*paths):
    return [file.path.rpartition("/")[2] for file in find_files([str(path) for path in paths])]


def test_folders_globs_and_files_mean_sorted_files(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, n=5)
    (folder / "README.md").write_text("not data")
    (folder / "_SUCCESS").write_text("")
    (folder / ".hidden.parquet").write_text("")
    every = ["part-0.parquet", "part-1.parquet", "part-2.parquet"]
    assert names_of(folder) == every
    assert names_of(folder / "*-[02].parquet") == ["part-0.parquet", "part-2.parquet"]
    assert names_of(folder / "part-1.parquet", folder / "part-0.parquet") == every[1::-1]
    assert names_of(folder.as_uri()) == every
    assert names_of(f"{folder.as_uri()}/part-[12]*") == every[1:]
    assert names_of(f"{folder.as_uri()}/part-1.parquet") == every[1:2]
    urls = Dataset.open([folder.as_uri()])
    assert urls.table().arrow.equals(Dataset.open([str(folder)]).table().arrow)
    urls.check_unchanged()


def test_what_is_not_there_is_named(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, n=5)
    with pytest.raises(FileError, match=r"no file matches '.*\*\.csv'"):
        find_files([str(folder / "*.csv")])
    with pytest.raises(FileError, match=r"part-7\.parquet is not there.*Did you mean 'part-"):
        find_files([str(folder), str(folder / "part-7.parquet")])
    with pytest.raises(FileError, match="is not there"):
        find_files([(folder / "none").as_uri()])
    with pytest.raises(FileError, match="no file matches"):
        find_files([(folder / "none").as_uri() + "-*.csv"])
    with pytest.raises(FileError, match=r"nosuch://x cannot be opened: 'nosuch' is no.* s3://"):
        find_files(["nosuch://x"])
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "notes.txt").write_text("no data")
    with pytest.raises(
        FileError, match=r"holds no file of a known format \(it holds 'notes.txt'\)"
    ):
        find_files([str(tmp_path / "e")])


def test_a_file_that_is_given_twice_is_refused(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, n=5)
    one, glob = str(folder / "part-0.parquet"), str(folder / "*-0.parquet")
    for paths in ([one, one], [str(folder), one], [glob, one], [one, (folder.as_uri())]):
        with pytest.raises(FileError, match=r"part-0\.parquet is among the files twice.*Give it"):
            find_files(paths)
    (folder / "latest.parquet").symlink_to(folder / "part-2.parquet")
    with pytest.raises(FileError, match=r"part-2.* twice, as .*latest\.parquet and as .*part-2"):
        find_files([str(folder)])


def test_a_store_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(_far_files, "PATIENCE", 0.05)
    ended = threading.Event()
    try:
        with pytest.raises(FileError, match=r"gs://x/y cannot be opened: nothing answered within"):
            _far_files.in_time("gs://x/y", ended.wait)
    finally:
        ended.set()
    monkeypatch.setattr(_far_files, "PATIENCE", 60.0)
    assert _far_files.in_time("gs://x/y", lambda: 3) == 3
    with pytest.raises(ZeroDivisionError, match="by zero"):
        _far_files.in_time("gs://x/y", lambda: 1 // 0)


def test_formats_are_not_mixed(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, n=5)
    write_table(folder / "a.csv", mixed(rng, 5))
    with pytest.raises(FileError, match=r"several formats: .*a\.csv is csv, .*part-0\.parquet is"):
        find_files([str(folder)])


def test_folders_that_name_different_columns_are_refused(tmp_path, rng):
    parts(tmp_path / "d" / "year=1", rng, n=5)
    parts(tmp_path / "d" / "month=1", rng, n=5)
    with pytest.raises(FileError, match=r"name different columns: .* has 'month', .* has 'year'"):
        find_files([str(tmp_path / "d")])


def test_a_folder_named_like_a_column_is_refused(tmp_path, rng):
    parts(tmp_path / "d" / "count=1", rng, n=5)
    with pytest.raises(FileError, match=r"column 'count' is both in .* and the name of"):
        Dataset.open([str(tmp_path / "d")])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_columns_that_differ_are_named_with_their_file(suffix, tmp_path, rng):
    folder = parts(tmp_path / "d", rng, suffix=suffix, n=20)
    data = mixed(rng, 20)
    data["cuont"] = data.pop("count")
    write_table(folder / f"part-1{suffix}", data)
    with pytest.raises(FileError, match=r"part-1.* has no column 'count', .*Did you mean 'cuont'"):
        read_tables([str(folder)])
    write_table(folder / f"part-1{suffix}", mixed(rng, 20) | {"more": np.arange(20)})
    with pytest.raises(FileError, match=r"part-1.* has a column 'more', which .*part-0.* lacks"):
        read_tables([str(folder)])


def test_types_that_do_not_go_together_are_named_with_their_file(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, n=20)
    write_table(folder / "part-2.parquet", mixed(rng, 20) | {"count": np.array(["a"] * 20)})
    with pytest.raises(FileError, match=r"'count' is int64 in .*part-0.*, but string in .*part-2"):
        read_tables([str(folder)])


def test_types_that_go_together_become_one(tmp_path):
    columns = {
        "a": [pa.array([1, 2]), pa.array([1.5, 2.5], pa.float32()), pa.nulls(2)],
        "b": [pa.array(["x", "y"]).dictionary_encode(), pa.array(["y", "z"]), pa.nulls(2)],
    }
    for number in range(3):
        table = pa.table({name: arrays[number] for name, arrays in columns.items()})
        parquet.write_table(table, tmp_path / f"{number}.parquet")
    found = read_tables([str(tmp_path)])
    assert [str(found.column(name).type) for name in "ab"] == ["double", "string"]
    assert found.column("a").to_pylist() == [1, 2, 1.5, 2.5, None, None]
    assert found.column("b").to_pylist() == ["x", "y", "y", "z", None, None]


def test_numbers_in_one_csv_file_and_text_in_another_are_text(tmp_path):
    (tmp_path / "0.csv").write_text("a\n1\n2\n")
    (tmp_path / "1.csv").write_text("a\nx\n3\n")
    assert read_tables([str(tmp_path)]).column("a").to_pylist() == ["1", "2", "x", "3"]


@pytest.mark.parametrize("suffix", [".npz", ".svm"])
def test_matrices_are_stacked(suffix, tmp_path, rng):
    X, y = (rng.random((9, 4)) < 0.5).astype(float), np.arange(9) % 2
    X[:, 3] = [0, 0, 0, 0, 0, 1, 0, 0, 0]  # the first file of svmlight does not know the last
    for number, rows in enumerate((slice(0, 4), slice(4, 9))):
        path = tmp_path / f"{number}{suffix}"
        if suffix == ".npz":
            np.savez(path, X=X[rows], y=y[rows])
        else:
            dump_svmlight_file(sparse.csr_matrix(X[rows]), y[rows], str(path))
    found = read_tables([str(tmp_path)])
    whole = found.matrix.toarray() if suffix == ".svm" else found.matrix
    np.testing.assert_array_equal(whole, X)
    np.testing.assert_array_equal(found.target, y)
    assert found.places.words(5) == f"data row 2 of {tmp_path}/1{suffix}"
    with pytest.raises(FileError, match=r"cannot be read in blocks of rows: write it as Parquet"):
        Dataset.open([str(tmp_path)])


def test_matrices_of_other_columns_are_refused(tmp_path):
    np.savez(tmp_path / "0.npz", X=np.ones((2, 3)), y=np.arange(2))
    np.savez(tmp_path / "1.npz", X=np.ones((2, 4)), y=np.arange(2))
    with pytest.raises(FileError, match=r"0\.npz has other columns .*look at 'x3'"):
        read_tables([str(tmp_path)])
    np.savez(tmp_path / "1.npz", X=np.ones((2, 3)))
    with pytest.raises(FileError, match=r"1\.npz has no target `y`, which other files have"):
        read_tables([str(tmp_path)])


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv"])
def test_damaged_files_are_named(suffix, tmp_path, rng):
    folder = parts(tmp_path / "d", rng, suffix=suffix, n=200)
    path = folder / f"part-1{suffix}"
    content = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(FileError, match=r"part-1.* is empty \(0 bytes\)"):
        read_tables([str(folder)])
    damaged = content[:-30] if suffix != ".csv" else content + b"1,2\n"
    path.write_bytes(damaged)
    with pytest.raises(FileError, match=r"part-1.* (cannot be read as|is not a table)"):
        read_tables([str(folder)])


def test_swallowed_rows_of_a_csv_file_are_told_with_their_row(tmp_path, monkeypatch):
    monkeypatch.setattr("softunit.tables.file_readers._CSV_BLOCK", 2048)
    lines = ["a,b", *(f"{i},x" for i in range(1000)), '7,"open', "8,x", '9,closed"', "10,x"]
    (tmp_path / "0.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "1.csv").write_text("a,b\n1,x\n")
    with pytest.raises(FileError, match=r"0\.csv has a quote that is not closed.*data row 1001"):
        read_tables([str(tmp_path)])


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, n=100)
    pieces = Dataset.open([str(folder)]).pieces(rows=30)
    next(pieces)
    write_table(folder / "part-1.parquet", mixed(rng, 100) | {"weight": np.ones(100)})
    with pytest.raises(FileError, match=r"part-1\.parquet was changed while it was being read"):
        list(pieces)
    (folder / "part-1.parquet").unlink()
    with pytest.raises(FileError, match=r"part-1\.parquet was there .* is gone now: put it"):
        list(Dataset.open([str(folder / "part-0.parquet")]).pieces()) + list(pieces_of(folder))


def pieces_of(folder):
    """Open three files of which one then vanishes."""
    write_table(folder / "part-1.parquet", {"x": np.ones(3)})
    for name in ("part-0.parquet", "part-2.parquet"):
        write_table(folder / name, {"x": np.ones(3)})
    dataset = Dataset.open([str(folder)])
    (folder / "part-1.parquet").unlink()
    return dataset.pieces()


def test_a_dataset_without_rows_is_refused(tmp_path):
    for number in range(2):
        write_table(tmp_path / f"{number}.parquet", {"x": np.ones(0)})
    with pytest.raises(FileError, match="has no rows: only the names of its columns"):
        read_tables([str(tmp_path)])


def test_many_paths_are_shown_as_the_glob_that_means_them(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, suffix=".csv.gz", n=5)
    names = [str(path) for path in sorted(folder.iterdir())]
    assert shortened(names) == (f"{folder}/*.csv.gz",)
    assert titled(names) == f"{folder}/*.csv.gz"
    assert shortened(names[:2]) == tuple(names[:2])
    more = [f"{i}.csv" for i in range(9)]
    assert titled(more) == "0.csv and 8 more files"


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".arrows", ".csv", ".tsv.gz"])
def test_blocks_are_written_as_one_table(suffix, tmp_path, rng):
    path = tmp_path / f"p{suffix}"
    data = {"prediction": np.array(["a", "bb"] * 5), "p": rng.random(10)}
    blocks = [
        {name: column[rows] for name, column in data.items()}
        for rows in np.split(np.arange(10), [3, 7])
    ]
    assert write_blocks(path, iter(blocks)) == 10
    write_table(tmp_path / f"q{suffix}", data)
    assert read_table(path).arrow.equals(read_table(tmp_path / f"q{suffix}").arrow)


def test_what_fails_between_two_blocks_leaves_the_old_file(tmp_path):
    path = tmp_path / "p.parquet"
    path.write_bytes(b"old")

    def blocks():
        yield {"x": np.ones(3)}
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_blocks(path, blocks())
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["p.parquet"]


def test_npz_is_not_written_block_by_block(tmp_path):
    with pytest.raises(FileError, match=r"p\.npz cannot be written block by block"):
        check_block_path(tmp_path / "p.npz")


def test_sizes_are_told_by_metadata(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, n=1000)
    found = decoded_bytes(find_files([str(folder)]))
    assert 3000 * 7 * 16 <= found <= 3000 * 7 * 16 * 2
    constant = pa.table({"x": pa.array(np.zeros(10**6))})
    parquet.write_table(constant, tmp_path / "packed.parquet")
    assert (tmp_path / "packed.parquet").stat().st_size < 10**5
    assert decoded_bytes(find_files([str(tmp_path / "packed.parquet")])) == 16 * 10**6


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
def test_a_text_that_all_rows_share_is_in_memory_once(kind, tmp_path, monkeypatch):
    text = pa.array(["x" * 50_000, None], pa.string())
    codes = pa.array([*[0] * 4000, 1], pa.int32())
    shared = pa.DictionaryArray.from_arrays(codes, text)
    table = pa.table({"t": shared, "y": pa.array([*[0, 1] * 2000, 0])})
    plain = pa.schema([("t", kind), ("y", pa.int64())])
    with parquet.ParquetWriter(tmp_path / "0.parquet", plain) as writer:
        for start in range(0, 4001, 500):
            writer.write_table(table.slice(start, 500).cast(plain))
    assert (tmp_path / "0.parquet").stat().st_size < 2_000_000
    before = pa.total_allocated_bytes()
    pieces = list(Dataset.open([str(tmp_path)]).pieces(rows=1000))
    assert pa.total_allocated_bytes() - before < 20_000_000
    assert text_codes(pieces[-1].table.column("t"), "t")[1].tolist() == [-1]
    texts, found = text_codes(pieces[0].table.column("t"), "t")
    assert len(texts[int(found[0])].as_py()) == 50_000
    monkeypatch.setattr("softunit.tables.arrow_files.MOST_TEXT", 1_000_000)
    whole = read_table(tmp_path / "0.parquet")
    assert pa.total_allocated_bytes() - before < 20_000_000
    assert whole.column("t").null_count == 1
    monkeypatch.setattr("softunit.tables.arrow_files.MOST_TEXT", 1 << 40)
    assert read_table(tmp_path / "0.parquet").column("t").type == kind


def test_dictionaries_of_any_index_are_encoded_alike():
    texts = ["b", None, "a", "b", "c"]
    plain = Table(("t",), 5, arrow=pa.table({"t": pa.array(texts)}))
    encoding = Encoding((CategoricalColumn("t", ("a", "b"), fill="a"),), unknown="other")
    expected = [[0, 1], [1, 0], [1, 0], [0, 1], [0, 0]]
    assert encoding.apply(plain).tolist() == expected
    for index in (pa.int8(), pa.uint32(), pa.int64()):
        codes = pa.array([1, 3, 0, 1, 2], index)
        # A missing value may also stand in the dictionary, and a text stand there twice.
        held = pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b", "c", None, "b"]))
        table = Table(("t",), 5, arrow=pa.table({"t": held}))
        assert encoding.apply(table).tolist() == expected
        with pytest.raises(InputError, match=r"'t' holds 'c', never seen .* \(1 row, in data"):
            Encoding(encoding.columns).apply(table)


def test_rows_that_a_parquet_file_only_claims_are_refused(tmp_path, monkeypatch):
    parquet.write_table(pa.table({"x": np.zeros(10**6)}), tmp_path / "0.parquet")
    monkeypatch.setattr("softunit.tables.array_files.free_memory", lambda: 1_000_000)
    for read in (read_table, lambda path: read_tables([str(path.parent)])):
        with pytest.raises(FileError, match=r"would take 8,000,000 bytes of memory, and 1,000,000"):
            read(tmp_path / "0.parquet")


@pytest.mark.parametrize("columns", [2, 40])
def test_blocks_of_many_columns_have_fewer_rows(columns, tmp_path):
    n = 70_000
    parquet.write_table(pa.table({f"x{j}": np.zeros(n) for j in range(columns)}), tmp_path / "0.pq")
    lengths = [piece.table.n_rows for piece in Dataset.open([str(tmp_path)]).pieces()]
    assert sum(lengths) == n
    assert max(lengths) * columns * 8 <= 1 << 21
    assert len(lengths) == (2 if columns == 2 else 11)
