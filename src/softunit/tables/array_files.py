"""NPZ files, read by numpy, and svmlight files, read by scikit-learn."""

from __future__ import annotations

import gzip
import io
import math
import tokenize
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scipy import sparse
from sklearn.datasets import load_svmlight_file

from softunit._free_memory import free_memory
from softunit._typing import Array
from softunit.errors import FileError
from softunit.tables.names import cut, listed, show
from softunit.tables.table import TARGET, Table

_KEYS = ("X", "y", "names")
# Deflate shrinks to 1/1032 at best: a member that claims more than that is not what it says.
_MOST_SHRUNK = 1032
# Each column has a name; an index of 2 billion in one row must not make 2 billion of them.
_MOST_COLUMNS = 10_000_000
# What NumPy raises about headers, which it reads as Python literals.
_NO_HEADER = (SyntaxError, TypeError, ValueError, tokenize.TokenError)


def read_npz(path: Path) -> Table:
    """Read `X` (n, d), and if they are there `y` (n,) and `names` (d,), from an NPZ file."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        strangers = sorted(set(members) - set(_KEYS))
        if strangers or "X" not in members:
            raise FileError(
                f"{path} holds the arrays {listed(sorted(members))}: it must hold 'X' of shape"
                " (n, d), may hold 'y' of shape (n,) and 'names' of shape (d,), and nothing else."
            )
        for key, info in members.items():
            _check_member(archive, info, f"Array {key!r} of {path}")
        check_fits(path, sum(info.file_size for info in members.values()))
    with np.load(path, allow_pickle=False) as arrays:
        matrix = _as_matrix(arrays["X"], path)
        target = _as_target(arrays["y"], matrix, path) if "y" in members else None
        names = _as_names(arrays["names"], matrix, path) if "names" in members else None
    return _matrix_table(matrix, target, path, names)


def _check_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, label: str) -> None:
    """Refuse an array whose header promises another size than the file can hold."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FileError(f"{label} is packed in a way that numpy does not write.")
    shrunk = _MOST_SHRUNK if info.compress_type == zipfile.ZIP_DEFLATED else 1
    if info.file_size > shrunk * info.compress_size:
        raise FileError(
            f"{label} claims {info.file_size:,} bytes, which its {info.compress_size:,} packed"
            " bytes cannot hold: the file is damaged or forged."
        )
    shape, dtype, held = _header(archive, info, label)
    if dtype.hasobject:
        raise FileError(
            f"{label} holds Python objects (dtype object), which could run code when they are"
            " loaded: save it as numbers or as text, e.g. y.astype(str)."
        )
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize != held:
        raise FileError(
            f"{label} has a header that promises shape {shape} of {dtype}, but {held:,} bytes of"
            " data: the file is damaged or forged."
        )


def _header(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, label: str
) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape and dtype of an array, and the bytes behind its header."""
    with archive.open(info) as member:
        try:
            version = np.lib.format.read_magic(member)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = header(member)
        except _NO_HEADER as error:
            raise FileError(
                f"{label} has a header that cannot be read ({cut(error)}): the file is damaged or"
                " forged."
            ) from error
        return shape, dtype, info.file_size - member.tell()


def check_fits(path: object, size: int) -> None:
    """Refuse, before memory is taken, what would not fit in it.

    Parameters
    ----------
    path : Path or str
        Of the file, for the sentence.
    size : int
        Bytes that its content would take.

    Raises
    ------
    FileError
        If that is more than is free.
    """
    free = free_memory()
    if free is not None and size > free:
        raise FileError(
            f"{path} would take {size:,} bytes of memory, and {free:,} are free: use fewer rows or"
            " columns, or a machine with more memory."
        )


class _Unpacked(io.RawIOBase):
    """The content of a packed file, up to the memory that is free: a few KB may unpack to all."""

    def __init__(self, packed: gzip.GzipFile, path: Path) -> None:
        self._packed, self._path, self._free = packed, path, free_memory()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        self._free = free_memory()
        return self._packed.seek(place, whence)

    def readinto(self, buffer: Any) -> int:
        content = self._packed.read(len(buffer))
        if self._free is not None:
            self._free -= len(content)
            if self._free < 0:
                check_fits(self._path, self._packed.tell())
        buffer[: len(content)] = content
        return len(content)


def _as_matrix(matrix: Array, path: Path) -> Array:
    """Check X and return it, as floats of the machine's byte order; floats are not copied."""
    if matrix.ndim != 2:
        raise FileError(f"Array 'X' of {path} must have shape (n, d); got {matrix.shape}.")
    if matrix.dtype.kind not in "fiub" or matrix.dtype.itemsize > 8:
        raise FileError(f"Array 'X' of {path} must hold real numbers; got dtype {matrix.dtype}.")
    single = matrix.dtype.kind == "f" and matrix.dtype.itemsize == 4
    return matrix.astype(np.float32 if single else np.float64, copy=False)


