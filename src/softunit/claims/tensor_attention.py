"""Tensor attention: a polynomial makes it near linear for bounded entries, and triples need it."""

from __future__ import annotations

import numpy as np

from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

N, D, DEGREE = 64, 4, 4
LENGTHS = (2048, 4096, 8192, 16384)
EXACT_LENGTHS = (64, 128, 256)
ROUNDS = 3
SEEDS, STEPS = 2, 1000
SOLVED, CHANCE = 90.0, 60.0

Curve = tuple[tuple[int, ...], tuple[float, ...]]
"""Steps of training, and percent of unseen rows that were told rightly after them."""

_NEAR, _FAR, _TIMES, _TASK = range(4)  # streams of random numbers


def measure(effort: Effort) -> Evidence:
    """Measure the error of the polynomial form, the time of both, and a task of triples.

    Parameters
    ----------
    effort : Effort
        At a share below one: fewer draws and seeds. Lengths and steps of training stay: slopes
        and what is learned are of them.
    """
    draws = effort.count(20, 3)
    near, array = _nearness(effort, draws, 1.0, _NEAR)
    far, _ = _nearness(effort, draws, 3.0, _FAR)
    times = _times(effort)
    slopes = {name: _slope(*measured) for name, measured in times.items()}
    curves = _curves(effort)
    final = {kind: [percent[-1] for _, percent in found] for kind, found in curves.items()}
    size = f"n = {N}, d = {D}"
    findings = (
        Finding(
            f"difference of degree {DEGREE} from the cubic-time result, entries within 1, {size},"
            f" largest of {draws} draws",
            max(near),
            1e-6,
        ),
        Finding(f"largest array it makes, over n^3, {size}", array / N**3, 0.1),
        Finding(
            f"the same difference for entries within 3, {size}, median of {draws} draws",
            float(np.median(far)),
            1.0,
            ">=",
        ),
        Finding(
            _where("polynomial form", times["tensor_polynomial"][0]),
            slopes["tensor_polynomial"],
            1.3,
        ),
        Finding(_where("exact form", times["tensor"][0]), slopes["tensor"], 2.5, ">="),
        Finding(
            f"percent right of triples, tensor attention, least of {len(final['tensor'])} seeds",
            min(final["tensor"]),
            SOLVED,
            ">=",
        ),
        Finding(
            f"percent right of triples, matrix attention, most of {len(final['matrix'])} seeds",
            max(final["matrix"]),
            CHANCE,
        ),
    )
    return Evidence(findings, _notes(near, far, final), _picture(curves))


def _nearness(effort: Effort, draws: int, bound: float, stream: int) -> tuple[list[float], int]:
    """Return the difference of each draw, and the numbers in the largest array."""
    from softunit.nn.studies import tensor

    effort.tick(f"{draws} draws with entries within {bound:g}")
    found = [
        tensor.nearness(N, D, DEGREE, bound, effort.rng(stream, draw)) for draw in range(draws)
    ]
    return [each.error for each in found], max(each.array for each in found)


def _times(effort: Effort) -> dict[str, tuple[tuple[int, ...], list[float]]]:
    """Return lengths and seconds of either form."""
    from softunit.nn.studies import tensor

    found: dict[str, tuple[tuple[int, ...], list[float]]] = {}
    for name, lengths in (("tensor_polynomial", LENGTHS), ("tensor", EXACT_LENGTHS)):
        effort.tick(f"time of {name!r}, {lengths[0]} to {lengths[-1]} tokens")
        seconds = tensor.times(lengths, name, D, ROUNDS, effort.rng(_TIMES, lengths[0]))
        found[name] = (lengths, seconds)
    return found


def _slope(lengths: tuple[int, ...], seconds: list[float]) -> float:
    return float(np.polyfit(np.log(lengths), np.log(seconds), 1)[0])


def _where(form: str, lengths: tuple[int, ...]) -> str:
    return f"slope of log time over log n, {form}, n = {lengths[0]} to {lengths[-1]}, d = {D}"


def _curves(effort: Effort) -> dict[str, list[Curve]]:
    """Return the curves of either kind of attention, one for each seed."""
    from softunit.nn.studies import tensor

    found: dict[str, list[Curve]] = {"tensor": [], "matrix": []}
    for seed in range(effort.count(SEEDS, 1)):
        for kind, curves in found.items():
            effort.tick(f"{kind} attention learns triples, seed {seed}, {STEPS} steps")
            made = tensor.learned(
                tensor.Triples(), kind == "tensor", STEPS, effort.rng(_TASK, seed)
            )
            curves.append((made.steps, made.percent))
    return found


def _notes(near: list[float], far: list[float], final: dict[str, list[float]]) -> tuple[str, ...]:
    ends = "; ".join(f"{kind} {', '.join(f'{x:.1f}' for x in p)}" for kind, p in final.items())
    return (
        "Queries, keys and values are uniform within the bound, and scores <q, k1 * k2> / d. The"
        f" median difference was {np.median(near):.1e} at bound 1 and {np.median(far):.2g} at bound"
        " 3, where scores reach 27 and the polynomial is nothing like exp.",
        "At the bound itself, with all entries one, the fourth-degree polynomial of exp is off by"
        " a fiftieth at a score of minus one: 1e-7 is the error of typical scores, near 0.1.",
        "The task: a query and 4 of 17 residues, half of the rows with two that sum to zero with"
        " the query. Every residue is as likely in both kinds of rows. One layer of attention and"
        " a linear readout, the same tables of vectors for either, with matrix attention of twice"
        f" the width. Percent right at the end: {ends}; chance is 50.",
        f"Solved is taken as {SOLVED:g} percent and chance as at most {CHANCE:g}: the quotient in"
        " softmax lets one layer tell a little from how often residues repeat their distance.",
    )


def _picture(curves: dict[str, list[Curve]]) -> Picture:
    series = tuple(
        Series(f"{kind} attention, seed {seed}", steps, percent)
        for kind, found in curves.items()
        for seed, (steps, percent) in enumerate(found)
    )
    return Picture(
        "Triples that sum to zero: one layer of attention",
        "steps of training",
        "percent right",
        series,
        caption="Rows that the layer had not seen; 50 percent is chance.",
    )


CLAIM = Claim(
    id="2.26",
    title="Attention to pairs of keys (Kronecker, tensor)",
    paper="arXiv 2310.04064",
    sentence=(
        "Attention to pairs of keys detects triples of tokens, which attention to single keys"
        " cannot; for entries within a bound a polynomial of exp gives it in near linear time,"
        " and the bound is needed."
    ),
    measure=measure,
)
