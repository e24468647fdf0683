"""Losses of scores: StableMax cross-entropy, and a detector of softmax collapse."""

from softunit.nn.losses.collapse import (
    CollapseMonitor,
    CollapseReport,
    SoftmaxCollapseWarning,
    collapse_margin,
    softmax_collapse,
)
from softunit.nn.losses.stablemax import (
    StableMaxCrossEntropy,
    log_stablemax,
    stablemax,
    stablemax_cross_entropy,
)

__all__ = [
    "CollapseMonitor",
    "CollapseReport",
    "SoftmaxCollapseWarning",
    "StableMaxCrossEntropy",
    "collapse_margin",
    "log_stablemax",
    "softmax_collapse",
    "stablemax",
    "stablemax_cross_entropy",
]
