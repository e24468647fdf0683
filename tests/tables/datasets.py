"""Small datasets of several files, shared by the tests of streaming."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from softunit.tables import write_table


def mixed(rng: np.random.Generator, n: int, *, missing: float = 0.0) -> dict[str, np.ndarray]:
    """Return columns of all kinds; a share of the numbers and texts may be missing."""
    kind = rng.integers(3, size=n)
    number, text = rng.normal(kind, 1.0), np.array(["red", "green", "blue"], dtype=object)[kind]
    number[rng.random(n) < missing] = np.nan
    text[rng.random(n) < missing] = None
    return {
        "number": number,
        "count": rng.integers(9, size=n),
        "text": text,
        "flag": rng.random(n) < 0.5,
        "weight": rng.uniform(0.5, 2.0, n),
        "shift": rng.normal(0.0, 0.1, n),
        "kind": np.array(["ant", "bee", "cow"])[(kind + (rng.random(n) < 0.3)) % 3],
    }


def parts(
    folder: Path, rng: np.random.Generator, *, suffix: str = ".parquet", n: int = 400, missing=0.0
) -> Path:
    """Write three files of `n` rows into a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        write_table(folder / f"part-{number}{suffix}", mixed(rng, n, missing=missing))
    return folder
