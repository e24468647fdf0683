"""Sigmoid attention: row sums, tiles, Lipschitz constants, a small model, and time."""

from __future__ import annotations

import math

import numpy as np

from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
TILED = (100, 512, 1500)
TIMED = (512, 1024, 2048)
DRAWS, STEPS, SEEDS = 100, 600, 2
UNITS = ("softmax", "sigmoid")


def measure(effort: Effort) -> Evidence:
    """Measure sums, tiles, Lipschitz constants, losses on text and forward times."""
    from softunit.nn.studies.sigmoid_attention import (
        lipschitz_ratios,
        mean_row_sums,
        tiles_off,
    )

    effort.tick(f"row sums, {LENGTHS[0]} to {LENGTHS[-1]} keys")
    biased = mean_row_sums(LENGTHS, seed=effort.seed)
    plain = mean_row_sums(LENGTHS, biased=False, seed=effort.seed)
    effort.tick("tiles")
    off = tiles_off(TILED, seed=effort.seed)
    draws = effort.count(DRAWS, 10)
    effort.tick(f"Lipschitz constants, {draws} draws")
    small = lipschitz_ratios("small", draws, seed=effort.seed)
    usual = lipschitz_ratios("torch", draws, seed=effort.seed)
    losses = _losses(effort)
    effort.tick("time of a forward pass")
    seconds = _seconds(effort)
    findings = (
        *_sums(biased, plain),
        Finding(
            "largest difference, tiles against all weights at once, float32, n ="
            f" {', '.join(map(str, TILED))}, causal and not",
            off,
            1e-6,
        ),
        Finding(
            f"percent of {draws} draws with a local Lipschitz constant below softmax's, maps"
            " N(0, 0.02^2)",
            _below(small),
            95,
            ">=",
        ),
        Finding(
            f"percent of {draws} draws with a local Lipschitz constant below softmax's, maps as"
            " torch.nn.MultiheadAttention begins",
            _below(usual),
            95,
            ">=",
        ),
        Finding(
            f"loss on held out text over softmax's, mean of {len(losses['softmax'])} seeds",
            _mean(losses["sigmoid"]) / _mean(losses["softmax"]),
            1.02,
        ),
        Finding(
            "processor time of a forward pass over softmax's, PyTorch's fused kernel, n ="
            f" {', '.join(map(str, TIMED))} together",
            sum(seconds["sigmoid"]) / sum(seconds["softmax"]),
            1.0,
        ),
    )
    notes = _notes((small, usual), losses, seconds)
    return Evidence(findings, notes, _picture(biased, plain))


def _sums(biased: list[float], plain: list[float]) -> tuple[Finding, ...]:
    where = f"n = {LENGTHS[0]} to {LENGTHS[-1]}"
    slope = float(np.polyfit(np.log(LENGTHS), np.log(plain), 1)[0])
    return (
        Finding(
            f"largest factor between a mean row sum and one, b = -log n, {where}",
            max(max(one, 1.0 / one) for one in biased),
            2.0,
        ),
        Finding(
            f"largest mean row sum over the smallest, b = -log n, {where}",
            max(biased) / min(biased),
            2.0,
        ),
        Finding(
            f"distance from one of the slope of log row sum over log n, b = 0, {where}",
            abs(slope - 1.0),
            0.05,
        ),
    )


def _below(ratios: list[float]) -> float:
    return 100.0 * float(np.mean(np.array(ratios) < 1.0))


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _losses(effort: Effort) -> dict[str, list[float]]:
    """Return losses on held out text, for each unit and seed."""
    from softunit.nn.studies.sigmoid_attention import text_losses

    found: dict[str, list[float]] = {unit: [] for unit in UNITS}
    for i in range(effort.count(SEEDS, 1)):
        seed = 100 * effort.seed + i
        trained = text_losses(UNITS, steps=effort.count(STEPS, 3), seed=seed, tick=effort.tick)
        for unit, loss in trained.items():
            found[unit].append(loss)
    return found


def _seconds(effort: Effort) -> dict[str, list[float]]:
    """Return the least processor time of a forward pass, for each unit and length."""
    from softunit.nn.studies.sigmoid_attention import forward_seconds

    return forward_seconds(TIMED, UNITS, rounds=effort.count(20, 3), seed=effort.seed)


def _notes(
    ratios: tuple[list[float], list[float]],
    losses: dict[str, list[float]],
    seconds: dict[str, list[float]],
) -> tuple[str, ...]:
    small, usual = (np.array(one) for one in ratios)
    each = ", ".join(
        f"{a:.3f} against {b:.3f}"
        for a, b in zip(losses["sigmoid"], losses["softmax"], strict=True)
    )
    times = ", ".join(
        f"{a / b:.2f} at {n}"
        for n, a, b in zip(TIMED, seconds["sigmoid"], seconds["softmax"], strict=True)
    )
    return (
        "A local Lipschitz constant is the spectral norm of the Jacobian of a layer of one head, 32"
        " tokens N(0, I) of width 16, with the same maps for both units. Sigmoid over softmax:"
        f" median {np.median(small):.3f}, largest {small.max():.3f} with maps N(0, 0.02^2); median"
        f" {np.median(usual):.3f}, largest {usual.max():.3f} with maps as"
        " torch.nn.MultiheadAttention begins.",
        "With b = -log n a row sums to about the mean of exp(s), which is above one as soon as"
        " scores spread: values then count for more than in an average, and with them the constant."
        " At small scores the sum is n / (n + 1).",
        f"Loss on held out text, sigmoid against softmax: {each}. Both have a LayerScale on what"
        " attention adds that begins at 0.1; characters of docstrings, two layers, width 48, 64"
        f" characters, {STEPS} steps of 16 sequences at full size.",
        f"Time over softmax's: {times} tokens; four heads of width 64, float32, one thread, the"
        " mean of a causal and a full call.",
    )


def _picture(biased: list[float], plain: list[float]) -> Picture:
    return Picture(
        "Mean sum of a row of sigmoid weights",
        "keys",
        "row sum",
        (Series("b = -log n", LENGTHS, tuple(biased)), Series("b = 0", LENGTHS, tuple(plain))),
        log_x=True,
        log_y=True,
        caption="Queries and keys are normal, d = 64; softmax's rows sum to one.",
    )


CLAIM = Claim(
    id="1.43",
    title="Sigmoid self-attention",
    paper="arXiv 2409.04431",
    sentence=(
        "Attention by sigma(s - log n), each key by itself, keeps its row sums near one at any"
        " length, goes by tiles without a running maximum, changes less with its input than"
        " softmax, trains as well with its norm held small at first, and is not slower."
    ),
    measure=measure,
)
