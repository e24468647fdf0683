"""What ran it: cores, threads, versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from softunit.bench.peers import PEERS, Peer

THREADS = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Variables that pin the threads of a child process."""


def physical_cores() -> int:
    """Return how many physical cores this process may use, at least one."""
    allowed = (
        os.sched_getaffinity(0)
        if hasattr(os, "sched_getaffinity")
        else set(range(os.cpu_count() or 1))
    )
    cores = set()
    for number in allowed:
        # The first of a core's threads stands for all of them.
        place = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
        try:
            cores.add(place.read_text("ascii").strip())
        except OSError:
            cores.add(str(number))
    return max(1, len(cores))


def pinned(threads: int) -> dict[str, str]:
    """Return the environment of a child process with so many threads.

    Parameters
    ----------
    threads : int
    """
    return os.environ | dict.fromkeys(THREADS, str(threads))


def processor() -> str:
    """Return the name of the processor, as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def about(threads: int, peers: Iterable[Peer] | None = None) -> dict[str, Any]:
    """Return the machine, the threads of every run, and the versions of all packages.

    Parameters
    ----------
    threads : int
    peers : iterable of Peer, default None
        Whose packages are told; those of classifiers if None.
    """
    from importlib.metadata import version

    names = {
        peer.distribution: peer.version() for peer in (PEERS.values() if peers is None else peers)
    }
    names["numpy"] = version("numpy")
    return {
        "processor": processor(),
        "cores": physical_cores(),
        "threads": threads,
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: found for name, found in sorted(names.items()) if found},
    }
