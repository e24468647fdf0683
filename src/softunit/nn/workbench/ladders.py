"""Costs against length: seconds and peak memory at growing n, as far as a budget goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from softunit.errors import InputError
from softunit.nn.workbench.contenders import Contender
from softunit.nn.workbench.costs import (
    Inputs,
    Mix,
    Shape,
    best_seconds,
    forward,
    forward_backward,
    largest,
    peak_bytes,
)

PROBES = (64, 128, 256, 512)
"""Lengths that come before those asked for: they warm up, and say how fast time grows."""

Said = Callable[[dict[str, Any]], None]
"""Takes all that has been found so far."""


@dataclass(frozen=True)
class Limits:
    """What a length may cost.

    Attributes
    ----------
    seconds : float
        Of all runs at one length.
    bytes : float, default inf
        At the peak.
    """

    seconds: float
    bytes: float = math.inf


def foretold(points: Sequence[dict[str, Any]], n: int, key: str, *, power: float = 2.2) -> float:
    """Return what the next length will cost as far as the growth so far says.

    Parameters
    ----------
    points : sequence of dict
        What was measured, at growing "n"; nothing is foretold from fewer than two.
    n : int
    key : str
    power : float, default 2.2
        The fastest growth that is believed: the times of two lengths may be off.
    """
    known = [(p["n"], p[key]) for p in points if p.get(key)]
    if len(known) < 2:
        return 0.0
    (n0, y0), (n1, y1) = known[-2:]
    grown = math.log(max(y1, 1e-9) / max(y0, 1e-9)) / math.log(n1 / n0)
    return float(y1 * (n / n1) ** min(max(1.0, grown), power))


def times(
    contender: Contender,
    shape: Shape,
    lengths: Sequence[int],
    limits: Limits,
    said: Said,
    *,
    compiled: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Return seconds forward, and forward with backward, at each length.

    Parameters
    ----------
    contender : Contender
    shape : Shape
        Its n is not looked at.
    lengths : sequence of int
        Growing.
    limits : Limits
        Where one forward and backward would take longer than its seconds, it ends and says so.
    said : callable
        Told all points after each.
    compiled : bool, default False
        Whether by way of `torch.compile`, made anew at each length; making it is not timed.
    seed : int, default 0
    """
    linear = contender.linear
    found: dict[str, Any] = {"linear": linear, "points": [], "stopped": "", "note": ""}
    found["switch"] = contender.switch
    power = 3.2 if _of_pairs(contender) else 2.2

    def one(n: int) -> float:
        return foretold(_alike(found["points"], n, contender), n, "both", power=power)

    def stop(n: int) -> str:
        return _too_slow(n, one(n), limits)

    for n, inputs, note in _climbed(contender, shape, lengths, seed, found, stop):
        found["note"] = note or found["note"]
        mix = _made(contender, shape.at(n), compiled)
        warm = compiled or one(n) < limits.seconds / 10
        enough = 0.05 if n < lengths[0] else 0.5
        timed = _timed(mix, inputs, limits.seconds, shape.device, warm=warm, enough=enough)
        found["points"].append({"n": n, **timed})
        said(found)
    return found


def _climbed(
    contender: Contender,
    shape: Shape,
    lengths: Sequence[int],
    seed: int,
    found: dict[str, Any],
    stop: Callable[[int], str],
) -> Iterator[tuple[int, Inputs, str]]:
    """Yield each length with its inputs and what is to be noted of them, probes first.

    It ends at a length that `stop` gives a reason against, or whose inputs are refused, and leaves
    the reason in found["stopped"].
    """
    for n in (*(p for p in PROBES if p < lengths[0]), *lengths):
        found["stopped"] = stop(n)
        if found["stopped"]:
            return
        try:
            inputs, note = contender.inputs(shape.at(n), seed)
        except InputError as error:
            found["stopped"] = f"At n = {n:,}: {error}"
            return
        yield n, inputs, note


def _too_slow(n: int, seconds: float, limits: Limits) -> str:
    if seconds <= limits.seconds:
        return ""
    return (
        f"At n = {n:,} one forward and backward would take about {_told(seconds)}, above the"
        f" budget of {limits.seconds:g} s for a length."
    )


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} minutes"


def _made(contender: Contender, shape: Shape, compiled: bool) -> Mix:
    mix = contender.mix(shape)
    if not compiled:
        return mix
    torch.compiler.reset()
    fast: Mix = torch.compile(mix, fullgraph=True, dynamic=False)
    return fast


