"""Kernelised attention with relative positions: exact by FFT, and steadier with normalised q, k."""

from __future__ import annotations

import numpy as np

from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

EXACT = (100, 257, 600)
TIMED = (1024, 2048, 4096, 8192, 16384)
AGAINST = 8192
WIDTH = 32
ROUNDS = 5
DRAWS, TOKENS, FEATURES = 20, 256, 64


def measure(effort: Effort) -> Evidence:
    """Measure the error of the FFT route, its time beside softmax, and errors of the features."""
    from softunit.nn.studies import relative_features as study  # needs PyTorch

    lengths = EXACT[: effort.count(len(EXACT), 2)]
    effort.tick(f"FFT against the dense Toeplitz route, n = {lengths[0]} to {lengths[-1]}")
    error = study.fft_error(lengths, WIDTH // 2, effort.rng(0))
    draws = effort.count(DRAWS, 4)
    effort.tick(f"errors of {FEATURES} features, {draws} draws")
    normalised, plain = study.feature_errors(draws, TOKENS, WIDTH, FEATURES, effort.rng(1))
    effort.tick(f"time, n = {TIMED[0]} to {TIMED[-1]}")
    seconds = study.times(TIMED, AGAINST, WIDTH, effort.count(ROUNDS), effort.rng(2))
    better = sum(a < b for a, b in zip(normalised, plain, strict=True))
    at = seconds["fft"][TIMED.index(AGAINST)]
    findings = (
        Finding(
            "largest error of the FFT route in outputs and gradients in float64, against the dense"
            f" Toeplitz route, n = {lengths[0]} to {lengths[-1]}, causal or not",
            error,
            1e-10,
        ),
        Finding(
            f"slope of log time over log n of the FFT route, n = {TIMED[0]} to {TIMED[-1]}",
            float(np.polyfit(np.log(TIMED), np.log(seconds["fft"]), 1)[0]),
            1.25,
        ),
        Finding(
            f"time of the FFT route over that of dense softmax without any bias, n = {AGAINST}",
            at / seconds["dense"][0],
            1.0,
        ),
        Finding(
            "time of the FFT route over that of softmax through PyTorch's fused kernel with the"
            f" same bias of distance, n = {AGAINST}",
            at / seconds["fused with the bias"][0],
            1.0,
        ),
        Finding(
            f"draws of {draws} in which the weights from {FEATURES} features are nearer to softmax"
            " with normalised q and k",
            better,
            draws,
            ">=",
        ),
    )
    return Evidence(findings, _notes(seconds, normalised, plain), _picture(seconds))


def _notes(
    seconds: dict[str, list[float]], normalised: list[float], plain: list[float]
) -> tuple[str, ...]:
    at = seconds["fft"][TIMED.index(AGAINST)]
    fused = seconds["fused without a bias"][0]
    return (
        f"One head, d = {WIDTH}, 32 features, float32 with transforms in float64, the least of"
        " rounds on one thread. The unit itself takes blocks of rows below n m = 2^18, where they"
        " are quicker; here it transforms at every length.",
        f"At n = {AGAINST} the FFT route takes {at:.2f} s, softmax with its n-by-n weights made in"
        f" memory {seconds['dense'][0]:.2f} s, PyTorch's fused softmax with the bias spread over"
        f" blocks of rows {seconds['fused with the bias'][0]:.2f} s, and the same kernel without"
        f" any bias {fused:.2f} s: {at / fused:.1f} times as quick as the FFT route."
        if fused < at
        else f"At n = {AGAINST} the FFT route takes {at:.2f} s, and PyTorch's fused softmax"
        f" without any bias {fused:.2f} s.",
        "The transforms cost r (e + 1) columns: with more features than 32 or wider values the"
        " length at which they win grows.",
        "Error of the weights: the mean over rows of their distance from softmax in the sum of"
        f" absolutes, of standard normal q and k, n = {TOKENS}, d = {WIDTH}:"
        f" {min(normalised):.2f} to {max(normalised):.2f} normalised, against softmax of"
        f" cos(q, k); {min(plain):.2f} to {max(plain):.2f} not, against softmax of"
        " <q, k> / sqrt(d).",
    )


def _picture(seconds: dict[str, list[float]]) -> Picture:
    lines = [Series("FFT", TIMED, tuple(seconds["fft"]))]
    lines += [
        Series(name, TIMED, tuple(seconds["fft"][0] * (n / TIMED[0]) ** power for n in TIMED))
        for name, power in (("slope 1", 1.0), ("slope 1.25", 1.25))
    ]
    names = ("dense", "fused with the bias", "fused without a bias")
    lines += [Series(f"softmax, {name}", (AGAINST,), (seconds[name][0],)) for name in names]
    return Picture(
        "Time of attention with biases of distance",
        "tokens",
        "seconds",
        tuple(lines),
        log_x=True,
        log_y=True,
        points=True,
        caption=f"One head, d = {WIDTH}, one thread; softmax at {AGAINST} tokens in three ways.",
    )


CLAIM = Claim(
    id="1.11",
    title="Kernelised attention with relative positional encoding",
    paper="arXiv 2106.12566",
    sentence=(
        "Kernelised attention takes biases of distance in n log n time, for they multiply its sums"
        " by a Toeplitz matrix; and normalised queries and keys keep the error of its random"
        " features small."
    ),
    measure=measure,
)
