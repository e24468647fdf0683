"""NPY files, Zarr arrays and blocks of any make as sources."""

from __future__ import annotations

import io
import json
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import zarr
from pyarrow import dataset, parquet
from scipy import sparse

from softunit.designs import ChunkedDesign
from softunit.designs._memory import Budget, parse_memory
from softunit.errors import FileError, InputError

opened = ChunkedDesign.from_dataset


def header(shape, dtype="<f8", by_columns=False):
    """The first bytes of an NPY file."""
    buffer = io.BytesIO()
    facts = {"descr": dtype, "fortran_order": by_columns, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, facts)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<i4", "|u1", "|b1", "<f2"])
def test_npy_of_every_kind_of_number(dtype, rng, tmp_path):
    a = rng.integers(0, 2, (50, 3)).astype(dtype)
    np.save(tmp_path / "a.npy", a)
    design = opened(tmp_path / "a.npy")
    assert design.dtype == (np.float64 if dtype[1:] in ("f8", "i4") else np.float32)
    np.testing.assert_array_equal(design.toarray(), a.astype(np.float64))
    np.testing.assert_array_equal(design.read_column("x1"), a[:, 1])


LYING = [
    (header((10**12, 3)), "promises shape \\(1000000000000, 3\\) of float64, but 800 bytes"),
    (header((99, 1)), "promises shape \\(99, 1\\)"),
    (header((-100, -1)), "promises shape|must be"),
    (header((100, 1), "|O"), "dtype object: only real numbers are read, and never Python objects"),
    (header((100, 1), "<c8"), "dtype complex64"),
    (header((100, 1), "<U2"), "dtype <U2"),
    (header((100,)), "shape \\(100,\\): it must be"),
    (header((0, 0)), "must be \\(n, d\\), d >= 1"),
    (b"\x93NUMPY\x01\x00\xff", "cannot be read"),
    (header((9, 1)).replace(b"}", b"("), "cannot be read"),  # no Python literal any more
    (b"\x93NUMPY\x09\x00", "cannot be read|version"),
    (b"", "cannot be read|no Parquet"),
]


@pytest.mark.parametrize(("head", "said"), LYING, ids=[str(i) for i in range(len(LYING))])
def test_npy_headers_are_checked_before_memory_is_taken(head, said, tmp_path):
    (tmp_path / "a.npy").write_bytes(head + bytes(800))
    with pytest.raises(FileError, match=f"a.npy.*({said})"):
        opened(tmp_path / "a.npy")


def test_npy_blocks_that_disagree(tmp_path):
    np.save(tmp_path / "0.npy", np.ones((3, 2)))
    np.save(tmp_path / "1.npy", np.ones((3, 3)))
    with pytest.raises(FileError, match=r"1.npy has 3 columns, but .*0.npy has 2"):
        opened(tmp_path)
    np.save(tmp_path / "1.npy", np.ones((3, 2), np.float32))
    with pytest.raises(FileError, match=r"1.npy holds float32, but .*0.npy float64"):
        opened(tmp_path)
    np.save(tmp_path / "1.npy", np.full((0, 2), 1.0))
    assert opened(tmp_path).shape == (3, 2)


@pytest.fixture(params=[2, 3], ids=["v2", "v3"])
def stored(request, rng, tmp_path):
    a = rng.standard_normal((1000, 4)).astype(np.float32)
    path = tmp_path / "a.zarr"
    made = zarr.create_array(
        path, shape=a.shape, chunks=(130, 3), dtype=a.dtype, zarr_format=request.param
    )
    made[:] = a
    return path, a


def test_zarr_arrays(stored):
    path, a = stored
    design = opened(path, memory="8MB")
    assert (design.shape, design.dtype) == (a.shape, np.float32)
    np.testing.assert_array_equal(design.toarray(), a.astype(np.float64))
    index = np.array([999, 3, 500])
    np.testing.assert_array_equal(design.gathered(index).toarray(), a[index].astype(np.float64))
    part = opened(path, columns=["x2", "x0"])
    np.testing.assert_array_equal(part.toarray(), a[:, [2, 0]].astype(np.float64))
    np.testing.assert_array_equal(design.read_column("x3"), a[:, 3])


