"""What a unit keeps: its error to its reference, row sums, entropy, and its Lipschitz constant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softunit.nn.attention import UNITS, AttentionUnit, RelativeBias, attend, reference, weights
from softunit.nn.workbench.costs import Inputs, Shape, accepted, draw
from softunit.nn.workbench.peers import Peer


@dataclass(frozen=True)
class Errors:
    """How far the efficient form is from the plain definition in float64.

    Each is the largest difference over the largest entry of the plain one.

    Attributes
    ----------
    output, gradient : float
        Of the efficient form in float32; the gradient is that of q, k, v and the bias, at its
        worst.
    output_double, gradient_double : float
        The same in float64.
    """

    output: float
    gradient: float
    output_double: float
    gradient_double: float


@dataclass(frozen=True)
class Rows:
    """What the weights of the queries look like.

    Attributes
    ----------
    least_sum, most_sum : float
        Smallest and largest sum of a row.
    entropy : float
        Mean over rows of -sum p log p over log m, where p is the row's |w| over its sum: 1 is
        even, 0 is one key.
    effective_keys : float
        exp of the mean entropy.
    negative : float
        Share of weights below zero.
    """

    least_sum: float
    most_sum: float
    entropy: float
    effective_keys: float
    negative: float


def errors(
    unit: AttentionUnit, shape: Shape, *, seed: int = 0, bias: RelativeBias | None = None
) -> Errors:
    """Return the errors of a unit at a shape; its dtype is not looked at.

    Parameters
    ----------
    unit : AttentionUnit
    shape : Shape
    seed : int, default 0
    bias : RelativeBias, optional
        Added to the scores.
    """
    double = Shape(**{**vars(shape), "dtype": "float64"})
    inputs, _ = accepted(unit, double, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    size = (shape.batch, shape.heads, shape.n, shape.width)
    into = torch.randn(size, generator=generator, dtype=torch.float64).to(shape.device)
    plain = _derived(reference, unit, inputs, into, shape.causal, bias)
    exact = _derived(attend, unit, inputs, into, shape.causal, bias)
    narrow = inputs.like(tuple(leaf.detach().float().requires_grad_() for leaf in inputs.leaves))
    single = _derived(attend, unit, narrow, into.float(), shape.causal, bias)
    return Errors(
        _apart(single[:1], plain[:1]),
        _apart(single[1:], plain[1:]),
        _apart(exact[:1], plain[:1]),
        _apart(exact[1:], plain[1:]),
    )


def peer_errors(peer: Peer, shape: Shape, *, seed: int = 0) -> dict[str, float]:
    """Return how far a peer of softmax is from the plain definition in float64, as `errors` does.

    Parameters
    ----------
    peer : Peer
    shape : Shape
        The peer gets float32.
    seed : int, default 0

    Returns
    -------
    dict of str to float
        output and gradient; empty for a peer that is not meant to give softmax.
    """
    if not peer.softmax:
        return {}
    inputs = draw(Shape(**{**vars(shape), "dtype": "float64"}), seed=seed)
    size = (shape.batch, shape.heads, shape.n, shape.width)
    generator = torch.Generator().manual_seed(seed + 1)
    into = torch.randn(size, generator=generator, dtype=torch.float64).to(shape.device)
    plain = _derived(reference, UNITS["softmax"], inputs, into, shape.causal)
    leaves = tuple(leaf.detach().float().requires_grad_() for leaf in inputs.leaves)
    out = peer.mix(shape)(*leaves)
    found = (out.detach(), *torch.autograd.grad(out, leaves, into.float()))
    return {
        "output": _apart(found[:1], plain[:1]),
        "gradient": _apart(found[1:], plain[1:]),
    }


def _derived(
    mix: Any,
    unit: AttentionUnit,
    inputs: Inputs,
    into: Tensor,
    causal: bool,
    bias: RelativeBias | None = None,
) -> tuple[Tensor, ...]:
    """Return the output and the gradients by all inputs, the bias too."""
    added = _like(bias, inputs.q)
    leaves = inputs.leaves
    if added is not None:
        leaves = (*leaves, added.values.requires_grad_())
    out = mix(inputs.q, inputs.k, inputs.v, unit=unit, causal=causal, bias=added)
    found = torch.autograd.grad(out, leaves, into, materialize_grads=True)
    return (out.detach(), *found)


def _like(bias: RelativeBias | None, q: Tensor) -> RelativeBias | None:
    """Return the same bias, a tensor of its own, where the queries are and of their dtype."""
    return None if bias is None else RelativeBias(bias.values.detach().clone().to(q))


def _apart(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    return max(
        float((a.double() - b).abs().max() / b.abs().max().clamp_min(1e-300))
        for a, b in zip(found, wanted, strict=True)
    )


def rows_of(
    unit: AttentionUnit, shape: Shape, *, seed: int = 0, bias: RelativeBias | None = None
) -> Rows:
    """Return what the weights of a unit look like at a shape.

    Parameters
    ----------
    unit : AttentionUnit
    shape : Shape
        n by n weights are made for each head.
    seed : int, default 0
    bias : RelativeBias, optional
        Added to the scores.
    """
    inputs, _ = accepted(unit, shape, seed=seed)
    with torch.no_grad():
        added = _like(bias, inputs.q)
        found = weights(inputs.q, inputs.k, unit=unit, causal=shape.causal, bias=added).double()
    sums = found.sum(-1)
    size = found.abs()
    shares = size / size.sum(-1, keepdim=True).clamp_min(1e-300)
    entropy = torch.special.entr(shares).sum(-1).mean()
    return Rows(
        float(sums.min()),
        float(sums.max()),
        float(entropy) / math.log(max(shape.n, 2)),
        math.exp(float(entropy)),
        float((found < 0).double().mean()),
    )


def lipschitz(
    unit: AttentionUnit,
    shape: Shape,
    *,
    points: int = 3,
    iterations: int = 30,
    seed: int = 0,
    bias: RelativeBias | None = None,
) -> float:
    """Return an estimate from below of the local Lipschitz constant of (q, k, v) to the output.

    The largest singular value of the Jacobian J of the plain definition in float64, by power
    iteration: u becomes J'J u / |J'J u|, where J' w is a backward through the formula and J u the
    derivative of that by w.
    The largest over random points is returned.

    Parameters
    ----------
    unit : AttentionUnit
    shape : Shape
        Its dtype is not looked at.
    points : int, default 3
    iterations : int, default 30
    seed : int, default 0
        Of the points and of the first directions.
    bias : RelativeBias, optional
        Added to the scores, and held fixed.
    """
    double = Shape(**{**vars(shape), "dtype": "float64"})
    return max(
        _largest_singular_value(unit, double, iterations, seed + place, bias)
        for place in range(points)
    )


def _largest_singular_value(
    unit: AttentionUnit, shape: Shape, iterations: int, seed: int, bias: RelativeBias | None
) -> float:
    inputs, _ = accepted(unit, shape, seed=seed)
    leaves, added = inputs.leaves, _like(bias, inputs.q)
    out = reference(inputs.q, inputs.k, inputs.v, unit=unit, causal=shape.causal, bias=added)
    generator = torch.Generator().manual_seed(seed + 1)
    drawn = torch.randn(out.shape, generator=generator, dtype=out.dtype).to(out.device)
    # J' w is linear in w: its derivative by w, taken backward along u, is J u.
    w = drawn.requires_grad_()
    back = torch.autograd.grad(out, leaves, w, create_graph=True, materialize_grads=True)
    u = tuple(part.detach() for part in back)
    value = 0.0
    for _ in range(iterations):
        norm = math.sqrt(sum(float(part.square().sum()) for part in u))
        if not norm:
            break
        scaled = tuple(part / norm for part in u)
        ahead = torch.autograd.grad(back, w, scaled, retain_graph=True)[0]
        value = float(ahead.norm())
        u = torch.autograd.grad(out, leaves, ahead, retain_graph=True, materialize_grads=True)
    return value
