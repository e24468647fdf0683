"""What tests of single units share: tensors to draw, and both forms of a unit compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softunit.nn.attention import RelativeBias, attend, reference
from tests.nn.cases import normal

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def draw(
    rng: np.random.Generator, *shapes: tuple[int, ...], dtype: torch.dtype = torch.float64
) -> list[Tensor]:
    return [normal(rng, *shape, dtype=dtype) for shape in shapes]


def pairs(
    rng: np.random.Generator, n: int, m: int, d: int, e: int = 3, lead: tuple[int, int] = (2, 2)
) -> list[Tensor]:
    """Return q, two keys and two values."""
    shapes = ((n, d), (m, d), (m, d), (m, e), (m, e))
    return draw(rng, *((*lead, *shape) for shape in shapes))


def call(how: Callable[..., Tensor], tensors: Sequence[Tensor], **where: Any) -> Tensor:
    """Return the output of q, k, v, or of q with two keys and two values."""
    q, *rest = tensors
    k, v = rest if len(rest) == 2 else (tuple(rest[:2]), tuple(rest[2:]))
    return how(q, k, v, **where)


def agree(
    rng: np.random.Generator,
    tensors: Sequence[Tensor],
    dtype: torch.dtype,
    bias: Tensor | None = None,
    **where: Any,
) -> None:
    """Compare the output and every gradient of the efficient form with the definition's.

    Relative to the largest entry where that is above one. A bias of one axis is one of distances.
    """
    found, weight = [], None
    for how in (attend, reference):
        given = [x.to(dtype).clone().requires_grad_() for x in tensors]
        added = None if bias is None else bias.to(dtype).clone().requires_grad_()
        passed = RelativeBias(added) if added is not None and added.ndim == 1 else added
        out = call(how, given, bias=passed, **where)
        if weight is None:
            weight = normal(rng, *out.shape, dtype=dtype)
        leaves = given if added is None else [*given, added]
        found.append((out, *torch.autograd.grad((out * weight).sum(), leaves)))
    for one, other in zip(*found, strict=True):
        assert bool(torch.isfinite(one).all())
        tolerance = TOLERANCE[dtype] * max(1.0, float(other.detach().abs().max()))
        torch.testing.assert_close(one, other, rtol=0.0, atol=tolerance)


def compiled(**where: Any) -> Callable[..., Tensor]:
    """Return `attend` of tensors in one graph."""
    torch.compiler.reset()
    whole: Callable[..., Tensor] = torch.compile(
        lambda *given: call(attend, given, **where), fullgraph=True, backend="aot_eager"
    )
    return whole


def agree_compiled(tensors: Sequence[Tensor], **where: Any) -> None:
    """Compare the output and every gradient of one graph with those of the plain call."""
    found = []
    for how in (compiled(**where), lambda *given: call(attend, given, **where)):
        given = [x.clone().requires_grad_() for x in tensors]
        out = how(*given)
        found.append((out, *torch.autograd.grad(out.square().sum(), given)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
