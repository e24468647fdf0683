"""Which types the columns of several files, or of many cells, have in common."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from softunit._files import load_pyarrow
from softunit.errors import FileError, SoftunitError
from softunit.tables.names import listed, near, show

_WHOLE = re.compile(r"-?\d{1,18}")
_TRUTHS = frozenset({"true", "false", "True", "False", "TRUE", "FALSE"})


class ColumnTypeError(SoftunitError):
    """A cell of a CSV file is of another type than all cells before it.

    Attributes
    ----------
    name : str
        Of the column.
    wider : pyarrow.DataType
        What holds that cell too.
    """

    def __init__(self, name: str, wider: Any, value: str) -> None:
        super().__init__(f"column {show(name)} holds {show(value)}, which needs type {wider}")
        self.name = name
        self.wider = wider


def wider_type(kind: Any, value: str) -> Any:
    """Return the type of a CSV column that held nothing but `kind` and now holds `value`.

    Parameters
    ----------
    kind : pyarrow.DataType
    value : str
        What is not of that type.
    """
    pyarrow = load_pyarrow()
    empty = pyarrow.types.is_null(kind)
    if empty and value in _TRUTHS:
        return pyarrow.bool_()
    if empty or pyarrow.types.is_integer(kind):
        if empty and _WHOLE.fullmatch(value.strip()):
            return pyarrow.int64()
        try:
            float(value)
        except ValueError:
            return pyarrow.string()
        return pyarrow.float64()
    return pyarrow.string()


def common_types(
    paths: Sequence[str], schemas: Sequence[Mapping[str, Any]], *, lenient: bool
) -> dict[str, Any]:
    """Return the types of the columns that some files share, in the order of the first one.

    Numbers of different types become the one that holds both, text of any form becomes text, and
    a column without values takes the type of the others.

    Parameters
    ----------
    paths : sequence of str
        Of the files.
    schemas : sequence of mapping of str to pyarrow.DataType
    lenient : bool
        Whether numbers beside text become text.

    Raises
    ------
    FileError
        If a file lacks a column or has one more, or has a type that does not go with the others;
        it names file and column.
    """
    first, types = paths[0], dict(schemas[0])
    for path, schema in zip(paths[1:], schemas[1:], strict=True):
        _check_names(first, types, path, schema)
        for name, kind in schema.items():
            if kind == types[name]:
                continue
            both = _both(types[name], kind, lenient=lenient)
            if both is None:
                raise FileError(
                    f"column {show(name)} is {types[name]} in {first}, but {kind} in {path}: write"
                    " all files with one type, or leave the column out of one dataset."
                )
            types[name] = both
    return types


def _check_names(first: str, known: Mapping[str, Any], path: str, found: Mapping[str, Any]) -> None:
    """Refuse a file that lacks a column of the first one, or has one more."""
    missing = [name for name in known if name not in found]
    if missing:
        raise FileError(
            f"{path} has no column {show(missing[0])}, which {first} has.{near(missing[0], found)}"
            f" Its columns are {listed(found)}: all files of one dataset need the same."
        )
    more = [name for name in found if name not in known]
    if more:
        raise FileError(
            f"{path} has a column {show(more[0])}, which {first} lacks.{near(more[0], known)} All"
            " files of one dataset need the same columns."
        )


def _both(one: Any, other: Any, *, lenient: bool) -> Any:
    """Return the type that holds two types; None where there is none."""
    pyarrow = load_pyarrow()
    families = _family(one), _family(other)
    if "none" in families:
        return other if families[0] == "none" else one
    if families == ("number", "number"):
        schemas = [pyarrow.schema([("x", kind)]) for kind in (one, other)]
        return pyarrow.unify_schemas(schemas, promote_options="permissive").field(0).type
    if lenient or families == ("text", "text"):
        return pyarrow.string()
    return None


def _family(kind: Any) -> str:
    types = load_pyarrow().types
    if types.is_null(kind):
        return "none"
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    texts = (
        types.is_string,
        types.is_large_string,
        types.is_string_view,
        types.is_dictionary,
    )
    return "text" if any(test(kind) for test in texts) else str(kind)


def key_columns(
    keys: Sequence[Sequence[tuple[str, str]]], text: Collection[str] = ()
) -> dict[str, Any]:
    """Return the types of the columns that folders "name=value" make: whole numbers, or text.

    Parameters
    ----------
    keys : sequence of sequence of (str, str)
        Names and values, for each file.
    text : collection of str, default=()
        Columns that shall be text whatever they look like.
    """
    pyarrow = load_pyarrow()
    types = {}
    for place, (name, _) in enumerate(keys[0]):
        whole = all(_WHOLE.fullmatch(each[place][1]) for each in keys)
        types[name] = pyarrow.int64() if whole and name not in text else pyarrow.string()
    return types
