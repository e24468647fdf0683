"""What a file holds once it is read: named columns, or one matrix and a target."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from softunit._typing import Array
from softunit.errors import InputError
from softunit.tables.names import unknown_column
from softunit.tables.places import Places

TARGET = "y"
"""The name of the target that NPZ and svmlight files carry."""


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of equal length.

    Attributes
    ----------
    names : tuple of str
        Column names in the order of the file; the target of a matrix table comes last, as "y".
    n_rows : int
    source : str
        The file, as sentences name it.
    arrow : pyarrow.Table or None
        The columns of CSV, Parquet and Arrow files.
    matrix : ndarray or csr_array of shape (n_rows, d), or None
        The columns of NPZ and svmlight files.
    target : ndarray of shape (n_rows,) or None
        Their target.
    origin : ndarray of int, shape (n_rows,), or None
        The row of the file, from 0, that each row was made of; None where they are those of the
        file.
    places : Places or None
        Which of several files each row stands in.
    """

    names: tuple[str, ...]
    n_rows: int
    source: str = "the table"
    arrow: Any = field(default=None, repr=False)
    matrix: Any = field(default=None, repr=False)
    target: Array | None = field(default=None, repr=False)
    origin: Array | None = field(default=None, repr=False)
    places: Places | None = field(default=None, repr=False)

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Where each name stands in `names`."""
        return {name: index for index, name in enumerate(self.names)}

    @property
    def is_sparse(self) -> bool:
        """Whether the columns are those of a sparse matrix."""
        return self.matrix is not None and sparse.issparse(self.matrix)

    def rows_of_file(self, mask: Array) -> Array:
        """Return the rows of the file, from 0 and rising, that some rows were made of.

        Parameters
        ----------
        mask : ndarray of bool, shape (n_rows,)
        """
        found = np.flatnonzero(mask)
        return found if self.origin is None else np.unique(self.origin[found])

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Let sentences that are raised in the block count rows in the file that they stand in."""
        if self.places is None:
            yield
            return
        with self.places.told():
            yield

    def column(self, name: str, *, role: str = "column") -> Any:
        """Return one column: a pyarrow ChunkedArray, or an ndarray of shape (n_rows,).

        Parameters
        ----------
        name : str
        role : str, default="column"
            What the column is wanted for, as an error says it.

        Raises
        ------
        InputError
            If there is no such column; the message holds near names.
        """
        if name not in self.positions:
            raise InputError(unknown_column(name, self.names, role=role, source=self.source))
        index = self.positions[name]
        if self.arrow is not None:
            return self.arrow.column(index)
        if self.target is not None and index == len(self.names) - 1:
            return self.target
        if self.is_sparse:
            return np.asarray(self.matrix[:, [index]].toarray()).ravel()
        return self.matrix[:, index]
