"""Where a run takes place: the CPU with so many threads, or a GPU."""

from __future__ import annotations

import torch


def set_threads(threads: int) -> None:
    """Let PyTorch use so many threads in this process.

    Parameters
    ----------
    threads : int
    """
    torch.set_num_threads(threads)


def device_fault(device: str) -> str:
    """Return why a device cannot be used here, as a sentence; empty where it can.

    Parameters
    ----------
    device : str
        "cpu", "cuda" or "cuda:N".
    """
    if not device.startswith("cuda"):
        return ""
    if not torch.cuda.is_available():
        return f"`device` is {device!r}, and there is no GPU here that PyTorch can use: give 'cpu'."
    number, have = device.partition(":")[2], torch.cuda.device_count()
    if number and (not number.isdigit() or int(number) >= have):
        return f"`device` is {device!r}, and there are {have} GPUs, numbered from 0."
    return ""


def free_on_device(device: str) -> int | None:
    """Return the bytes that are free on a GPU; None for the CPU.

    Parameters
    ----------
    device : str
    """
    if not device.startswith("cuda"):
        return None
    return int(torch.cuda.mem_get_info(torch.device(device))[0])
