"""Predictions of more rows than fit the memory, written block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.cli.homes import Home
from softunit.cli.prediction_columns import counts_of, predicted_columns
from softunit.designs._memory import Budget
from softunit.model_file import SavedModel
from softunit.tables.block_writing import check_block_path, write_blocks
from softunit.tables.column_types import ColumnTypeError
from softunit.tables.encoded_source import row_bytes
from softunit.tables.streams import Dataset

ROWWISE = ("classifier", "ordinal", "exp", "cosh", "sinh")
"""Problems whose predictions of a row do not depend on other rows."""


@dataclass(frozen=True)
class Predicted:
    """What is known of predictions that have been written.

    Attributes
    ----------
    rows : int
    predicted : int
        Rows, or choice sets, that something was predicted for.
    counts : dict of str to int
        How often each class was predicted, most first.
    """

    rows: int
    predicted: int
    counts: dict[str, int] = field(default_factory=dict)


def predict_blocks(
    model: SavedModel,
    data: Sequence[str],
    out: Path,
    home: Home,
    *,
    format: str | None = None,
    out_format: str | None = None,
) -> Predicted:
    """Predict a dataset block by block into a file.

    Parameters
    ----------
    model : SavedModel
        Of a problem in `ROWWISE`.
    data : sequence of str
    out : Path
    home : Home
        With a budget.
    format, out_format : str or None
        Of the data, and of `out`.

    Raises
    ------
    InputError
        If a file or a value does not go with the model; nothing is written then.
    """
    check_block_path(out, format=out_format)
    dataset = Dataset.open(data, format=format, text=model.encoding.text_columns)
    head = dataset.head()
    for name in _needed(model):
        head.column(name, role="which the model needs")
    classes = len(np.atleast_1d(getattr(model.estimator, "classes_", ())))
    assert home.budget is not None
    rows = Budget(home.budget).chunk_rows(row_bytes(model.encoding) + 32 * max(1, classes))
    while True:
        counts: Counter[str] = Counter()
        try:
            written = write_blocks(out, _blocks(model, dataset, rows, counts), format=out_format)
        except ColumnTypeError as found:  # nothing has been written: begin again
            dataset = dataset.widened(found)
            continue
        return Predicted(written, written, dict(counts.most_common()))


def _blocks(
    model: SavedModel, dataset: Dataset, rows: int, counts: Counter[str]
) -> Iterator[dict[str, Array]]:
    for piece in dataset.pieces(_needed(model), rows=rows):
        with piece.told():
            columns = predicted_columns(model, piece.table)
        counts.update(counts_of(model, columns))
        yield columns


def _needed(model: SavedModel) -> list[str]:
    """Return the columns that a prediction takes."""
    named: list[Any] = [model.offset, model.shift]
    return [*(c.name for c in model.encoding.columns), *(name for name in named if name)]
