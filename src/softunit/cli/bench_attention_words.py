"""The findings of `softunit bench attention` in words: the same ones for terminal and page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from softunit.bench.attention import Row, bar_of, met, slope_in
from softunit.report.words import number

LABELS = {
    "memory": "Peak memory",
    "times": "Time",
    "measures": "What it keeps",
    "text": "Text",
    "hidden": "Hidden text",
    "recall": "Recall",
}
"""Parts of a run, as they are called."""


def told(row: Row) -> list[tuple[str, str]]:
    """Return what was found of a unit or a peer, as labels and texts.

    Parameters
    ----------
    row : Row
    """
    found: list[tuple[str, str]] = []
    refused = {part["refused"] for part in row.parts.values() if "refused" in part}
    costs = ("memory", "times", "measures")
    if len(refused) == 1 and all("refused" in row.parts.get(part, {}) for part in costs):
        return [("Not measured", refused.pop())]
    reasons = {part: reason(what) for part, what in row.parts.items()}
    said: set[str] = set()
    for part, why in reasons.items():
        if not why:
            found += _PARTS[part](row)
        elif why not in said:
            # What holds for several parts is said once.
            same = [LABELS[other] for other, text in reasons.items() if text == why]
            found.append((", ".join(same), why))
            said.add(why)
    return found


def reason(what: Mapping[str, Any]) -> str:
    """Return why a part was not measured; an empty text where it was.

    Parameters
    ----------
    what : mapping
        What was found of the part.
    """
    for key, label in (("failed", "failed"), ("refused", "refused"), ("skipped", "not trained")):
        if key in what:
            return f"{label}: {what[key]}"
    return ""


def duration(seconds: float) -> str:
    """Return a time in seconds, milliseconds or microseconds, three digits.

    Parameters
    ----------
    seconds : float
    """
    if seconds < 1e-3:
        return f"{1e6 * seconds:.3g} us"
    return f"{1000 * seconds:.3g} ms" if seconds < 1.0 else f"{seconds:.3g} s"


def size(count: float) -> str:
    """Return a number of bytes in MB or GB.

    Parameters
    ----------
    count : float
    """
    return f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e9:.3g} GB"


def growth(row: Row, part: str) -> str:
    """Return the slope of a forward and backward, between which lengths, and whether it is small.

    Parameters
    ----------
    row : Row
    part : {"times", "memory"}
    """
    number_, where = power(row, part), span(row, part)
    return f"{number_} from {where}" if number_ else f"none: {where}"


def power(row: Row, part: str) -> str:
    """Return the slope of a forward and backward; an empty text where there is none.

    Parameters
    ----------
    row : Row
    part : {"times", "memory"}
    """
    slope = slope_in(row, part)
    return "" if slope is None else f"{slope.power:.2f}"


def span(row: Row, part: str) -> str:
    """Return the lengths of a slope and whether it is within its bar, or why there is none.

    Parameters
    ----------
    row : Row
    part : {"times", "memory"}
    """
    slope = slope_in(row, part)
    if slope is None:
        switch = row.parts.get(part, {}).get("switch")
        above = f" above n = {switch:,}, up to which it goes another way" if switch else ""
        return f"fewer than three lengths{above}"
    said = f"{slope.least:,} to {slope.most:,}"
    within = met(row) if part == "times" else None
    if within is None:
        return said
    return f"{said}; bar {bar_of(row)} {'met' if within else 'missed'}"


def asked(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the points worth a reader's time: lengths from 1,024, or all where there are none.

    Parameters
    ----------
    points : sequence of mapping
    """
    return [point for point in points if point["n"] >= 1024] or list(points)


def _times(row: Row) -> list[tuple[str, str]]:
    found = row.parts["times"]
    points = found["points"]
    rows = []
    for label, key in (("Time, forward", "forward"), ("Time, with backward", "both")):
        parts = [f"{point['n']:,}: {duration(point[key])}" for point in asked(points)]
        rows.append((label, "; ".join(parts) or "none"))
    rows.append(("Slope of time", growth(row, "times")))
    rows += [("Time ends", found["stopped"])] if found.get("stopped") else []
    return rows + ([("Inputs", found["note"])] if found.get("note") else [])


def _memory(row: Row) -> list[tuple[str, str]]:
    found = row.parts["memory"]
    known = [point for point in asked(found["points"]) if point.get("both") is not None]
    parts = [f"{point['n']:,}: {size(point['both'])}" for point in known]
    said = "; ".join(parts) or "this system does not tell it"
    rows = [("Peak memory", said), ("Slope of memory", growth(row, "memory"))]
    rows.append(("Largest array", array(found.get("largest", {}))))
    return rows + ([("Memory ends", found["stopped"])] if found.get("stopped") else [])


def array(largest: Mapping[str, Any]) -> str:
    """Return how large the largest array of a run is, and how it grows.

    Parameters
    ----------
    largest : mapping
    """
    if "numbers" not in largest:
        return str(largest.get("refused", "-"))
    share = largest["numbers"] / largest["scores"]
    said = f"{largest['numbers']:,} numbers at n = {largest['n']:,}, {number(share, 2)} of n by n"
    if largest["power"] is None:
        return said
    return f"{said}; grows like n^{largest['power']:.1f}"


def _measures(row: Row) -> list[tuple[str, str]]:
    found = row.parts["measures"]
    rows = []
    error = found.get("error")
    if error:
        text = f"output {error['output']:.1e}, gradients {error['gradient']:.1e} in float32"
        if "output_double" in error:
            text += f"; {error['output_double']:.1e}, {error['gradient_double']:.1e} in float64"
        rows.append(("Error to the definition", text))
    if "rows" in found:
        kept = found["rows"]
        n = found["rows_n"]
        rows += [
            ("Row sums", sums(kept)),
            (
                "Entropy of rows",
                f"{kept['entropy']:.3f} of log n, as {kept['effective_keys']:.3g} of {n} keys",
            ),
            ("Lipschitz estimate", f"{found['lipschitz']:.3g} at n = {found['lipschitz_n']}"),
        ]
    return rows


def sums(rows: Mapping[str, Any]) -> str:
    """Return between which numbers the sums of rows lie.

    Parameters
    ----------
    rows : mapping
    """
    least, most = rows["least_sum"], rows["most_sum"]
    if math.isclose(least, 1.0, abs_tol=1e-5) and math.isclose(most, 1.0, abs_tol=1e-5):
        said = "1"
    else:
        said = f"{least:.3g} to {most:.3g}"
    if not rows["negative"]:
        return said
    return f"{said}; {100 * rows['negative']:.0f}% of weights negative"


def _trained(part: str) -> Any:
    def rows(row: Row) -> list[tuple[str, str]]:
        return [(LABELS[part], outcome(row.parts[part]))]

    return rows


def outcome(found: Mapping[str, Any]) -> str:
    """Return how a training ended.

    Parameters
    ----------
    found : mapping
    """
    steps = len(found.get("losses", ()))
    ended = f"; {found['stopped']}" if found.get("stopped") else ""
    if found.get("loss") is None:
        return f"ended after {steps} steps{ended}"
    how = "" if found["causal"] else ", seeing both sides"
    return (
        f"loss {found['loss']:.3f}, {100 * found['accuracy']:.1f}% right after {steps}"
        f" steps in {duration(found['seconds'])}{how}{ended}"
    )


_PARTS = {
    "memory": _memory,
    "times": _times,
    "measures": _measures,
    **{part: _trained(part) for part in ("text", "hidden", "recall")},
}
