"""Reading files into designs and targets, and writing predictions."""

from softunit.tables.column_encodings import CategoricalColumn, InteractedColumn, NumericColumn
from softunit.tables.dirty_numbers import notes_on_numbers
from softunit.tables.encoding import Encoding
from softunit.tables.fitting import fit_encoding
from softunit.tables.interactions import with_contrasts, with_interactions
from softunit.tables.reading import read_table, table_format
from softunit.tables.several import read_tables
from softunit.tables.table import Table
from softunit.tables.targets import (
    read_chosen,
    read_labels,
    read_numeric,
    read_target,
    read_weights,
)
from softunit.tables.wide import long_from_wide
from softunit.tables.wide_layout import WideLayout, wide_layout
from softunit.tables.writing import check_table_path, write_table

__all__ = [
    "CategoricalColumn",
    "Encoding",
    "InteractedColumn",
    "NumericColumn",
    "Table",
    "WideLayout",
    "check_table_path",
    "fit_encoding",
    "long_from_wide",
    "notes_on_numbers",
    "read_chosen",
    "read_labels",
    "read_numeric",
    "read_table",
    "read_tables",
    "read_target",
    "read_weights",
    "table_format",
    "wide_layout",
    "with_contrasts",
    "with_interactions",
    "write_table",
]
