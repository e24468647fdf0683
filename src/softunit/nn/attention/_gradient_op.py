"""Operators whose gradients another operator makes from the same inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from torch._library.custom_ops import CustomOpDef


def differentiated_by(operator: CustomOpDef, gradients: Callable[..., tuple[Tensor, ...]]) -> None:
    """Give an operator of tensors the gradients that another one returns.

    Parameters
    ----------
    operator : CustomOpDef
        From tensors to one tensor.
    gradients : callable
        Takes those tensors and the gradient of the output, and returns one gradient for each.
    """

    def keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return gradients(*ctx.saved_tensors, grad)

    operator.register_autograd(backward, setup_context=keep)
