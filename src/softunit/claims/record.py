"""A run of claims as plain values, for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from softunit.claims.base import Claim, Effort
from softunit.claims.outcome import Outcome

FORMAT = "softunit-claims-1"


def about(claim: Claim) -> dict[str, str]:
    """Return what a claim is, without its measurement.

    Parameters
    ----------
    claim : Claim
    """
    return {
        "id": claim.id,
        "title": claim.title,
        "paper": claim.paper,
        "sentence": claim.sentence,
    }


def record(outcomes: Sequence[Outcome], effort: Effort) -> dict[str, Any]:
    """Return all that a run found.

    The figures that every command writes are here: `value`, how many claims hold; `converged`,
    whether all do; `seconds`. A claim has no gradient, gap or iterations of its own: these are
    null.

    Parameters
    ----------
    outcomes : sequence of Outcome
    effort : Effort
        What they were measured with.
    """
    held = sum(outcome.holds for outcome in outcomes)
    return {
        "command": "claims run",
        "format": FORMAT,
        "seed": effort.seed,
        "share": effort.share,
        "value": held,
        "gradient_norm": None,
        "gap_bound": None,
        "converged": bool(outcomes) and held == len(outcomes),
        "n_iter": None,
        "seconds": sum(outcome.seconds for outcome in outcomes),
        "claims": [_one(outcome) for outcome in outcomes],
    }


def _one(outcome: Outcome) -> dict[str, Any]:
    evidence = outcome.evidence
    findings = () if evidence is None else evidence.findings
    picture = None if evidence is None else evidence.picture
    return {
        **about(outcome.claim),
        "verdict": outcome.verdict,
        "seconds": outcome.seconds,
        "reason": outcome.reason,
        "findings": [dataclasses.asdict(one) | {"holds": one.holds} for one in findings],
        "notes": [] if evidence is None else list(evidence.notes),
        "picture": None if picture is None else dataclasses.asdict(picture),
    }
