"""Softmax collapse: samples whose cross-entropy rounds to zero, and that no longer teach."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from softunit.errors import InputError, SoftunitWarning, warn
from softunit.nn._checks import check_count, check_number
from softunit.nn.losses._targets import check_ignored, check_targets
from softunit.nn.losses.stablemax import IGNORED


class SoftmaxCollapseWarning(SoftunitWarning):
    """The cross-entropy of many samples rounds to zero: they no longer teach."""


def collapse_margin(dtype: torch.dtype) -> float:
    """Return the margin from which softmax cross-entropy rounds to exactly zero.

    A sample's margin is m = z_y - log sum_{j != y} exp(z_j), the log-odds of its class, and its
    loss is log(1 + exp(-m)). It is zero once 1 + exp(-m) rounds to one: from m = log(2 / eps) on.

    Parameters
    ----------
    dtype : torch.dtype
        Of the scores. Kernels that sum half precision in float32 reach zero later than this.

    Returns
    -------
    float
        5.5 for bfloat16, 7.6 for float16, 16.6 for float32 and 36.7 for float64.

    Raises
    ------
    InputError
        If it is no dtype, or not floating.
    """
    given: object = dtype
    if not isinstance(given, torch.dtype) or not given.is_floating_point:
        raise InputError(f"`dtype` must be a floating dtype, as torch.float32; got {given!r}.")
    return math.log(2 / torch.finfo(dtype).eps)


@dataclass(frozen=True)
class CollapseReport:
    """How far softmax has collapsed on a batch.

    Parameters
    ----------
    samples : int
        How many were looked at.
    dtype : torch.dtype
        Of the scores.
    zero_loss : float
        Share of samples whose cross-entropy is exactly zero.
    zero_pull : float
        Share whose gradient in the score of their own class is exactly zero: nothing pulls it up.
    zero_gradient : float
        Share whose gradient is exactly zero in every score.
    margin : float
        From which margin on the loss rounds to zero in this dtype, as `collapse_margin`.
    least_lost_margin : float
        The smallest margin of a sample with zero loss; infinity where there is none.
    median_margin : float
        The median margin of the samples; nan where there is none.
    """

    samples: int
    dtype: torch.dtype
    zero_loss: float
    zero_pull: float
    zero_gradient: float
    margin: float
    least_lost_margin: float
    median_margin: float

    def __str__(self) -> str:
        if not self.samples:
            return "No samples were counted."
        if self.zero_loss:
            lost = (
                f"{_percent(self.zero_loss)} of {self.samples} samples have a cross-entropy of"
                f" exactly zero, and {_percent(self.zero_gradient)} a gradient of zero in every"
                " score."
            )
        else:
            lost = f"None of {self.samples} samples has a cross-entropy of exactly zero."
        name = str(self.dtype).removeprefix("torch.")
        return (
            f"{lost} The median margin is {self.median_margin:.1f}; from {self.margin:.1f} on"
            f" {name} rounds a loss to zero."
        )


def softmax_collapse(
    scores: Tensor, target: Tensor, *, ignore_index: int = IGNORED
) -> CollapseReport:
    """Return how many samples of a batch softmax cross-entropy has stopped to learn from.

    The loss and its gradient are those of ``torch.nn.functional.cross_entropy`` in the dtype of the
    scores: what is counted is what training sees. It works under ``torch.no_grad`` and
    ``torch.inference_mode`` as well.

    Parameters
    ----------
    scores : Tensor of shape (C,), (N, C) or (N, C, d1, ...)
        Scores of C classes; no gradient flows into them.
    target : Tensor of shape (), (N,) or (N, d1, ...)
        Classes, as int64.
    ignore_index : int, default -100
        A class that is not counted.

    Returns
    -------
    CollapseReport

    Raises
    ------
    InputError
        If shapes, dtypes or devices do not fit, or the targets are shares: their loss has no zero
        to collapse to.
    """
    ignore_index = check_ignored(ignore_index)
    if check_targets(scores, target, None, ignore_index) == "shares":
        raise InputError(
            f"`target` must hold classes (int64); got shares of dtype {target.dtype}. Their"
            " cross-entropy does not go to zero, so it cannot collapse."
        )
    # Copies made outside inference mode can be differentiated, what was made inside cannot.
    with torch.inference_mode(False), torch.enable_grad():
        flat, classes = _rows(scores.detach().clone(), target.clone(), ignore_index)
        flat.requires_grad_()
        losses = torch.nn.functional.cross_entropy(flat, classes, reduction="none")
        (gradient,) = torch.autograd.grad(losses.sum(), flat)
    margins = _margins(flat.detach(), classes)
    lost, own = losses.detach() == 0, gradient.gather(1, classes[:, None]).squeeze(1)
    return CollapseReport(
        len(classes),
        scores.dtype,
        _share(lost),
        _share(own == 0),
        _share((gradient == 0).all(1)),
        collapse_margin(scores.dtype),
        float(margins[lost].min()) if bool(lost.any()) else math.inf,
        float(margins.median()) if len(margins) else math.nan,
    )


class CollapseMonitor:
    """Watches for softmax collapse in a training loop, and warns once.

    ::

        monitor = CollapseMonitor(every=100)
        for x, y in batches:
            scores = model(x)
            monitor(scores, y)
            loss = torch.nn.functional.cross_entropy(scores, y)

    Parameters
    ----------
    share : float, default 0.5
        Warn when at least this share of a batch has zero loss; in (0, 1].
    every : int, default 1
        Look at each so-manieth batch only.
    ignore_index : int, default -100
        A class that is not counted.

    Attributes
    ----------
    last : CollapseReport or None
        Of the last batch that was looked at.
    warned : bool
        Whether it has warned.

    Raises
    ------
    InputError
        If the share or a number is of another type, or out of its range.
    """

    def __init__(self, share: float = 0.5, *, every: int = 1, ignore_index: int = IGNORED) -> None:
        self.share = check_number("share", share, above=0)
        if self.share > 1:
            raise InputError(f"`share` must be above 0 and at most 1; got {share!r}.")
        self.every = check_count("every", every)
        self.ignore_index = check_ignored(ignore_index)
        self.calls = 0
        self.last: CollapseReport | None = None
        self.warned = False

    def __call__(self, scores: Tensor, target: Tensor) -> CollapseReport | None:
        """Return a report of this batch, or None if it is not looked at.

        Parameters
        ----------
        scores : Tensor of shape (C,), (N, C) or (N, C, d1, ...)
        target : Tensor of classes
        """
        self.calls += 1
        if (self.calls - 1) % self.every:
            return None
        self.last = softmax_collapse(scores, target, ignore_index=self.ignore_index)
        if self.last.samples and self.last.zero_loss >= self.share and not self.warned:
            self.warned = True
            warn(
                f"Softmax collapse: {self.last} Such samples no longer teach. Use"
                " stablemax_cross_entropy, PerpendicularGradient or weight decay, or compute the"
                " loss in float64.",
                SoftmaxCollapseWarning,
            )
        return self.last


def _rows(scores: Tensor, target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Return scores (samples, C) and classes (samples,) of all samples that count."""
    if scores.ndim == 1:
        scores, target = scores[None], target[None]
    flat, classes = scores.movedim(1, -1).flatten(0, -2), target.flatten()
    kept = classes != ignore_index
    return flat[kept], classes[kept]


def _margins(scores: Tensor, classes: Tensor) -> Tensor:
    """Return z_y - log sum_{j != y} exp(z_j) in float64."""
    wide, place = scores.double(), classes[:, None]
    others = wide.scatter(1, place, -math.inf).logsumexp(1)
    return wide.gather(1, place).squeeze(1) - others


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _share(where: Tensor) -> float:
    return float(where.double().mean()) if where.numel() else 0.0
