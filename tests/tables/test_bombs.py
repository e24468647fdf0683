"""Files that are small on disk and large in memory are refused before memory is taken."""

from __future__ import annotations

import gzip
import io
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from softunit.errors import FileError
from softunit.tables import array_files, read_table


@pytest.fixture
def little_memory(monkeypatch):
    """A process that may take a megabyte more."""
    monkeypatch.setattr(array_files, "free_memory", lambda: 1_000_000)


def npz(path, header, content, *, packed=zipfile.ZIP_STORED):
    """Write an NPZ file whose X has this header and these bytes."""
    with zipfile.ZipFile(path, "w", packed) as archive:
        sink = io.BytesIO()
        np.lib.format.write_array_header_1_0(sink, header)
        archive.writestr("X.npy", sink.getvalue() + content)


def test_a_header_that_claims_a_trillion_rows(tmp_path):
    path = tmp_path / "t.npz"
    npz(path, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 40)}, bytes(320))
    with pytest.raises(FileError, match=r"promises shape \(1000000000000, 40\) .* but 320 bytes"):
        read_table(path)


def test_a_shape_whose_product_overflows(tmp_path):
    path = tmp_path / "t.npz"
    npz(path, {"descr": "<f8", "fortran_order": False, "shape": (2**61, 2**61)}, bytes(0))
    with pytest.raises(FileError, match="the file is damaged or forged"):
        read_table(path)


def test_zeros_that_unpack_to_more_than_is_free(tmp_path, little_memory):
    path = tmp_path / "t.npz"
    np.savez_compressed(path, X=np.zeros((20_000, 10)))
    assert path.stat().st_size < 5_000
    with pytest.raises(FileError, match=r"would take 1,600,\d+ bytes of memory, and 1,000,000 are"):
        read_table(path)


def test_what_fits_is_read(tmp_path, little_memory):
    path = tmp_path / "t.npz"
    np.savez_compressed(path, X=np.zeros((2_000, 10)))
    assert read_table(path).n_rows == 2_000


def test_a_machine_that_does_not_tell_reads_all(tmp_path, monkeypatch):
    monkeypatch.setattr(array_files, "free_memory", lambda: None)
    path = tmp_path / "t.npz"
    np.savez_compressed(path, X=np.zeros((20_000, 10)))
    assert read_table(path).n_rows == 20_000


@pytest.mark.parametrize("line", [b"1 1:1\n", b"0 " * 100], ids=["many lines", "one line"])
def test_a_packed_text_that_unpacks_to_more_than_is_free(line, tmp_path, little_memory):
    path = tmp_path / "t.svm.gz"
    path.write_bytes(gzip.compress(line * (3_000_000 // len(line))))
    assert path.stat().st_size < 20_000
    with pytest.raises(FileError, match="bytes of memory, and 1,000,000 are free"):
        read_table(path)


def test_a_packed_text_with_an_error_is_read_twice(tmp_path, little_memory):
    path = tmp_path / "t.svm.gz"
    path.write_bytes(gzip.compress(b"1 1:1\n" * 100_000 + b"1 one:1\n"))
    with pytest.raises(FileError, match="is not svmlight at line 100001"):
        read_table(path)


def test_an_index_of_two_billion(tmp_path):
    path = tmp_path / "t.svm"
    path.write_text("1 2000000000:1\n")
    with pytest.raises(FileError, match=r"at most 10,000,000 columns"):
        read_table(path)


HEADERS = {
    "a bracket that stays open": b"{'descr': '<f8', 'shape': (2, 2",
    "no literal": b"{'descr': '<f8' 'shape'}",
    "no header": b"7",
    "keys that cannot be sorted": b"{'descr': '<f8', 1: 2, 'shape': (2, 2)}",
}


@pytest.mark.parametrize("text", HEADERS.values(), ids=HEADERS)
def test_a_header_that_is_none(text, tmp_path):
    path = tmp_path / "t.npz"
    content = b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", content + bytes(32))
    with pytest.raises(FileError, match=r"^Array 'X' of .*t.npz has a header that cannot be read"):
        read_table(path)


def _nested(rows):
    lists = pa.FixedSizeListArray.from_arrays(pa.nulls(4 * rows, pa.int16()), 4)
    return pa.StructArray.from_arrays([lists, pa.nulls(rows, pa.float32())], ["a", "b"])


CLAIMS = {  # a column of so many rows, and the bytes of a row
    "numbers": (lambda rows: pa.nulls(rows, pa.float64()), 8),
    "truths": (lambda rows: pa.nulls(rows, pa.bool_()), 1),
    "texts": (lambda rows: pa.nulls(rows, pa.string()), 4),
    "wide": (lambda rows: pa.nulls(rows, pa.binary(200)), 200),
    "nested": (_nested, 12),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_rows_of_a_parquet_file_that_stand_there_once(name, tmp_path, monkeypatch):
    made, width = CLAIMS[name]
    path, rows = tmp_path / "t.parquet", 20_000
    parquet.write_table(pa.table({"a": made(rows)}), path)
    assert path.stat().st_size < 5_000
    monkeypatch.setattr(array_files, "free_memory", lambda: rows * width - 1)
    with pytest.raises(FileError, match=f"would take {rows * width:,} bytes of memory, and"):
        read_table(path)
    monkeypatch.setattr(array_files, "free_memory", lambda: rows * width)
    assert read_table(path).n_rows == rows
