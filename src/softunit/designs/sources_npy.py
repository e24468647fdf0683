"""NPY files as a source of blocks: plain reads at offsets, so nothing of a file is mapped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import counted
from softunit._typing import Array
from softunit.designs._memory import Budget
from softunit.designs.sources import Blocks, BlockSource, chosen, storage_dtype
from softunit.designs.sources_files import DataFile, listed, reading
from softunit.errors import FileError

READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class NpyFile:
    """One array (m, d) of numbers in an NPY file.

    Parameters
    ----------
    file : DataFile

    Raises
    ------
    FileError
        If the header promises another array than the file can hold, or one that is no (m, d)
        array of numbers.
    """

    def __init__(self, file: DataFile) -> None:
        self.file = file
        with reading(file), file.open() as stream:
            version = np.lib.format.read_magic(stream)
            if version not in READERS:
                raise FileError(f"{file} is NPY version {version}, which holds no plain numbers.")
            shape, self.by_columns, self.dtype = READERS[version](stream)
            self.offset = int(stream.tell())
        if self.dtype.hasobject or self.dtype.kind not in "fiub" or self.dtype.itemsize > 8:
            raise FileError(
                f"{file} holds entries of dtype {self.dtype}: only real numbers are read, and never"
                " Python objects, which could run code."
            )
        if len(shape) != 2 or shape[1] < 1:
            raise FileError(f"{file} holds an array of shape {shape}: it must be (n, d), d >= 1.")
        held = file.size - self.offset
        if min(shape) < 0 or math.prod(shape) * self.dtype.itemsize != held:
            raise FileError(
                f"{file} has a header that promises shape {shape} of {self.dtype}, but"
                f" {held:,} bytes of data: it is damaged, or was cut off."
            )
        self.shape: tuple[int, int] = (int(shape[0]), int(shape[1]))

    def read(self, stream: Any, start: int, stop: int, index: Array | None) -> Array:
        """Return rows [start, stop) of the columns of an index, or of all, from the open file."""
        n, d = self.shape
        if not self.by_columns:
            out = np.empty((stop - start, d), dtype=self.dtype)
            self._fill(stream, start * d, out)
            return out if index is None else np.take(out, index, axis=1)
        columns = range(d) if index is None else index
        out = np.empty((len(columns), stop - start), dtype=self.dtype)
        for row, column in zip(out, columns, strict=True):
            self._fill(stream, int(column) * n + start, row)
        return out.T

    def _fill(self, stream: Any, entry: int, out: Array) -> None:
        """Fill an array with what the file holds from an entry on."""
        bytes_left = out.reshape(-1).view(np.uint8).data
        stream.seek(self.offset + entry * self.dtype.itemsize)
        while len(bytes_left):
            got = stream.readinto(bytes_left)
            if not got:
                raise FileError(f"{self.file} ends before its last entry: it was cut off.")
            bytes_left = bytes_left[got:]


class NpySource(BlockSource):
    """NPY files of (m, d) arrays, one after the other.

    Parameters
    ----------
    files : sequence of NpyFile
        With as many columns each, of one dtype.
    columns : sequence of str or None
        "x0", "x1", ...; None: all.
    budget : Budget

    Raises
    ------
    FileError
        If there is no row, or the files disagree in width or dtype.
    """

    def __init__(
        self, files: Sequence[NpyFile], columns: Sequence[str] | None, budget: Budget
    ) -> None:
        self.files, self.budget = list(files), budget
        self._offsets = np.cumsum([0, *(file.shape[0] for file in self.files)])
        first, n = self.files[0], int(self._offsets[-1])
        for file in self.files:
            if file.shape[1] != first.shape[1]:
                raise FileError(
                    f"{file.file} has {counted(file.shape[1], 'column')}, but {first.file} has"
                    f" {first.shape[1]}: all blocks need as many."
                )
            if file.dtype != first.dtype:
                raise FileError(
                    f"{file.file} holds {file.dtype}, but {first.file} {first.dtype}: write all"
                    " blocks with one dtype."
                )
        if not n:
            raise FileError(f"{self} holds no rows: a fit needs at least one.")
        width = first.shape[1]
        self._index: Array | None = None
        if columns is not None:
            self._index = chosen(columns, [f"x{j}" for j in range(width)], str(self))
        self.dtype = storage_dtype([first.dtype])
        self.shape = (n, width if self._index is None else len(self._index))
        # Files that lie row by row are read with all their columns, whatever is used.
        read = self.shape[1] if first.by_columns else width
        self._rows = budget.chunk_rows(read * first.dtype.itemsize)

    def __str__(self) -> str:
        return listed([file.file for file in self.files])

    @property
    def stretches(self) -> Sequence[tuple[int, int]]:
        """Any rows can be read on their own."""
        n = self.shape[0]
        return [(start, min(start + self._rows, n)) for start in range(0, n, self._rows)]

    @property
    def stored_bytes(self) -> int:
        """Bytes of the columns that are read."""
        first = self.files[0]
        width = self.shape[1] if first.by_columns else first.shape[1]
        return self.shape[0] * width * first.dtype.itemsize

    def describe(self, row: int) -> str:
        """Return the row's number in its file."""
        number = int(np.searchsorted(self._offsets, row, side="right")) - 1
        return f"row {row - self._offsets[number]} of {self.files[number].file}"

    def check_unchanged(self) -> None:
        """Raise `FileError` if a file is gone or another."""
        for file in self.files:
            file.file.check_unchanged()

    def columns(self, index: npt.NDArray[np.integer]) -> BlockSource:
        """Return a source of these columns."""
        there = range(self.files[0].shape[1]) if self._index is None else self._index
        return NpySource(self.files, [f"x{there[j]}" for j in index], self.budget)

    def read_column(self, name: str) -> Array:
        """Return one column, called x0, x1, ..., in its own dtype, (n,)."""
        part = NpySource(self.files, [name], self.budget)
        part.check_unchanged()
        out = np.empty(part.shape[0], dtype=part.files[0].dtype.newbyteorder("="))
        for start, block in part.raw(range(len(part.stretches))):
            out[start : start + len(block)] = block[:, 0]
        return out

    def read(self, numbers: Sequence[int]) -> Blocks:
        """Yield (first row, block) for some stretches, which are one block each."""
        for start, block in self.raw(numbers):
            yield start, block.astype(self.dtype, copy=False)

    def raw(self, numbers: Sequence[int]) -> Blocks:
        """Yield (first row, block) with the entries as they are stored."""
        for number in numbers:
            start = number * self._rows
            yield start, self._joined(start, min(start + self._rows, self.shape[0]))

    def _joined(self, start: int, stop: int) -> Array:
        """Return rows [start, stop), out of as many files as hold them."""
        first = int(np.searchsorted(self._offsets, start, side="right")) - 1
        parts = []
        for number in range(first, len(self.files)):
            low, high = int(self._offsets[number]), int(self._offsets[number + 1])
            if low >= stop:
                break
            if high > low:
                file = self.files[number]
                with ExitStack() as stack:
                    stack.enter_context(reading(file.file))
                    stream = stack.enter_context(file.file.open())
                    rows = max(start, low) - low, min(stop, high) - low
                    parts.append(file.read(stream, *rows, self._index))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
