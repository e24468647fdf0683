"""Inverses of small kernel matrices by Newton's iteration, with the gradient in closed form."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

Start = Literal["identity", "matrix"]


@torch.no_grad()
def newton_inverse(a: Tensor, iterations: int = 20, start: Start = "identity") -> Tensor:
    """Return the inverses X of symmetric positive definite matrices, of shape (..., l, l).

    X <- 2 X - X A X squares the residual I - A X each time. No gradient flows through it:
    `times_inverse` has that in closed form.

    Parameters
    ----------
    a : Tensor of shape (..., l, l)
        Symmetric and positive definite.
    iterations : int, default 20
        How many.
    start : {"identity", "matrix"}, default "identity"
        X_0 = I / |A|_1, or the X_0 = (2 / |A|_1^2) A of the paper, where |A|_1 is the largest sum
        of a column. Both share A's eigenvectors; an eigenvalue t |A|_1 of A begins with the
        residual 1 - t, or 1 - 2 t^2. The second dies where the columns have equal sums, as those
        of one or two landmarks have: t is one there, the residual -1, and X falls to zero.

    Returns
    -------
    Tensor of shape (..., l, l)
        The inverses.

    Notes
    -----
    Source: 1.2 (arXiv 2207.03341).
    """
    size = a.abs().sum(-2, keepdim=True).amax(-1, keepdim=True)
    if start == "matrix":
        x = 2.0 * a / size.square()
    else:
        x = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device) / size
    for _ in range(iterations):
        x = 2.0 * x - x @ a @ x
    return x


def times_inverse(c: Tensor, a: Tensor, x: Tensor) -> Tensor:
    """Return C A^-1 for a symmetric A whose inverse is almost X, of shape (..., n, l).

    One step of refinement, C X + (C - C X A) X, squares the residual of X once more and brings the
    error down to rounding of the result, which is far smaller than X where A is near singular:
    float32 is enough. The gradients of an inverse, dA = - X' dX X', come in the form
    dC = G A^-1, dA = - (C A^-1)' dC, in which the large entries of X do not meet either.

    Parameters
    ----------
    c : Tensor of shape (..., n, l)
    a : Tensor of shape (..., l, l)
    x : Tensor of shape (..., l, l)
        From `newton_inverse`; it gets no gradient.

    Notes
    -----
    Source: 1.2 (arXiv 2207.03341), proposition on the backward pass; the order of products is ours.
    """
    found: Tensor = refined(c, a, x)
    return found


def proven_residual(least: float, most: float, iterations: int) -> float:
    """Return what the eigenvalues of I - A X cannot exceed after iterations from "identity".

    (1 - least / most)^(2^iterations), for eigenvalues of at least `least` and |A|_1 of at most
    `most`.

    Parameters
    ----------
    least, most : float
        Bounds known without looking at A.
    iterations : int
        How many.
    """
    if least >= most:
        return 0.0
    return math.exp(2.0**iterations * math.log1p(-least / most))


def residual(a: Tensor, x: Tensor) -> Tensor:
    """Return the largest entry of I - A X, of shape (): one where X has not left zero.

    Parameters
    ----------
    a, x : Tensor of shape (..., l, l)
        Matrices and what should be their inverses.
    """
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    return (eye - a.detach() @ x).abs().amax()


@torch.library.custom_op(
    "softunit::refined",
    mutates_args=(),
    schema="(Tensor c, Tensor a, Tensor x) -> Tensor",
)
def refined(c: Tensor, a: Tensor, x: Tensor) -> Tensor:
    """Return what `times_inverse` says."""
    left = c @ x
    return left + (c - left @ a) @ x


@refined.register_fake
def _shape(c: Tensor, a: Tensor, x: Tensor) -> Tensor:
    return c.new_empty(c.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    _, a, x = inputs
    ctx.save_for_backward(a, x, output)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
    a, x, left = ctx.saved_tensors
    of_c = refined(grad, a, x)
    return of_c, -left.mT @ of_c, None


refined.register_autograd(_backward, setup_context=_keep)