def _as_target(target: Array, matrix: Array, path: Path) -> Array:
    """Check y and return it."""
    if target.shape != (matrix.shape[0],):
        raise FileError(
            f"Array 'y' of {path} must have shape ({matrix.shape[0]},) to go with 'X' of shape"
            f" {matrix.shape}; got {target.shape}."
        )
    if target.dtype.kind not in "fiubU":
        raise FileError(f"Array 'y' of {path} must hold numbers or text; got dtype {target.dtype}.")
    return target.astype(target.dtype.newbyteorder("="), copy=False)


def _as_names(names: Array, matrix: Array, path: Path) -> tuple[str, ...]:
    """Check the names of the columns of X and return them."""
    if names.shape != (matrix.shape[1],) or names.dtype.kind != "U":
        raise FileError(
            f"Array 'names' of {path} must hold {matrix.shape[1]} texts, one for each column of"
            f" 'X'; got dtype {names.dtype} and shape {names.shape}."
        )
    return tuple(names.tolist())


def read_svmlight(path: Path, *, n_features: int | None = None) -> Table:
    """Read a svmlight file; column x7 is what the file calls index 7."""
    with _opened(path) as file:
        try:
            # zero_based="auto" would shift the columns of a file that happens to lack index 0.
            matrix, target = load_svmlight_file(file, zero_based=True)
        except (ValueError, OverflowError) as error:
            file.seek(0)
            line = _first_bad_line(file.readlines())
            raise FileError(f"{path} is not svmlight at line {line}: {cut(error)}.") from error
    # Files count from 0 or from 1; without an index 0 there is no column x0 to carry along.
    first = 0 if matrix.nnz and matrix.indices.min() == 0 else 1
    width = max(matrix.shape[1], n_features or 0) - first
    if width > _MOST_COLUMNS:
        raise FileError(
            f"{path} has feature index {matrix.shape[1] - 1:,}; at most {_MOST_COLUMNS:,} columns"
            " are read. Renumber or hash the features."
        )
    index = np.int32 if matrix.nnz < 2**31 else np.int64
    indices = (matrix.indices - first).astype(index)
    parts = (matrix.data, indices, matrix.indptr.astype(index))
    whole = sparse.csr_array(parts, shape=(matrix.shape[0], max(width, 0)))
    # Labels are floats to the reader; "1" and "-1" should not become "1.0" in a prediction.
    if np.isfinite(target).all() and (target == np.rint(target)).all():
        target = target.astype(np.int64)
    names = tuple(f"x{number}" for number in range(first, first + whole.shape[1]))
    return _matrix_table(whole, target, path, names)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file of lines, unpacked if its name ends in .gz."""
    if path.suffix.lower() != ".gz":
        with open(path, "rb") as plain:
            yield plain
        return
    with gzip.open(path, "rb") as packed:
        yield io.BufferedReader(_Unpacked(packed, path), 1 << 20)


def _first_bad_line(lines: list[bytes]) -> int:
    """Return the number, from 1, of the first line that the reader refuses, by halving."""
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            load_svmlight_file(io.BytesIO(b"".join(lines[low:middle])), zero_based=True)
            low = middle
        except (ValueError, OverflowError):
            high = middle
    return high


def _matrix_table(
    matrix: Any, target: Array | None, path: Path, names: tuple[str, ...] | None
) -> Table:
    """Wrap a matrix whose columns are called x0, x1, ... unless `names` are given."""
    if names is None:
        names = tuple(f"x{number}" for number in range(matrix.shape[1]))
    elif target is not None and TARGET in names:
        raise FileError(
            f"{path} calls a column of 'X' {show(TARGET)}, the name of its target: rename it."
        )
    everything = names if target is None else (*names, TARGET)
    return Table(everything, matrix.shape[0], source=str(path), matrix=matrix, target=target)
