"""What one peer did on one case."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from softunit.bench.judge import BAR

Outcome = Literal["reached", "missed", "stopped", "failed", "skipped"]
"""Within the bar; above it at every tolerance; killed at its budget; an error; not run."""


@dataclass(frozen=True)
class Result:
    """One peer on one case.

    Attributes
    ----------
    case, peer : str
    outcome : str
        One of "reached", "missed", "stopped", "failed" and "skipped".
    seconds : float or None
        The best time of the fits that met the bar; None unless reached.
    gradient_equivalents : float or None
        That time over the time of one gradient by plain numpy on the same data.
    gradient, value : float or None
        The judge's, of the last fit that ended.
    tol : float or None
        What the peer was asked for in that fit.
    attempts : int
        Fits that ended, repeats included.
    n_iter : int or None
    passes : float or None
        Over all rows, samples counted by their share.
    budget : float
        Seconds of fits it was allowed.
    reason : str
        Why it was skipped, or how it failed.
    all_seconds : tuple of float
        Of all fits that met the bar.
    bound : float or None
        For a stopped run, seconds that one fit certainly takes: those of its longest miss, or
        what was left of the budget when it was stopped.
    """

    case: str
    peer: str
    outcome: Outcome
    seconds: float | None = None
    gradient_equivalents: float | None = None
    gradient: float | None = None
    value: float | None = None
    tol: float | None = None
    attempts: int = 0
    n_iter: int | None = None
    passes: float | None = None
    budget: float = 0.0
    reason: str = ""
    all_seconds: tuple[float, ...] = ()
    bound: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the judge found the bar met."""
        return self.outcome == "reached"

    @property
    def at_least(self) -> float | None:
        """Seconds, or for a stopped run those that were not enough; None for the others."""
        return self.bound if self.outcome == "stopped" else self.seconds

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values; what is not finite becomes None."""
        found = dataclasses.asdict(self)
        for name, value in found.items():
            if isinstance(value, float) and not math.isfinite(value):
                found[name] = None
        return {**found, "all_seconds": list(self.all_seconds)}


def skipped(case: str, peer: str, reason: str) -> Result:
    """Return the result of a peer that did not run."""
    return Result(case, peer, "skipped", reason=reason)


def from_fits(
    case: str,
    peer: str,
    fits: list[dict[str, Any]],
    *,
    unit: float,
    budget: float,
    stopped: bool,
) -> Result:
    """Return the result of a peer from what its worker told of its fits.

    Parameters
    ----------
    case, peer : str
    fits : list of dict
        Events "fit", oldest first; the bar is `BAR` where none is told.
    unit : float
        Seconds of one gradient.
    budget : float
    stopped : bool
        Whether it ran out of time. A fit that met the bar before that still counts.
    """
    good = [fit for fit in fits if fit["gradient"] <= fit.get("bar", BAR)]
    last = good[-1] if good else fits[-1] if fits else None
    outcome: Outcome = "reached" if good else "stopped" if stopped or not fits else "missed"
    seconds = min((float(fit["seconds"]) for fit in good), default=None)
    told = last or {}
    return Result(
        case,
        peer,
        outcome,
        seconds=seconds,
        gradient_equivalents=None if seconds is None else seconds / unit,
        gradient=told.get("gradient"),
        value=told.get("value"),
        tol=told.get("tol"),
        attempts=len(fits),
        n_iter=told.get("n_iter"),
        passes=told.get("passes"),
        budget=budget,
        all_seconds=tuple(float(fit["seconds"]) for fit in good),
        bound=_bound(fits, budget) if outcome == "stopped" else None,
    )


def _bound(fits: list[dict[str, Any]], budget: float) -> float:
    """Return seconds that no single fit of a stopped peer would have been enough with."""
    spent = [float(fit["seconds"]) for fit in fits]
    return max([budget - sum(spent), *spent])
