"""Files that are small on disk and large in memory are refused before memory is taken."""

from __future__ import annotations

import gzip
import io
import zipfile

import numpy as np
import pytest

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
