"""The file of a checkpoint: what goes in comes out, and nothing damaged does."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from softunit.checkpoints.files import VERSION, read_file, write_file
from softunit.checkpoints.trees import from_text, number, taken, to_text
from softunit.errors import FileError

DTYPES = st.sampled_from(["f8", "f4", "i8", "i4", "u1", "?"]).map(np.dtype)
ARRAYS = DTYPES.flatmap(lambda dtype: arrays(dtype, array_shapes(min_side=0, max_side=4)))
TURNED = ARRAYS.map(lambda array: array.T)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | ARRAYS | TURNED
KEYS = st.text().filter(lambda key: key not in ("array", "turned"))
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=5,
)
in_one_folder = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def same(one, other) -> bool:
    """Whether two trees are equal to the last bit, types and memory order among it."""
    if isinstance(one, np.ndarray):
        orders = one.flags.c_contiguous == other.flags.c_contiguous
        return orders and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other) or (one != one and other != other)
    return type(one) is type(other) and one == other


def written(path, **more) -> bytes:
    tree = {"finished": True, "parts": [], "x": np.arange(6.0).reshape(2, 3), "k": np.arange(3)}
    write_file(path, tree | more)
    return path.read_bytes()


@given(tree=TREES)
@in_one_folder
def test_what_goes_in_comes_out(tree, tmp_path):
    write_file(tmp_path / "a.ckpt", tree)
    assert same(tree, read_file(tmp_path / "a.ckpt"))


def test_an_array_is_held_once(tmp_path):
    x = np.zeros(10_000)
    write_file(tmp_path / "a.ckpt", {"x": x, "again": [x, {"more": x}], "part": x[:0]})
    assert (tmp_path / "a.ckpt").stat().st_size < 81_000
    back = read_file(tmp_path / "a.ckpt")
    assert back["again"][0] is back["x"]


def test_what_is_no_number_text_or_array_is_not_taken(tmp_path):
    with pytest.raises(TypeError, match="a checkpoint cannot hold a object"):
        to_text({"a": [object()]})
    with pytest.raises(TypeError, match="a checkpoint cannot hold a complex"):
        write_file(tmp_path / "a.ckpt", {"a": 1j})
    assert os.listdir(tmp_path) == []


def test_each_cut_is_found(tmp_path):
    path = tmp_path / "a.ckpt"
    whole = written(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match=r"cannot be resumed from: .*\. To begin anew, give"):
            read_file(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(FileError, match=r"its arrays take 72 bytes, and it has 73"):
        read_file(path)


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path):
    path = tmp_path / "a.ckpt"
    whole = written(path)
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        path.write_bytes(broken)
        with pytest.raises(FileError, match="cannot be resumed from"):
            read_file(path)


@given(data=st.binary(max_size=300))
@in_one_folder
def test_no_bytes_do_harm(data, tmp_path):
    for begin in (b"", len(data).to_bytes(8, "little")):
        (tmp_path / "a.ckpt").write_bytes(begin + data)
        with pytest.raises(FileError, match="cannot be resumed from"):
            read_file(tmp_path / "a.ckpt")


def forged(path, table) -> None:
    header = json.dumps(table).encode() if not isinstance(table, bytes) else table
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))


METADATA = {"sha256": "0" * 64, "version": "1", "softunit-checkpoint": "{}"}
HUGE = {"dtype": "F64", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (b"[]", "it is no checkpoint of softunit"),
        (b"{}", "it is no checkpoint of softunit"),
        (b"\xff\xfe", "its header is damaged"),
        (b"[" * 200_000, "its header is damaged"),
        ({"__metadata__": {"format": "pt"}}, "it is no checkpoint of softunit"),
        ({"__metadata__": METADATA | {"sha256": 3}}, "its metadata are no texts"),
        ({"__metadata__": METADATA | {"version": "x"}}, "does not tell its version"),
        (
            {"__metadata__": METADATA | {"version": str(VERSION + 1)}},
            rf"written by a later softunit \(version {VERSION + 1} of the file, this softunit knows"
            rf" {VERSION}\). Update softunit",
        ),
        ({"__metadata__": METADATA, "a": HUGE}, "its array 'a' has no place for its shape"),
        ({"__metadata__": METADATA, "a": 3}, "its array 'a' has no type, shape or place"),
        (
            {"__metadata__": METADATA, "a": HUGE | {"dtype": "O"}},
            "its array 'a' has no type, shape or place",
        ),
        (
            {"__metadata__": METADATA, "a": HUGE | {"shape": [-1]}},
            "its array 'a' has no type, shape or place",
        ),
        (
            {"__metadata__": METADATA, "a": HUGE | {"shape": [1], "data_offsets": [8, 16]}},
            "its array 'a' has no place for its shape",
        ),
        ({"__metadata__": METADATA}, r"its arrays take 0 bytes, and it has 16"),
        (
            {"__metadata__": METADATA, "a": HUGE | {"shape": [2]}},
            "its checksum does not fit what it holds",
        ),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else "",
)
def test_headers_are_checked(table, told, tmp_path):
    forged(tmp_path / "a.ckpt", table)
    with pytest.raises(FileError, match=told):
        read_file(tmp_path / "a.ckpt")


def test_what_is_not_there_or_no_file(tmp_path):
    with pytest.raises(FileError, match="cannot be read: No such file"):
        read_file(tmp_path / "a.ckpt")
    with pytest.raises(FileError, match="cannot be read: Is a directory"):
        read_file(tmp_path)


def test_texts_that_name_what_is_not_there():
    with pytest.raises(FileError, match="names an array '7' that it does not hold"):
        from_text('{"x": {"array": "7", "turned": false}}', {})
    with pytest.raises(FileError, match="names an array"):
        from_text('{"x": {"array": [], "turned": false}}', {})
    for text in ("[]", "3", "null"):
        with pytest.raises(FileError, match="its text is not a JSON object"):
            from_text(text, {})
    for text in ("{", "[" * 100_000):
        with pytest.raises(FileError, match="is not JSON"):
            from_text(text, {})


def test_entries_are_of_their_kind():
    tree = {"a": 1, "b": True, "c": 10**400, "d": 2.5}
    assert (taken(tree, "a", int), taken(tree, "b", bool), number(tree, "d")) == (1, True, 2.5)
    for key, kind in (("a", str), ("b", int), ("e", int)):
        with pytest.raises(FileError, match=f"its entry '{key}' is missing or not what"):
            taken(tree, key, kind)
    with pytest.raises(FileError, match="its entry 'c' is too large"):
        number(tree, "c")


def test_it_is_flushed_before_it_is_renamed(tmp_path, flushed, monkeypatch):
    replace, seen = os.replace, []

    def renamed(name, target):
        seen.append(len(flushed))
        replace(name, target)

    monkeypatch.setattr(os, "replace", renamed)
    written(tmp_path / "a.ckpt")
    assert seen == [1]
    assert len(flushed) == 2  # and its folder after


def test_a_library_for_the_layout_reads_it(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    written(tmp_path / "a.ckpt")
    found = safetensors.load_file(tmp_path / "a.ckpt")
    np.testing.assert_array_equal(found["0"], np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(found["1"], np.arange(3))
