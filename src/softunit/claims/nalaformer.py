"""NaLaFormer: attention of linear cost whose entropy falls as the query grows longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

if TYPE_CHECKING:
    from softunit.nn.studies.norm_awareness import Entropies

ROWS, KEYS, WIDTH = 2000, 64, 16
NORMS = tuple(np.linspace(0.1, 2.0, 20))
LENGTHS = (100, 257, 1024)
TIMED = (2048, 4096, 8192, 16384)
ROUNDS, LEAST_ROUNDS = 15, 5  # one round alone is judged by what else the machine did


def measure(effort: Effort) -> Evidence:
    """Measure entropies over norms, the linear form against the explicit one, and its time."""
    from softunit.nn.studies import norm_awareness as study  # needs PyTorch

    rows = effort.count(ROWS, 100)
    effort.tick(f"entropy of {rows} rows at {len(NORMS)} norms")
    found = study.entropies(NORMS, rows, KEYS, WIDTH, effort.rng(0))
    lengths = LENGTHS[: effort.count(len(LENGTHS), 2)]
    effort.tick(f"linear against explicit, n = {lengths[0]} to {lengths[-1]}")
    error = study.linear_form_error(lengths, WIDTH, effort.rng(1))
    rounds = effort.count(ROUNDS, LEAST_ROUNDS)
    seconds = {}
    for causal in (False, True):
        effort.tick(f"time, n = {TIMED[0]} to {TIMED[-1]}, {'causal' if causal else 'not causal'}")
        seconds[causal] = study.times(TIMED, WIDTH, rounds, causal, effort.rng(2))
    findings = (
        *_of_entropies(found),
        Finding(
            "largest error of the linear form in float32, relative to the largest output, against"
            f" the explicit n-by-n form, n = {lengths[0]} to {lengths[-1]}, causal or not",
            error,
            1e-6,
        ),
        *(
            Finding(
                f"slope of log time over log n, n = {TIMED[0]} to {TIMED[-1]},"
                f" {'causal' if causal else 'every key seen'}",
                float(np.polyfit(np.log(TIMED), np.log(taken), 1)[0]),
                1.1,
            )
            for causal, taken in seconds.items()
        ),
    )
    return Evidence(findings, _notes(found, seconds), _picture(found))


def _of_entropies(found: Entropies) -> tuple[Finding, ...]:
    """Return the findings on weights and entropies."""
    rows = found.norm_aware.shape[1]
    where = f"{rows} rows, {KEYS} keys of {WIDTH} entries"
    between = f"|q| = {NORMS[0]:g} to {NORMS[-1]:g} in {len(NORMS)} steps"
    return (
        Finding(f"least weight, {where}", found.least, 0.0, ">="),
        Finding(f"largest distance of a sum of weights from one, {where}", found.off_one, 1e-12),
        Finding(
            f"steps at which the mean entropy does not fall, {between}",
            _rises(found.norm_aware.mean(1)),
            0,
        ),
        Finding(
            f"percent of rows whose entropy falls at every step, {where}",
            100 * float(np.mean((np.diff(found.norm_aware, axis=0) < 0).all(0))),
            99,
            ">=",
        ),
        Finding(
            "steps at which the mean entropy of softmax does not fall",
            _rises(found.softmax.mean(1)),
            0,
        ),
        Finding(
            "largest change of a row's entropy over norms in ReLU linear attention",
            float(np.ptp(found.relu, axis=0).max()),
            1e-8,
        ),
    )


def _rises(means: np.ndarray) -> float:
    """Return at how many steps the means do not fall."""
    return float(np.count_nonzero(np.diff(means) >= 0))


def _notes(found: Entropies, seconds: dict[bool, list[float]]) -> tuple[str, ...]:
    aware, softmax = found.norm_aware.mean(1), found.softmax.mean(1)
    each = " and ".join(
        f"{1e9 * taken[-1] / TIMED[-1]:.0f} ns a token"
        f" {'causal' if causal else 'with every key seen'}"
        for causal, taken in seconds.items()
    )
    return (
        "Without the turns of RoPE; the scale is one, in softmax too.",
        f"Mean entropy falls from {aware[0]:.2f} to {aware[-1]:.2f}, that of softmax from"
        f" {softmax[0]:.2f} to {softmax[-1]:.2f}; log {KEYS} is {np.log(KEYS):.2f}.",
        "The power lambda (1/2 + tanh |q|) levels off at 3/2 lambda: beyond |q| of about 3 the"
        " entropy stays, where that of softmax goes on falling.",
        f"Time of one head with d = {WIDTH} in float32 on one thread, the least of rounds: at"
        f" n = {TIMED[-1]} {each}.",
    )


def _picture(found: Entropies) -> Picture:
    lines = {"NaLaFormer": found.norm_aware, "softmax": found.softmax, "ReLU": found.relu}
    return Picture(
        "Entropy of attention over the norm of the query",
        "|q|",
        "mean entropy of a row",
        tuple(Series(name, NORMS, tuple(values.mean(1))) for name, values in lines.items()),
        caption="The same directions at every norm: softmax and NaLaFormer grow sharper, linear"
        " attention with max(x, 0) cannot.",
    )


CLAIM = Claim(
    id="1.5",
    title="NaLaFormer: norm-aware linear attention",
    paper="arXiv 2506.21137",
    sentence=(
        "Linear attention forgets the norm of the query, which in softmax makes attention sharper;"
        " a feature map that raises the query's direction to a power that grows with its norm"
        " brings the falling entropy back, at linear cost."
    ),
    measure=measure,
)
