"""Findings, efforts, the list of claims, and what becomes of a measurement that breaks off."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from softunit.claims import (
    CLAIMS,
    Claim,
    Effort,
    Evidence,
    Finding,
    Series,
    chosen,
    in_order,
    measure,
    measure_all,
    run,
)
from softunit.errors import InputError


def claim(identity="1.2", holds=True):
    def measured(effort):
        effort.tick("the only number")
        return Evidence((Finding("a number", 1.0 if holds else 3.0, 2.0),))

    return Claim(identity, "A title", "arXiv 0", "It is small.", measured)


@pytest.mark.parametrize(
    ("value", "sense", "holds"),
    [
        (1.0, "<=", True), (2.0, "<=", True), (2.1, "<=", False), (math.nan, "<=", False),
        (2.1, ">=", True), (2.0, ">=", True), (1.9, ">=", False), (math.nan, ">=", False),
        (math.inf, "<=", False), (math.inf, ">=", True),
    ],
)  # fmt: skip
def test_a_finding_holds_on_its_side_of_the_bar(value, sense, holds):
    assert Finding("x", value, 2.0, sense).holds is holds


def test_evidence_holds_if_all_findings_do():
    good, bad = Finding("x", 1.0, 2.0), Finding("y", 3.0, 2.0)
    assert Evidence((good, good)).holds
    assert not Evidence((good, bad)).holds


def test_numpy_numbers_become_floats():
    finding = Finding("x", np.float64(1.0), np.int64(2))
    assert type(finding.value) is float
    assert type(finding.bar) is float
    assert Series("s", (np.float64(1.0),), (2,)).y == (2.0,)
    assert type(Series("s", (1,), (np.float32(2.0),)).y[0]) is float


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Finding("the rate", 1.0, 2.0, "<"), "`sense` must be '<=' or '>='; got '<'"),
        (lambda: Finding("the rate", 1.0, math.nan), r"`bar` must be a number; got nan (the rate)"),
        (lambda: Evidence(()), "needs at least one finding"),
        (lambda: Series("s", (1.0,), ()), "'s' has 1 x and 0 y"),
        (lambda: Effort(seed=-1), "`seed` must be an integer >= 0; got -1"),
        (lambda: Effort(seed=0.5), "`seed` must be an integer >= 0; got 0.5"),
        (lambda: Effort(share=0.0), "`share` must be above 0 and at most 1; got 0.0"),
        (lambda: Effort(share=1.5), "`share` must be above 0 and at most 1; got 1.5"),
        (lambda: Effort(share=math.nan), "`share` must be above 0 and at most 1; got nan"),
        (lambda: in_order(claim(), claim()), "There are 2 claims '1.2'"),
        (lambda: chosen(["1.20"], [claim()]), "no claim '1.20'. Did you mean '1.2'?"),
        (lambda: run("99.99"), "There is no claim '99.99'."),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(InputError, match=re.escape(words)):
        make()


def test_effort_scales_counts():
    assert Effort().count(20) == 20
    assert Effort(share=0.1).count(20) == 2
    assert Effort(share=0.01).count(20) == 1
    assert Effort(share=0.01).count(20, least=5) == 5


def test_random_numbers_come_from_the_seed_and_the_keys():
    first = Effort(seed=1).rng(2, 3).random(4)
    np.testing.assert_array_equal(first, Effort(seed=1).rng(2, 3).random(4))
    for other in (Effort(seed=2).rng(2, 3), Effort(seed=1).rng(2, 4), Effort(seed=1).rng(2)):
        assert not np.array_equal(first, other.random(4))


def test_claims_are_sorted_as_numbers():
    ids = [one.id for one in in_order(claim("1.12"), claim("1.5"), claim("0.4"))]
    assert ids == ["0.4", "1.5", "1.12"]


def test_chosen_keeps_the_order_asked_for_and_drops_repeats():
    claims = [claim("0.4"), claim("1.5")]
    assert [one.id for one in chosen(["1.5", "0.4", "1.5"], claims)] == ["1.5", "0.4"]


@pytest.mark.parametrize("holds", [True, False])
def test_an_outcome_has_a_verdict(holds):
    outcome = measure(claim(holds=holds), Effort())
    assert outcome.verdict == ("holds" if holds else "fails")
    assert outcome.holds is holds
    assert outcome.reason == ""
    assert outcome.seconds >= 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError("it is singular"), "ValueError: it is singular"), (MemoryError(), "MemoryError")],
)
def test_a_measurement_that_breaks_off_is_kept_and_the_others_go_on(error, reason):
    def broken(effort):
        raise error

    claims = [Claim("0.1", "t", "p", "s", broken), claim("0.2")]
    first, second = measure_all(claims, Effort(), lambda claim, what: None)
    assert first.verdict == "could not be measured"
    assert not first.holds
    assert first.evidence is None
    assert first.fault is error
    assert first.reason == reason
    assert second.verdict == "holds"


def test_an_interrupt_goes_on():
    def interrupted(effort):
        raise KeyboardInterrupt("by a person")

    with pytest.raises(KeyboardInterrupt, match="by a person"):
        measure(Claim("0.1", "t", "p", "s", interrupted), Effort())


def test_who_watches_hears_every_word():
    heard, ticks = [], []
    effort = Effort(tick=ticks.append)
    outcomes = list(
        measure_all([claim("0.1"), claim("0.2")], effort, lambda one, w: heard.append((one.id, w)))
    )
    words = "the only number"
    assert heard == [("0.1", ""), ("0.1", words), ("0.2", ""), ("0.2", words)]
    assert ticks == [words, words]
    assert all(outcome.effort is effort for outcome in outcomes)


@pytest.mark.parametrize("one", CLAIMS, ids=lambda one: one.id)
def test_every_claim_says_what_it_is(one):
    assert one.title
    assert one.paper.startswith(("arXiv ", "paper "))
    assert one.sentence.endswith(".")
    assert 60 <= len(one.sentence) <= 500


def test_claims_stand_in_order_and_once():
    assert list(CLAIMS) == sorted(CLAIMS, key=lambda one: one.order)
    assert len({one.id for one in CLAIMS}) == len(CLAIMS) >= 3


def test_a_paper_that_is_listed_twice_has_one_claim():
    assert [claim.id for claim in chosen(["3.17", "1.42"], CLAIMS)] == ["1.42"]
    assert [claim.id for claim in chosen(["4.27", "3.16"], CLAIMS)] == ["3.16"]
