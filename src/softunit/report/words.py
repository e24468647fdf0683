"""Figures and names as words: the same ones for the page and for the terminal."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any

from softunit.certificate import Certificate
from softunit.report.summary import FitSummary
from softunit.solution import Status

# Control characters, halves of surrogate pairs, line and paragraph separators.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Marks that turn the direction of the text after them: they can make a name read as another.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

STYLES = {"proved": "green", "estimated": "yellow", "note": "dim"}
"""Colours of the marks in the terminal; a note claims nothing, so it has none."""

_SYMBOLS = ("b ", "s ", "w ", "x ")
"""Vectors that a sentence may begin with: a capital would make a matrix of b."""

_HEADLINES = {
    Status.RUNNING: "Not finished",
    Status.CONVERGED: "Converged",
    Status.MAX_ITER: "Not converged",
    Status.ROUNDING: "Not converged to the tolerance",
    Status.NO_DESCENT: "Not converged",
    Status.SADDLE: "No minimum",
    Status.SEPARABLE: "No optimum exists",
    Status.STOPPED: "Stopped early",
    Status.INTERRUPTED: "Interrupted",
}


@dataclass(frozen=True)
class Figure:
    """One figure of a fit: what it is, the number, and what to compare it with."""

    label: str
    value: str
    note: str = ""


def plain(text: object) -> str:
    r"""Return `text` with everything invisible or dangerous written out, as ``\x1b``.

    Names come from data: one that holds terminal control sequences must not reach a terminal,
    and one that turns the direction of writing must not pass for another.
    """
    return "".join(_visible(character) for character in str(text))


def _visible(character: str) -> str:
    if character in _TURNING or unicodedata.category(character) in _HIDDEN_CATEGORIES:
        code = ord(character)
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    return character


def shorten(text: str, width: int) -> str:
    """Return `text`, or its beginning and an ellipsis, in at most `width` characters."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """Return `text` with its first letter as at the start of a sentence; symbols stay symbols."""
    return text if text.startswith(_SYMBOLS) else text[:1].upper() + text[1:]


def number(value: float, digits: int = 4) -> str:
    """Return a number as people write it: ``0.0125``, ``3.1e-9``, ``1,797``, ``infinite``."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def aligned(value: float) -> str:
    """Return a number with four significant digits, zeros kept, for columns of numbers."""
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:#,.4g}".rstrip(".")
    return number(value)


def counted(count: float, thing: str) -> str:
    """Return a count with its noun: ``1 row``, ``2 rows``."""
    return f"{number(count)} {thing}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal, never rounded up to all or down to none."""
    if math.isnan(share):
        return "undefined"
    if 0.0 < share < 0.0005:
        return "< 0.1%"
    if 0.9995 < share < 1.0:
        return "> 99.9%"
    return f"{100 * share:.1f}%"


def headline(summary: FitSummary) -> str:
    """Return how the run ended, in a few words."""
    solution = summary.solution
    return _HEADLINES.get(
        solution.status, "Converged" if solution.converged else "Not converged to the tolerance"
    )


def mark(statement: Any) -> str:
    """Return "proved", "estimated" or "note" for a statement of a certificate."""
    own = getattr(statement, "mark", None)
    return str(own) if own else "proved" if statement.proved else "estimated"


def verdict(summary: FitSummary) -> str:
    """Return what the end of the run means: how far from the optimum, or what to do."""
    if not summary.solution.converged:
        return summary.advice or summary.solution.status.advice
    found = distance(summary.certificate)
    if summary.solution.status is not Status.CONVERGED:  # by another way, which is said
        return f"{found} {summary.advice or summary.solution.status.advice}"
    return found


def distance(certificate: Certificate) -> str:
    """Return how far from an optimum a point can be at most, in one sentence."""
    gap, local = certificate.gap_bound, certificate.local_gap_bound
    if _says_little(certificate):
        return (
            f"Proved: a local minimum lies within {number(local, 2)} of this value. Of the global"
            " one little more is known than that the objective is nowhere below zero."
        )
    if math.isfinite(gap):
        return f"The objective is at most {number(gap, 2)} above its optimum."
    if math.isfinite(local):
        return f"The objective is at most {number(local, 2)} above a local minimum nearby."
    return "The gradient is within the tolerance; no bound on the distance in value is known."


def _says_little(certificate: Certificate) -> bool:
    """Whether the local bound is the one to read.

    A loss is at least zero, so the value itself is always a bound on the gap: one that says
    nothing.
    """
    gap = certificate.gap_bound
    return certificate.local_gap_bound < gap < math.inf and gap >= abs(certificate.value) / 2


def key_figures(summary: FitSummary) -> tuple[Figure, ...]:
    """Return the six figures that head the page and the terminal summary.

    They are seven where a bound near this point says more than the one on all points.
    """
    solution, certificate = summary.solution, summary.certificate
    gap, above = certificate.gap_bound, "Above the optimum by at most"
    if not math.isfinite(gap) and math.isfinite(certificate.local_gap_bound):
        gap, above = certificate.local_gap_bound, "Above a local minimum by at most"
    local = certificate.local_gap_bound
    nearby = (Figure("Above a local minimum by at most", number(local, 2)),)
    return (
        Figure("Objective", number(certificate.value, 8), summary.scale),
        *(nearby if _says_little(certificate) else ()),
        Figure(
            above,
            number(gap, 2) if math.isfinite(gap) else "no bound known",
            _share_of(gap, certificate.value),
        ),
        Figure(
            "Largest gradient entry",
            number(solution.gradient_norm, 2),
            f"tolerance {number(solution.tol, 2)}",
        ),
        Figure("Iterations", number(solution.n_iter), solution.solver),
        Figure("Seconds", number(solution.seconds, 3)),
        Figure("Products with the design", number(solution.cost.products), "passes over all rows"),
    )


def _share_of(gap: float, value: float) -> str:
    if not math.isfinite(gap) or not math.isfinite(value) or value == 0.0:
        return ""
    share = gap / abs(value)
    return f"{number(share, 2)} of the objective" if share < 0.5 else ""


def certificate_figures(certificate: Certificate) -> tuple[Figure, ...]:
    """Return the numbers behind the statements of a certificate."""
    unique = {True: "yes", False: "no", None: "not known"}[certificate.unique]
    return (
        Figure("Bound on value minus optimum", _known(certificate.gap_bound, "no bound known")),
        Figure("The same, near this point", _known(certificate.local_gap_bound, "no bound known")),
        Figure(
            "Strong convexity",
            number(certificate.strong_convexity, 3)
            if certificate.strong_convexity > 0.0
            else "none known",
        ),
        Figure("Newton decrement", _known(certificate.newton_decrement, "not computed")),
        Figure("Euclidean norm of the gradient", _known(certificate.gradient_norm_2, "undefined")),
        Figure("The optimum is unique", unique),
    )


def _known(value: float, otherwise: str) -> str:
    return number(value, 3) if math.isfinite(value) else otherwise


def version() -> str:
    """Return the installed version of softunit."""
    try:
        return installed_version("softunit")
    except PackageNotFoundError:  # run from a source tree
        return "(not installed)"
