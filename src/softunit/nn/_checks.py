"""Checks of settings, with sentences: numbers, counts and switches."""

from __future__ import annotations

import math
import numbers

from softunit.errors import InputError


def check_number(
    name: str, value: object, *, above: float | None = None, least: float | None = None
) -> float:
    """Return a finite number as a float.

    Raises
    ------
    InputError
        If it is no real number (a bool is none), not finite, not above `above` or below `least`.
    """
    wish = "a finite number"
    if above is not None:
        wish += f" above {above:g}"
    if least is not None:
        wish += f" of at least {least:g}"
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not _finite(value):
        raise InputError(f"`{name}` must be {wish}; got {value!r}.")
    number = float(value)  # type: ignore[arg-type]
    if (above is not None and number <= above) or (least is not None and number < least):
        raise InputError(f"`{name}` must be {wish}; got {value!r}.")
    return number


def _finite(value: object) -> bool:
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:
        return False


def check_count(name: str, value: object, least: int = 1) -> int:
    """Return an integer, of Python or NumPy, of at least `least`.

    Raises
    ------
    InputError
        If it is no integer (a bool is none), or smaller.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or int(value) < least:  # type: ignore[call-overload]
        raise InputError(f"`{name}` must be an integer of at least {least}; got {value!r}.")
    return int(value)  # type: ignore[call-overload, no-any-return]


def check_switch(name: str, value: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise InputError(f"`{name}` must be True or False; got {value!r}.")
