"""StableMax: shares s(z_i) / sum_j s(z_j) with s linear above zero, and its cross-entropy."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from softunit.nn.losses._targets import check_options, check_targets
from softunit.nn.softmax._given import check_axis, check_scores

Reduction = Literal["none", "mean", "sum"]
IGNORED = -100


def stablemax(scores: Tensor, dim: int = -1) -> Tensor:
    """Return the StableMax shares of scores, of their shape.

    p_i = s(z_i) / sum_j s(z_j), where s(z) = z + 1 for z >= 0 and 1 / (1 - z) below. It is softmax
    of sign(z) log(1 + |z|): scores count by their logarithm, so large ones leave the small ones
    a share. Unlike softmax it is not the same after a constant is added to all scores.

    Parameters
    ----------
    scores : Tensor
        Of any shape and floating dtype; half precision is computed in float32. A score of minus
        infinity has no share, and plus infinity counts as the largest number.
    dim : int, default -1
        The axis whose shares sum to one.

    Returns
    -------
    Tensor
        Of the shape and dtype of the scores; zeros where all scores are minus infinity.

    Raises
    ------
    InputError
        If the scores are no floating tensor or have no such axis.

    Notes
    -----
    Prieto et al., "Grokking at the Edge of Numerical Stability" (claim 1.3).
    """
    wide = _wide(scores)
    dim = check_axis("dim", dim, scores.shape)
    if _nothing_along(scores, dim):
        return scores.clone()
    size = torch.log1p(_magnitude(wide))
    raw = torch.where(wide >= 0, 1 + _magnitude(wide), torch.exp(-size))
    # Shares do not change with a common factor, so the largest may be taken as a constant.
    raw = raw / raw.detach().amax(dim, keepdim=True).clamp(min=torch.finfo(raw.dtype).tiny)
    total = raw.sum(dim, keepdim=True)
    return (raw / torch.where(total > 0, total, 1.0)).to(scores.dtype)


def log_stablemax(scores: Tensor, dim: int = -1) -> Tensor:
    """Return the logarithms of the StableMax shares, of the shape of the scores.

    With g = sign(z) log(1 + |z|) and m the place of the largest::

        log p_i = (g_i - g_m) - log1p(sum_{j != m} exp(g_j - g_m))

    The largest term is left out of the sum, so that the logarithm of a share near one is as
    accurate as any other: it is zero only where the rest underflows.

    Parameters
    ----------
    scores : Tensor
        As in `stablemax`.
    dim : int, default -1
        The axis whose shares sum to one.

    Returns
    -------
    Tensor
        Of the shape and dtype of the scores.

    Raises
    ------
    InputError
        If the scores are no floating tensor or have no such axis.
    """
    wide = _wide(scores)
    dim = check_axis("dim", dim, scores.shape)
    if _nothing_along(scores, dim):
        return scores.clone()
    return _log_shares(_signed_log(wide), dim).to(scores.dtype)


def stablemax_cross_entropy(
    scores: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = IGNORED,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy of StableMax shares: a drop-in for torch's `cross_entropy`.

    loss_i = -w_{y_i} log p_{i, y_i}, with p the StableMax shares of row i. It does not round to
    zero when a sample is classified well, and neither does its gradient.

    Parameters
    ----------
    scores : Tensor of shape (C,), (N, C) or (N, C, d1, ...)
        Scores of C classes.
    target : Tensor of shape (), (N,) or (N, d1, ...), or the shape of the scores
        Classes 0 to C - 1 as int64; or shares of classes in a floating dtype.
    weight : Tensor of shape (C,), optional
        Weight of each class.
    ignore_index : int, default -100
        A class that is not counted; only for targets that are classes.
    reduction : {"mean", "none", "sum"}, default "mean"
        What becomes of the losses of samples. The mean of classes divides by the sum of weights,
        that of shares by the number of samples, as torch does.
    label_smoothing : float, default 0.0
        Share of the target that is spread over all classes, in [0, 1].

    Returns
    -------
    Tensor of shape (), or of one loss for each sample
        In float32 where the scores are in half precision.

    Raises
    ------
    InputError
        If shapes, dtypes, devices or options do not fit, there is no class, or a target is not in 0
        to C - 1.
    """
    check_options(reduction, label_smoothing, weight, ignore_index)
    ignore_index, label_smoothing = int(ignore_index), float(label_smoothing)  # NumPy's may come
    kind = check_targets(scores, target, weight, ignore_index)
    wide = _wide(scores)
    weight = None if weight is None else weight.to(wide.dtype)
    axis = 0 if scores.ndim == 1 else 1
    if kind == "shares":
        logs = _log_shares(_signed_log(wide), axis)
        return _of_shares(logs, target.to(wide.dtype), weight, reduction, label_smoothing)
    if label_smoothing > 0:  # such a loss is never near zero: torch's own rounding does no harm
        return torch.nn.functional.cross_entropy(
            _signed_log(wide),
            target,
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
    logs = _log_shares(_signed_log(wide), axis)
    return torch.nn.functional.nll_loss(
        logs, target, weight, ignore_index=ignore_index, reduction=reduction
    )


class StableMaxCrossEntropy(torch.nn.Module):
    """The cross-entropy of StableMax as a module, with the options of torch's `CrossEntropyLoss`.

    Parameters
    ----------
    weight : Tensor of shape (C,), optional
        Weight of each class.
    ignore_index : int, default -100
        A class that is not counted.
    reduction : {"mean", "none", "sum"}, default "mean"
        What becomes of the losses of samples.
    label_smoothing : float, default 0.0
        Share of the target that is spread over all classes, in [0, 1].

    Raises
    ------
    InputError
        If an option does not fit.
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = IGNORED,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        check_options(reduction, label_smoothing, weight, ignore_index)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of scores against a target, as `stablemax_cross_entropy`.

        Parameters
        ----------
        scores : Tensor of shape (C,), (N, C) or (N, C, d1, ...)
        target : Tensor of classes or of shares
        """
        return stablemax_cross_entropy(
            scores,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


def _wide(scores: Tensor) -> Tensor:
    """Return scores in at least float32, with the largest number in the place of infinity."""
    check_scores(scores)
    wide = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    return wide.clamp(max=torch.finfo(wide.dtype).max)


def _nothing_along(scores: Tensor, dim: int) -> bool:
    """Return whether an axis is empty: then there is no largest score, and no share."""
    return scores.ndim > 0 and scores.shape[dim] == 0


def _magnitude(scores: Tensor) -> Tensor:
    """Return |z| with the derivative one at zero, where that of torch.abs is zero."""
    return torch.where(scores >= 0, scores, -scores)


def _signed_log(scores: Tensor) -> Tensor:
    """Return log s(z) = sign(z) log(1 + |z|), with its derivative 1 / (1 + |z|) at zero too."""
    size = torch.log1p(_magnitude(scores))
    return torch.where(scores >= 0, size, -size)


def _log_shares(scores: Tensor, dim: int) -> Tensor:
    """Return the logarithm of softmax, with the largest term left out of the rounding.

    That term's difference to itself is put as a constant zero: no gradient of one is added to and
    taken from it, so the small gradient of a share near one survives.
    """
    place = scores.argmax(dim, keepdim=True)
    below = (scores - scores.gather(dim, place)).scatter(dim, place, 0.0)
    rest = torch.exp(below).scatter(dim, place, 0.0).sum(dim, keepdim=True)
    return below - torch.log1p(rest)


def _of_shares(
    logs: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    axis = 0 if logs.ndim == 1 else 1
    classes = logs.shape[axis]
    target = target * (1 - smoothing) + smoothing / classes
    terms = torch.where(target == 0, 0.0, -target * logs)  # a masked class may have log 0
    if weight is not None:
        terms = terms * weight.view(-1, *(1,) * (logs.ndim - axis - 1))
    losses = terms.sum(axis)
    if reduction == "none":
        return losses
    # As torch: the mean over samples and places, whatever the weights.
    return losses.sum() if reduction == "sum" else losses.mean()
