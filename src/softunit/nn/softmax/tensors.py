"""Softmax in two sweeps for tensors, with its gradient, and the compiled kernel where it is one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn._checks import check_switch
from softunit.nn.softmax import _compiled
from softunit.nn.softmax._given import check_axis, check_scores

CHUNK = 4096
LN2 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)
HALVES = (torch.float16, torch.bfloat16)


def two_pass_softmax(scores: Tensor, dim: int = -1, *, compiled: bool = False) -> Tensor:
    """Return softmax along an axis, of the shape of the scores, in two sweeps.

    p_i = m_i 2^(k_i - k) / m with exp(x_i) = m_i 2^(k_i) and sum_i exp(x_i) = m 2^k (arXiv
    2001.04438). Each share is right to a few units of its last place, however small it is:
    subtracting a maximum first, as others do, rounds the differences.

    Parameters
    ----------
    scores : Tensor
        Of any shape and floating dtype; half precision is computed in float32. Minus infinity
        masks an entry, and plus infinity counts as the largest number. A single number gets one.
    dim : int, default -1
        The axis that sums to one.
    compiled : bool, default False
        Use the kernel in C, for float32 on the CPU: it is compiled once for each process by the
        machine's C compiler. It is faster than ``torch.softmax`` where the scores do not fit the
        processor's cache, and sums a single long vector with all of torch's threads. An axis that
        is not the last, or not contiguous, is copied first.

    Returns
    -------
    Tensor
        Of the shape and dtype of the scores; zeros where all along the axis are minus infinity.

    Raises
    ------
    InputError
        If the scores are no floating tensor or have no such axis, or `compiled` is neither True nor
        False; with ``compiled=True``, if they are not float32 on the CPU, or there is no C
        compiler.
    """
    check_scores(scores)
    dim = check_axis("dim", dim, scores.shape)
    check_switch("compiled", compiled)
    if scores.ndim == 0:
        return two_pass_softmax(scores[None], compiled=compiled)[0]
    if compiled:
        _check_for_kernel(scores)
        kernels: Tensor = _TwoPass.apply(scores, dim, True)
        return kernels
    wide = scores.float() if scores.dtype in HALVES else scores
    shares: Tensor = _TwoPass.apply(wide, dim, False)
    return shares.to(scores.dtype)


class _TwoPass(torch.autograd.Function):
    """Softmax with its own backward: g -> p (g - <g, p>)."""

    @staticmethod
    def forward(scores: Tensor, dim: int, compiled: bool) -> Tensor:
        moved = scores.movedim(dim, -1)
        shares = _compiled.softmax(moved) if compiled else _shares(moved)
        return shares.movedim(-1, dim)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.dim = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (shares,) = ctx.saved_tensors
        weighted = gradients[0] * shares
        return weighted - shares * weighted.sum(ctx.dim, keepdim=True), None, None


def _pairs(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return mantissas in the dtype of the scores, and whole exponents in float64."""
    largest = torch.finfo(scores.dtype).max / 2
    wide = scores.double().clamp(-largest, largest)
    exponents = torch.round(wide * (1 / 0.6931471805599453))
    rest = ((wide - exponents * LN2[0]) - exponents * LN2[1]).clamp(-0.35, 0.35)
    mantissas = torch.exp(rest.to(scores.dtype))
    return torch.where(scores == -torch.inf, 0.0, mantissas), exponents


def _shares(scores: Tensor) -> Tensor:
    """Return softmax along the last axis: pairs of chunks first, then pairs of rows.

    Chunks are rows of a view, so that a compiler can keep each in the cache for both its largest
    exponent and its sum.
    """
    n = scores.shape[-1]
    if n == 0:
        return scores.clone()
    chunk = min(n, CHUNK)
    padded = torch.nn.functional.pad(scores, (0, -n % chunk), value=-torch.inf)
    mantissas, exponents = _pairs(padded.unflatten(-1, (-1, chunk)))
    tops = exponents.amax(-1, keepdim=True)
    sums = (mantissas.double() * torch.exp2(exponents - tops)).sum(-1, keepdim=True)
    top = tops.amax((-1, -2), keepdim=True)
    total = (sums * torch.exp2(tops - top)).sum((-1, -2), keepdim=True)
    mantissas, exponents = _pairs(scores)
    factor = 1 / torch.where(total == 0, 1.0, total)[..., 0]
    return (mantissas.double() * factor * torch.exp2(exponents - top[..., 0])).to(scores.dtype)


def _check_for_kernel(scores: Tensor) -> None:
    if scores.dtype != torch.float32 or scores.device.type != "cpu":
        raise InputError(
            "The compiled softmax is for float32 on the CPU; got"
            f" {scores.dtype} on {scores.device}. Leave `compiled` out, or use torch.softmax."
        )
