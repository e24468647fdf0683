"""Sums weighed by distance, sum_j t_{j-i} <a_i, b_j> c_j, by FFT in n log n time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from softunit.nn.attention._gradient_op import differentiated_by

ENTRIES = 1 << 18
"""Numbers that are transformed at a time: few enough for the cache."""


def distance_sums(a: Tensor, b: Tensor, c: Tensor, t: Tensor) -> Tensor:
    """Return out_i = sum_j t[j - i + n - 1] <a_i, b_j> c_j, of shape (..., n, e).

    Each product b_jr c_je is a column that a Toeplitz matrix multiplies: r e transforms forth and
    back of length n + m. They are made in float64 whatever the dtype, for a transform's error is
    relative to the largest entries of its column and of t, not to the entry itself: about
    1e-16 |t|_2 |b_r c_e|_2. Memory beyond inputs and outputs does not grow with r e. Gradients of
    all four inputs are made in the same way, in one pass of twice the cost.

    Parameters
    ----------
    a : Tensor of shape (batch, heads, n, r)
    b : Tensor of shape (batch, heads, m, r)
    c : Tensor of shape (batch, heads, m, e)
    t : Tensor of shape (batch or 1, heads or 1, n + m - 1), float64

    Notes
    -----
    Source: 1.11 (arXiv 2106.12566).
    """
    sums: Tensor = toeplitz_sums(a, b, c, t)
    return sums


def transform_length(least: int) -> int:
    """Return the smallest product of twos, threes and fives that is not below `least`."""
    best = 1 << (least - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            two = three << max(0, (-(-least // three) - 1).bit_length())
            best = min(best, two)
            three *= 3
        five *= 5
    return best


def _circulant(t: Tensor, m: int, length: int) -> Tensor:
    """Return the transform of u -> t_{-u}: what columns of keys are multiplied by."""
    spectrum: Tensor = torch.fft.rfft(pad(t.flip(-1), (0, length - t.shape[-1])).roll(1 - m, -1))
    return spectrum


def _uncirculant(spectrum: Tensor, n: int, m: int, length: int) -> Tensor:
    """Return the entries for distances -(n-1) to m-1: the transpose of `_circulant`."""
    whole: Tensor = torch.fft.irfft(spectrum, length)
    return whole.roll(m - 1, -1)[..., : n + m - 1].flip(-1)


def _flat(x: Tensor) -> Tensor:
    """Return x as (batch * heads, width, tokens) in float64, so that time lies next to itself."""
    return x.flatten(0, 1).mT.double().contiguous()


def _unflat(x: Tensor, like: Tensor) -> Tensor:
    """Return x as (batch, heads, tokens, width) again, in the dtype of `like`."""
    shaped: Tensor = x.mT.unflatten(0, like.shape[:2])
    return shaped.to(like.dtype).contiguous()


def _pieces(r: int, e: int, length: int) -> list[tuple[slice, slice]]:
    """Return groups of features and value columns whose products are transformed at a time."""
    many = max(1, ENTRIES // length)
    # Of equal size, for a single column is transformed at a third of the speed.
    columns = -(-e // -(-e // many))
    features = max(1, many // columns)
    return [
        (slice(i, i + features), slice(j, j + columns))
        for i in range(0, r, features)
        for j in range(0, e, columns)
    ]


def _column(x: Tensor, y: Tensor, length: int) -> Tensor:
    """Return the transforms of all products of a row of x and a row of y: (rows, rows, .)."""
    spectra: Tensor = torch.fft.rfft(x.unsqueeze(1) * y, length)
    return spectra


@torch.library.custom_op(
    "softunit::toeplitz_sums",
    mutates_args=(),
    schema="(Tensor a, Tensor b, Tensor c, Tensor t) -> Tensor",
)
def toeplitz_sums(a: Tensor, b: Tensor, c: Tensor, t: Tensor) -> Tensor:
    """Return what `distance_sums` says."""
    n, m = a.shape[-2], b.shape[-2]
    length = transform_length(n + m - 1)
    spectra = _circulant(t, m, length).expand(*a.shape[:2], -1).flatten(0, 1)
    rows, keys, values = _flat(a), _flat(b), _flat(c)
    out = torch.zeros(len(rows), values.shape[1], n, dtype=torch.float64, device=a.device)
    pieces = _pieces(rows.shape[1], values.shape[1], length)
    for at, spectrum in enumerate(spectra):
        for f, g in pieces:
            moved = _column(keys[at, f], values[at, g], length).mul_(spectrum)
            mixed = torch.fft.irfft(moved, length)[..., :n]
            out[at, g] += mixed.mul_(rows[at, f].unsqueeze(1)).sum(0)
    return _unflat(out, a)


@toeplitz_sums.register_fake
def _shape(a: Tensor, b: Tensor, c: Tensor, t: Tensor) -> Tensor:
    return c.new_empty(*a.shape[:-1], c.shape[-1])


@torch.library.custom_op(
    "softunit::toeplitz_gradients",
    mutates_args=(),
    schema="(Tensor a, Tensor b, Tensor c, Tensor t, Tensor grad)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
)
def toeplitz_gradients(
    a: Tensor, b: Tensor, c: Tensor, t: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of a, b, c and t, from two transforms each way for a column.

    With X the transforms of b_r c_e and Y of a_r grad_e: rows gather from t X, keys and values
    from conj(t) Y, and t from sum conj(X) Y.
    """
    n, m = a.shape[-2], b.shape[-2]
    length = transform_length(n + m - 1)
    spectra = _circulant(t, m, length).expand(*a.shape[:2], -1).flatten(0, 1)
    rows, keys, values, back = _flat(a), _flat(b), _flat(c), _flat(grad)
    found = [torch.zeros_like(x) for x in (rows, keys, values)]
    turned = torch.zeros_like(spectra)
    pieces = _pieces(rows.shape[1], values.shape[1], length)
    for at, spectrum in enumerate(spectra):
        for f, g in pieces:
            x = _column(keys[at, f], values[at, g], length)
            y = _column(rows[at, f], back[at, g], length)
            turned[at] += (x.conj() * y).sum((0, 1))
            there = torch.fft.irfft(x.mul_(spectrum), length)[..., :n]
            found[0][at, f] += there.mul_(back[at, g]).sum(1)
            here = torch.fft.irfft(y.mul_(spectrum.conj()), length)[..., :m]
            found[1][at, f] += (here * values[at, g]).sum(1)
            found[2][at, g] += here.mul_(keys[at, f].unsqueeze(1)).sum(0)
    of_t = _uncirculant(turned, n, m, length).unflatten(0, a.shape[:2]).sum_to_size(t.shape)
    first, second, third = (_unflat(x, a) for x in found)
    return first, second, third, of_t.contiguous()


@toeplitz_gradients.register_fake
def _shapes(
    a: Tensor, b: Tensor, c: Tensor, t: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # Contiguous whatever the strides of the inputs are.
    return a.new_empty(a.shape), b.new_empty(b.shape), c.new_empty(c.shape), t.new_empty(t.shape)


differentiated_by(toeplitz_sums, toeplitz_gradients)
