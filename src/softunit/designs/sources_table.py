"""Parquet and Arrow files as one source of blocks: row groups are joined, or cut, to size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import near_names
from softunit._typing import Array
from softunit.designs._memory import Budget, shown
from softunit.designs.sources import Block, Blocks, BlockSource, chosen, storage_dtype
from softunit.designs.sources_arrow import TableFile, is_number, number_dtype, put_numbers
from softunit.designs.sources_columns import gathered_column
from softunit.designs.sources_files import listed, reading
from softunit.designs.sources_keys import check_told, folder_columns
from softunit.errors import FileError, InputError

INDEX = "__index_level_"  # what pandas calls the row index when it writes one as a column


@dataclass(frozen=True)
class Stretch:
    """Row groups that are read together, and the rows of the blocks that they make.

    Attributes
    ----------
    start, stop : int
        Its rows among all.
    parts : list of (int, int, int)
        File, first row group, row group after the last.
    rows : int
        Of a block, the last of which may be shorter.
    """

    start: int
    stop: int
    parts: list[tuple[int, int, int]]
    rows: int


class TableSource(BlockSource):
    """Columns of Parquet or Arrow files, one file after the other.

    Parameters
    ----------
    files : sequence of TableFile
        With the same columns, in whatever order.
    columns : sequence of str or None
        None: all.
    budget : Budget

    Raises
    ------
    FileError
        If there is no row, or a file lacks a column or holds it in another type.
    InputError
        If a column is unknown or holds no numbers.
    """

    def __init__(
        self, files: Sequence[TableFile], columns: Sequence[str] | None, budget: Budget
    ) -> None:
        self.files, self.budget = list(files), budget
        self._offsets = np.cumsum([0, *(sum(table.groups) for table in self.files)])
        n = int(self._offsets[-1])
        what = listed([table.file for table in self.files])
        if not n:
            raise FileError(f"{what} holds no rows: a fit needs at least one.")
        keys = folder_columns([table.file for table in self.files])
        own = [name for name in self.files[0].names if not name.startswith(INDEX)]
        every = [*own, *(name for name in keys if name not in own)]
        self.names = tuple(every[j] for j in chosen(columns, every, what))
        self._keys = {name: keys[name] for name in self.names if name not in own}
        self._own = [name for name in self.names if name in own]
        types = {name: _checked_type(self.files, name) for name in self._own}
        _check_numbers(types, self._keys, what)
        kinds = [number_dtype(kind) for kind in types.values()]
        self.dtype = storage_dtype([*kinds, *(np.asarray(v).dtype for v in self._keys.values())])
        self.shape = (n, len(self.names))
        self._plan = _planned(self.files, self._chunk_rows())
        self._verified: set[int] = set()

    def _chunk_rows(self) -> int:
        held = max(table.held_bytes(self._own) for table in self.files)
        if held > self.budget.total / 2:
            raise InputError(
                f"`memory` is {shown(self.budget.total)}, but reading {len(self._own)} columns of"
                f" Parquet takes {shown(held)} for their pages: give at least {shown(2 * held)},"
                " use fewer columns, or write smaller row groups."
            )
        return self.budget.chunk_rows(self.shape[1] * self.dtype.itemsize)

    def __str__(self) -> str:
        return listed([table.file for table in self.files])

    @property
    def stretches(self) -> Sequence[tuple[int, int]]:
        """Row groups, joined where they are small."""
        return [(stretch.start, stretch.stop) for stretch in self._plan]

    @property
    def stored_bytes(self) -> int:
        """Bytes in the files of the columns used."""
        return int(sum(table.stored_bytes(self._own) for table in self.files))

    def describe(self, row: int) -> str:
        """Return the row's number in its file."""
        number = int(np.searchsorted(self._offsets, row, side="right")) - 1
        return f"row {row - self._offsets[number]} of {self.files[number].file}"

    def check_unchanged(self) -> None:
        """Raise `FileError` if a file is gone or another."""
        for table in self.files:
            table.file.check_unchanged()

    def columns(self, index: npt.NDArray[np.integer]) -> BlockSource:
        """Return a source that reads these columns alone."""
        names = self.names or ()
        return TableSource(self.files, [names[j] for j in index], self.budget)

    def read_column(self, name: str) -> Array:
        """Return one column of the files, used or not, in the order of the rows, (n,)."""
        own = self.files[0].names
        paths = [table.file for table in self.files]
        keys = folder_columns(paths)
        if name not in own and name not in keys:
            every = [*own, *keys]
            raise InputError(f"{self} has no column {name!r}.{near_names(name, every)}")
        if name not in own:
            check_told(name, keys[name], paths)
        self.check_unchanged()
        texts = []
        if name in own and not is_number(_checked_type(self.files, name)):
            texts.append(name)
        rows = self.budget.chunk_rows(64)

        def pieces() -> Iterator[Any]:
            with _Opened(self.files, texts) as opened:
                for number, table in enumerate(self.files):
                    if name not in own:
                        value = np.asarray(keys[name][number], dtype=keys[name].dtype)
                        yield number, np.broadcast_to(value, (sum(table.groups),))
                        continue
                    reader = opened.reader(number, verify=True)
                    for batch in reader.batches(range(len(table.groups)), [name], rows):
                        yield number, batch.column(0)

        return gathered_column(pieces(), self._offsets, name, self.files)

    def read(self, numbers: Sequence[int]) -> Blocks:
        """Yield (first row, block) for all rows of some stretches."""
        with _Opened(self.files) as opened:
            for number in numbers:
                stretch = self._plan[number]
                # Once is enough: what is read later is compared with what was read then.
                batches = self._batches(stretch, opened, verify=number not in self._verified)
                yield from self._filled(stretch, batches)
                self._verified.add(number)

    def _batches(
        self, stretch: Stretch, opened: _Opened, *, verify: bool
    ) -> Iterator[tuple[int, Any]]:
        """Yield (file, batch) for the rows of a stretch, no fewer and no more than promised."""
        for number, first, last in stretch.parts:
            groups = self.files[number].groups
            left = sum(groups[first:last])
            reader = opened.reader(number, verify=verify)
            for batch in reader.batches(range(first, last), self._own, stretch.rows):
                left -= batch.num_rows
                if left < 0:
                    raise self._other_rows(number, "holds more rows than it promised")
                yield number, batch
            if left:
                row = sum(groups[:last]) - left
                raise self._other_rows(number, f"ends before row {row}, which it promised to hold")

    def _other_rows(self, number: int, fault: str) -> FileError:
        """Return the error of a file without the rows that it should have."""
        file = self.files[number].file
        file.check_unchanged()  # it may be one that was replaced
        return FileError(f"{file} {fault}: it is damaged, or was cut off.")

    def _filled(self, stretch: Stretch, batches: Iterator[tuple[int, Any]]) -> Blocks:
        """Yield blocks of the rows that a stretch has, filled from batches as they come."""
        number, batch, at = 0, None, 0
        for start in range(stretch.start, stretch.stop, stretch.rows):
            size, filled = min(stretch.rows, stretch.stop - start), 0
            out = np.empty((self.shape[1], size), dtype=self.dtype)  # column after column
            while filled < size:
                if batch is None or at == batch.num_rows:
                    batch = None  # its memory is free before the next is read
                    number, batch = next(batches)
                    at = 0
                take = min(size - filled, batch.num_rows - at)
                self._put(out[:, filled : filled + take], number, batch.slice(at, take))
                filled, at = filled + take, at + take
            yield start, out.T
        next(batches, None)  # what comes behind is looked at too

    def _put(self, out: Block, number: int, batch: Any) -> None:
        """Write the columns of a batch into rows of an array."""
        there = {name: j for j, name in enumerate(batch.schema.names)}
        with reading(self.files[number].file):
            for row, name in zip(out, self.names or (), strict=True):
                if name in self._keys:
                    row[:] = self._keys[name][number]
                else:
                    put_numbers(batch.column(there[name]), row)


