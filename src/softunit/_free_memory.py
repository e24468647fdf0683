"""How much memory this process may still take, and what must be taken before the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.linalg

from softunit.errors import InputError

try:
    import resource
except ImportError:  # Windows has no limits of this kind
    resource = None  # type: ignore[assignment]

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")

LEAST = 256_000_000
"""Bytes that a limited process must have left for linear algebra on a few threads."""


def free_memory() -> int | None:
    """Return the bytes that this process may still take, or None where nothing tells.

    The least of what the machine has, what a container is allowed (the control groups of Linux),
    and what the process is limited to (RLIMIT_AS, `ulimit -v`).
    """
    known = [size for size in _sizes() if size is not None]
    return max(min(known), 0) if known else None


def take_workspaces() -> None:
    """Have the libraries of linear algebra take their workspaces now, where memory is limited.

    OpenBLAS takes them at its first use, and where it gets none it asks for ever: a process whose
    address space is limited (`ulimit -v`) would hang in the middle of a fit. NumPy and SciPy bring
    one each. Without a limit nothing is done.

    Raises
    ------
    InputError
        If too little is left.
    """
    left = _of_limit()
    if left is None:
        return
    if left < LEAST:
        raise InputError(
            f"this process may take {max(left, 0) / 1e6:.0f} MB of memory more (ulimit -v), and"
            f" linear algebra needs {LEAST / 1e6:.0f} MB: allow it more."
        )
    identity = np.eye(2)
    np.linalg.solve(identity, identity)
    scipy.linalg.eigh(identity)


def _sizes() -> Iterator[int | None]:
    yield _of_machine()
    yield _left(CGROUP / "memory.max", CGROUP / "memory.current")
    yield _left(
        CGROUP / "memory" / "memory.limit_in_bytes", CGROUP / "memory" / "memory.usage_in_bytes"
    )
    yield _of_limit()


def _of_machine() -> int | None:
    """Return what the kernel could give: free pages, and those of files that can be dropped."""
    try:
        for line in (PROC / "meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:  # elsewhere half of what there is stands for it
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return None


def _left(limit: Path, taken: Path) -> int | None:
    """Return what a control group leaves; None without a limit ("max", or near 2^63)."""
    try:
        most = int(limit.read_text(encoding="ascii"))
        return most - int(taken.read_text(encoding="ascii")) if most < 1 << 60 else None
    except (OSError, ValueError):
        return None


def _of_limit() -> int | None:
    """Return what the limit of the address space leaves."""
    if resource is None:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int((PROC / "self" / "statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return limit
    return limit - pages * resource.getpagesize()
