"""The memory of a device: how large blocks may be there, and what is said when it runs out."""

from __future__ import annotations

from typing import Any

import array_api_compat as compat

from softunit._array_api import itemsize, namespace
from softunit.errors import InputError

MOST_ENTRIES = 1 << 27
"""Entries of a block on a GPU, 1 GiB of float64: there only large products are worth a call."""

FEW_ENTRIES = 1 << 22
"""Entries of a block elsewhere."""

LEAST_ENTRIES = 1 << 16
"""Entries of the smallest block that is tried where memory has run out."""

HELD = 8
"""Arrays of the size of a block, in float64, that a pass may hold at once."""

WORDS = (
    "out of memory",  # MPS, and CUDA where no class says it
    "can't allocate memory",  # PyTorch on the CPU
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def first_block_entries(a: Any) -> int:
    """Return how many entries a block may have: what the free memory of a GPU bears."""
    free = free_bytes(a)
    most = FEW_ENTRIES if free is None else min(MOST_ENTRIES, free // (8 * HELD))
    return max(LEAST_ENTRIES, most)


def smaller_block_entries(a: Any, tried: int, error: BaseException) -> int:
    """Return half of what was tried, after memory has run out.

    Raises
    ------
    InputError
        If that was the least: how much was needed, and what would fit.
    """
    if tried <= LEAST_ENTRIES or tried <= 64 * a.shape[1]:
        raise no_memory(a, error, 8 * HELD * tried) from error
    return max(LEAST_ENTRIES, tried // 2)


def no_memory(a: Any, error: BaseException, needed: int) -> InputError:
    """Return the error that says how many bytes were needed beside an array, and what to do."""
    (n, d), free = a.shape, free_bytes(a)
    row = 8 * HELD * d
    told = str(error).splitlines()[0] if str(error) else repr(error)
    fits = "" if free is None else f" Blocks of {free // row} rows would fit what is free now."
    return InputError(
        f"out of memory on {compat.device(a)}: {needed / 1e6:.3g} MB were needed beside the"
        f" {n * d * itemsize(a) / 1e6:.3g} MB of A; a row of a block takes {row / 1e3:.3g} kB."
        f"{fits} Free memory there, keep A in float32, or fit from files with ChunkedDesign. The"
        f" device says: {told}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a device, or this machine, has no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


def free_bytes(a: Any) -> int | None:
    """Return how many bytes are free on a CUDA device; None on others, or where it is unknown."""
    try:
        if compat.is_torch_array(a) and a.is_cuda:
            torch = namespace(a)
            cached = torch.cuda.memory_reserved(a.device) - torch.cuda.memory_allocated(a.device)
            return int(torch.cuda.mem_get_info(a.device)[0]) + int(cached)
        if compat.is_cupy_array(a):
            return int(a.device.mem_info[0])
    except (AttributeError, RuntimeError):
        return None
    return None
