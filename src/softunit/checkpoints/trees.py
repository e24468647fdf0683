"""What a checkpoint holds as JSON and arrays: nested numbers, texts, lists and arrays."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.errors import FileError

__all__ = ["from_text", "number", "taken", "to_text"]

ARRAY, TURNED = "array", "turned"  # keys of what stands for an array


def to_text(tree: Any) -> tuple[str, dict[str, Array]]:
    """Return a tree as JSON, and its arrays by the names that stand for them there.

    An array that is met twice is held once. One that is contiguous by columns keeps that order,
    which rounding of sums over it depends on.

    Parameters
    ----------
    tree : dict
        Of None, booleans, numbers, texts, arrays, and lists, tuples and dicts of these.

    Returns
    -------
    text : str
    arrays : dict of str to ndarray
        C-contiguous.

    Raises
    ------
    TypeError
        If it holds anything else.
    """
    arrays: dict[str, Array] = {}
    names: dict[int, str] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if id(value) not in names:
                names[id(value)] = str(len(names))
                by_columns = value.flags.f_contiguous and not value.flags.c_contiguous
                arrays[names[id(value)]] = np.ascontiguousarray(value.T if by_columns else value)
            by_columns = value.flags.f_contiguous and not value.flags.c_contiguous
            return {ARRAY: names[id(value)], TURNED: by_columns}
        if isinstance(value, dict):
            return {str(key): plain(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(each) for each in value]
        if isinstance(value, np.generic):
            return value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")

    return json.dumps(plain(tree)), arrays


def from_text(text: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """Return the tree again.

    Parameters
    ----------
    text : str
    arrays : dict of str to ndarray

    Raises
    ------
    FileError
        If the text is no JSON object, or names an array that is not there.
    """

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(each) for each in value]
        if not isinstance(value, dict):
            return value
        if set(value) != {ARRAY, TURNED}:
            return {key: whole(each) for key, each in value.items()}
        found = arrays.get(value[ARRAY]) if isinstance(value[ARRAY], str) else None
        if found is None:
            raise FileError(f"it names an array {str(value[ARRAY])[:40]!r} that it does not hold")
        return found.T if value[TURNED] else found

    try:
        tree = whole(json.loads(text))
    except (ValueError, RecursionError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"its text is not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise FileError("its text is not a JSON object")
    return tree


def taken(tree: Any, key: str, kind: type | tuple[type, ...]) -> Any:
    """Return an entry of a tree that must be there and of a kind.

    Parameters
    ----------
    tree : dict
    key : str
    kind : type or tuple of type

    Raises
    ------
    FileError
        If it is missing, or of another kind.
    """
    value = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise FileError(f"its entry {key!r} is missing or not what it should be")
    return value


def number(tree: Any, key: str) -> float:
    """Return an entry of a tree that must be a number.

    Parameters
    ----------
    tree : dict
    key : str

    Raises
    ------
    FileError
        If it is missing, or no number.
    """
    try:
        return float(taken(tree, key, (int, float)))
    except OverflowError as error:
        raise FileError(f"its entry {key!r} is too large") from error
