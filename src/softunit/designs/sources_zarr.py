"""A Zarr array as a source of blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._typing import Array
from softunit.designs._memory import Budget, shown
from softunit.designs.sources import Blocks, BlockSource, chosen, storage_dtype
from softunit.designs.sources_files import ZARR, DataFile, found_files, reading
from softunit.errors import FileError, InputError, MissingExtraError

SAFE = {
    "adler32", "bitround", "blosc", "bytes", "bz2", "crc32", "crc32c", "delta", "fixedscaleoffset",
    "fletcher32", "gzip", "lz4", "lzma", "packbits", "quantize", "sharding_indexed", "shuffle",
    "transpose", "zlib", "zstd",
}  # fmt: skip
"""Codecs that only compute. Others may not: "pickle" runs what the file says."""

FACTS_MOST = 10_000_000  # bytes of the description of one array


class ZarrSource(BlockSource):
    """A two-dimensional Zarr array in a folder.

    Parameters
    ----------
    path : str or path-like
    columns : sequence of str or None
        "x0", "x1", ...; None: all.
    budget : Budget

    Raises
    ------
    MissingExtraError
        If zarr is not installed.
    FileError
        If it is no (n, d) array of numbers, or names a codec that is not known to be safe.
    """

    def __init__(self, path: Any, columns: Sequence[str] | None, budget: Budget) -> None:
        self.path, self.budget = str(path), budget
        self._facts = next(_facts(self.path))
        _check_codecs(self._facts)
        try:
            import zarr
        except ImportError as error:
            raise MissingExtraError("reading Zarr arrays", "disk") from error
        with reading(self.path):
            self._array: Any = zarr.open_array(self.path, mode="r")
        array = self._array
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise FileError(f"{self.path} holds entries of dtype {array.dtype}: it needs numbers.")
        if array.ndim != 2 or 0 in array.shape:
            raise FileError(
                f"{self.path} holds an array of shape {array.shape}: it must be (n, d), n, d >= 1."
            )
        self._index: Array | None = None
        if columns is not None:
            self._index = chosen(columns, [f"x{j}" for j in range(array.shape[1])], self.path)
        self.dtype = storage_dtype([array.dtype])
        width = array.shape[1] if self._index is None else len(self._index)
        self.shape = (int(array.shape[0]), int(width))
        self._rows = self._block_rows()

    def _block_rows(self) -> int:
        """Return the rows of a block: whole chunks of the array, as many as the budget allows."""
        array = self._array
        row = array.shape[1] * max(array.dtype.itemsize, self.dtype.itemsize)
        rows = self.budget.chunk_rows(row)
        least = int((getattr(array, "shards", None) or array.chunks)[0])
        if least * row > self.budget.total / 8:
            raise InputError(
                f"`memory` is {shown(self.budget.total)}, but the chunks of {self.path} have"
                f" {least} rows of {shown(row)}: give at least {shown(8 * least * row)}, or write"
                " it with shorter chunks."
            )
        return max(rows // least, 1) * least

    def __str__(self) -> str:
        return self.path

    @property
    def stretches(self) -> Sequence[tuple[int, int]]:
        """Whole chunks of the array."""
        n = self.shape[0]
        return [(start, min(start + self._rows, n)) for start in range(0, n, self._rows)]

    def describe(self, row: int) -> str:
        """Return the row and the array."""
        return f"row {row} of {self.path}"

    def check_unchanged(self) -> None:
        """Raise `FileError` if the description of the array is gone or another."""
        self._facts.check_unchanged()

    def columns(self, index: npt.NDArray[np.integer]) -> BlockSource:
        """Return a source of these columns."""
        there = range(self._array.shape[1]) if self._index is None else self._index
        return ZarrSource(self.path, [f"x{there[j]}" for j in index], self.budget)

    def read_column(self, name: str) -> Array:
        """Return one column, called x0, x1, ..., in its own dtype, (n,)."""
        (column,) = chosen([name], [f"x{j}" for j in range(self._array.shape[1])], self.path)
        out = np.empty(self.shape[0], dtype=self._array.dtype.newbyteorder("="))
        for start, stop in self.stretches:
            out[start:stop] = self._entries(start, stop, int(column))
        return out

    def read(self, numbers: Sequence[int]) -> Blocks:
        """Yield (first row, block) for some stretches, which are one block each."""
        for number in numbers:
            start, stop = self.stretches[number]
            block = self._entries(start, stop, slice(None))
            if self._index is not None:
                block = np.take(block, self._index, axis=1)
            yield start, np.ascontiguousarray(block, dtype=self.dtype)

    def _entries(self, start: int, stop: int, column: int | slice) -> Array:
        """Return the entries of some rows, each out of a chunk that is there.

        Zarr reads a chunk without a file as fill values, so one that was lost would be zeros.
        """
        where = f"{self.path} (rows {start} to {stop - 1})"
        with reading(where, RuntimeError):  # what codecs raise about bytes that they cannot decode
            entries = np.asarray(self._array[start:stop, column])
            for chunk in self._chunk_files(start, stop):
                if not chunk.is_file():
                    raise FileError(
                        f"{chunk} is missing, and Zarr would read its rows as"
                        f" {self._array.fill_value}. If it was never written, for it holds nothing"
                        " else, write the array with zarr.config.set("
                        "{'array.write_empty_chunks': True}); else restore it."
                    )
        return entries

    def _chunk_files(self, start: int, stop: int) -> Iterator[Path]:
        array = self._array
        rows, columns = getattr(array, "shards", None) or array.chunks
        for i in range(start // rows, -(-stop // rows)):
            for j in range(-(-array.shape[1] // columns)):
                yield Path(self.path) / array.metadata.encode_chunk_key((i, j))


def _facts(path: str) -> Iterator[DataFile]:
    """Yield the file that describes the array."""
    for name in ZARR:
        where = Path(path) / name
        if where.is_file():
            yield found_files(where)[0]


def _check_codecs(file: DataFile) -> None:
    """Refuse codecs that could run code, before anything is decoded."""
    if file.size > FACTS_MOST:
        raise FileError(f"{file} has {shown(file.size)}: no array needs so long a description.")
    with reading(file), file.open() as stream:
        facts = json.loads(stream.read())
    if not isinstance(facts, dict) or facts.get("node_type", "array") != "array":
        raise FileError(f"{file} describes no array: name the folder of one array.")
    strange = sorted({name for name in _codecs(facts) if name not in SAFE})
    if strange:
        raise FileError(
            f"{file} names the codec {strange[0]!r}, which is not known to be safe: write the array"
            " with blosc, zstd or gzip."
        )


def _codecs(facts: Any) -> Iterator[str]:
    """Yield the names of all codecs in the description of an array, nested ones too."""
    named = [facts.get("compressor"), *(facts.get("filters") or ()), *(facts.get("codecs") or ())]
    for codec in named:
        if codec is None:
            continue
        name = codec.get("id", codec.get("name")) if isinstance(codec, dict) else codec
        yield str(name).removeprefix("numcodecs.")
        inner = codec.get("configuration") if isinstance(codec, dict) else None
        if isinstance(inner, dict):
            yield from _codecs({"codecs": [*_list(inner, "codecs"), *_list(inner, "index_codecs")]})


def _list(facts: dict[str, Any], key: str) -> list[Any]:
    value = facts.get(key) or []
    return value if isinstance(value, list) else [value]
