"""Monomials: features whose sums over pairs of keys are products of sums over keys."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softunit._typing import Vector


def count_monomials(d: int, degree: int) -> int:
    """Return C(d + degree, degree), the number of monomials of at most this degree.

    Parameters
    ----------
    d : int
        Number of variables.
    degree : int
        Largest total degree.
    """
    return math.comb(d + degree, degree)


def monomials(x: Tensor, degree: int, part: slice, scale: float | None = None) -> Tensor:
    """Return monomials x^a of the rows of x, of shape (..., n, r) for the r of `part`.

    sum_{t <= degree} s^t / t! = sum_a c_a x^a y^a for s = scale <x, y>, where
    c_a = scale^|a| / (a_1! ... a_d!). As (x * y)^a = x^a y^a, a sum over pairs of rows of two
    tensors of the monomials of their product is the product of two sums over rows.

    Parameters
    ----------
    x : Tensor of shape (..., n, d)
        One row for each token.
    degree : int
        Largest total degree, above zero.
    part : slice
        Which monomials, from start to stop, of the `count_monomials` in a fixed order.
    scale : float, optional
        Multiplies each by its c_a.
    """
    found: Tensor = monomial_features(x, degree, part.start, part.stop, scale)
    return found


@lru_cache(maxsize=8)
def _words(d: int, degree: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the variables of each monomial with repeats, (r, degree): 0 for one, i + 1 for x_i."""
    words = itertools.combinations_with_replacement(range(d + 1), degree)
    return np.fromiter(itertools.chain.from_iterable(words), np.int64).reshape(-1, degree)


@lru_cache(maxsize=8)
def _coefficients(d: int, degree: int, scale: float) -> Vector:
    """Return c_a for each monomial, (r,): scale to the power of its degree over factorials."""
    words = _words(d, degree)
    # The t-th of a run of equal variables brings 1 / t: in all, one over the factorial.
    run = np.ones(len(words))
    found = np.ones(len(words))
    for place in range(degree):
        if place:
            run = np.where(words[:, place] == words[:, place - 1], run + 1.0, 1.0)
        found *= np.where(words[:, place] > 0, scale / run, 1.0)
    return found


def _columns(x: Tensor, degree: int, start: int, stop: int) -> list[Tensor]:
    """Return the variables at each place of the monomials: `degree` tensors (..., n, r)."""
    one = torch.nn.functional.pad(x, (1, 0), value=1.0)
    words = torch.from_numpy(_words(x.shape[-1], degree)[start:stop].T.copy()).to(x.device)
    return [one.index_select(-1, word) for word in words]


def _weighed(found: Tensor, x: Tensor, degree: int, where: tuple[int, int], scale: float) -> Tensor:
    c = _coefficients(x.shape[-1], degree, scale)[slice(*where)]
    return found * torch.from_numpy(c).to(x)


@torch.library.custom_op(
    "softunit::monomial_features",
    mutates_args=(),
    schema="(Tensor x, int degree, int start, int stop, float? scale) -> Tensor",
)
def monomial_features(x: Tensor, degree: int, start: int, stop: int, scale: float | None) -> Tensor:
    """Return what `monomials` says."""
    first, *others = _columns(x, degree, start, stop)
    for other in others:
        first = first * other
    return first if scale is None else _weighed(first, x, degree, (start, stop), scale)


@monomial_features.register_fake
def _features_shape(x: Tensor, degree: int, start: int, stop: int, scale: float | None) -> Tensor:
    return x.new_empty(*x.shape[:-1], stop - start)


@torch.library.custom_op(
    "softunit::monomial_gradients",
    mutates_args=(),
    schema="(Tensor x, Tensor grad, int degree, int start, int stop, float? scale) -> Tensor",
)
def monomial_gradients(
    x: Tensor, grad: Tensor, degree: int, start: int, stop: int, scale: float | None
) -> Tensor:
    """Return the gradient of x: at each place, the product of the other places."""
    if scale is not None:
        grad = _weighed(grad, x, degree, (start, stop), scale)
    columns = _columns(x, degree, start, stop)
    after = [torch.ones_like(grad)]
    for column in reversed(columns[1:]):
        after.insert(0, after[0] * column)
    words = torch.from_numpy(_words(x.shape[-1], degree)[start:stop].T.copy()).to(x.device)
    found = x.new_zeros(*x.shape[:-1], x.shape[-1] + 1)
    before = grad
    for column, behind, word in zip(columns, after, words, strict=True):
        found.index_add_(-1, word, before * behind)
        before = before * column
    return found[..., 1:].contiguous()


@monomial_gradients.register_fake
def _gradients_shape(
    x: Tensor, grad: Tensor, degree: int, start: int, stop: int, scale: float | None
) -> Tensor:
    return x.new_empty(x.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.rest = inputs[1:]


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    (x,) = ctx.saved_tensors
    return monomial_gradients(x, grad, *ctx.rest), None, None, None, None


monomial_features.register_autograd(_backward, setup_context=_keep)
