"""How one column of a table becomes columns of a design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy import sparse
from sklearn.preprocessing import OneHotEncoder

from softunit._files import load_pyarrow
from softunit._typing import Array, Vector
from softunit.errors import InputError
from softunit.tables.columns import (
    as_numbers,
    missing_rows,
    refuse_infinite,
    refuse_missing,
    text_codes,
)
from softunit.tables.names import listed, rows, show
from softunit.tables.table import Table
from softunit.tables.targets import read_labels

Unknown: TypeAlias = Literal["error", "other"]

WISH = "fill them, drop those rows, or fit the model with --impute mean|median|most-frequent"
"""What a sentence about missing values asks for."""

FINITE = "replace them by finite numbers, drop those rows, or fit the model without the column"
"""What a sentence about infinite values asks for, where the model is there already."""


@dataclass(frozen=True)
class NumericColumn:
    """A column of numbers.

    Attributes
    ----------
    name : str
    fill : float or None
        What stands in for a missing value; None refuses them.
    """

    name: str
    fill: float | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The name itself."""
        return (self.name,)

    def values(self, table: Table) -> Vector:
        """Return the column of `table`, shape (n,), filled and finite."""
        values = as_numbers(table.column(self.name, role="which the model needs"), self.name)
        refuse_infinite(values, self.name, FINITE)
        missing = missing_rows(values)
        if self.fill is None:
            refuse_missing(missing, self.name, WISH)
        elif missing.any():
            values = np.where(missing, self.fill, values)
        return values


@dataclass(frozen=True)
class CategoricalColumn:
    """A column of labels, one column of the design for each level.

    Attributes
    ----------
    name : str
    levels : tuple of str
        Sorted.
    fill : str or None
        The level that stands in for a missing value; None refuses them.
    contrast : bool
        Whether the first level has no column, so that the others are told apart from it: columns
        of all levels sum to one, which models with an intercept of their own cannot identify.
    """

    name: str
    levels: tuple[str, ...]
    fill: str | None = None
    contrast: bool = False

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each level, such as "colour=red"; without the first of a contrast."""
        return tuple(f"{self.name}={level}" for level in self.levels[int(self.contrast) :])

    def codes(self, table: Table, unknown: Unknown) -> Array:
        """Return which level each row of `table` has, shape (n,); -1 for a level never seen."""
        import pyarrow.compute as pc

        pyarrow = load_pyarrow()
        texts, held = text_codes(table.column(self.name, role="which the model needs"), self.name)
        if self.fill is None:
            refuse_missing(held < 0, self.name, WISH)
        # The fill stands behind all texts: a missing value has the code -1.
        texts = pyarrow.concat_arrays([texts, pyarrow.array([self.fill], pyarrow.string())])
        found = pc.index_in(texts, value_set=pyarrow.array(self.levels, pyarrow.string()))
        codes = np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False))[held]
        if unknown == "error":
            self._refuse_unseen(texts, held, codes < 0, table)
        return codes

    def _refuse_unseen(self, texts: Any, held: Array, unseen: Array, table: Table) -> None:
        """Raise InputError with the levels, count and first row if any level was never seen."""
        if unseen.any():
            at = table.rows_of_file(unseen)
            values = sorted({texts[int(code)].as_py() for code in np.unique(held[unseen])})
            found = rows(len(at), int(at[0]), "row")
            raise InputError(
                f"Column {show(self.name)} holds {listed(values, 5)}, never seen when the model"
                f" was fitted ({found}). Its levels are {listed(self.levels, 10)}. Correct the"
                ' table, or let unseen levels count as none of them with unknown="other"'
                " (--unknown other)."
            )

    def one_hot(self, table: Table, unknown: Unknown) -> Any:
        """Return the CSR matrix of shape (n, levels) with at most a single 1 in each row."""
        # The encoder gets codes, not strings: a million strings would become Python objects.
        categories = [np.arange(len(self.levels))]
        encoder = OneHotEncoder(categories=categories, handle_unknown="ignore")
        codes = self.codes(table, unknown)[:, None]
        encoded = encoder.fit(codes[:1] * 0).transform(codes)
        return encoded[:, 1:] if self.contrast else encoded


@dataclass(frozen=True)
class InteractedColumn:
    """A column with coefficients of its own for each alternative of a choice.

    Attributes
    ----------
    column : NumericColumn or CategoricalColumn
    by : str
        The column that names the alternative of each row.
    levels : tuple of str
        The alternatives that have coefficients; in the rows of others there are zeros.
    """

    column: NumericColumn | CategoricalColumn
    by: str
    levels: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the column."""
        return self.column.name

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each alternative and feature, such as "income:car"."""
        own = self.column.feature_names
        return tuple(f"{name}:{level}" for level in self.levels for name in own)

    def block(self, table: Table, unknown: Unknown) -> Any:
        """Return the CSR array of shape (n, width): a row has values for its alternative only."""
        labels = read_labels(table, self.by, role="which names the alternatives")
        found, places = np.unique(labels, return_inverse=True)
        order = {level: place for place, level in enumerate(self.levels)}
        codes = np.array([order.get(str(each), -1) for each in found.tolist()])[places.ravel()]
        own = sparse.coo_array(_block(self.column, table, unknown))
        at_rows, at_columns = own.coords
        here = codes[at_rows] >= 0
        at = (at_rows[here], codes[at_rows[here]] * own.shape[1] + at_columns[here])
        shape = (table.n_rows, own.shape[1] * len(self.levels))
        return sparse.csr_array((own.data[here], at), shape=shape)


def _block(column: NumericColumn | CategoricalColumn, table: Table, unknown: Unknown) -> Any:
    """Return the columns of the design that one column makes."""
    if isinstance(column, NumericColumn):
        return column.values(table)[:, None]
    return column.one_hot(table, unknown)


def block(column: Column, table: Table, unknown: Unknown) -> Any:
    """Return what a column of a table makes of a design, dense or CSR, shape (n, width)."""
    if isinstance(column, InteractedColumn):
        return column.block(table, unknown)
    return _block(column, table, unknown)


Column: TypeAlias = NumericColumn | CategoricalColumn | InteractedColumn
