"""What a run of regressions says: ratios to the best peer of each kind, and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from softunit.bench.results import Result
from softunit.bench.runner import CaseRun
from softunit.bench.summary import OURS, geometric_mean, ours_missed, ratio_of

LEAST_SQUARES = ("scipy-trf", "scipy-lm")
"""SciPy's `least_squares` with the dense Jacobian."""

LBFGS = ("scipy-lbfgs",)

SIZE, MUCH = "softmax-100k-100", "softmax-500k-200"
"""Tables whose ratios, and whose gradient-equivalents, are told by name."""


def regression_figures(runs: Sequence[CaseRun]) -> dict[str, Any]:
    """Return the figures that a run of regressions is judged by; None where there is none.

    A ratio is the time of the better of some peers over ours at the same bar. Where all of them
    were stopped it is at least that much: then its name stands in "at_least".

    Parameters
    ----------
    runs : sequence of CaseRun
    """
    found: dict[str, Any] = {
        "least_squares_ratio": {},
        "lbfgs_ratio": {},
        "at_least": [],
        "gradient_equivalents": {},
    }
    for run in runs:
        name = run.case.name
        if name.startswith(f"{SIZE}-"):
            for key, peers in (("least_squares_ratio", LEAST_SQUARES), ("lbfgs_ratio", LBFGS)):
                ratio = ratio_of(run.results, _among(peers))
                if ratio is not None and math.isfinite(ratio.ratio):
                    found[key][name] = ratio.ratio
                    found["at_least"] += [f"{key}: {name}"] if ratio.at_least else []
        if name.startswith(f"{MUCH}-"):
            ours = _ours(run)
            if ours is not None and ours.gradient_equivalents is not None:
                found["gradient_equivalents"][name] = ours.gradient_equivalents
    ratios = [ratio for run in runs if (ratio := ratio_of(run.results)) is not None]
    measured = {r.case: r.ratio for r in ratios if math.isfinite(r.ratio)}
    worst = min(measured, key=lambda name: measured[name], default=None)
    return found | {
        "geometric_mean": geometric_mean(measured.values()),
        "worst_ratio": None if worst is None else measured[worst],
        "worst_case": worst,
        "nobody_else": [r.case for r in ratios if math.isinf(r.ratio)],
        "ours_missed": ours_missed(runs),
    }


def _among(peers: Sequence[str]) -> Callable[[str], bool]:
    return lambda peer: peer in peers


def _ours(run: CaseRun) -> Result | None:
    return next((r for r in run.results if r.peer == OURS), None)
