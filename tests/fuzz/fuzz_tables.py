"""Any bytes as a table, in every format: read, encoded and usable, or refused with a sentence."""

from __future__ import annotations

from softunit.errors import SoftunitError
from softunit.tables import fit_encoding, read_table
from tests.fuzz.harness import file_of, fuzz, quiet
from tests.fuzz.mutators import mutate_npz

FORMATS = ("csv", "tsv", "npz", "svmlight", "arrow", "parquet")
"""The first byte of an input says which."""


def check(data: bytes) -> None:
    """Read a table as one format, and make a design of what was read."""
    if not data:
        return
    format = FORMATS[data[0] % len(FORMATS)]
    with quiet(), file_of(data[1:], f".{format}") as path:
        try:
            table = read_table(path, format=format)
            encoding = fit_encoding(table, target=table.names[-1], impute="most-frequent")
            encoding.apply(table)
        except SoftunitError:
            return


def mutate(data: bytes, seed: int) -> bytes:
    """Return a table with a change behind its lengths and sums."""
    if data and FORMATS[data[0] % len(FORMATS)] == "npz":
        return data[:1] + mutate_npz(data[1:], seed)
    return data


if __name__ == "__main__":
    fuzz(check, mutate)
