"""Reading a source again and again, and seeing each time that it is what it was."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import sparse

from softunit._checks import check_finite_columns, first_bad_column
from softunit.designs._memory import Budget, shown
from softunit.designs.read_ahead import read_ahead
from softunit.designs.sources import Block, Blocks, BlockSource, fingerprint
from softunit.designs.sparse import checked_csr
from softunit.errors import InputError


class Tally:
    """What has been read so far, of a design and of its selections of columns.

    Parameters
    ----------
    stored : int
        Bytes that a reading of all rows of the design takes.
    """

    def __init__(self, stored: int) -> None:
        self.stored = stored
        self.rows = 0.0  # where fewer columns are read, by the share of their bytes


class CheckedReads:
    """Reads of one source, each block of which is checked.

    The first time that a block is read its entries must be finite, and its check sum is noted;
    every other time the check sum must be that of the first.

    Parameters
    ----------
    source : BlockSource
    budget : Budget
    tally : Tally
        Is counted up.
    """

    def __init__(self, source: BlockSource, budget: Budget, tally: Tally) -> None:
        self.source, self.budget, self.tally = source, budget, tally
        self._marks: dict[int, tuple[int, int]] = {}

    def ahead(self, numbers: Sequence[int]) -> Blocks:
        """Yield (first row, block) of some stretches, read and checked ahead in a thread."""
        return read_ahead(self._blocks(numbers))

    def _blocks(self, numbers: Sequence[int]) -> Blocks:
        """Yield the blocks of some stretches, each of them looked at.

        Raises
        ------
        InputError
            If an entry is not finite, or memory runs out.
        FileError
            If what is read is not what it was; for a source without files an InputError.
        """
        source, (n, d) = self.source, self.source.shape
        source.check_unchanged()
        stretches, share = source.stretches, source.stored_bytes / max(1, self.tally.stored)
        due = iter([stretches[number] for number in numbers])
        at = stop = 0
        try:
            for start, block in source.read(numbers):
                if at == stop:
                    at, stop = next(due, (n, n))
                end = start + block.shape[0]
                if start != at or end > stop or block.shape[1] != d:
                    raise source.error(
                        f"{source} gave rows {start} to {end} of {block.shape[1]} columns where"
                        f" rows {at} to {stop} of {d} were due: it is not what it was at first."
                    )
                self._look_at(start, block)
                self.tally.rows += (end - start) * share
                at = end
                yield start, block
                del block  # it lives on where it is used, and no longer
        except MemoryError as error:
            raise InputError(
                f"there was not enough memory to read on from {source.describe(at)}: `memory` is"
                f" {shown(self.budget.total)}; give less, or allow the process more."
            ) from error
        if at < stop or next(due, None) is not None:
            raise source.error(
                f"{source} ended after row {at} of {n}: it is not what it was at first."
            )

    def _look_at(self, start: int, block: Block) -> None:
        """Check that entries are finite the first time, and the same every other time."""
        mark, known = fingerprint(block), self._marks.get(start)
        if known is None:
            self._check_finite(start, block)
            self._marks[start] = mark
        elif known != mark:
            raise self.source.error(
                f"{self.source.described(start, start + known[0])} are not those that were read"
                " before: something changed them. Leave the data as they are, and begin again."
            )

    def _check_finite(self, start: int, block: Block) -> None:
        source = self.source
        if sparse.issparse(block):
            what = f"the rows from {source.describe(start)} on"
            block = checked_csr(block, f"the block of {what}")
            check_finite_columns(block, source.names, what=what)
            return
        found = first_bad_column(block)
        if found is not None:
            column, count, row = found
            label = repr(source.names[column]) if source.names else column
            more = "" if count == 1 else f", and in {count - 1} of the {len(block) - 1} rows beside"
            raise InputError(
                f"column {label} holds NaN, infinity or nothing in row {start + row}"
                f" ({source.describe(start + row)}){more}. Fill or drop such rows (the command"
                " line has --impute)."
            )