def _timed(
    mix: Mix, inputs: Inputs, budget: float, device: str, *, warm: bool, enough: float
) -> dict[str, Any]:
    """Return the point of one length; a run that takes seconds needs none before it."""
    point: dict[str, Any] = {}
    for key, run in (("forward", forward), ("both", forward_backward)):

        def work(run: Callable[[Mix, Inputs], None] = run) -> None:
            run(mix, inputs)

        if warm:
            work()
        seconds, runs = best_seconds(work, budget=budget / 3, device=device, enough=enough)
        point |= {key: seconds, f"{key}_runs": runs}
    return point


def memory(
    contender: Contender,
    shape: Shape,
    lengths: Sequence[int],
    limits: Limits,
    said: Said,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the bytes held at the peak, above the inputs, at each length; and the largest array.

    To be run in a process that does nothing else meanwhile: see `peak_bytes`.

    Parameters
    ----------
    contender : Contender
    shape : Shape
        Its n is not looked at.
    lengths : sequence of int
        Growing.
    limits : Limits
    said : callable
        Told all points after each.
    seed : int, default 0

    Returns
    -------
    dict
        points (n, forward, both: bytes or None), stopped, and largest: the numbers that the
        largest array of a forward and backward at two lengths holds, with the power of n by which
        it grows: at n = 2,048 (256 for pairs of keys) or the largest length below, and at half of
        it. And switch: the largest n at which it goes another way.
    """
    found: dict[str, Any] = {"points": [], "stopped": "", "switch": contender.switch}
    found["largest"] = _largest(contender, shape, max(lengths), seed)
    said(found)
    seconds: list[dict[str, Any]] = []
    power = 3.2 if _of_pairs(contender) else 2.2

    def stop(n: int) -> str:
        held, taken = (_alike(points, n, contender) for points in (found["points"], seconds))
        return _memory_stop(held, taken, n, limits, power)

    for n, inputs, _ in _climbed(contender, shape, lengths, seed, found, stop):
        point, taken = _held(contender.mix(shape.at(n)), inputs, shape.device)
        found["points"].append({"n": n, **point})
        seconds.append({"n": n, "both": taken})
        said(found)
    return found


def _held(mix: Mix, inputs: Inputs, device: str) -> tuple[dict[str, int | None], float]:
    """Return the bytes of a forward, and of a forward with backward, and the seconds of that."""
    one = peak_bytes(lambda: forward(mix, inputs), device=device)
    seconds = 0.0

    def both() -> None:
        nonlocal seconds
        seconds, _ = best_seconds(lambda: forward_backward(mix, inputs), budget=0.0)

    two = peak_bytes(both, device=device)
    return {"forward": one, "both": two}, seconds


def _memory_stop(
    points: Sequence[dict[str, Any]],
    seconds: Sequence[dict[str, Any]],
    n: int,
    limits: Limits,
    power: float,
) -> str:
    held = foretold(points, n, "both", power=power)
    taken = foretold(seconds, n, "both", power=power)
    if held > limits.bytes:
        return (
            f"At n = {n:,} it would hold about {held / 1e9:.1f} GB, above the"
            f" {limits.bytes / 1e9:.1f} GB that may be used."
        )
    return _too_slow(n, taken, limits)


def _largest(contender: Contender, shape: Shape, last: int, seed: int) -> dict[str, Any]:
    """Return how many numbers the largest array holds at two lengths, and how that grows."""
    found: list[tuple[int, int, str]] = []
    top = max(2, min(last, 256 if _of_pairs(contender) else 2048))
    for n in (top // 2, top):
        try:
            inputs, _ = contender.inputs(shape.at(n), seed)
        except InputError as error:
            return {"refused": str(error)}
        mix = contender.mix(shape.at(n))
        numbers, operation = largest(lambda mix=mix, inputs=inputs: forward_backward(mix, inputs))  # type: ignore[misc]
        found.append((n, numbers, operation))
    (n0, least, _), (n1, most, operation) = found
    grown = math.log(most / least) / math.log(n1 / n0)
    return {
        "n": n1,
        "numbers": most,
        "scores": shape.batch * shape.heads * n1 * n1,
        # Two ways of going say nothing of how either grows.
        "power": None if n0 <= contender.switch < n1 else grown,
        "operation": operation,
    }


def _alike(
    points: Sequence[dict[str, Any]], n: int, contender: Contender
) -> Sequence[dict[str, Any]]:
    """Return the points of lengths at which it goes the way that it goes at n."""
    return points if n <= contender.switch else [p for p in points if p["n"] > contender.switch]


def _of_pairs(contender: Contender) -> bool:
    """Whether weights are of pairs of keys, which may cost n^3 or have many features."""
    unit = getattr(contender, "unit", None)
    return bool(unit is not None and unit.pairs)
