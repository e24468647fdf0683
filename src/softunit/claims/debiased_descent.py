"""Softmax attention with two heads learns a debiased gradient step on regressions in context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from softunit._typing import Matrix, Vector
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

if TYPE_CHECKING:
    from softunit.nn.studies.in_context_regression import Trained

D, LENGTH = 5, 40
TRAININGS, STEPS = 3, 5000
DRAWS, WEIGHT = 1000, 1e-3
TEST = 20_000
LENGTHS = (10, 20, 40, 80, 160)

_LIMIT, _TRAIN, _TEST = range(3)  # streams of random numbers
_MODELS = (("two heads", 2, "softmax"), ("one head", 1, "softmax"), ("linear", 2, "linear"))


def measure(effort: Effort) -> Evidence:
    """Measure the limit of two opposite heads, and what trained heads look like and risk.

    Parameters
    ----------
    effort : Effort
    """
    limit = _limit(effort)
    runs = _runs(effort)
    return Evidence((limit, *_findings(runs)), _notes(runs), _picture(runs))


def _limit(effort: Effort) -> Finding:
    """Return how far (h(w) - h(-w)) / (2 w) is from the debiased gradient step."""
    from softunit.nn.studies.regressions import debiased_step, head

    draws = effort.count(DRAWS, 100)
    rng = effort.rng(_LIMIT)
    x, queries = rng.standard_normal((draws, LENGTH, D)), rng.standard_normal((draws, D))
    truth = rng.standard_normal((draws, D, 1)) / np.sqrt(D)
    y = (x @ truth)[..., 0] + np.sqrt(0.1) * rng.standard_normal((draws, LENGTH))
    ahead, behind = (head(sign * WEIGHT, x, y, queries) for sign in (1, -1))
    errors = np.abs((ahead - behind) / (2 * WEIGHT) - debiased_step(x, y, queries))
    return Finding(
        f"|(h(w) - h(-w)) / (2 w) - debiased gradient step|, largest of {draws} tasks, w ="
        f" {WEIGHT:g}, d = {D}, L = {LENGTH}",
        errors.max(),
        1e-3,
    )


@dataclass(frozen=True)
class Run:
    """What one kind of model came to, each entry over its trainings, (r,)."""

    label: str
    off_diagonal: Vector
    imbalance: Vector
    mu: Matrix  # (r, heads)
    risks: Matrix  # (lengths, r)
    correlation: Vector  # of the predictions with the debiased gradient step
    one_sided: float  # share of starts whose heads ended with mu of one sign
    one_sided_risk: float
    two_sided_risk: float

    def at(self, length: int) -> Vector:
        """Return the risks at this length, (r,)."""
        return np.asarray(self.risks[LENGTHS.index(length)])


def _runs(effort: Effort) -> dict[str, Run]:
    from softunit.nn.studies import in_context_regression as study
    from softunit.nn.studies.regressions import Regressions

    schedule = study.Schedule(
        trainings=effort.count(TRAININGS), steps=effort.count(STEPS, 800), starts=8
    )
    runs = {}
    for number, (label, heads, kind) in enumerate(_MODELS):
        seed = int(effort.rng(_TRAIN, number).integers(1 << 60))
        found = study.trained(
            heads,
            "linear" if kind == "linear" else "softmax",
            Regressions(D, LENGTH),
            schedule,
            seed=seed,
            tick=effort.tick,
        )
        runs[label] = _run(label, found, effort)
    return runs


def _run(label: str, found: Trained, effort: Effort) -> Run:
    """Return what `Run` says of a `Trained`."""
    from softunit.nn.studies import in_context_regression as study
    from softunit.nn.studies.regressions import Regressions, debiased_step

    layers, starts = found.layers, found.starts
    count, seed = effort.count(TEST, 4000), int(effort.rng(_TEST).integers(1 << 62))
    risks = [study.risk(layers, Regressions(D, length), count, seed) for length in LENGTHS]
    tokens, queries, _ = Regressions(D, LENGTH).sample(2000, seed)
    steps = debiased_step(tokens[..., :D], tokens[..., D], queries)
    predictions = layers.predict(tokens, queries)
    one_sided = np.abs(np.sign(starts.output[..., -1]).sum(axis=1)) == starts.output.shape[1]
    start_risks = found.start_risks.ravel()
    return Run(
        label,
        layers.off_diagonal,
        layers.imbalance,
        layers.output[..., -1],
        np.array(risks),
        np.array([np.corrcoef(one, steps)[0, 1] for one in predictions.T]),
        float(one_sided.mean()),
        _mean(start_risks[one_sided]),
        _mean(start_risks[~one_sided]),
    )


def _mean(values: Vector) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _findings(runs: dict[str, Run]) -> tuple[Finding, ...]:
    two, one, linear = runs["two heads"], runs["one head"], runs["linear"]
    where = f"of {len(two.imbalance)} trainings, d = {D}, L = {LENGTH}"
    return (
        Finding(
            f"two heads: share of |KQ| off its diagonal, largest {where}",
            two.off_diagonal.max(),
            0.1,
        ),
        Finding(
            f"two heads: |sum of mu| over sum of |mu|, largest {where}", two.imbalance.max(), 0.05
        ),
        Finding(
            f"risk of two heads over that of one head, largest {where}",
            two.at(LENGTH).max() / one.at(LENGTH).min(),
            1.0,
        ),
        Finding(
            f"two heads: risk at length {2 * LENGTH} over that at {LENGTH}, largest {where}",
            (two.at(2 * LENGTH) / two.at(LENGTH)).max(),
            1.0,
        ),
        Finding(
            f"linear attention: risk at length {2 * LENGTH} over that at {LENGTH}, smallest"
            f" {where}",
            (linear.at(2 * LENGTH) / linear.at(LENGTH)).min(),
            1.0,
            ">=",
        ),
    )


def _notes(runs: dict[str, Run]) -> tuple[str, ...]:
    from softunit.nn.studies.regressions import Regressions, ridge_risk

    two, one, linear = runs["two heads"], runs["one head"], runs["linear"]
    best = ridge_risk(Regressions(D, LENGTH))
    return (
        f"Mean risk at L = {LENGTH}: {two.at(LENGTH).mean():.3f} with two heads,"
        f" {one.at(LENGTH).mean():.3f} with one, {linear.at(LENGTH).mean():.3f} of linear"
        f" attention, {best:.3f} of the posterior mean, below which nothing can be; at L ="
        f" {2 * LENGTH}: {two.at(2 * LENGTH).mean():.3f}, {one.at(2 * LENGTH).mean():.3f} and"
        f" {linear.at(2 * LENGTH).mean():.3f}.",
        "On new tasks the predictions of two heads correlate with the debiased gradient step by"
        f" {two.correlation.min():.4f} at least, those of one head by {one.correlation.min():.4f}.",
        f"Two heads end with weights of opposite sign in {100 * (1 - two.one_sided):.0f} percent"
        f" of the random starts (risk {two.two_sided_risk:.3f} after the trial steps); in the"
        f" others both have one sign, and do what one head does (risk {two.one_sided_risk:.3f})."
        " Noise leads out of there, slowly. So each training tries eight starts and follows the"
        " best, and those of one head and of linear attention likewise.",
        "Trained by Adam on fresh tasks y = <b, x> + noise of variance 0.1, x from N(0, I), b from"
        " N(0, I / d), all entries of KQ and OV from N(0, 0.01). The row of KQ that reads y counts"
        " as off the diagonal.",
    )


def _picture(runs: dict[str, Run]) -> Picture:
    from softunit.nn.studies.regressions import Regressions, ridge_risk

    best = tuple(ridge_risk(Regressions(D, length), 4000) for length in LENGTHS)
    return Picture(
        f"Trained at {LENGTH} tokens, asked at others",
        "tokens of a task",
        "mean risk",
        (
            *(Series(run.label, LENGTHS, tuple(run.risks.mean(axis=1))) for run in runs.values()),
            Series("posterior mean", LENGTHS, best),
        ),
        log_x=True,
        log_y=True,
        caption="Softmax attention keeps gaining from more tokens; linear attention overshoots.",
    )


CLAIM = Claim(
    id="1.19",
    title="In-Context Linear Regression Demystified",
    paper="arXiv 2503.12734",
    sentence=(
        "Multi-head softmax attention trained on linear regressions in context learns diagonal"
        " key-query weights and output weights that sum to zero: with two heads, a debiased"
        " gradient step, better than one head, and good at lengths it was not trained at, where"
        " linear attention is not."
    ),
    measure=measure,
)
