"""Hydra: two scans are one quasiseparable matrix, in linear time, and both sides help."""

from __future__ import annotations

import itertools

import numpy as np

from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

N, STATE = 128, 8
LENGTHS = (2048, 4096, 8192, 16384)
DRAWS, LEAST_DRAWS = 5, 2
ROUNDS, LEAST_ROUNDS = 15, 5
SEEDS, STEPS, LEAST_STEPS = 3, 250, 150
SMOOTH = 10
NAMES = {"hydra": "Hydra", "sum": "sum of two recurrences", "forward": "one direction"}

Results = dict[str, list[tuple[float, tuple[float, ...]]]]


def measure(effort: Effort) -> Evidence:
    """Measure two scans against their matrix, over lengths, and against rivals on hidden tokens."""
    from softunit.nn.studies import hydra

    effort.tick("two scans against the dense matrix")
    count = effort.count(DRAWS, LEAST_DRAWS)
    draws = [hydra.two_scan_errors(N, STATE, seed) for seed in _seeds(effort, 0, count)]
    effort.tick(f"time at {LENGTHS[0]} to {LENGTHS[-1]} tokens")
    rounds = effort.count(ROUNDS, LEAST_ROUNDS)
    seconds = hydra.scan_seconds(LENGTHS, rounds, effort.seed)
    steps = effort.count(STEPS, LEAST_STEPS)
    results: Results = {}
    for kind in hydra.KINDS:
        results[kind] = []
        for seed in _seeds(effort, 1, effort.count(SEEDS)):
            effort.tick(f"hidden tokens: {NAMES[kind]}, {steps} steps")
            results[kind].append(hydra.hidden_tokens(kind, seed, steps))
    return Evidence(
        (*_exact(draws), _doubling(seconds), *_rivals(results, steps)),
        _notes(seconds, results, hydra.best_accuracy(2048, effort.seed)),
        _picture(results),
    )


def _seeds(effort: Effort, key: int, count: int) -> list[int]:
    return [int(seed) for seed in effort.rng(key).integers(1 << 31, size=count)]


def _exact(draws: list[tuple[float, float, int]]) -> tuple[Finding, ...]:
    maps, layers, ranks = zip(*draws, strict=True)
    where = f"over {len(draws)} draws, L = {N}, N = {STATE}"
    return (
        Finding(
            f"largest error of two scans to the dense matrix, relative, {where}", max(maps), 1e-6
        ),
        Finding(f"largest error of the layer to its dense form, {where}", max(layers), 1e-6),
        Finding(f"largest rank of a block off the diagonal, {where}", max(ranks), STATE),
    )


def _doubling(seconds: list[float]) -> Finding:
    ratios = [after / before for before, after in itertools.pairwise(seconds)]
    return Finding(
        f"largest factor in processor time when L doubles, {LENGTHS[0]} to {LENGTHS[-1]}",
        max(ratios),
        2.3,
    )


def _rivals(results: Results, steps: int) -> tuple[Finding, ...]:
    mean = {kind: float(np.mean([right for right, _ in runs])) for kind, runs in results.items()}
    where = f"mean of {len(results['hydra'])} seeds after {steps} steps"
    return tuple(
        Finding(
            f"percent of hidden tokens that Hydra tells, {where}, against {NAMES[rival]}",
            100 * mean["hydra"],
            100 * mean[rival],
            ">=",
        )
        for rival in ("forward", "sum")
    )


def _notes(seconds: list[float], results: Results, best: float) -> tuple[str, ...]:
    each = "; ".join(
        f"{NAMES[kind]} {', '.join(f'{100 * right:.1f}' for right, _ in runs)}"
        for kind, runs in results.items()
    )
    per_token = [1e6 * s / n for s, n in zip(seconds, LENGTHS, strict=True)]
    return (
        "The task: walks of 48 tokens on a graph of 16 nodes with 4 successors each, 15 percent of"
        " the tokens hidden; two layers of width 32, state 16, trained alike on the same walks."
        " The sum of two recurrences has as many parameters as Hydra and lacks its shifts alone.",
        f"Who knows the graph and sees both sides tells {100 * best:.1f} percent. Each seed asks"
        " for about 15,000 hidden tokens, so half a point is chance.",
        f"Percent right for each seed: {each}.",
        f"Two scans took {per_token[0]:.1f} microseconds a token at {LENGTHS[0]} tokens and"
        f" {per_token[-1]:.1f} at {LENGTHS[-1]} (4 heads of width 32, state 32, one thread).",
    )


def _picture(results: Results) -> Picture:
    series = []
    for kind, runs in results.items():
        losses = np.mean([curve for _, curve in runs], axis=0)
        smooth = np.convolve(losses, np.full(SMOOTH, 1 / SMOOTH), mode="valid")
        steps = np.arange(len(smooth)) + SMOOTH
        series.append(Series(NAMES[kind], tuple(steps.tolist()), tuple(smooth.tolist())))
    return Picture(
        "Loss on hidden tokens",
        "step",
        "cross-entropy, nats",
        tuple(series),
        caption=f"Means over seeds and {SMOOTH} steps; lower is better.",
    )


CLAIM = Claim(
    id="2.18",
    title="Hydra: bidirectional state space models through matrix mixers",
    paper="arXiv 2407.09941",
    sentence=(
        "Two shifted linear recurrences and a diagonal are one quasiseparable matrix, applied in"
        " linear time; it sees both sides of a token, and tells hidden tokens at least as well as"
        " one recurrence or the sum of two."
    ),
    measure=measure,
)
