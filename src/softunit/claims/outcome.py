"""Measuring claims: one after the other, each timed, and a fault in one stops no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from softunit.claims.base import Claim, Effort, Evidence

Verdict = Literal["holds", "fails", "could not be measured"]


@dataclass(frozen=True)
class Outcome:
    """What came of measuring a claim.

    Parameters
    ----------
    claim : Claim
        What was measured.
    effort : Effort
        With which seed and at which share of the full size.
    seconds : float
        How long it took.
    evidence : Evidence or None
        What was found; None if the measurement broke off.
    fault : Exception or None, default None
        What it broke off with.
    """

    claim: Claim
    effort: Effort
    seconds: float
    evidence: Evidence | None
    fault: Exception | None = None

    @property
    def verdict(self) -> Verdict:
        """One of "holds", "fails", "could not be measured"."""
        if self.evidence is None:
            return "could not be measured"
        return "holds" if self.evidence.holds else "fails"

    @property
    def holds(self) -> bool:
        """Whether the claim was measured and every finding met its bar."""
        return self.verdict == "holds"

    @property
    def reason(self) -> str:
        """Why it could not be measured, in a sentence; empty if it was measured."""
        if self.fault is None:
            return ""
        return f"{type(self.fault).__name__}: {self.fault}".strip().removesuffix(":")


def measure(claim: Claim, effort: Effort) -> Outcome:
    """Measure a claim; what it raises is kept in the outcome and goes no further.

    Parameters
    ----------
    claim : Claim
        What to measure.
    effort : Effort
        Seed, share of the full size, and whom to tell.

    Returns
    -------
    Outcome
        With the evidence, or with the exception that broke the measurement off.
    """
    begin = time.perf_counter()
    evidence, fault = None, None
    try:
        evidence = claim.measure(effort)
    except Exception as error:
        fault = error
    return Outcome(claim, effort, time.perf_counter() - begin, evidence, fault)


def measure_all(
    claims: Iterable[Claim], effort: Effort, watch: Callable[[Claim, str], None]
) -> Iterator[Outcome]:
    """Yield the outcome of each claim, as soon as it is measured.

    Parameters
    ----------
    claims : iterable of Claim
        What to measure, in this order.
    effort : Effort
        For all of them; its own `tick` hears every word too.
    watch : callable
        Called with a claim and the words on what is measured now, first with "".
    """
    for claim in claims:
        watch(claim, "")

        def tick(what: str, claim: Claim = claim) -> None:
            effort.tick(what)
            watch(claim, what)

        outcome = measure(claim, replace(effort, tick=tick))
        yield replace(outcome, effort=effort)
