"""Where the rows of several files stand: sentences count them in their own file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from softunit._typing import Array
from softunit.errors import FileError, InputError

# How sentences about tables name a row, from 1, where they do not name the file.
_ROW = re.compile(r"\bdata row (\d+)(?![\d.,]*\d| of )")

FAR = 1 << 62
"""A row beyond all files."""


@dataclass(frozen=True, eq=False)
class Places:
    """Which file each row of a dataset stands in.

    Attributes
    ----------
    files : tuple of str
    starts : ndarray of int, shape (number of files,)
        The row of the dataset, from 0, that each file begins with.
    """

    files: tuple[str, ...]
    starts: Array

    @classmethod
    def within(cls, file: str, *, several: bool) -> Places:
        """Return the places of the rows of one file.

        Parameters
        ----------
        file : str
        several : bool
            Whether sentences must name it, as it is one of several.
        """
        if not several:
            return cls((file,), np.zeros(1, dtype=np.int64))
        return cls((file, ""), np.array([0, FAR]))

    def place(self, row: int) -> tuple[str, int]:
        """Return the file that a row of the dataset stands in, and its row there, from 0.

        Parameters
        ----------
        row : int
            From 0.
        """
        index = max(int(np.searchsorted(self.starts, row, side="right")) - 1, 0)
        return self.files[index], row - int(self.starts[index])

    def words(self, row: int) -> str:
        """Return e.g. "data row 5 of part-2.parquet" for a row of the dataset, from 0.

        Parameters
        ----------
        row : int
        """
        file, inside = self.place(row)
        return f"data row {inside + 1} of {file}"

    def in_files(self, text: str, *, shift: int = 0) -> str:
        """Return a sentence whose data rows are counted in the files that they stand in.

        Parameters
        ----------
        text : str
            Its rows are those of the dataset, from 1.
        shift : int, default 0
            What to add to them first: where the block begins that the sentence is about.
        """
        if len(self.files) == 1 and not shift:
            return text

        def placed(found: re.Match[str]) -> str:
            row = int(found[1]) - 1 + shift
            return f"data row {row + 1}" if len(self.files) == 1 else self.words(row)

        return _ROW.sub(placed, text)

    @contextlib.contextmanager
    def told(self, shift: int = 0) -> Iterator[None]:
        """Let sentences that are raised in the block count rows in their own file.

        Parameters
        ----------
        shift : int, default 0
            As in `in_files`.
        """
        try:
            yield
        except FileError:
            raise  # it names its file already
        except InputError as error:
            text = str(error)
            placed = self.in_files(text, shift=shift)
            if placed == text:
                raise
            raise type(error)(placed) from error
