"""Any bytes as a table, in every format: read, encoded and usable, or refused with a sentence."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from softunit.errors import SoftunitError
from softunit.tables import fit_encoding, read_table
from softunit.tables.encoded_source import EncodedSource
from softunit.tables.scanning import scan
from softunit.tables.streams import Dataset
from tests.fuzz.harness import file_of, fuzz, quiet
from tests.fuzz.mutators import mutate_npz

FORMATS = ("csv", "tsv", "npz", "svmlight", "arrow", "parquet")
"""The first byte of an input says which."""

_ROWS = 3  # of a block: small tables come in several


def check(data: bytes) -> None:
    """Read a table as one format, whole and in blocks, and make a design of what was read."""
    if not data:
        return
    format = FORMATS[data[0] % len(FORMATS)]
    with quiet(), file_of(data[1:], f".{format}") as path:
        with suppress(SoftunitError):
            table = read_table(path, format=format)
            encoding = fit_encoding(table, target=table.names[-1], impute="most-frequent")
            encoding.apply(table)
        _check_blocks(path, format)


def _check_blocks(path: Path, format: str) -> None:
    """Read all columns, whatever they hold; then those that a fit reads, twice."""
    try:
        dataset = Dataset.open([str(path)], format=format)
    except SoftunitError:
        return
    with suppress(SoftunitError):
        for piece in dataset.pieces(rows=_ROWS):
            assert 0 < piece.table.n_rows <= _ROWS
    try:
        found = scan(dataset, target=dataset.names[-1], impute="most-frequent")
    except SoftunitError:
        return
    # Nobody changed the file, so what a first pass took a second one may not refuse.
    source = EncodedSource(found, _ROWS)
    read = sum(block.shape[0] for _, block in source.read(range(len(source.parts))))
    assert read == found.n_rows


def mutate(data: bytes, seed: int) -> bytes:
    """Return a table with a change behind its lengths and sums."""
    if data and FORMATS[data[0] % len(FORMATS)] == "npz":
        return data[:1] + mutate_npz(data[1:], seed)
    return data


if __name__ == "__main__":
    fuzz(check, mutate)
