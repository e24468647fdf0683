"""Budgets of memory as people write them."""

from __future__ import annotations

import re

from softunit._checks import check_positive
from softunit.errors import InputError

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def as_bytes(memory: str | float) -> float:
    """Return a number of bytes from "500MB", "2 GB" or a number.

    Raises
    ------
    InputError
        If it is neither, or not positive.
    """
    if not isinstance(memory, str):
        return check_positive("memory", memory)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", memory.lower())
    if found is None or not float(found[1]) > 0:
        raise InputError(f"`memory` must be a size, as '500MB' or '2GB'; got {memory!r}.")
    return float(found[1]) * UNITS[found[2]]