class _Opened:
    """The one file that is open; it is looked at again when it is closed."""

    def __init__(self, files: Sequence[TableFile], texts: Sequence[str] = ()) -> None:
        self._files, self._texts = files, texts
        self._now: tuple[int, bool] | None = None
        self._reader: Any = None

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, kind: Any, *rest: object) -> None:
        self._close(check=kind is None)

    def reader(self, number: int, *, verify: bool) -> Any:
        """Return an open reader of a file."""
        if self._now != (number, verify):
            self._close(check=True)
            self._reader = self._files[number].opened(verify=verify, texts=self._texts)
            self._now = number, verify
        return self._reader

    def _close(self, *, check: bool) -> None:
        if self._now is None:
            return
        self._reader.close()
        number, self._now = self._now[0], None
        if check:
            self._files[number].file.check_unchanged()


def _planned(files: Sequence[TableFile], rows: int) -> list[Stretch]:
    """Return stretches: small row groups joined up to some rows, larger ones alone and cut."""
    plan: list[Stretch] = []
    parts: list[tuple[int, int, int]] = []
    start = stop = 0

    def close() -> None:
        if parts:
            blocks = -(-(stop - start) // rows)
            plan.append(Stretch(start, stop, parts.copy(), -(-(stop - start) // blocks)))
            parts.clear()

    for number, table in enumerate(files):
        for group, length in enumerate(table.groups):
            if not length:
                continue
            if stop - start + length > rows:
                close()
                start = stop
            if parts and parts[-1][0] == number and parts[-1][2] == group:
                parts[-1] = (number, parts[-1][1], group + 1)
            else:
                parts.append((number, group, group + 1))
            stop += length
    close()
    return plan


def _checked_type(files: Sequence[TableFile], name: str) -> Any:
    """Return the type of a column, the same in all files."""
    first = files[0]
    for table in files:
        if table.names.count(name) != 1:
            fault = "lacks" if name not in table.names else "has more than once"
            raise FileError(
                f"{table.file} {fault} the column {name!r}, which {first.file} has: all files need"
                " the same columns."
            )
        kind = table.schema.field(name).type
        if kind != first.schema.field(name).type:
            raise FileError(
                f"column {name!r} is {kind} in {table.file}, but"
                f" {first.schema.field(name).type} in {first.file}: write all files with the same"
                " types."
            )
    return first.schema.field(name).type


def _check_numbers(types: dict[str, Any], keys: dict[str, Any], what: str) -> None:
    kinds = {name: f"{kind}" for name, kind in types.items() if not is_number(kind)}
    kinds |= {name: "text" for name, values in keys.items() if values.dtype == object}
    if kinds:
        name = next(iter(kinds))
        raise InputError(
            f"column {name!r} of {what} holds no numbers but {kinds[name]}: pass `columns` with the"
            " names of those that do, or encode it first (the command line does)."
        )
