"""The kernel in C: compiled on first use by the machine's own compiler, kept for the process."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from softunit.errors import InputError

SOURCE = Path(__file__).with_name("two_pass.c")
COMPILERS = ("cc", "gcc", "clang")
# No -ffast-math: nan and infinity keep their meaning, and loading must not change the processor's
# treatment of subnormal numbers. Without trapping and errno the loops become vectors.
FLAGS = ("-O3", "-std=c11", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math")
# The first that the compiler takes.
TARGETS = (("-march=native", "-mprefer-vector-width=512"), ("-march=native",), ("-mcpu=native",))
LEAST = 1 << 18  # entries from which threads are worth their start

Given = TypeVar("Given")
Pair = tuple[float, float, int]
"""Sum and exponent of a stretch, and whether all its scores are regular."""


def compiler() -> str:
    """Return the path of a C compiler: that of the variable CC, or cc, gcc or clang.

    Raises
    ------
    InputError
        If there is none.
    """
    named = os.environ.get("CC", "").split()
    for name in (*named[:1], *COMPILERS):
        found = shutil.which(name)
        if found:
            return found
    raise InputError(
        "The compiled softmax needs a C compiler, and none of CC, cc, gcc and clang is found:"
        " install one (gcc or clang), or leave `compiled` out."
    )


@functools.lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """Return the compiled kernels, with the types of their arguments.

    Raises
    ------
    InputError
        If there is no compiler, or it cannot compile them.
    """
    chosen, said = compiler(), ""
    # A library for one process in a folder of its own: nothing stale, nothing of others.
    with tempfile.TemporaryDirectory(prefix="softunit-", ignore_cleanup_errors=True) as folder:
        place = Path(folder) / "two_pass.so"
        for target in TARGETS:
            command = [chosen, *FLAGS, *target, str(SOURCE), "-o", str(place), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return _typed(ctypes.CDLL(str(place)))
            said = done.stderr.strip().partition("\n")[0]
    raise InputError(
        f"The C compiler {chosen} could not compile the softmax kernel ({said}): set CC to"
        " another, or leave `compiled` out."
    )


def _typed(found: ctypes.CDLL) -> ctypes.CDLL:
    place, count, real = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_double
    cell = ctypes.POINTER(real)
    found.softunit_sum.argtypes = [place, count, cell, cell]
    found.softunit_sum.restype = ctypes.c_int
    found.softunit_write.argtypes = [place, place, count, real, real, ctypes.c_int]
    found.softunit_two_pass.argtypes = [place, place, count, count]
    found.softunit_three_pass.argtypes = [place, place, count]
    for name in ("softunit_write", "softunit_two_pass", "softunit_three_pass"):
        getattr(found, name).restype = None
    return found


def softmax(scores: Tensor) -> Tensor:
    """Return softmax along the last axis of float32 scores (..., n) on the CPU.

    Rows are shared out over torch's threads; a single long one is cut, and its parts are summed as
    pairs.
    """
    scores = scores.contiguous()
    out = torch.empty_like(scores)
    write_softmax(scores, out)
    return out


def write_softmax(scores: Tensor, out: Tensor) -> None:
    """Write softmax along the last axis of contiguous scores into `out`, of their shape."""
    if scores.numel() == 0:
        return
    n = scores.shape[-1]
    rows = scores.numel() // n
    threads = torch.get_num_threads() if scores.numel() >= LEAST else 1
    if threads == 1:
        library().softunit_two_pass(scores.data_ptr(), out.data_ptr(), rows, n)
    elif rows >= threads:
        _in_threads(threads, rows, lambda start, stop: _rows(scores, out, start, stop, n))
    else:
        for row in range(rows):
            _one_row(scores.view(rows, n)[row], out.view(rows, n)[row], threads)


def write_three_pass(scores: Tensor, out: Tensor) -> None:
    """Write softmax of one vector by the usual three sweeps: what two sweeps are measured against.

    It is for finite scores, in one thread.
    """
    library().softunit_three_pass(scores.data_ptr(), out.data_ptr(), scores.numel())


def _in_threads(threads: int, n: int, work: Callable[[int, int], Given]) -> list[Given]:
    """Return what the work gives for even parts of range(n), each in a thread of its own."""
    cuts = [n * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:  # calls of C leave the interpreter's lock
        return list(pool.map(work, cuts[:-1], cuts[1:]))


def _rows(scores: Tensor, out: Tensor, start: int, stop: int, n: int) -> None:
    offset = start * n * scores.element_size()
    library().softunit_two_pass(
        scores.data_ptr() + offset, out.data_ptr() + offset, stop - start, n
    )


def _one_row(scores: Tensor, out: Tensor, threads: int) -> None:
    n = scores.numel()
    parts = _in_threads(threads, n, lambda start, stop: _sum(scores[start:stop], stop - start))
    top = max(k for _, k, _ in parts)
    total = sum(m * 2.0 ** max(k - top, -1100.0) for m, k, _ in parts)
    regular = int(all(flag for _, _, flag in parts))

    def write(start: int, stop: int) -> None:
        source, target = scores[start:stop], out[start:stop]
        library().softunit_write(
            source.data_ptr(), target.data_ptr(), stop - start, total, top, regular
        )

    _in_threads(threads, n, write)


def _sum(scores: Tensor, n: int) -> Pair:
    total, top = ctypes.c_double(), ctypes.c_double()
    regular = library().softunit_sum(scores.data_ptr(), n, ctypes.byref(total), ctypes.byref(top))
    return total.value, top.value, int(regular)
