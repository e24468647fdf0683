"""Rows that are wrong, or change while they are read: an error that says where, never an answer."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy import sparse

from softunit.designs import ChunkedDesign
from softunit.designs.sources_arrow import ParquetReader
from softunit.errors import FileError, InputError

N, D = 1000, 3
MEMORY = "8MB"


@pytest.fixture
def matrix(rng):
    return rng.standard_normal((N, D))


def write(a, path, *, rows=300, **settings):
    data = {f"x{j}": column for j, column in enumerate(a.T)}
    parquet.write_table(pa.table(data), path, row_group_size=rows, **settings)
    return path


def folder_of(a, folder, parts=4):
    for part, rows in enumerate(np.array_split(a, parts)):
        write(rows, folder / f"part-{part}.parquet")
    return folder


def used(design):
    return design.rmatvec(np.ones(design.shape[0]))


def overwrite(path, data):
    """Replace the bytes of a file and hide it: the time of change stays."""
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_is_named(value, dtype, matrix, tmp_path):
    matrix[999, 1] = value  # the last row of the last block
    design = ChunkedDesign.from_dataset(folder_of(matrix.astype(dtype), tmp_path), memory=MEMORY)
    said = r"'x1' holds NaN, infinity or nothing in row 999 \(row 249 of .*part-3.parquet\)\. Fill"
    with pytest.raises(InputError, match=said):
        design.column_moments()


def test_the_first_bad_row_is_named_and_the_others_counted(matrix):
    matrix[[5, 700, 701], 2] = np.nan
    design = ChunkedDesign([matrix[:600], matrix[600:]])
    with pytest.raises(
        InputError, match=r"column 2 .* row 5 \(row 5 of block 0\), and in 2 of the"
    ):
        used(design)


def test_a_missing_value_is_refused_like_nan(tmp_path):
    columns = {"a": [1, None, 3], "b": [True, False, True]}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"'a' holds NaN, infinity or nothing in row 1 "):
        used(ChunkedDesign.from_dataset(tmp_path / "a.parquet"))
    columns = {"b": [True, None, True]}
    parquet.write_table(pa.table(columns), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"'b' holds NaN, infinity or nothing in row 1 "):
        used(ChunkedDesign.from_dataset(tmp_path / "b.parquet"))


def test_nan_among_sparse_entries_is_refused():
    block = sparse.csr_array(np.array([[0.0, np.nan], [1.0, 0.0]]))
    with pytest.raises(InputError, match="column 1 of the rows from row 0 of block 0 on holds NaN"):
        used(ChunkedDesign([block]))


def test_a_partition_that_vanishes(matrix, tmp_path):
    design = ChunkedDesign.from_dataset(folder_of(matrix, tmp_path))
    used(design)
    (tmp_path / "part-2.parquet").unlink()
    with pytest.raises(FileError, match=r"part-2.parquet was there .* and is gone now"):
        used(design)


def test_a_file_that_is_replaced(matrix, tmp_path):
    design = ChunkedDesign.from_dataset(write(matrix, tmp_path / "a.parquet"))
    used(design)
    write(matrix[:500], tmp_path / "a.parquet")
    with pytest.raises(FileError, match=r"a.parquet was changed .*bytes then and .* now"):
        used(design)
    with pytest.raises(FileError, match=r"a.parquet was changed"):
        design.read_column("x0")


def test_a_replacement_that_hides_is_found_by_its_numbers(matrix, tmp_path):
    path = write(matrix, tmp_path / "a.parquet", use_dictionary=False, compression="none")
    design = ChunkedDesign.from_dataset(path)
    before = used(design)
    np.testing.assert_array_equal(used(design), before)
    matrix[3, 1] = np.nextafter(matrix[3, 1], np.inf)
    size = path.stat().st_size
    other = write(matrix, tmp_path / "b.parquet", use_dictionary=False, compression="none")
    assert other.stat().st_size == size
    overwrite(path, other.read_bytes())
    with pytest.raises(FileError, match=r"from row 0 of .*a.parquet on are not those that were"):
        used(design)


@pytest.mark.parametrize("where", [0.2, 0.5, 0.8])
def test_a_flipped_bit_is_found(where, matrix, tmp_path):
    np.save(tmp_path / "a.npy", matrix)
    design = ChunkedDesign.from_dataset(tmp_path / "a.npy")
    used(design)
    data = bytearray((tmp_path / "a.npy").read_bytes())
    data[int(where * len(data))] ^= 1
    overwrite(tmp_path / "a.npy", bytes(data))
    with pytest.raises(FileError, match="are not those that were read before"):
        used(design)
    with pytest.raises(FileError, match="are not those that were read before"):
        design.gathered(np.arange(5))


def test_rows_that_changed_places_are_found(matrix, tmp_path):
    np.save(tmp_path / "a.npy", matrix)
    design = ChunkedDesign.from_dataset(tmp_path / "a.npy")
    used(design)
    times = (tmp_path / "a.npy").stat()
    np.save(tmp_path / "a.npy", matrix[::-1])
    os.utime(tmp_path / "a.npy", ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(FileError, match="are not those that were read before"):
        used(design)


def test_check_sums_of_pages_are_looked_at(matrix, tmp_path):
    settings = {"use_dictionary": False, "compression": "none", "write_page_checksum": True}
    path = write(matrix, tmp_path / "a.parquet", **settings)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises(FileError, match=r"a.parquet cannot be read: .*(?i:crc|checksum)"):
        used(ChunkedDesign.from_dataset(path))


def cut_while_reading(design, path, kept):
    for rows, _ in design.chunks():
        if rows.start == 0:
            os.truncate(path, int(kept * path.stat().st_size))


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_file_cut_off_while_it_is_read(kept, rng, tmp_path):
    a = rng.standard_normal((200_000, 4))
    paths = write(a, tmp_path / "a.parquet", rows=20_000, compression="none"), tmp_path / "a.npy"
    np.save(paths[1], a)
    for path in paths:
        design = ChunkedDesign.from_dataset(path, memory="32MB")
        with pytest.raises(FileError, match=rf"{path.name} (was changed|cannot be read|ends)"):
            cut_while_reading(design, path, kept)


@pytest.mark.parametrize("at", [5, 10, -6, -2])
def test_damaged_parquet_is_an_error_with_its_name(at, matrix, tmp_path):
    path = write(matrix, tmp_path / "a.parquet")
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(FileError, match=r"a.parquet"):
        used(ChunkedDesign.from_dataset(path))


def test_blocks_that_differ_the_second_time():
    whole = np.ones((40_000, 5))  # 26,214 rows make a chunk

    class Fading:
        def __init__(self):
            self.blocks = [whole]

        def __iter__(self):
            return iter(self.blocks)

    blocks = Fading()
    design = ChunkedDesign(blocks, memory=MEMORY)
    used(design)
    blocks.blocks = [whole[:26_214]]
    with pytest.raises(InputError, match="block 0 has 26214 rows now, and 40000 before"):
        used(design)
    blocks.blocks = [whole, whole]
    with pytest.raises(InputError, match="block 1 has 40000 rows now, and was not there before"):
        used(design)
    blocks.blocks = [whole, whole[:, :4]]
    with pytest.raises(InputError, match="block 1 has 4 columns, but block 0 has 5"):
        used(design)
    blocks.blocks = [2 * whole]
    with pytest.raises(InputError, match="from row 0 of block 0 on are not those that were read"):
        used(design)


def test_the_block_that_is_missing_is_named(matrix):
    blocks = np.array_split(matrix, 6)
    design = ChunkedDesign(blocks)
    used(design)
    last = blocks.pop()
    with pytest.raises(InputError, match="there is no block 5 now, and there were 6 before"):
        used(design)
    blocks.append(last)
    used(design)
    # What says how many rows it has is first read by a pass, which notes its blocks.
    counted = Told(np.array_split(matrix, 6), matrix.shape)
    design = ChunkedDesign(counted)
    used(design)
    counted.blocks.pop()
    with pytest.raises(InputError, match="there is no block 5 now, and there were 6 before"):
        used(design)


class Told:
    def __init__(self, blocks, shape, fault=None):
        self.blocks, self.shape, self.fault = blocks, shape, fault

    def __iter__(self):
        yield from self.blocks
        if self.fault is not None:
            raise self.fault


@pytest.mark.parametrize("error", [ValueError("torn"), OSError(5, "torn")], ids=["value", "os"])
def test_a_reader_that_fails_is_told_with_its_block(error, matrix):
    halves = np.array_split(matrix, 2)
    said = f"block 2 could not be read: {type(error).__name__}: .*torn"
    with pytest.raises(InputError, match=said) as caught:
        used(ChunkedDesign(Told(halves, matrix.shape, error)))
    assert caught.value.__cause__ is error
    with pytest.raises(InputError, match=said):
        ChunkedDesign(Told(halves, None, error))
    with pytest.raises(FileError, match=r"^our own words$"):
        ChunkedDesign(Told(halves, None, FileError("our own words")))


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_all_files_of_the_rows_that_changed_are_named(kind, matrix, tmp_path):
    for part, rows in enumerate(np.array_split(matrix, 4)):
        if kind == "npy":
            np.save(tmp_path / f"{part}.npy", rows)
        else:
            write(rows, tmp_path / f"{part}.parquet", use_dictionary=False, compression="none")
    design = ChunkedDesign.from_dataset(tmp_path)
    used(design)
    path = tmp_path / f"2.{kind}"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    overwrite(path, bytes(data))
    said = rf"the rows from row 0 of .*0.{kind} to row 249 of .*3.{kind} are not those that were"
    with pytest.raises(FileError, match=said):
        used(design)


def test_the_file_with_other_rows_is_blamed_and_not_its_neighbours(matrix, tmp_path, monkeypatch):
    design = ChunkedDesign.from_dataset(folder_of(matrix, tmp_path))
    whole = ParquetReader.batches

    def other(reader, groups, names, rows):
        for batch in whole(reader, groups, names, rows):
            yield batch if not reader.file.path.endswith("part-2.parquet") else changed(batch)

    monkeypatch.setattr(ParquetReader, "batches", other)
    changed = lambda batch: batch.slice(10)  # noqa: E731 (it is another one below)
    with pytest.raises(FileError, match=r"part-2.parquet ends before row 240, which it promised"):
        used(design)
    changed = lambda batch: batch.slice(0, 0)  # noqa: E731
    with pytest.raises(FileError, match=r"part-2.parquet ends before row 0, which it promised"):
        used(design)
    changed = lambda batch: pa.concat_batches([batch, batch])  # noqa: E731
    with pytest.raises(FileError, match=r"part-2.parquet holds more rows than it promised"):
        used(design)


def test_a_file_that_is_replaced_in_the_first_pass_is_blamed_itself(matrix, tmp_path):
    rows = np.tile(matrix, (80, 1))
    paths = [write(rows, tmp_path / f"p{i}.parquet", rows=20_000) for i in range(2)]
    design = ChunkedDesign.from_dataset(tmp_path, memory=MEMORY)

    def replace_on_the_way():
        for place, _ in design.chunks():
            if place.start == 0:
                write(matrix, paths[1])

    with pytest.raises(FileError, match=r"p1.parquet (was changed|has other row groups)"):
        replace_on_the_way()


def test_memory_that_is_not_there_is_said(matrix, tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", matrix)
    design = ChunkedDesign.from_dataset(tmp_path / "a.npy")

    def refuse(*args, **settings):
        raise MemoryError

    monkeypatch.setattr("softunit.designs.sources_npy.NpyFile.read", refuse)
    with pytest.raises(InputError, match=r"a.npy asks for more memory than there is"):
        used(design)


def test_a_folder_in_use_by_two_passes_at_once(matrix, tmp_path):
    design = ChunkedDesign.from_dataset(folder_of(matrix, tmp_path), memory=MEMORY)
    first, second = design.chunks(), design.chunks()
    for (rows, one), (_, other) in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.toarray(), matrix[rows])
        np.testing.assert_array_equal(other.toarray(), matrix[rows])
    assert design.passes == pytest.approx(2)
