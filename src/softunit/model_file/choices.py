"""How the table of a model of choice holds its sets, as JSON and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from softunit.errors import FileError, InputError
from softunit.model_file import checks
from softunit.tables import WideLayout
from softunit.tables.names import show

_WIDE = ("alternatives", "attributes", "availability", "pattern", "shared")
_MOST = 1_000_000  # names made of a few bytes each must not be billions


@dataclass(frozen=True)
class ChoiceTable:
    """Which columns tell the sets of a table of choices, and their alternatives.

    Attributes
    ----------
    groups : str
        The column with the set of each row.
    alternatives : str or None
        The column that names the alternative of each row.
    wide : WideLayout or None
        How a wide table becomes a long one with these columns; None where the table is long.
    """

    groups: str
    alternatives: str | None = None
    wide: WideLayout | None = None


def encode_choice(choice: ChoiceTable | None) -> dict[str, Any] | None:
    """Return it as texts, lists and dicts.

    Parameters
    ----------
    choice : ChoiceTable or None
    """
    if choice is None:
        return None
    wide = choice.wide
    return {
        "groups": choice.groups,
        "alternatives": choice.alternatives,
        "wide": None
        if wide is None
        else {
            "alternatives": list(wide.alternatives),
            "attributes": list(wide.attributes),
            "shared": list(wide.shared),
            "pattern": wide.pattern,
            "availability": wide.availability,
        },
    }


def decode_choice(data: Any, problem: str) -> ChoiceTable | None:
    """Return what `encode_choice` wrote, every value checked.

    Parameters
    ----------
    data : object
        As the header has it.
    problem : str

    Raises
    ------
    FileError
        If it does not go with the problem, or a value has the wrong type.
    """
    if (data is not None) != (problem == "choice"):
        raise FileError(f"`choice` does not go with the problem {problem}")
    if data is None:
        return None
    checks.mapping(data, ("alternatives", "groups", "wide"), "`choice`")
    return ChoiceTable(
        groups=checks.text(data["groups"], "`groups`"),
        alternatives=checks.text_or_none(data["alternatives"], "`alternatives`"),
        wide=_decode_wide(data["wide"]),
    )


def _decode_wide(data: Any) -> WideLayout | None:
    if data is None:
        return None
    checks.mapping(data, _WIDE, "`wide`")
    parts = {name: _texts(data[name], name) for name in ("alternatives", "attributes", "shared")}
    if len(parts["alternatives"]) < 2:
        raise FileError(f"`alternatives` must be two or more; got {show(data['alternatives'])}")
    if len(parts["alternatives"]) * len(parts["attributes"]) > _MOST:
        raise FileError("`wide` claims more than a million columns")
    try:
        return WideLayout(
            **parts,
            pattern=checks.text(data["pattern"], "`pattern`"),
            availability=checks.text_or_none(data["availability"], "`availability`"),
        )
    except InputError as error:
        raise FileError(f"`wide` is wrong: {str(error).rstrip('.')}") from error


def _texts(value: Any, label: str) -> tuple[str, ...]:
    """Return a list of different texts."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise FileError(f"`{label}` must be a list of texts; got {show(value)}")
    if len(set(value)) < len(value):
        raise FileError(f"`{label}` holds a text twice; got {show(value)}")
    return tuple(value)
