"""One pass over a dataset: its encoding, its labels, its weights, and where its rows stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from softunit._typing import Array, Vector
from softunit.tables.column_encodings import Unknown
from softunit.tables.column_types import ColumnTypeError
from softunit.tables.columns import column_kind
from softunit.tables.encoding import Encoding
from softunit.tables.fills import fill_of
from softunit.tables.fitting import Impute, feature_columns
from softunit.tables.label_tally import LabelTally
from softunit.tables.places import FAR, Places
from softunit.tables.streams import Dataset
from softunit.tables.tallies import NumberTally, TextTally, ValueTally
from softunit.tables.targets import checked_numbers, checked_weights


@dataclass(frozen=True, eq=False)
class Scan:
    """What one pass over a dataset found.

    Attributes
    ----------
    dataset : Dataset
        With the types that its cells turned out to need.
    encoding : Encoding
    n_rows : int
    lengths : tuple of int
        Rows of each file.
    classes : ndarray of shape (K,)
        Labels of the target in sorted order.
    codes : ndarray of uint8 or uint16, shape (n,)
        Which label each row has.
    values : dict of str to ndarray of shape (n,)
        Weights and offset, by their role.
    notes : tuple of str
        What is odd about columns, as sentences.
    """

    dataset: Dataset
    encoding: Encoding
    n_rows: int
    lengths: tuple[int, ...]
    classes: Array = field(repr=False)
    codes: Array = field(repr=False)
    values: dict[str, Vector] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def places(self) -> Places:
        """Which file each row stands in."""
        return self.dataset.places(self.lengths)


def scan(
    dataset: Dataset,
    *,
    target: str,
    drop: Collection[str] = (),
    roles: Mapping[str, str] | None = None,
    impute: Impute | None = None,
    unknown: Unknown = "error",
) -> Scan:
    """Learn in one pass over the rows what `fit_encoding` learns of a table in memory.

    1. Levels, missing and infinite values, means, labels and the columns with a role are gathered
    together.  2. A median that the first pass has only bracketed takes one more pass.  3. Where a
    cell of a CSV file needs another type than its column had, the pass begins again.

    Parameters
    ----------
    dataset : Dataset
    target : str
        A column of labels.
    drop, impute, unknown
        As in `fit_encoding`.
    roles : mapping of str to str, default=None
        Columns that are kept as numbers, as {"weights": "w", "offset": "o"}.

    Returns
    -------
    Scan
        Its encoding is that of `fit_encoding` on the same rows; means differ by rounding.

    Raises
    ------
    InputError
        As `fit_encoding`, `read_target` and `read_weights`; rows are counted in their own file.
    """
    table, named = dataset.head(), dict(roles or {})
    names = feature_columns(
        table, target=target, drop=drop, roles=named, impute=impute, unknown=unknown
    )
    # What is no column of labels or numbers is refused before any row is read.
    kinds = {name: column_kind(table.column(name), name) for name in (target, *names)}
    while True:
        try:
            return _scanned(dataset, kinds, target, named, impute, unknown)
        except ColumnTypeError as found:
            dataset = dataset.widened(found)
            kinds[found.name] = column_kind(dataset.head().column(found.name), found.name)


def scan_known(
    dataset: Dataset,
    encoding: Encoding,
    *,
    target: str,
    classes: Array,
    roles: Mapping[str, str] | None = None,
) -> Scan:
    """Read labels, weights and an offset for a model that is fitted already, in one pass.

    Parameters
    ----------
    dataset : Dataset
    encoding : Encoding
        Of the model.
    target : str
    classes : ndarray of shape (K,)
        The labels that the model knows.
    roles : mapping of str to str, default=None
        As in `scan`.

    Raises
    ------
    InputError
        If a column is not there, or a label is not among the classes.
    """
    named = dict(roles or {})
    for role, name in [("target", target), *named.items()]:
        dataset.head().column(name, role=role)
    while True:
        labels = LabelTally(target, classes)
        values = [ValueTally(name, role) for role, name in named.items()]
        try:
            lengths = _gather(dataset, [labels, *values])
            break
        except ColumnTypeError as found:
            dataset = dataset.widened(found)
    return _told(dataset, encoding, lengths, labels, values)


def _scanned(
    dataset: Dataset,
    kinds: Mapping[str, str],
    target: str,
    named: Mapping[str, str],
    impute: Impute | None,
    unknown: Unknown,
) -> Scan:
    """Make the pass with the types that are known so far."""
    columns: list[NumberTally | TextTally] = []
    for name, kind in kinds.items():
        if name == target:
            continue
        if kind in ("text", "dictionary"):
            columns.append(TextTally(name, imputed=impute is not None))
        else:
            fill = None if impute is None else fill_of(impute, name, len(kinds))
            columns.append(NumberTally(name, fill))
    labels = LabelTally(target)
    values = [ValueTally(name, role) for role, name in named.items()]
    lengths = _gather(dataset, [labels, *columns, *values])
    with dataset.places(lengths).told():
        classes, codes = labels.labels()
        for column in columns:
            column.check()
        encoding = Encoding(_encoded(dataset, columns), unknown)
        notes = _notes(columns)
        kept = _checked(values)
    notes = tuple(dataset.places(lengths).in_files(note) for note in notes)
    return Scan(dataset, encoding, sum(lengths), lengths, classes, codes, kept, notes)


def _told(
    dataset: Dataset,
    encoding: Encoding,
    lengths: tuple[int, ...],
    labels: LabelTally,
    values: list[ValueTally],
) -> Scan:
    with dataset.places(lengths).told():
        classes, codes = labels.labels()
        kept = _checked(values)
    return Scan(dataset, encoding, sum(lengths), lengths, classes, codes, kept)


def _gather(dataset: Dataset, tallies: list[Any]) -> tuple[int, ...]:
    """Let all tallies see all rows; return how many rows each file has."""
    lengths = [0] * len(dataset.files)
    for piece in dataset.pieces({tally.name for tally in tallies}):
        # Rows of sentences on the way count from the beginning of the dataset.
        reached = [*lengths[: piece.file], FAR, *[0] * (len(lengths) - piece.file - 1)]
        with dataset.places(reached).told():
            for tally in tallies:
                tally.add(piece.table, piece.start)
        lengths[piece.file] += piece.table.n_rows
    return tuple(lengths)


def _encoded(dataset: Dataset, tallies: Iterable[NumberTally | TextTally]) -> tuple[Any, ...]:
    """Return the encoding of each column; fills that ask for it see their column again."""
    tallies = list(tallies)
    found = [tally.column() for tally in tallies]
    while None in found:
        waiting = [
            tally
            for tally, column in zip(tallies, found, strict=True)
            if column is None and isinstance(tally, NumberTally)
        ]
        for piece in dataset.pieces({tally.name for tally in waiting}):
            for tally in waiting:
                tally.add_again(piece.table)
        found = [
            tally.column() if column is None else column
            for tally, column in zip(tallies, found, strict=True)
        ]
    return tuple(found)


def _notes(tallies: Iterable[NumberTally | TextTally]) -> tuple[str, ...]:
    texts = [tally for tally in tallies if isinstance(tally, TextTally)]
    found = [tally.dirt() for tally in texts]
    return tuple(f"{sentence} It was encoded as text." for sentence in found if sentence)


def _checked(values: Iterable[ValueTally]) -> dict[str, Vector]:
    kept = {}
    for tally in values:
        column = checked_numbers(tally.values(), tally.name)
        kept[tally.role] = (
            checked_weights(column, tally.name) if tally.role == "weights" else column
        )
    return kept
