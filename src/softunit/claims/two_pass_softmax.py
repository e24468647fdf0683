"""The two-pass softmax: right to float32's last places, two reads of the scores, and its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

if TYPE_CHECKING:
    from softunit.nn.studies.two_pass import Errors

BOUNDS = (1.0, 30.0, 1e3, 1e4)
LENGTHS = (1, 2, 63, 1_000, 50_000)
ROWS = 20
SMALLEST, LARGEST = 14, 24  # powers of two of the lengths that are timed
ROUNDS, LEAST_ROUNDS = 15, 5

Times = dict[int, dict[str, float]]
"""Seconds by length and by name of the way."""


def measure(effort: Effort) -> Evidence:
    """Measure errors of the NumPy, torch and C forms, reads of the scores, and time over length."""
    from softunit.nn.studies.two_pass import drawn, has_kernel, sweeps

    missing = has_kernel()
    found = _errors(effort, not missing)
    worst = max(max(each.ours.values()) for each in found.values())
    findings = [
        Finding(
            f"largest relative error of float32 shares, scores up to 1e4, {len(found)} settings",
            worst,
            1e-6,
        ),
        Finding("shares that are infinite or nan", sum(e.not_finite for e in found.values()), 0),
        Finding(
            "how often each score is read",
            sweeps(drawn(effort.rng(1), (100_000,), 1e4), 4096),
            2.0,
        ),
    ]
    times: Times = {}
    if not missing:
        times = _times(effort)
        largest = max(times)
        findings.append(
            Finding(
                f"time of two sweeps over that of three, both in C, {largest} scores",
                times[largest]["two sweeps"] / times[largest]["three sweeps"],
                1.0,
            )
        )
    else:
        findings.append(Finding("kernels that could be compiled here", 0, 1, ">="))
    return Evidence(tuple(findings), _notes(found, times, missing), _picture(times))


def _errors(effort: Effort, compiled: bool) -> dict[tuple[float, int], Errors]:
    from softunit.nn.studies.two_pass import drawn, errors

    found = {}
    for bound in BOUNDS:
        for n in LENGTHS:
            effort.tick(f"errors of {n} scores up to {bound:g}")
            scores = drawn(effort.rng(0, n), (effort.count(ROWS, 2), n), bound)
            found[bound, n] = errors(scores, compiled)
    return found


def _times(effort: Effort) -> Times:
    from softunit.nn.studies.two_pass import drawn, times

    # Lengths do not shrink with the share: what is claimed is of vectors larger than the cache.
    found = {}
    for power in range(SMALLEST, LARGEST + 1, 2):
        scores = drawn(effort.rng(2, power), (1 << power,), 20.0)
        found[1 << power] = times(scores, effort.count(ROUNDS, LEAST_ROUNDS), effort.tick)
    return found


def _notes(found: dict[tuple[float, int], Errors], times: Times, missing: str) -> tuple[str, ...]:
    theirs = max(each.torch for each in found.values())
    notes = [
        "Errors are those of shares that float32 holds as normal numbers, beside softmax in"
        f" float64; that of torch.softmax on the same scores is {theirs:.1e}.",
    ]
    if missing:
        return (*notes, f"No time was measured. {missing}")
    for n in (min(times), max(times)):
        two, three, torch = (times[n][name] for name in _WAYS)
        notes.append(
            f"{n} scores: {1e3 * two:.3f} ms by two sweeps, {1e3 * three:.3f} ms by three"
            f" ({100 * (1 - two / three):+.0f} percent saved), {1e3 * torch:.3f} ms by"
            " torch.softmax; processor time of one thread, the best of interleaved rounds."
        )
    return (
        *notes,
        "Both kernels are C of the same parts, compiled with -march=native: the vectors are those"
        " of the machine, and the 18 percent of the paper are for AVX2.",
    )


_WAYS = ("two sweeps", "three sweeps", "torch.softmax")


def _picture(times: Times) -> Picture | None:
    if not times:
        return None
    lines = tuple(
        Series(
            name,
            tuple(times),
            tuple(1e9 * each[name] / n for n, each in times.items()),
        )
        for name in _WAYS
    )
    return Picture(
        "Time of softmax for each score",
        "scores",
        "nanoseconds",
        lines,
        log_x=True,
        caption="Two sweeps save a read of the memory, so they gain where the cache is too small.",
    )


CLAIM = Claim(
    id="1.21",
    title="The Two-Pass Softmax Algorithm",
    paper="arXiv 2001.04438",
    sentence=(
        "With exp(x) kept as a mantissa and an exponent, softmax needs two sweeps over the scores"
        " and no maximum, never overflows, and is faster than three sweeps on vectors larger than"
        " the cache."
    ),
    measure=measure,
)
