"""Attention from elsewhere, on the same tensors: PyTorch's, and flash-linear-attention."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import elu, scaled_dot_product_attention

from softunit.errors import InputError
from softunit.nn.workbench.contenders import Contender
from softunit.nn.workbench.costs import Inputs, Mix, Shape, draw


@dataclass(frozen=True)
class Peer(Contender):
    """Attention that is not ours.

    Attributes
    ----------
    name, about : str
    linear : bool
    make : callable
        Takes a shape and returns what mixes.
    why_not : callable
        Takes a shape and returns why it cannot be measured, or an empty text.
    softmax : bool, default True
        Whether it is meant to give what the unit softmax gives.
    """

    name: str
    about: str
    linear: bool
    make: Callable[[Shape], Mix]
    why_not: Callable[[Shape], str]
    softmax: bool = True

    def missing(self, shape: Shape) -> str:
        """Return why it cannot be measured at a shape, or nothing."""
        return self.why_not(shape)

    def inputs(self, shape: Shape, seed: int) -> tuple[Inputs, str]:
        """Return the tensors that the unit softmax gets."""
        return draw(shape, seed=seed), ""

    def mix(self, shape: Shape) -> Mix:
        """Return what takes q, k and v of a shape to the mixed values."""
        return self.make(shape)


def _always(shape: Shape) -> str:
    return ""


def _fused(shape: Shape) -> Mix:
    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v, is_causal=shape.causal)

    return mix


def _math(shape: Shape) -> Mix:
    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel([SDPBackend.MATH]):
            return scaled_dot_product_attention(q, k, v, is_causal=shape.causal)

    return mix


def _plain(shape: Shape) -> Mix:
    future = None
    if shape.causal:
        every = torch.ones(shape.n, shape.n, dtype=torch.bool, device=shape.device)
        future = every.triu(1)

    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if future is not None:
            scores = scores.masked_fill(future, float("-inf"))
        return torch.softmax(scores, -1) @ v

    return mix


def _fla_why_not(shape: Shape) -> str:
    if importlib.util.find_spec("fla") is None:
        return (
            "flash-linear-attention is not installed: pip install flash-linear-attention einops"
            " triton."
        )
    if not shape.device.startswith("cuda") and shape.n % _CHUNK:
        return f"its form on the CPU takes lengths that {_CHUNK} divides; this one is {shape.n}."
    try:
        _fla(shape.device)
    except Exception as error:  # its imports look for a GPU and drivers, and may fail in many ways
        return f"flash-linear-attention does not load here: {type(error).__name__}: {error}"
    return ""


_CHUNK = 64


def _fla(device: str) -> Callable[..., Any]:
    """Return its kernel on a GPU; elsewhere its plain form in PyTorch, as Triton needs a GPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where there is no GPU
        if device.startswith("cuda"):
            linear = importlib.import_module("fla.ops.linear_attn")
            kernel: Callable[..., Any] = linear.chunk_linear_attn
            return kernel
        naive: Callable[..., Any] = importlib.import_module(
            "fla.ops.linear_attn.naive"
        ).naive_chunk_linear_attn
        return naive


def _fla_mix(shape: Shape) -> Mix:
    found = _fla(shape.device)

    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # Its tensors are (batch, tokens, heads, width); the map is that of the first linear form.
        q, k, v = (elu(q) + 1).transpose(1, 2), (elu(k) + 1).transpose(1, 2), v.transpose(1, 2)
        out = found(q, k, v, normalize=True)
        mixed: Tensor = out[0] if isinstance(out, tuple) else out
        return mixed.transpose(1, 2)

    return mix


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            "torch-sdpa",
            "torch.nn.functional.scaled_dot_product_attention, the kernel PyTorch chooses",
            False,
            _fused,
            _always,
        ),
        Peer(
            "torch-math",
            "the same with its backend MATH: all scores in memory",
            False,
            _math,
            _always,
        ),
        Peer(
            "torch-plain",
            "softmax(q k' / sqrt(d)) v, written with torch.softmax",
            False,
            _plain,
            _always,
        ),
        Peer(
            "fla-linear",
            "flash-linear-attention with elu(x) + 1, causal whatever is asked: its Triton kernel on"
            " a GPU, its plain chunked form in PyTorch elsewhere",
            True,
            _fla_mix,
            _fla_why_not,
            softmax=False,
        ),
    )
}
"""Peers by name."""

PAPERS: dict[str, tuple[str, str]] = {
    "sigmoid": (
        "FLASHSIGMOID: 17% faster at inference than FLASHATTENTION2, as a kernel on an H100.",
        "1.43 Theory, Analysis, and Best Practices for Sigmoid Self-Attention",
    ),
    "softplus_reweighted": (
        "Nearly constant validation loss at 16 times the length of training.",
        "1.24 Softplus Attention with Re-weighting",
    ),
    "nalaformer": (
        "Up to 4.2% better than linear attention on tasks of vision and language.",
        "1.5 NaLaFormer: Norm-Aware Linear Attention",
    ),
    "kernelized": (
        "O(n log n) time with relative positions, faster than the standard form on long sequences.",
        "1.11 Kernelized Attention with Relative Positional Encoding",
    ),
    "soft": (
        "Time and memory linear in n; the pseudo-inverse by an iteration forward, its gradient once"
        " and in closed form backward.",
        "1.2 Softmax-free Linear Transformers",
    ),
    "quasiseparable": (
        "0.8 points above BERT on GLUE and 2% above ViT on ImageNet.",
        "2.18 Hydra: Bidirectional State Space Models",
    ),
    "tensor": (
        "Time n^3 in general, and no faster than n^(3 - o(1)) for large entries.",
        "2.26 How to Capture Higher-order Correlations?",
    ),
    "tensor_polynomial": (
        "Time n^(1 + o(1)) where entries are o((log n)^(1/3)).",
        "2.26 How to Capture Higher-order Correlations?",
    ),
}
"""What the papers say of their own, to be read beside what is measured; nothing here measured it.

By the name of a unit: the sentence, and the paper.
"""


def peer_of(name: str) -> Peer:
    """Return the peer of a name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in PEERS:
        raise InputError(f"There is no peer {name!r}; the peers are {', '.join(PEERS)}.")
    return PEERS[name]


def versions() -> dict[str, str]:
    """Return the versions of what is measured with, of those that are installed."""
    found = {}
    for name in ("torch", "fla-core", "triton"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
