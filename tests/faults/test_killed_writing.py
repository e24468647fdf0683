"""A process killed while it writes an output leaves the old output whole, or the new one."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest

from softunit._files import remove_leftovers, replace_file
from tests.faults.actions import WRITERS

KILLS = 60 if os.environ.get("SOFTUNIT_FAULTS") == "full" else 20
"""Of the writing of each output."""


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_old_or_new_and_nothing_else(name, runner, tmp_path):
    folder = str(tmp_path)
    whole = runner("write", folder=folder, name=name, version=0, count=True)
    assert whole.end == "done", whole
    moments = np.random.default_rng(zlib.crc32(name.encode())).integers(1, whole.moments, KILLS)
    before, killed = 0, 0
    for number, moment in enumerate(sorted(moments.tolist(), reverse=True)):
        new = number % 2
        ended = runner("write", folder=folder, name=name, version=new, kill_at=moment)
        assert ended.end in ("killed", "done"), ended
        killed += ended.end == "killed"
        found = runner("read", folder=folder, name=name)
        assert found.end == "done", found
        assert found.value in (before, new)
        before = found.value
        # What was left half written lies under a hidden name, and goes with the next write.
        assert all(each.startswith(".") for each in os.listdir(folder) if each != name)
    assert killed >= KILLS // 2
    assert runner("write", folder=folder, name=name, version=1).end == "done"
    assert runner("read", folder=folder, name=name).value == 1
    assert os.listdir(folder) == [name]


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    path = tmp_path / "out.csv"
    with replace_file(path) as first:
        first.write_text("first")
        with replace_file(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
        assert first.read_text() == "first"
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["out.csv"]


@pytest.mark.parametrize(
    "name",
    [".out.0123456789ab.txt", ".other.0123456789ab.csv", ".out.0123456789.csv", "out.csv"],
)
def test_files_of_other_names_are_left_alone(name, tmp_path):
    (tmp_path / name).write_text("mine")
    (tmp_path / ".out.0123456789ab.csv").write_text("left")
    remove_leftovers(tmp_path / "out.csv")
    assert os.listdir(tmp_path) == [name]


def test_a_link_of_that_name_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    link = tmp_path / ".out.0123456789ab.csv"
    link.symlink_to(tmp_path / "mine.txt")
    remove_leftovers(tmp_path / "out.csv")
    assert link.is_symlink()
