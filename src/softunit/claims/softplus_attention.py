"""Softplus attention: sums, limits, and what re-weighting does at 16 times the trained length."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

SHORT, LONG = 64, 1024
LENGTHS = (64, 128, 256, 512, 1024)
SEEDS, STEPS, LEAST_STEPS = 3, 1500, 1000
BATCHES, LEAST_BATCHES = 8, 4
POWER = 8.0
SIZE = 1e4
NAMES = ("softmax", "LSSA", "LSSAR")

Losses = dict[str, list[list[float]]]
"""For each name and seed, the losses at `LENGTHS`."""


def measure(effort: Effort) -> Evidence:
    """Measure huge scores, the limit of the re-weighting, and recall at more keys than trained."""
    from softunit.nn.attention import ReweightedSoftplus, Softplus
    from softunit.nn.studies.keyed_recall import difference, extremes

    lssa, lssar = Softplus(), ReweightedSoftplus(power=POWER)
    effort.tick(f"scores of {SIZE:g}")
    found = [extremes(unit, SIZE, seed=effort.seed) for unit in (lssa, lssar)]
    plain = ReweightedSoftplus(power=1.0, threshold=0.0)
    losses = _losses(effort)
    rise = {name: _mean(losses[name], LONG) / _mean(losses[name], SHORT) for name in NAMES}
    where = f"over that at {SHORT}, trained at {SHORT}, mean of {len(losses['softmax'])} seeds"
    findings = (
        Finding(
            f"largest distance of a row sum from one, scores of {SIZE:g}, float32",
            max(one.off for one in found),
            1e-5,
        ),
        Finding(
            "numbers that are not finite there, in weights, outputs and gradients",
            sum(one.broken for one in found),
            0,
        ),
        Finding(
            "largest difference of weights, power 1 without threshold against LSSA, float64",
            difference(plain, lssa, seed=effort.seed),
            1e-12,
        ),
        Finding(f"loss at {LONG} keys with LSSAR {where}", rise["LSSAR"], 1.1),
        Finding(f"loss at {LONG} keys with softmax {where}", rise["softmax"], 1.1, ">="),
        Finding(
            "rise of the loss with softmax over its rise with LSSAR",
            rise["softmax"] / rise["LSSAR"],
            1,
            ">=",
        ),
    )
    return Evidence(findings, _notes(losses, rise), _picture(losses))


def _losses(effort: Effort) -> Losses:
    """Train with softmax and with LSSA; judge softmax, LSSA, and LSSAR on what LSSA learned."""
    from softunit.nn.attention import ReweightedSoftplus
    from softunit.nn.studies.keyed_recall import RecallTraining, recall_losses

    plan = RecallTraining(length=SHORT, steps=effort.count(STEPS, LEAST_STEPS))
    lssar, batches = ReweightedSoftplus(power=POWER), effort.count(BATCHES, LEAST_BATCHES)
    losses: Losses = {name: [] for name in NAMES}
    for i in range(effort.count(SEEDS, 1)):
        train = partial(
            recall_losses,
            lengths=LENGTHS,
            plan=plan,
            batches=batches,
            seed=100 * effort.seed + 10 * i,
            tick=_naming(effort, i),
        )
        soft = train("softmax", {"softmax": "softmax"})
        plus = train("softplus", {"LSSA": "softplus", "LSSAR": lssar})
        for name, found in (soft | plus).items():
            losses[name].append(found)
    return losses


def _naming(effort: Effort, i: int) -> Callable[[str], None]:
    return lambda what: effort.tick(f"seed {i}, {what}")


def _mean(losses: list[list[float]], length: int) -> float:
    at = LENGTHS.index(length)
    return sum(one[at] for one in losses) / len(losses)


def _notes(losses: Losses, rise: dict[str, float]) -> tuple[str, ...]:
    each = ", ".join(
        f"{name} {' '.join(f'{one[-1] / one[0]:.3f}' for one in losses[name])}" for name in NAMES
    )
    ends = ", ".join(
        f"{name} {_mean(losses[name], SHORT):.3f} and {_mean(losses[name], LONG):.3f}"
        for name in NAMES
    )
    return (
        "The task: 2048 keys exist, a sequence holds some of them with values among 32, and 32 keys"
        " are asked for; 2 percent of the answers are random, so that the least loss is"
        f" {_least():.3f} nats and a rise of 10 percent of it says something. One layer, two heads"
        f" of width 16, Adam, {STEPS} steps at full size.",
        f"LSSAR is put on the model that LSSA trained, without training it again, with power"
        f" {POWER:g}: the sharpness is ours to choose.",
        f"Loss at {SHORT} and at {LONG} keys: {ends}.",
        f"Loss at {LONG} over loss at {SHORT}, seed by seed: {each}.",
        f"LSSA without the re-weighting rises {rise['LSSA']:.2f} times.",
    )


def _least() -> float:
    from softunit.nn.studies.keyed_recall import KeyedRecall

    return KeyedRecall().least_loss


def _picture(losses: Losses) -> Picture:
    return Picture(
        f"Recall at lengths that training did not meet ({SHORT} keys)",
        "keys of a sequence",
        "cross-entropy, nats",
        tuple(
            Series(name, LENGTHS, tuple(_mean(losses[name], n) for n in LENGTHS)) for name in NAMES
        ),
        log_x=True,
        log_y=True,
        caption="The claim is that LSSAR stays level to 16 times the trained length.",
    )


CLAIM = Claim(
    id="1.24",
    title="Softplus attention with re-weighting",
    paper="arXiv 2501.13428",
    sentence=(
        "Softplus over its sum, with scores scaled by the log of the length, is stable at any"
        " score; re-weighted by relu(N A - 1)^p without training again, it keeps its loss at 16"
        " times the length it was trained at, where that of softmax rises."
    ),
    measure=measure,
)
