"""What a process may still take is the least of what machine, container and limits leave."""

from __future__ import annotations

import subprocess
import sys

import pytest

from softunit import _free_memory
from softunit._free_memory import free_memory

MEMINFO = "MemTotal: 24000 kB\nMemAvailable: 12000 kB\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Stand-ins for what Linux tells."""
    monkeypatch.setattr(_free_memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(_free_memory, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(_free_memory, "resource", None)
    (tmp_path / "proc").mkdir()
    (tmp_path / "cgroup" / "memory").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(MEMINFO)
    return tmp_path


def test_the_machine(machine):
    assert free_memory() == 12_000 * 1024


@pytest.mark.parametrize("limit", ["max", "9223372036854771712", ""])
def test_a_container_without_a_limit(limit, machine):
    (machine / "cgroup" / "memory.max").write_text(limit)
    (machine / "cgroup" / "memory.current").write_text("1000")
    assert free_memory() == 12_000 * 1024


def test_a_container_with_a_limit(machine):
    (machine / "cgroup" / "memory.max").write_text("5000\n")
    (machine / "cgroup" / "memory.current").write_text("1000\n")
    assert free_memory() == 4000
    (machine / "cgroup" / "memory" / "memory.limit_in_bytes").write_text("3000\n")
    (machine / "cgroup" / "memory" / "memory.usage_in_bytes").write_text("3500\n")
    assert free_memory() == 0


def test_a_machine_that_does_not_tell(machine, monkeypatch):
    (machine / "proc" / "meminfo").write_text("MemFree: lots\n")
    pages = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr("os.sysconf", pages.__getitem__, raising=False)
    assert free_memory() == 2_048_000
    monkeypatch.delattr("os.sysconf")
    assert free_memory() is None


def test_a_limit_of_the_process():
    pytest.importorskip("resource")
    code = (
        "import resource; from softunit._free_memory import free_memory;"
        "resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9)); print(free_memory())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert 0 < int(told.stdout) < 10**9


LIMITED = """
import resource, sys
from softunit import _free_memory
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]),) * 2)
try:
    _free_memory.take_workspaces()
    print("taken")
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("left", "said"),
    [(400_000_000, "taken"), (100_000_000, "100 MB of memory more (ulimit -v)")],
    ids=["enough", "too little"],
)
def test_workspaces_are_taken_where_there_is_room(left, said):
    pytest.importorskip("resource")
    told = subprocess.run(
        [sys.executable, "-c", LIMITED, str(left)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert said in told.stdout


def test_without_a_limit_nothing_is_taken(machine, monkeypatch):
    monkeypatch.delattr(_free_memory, "np")
    assert _free_memory.take_workspaces() is None
