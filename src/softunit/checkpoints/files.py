"""The file of a checkpoint: the layout of safetensors, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from softunit._files import replace_file
from softunit._typing import Array
from softunit.checkpoints.trees import from_text, to_text
from softunit.errors import FileError

__all__ = ["VERSION", "read_file", "write_file"]

VERSION = 1
"""Of the layout of what is held; a file with a higher one is refused."""

KEY, LEVEL, SUM = "softunit-checkpoint", "version", "sha256"  # of the metadata
WISH = "To begin anew, give another name, or remove the file and leave `resume` out."
UNKNOWN = "0" * 64  # stands for the checksum while it is taken
LONGEST = 16 << 20  # bytes of a header
PIECE = 16 << 20  # bytes read and written at once

DTYPES: dict[str, Any] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write_file(path: str | os.PathLike[str], tree: dict[str, Any]) -> None:
    """Write a tree to a temporary name beside `path`, flush it, and let it take its place.

    ::

        8 bytes   length of the header, little-endian
        header    JSON: the arrays' types, shapes and places; the tree; a SHA-256 of the whole file
        arrays    one after the other

    Parameters
    ----------
    path : str or path-like
    tree : dict
        See `softunit.checkpoints.trees.to_text`.

    Raises
    ------
    OSError
        If the disk is full or fails; the old file is then whole.
    FileError
        If the path cannot be written.
    TypeError
        If the tree holds what a checkpoint cannot.
    """
    text, held = to_text(tree)
    arrays = {
        name: each.astype(each.dtype.newbyteorder("<"), copy=False) for name, each in held.items()
    }
    header = _header(text, arrays)
    taken = hashlib.sha256(header)
    with replace_file(path) as temporary, open(temporary, "rb+") as file:
        file.write(header)
        for piece in _pieces(arrays):
            taken.update(piece)
            file.write(piece)
        file.seek(header.index(UNKNOWN.encode()))
        file.write(taken.hexdigest().encode())


def _header(text: str, arrays: dict[str, Array]) -> bytes:
    """Return the length and the header, the checksum not yet known."""
    # The checksum stands first, so that no text can be taken for its place.
    table: dict[str, Any] = {"__metadata__": {SUM: UNKNOWN, LEVEL: str(VERSION), KEY: text}}
    start = 0
    for name, array in arrays.items():
        end = start + array.nbytes
        dtype = NAMES[array.dtype]
        table[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [start, end]}
        start = end
    header = json.dumps(table).encode()
    header += b" " * (-len(header) % 8)  # arrays begin where they can be mapped
    return len(header).to_bytes(8, "little") + header


def _pieces(arrays: dict[str, Array]) -> Iterator[memoryview]:
    """Yield the bytes of all arrays, none copied."""
    for array in arrays.values():
        whole: Any = memoryview(array.reshape(-1).view(np.uint8).data)
        for start in range(0, len(whole), PIECE):
            yield whole[start : start + PIECE]


def read_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a checkpoint holds; nothing in it is executed, and no damage passes.

    1. Lengths, types and shapes are compared with the size of the file before memory is taken.
    2. The whole file is compared with its checksum.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    dict

    Raises
    ------
    FileError
        If the file cannot be read, is no checkpoint, is damaged, or of a later version.
    """
    try:
        with open(path, "rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size)
    except FileError as error:
        raise FileError(f"{Path(path)} cannot be resumed from: {error}. {WISH}") from error
    except MemoryError as error:
        raise FileError(
            f"{Path(path)} cannot be resumed from: memory does not hold it. {WISH}"
        ) from error
    except OSError as error:
        raise FileError(f"{Path(path)} cannot be read: {error.strerror}.") from error


def _read(file: BinaryIO, size: int) -> dict[str, Any]:
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(LONGEST, size - 8):
        raise FileError("it is no checkpoint of softunit, or it is truncated")
    header = file.read(length)
    table, metadata = _parsed(header)
    version = metadata.get(LEVEL, "")
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise FileError("it is damaged: it does not tell its version")
    if int(version) > VERSION:
        raise FileError(
            f"it was written by a later softunit (version {int(version)} of the file, this softunit"
            f" knows {VERSION}). Update softunit"
        )
    places = _places(table, size - 8 - length)  # 1.
    told = metadata.get(SUM, "")
    blank = header.replace(told.encode(), UNKNOWN.encode(), 1) if len(told) == 64 else header
    taken = hashlib.sha256(length.to_bytes(8, "little") + blank)
    arrays = {}
    for name, (dtype, shape, count) in places.items():
        data = np.empty(count, dtype=np.uint8)
        for start in range(0, count, PIECE):
            piece = memoryview(data.data)[start : start + PIECE]
            if file.readinto(piece) != len(piece):  # type: ignore[attr-defined]
                raise FileError("it is damaged: it was truncated while it was read")
            taken.update(piece)
        arrays[name] = data.view(dtype).reshape(shape)
    if taken.hexdigest() != told:  # 2.
        raise FileError("it is damaged: its checksum does not fit what it holds")
    return from_text(metadata[KEY], arrays)


def _parsed(header: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the table of arrays and the metadata."""
    try:
        table = json.loads(header.decode())
    except (ValueError, RecursionError) as error:
        raise FileError("it is no checkpoint of softunit, or its header is damaged") from error
    metadata = table.pop("__metadata__", None) if isinstance(table, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get(KEY), str):
        raise FileError("it is no checkpoint of softunit")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise FileError("it is damaged: its metadata are no texts")
    return table, metadata


def _places(table: dict[str, Any], size: int) -> dict[str, tuple[Any, tuple[int, ...], int]]:
    """Return type, shape and bytes of each array, which together must fill the file."""
    places, before = {}, 0
    for name, entry in table.items():
        entry = entry if isinstance(entry, dict) else {}
        dtype = DTYPES.get(str(entry.get("dtype")))
        shape: Any = entry.get("shape")
        ends: Any = entry.get("data_offsets")
        if dtype is None or not _whole(shape) or not _whole(ends) or len(ends) != 2:
            raise FileError(f"it is damaged: its array {name[:40]!r} has no type, shape or place")
        start, end = ends
        if start != before or end - start != math.prod(shape) * dtype.itemsize:
            raise FileError(f"it is damaged: its array {name[:40]!r} has no place for its shape")
        places[name], before = (dtype, tuple(shape), end - start), end
    if before != size:
        raise FileError(
            f"it is damaged or truncated: its arrays take {before} bytes, and it has {size}"
        )
    return places


def _whole(value: Any) -> bool:
    """Return whether a value is a short list of whole numbers."""
    return (
        isinstance(value, list)
        and len(value) <= 8
        and all(type(each) is int and 0 <= each < 1 << 48 for each in value)
    )
