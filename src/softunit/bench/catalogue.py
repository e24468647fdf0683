"""Everything that can be run, classification and regression: cases, suites and peers by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from softunit._checks import check_known
from softunit.bench.cases import CASES, SUITES, AnyCase, Case, Kind, Suite
from softunit.bench.peers import PEERS, Peer, chosen_peers
from softunit.bench.regression.cases import REGRESSION_CASES, REGRESSION_SUITES, RegressionCase
from softunit.bench.regression.peers import REGRESSION_PEERS

ALL_SUITES: dict[str, Suite] = SUITES | REGRESSION_SUITES
"""Every suite by its name."""


def case_from(values: Mapping[str, Any]) -> AnyCase:
    """Return the case that `to_dict` described."""
    kind = values.get("kind", "classification")
    return RegressionCase.from_dict(values) if kind == "regression" else Case.from_dict(values)


def cases_of(kind: Kind) -> Mapping[str, AnyCase]:
    """Return every case of a kind by its name."""
    return REGRESSION_CASES if kind == "regression" else CASES


def peers_of(kind: Kind) -> Mapping[str, Peer]:
    """Return who can fit cases of a kind, by name, in the order in which they run."""
    return REGRESSION_PEERS if kind == "regression" else PEERS


def any_suite(name: str) -> Suite:
    """Return the suite of this name; an unknown one is an `InputError` with near names."""
    check_known("suite", name, ALL_SUITES)
    return ALL_SUITES[name]


def planned(
    suite: Suite, cases: Sequence[str], peers: Sequence[str]
) -> tuple[list[AnyCase], list[Peer]]:
    """Return the cases and peers of these names, or those of the suite for none.

    An unknown name is an `InputError` with near names; peers come in the order in which they run.

    Parameters
    ----------
    suite : Suite
        It says of which kind they are.
    cases, peers : sequence of str
    """
    names, known = cases or suite.cases, cases_of(suite.kind)
    for name in names:
        check_known("case", name, known)
    chosen = chosen_peers(peers or suite.peers, peers_of(suite.kind))
    return [known[name] for name in dict.fromkeys(names)], chosen
