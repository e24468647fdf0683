"""What attention costs at a shape: seconds, bytes at the peak, and the largest array made."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from softunit.errors import InputError
from softunit.nn.attention import AttentionUnit
from softunit.nn.attention._pattern import Pattern

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")

SCALES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
"""Sizes of the entries of q and k that are tried until a unit takes them."""

Mix = Callable[..., Tensor]
"""Takes q, k and v, and returns the mixed values."""


@dataclass(frozen=True)
class Shape:
    """The tensors of a call: q, k and v of shape (batch, heads, n, width), standard normal.

    Attributes
    ----------
    n : int, default 1024
        Tokens; as many keys as queries.
    batch, heads, width : int, default 1, 4, 64
    device : str, default "cpu"
    dtype : str, default "float32"
    causal : bool, default False
    """

    n: int = 1024
    batch: int = 1
    heads: int = 4
    width: int = 64
    device: str = "cpu"
    dtype: str = "float32"
    causal: bool = False

    @property
    def pattern(self) -> Pattern:
        """What each query sees."""
        where = torch.device(self.device)
        return Pattern(self.n, self.n, where, offset=0 if self.causal else None)

    def at(self, n: int) -> Shape:
        """Return the same shape with n tokens."""
        return replace(self, n=n)


@dataclass(frozen=True)
class Inputs:
    """Tensors of a shape.

    Attributes
    ----------
    q : Tensor
    k, v : Tensor or tuple of two
    scale : float
        What the entries of q and k were multiplied by.
    """

    q: Tensor
    k: Any
    v: Any
    scale: float = 1.0

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """All tensors, the pairs one by one."""
        found: list[Tensor] = [self.q]
        for given in (self.k, self.v):
            found += given if isinstance(given, tuple) else [given]
        return tuple(found)

    def like(self, leaves: tuple[Tensor, ...]) -> Inputs:
        """Return inputs of the same kind with other tensors, in the order of `leaves`."""
        if isinstance(self.k, tuple):
            q, first, second, one, other = leaves
            return Inputs(q, (first, second), (one, other), self.scale)
        q, k, v = leaves
        return Inputs(q, k, v, self.scale)


def draw(shape: Shape, *, pairs: bool = False, seed: int = 0, scale: float = 1.0) -> Inputs:
    """Return tensors of a shape, the same for one seed on every device.

    Parameters
    ----------
    shape : Shape
    pairs : bool, default False
        Two tensors of keys and two of values.
    seed : int, default 0
    scale : float, default 1.0
        Of q and k.
    """
    generator = torch.Generator().manual_seed(seed)
    size = (shape.batch, shape.heads, shape.n, shape.width)
    dtype = getattr(torch, shape.dtype)

    def one(factor: float) -> Tensor:
        drawn = torch.randn(size, generator=generator, dtype=torch.float64) * factor
        return drawn.to(shape.device, dtype).requires_grad_()

    q, keys = one(scale), tuple(one(scale) for _ in range(1 + pairs))
    values = tuple(one(1.0) for _ in range(1 + pairs))
    return Inputs(q, keys, values, scale) if pairs else Inputs(q, keys[0], values[0], scale)


def accepted(unit: AttentionUnit, shape: Shape, *, seed: int = 0) -> tuple[Inputs, str]:
    """Return tensors that a unit takes, and the sentence with which it refused larger ones.

    Parameters
    ----------
    unit : AttentionUnit
    shape : Shape
    seed : int, default 0

    Raises
    ------
    InputError
        If it refuses every one of `SCALES`.
    """
    sentence = ""
    for scale in SCALES:
        inputs = draw(shape, pairs=unit.pairs, seed=seed, scale=scale)
        try:
            _check(unit, inputs, shape)
        except InputError as error:
            sentence = sentence or str(error)
            continue
        return inputs, sentence
    raise InputError(sentence)


def _check(unit: AttentionUnit, inputs: Inputs, shape: Shape) -> None:
    def wide(given: Any) -> Any:
        if isinstance(given, tuple):
            return tuple(wide(one) for one in given)
        return given.detach() if given.dtype == torch.float64 else given.detach().float()

    unit.check(wide(inputs.q), wide(inputs.k), shape.pattern)


def forward(mix: Mix, inputs: Inputs) -> None:
    """Run a mix without keeping anything for derivatives.

    Parameters
    ----------
    mix : callable
    inputs : Inputs
    """
    with torch.no_grad():
        mix(inputs.q, inputs.k, inputs.v)


def forward_backward(mix: Mix, inputs: Inputs) -> None:
    """Run a mix and the derivatives of the sum of its output by all inputs.

    Parameters
    ----------
    mix : callable
    inputs : Inputs
    """
    out = mix(inputs.q, inputs.k, inputs.v)
    torch.autograd.grad(out, inputs.leaves, torch.ones_like(out), allow_unused=True)


def best_seconds(
    work: Callable[[], None], *, budget: float, device: str = "cpu", enough: float = 0.5
) -> tuple[float, int]:
    """Return the shortest time of several runs, and how many there were.

    Parameters
    ----------
    work : callable
        Already run once, so that nothing is made for the first time.
    budget : float
        Seconds of all runs; one is always made, and no more than fifty.
    device : str, default "cpu"
        A GPU is waited for.
    enough : float, default 0.5
        Seconds after which it ends, with three runs or more.
    """
    best, spent, runs = float("inf"), 0.0, 0
    while runs == 0 or (spent * (runs + 1) / runs < budget and runs < 50):
        begin = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        taken = time.perf_counter() - begin
        best, spent, runs = min(best, taken), spent + taken, runs + 1
        if runs >= 3 and spent >= enough:
            break
    return best, runs


def resident() -> int | None:
    """Return the bytes of memory this process holds now, or None where nothing tells."""
    return _status("VmRSS")


def restart_peak() -> bool:
    """Let the peak of memory begin anew from what is held now; False where that cannot be."""
    try:
        CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak() -> int | None:
    """Return the most bytes that this process has held, or None where nothing tells."""
    found = _status("VmHWM")
    if found is not None:
        return found
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _give_back() -> None:
    """Give freed memory back to the system, where the C library can."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _status(key: str) -> int | None:
    try:
        for line in STATUS.read_text("utf-8").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def peak_bytes(work: Callable[[], None], *, device: str = "cpu") -> int | None:
    """Return how many bytes a run holds at its peak above what was held before it.

    To be measured in a process that does nothing else meanwhile. What an earlier run has freed is
    given back to the system first. None where the system does not tell, or does not let the peak
    begin anew.

    Parameters
    ----------
    work : callable
    device : str, default "cpu"
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated() - before)
    _give_back()
    began, held = restart_peak(), resident()
    work()
    after = peak()
    return None if not began or held is None or after is None else max(0, after - held)


class LargestTensor(TorchDispatchMode):
    """Watches every operation and keeps how many numbers the largest array made by one holds.

    What a fused kernel keeps to itself is not seen; the peak of memory is.

    Attributes
    ----------
    numbers : int
    operation : str
        What made it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers, self.operation = 0, ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and look at what it made."""
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else (made,):
            if isinstance(one, Tensor):
                # A view may be spread over more entries than there are.
                held = one.untyped_storage().nbytes() // one.element_size()
                if held > self.numbers:
                    self.numbers, self.operation = held, str(func)
        return made


def largest(work: Callable[[], None]) -> tuple[int, str]:
    """Return how many numbers the largest array of a run holds, and the operation that made it.

    Parameters
    ----------
    work : callable
    """
    with LargestTensor() as seen:
        work()
    return seen.numbers, seen.operation
