"""Middle ranks follow the top key's neighbours; a query pushed away from them finds more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from softunit._typing import Matrix, Vector
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

if TYPE_CHECKING:
    from softunit.nn.studies.navigation import Vocabulary

SEEDS = 10
BUDGET, ROUNDS = 100, 5
STRENGTH = 0.02
STRENGTHS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)


def measure(effort: Effort) -> Evidence:
    """Measure whose company the middle ranks keep, and how many correct keys each way finds.

    Parameters
    ----------
    effort : Effort
    """
    from softunit.nn.studies.navigation import drawn

    seeds = effort.count(SEEDS, 4)
    effort.tick(f"{seeds} vocabularies")
    words = [drawn(effort.rng(0, seed)) for seed in range(seeds)]
    plain = np.array([_found(one) for one in words])
    found = {
        strength: np.array([_found(one, ROUNDS, strength) for one in words])
        for strength in STRENGTHS
    }
    straight = [drawn(effort.rng(0, seed), lean=0.0) for seed in range(seeds)]
    notes = (
        *_notes(plain, found, [int(one.correct.sum()) for one in words]),
        _control(
            [_found(one)[-1] for one in straight],
            [_found(one, ROUNDS, STRENGTH)[-1] for one in straight],
        ),
    )
    company = [one.company(10, BUDGET) for one in words]
    return Evidence(_findings(company, plain, found[STRENGTH]), notes, _picture(plain, found))


def _found(words: Vocabulary, rounds: int = 1, strength: float = 0.0) -> Vector:
    """Return how many distinct correct keys are among the first 1, 2, ... candidates."""
    places = words.ranked(BUDGET, rounds=rounds, strength=strength)
    fresh = np.zeros(len(places), dtype=bool)
    fresh[np.unique(places, return_index=True)[1]] = True
    return np.cumsum(words.correct[places] & fresh, dtype=float)


def _findings(company: list[float], plain: Matrix, navigated: Matrix) -> tuple[Finding, ...]:
    seeds = len(company)
    ahead = 100 * float(np.mean(navigated[:, -1] > plain[:, -1]))
    return (
        Finding(
            f"ranks 10 to {BUDGET}: share in the top key's cluster over chance, smallest of"
            f" {seeds} seeds",
            min(company),
            3.0,
            ">=",
        ),
        Finding(
            f"percent of seeds in which {ROUNDS} rounds of {BUDGET // ROUNDS} find more distinct"
            f" correct keys than the plain top {BUDGET}, {seeds} seeds",
            ahead,
            90,
            ">=",
        ),
    )


def _notes(plain: Matrix, found: dict[float, Matrix], correct: list[int]) -> tuple[str, ...]:
    def at(say: Callable[[float], str]) -> str:
        return ", ".join(f"{say(strength)} at {strength:g}" for strength in found)

    return (
        f"Of {np.mean(correct):.0f} correct keys the plain top {BUDGET} holds"
        f" {plain[:, -1].mean():.1f} in the mean, {ROUNDS} rounds with strength {STRENGTH:g}"
        f" {found[STRENGTH][:, -1].mean():.1f}.",
        f"By strength: {at(lambda s: f'{found[s][:, -1].mean():.1f}')}; ahead in"
        f" {at(lambda s: f'{(found[s][:, -1] > plain[:, -1]).sum()}')} of {len(plain)} seeds."
        " Pushed too far, the query turns from correct keys as well: they resemble each other too."
        " A language model reads what it was told not to repeat, and can keep to the question; a"
        " subtraction cannot.",
    )


def _control(plain: list[float], navigated: list[float]) -> str:
    return (
        "With queries that lean on no cluster, where similarity of keys spoils nothing, the plain"
        f" top {BUDGET} holds {np.mean(plain):.1f} correct keys and navigation"
        f" {np.mean(navigated):.1f}."
    )


def _picture(plain: Matrix, found: dict[float, Matrix]) -> Picture:
    candidates = tuple(range(1, BUDGET + 1))
    lines = {"plain top": plain} | {
        f"{ROUNDS} rounds, strength {strength:g}": found[strength]
        for strength in (0.01, STRENGTH, 0.1)
    }
    return Picture(
        "Correct keys found",
        "candidates looked at",
        "distinct correct keys, mean over seeds",
        tuple(Series(label, candidates, tuple(line.mean(axis=0))) for label, line in lines.items()),
        caption=f"Between {BUDGET // ROUNDS} candidates and the next, the query is pushed away.",
    )


CLAIM = Claim(
    id="1.1",
    title="Correlation and Navigation in the Vocabulary Key Representation Space",
    paper="arXiv 2410.02284",
    sentence=(
        "Below the top of softmax(K q), keys rank high because they resemble the top key, correct"
        " or not; pushing the query away from explored keys, q - lambda sum k_e, finds more correct"
        " ones among as many candidates."
    ),
    measure=measure,
)
