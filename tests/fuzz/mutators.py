"""Changes that keep the shell of a file whole, so that what lies inside it is changed."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import Any

import numpy as np

VALUES = (
    None, True, False, 0, 1, -1, 2, 3, 255, 2**31, 2**53, 2**63 - 1, 2**64, -(2**63), 10**30, 0.5,
    1e308, -1e-308, 1e12, "", "x", "\x1b[31m", "‮", "a" * 300, "infinity", "nan", [], {}, [1],
    [[]], ["a", "a"], {"a": 1},
)  # fmt: skip


def mutate_json(value: Any, rng: np.random.Generator) -> Any:
    """Return a copy of a JSON value with one place changed, removed, doubled or exchanged."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[rng.integers(len(value))]
        out = dict(value)
        chance = rng.random()
        if chance < 0.04:
            del out[key]
        elif chance < 0.06:
            out[str(rng.integers(100))] = _drawn(rng)
        else:
            out[key] = mutate_json(value[key], rng)
        return out
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = int(rng.integers(len(value)))
        chance = rng.random()
        if chance < 0.1:
            return value[:place] + value[place + 1 :]
        if chance < 0.2:
            return [*value, value[place]]
        return [*value[:place], mutate_json(value[place], rng), *value[place + 1 :]]
    if type(value) in (int, float) and rng.random() < 0.4:
        return value + int(rng.integers(-2, 3))
    if isinstance(value, str) and value and rng.random() < 0.3:
        cut = int(rng.integers(len(value)))
        return value[:cut] + chr(int(rng.integers(1, 0x300))) + value[cut + 1 :]
    return _drawn(rng)


def _drawn(rng: np.random.Generator) -> Any:
    return VALUES[rng.integers(len(VALUES))]


def mutate_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with a few of them set to something else, or a run cut out or doubled."""
    if not data:
        return bytes(rng.integers(0, 256, 8, dtype=np.uint8))
    chance, place = rng.random(), int(rng.integers(len(data)))
    width = int(rng.integers(1, 9))
    if chance < 0.15:
        return data[:place] + data[place + width :]
    if chance < 0.3:
        return data[:place] + data[place : place + width] + data[place:]
    drawn = bytes(rng.integers(0, 256, width, dtype=np.uint8))
    limits = (b"\xff" * width, b"\x00" * width, b"\x7f" + b"\xff" * (width - 1), drawn)
    return data[:place] + limits[rng.integers(4)] + data[place + width :]


def mutate_safetensors(data: bytes, seed: int, key: str) -> bytes:
    """Return a safetensors file with a change in its header, its metadata's JSON or its arrays."""
    rng = np.random.default_rng(seed)
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        body = data[8 + length :]
        chance = rng.random()
        if chance < 0.6:
            inner = json.loads(header["__metadata__"][key])
            for _ in range(int(rng.integers(1, 4))):
                inner = mutate_json(inner, rng)
            header["__metadata__"][key] = json.dumps(inner)
        elif chance < 0.85:
            header = mutate_json(header, rng)
        else:
            body = mutate_bytes(body, rng)
        text = json.dumps(header).encode("utf-8", "surrogatepass")
    except (ValueError, KeyError, TypeError, AttributeError, struct.error):
        return data
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def mutate_npz(data: bytes, seed: int) -> bytes:
    """Return an NPZ file with a change in one member, its sums and lengths put right."""
    rng = np.random.default_rng(seed)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()]
        place = int(rng.integers(len(members)))
    except Exception:  # whatever is no ZIP any more
        return data
    out = io.BytesIO()
    packing = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[rng.integers(2)]
    with zipfile.ZipFile(out, "w", packing) as archive:
        for index, (info, content) in enumerate(members):
            name = info.filename
            if index == place:
                if rng.random() < 0.05:
                    name = mutate_bytes(name.encode(), rng).decode("latin-1") or "X.npy"
                content = _mutate_npy(content, rng)
            try:
                archive.writestr(name, content)
            except (ValueError, UnicodeError, IndexError):
                return data
    return out.getvalue()


def _mutate_npy(content: bytes, rng: np.random.Generator) -> bytes:
    """Change the text of the header of an .npy file, at its old length, or any bytes."""
    if rng.random() < 0.3 or len(content) < 12:
        return mutate_bytes(content, rng)
    (length,) = struct.unpack("<H", content[8:10])
    text = content[10 : 10 + length].decode("latin-1")
    old, new = _SWAPS[rng.integers(len(_SWAPS))]
    text = text.replace(old, new) if old in text else mutate_bytes(text.encode(), rng).decode("l1")
    text = text.rstrip()[: length - 1].ljust(length - 1) + "\n"
    return content[:10] + text.encode("latin-1") + content[10 + length :]


_SWAPS = (
    ("<f8", "<f4"), ("<f8", "|O"), ("<f8", "<U1"), ("<f8", ">f8"), ("<f8", "<c16"),
    ("<f8", "<M8[s]"), ("<f8", "|S0"), ("<f8", "|V8"), ("False", "True"), ("(", "(-"),
    ("(", "(0, "), ("(", "(10**9, "), (", ", ", 99999999999"), ("(4,", "(2, 2,"),
    ("'descr': ", "'descr': ["), ("<i8", "<u8"), ("<i8", "<f2"), ("<U", "<U0"),
)  # fmt: skip
