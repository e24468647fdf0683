"""How the columns of a table become the columns of a design; it travels with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy import sparse

from softunit._typing import Array
from softunit.tables.column_encodings import (
    WISH,
    CategoricalColumn,
    Column,
    InteractedColumn,
    NumericColumn,
    Unknown,
    block,
)
from softunit.tables.encoding_json import decode, encode
from softunit.tables.matrices import fill_matrix, select_columns
from softunit.tables.table import Table

# One-hot columns are mostly zero: from this width on, and below this density, CSR is smaller.
_SPARSE_WIDTH = 100
_SPARSE_DENSITY = 0.2


@dataclass(frozen=True)
class Encoding:
    """How a table becomes a design.

    Attributes
    ----------
    columns : tuple of NumericColumn, CategoricalColumn and InteractedColumn
        In the order of the design; categorical ones take as many columns as they have levels.
    unknown : {"error", "other"}
        Whether a level never seen is refused, or counts as none of the levels.
    """

    columns: tuple[Column, ...]
    unknown: Unknown = "error"

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the d columns of the design, such as "age" and "colour=red"."""
        return tuple(name for column in self.columns for name in column.feature_names)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Columns that a reader should keep as text, for `read_table(..., text=...)`."""
        plain = (
            item.column if isinstance(item, InteractedColumn) else item for item in self.columns
        )
        return tuple(item.name for item in plain if isinstance(item, CategoricalColumn))

    @property
    def is_sparse(self) -> bool:
        """Whether `apply` makes a CSR matrix of a table that has one-hot columns."""
        width = len(self.feature_names)
        return width > _SPARSE_WIDTH and len(self.columns) < _SPARSE_DENSITY * width

    def apply(self, table: Table) -> Any:
        """Return the design of a table, shape (n, d).

        Parameters
        ----------
        table : Table
            Its columns are found by name; columns that the encoding does not know are ignored.

        Returns
        -------
        ndarray or csr_array of shape (n, d)
            float64 and C-contiguous; CSR where one-hot columns leave fewer than a fifth of more
            than 100 columns other than zero. The matrix of an NPZ or svmlight table is passed on
            as it is, without a copy where its columns are those of the encoding.

        Raises
        ------
        InputError
            If a column is not there or holds something else than at the fit, if values are missing
            and the encoding has no fill for them, or are infinite, or a level was never seen.
        """
        if table.matrix is not None and all(isinstance(c, NumericColumn) for c in self.columns):
            return self._matrix(table)
        if self.is_sparse:
            return self._sparse(table)
        return self._dense(table)

    def _matrix(self, table: Table) -> Any:
        """Return the matrix of an NPZ or svmlight table, its columns those of the encoding."""
        names = self.feature_names
        fills = {item.name: item.fill for item in self.columns if isinstance(item, NumericColumn)}
        return fill_matrix(select_columns(table, names), names, fills, WISH)

    def _dense(self, table: Table) -> Array:
        """Fill a C-contiguous array column by column."""
        design = np.empty((table.n_rows, len(self.feature_names)))
        start = 0
        for column in self.columns:
            stop = start + len(column.feature_names)
            part = block(column, table, self.unknown)
            design[:, start:stop] = part.toarray() if sparse.issparse(part) else part
            start = stop
        return design

    def _sparse(self, table: Table) -> Any:
        """Stack CSR blocks side by side."""
        blocks = [sparse.csr_array(block(column, table, self.unknown)) for column in self.columns]
        return sparse.hstack(blocks, format="csr")

    def to_json(self) -> dict[str, Any]:
        """Return the encoding as a dict of lists, strings and numbers that json can write."""
        return encode(self.columns, self.unknown)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the encoding that `to_json` wrote.

        Raises
        ------
        FileError
            If a key is unknown or not there, or a value has the wrong type or does not fit.
        """
        return cls(*decode(data))
