"""What a run says: ratios to the best peer, a performance profile, and figures to judge by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from softunit.bench.cases import AnyCase
from softunit.bench.peers import RIVALS
from softunit.bench.results import Result
from softunit.bench.runner import CaseRun

OURS = "softunit"


def is_rival(peer: str) -> bool:
    """Return whether a peer's best time is the one that ours is compared with."""
    return peer.startswith(RIVALS)


def is_other(peer: str) -> bool:
    """Return whether a peer is not ours."""
    return not peer.startswith(OURS)


@dataclass(frozen=True)
class Ratio:
    """The best peer's time over ours on one case.

    Attributes
    ----------
    case : str
    ours : Result
    best : Result or None
        The fastest that met the bar; where none did, the one stopped first, if any.
    ratio : float
        Zero where ours missed, infinite where nobody else got there.
    at_least : bool
        Whether the best peer was stopped, so that the ratio is a lower bound.
    """

    case: str
    ours: Result
    best: Result | None
    ratio: float
    at_least: bool = False


def ratio_of(results: Sequence[Result], among: Callable[[str], bool] = is_other) -> Ratio | None:
    """Return the ratio on one case, or None where ours or all others did not run.

    Parameters
    ----------
    results : sequence of Result
        Of the case.
    among : callable (str) -> bool
        Which peers count; all but ours if left out.
    """
    ours = next((r for r in results if r.peer == OURS and r.outcome != "skipped"), None)
    ran = [r for r in results if among(r.peer) and r.outcome != "skipped"]
    if ours is None or not ran:
        return None
    reached = [r for r in ran if r.reached]
    stopped = [r for r in ran if r.outcome == "stopped"]
    best = min(reached or stopped, key=_time, default=None)
    if ours.seconds is None:
        return Ratio(ours.case, ours, best, 0.0)
    if best is None:
        return Ratio(ours.case, ours, None, math.inf)
    return Ratio(ours.case, ours, best, _time(best) / ours.seconds, not reached)


def _time(result: Result) -> float:
    return math.inf if result.at_least is None else result.at_least


def geometric_mean(values: Iterable[float]) -> float | None:
    """Return the geometric mean of nonnegative numbers, None of none."""
    values = list(values)
    if not values:
        return None
    if min(values) <= 0.0:
        return 0.0
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def profile(runs: Sequence[CaseRun]) -> dict[str, list[float]]:
    """Return for each peer, over the cases, its time over the best time of any, sorted.

    A case counts if anybody met its bar. A peer that did not has no entry for it, so a list may
    be shorter than the number of cases.

    Parameters
    ----------
    runs : sequence of CaseRun
    """
    found: dict[str, list[float]] = {}
    for run in runs:
        for result in run.results:
            found.setdefault(result.peer, [])
        times = {r.peer: r.seconds for r in run.results if r.seconds is not None}
        best = min(times.values(), default=math.inf)
        for peer, seconds in times.items():
            found[peer].append(seconds / best)
    return {peer: sorted(ratios) for peer, ratios in found.items()}


def solved(runs: Sequence[CaseRun]) -> int:
    """Return on how many cases anybody met the bar."""
    return sum(any(result.reached for result in run.results) for run in runs)


def share_within(ratios: Sequence[float], cases: int, x: float) -> float:
    """Return the share of cases with a ratio of at most x.

    Parameters
    ----------
    ratios : sequence of float
        From `profile`.
    cases : int
    x : float
    """
    return sum(ratio <= x for ratio in ratios) / cases if cases else 0.0


def figures(runs: Sequence[CaseRun]) -> dict[str, Any]:
    """Return the figures that a run is judged by; None where no case of the kind has one.

    Parameters
    ----------
    runs : sequence of CaseRun
    """
    rivals = {run.case.name: ratio_of(run.results, is_rival) for run in runs}
    anyone = _finite(ratio for run in runs if (ratio := ratio_of(run.results)) is not None)
    cases = {run.case.name: run.case for run in runs}
    large = _kept(rivals, cases, lambda case: {"dense", "large"} <= set(case.tags))
    measured = {r.case: r.ratio for r in rivals.values() if r and math.isfinite(r.ratio)}
    power = [
        result
        for run in runs
        if run.case.family == "power-law" and run.case.n >= 100_000
        for result in run.results
        if result.peer == OURS and result.reached
    ]
    worst = min(measured, key=lambda name: measured[name], default=None)
    return {
        "geometric_mean_large_dense": geometric_mean(_finite(large)),
        "geometric_mean_is_at_least": any(ratio.at_least for ratio in large),
        "large_dense_cases": len(large),
        "worst_ratio": None if worst is None else measured[worst],
        "worst_case": worst,
        "worst_ratio_any_peer": min(anyone, default=None),
        "text_ratio": measured.get("text"),
        "most_gradient_equivalents": max(
            (r.gradient_equivalents for r in power if r.gradient_equivalents), default=None
        ),
        "most_passes": max((r.passes for r in power if r.passes is not None), default=None),
        "ours_missed": ours_missed(runs),
    }


def ours_missed(runs: Sequence[CaseRun]) -> list[str]:
    """Return the cases on which ours ran and did not meet the bar."""
    return [run.case.name for run in runs for r in run.results if _missed(r)]


def _kept(
    ratios: Mapping[str, Ratio | None],
    cases: Mapping[str, AnyCase],
    keep: Callable[[AnyCase], bool],
) -> list[Ratio]:
    return [r for name, r in ratios.items() if r is not None and keep(cases[name])]


def _finite(ratios: Iterable[Ratio]) -> list[float]:
    return [ratio.ratio for ratio in ratios if math.isfinite(ratio.ratio)]


def _missed(result: Result) -> bool:
    return result.peer == OURS and result.outcome not in ("reached", "skipped")