def test_a_zarr_chunk_that_vanishes_is_found(stored):
    path, _ = stored
    design = opened(path)
    design.rmatvec(np.ones(1000))
    chunk = next(
        file for file in sorted(path.rglob("*")) if file.is_file() and "z" not in file.name
    )
    chunk.unlink()  # Zarr reads it as zeros from now on
    for lost in (design, opened(path)):
        with pytest.raises(FileError, match=rf"{chunk} is missing, and Zarr would read its rows a"):
            lost.rmatvec(np.ones(1000))
    with pytest.raises(FileError, match="is missing"):
        opened(path).read_column("x0")


def test_a_zarr_chunk_cut_in_half_is_told_with_its_rows(stored):
    path, _ = stored
    chunk = sorted(file for file in path.rglob("*") if file.is_file() and "z" not in file.name)[0]
    chunk.write_bytes(chunk.read_bytes()[: chunk.stat().st_size // 2])
    with pytest.raises(FileError, match=r"a.zarr \(rows 0 to 999\) cannot be read: "):
        opened(path).rmatvec(np.ones(1000))


def test_zarr_chunks_of_zeros_are_taken_where_they_are_written(tmp_path):
    for empty in (False, True):
        path = tmp_path / f"{empty}.zarr"
        with zarr.config.set({"array.write_empty_chunks": empty}):
            made = zarr.create_array(path, shape=(10, 2), chunks=(5, 2), shards=None, dtype="f8")
            made[:5] = 1.0
            made[5:] = 0.0
    with pytest.raises(FileError, match=r"array.write_empty_chunks"):
        opened(tmp_path / "False.zarr").toarray()
    assert opened(tmp_path / "True.zarr").toarray().sum() == 10


def test_zarr_shards_are_looked_for_as_chunks_are(tmp_path, rng):
    a = rng.standard_normal((100, 4))
    made = zarr.create_array(
        tmp_path / "a", shape=a.shape, chunks=(5, 2), shards=(20, 4), dtype="f8"
    )
    made[:] = a
    np.testing.assert_array_equal(opened(tmp_path / "a").toarray(), a)
    (tmp_path / "a" / "c" / "2" / "0").unlink()
    with pytest.raises(FileError, match="2/0 is missing"):
        opened(tmp_path / "a").toarray()


def test_zarr_codecs_that_could_run_code_are_refused(tmp_path):
    made = zarr.create_array(tmp_path / "a.zarr", shape=(4, 2), dtype="f8", zarr_format=2)
    made[:] = 1.0
    facts = json.loads((tmp_path / "a.zarr" / ".zarray").read_text())
    facts["filters"] = [{"id": "pickle", "protocol": 5}]
    (tmp_path / "a.zarr" / ".zarray").write_text(json.dumps(facts))
    with pytest.raises(FileError, match="names the codec 'pickle', which is not known to be safe"):
        opened(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / ".zarray").write_text("[]")
    with pytest.raises(FileError, match="describes no array"):
        opened(tmp_path / "a.zarr")


def test_nested_zarr_codecs_are_looked_at(tmp_path):
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=(8, 2), chunks=(2, 2), shards=(4, 2), dtype="f8"
    )
    made[:] = 1.0
    assert opened(tmp_path / "a.zarr").toarray().sum() == 16
    text = (tmp_path / "a.zarr" / "zarr.json").read_text()
    assert '"zstd"' in text
    (tmp_path / "a.zarr" / "zarr.json").write_text(text.replace('"zstd"', '"numcodecs.pickle"'))
    with pytest.raises(FileError, match="names the codec 'pickle'"):
        opened(tmp_path / "a.zarr")


def test_zarr_arrays_that_do_not_fit(tmp_path):
    zarr.create_array(tmp_path / "c.zarr", shape=(4,), dtype="f8")
    with pytest.raises(FileError, match=r"c.zarr holds an array of shape \(4,\)"):
        opened(tmp_path / "c.zarr")
    zarr.create_array(tmp_path / "d.zarr", shape=(4, 1), dtype="c16")
    with pytest.raises(FileError, match="entries of dtype complex128"):
        opened(tmp_path / "d.zarr")
    zarr.create_array(tmp_path / "e.zarr", shape=(10**6, 2), chunks=(10**6, 2), dtype="f8")
    with pytest.raises(InputError, match=r"chunks of .*e.zarr have 1000000 rows of 16 B"):
        opened(tmp_path / "e.zarr", memory="8MB")


def test_without_zarr_the_extra_is_named(tmp_path, monkeypatch):
    zarr.create_array(tmp_path / "a.zarr", shape=(4, 2), dtype="f8")
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(ImportError, match=r"pip install 'softunit\[disk\]'"):
        opened(tmp_path / "a.zarr")


# Blocks of any make -----------------------------------------------------------------------------

MAKES = {
    "arrays": lambda a: a,
    "arrays-by-column": np.asfortranarray,
    "lists": lambda a: a.tolist(),
    "pandas": lambda a: pd.DataFrame(a, columns=list("abc")),
    "polars": lambda a: pl.DataFrame(a, schema=list("abc")),
    "record-batches": lambda a: pa.record_batch(list(a.T.copy()), names=list("abc")),
    "arrow-tables": lambda a: pa.table(list(a.T.copy()), names=list("abc")),
    "csr": sparse.csr_array,
    "csc": sparse.csc_matrix,
}


@pytest.mark.parametrize("make", MAKES)
def test_blocks_of_any_make(make, rng):
    a = rng.standard_normal((100, 3))
    design = ChunkedDesign([MAKES[make](part) for part in (a[:30], a[30:31], a[31:])])
    np.testing.assert_array_equal(design.toarray(), a)
    named = make in ("pandas", "polars", "record-batches", "arrow-tables")
    assert design.names == (("a", "b", "c") if named else None)


def test_blocks_are_joined_and_cut(rng):
    a = rng.standard_normal((60_000, 5))
    blocks = [a[:7], a[7:8], a[8:50_000], *np.array_split(a[50_000:], 100)]
    design = ChunkedDesign(blocks, memory="8MB")
    lengths = [chunk.shape[0] for _, chunk in design.chunks()]
    assert lengths == [26_214, 26_214, 7572]
    np.testing.assert_array_equal(design.toarray(), a)


def test_memory_that_an_iterable_uses_again_is_copied():
    class Again:
        shape = (300_000, 2)

        def __iter__(self):
            held = np.empty((100_000, 2))
            for value in range(3):
                held[:] = value
                yield held

    design = ChunkedDesign(Again(), memory="8MB")
    assert design.passes == 0
    np.testing.assert_array_equal(design.matvec(np.ones(2)), np.repeat([0.0, 2.0, 4.0], 100_000))


def test_blocks_that_can_be_read_once_are_refused():
    with pytest.raises(InputError, match="generator gives its blocks only once"):
        ChunkedDesign(np.ones((2, 2)) for _ in range(3))
    with pytest.raises(InputError, match=r"needs blocks of rows to iterate over; got .*float"):
        ChunkedDesign(3.0)


SINGLE = {
    "path": ("rows.parquet", "open 'rows.parquet' by its from_dataset"),
    "file": (Path("rows.npy"), "open 'rows.npy' by its from_dataset"),
    "array": (np.ones((3, 2)), "got a single numpy.ndarray: wrap it in a list"),
    "vector": (np.ones(3), "got a single numpy.ndarray: wrap it in a list"),
    "frame": (pd.DataFrame({"a": [1.0]}), r"got a single pandas.DataFrame: wrap it in a list"),
    "sparse": (sparse.csr_array(np.eye(2)), r"got a single scipy.csr_array: wrap it in a list"),
    "dict": ({"a": np.ones(3)}, "as arrays or frames; got builtins.dict"),
    "table": (pa.table({"a": [1.0]}), "got a single pyarrow.Table: wrap it in a list"),
    "dask": (da.ones((3, 2)), "got dask.Array: DaskDesign takes that"),
}


@pytest.mark.parametrize(("source", "said"), SINGLE.values(), ids=SINGLE)
def test_a_single_object_is_told_where_it_goes(source, said):
    with pytest.raises(InputError, match=said):
        ChunkedDesign(source)


def test_a_zarr_array_and_an_arrow_dataset_are_told_where_they_go(tmp_path):
    with pytest.raises(InputError, match=r"got a single zarr.Array: wrap it in a list"):
        ChunkedDesign(zarr.create_array(tmp_path / "a", shape=(3, 2), dtype="f8"))
    parquet.write_table(pa.table({"a": [1.0]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"got pyarrow.*: open its path by from_dataset"):
        ChunkedDesign(dataset.dataset(tmp_path / "b.parquet"))


def test_an_array_of_blocks_gives_its_blocks(rng):
    blocks = rng.standard_normal((3, 5, 2))
    np.testing.assert_array_equal(ChunkedDesign(blocks).toarray(), blocks.reshape(15, 2))


ONES = np.ones((2, 2))
DISAGREEING = [
    ([ONES, np.ones((2, 3))], "block 1 has 3 columns, but block 0 has 2"),
    ([ONES, ONES, ONES.astype(np.float32)], "block 2 holds float32, but block 0 float64"),
    ([pd.DataFrame(ONES, columns=["a", "b"]), pd.DataFrame(ONES, columns=["a", "c"])], "'b'"),
    ([pd.DataFrame(ONES, columns=["a", "b"]), pd.DataFrame(ONES, columns=["b", "a"])], "order"),
    ([ONES, sparse.csr_array(ONES)], "block 1 is .*csr_array.*, unlike block 0"),
    ([np.ones(3)], r"block 0 has shape \(3,\)"),
    ([ONES, [["a", "b"]]], "block 1 must hold real numbers"),
    ([ONES * 1j], "block 0 must hold real numbers"),
    ([pa.table({"t": ["a"]})], "column 't' holds string, no numbers"),
    ([], "no block with a row"),
    ([ONES[:0]], "no block with a row"),
]


@pytest.mark.parametrize(
    ("blocks", "said"), DISAGREEING, ids=[str(i) for i in range(len(DISAGREEING))]
)
def test_blocks_that_disagree_are_named(blocks, said):
    with pytest.raises(InputError, match=said):
        ChunkedDesign(blocks)


# Memory -----------------------------------------------------------------------------------------

SIZES = {
    "2GB": 2 * 10**9,
    "500 mb": 500 * 10**6,
    "1.5GiB": 3 << 29,
    " 16MiB ": 16 << 20,
    "9000000": 9_000_000,
    10**9: 10**9,
}


@pytest.mark.parametrize("text", SIZES, ids=str)
def test_sizes_are_read(text):
    assert parse_memory(text) == SIZES[text]


@pytest.mark.parametrize(
    "text", ["", "GB", "-1GB", "2 gigs", "1e9", True, None, 2.5, "1GB2"], ids=str
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="`memory` must be a size such as '2GB'"):
        parse_memory(text)


def test_too_little_memory_is_refused():
    with pytest.raises(InputError, match="`memory` must be at least 8 MB; got '1MB'"):
        parse_memory("1MB")
    with pytest.raises(InputError, match=r"a single row takes 800 KB: give at least 12.8 MB"):
        ChunkedDesign([np.ones((1, 100_000))], memory="8MB")


def test_shares_of_the_memory():
    assert Budget(10**9).sample == 250_000_000
    assert 8 * Budget(10**8).chunk < 10**8
