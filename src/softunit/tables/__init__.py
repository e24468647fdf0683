"""Reading files into designs and targets, and writing predictions."""

from softunit.tables.column_encodings import CategoricalColumn, NumericColumn
from softunit.tables.dirty_numbers import notes_on_numbers
from softunit.tables.encoding import Encoding
from softunit.tables.fitting import fit_encoding
from softunit.tables.reading import read_table, table_format
from softunit.tables.table import Table
from softunit.tables.targets import read_numeric, read_target, read_weights
from softunit.tables.writing import check_table_path, write_table

__all__ = [
    "CategoricalColumn",
    "Encoding",
    "NumericColumn",
    "Table",
    "check_table_path",
    "fit_encoding",
    "notes_on_numbers",
    "read_numeric",
    "read_table",
    "read_target",
    "read_weights",
    "table_format",
    "write_table",
]
