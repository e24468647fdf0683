"""Peers side by side on the same work: each made to try for one gradient, and judged outside.

A run's cost is seconds, and gradient-equivalents: seconds over those of one gradient of the mean
objective by plain numpy on the same data. An answer that misses the bar has no time.
"""

from softunit.bench.cases import (
    CASES,
    SUITES,
    AnyCase,
    Case,
    Kind,
    Suite,
    chosen_cases,
    chosen_suite,
)
from softunit.bench.catalogue import ALL_SUITES, any_suite, case_from, cases_of, peers_of, planned
from softunit.bench.judge import BAR, AnyTask, Task, gradient_of, gradient_seconds, judged
from softunit.bench.machine import about, physical_cores
from softunit.bench.peers import PEERS, Answer, Peer, chosen_peers
from softunit.bench.pictures import draw_growth, draw_profile
from softunit.bench.record import record
from softunit.bench.regression.summary import regression_figures
from softunit.bench.results import Result
from softunit.bench.runner import CaseRun, Plan, run_cases
from softunit.bench.scaling import SERIES, Growth, Series, growths, slope
from softunit.bench.summary import (
    Ratio,
    figures,
    geometric_mean,
    ours_missed,
    profile,
    ratio_of,
    solved,
)

__all__ = [
    "ALL_SUITES",
    "Answer",
    "AnyCase",
    "AnyTask",
    "BAR",
    "CASES",
    "Case",
    "CaseRun",
    "Growth",
    "Kind",
    "PEERS",
    "Peer",
    "Plan",
    "Ratio",
    "Result",
    "SERIES",
    "SUITES",
    "Series",
    "Suite",
    "Task",
    "about",
    "any_suite",
    "case_from",
    "cases_of",
    "chosen_cases",
    "chosen_peers",
    "chosen_suite",
    "draw_growth",
    "draw_profile",
    "figures",
    "geometric_mean",
    "gradient_of",
    "gradient_seconds",
    "growths",
    "judged",
    "ours_missed",
    "peers_of",
    "physical_cores",
    "planned",
    "profile",
    "ratio_of",
    "record",
    "regression_figures",
    "run_cases",
    "slope",
    "solved",
]
