"""Any re-iterable of blocks as a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from os import PathLike
from typing import Any

import numpy as np
from scipy import sparse

from softunit._checks import counted
from softunit._typing import Array
from softunit.designs._memory import Budget
from softunit.designs.sources import Block, Blocks, BlockSource, storage_dtype
from softunit.designs.sparse import checked_csr
from softunit.errors import InputError

SAME = "give the same blocks each time that they are iterated over."


class IterableSource(BlockSource):
    """Blocks of rows that an object gives each time it is iterated over.

    Blocks are copied into chunks of the size that the budget allows, so an object may fill the
    same memory again and again.

    Parameters
    ----------
    blocks : iterable
        Arrays (m, d), frames, Arrow record batches or tables, or SciPy sparse matrices; a `shape`
        attribute (n, d) saves one pass that counts the rows.
    budget : Budget

    Raises
    ------
    InputError
        If it can be iterated over only once, is empty, or its blocks disagree.
    """

    error = InputError

    def __init__(self, blocks: Any, budget: Budget) -> None:
        if _is_single(blocks):
            raise InputError(_wish(blocks))
        try:
            iterator = iter(blocks)
        except TypeError as error:
            raise InputError(
                f"a design on disk needs blocks of rows to iterate over; got {type(blocks)}."
            ) from error
        if iterator is blocks:
            raise InputError(
                f"{type(blocks).__name__} gives its blocks only once, but every pass reads them"
                " anew: give a list, or an object whose __iter__ begins again."
            )
        self._blocks, self.names = blocks, None
        # Rows of each block, and how many there are: noted at the first reading.
        self._lengths: dict[int, int] = {}
        self._count: int | None = None
        n, entries = self._counted(iterator, getattr(blocks, "shape", None))
        self.shape = (n, self._width)
        self._row_entries = entries
        # Sparse blocks are taken as they come, and a row of them is short however wide it is.
        self._rows = 0 if self._sparse else budget.chunk_rows(self._width * self.dtype.itemsize)

    def _counted(self, iterator: Iterator[Any], shape: Any) -> tuple[int, float]:
        """Look at the first block, and count the rows unless they are known."""
        n = stored = 0
        self.reads = 0
        for number, raw in _numbered(iterator):
            block = _as_block(raw, number)
            self._lengths[number] = block.shape[0]
            if not number:
                self._width, self._raw, self._sparse = block.shape[1], raw, sparse.issparse(block)
                self.dtype = storage_dtype([block.dtype])
                self.names = _names(raw)
                _check_single_names(self.names)
                self._raw_dtype = block.dtype
            self._check(raw, block, number)
            n += block.shape[0]
            stored += block.nnz if self._sparse else block.size
            if isinstance(shape, tuple) and len(shape) == 2:
                n = int(shape[0])
                break
        else:
            self.reads, self._count = 1, len(self._lengths)
        if not n:
            raise InputError("there is no block with a row: a fit needs at least one row.")
        self._raw = None
        return n, max(1.0, stored / n) if self._sparse else float(self._width)

    def __str__(self) -> str:
        return "blocks"

    @property
    def row_entries(self) -> float:
        """Stored entries in a row, on average."""
        return self._row_entries

    def describe(self, row: int) -> str:
        """Return the row and the block that it came in."""
        at = 0
        for number, length in sorted(self._lengths.items()):
            if row < at + length:
                return f"row {row - at} of block {number}"
            at += length
        return f"row {row}"

    def read(self, numbers: Sequence[int]) -> Blocks:
        """Yield (first row, block) for all rows."""
        if not len(numbers):
            return
        checked = self._checked()
        yield from _sparse_blocks(checked, self) if self._sparse else self._merged(checked)

    def _checked(self) -> Iterator[Block]:
        number = -1
        for number, raw in _numbered(iter(self._blocks)):
            block = _as_block(raw, number)
            self._check(raw, block, number)
            length = self._lengths.setdefault(number, block.shape[0])
            if length != block.shape[0] or number == self._count:
                was = f"{length} before" if number != self._count else "was not there before"
                raise InputError(
                    f"block {number} has {counted(block.shape[0], 'row')} now, and {was}: {SAME}"
                )
            yield block
        if self._count is None:
            self._count = number + 1
        if number + 1 < self._count:
            raise InputError(
                f"there is no block {number + 1} now, and there were {self._count} before: {SAME}"
            )

    def _merged(self, blocks: Iterator[Array]) -> Blocks:
        """Yield copies of the blocks, joined and cut to the rows of a chunk."""
        start = filled = 0
        out: Array | None = None
        for block in blocks:
            at = 0
            while at < len(block):
                if out is None:
                    rows = min(self._rows, max(self.shape[0] - start, 1))
                    by_rows = block.flags.c_contiguous
                    shape = (rows, self._width) if by_rows else (self._width, rows)
                    out = np.empty(shape, dtype=self.dtype)
                    out = out if by_rows else out.T
                take = min(len(out) - filled, len(block) - at)
                out[filled : filled + take] = block[at : at + take]
                filled, at = filled + take, at + take
                if filled == len(out):
                    yield start, out
                    start, filled, out = start + filled, 0, None
        if out is not None:
            yield start, np.asarray(out[:filled])

    def _check(self, raw: Any, block: Block, number: int) -> None:
        """Raise `InputError` if a block is unlike the first."""
        if block.shape[1] != self._width:
            raise InputError(
                f"block {number} has {counted(block.shape[1], 'column')}, but block 0 has"
                f" {self._width}: all blocks need as many."
            )
        if sparse.issparse(block) != self._sparse:
            raise InputError(f"block {number} is {type(raw)}, unlike block 0: give one kind.")
        if block.dtype != self._raw_dtype:
            raise InputError(
                f"block {number} holds {block.dtype}, but block 0 {self._raw_dtype}: give all"
                " blocks with one dtype."
            )
        if _names(raw) != self.names:
            strange = sorted(set(_names(raw) or ()) ^ set(self.names or ()))
            raise InputError(
                f"block {number} has other column names than block 0, or another order"
                f"{f' (see {strange[0]!r})' if strange else ''}: name the columns of all alike."
            )


def _sparse_blocks(blocks: Iterator[Any], source: IterableSource) -> Blocks:
    start = 0
    for block in blocks:
        if block.shape[0]:
            yield start, block.astype(source.dtype, copy=True)
            start += block.shape[0]


def _numbered(blocks: Iterator[Any]) -> Iterator[tuple[int, Any]]:
    """Yield (number, block), and say of which block it is what its reader raises."""
    for number in count():
        try:
            raw = next(blocks)
        except StopIteration:
            return
        except (InputError, MemoryError):  # these say what they have to say
            raise
        except Exception as error:
            raise InputError(
                f"block {number} could not be read: {type(error).__name__}: {error}."
            ) from error
        yield number, raw


def _is_single(blocks: Any) -> bool:
    """Whether an object is rows or files by itself, and not what gives blocks of rows."""
    if isinstance(blocks, (str, bytes, PathLike, Mapping)) or sparse.issparse(blocks):
        return True
    # A generator is told what it is; so is an Arrow reader, which has a schema like a table.
    if isinstance(blocks, Iterator):
        return False
    rows = any(hasattr(blocks, name) for name in ("__array__", "__dataframe__", "schema"))
    return rows and getattr(blocks, "ndim", 2) != 3  # an array (b, m, d) gives b blocks


def _wish(blocks: Any) -> str:
    """Return the sentence on what to do with a single object."""
    kind = f"{type(blocks).__module__.partition('.')[0]}.{type(blocks).__name__}"
    if isinstance(blocks, (str, PathLike)):
        return f"ChunkedDesign takes blocks of rows: open {str(blocks)!r} by its from_dataset."
    if kind.startswith("dask"):
        return f"ChunkedDesign takes blocks of rows; got {kind}: DaskDesign takes that."
    if hasattr(blocks, "to_batches") and not hasattr(blocks, "num_rows"):
        return f"ChunkedDesign takes blocks of rows; got {kind}: open its path by from_dataset."
    if isinstance(blocks, (bytes, Mapping)):
        return f"ChunkedDesign takes blocks of rows, as arrays or frames; got {kind}."
    return f"ChunkedDesign takes blocks of rows; got a single {kind}: wrap it in a list."


def _check_single_names(names: tuple[str, ...] | None) -> None:
    twice = [name for name, times in Counter(names or ()).items() if times > 1]
    if twice:
        raise InputError(
            f"block 0 has the column {twice[0]!r} more than once: give each its own name."
        )


def _names(raw: Any) -> tuple[str, ...] | None:
    names = getattr(raw, "column_names", None)  # Arrow's columns are arrays, not names
    if names is None:
        names = getattr(raw, "columns", None)
    if names is None and hasattr(raw, "schema"):
        names = raw.schema.names
    return None if names is None else tuple(str(name) for name in names)


def _as_block(raw: Any, number: int) -> Block:
    """Return a block as an array of numbers (m, d), or as CSR."""
    if sparse.issparse(raw):
        if raw.ndim != 2:
            raise InputError(f"block {number} has shape {raw.shape}: it must be (m, d), d >= 1.")
        if raw.dtype.kind not in "fiub":
            raise InputError(f"block {number} holds {raw.dtype}: only real numbers can be used.")
        return checked_csr(raw, f"block {number}")
    if hasattr(raw, "column_names") or (hasattr(raw, "schema") and hasattr(raw, "num_rows")):
        raw = _of_arrow(raw)
    _check_unmasked(raw, number)
    try:
        array = np.asarray(raw)
        if array.dtype.kind in "USmM" or (array.dtype.kind == "O" and _has_text(array)):
            kind = "dates" if array.dtype.kind in "mM" else "texts"
            raise TypeError(f"it holds {kind}, to be encoded as numbers first")
        if array.dtype.kind not in "fiub":
            array = array.astype(
                np.float64, casting="safe" if array.dtype.kind == "c" else "unsafe"
            )
    except (TypeError, ValueError) as error:
        raise InputError(f"block {number} must hold real numbers; {error}.") from error
    if array.ndim != 2 or not array.shape[1]:
        raise InputError(f"block {number} has shape {array.shape}: it must be (m, d), d >= 1.")
    return array


def _check_unmasked(raw: Any, number: int) -> None:
    """Raise `InputError` if an entry of a masked array is masked: its mask would be lost."""
    if np.ma.isMaskedArray(raw) and np.ma.getmaskarray(raw).any():
        where = np.argwhere(np.ma.getmaskarray(raw))[0].tolist()
        raise InputError(
            f"block {number} is masked at {tuple(where)}, the first of"
            f" {counted(int(np.ma.count_masked(raw)), 'entry', 'entries')}: fill them, or drop"
            " these rows."
        )


def _has_text(array: Array) -> bool:
    return any(isinstance(value, (str, bytes)) for value in array.flat)


def _of_arrow(batch: Any) -> Array:
    """Return the columns of a record batch or table as an array (m, d)."""
    from softunit.designs.sources_arrow import is_number, number_dtype, put_numbers

    for field in batch.schema:
        if not is_number(field.type):
            raise InputError(f"column {field.name!r} holds {field.type}, no numbers: leave it out.")
    dtype = storage_dtype([number_dtype(field.type) for field in batch.schema])
    out = np.empty((len(batch.schema), batch.num_rows), dtype=dtype)
    for row, field in zip(out, batch.schema, strict=True):
        put_numbers(batch.column(field.name), row)
    return out.T
