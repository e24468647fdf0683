"""Softmax in two sweeps, in NumPy: e^x is a mantissa and an exponent, so no maximum is needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.errors import InputError
from softunit.nn._checks import check_count
from softunit.nn.softmax._given import check_axis

BLOCK = 1 << 16
NOTHING = -math.inf


def exp_pairs(scores: Array) -> tuple[Array, Array]:
    """Return m and k with exp(x) = m 2^k, each of the shape of the scores.

    k = round(x / ln 2) and m = exp(x - k ln 2), about in [0.7, 1.42]: nothing over- or underflows
    where exp(x) would.

    Parameters
    ----------
    scores : array of any shape, floating
        Minus infinity gives m = 0; plus infinity counts as the largest finite number.

    Returns
    -------
    tuple of array
        Mantissas in the dtype of the scores (at least float32), exponents as whole float64.

    Raises
    ------
    InputError
        If the scores are no array of real floating numbers.
    """
    _check_array(scores)
    largest = float(np.finfo(scores.dtype).max) / 2
    wide = np.clip(scores.astype(np.float64), -largest, largest)
    exponents = np.rint(wide * (1 / math.log(2)))
    # ln 2 in two parts, so that the first product is exact while |k| < 2^20.
    rest = (wide - exponents * 6.93147180369123816490e-01) - exponents * 1.90821492927058770002e-10
    rest = np.clip(rest, -0.35, 0.35)  # beyond that k itself is coarse
    mantissas = np.exp(rest.astype(np.promote_types(scores.dtype, np.float32)))
    return np.where(np.isneginf(scores), mantissas.dtype.type(0), mantissas), exponents


def two_pass_blocks(blocks: Callable[[], Iterable[Array]]) -> Iterator[Array]:
    """Return the softmax of one long vector that is read in blocks, twice.

    1. Sum exp(x) over all blocks as a pair m 2^k, rescaled by a power of two where a larger
       exponent comes.
    2. Read the blocks again and write m_i / m * 2^(k_i - k).

    Parameters
    ----------
    blocks : callable
        Returns an iterable over the blocks of the vector, in the same order each time; it is called
        exactly twice.

    Returns
    -------
    iterator over arrays
        The shares of each block, zeros where all scores are minus infinity.

    Raises
    ------
    InputError
        If `blocks` is not callable; while it is read, if a block is no floating array of one axis.
    """
    if not callable(blocks):
        raise InputError(
            "`blocks` must be a function without arguments that returns the blocks, for they are"
            f" read twice; got {type(blocks).__name__}: `lambda: blocks` makes one of a list."
        )
    return _read_twice(blocks)


def _read_twice(blocks: Callable[[], Iterable[Array]]) -> Iterator[Array]:
    total, top = 0.0, NOTHING
    for block in blocks():
        _check_array(block, "A block of `blocks`")
        if block.ndim != 1:
            raise InputError(
                f"A block of `blocks` must have one axis; got shape {block.shape}. For many rows"
                " use two_pass_softmax."
            )
        mantissas, exponents = exp_pairs(block)
        part, most = _sums(mantissas, exponents, -1)
        total, top = _joined(total, top, float(part.squeeze()), float(most.squeeze()))
    for block in blocks():
        yield _shares(block, np.array(total), np.array(top))


def two_pass_softmax(scores: Array, axis: int = -1, *, block: int = BLOCK) -> Array:
    """Return softmax along an axis, of the shape of the scores: the plain NumPy form.

    p_i = m_i 2^(k_i - k) / m with exp(x_i) = m_i 2^(k_i) and sum_i exp(x_i) = m 2^k (arXiv
    2001.04438). The scores are read twice, block after block, and no maximum is looked for.

    Parameters
    ----------
    scores : array of any shape, floating
        Minus infinity masks an entry, and plus infinity counts as the largest number. A single
        number gets one.
    axis : int, default -1
        The axis that sums to one.
    block : int, default 65536
        How many entries of the axis are held at a time.

    Returns
    -------
    array
        Of the shape and dtype of the scores; zeros where all along the axis are minus infinity.

    Raises
    ------
    InputError
        If the scores are no floating array, have no such axis, or the block is not an integer above
        zero.
    """
    _check_array(scores)
    block = check_count("block", block)
    axis = check_axis("axis", axis, scores.shape)
    if scores.ndim == 0:
        return two_pass_softmax(scores[None], block=block).reshape(())
    moved = np.moveaxis(scores, axis, -1)
    starts = range(0, moved.shape[-1], block)
    total, top = np.zeros((*moved.shape[:-1], 1)), np.full((*moved.shape[:-1], 1), NOTHING)
    for start in starts:
        part, most = _sums(*exp_pairs(moved[..., start : start + block]), -1)
        total, top = _joined(total, top, part, most)
    out = np.empty(moved.shape, scores.dtype)
    for start in starts:
        stop = start + block
        out[..., start:stop] = _shares(np.asarray(moved[..., start:stop]), total, top)
    return np.moveaxis(out, -1, axis)


def _check_array(scores: Any, name: str = "`scores`") -> None:
    if not isinstance(scores, (np.ndarray, np.floating)):
        raise InputError(f"{name} must be a NumPy array; got {type(scores).__name__}.")
    if not np.issubdtype(scores.dtype, np.floating):
        raise InputError(f"{name} must be of a floating dtype; got {scores.dtype}.")


def _sums(mantissas: Array, exponents: Array, axis: int) -> tuple[Array, Array]:
    """Return the sum of pairs as pairs, in float64 whose exponents are the largest ones."""
    if not mantissas.shape[axis]:
        shape = (*mantissas.shape[:-1], 1)
        return np.zeros(shape), np.full(shape, NOTHING)
    seen = np.where(mantissas == 0, NOTHING, exponents)
    most = seen.max(axis, keepdims=True)
    base = np.where(np.isfinite(most), most, 0.0)
    return (mantissas * np.exp2(seen - base)).sum(axis, dtype=np.float64, keepdims=True), most


def _joined(total: Any, top: Any, part: Any, most: Any) -> tuple[Any, Any]:
    """Return the sum of two pairs as a pair with the larger exponent."""
    larger = np.maximum(top, most)
    base = np.where(np.isfinite(larger), larger, 0.0)
    return total * np.exp2(top - base) + part * np.exp2(most - base), larger


def _shares(block: Array, total: Array, top: Array) -> Array:
    mantissas, exponents = exp_pairs(block)
    base = np.where(np.isfinite(top), top, 0.0)
    factor = 1 / np.where(total == 0, 1.0, total)
    shift = np.where(mantissas == 0, 0.0, exponents - base)
    shares: Array = (mantissas * factor * np.exp2(shift)).astype(block.dtype)
    return shares
