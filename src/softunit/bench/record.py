"""A run as plain values, for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from softunit.bench.judge import BAR
from softunit.bench.regression.summary import regression_figures
from softunit.bench.results import Result
from softunit.bench.runner import CaseRun, Plan
from softunit.bench.scaling import SERIES, SUITE, growths
from softunit.bench.summary import OURS, figures

FORMAT = "softunit-bench-1"


def record(plan: Plan, machine: Mapping[str, Any], runs: Sequence[CaseRun]) -> dict[str, Any]:
    """Return all that a run found; its figures are those of every command, of ours at its worst.

    Parameters
    ----------
    plan : Plan
    machine : mapping
        From `about`.
    runs : sequence of CaseRun
    """
    ours = [result for run in runs for result in run.results if result.peer == OURS]
    ran = [result for result in ours if result.outcome != "skipped"]
    regressions = plan.suite.kind == "regression"  # whose cases have bars of their own
    told: dict[str, Any] = {
        "command": "bench",
        "format": FORMAT,
        "suite": plan.suite.name,
        "bar": None if regressions else BAR,
        "repeats": plan.repeats,
        "machine": dict(machine),
        "value": ran[-1].value if ran else None,
        "gradient_norm": _worst(ran),
        "gap_bound": None,
        "converged": bool(ran) and all(result.reached for result in ran),
        "n_iter": sum(result.n_iter or 0 for result in ran),
        "summary": regression_figures(runs) if regressions else figures(runs),
        "cases": [
            {
                **run.case.to_dict(),
                "gradient_seconds": run.gradient_seconds,
                "results": [result.to_dict() for result in run.results],
            }
            for run in runs
        ],
    }
    if plan.suite is SUITE:
        told["scaling"] = [
            {
                "series": growth.series.name,
                "fixed": growth.series.fixed,
                "sizes": list(growth.series.sizes),
                "peer": growth.peer,
                "seconds": list(growth.seconds),
                "slope": growth.slope,
                "slope_from": growth.series.slope_from,
            }
            for series in SERIES
            for growth in growths(series, runs)
        ]
    return told


def _worst(results: Sequence[Result]) -> float | None:
    return max((r.gradient for r in results if r.gradient is not None), default=None)
