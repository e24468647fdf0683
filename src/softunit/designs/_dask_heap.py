"""Memory of a Dask worker while it adds up: blocks that are freed are used again."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TOLD = "MALLOC_TRIM_THRESHOLD_"  # how Dask asks glibc to give memory back early
TRIM, MMAP = -1, -3  # mallopt's names: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
KEPT = 1 << 25  # bytes: some blocks of rows in float64
USUAL = 1 << 17  # glibc's own threshold for memory of its own from the system


@contextmanager
def freed_blocks_kept() -> Iterator[None]:
    """Let glibc keep freed blocks of rows for the next, where Dask has told it not to.

    Dask's nannies start workers with a trim threshold of 64 KiB, and a threshold that is told
    no longer adapts. Then each block of some megabytes is mapped from the system, filled with
    zeros and unmapped again, which takes several times as long as the work on it (measured).
    Afterwards the worker's own threshold holds again.
    """
    told = os.environ.get(TOLD, "")
    set_to = None
    if sys.platform == "linux" and told.isdecimal() and int(told) < KEPT:
        set_to = getattr(ctypes.CDLL(None), "mallopt", None)  # not in every C library
    if set_to is None:
        yield
        return
    set_to(TRIM, KEPT)
    set_to(MMAP, KEPT)
    try:
        yield
    finally:
        set_to(TRIM, int(told))
        set_to(MMAP, USUAL)
