"""Blocks that are freed while a worker adds up are used again, and only then."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from softunit.designs import _dask_heap
from softunit.designs._dask_heap import TOLD, freed_blocks_kept

PROGRAM = """
import json, resource, runpy, sys
import numpy as np

freed_blocks_kept = runpy.run_path(sys.argv[1])["freed_blocks_kept"]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(1 << 19)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
with freed_blocks_kept():
    faults()
    inside = faults()
faults()
print(json.dumps([first, inside, faults()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that is told")
def test_a_worker_does_not_map_each_block_anew():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, _dask_heap.__file__],
        # Huge pages, of which there may be some at one time and none at another, hide the faults.
        env=os.environ | {TOLD: "65536", "NUMPY_MADVISE_HUGEPAGE": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    before, inside, after = json.loads(done.stdout)
    pages = 20 * (1 << 22) // 4096
    if before <= 0.3 * pages:
        pytest.skip("this system gives huge pages unasked")
    assert inside < 0.03 * pages
    assert after > 0.3 * pages


@pytest.mark.parametrize("told", ["", "much", str(1 << 30)])
def test_what_was_not_told_is_left_alone(monkeypatch, told):
    monkeypatch.setenv(TOLD, told)
    monkeypatch.setattr("softunit.designs._dask_heap.ctypes.CDLL", None)  # called, it would raise
    with freed_blocks_kept():
        pass
