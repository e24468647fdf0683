"""Any re-iterable of blocks as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from softunit._checks import counted
from softunit._typing import Array
from softunit.designs._memory import Budget
from softunit.designs.sources import Block, Blocks, BlockSource, storage_dtype
from softunit.errors import InputError


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
        self._blocks, self._first = blocks, -1
        self.names = None
        n, entries = self._counted(iterator, getattr(blocks, "shape", None))
        self.shape = (n, self._width)
        self._row_entries = entries
        # Sparse blocks are taken as they come, and a row of them is short however wide it is.
        self._rows = 0 if self._sparse else budget.chunk_rows(self._width * self.dtype.itemsize)

    def _counted(self, iterator: Iterator[Any], shape: Any) -> tuple[int, float]:
        """Look at the first block, and count the rows unless they are known."""
        n = stored = 0
        self.reads = 0
        for number, raw in enumerate(iterator):
            block = _as_block(raw, number)
            if not number:
                self._width, self._raw, self._sparse = block.shape[1], raw, sparse.issparse(block)
                self.dtype = storage_dtype([block.dtype])
                self.names = _names(raw)
                self._raw_dtype = block.dtype
            self._check(raw, block, number)
            n += block.shape[0]
            stored += block.nnz if self._sparse else block.size
            if isinstance(shape, tuple) and len(shape) == 2:
                n = int(shape[0])
                break
        else:
            self.reads = 1
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
        for number, raw in enumerate(self._blocks):
            length = _as_block(raw, number).shape[0]
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
        for number, raw in enumerate(self._blocks):
            block = _as_block(raw, number)
            self._check(raw, block, number)
            yield block

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
        if raw.dtype.kind not in "fiub":
            raise InputError(f"block {number} holds {raw.dtype}: only real numbers can be used.")
        return raw.tocsr()
    if hasattr(raw, "column_names") or (hasattr(raw, "schema") and hasattr(raw, "num_rows")):
        raw = _of_arrow(raw)
    try:
        array = np.asarray(raw)
        if array.dtype.kind not in "fiub":
            array = array.astype(
                np.float64, casting="safe" if array.dtype.kind == "c" else "unsafe"
            )
    except (TypeError, ValueError) as error:
        raise InputError(f"block {number} must hold real numbers; {error}.") from error
    if array.ndim != 2 or not array.shape[1]:
        raise InputError(f"block {number} has shape {array.shape}: it must be (m, d), d >= 1.")
    return array


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
