"""Claims that hold, fail and break off on purpose, and carry names that must be escaped."""

from __future__ import annotations

import math

from softunit.claims import Claim, Evidence, Finding, Picture, Series, in_order

EVIL = "<script>alert(1)</script> [red]x[/red] \x1b[31m"
PICTURE = Picture(
    "Gap to the optimum",
    "iteration",
    "gap",
    (
        Series("ours <b>", (0, 1, 2, 3), (1.0, 0.1, 0.0, 0.001)),
        Series("theirs", (0, 1, 2), (1.0, 0.5, math.nan)),
    ),
    log_y=True,
    caption="How to read it.",
)


def _holds(effort):
    effort.tick("the gap")
    share = effort.rng(1).random()
    findings = (
        Finding("largest gap over 20 seeds", 1e-8 * share, 1e-6),
        Finding("cosine", 0.97, 0.9, ">="),
    )
    return Evidence(findings, ("A note.",), PICTURE)


def _fails(effort):
    return Evidence((Finding(f"rate {EVIL}", 0.6, 0.4), Finding("seeds", math.nan, 1.0)))


def _breaks_off(effort):
    raise ValueError(f"the matrix {EVIL} is singular")


def _interrupted(effort):
    raise KeyboardInterrupt


HOLDS = Claim("0.4", "Softmax regression", "arXiv 0001.00001", "The gap is small.", _holds)
FAILS = Claim("1.12", f"Smoothness {EVIL}", "arXiv 0002.00002", f"It is fast {EVIL}.", _fails)
BREAKS = Claim("1.5", "Singular", "paper 1.5", "It can be solved.", _breaks_off)
INTERRUPTED = Claim("2.1", "Long", "paper 2.1", "It ends.", _interrupted)

THREE = in_order(HOLDS, FAILS, BREAKS)
