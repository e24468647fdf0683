"""How much memory a design on disk may take, and how it is shared out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from softunit.errors import InputError

UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
    "TIB": 1 << 40,
}
"""Bytes of each unit that a size may be given in."""

LEAST = 8_000_000  # bytes below which blocks would be too short to be worth reading
CHUNK_SHARE = 1 / 40  # of the budget for one chunk: some five of them live at once
CHUNK_LEAST, CHUNK_MOST = 1 << 20, 24 << 20  # longer ones are no faster (measured), only larger
SAMPLE_SHARE = 1 / 4  # of the budget for rows that are gathered to stay


@dataclass(frozen=True)
class Budget:
    """What a design on disk may hold in memory at once.

    Attributes
    ----------
    total : int
        Bytes for everything.
    """

    total: int

    @property
    def chunk(self) -> int:
        """Bytes of one chunk of rows."""
        return int(min(max(self.total * CHUNK_SHARE, CHUNK_LEAST), CHUNK_MOST))

    @property
    def sample(self) -> int:
        """Bytes of rows that are gathered to stay."""
        return int(self.total * SAMPLE_SHARE)

    def chunk_rows(self, row_bytes: float) -> int:
        """Return how many rows make a chunk.

        Raises
        ------
        InputError
            If a few rows take more than the budget.
        """
        if 16 * row_bytes > self.total:
            raise InputError(
                f"`memory` is {shown(self.total)}, but a single row takes {shown(row_bytes)}: give"
                f" at least {shown(16 * row_bytes)}, or fewer columns."
            )
        return max(1, int(self.chunk / row_bytes))


def parse_memory(value: str | int) -> int:
    """Return bytes from "2GB", "500 MB", "1.5GiB" or a number of bytes.

    Parameters
    ----------
    value : str or int
        Units are B, KB, MB, GB, TB (powers of 1000) and KiB, MiB, GiB, TiB (powers of 1024), in
        any case.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If it is no such size, or is below 8 MB.
    """
    size = _bytes(value)
    if size is None:
        raise InputError(
            f"`memory` must be a size such as '2GB', '500 MB' or a number of bytes; got {value!r}."
        )
    if size < LEAST:
        raise InputError(f"`memory` must be at least {shown(LEAST)}; got {value!r}.")
    return size


def _bytes(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, np.integer)):
        return None
    if not isinstance(value, str):
        return int(value)
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([A-Za-z]{0,3})", value.strip())
    unit = None if found is None else UNITS.get(found[2].upper())
    return None if found is None or unit is None else int(float(found[1]) * unit)


def shown(size: float) -> str:
    """Return a number of bytes as people write it: 2 GB, 1.5 MB."""
    for unit in ("TB", "GB", "MB", "KB"):
        if size >= UNITS[unit]:
            return f"{size / UNITS[unit]:.3g} {unit}"
    return f"{int(size)} B"
