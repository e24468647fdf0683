"""Any optimiser on gradients perpendicular to the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from softunit.errors import InputError

GROUP_KEY = "perpendicular"


class PerpendicularGradient(Optimizer):
    """Wraps an optimiser: each gradient loses its part along its tensor of weights.

    Before each step, for each tensor theta of more than one number, with gradient g::

        g <- g - (<theta, g> / <theta, theta>) theta

    In a network that is homogeneous in its weights that part only scales the scores: it lowers the
    cross-entropy of what is classified already, and leads to softmax collapse.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Any of torch's, or of that kind. Its parameter groups, state and defaults are shared, so
        schedulers, gradient scalers and checkpoints may be given either. A group with
        ``perpendicular=False`` keeps its gradients.

    Raises
    ------
    InputError
        If it is no optimiser, or wrapped already; in a step, if a gradient is sparse.

    Notes
    -----
    Gradients are changed in place, in `step`; clip and unscale them before. With a closure they are
    changed after each of its calls, so that LBFGS sees no others; it then moves along the sphere of
    the weights only to first order, and its line search may end early. A tensor of zeros has no
    direction, and keeps its gradient. A tensor of one real number keeps it too: all of its gradient
    is along it, so the projection would stop a bias of one output, or a scale, from ever learning.

    Prieto et al., "Grokking at the Edge of Numerical Stability" (claim 1.3).
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if isinstance(optimizer, PerpendicularGradient):
            raise InputError("`optimizer` is a PerpendicularGradient already: wrap its `base`.")
        if not isinstance(optimizer, Optimizer):
            raise InputError(
                f"`optimizer` must be a torch optimizer; got {type(optimizer).__name__}."
            )
        # torch's own constructor makes what hooks and profilers need; then all is shared.
        super().__init__(list(optimizer.param_groups), optimizer.defaults)
        self.base = optimizer
        self._share_state()
        optimizer.register_load_state_dict_post_hook(self._share_state)

    def _share_state(self, loaded: Optimizer | None = None) -> None:
        self.param_groups = self.base.param_groups
        self.state = self.base.state

    def __getstate__(self) -> dict[str, Any]:
        return {"base": self.base}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["base"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"PerpendicularGradient({self.base!r})"

    @torch.no_grad()
    def project(self) -> None:
        """Take from each gradient its part along its tensor, in place; `step` does it itself.

        Raises
        ------
        InputError
            If a gradient is sparse.
        """
        for group in self.param_groups:
            if group.get(GROUP_KEY, True):
                _project([p for p in group["params"] if p.grad is not None])

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Project the gradients and make a step of the wrapped optimiser.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss anew and its gradients, which are projected after each call.

        Returns
        -------
        What the wrapped optimiser returns.
        """
        if closure is None:
            self.project()
            return self.base.step()

        def projected() -> Any:
            loss = closure()
            self.project()
            return loss

        return self.base.step(projected)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients.

        Parameters
        ----------
        set_to_none : bool, default True
            Put None in their place instead of zeros.
        """
        self.base.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the wrapped optimiser.

        Parameters
        ----------
        param_group : dict
            With "params", settings, and "perpendicular" (False to keep its gradients).
        """
        if "base" in vars(self):
            self.base.add_param_group(param_group)
        else:  # torch's constructor adds those that are there
            super().add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the wrapped optimiser, which loads into either."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state of this or of the wrapped optimiser.

        Parameters
        ----------
        state_dict : dict
            As `state_dict` returned it.
        """
        self.base.load_state_dict(state_dict)


def _project(parameters: list[Tensor]) -> None:
    by_place: dict[tuple[torch.device, torch.dtype], tuple[list[Tensor], list[Tensor]]] = {}
    for parameter in parameters:
        gradient = parameter.grad
        assert gradient is not None
        if gradient.layout != torch.strided:
            raise InputError(
                f"A gradient of shape {tuple(gradient.shape)} is sparse: a perpendicular one would"
                " be dense. Use nn.Embedding(..., sparse=False), or put the tensor into a group"
                f" with {GROUP_KEY}=False."
            )
        weights = parameter.detach()
        if weights.is_complex():
            weights, gradient = torch.view_as_real(weights), torch.view_as_real(gradient)
        if weights.numel() < 2:  # nothing lies across a single number
            continue
        lists = by_place.setdefault((weights.device, weights.dtype), ([], []))
        lists[0].append(weights)
        lists[1].append(gradient)
    for weights_of, gradients in by_place.values():
        _project_together(weights_of, gradients)


def _project_together(weights: list[Tensor], gradients: list[Tensor]) -> None:
    """Project tensors of one device and dtype, with few kernels: g <- g - (<a, g> / <a, a>) a.

    a is theta over its largest entry, so that small and large weights neither vanish nor overflow
    when squared; sums of half precision are made in float32.
    """
    narrow = weights[0].dtype in (torch.float16, torch.bfloat16)
    wide = [g.float() for g in gradients] if narrow else gradients
    if narrow:
        weights = [w.float() for w in weights]
    largest = [torch.where(size > 0, size, 1.0) for size in torch._foreach_norm(weights, torch.inf)]
    scaled = torch._foreach_div(weights, largest)
    along = []
    for a, g in zip(scaled, wide, strict=True):
        square = torch.sum(a * a)
        along.append(torch.sum(a * g) / torch.where(square > 0, square, 1.0))
    parts = torch._foreach_mul(scaled, along)
    torch._foreach_sub_(gradients, [p.to(g.dtype) for p, g in zip(parts, gradients, strict=True)])
