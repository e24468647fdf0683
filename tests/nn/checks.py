"""What the contract tests share: outputs with gradients, and how far they may be apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from softunit.nn.attention import RelativeBias
from tests.nn.cases import normal

Results = dict[str, Tensor]


def with_gradients(
    function: Callable[..., Tensor], tensors: list[Tensor], how: dict[str, Any], **more: Any
) -> Results:
    """Return the output and the gradients of a seeded mix of it, by name."""
    tensors = [x.detach().requires_grad_() for x in tensors]
    named = dict(zip("qkv", tensors, strict=True))
    how = dict(how)
    bias = how.get("bias")
    if isinstance(bias, RelativeBias):
        named["bias"] = bias.values.detach().requires_grad_()
        how["bias"] = RelativeBias(named["bias"])
    elif bias is not None:
        named["bias"] = how["bias"] = bias.detach().requires_grad_()
    out = function(*tensors, **how, **more)
    mix = normal(np.random.default_rng(3), *out.shape, dtype=out.dtype)
    given = list(named.values())
    grads = torch.autograd.grad((out * mix).sum(), given, allow_unused=True)
    found = {"out": out.detach()}
    for name, x, grad in zip(named, given, grads, strict=True):
        found[f"grad {name}"] = torch.zeros_like(x) if grad is None else grad
    return found


def assert_close(found: Results, wanted: Results, limit: float) -> None:
    """Equal to a limit, relative to the largest entry of each where that is above one."""
    assert found.keys() == wanted.keys()
    for name, want in wanted.items():
        assert found[name].shape == want.shape, name
        assert found[name].isfinite().all(), f"{name} is not finite"
        assert want.isfinite().all(), f"{name} of the reference is not finite"
        if want.numel():
            off = (found[name].to(want.dtype) - want).abs().max() / want.abs().max().clamp(min=1.0)
            assert off <= limit, f"{name} is off by {off:.2e}"


def as_dtype(how: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Return the arguments with their bias in a dtype."""
    bias = how.get("bias")
    if isinstance(bias, RelativeBias):
        return how | {"bias": RelativeBias(bias.values.to(dtype))}
    return how if bias is None else how | {"bias": bias.to(dtype)}


class Largest(TorchDispatchMode):
    """Records how many entries the largest tensor made has, views counted by their memory.

    Tensors in the memory of what is given are not made.
    """

    def __init__(self, given: Any = ()) -> None:
        super().__init__()
        self.given = {x.untyped_storage().data_ptr() for x in _tensors(given)}
        self.entries = 0
        self.shape: tuple[int, ...] = ()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            entries = tensor.untyped_storage().nbytes() // tensor.element_size()
            made = tensor.untyped_storage().data_ptr() not in self.given
            if made and entries > self.entries:
                self.entries, self.shape = entries, tuple(tensor.shape)
        return out


def _tensors(found: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor))


def sizes(state: Any) -> int:
    """Return how many numbers a state of any make holds."""
    if isinstance(state, Tensor):
        return state.untyped_storage().nbytes() // state.element_size()
    if isinstance(state, dict):
        return sum(map(sizes, state.values()))
    if isinstance(state, tuple | list):
        return sum(map(sizes, state))
    return sum(map(sizes, vars(state).values())) if hasattr(state, "__dict__") else 0
