"""Claim 1.19: it holds at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from softunit.claims import Effort
from softunit.claims.debiased_descent import CLAIM

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs PyTorch: pip install 'softunit[nn]'"
)

QUICK = Effort(share=0.01)
STUDY = "softunit.nn.studies.in_context_regression.trained"


@pytest.fixture(scope="module")
def trainings():
    """The trainings of the quick measurement, done once."""
    from softunit.nn.studies import in_context_regression as study

    kept = {}

    def trained(heads, kind, *rest, **words):
        if (heads, kind) not in kept:
            kept[heads, kind] = right(heads, kind, *rest, **words)
        return kept[heads, kind]

    right = study.trained
    return trained


@pytest.fixture(autouse=True)
def quick(monkeypatch, trainings):
    monkeypatch.setattr(STUDY, trainings)


def failing(evidence):
    return {number for number, found in enumerate(evidence.findings) if not found.holds}


def with_two_heads(monkeypatch, trainings, change):
    """Return what fails once the models of two heads are changed."""

    def trained(heads, kind, *rest, **words):
        found = trainings(heads, kind, *rest, **words)
        return change(found) if (heads, kind) == (2, "softmax") else found

    monkeypatch.setattr(STUDY, trained)
    return failing(CLAIM.measure(QUICK))


def test_it_holds():
    evidence = CLAIM.measure(QUICK)
    assert failing(evidence) == set()
    assert len(evidence.findings) == 6
    assert [line.label for line in evidence.picture.series] == [
        "two heads", "one head", "linear", "posterior mean",
    ]  # fmt: skip
    assert evidence == CLAIM.measure(QUICK), "the same seed must measure the same"


def test_a_step_with_its_bias_is_found(monkeypatch):
    monkeypatch.setattr(
        "softunit.nn.studies.regressions.debiased_step",
        lambda x, y, queries: np.einsum("tl,tld,td->t", y, x, queries) / y.shape[1],
    )
    assert failing(CLAIM.measure(QUICK)) == {0}


def test_untrained_heads_are_found(monkeypatch, trainings, rng):
    def untrained(found):
        shapes = found.layers.key_query.shape, found.layers.output.shape
        key_query, output = (0.1 * rng.standard_normal(shape) for shape in shapes)
        return replace(
            found, layers=replace(found.layers, key_query=key_query, output=np.abs(output))
        )

    assert with_two_heads(monkeypatch, trainings, untrained) >= {1, 2, 3}


def test_two_heads_of_one_sign_are_found(monkeypatch, trainings):
    one = trainings(1, "softmax")

    def alike(found):
        layers = replace(
            one.layers,
            key_query=np.repeat(one.layers.key_query, 2, axis=1),
            output=0.51 * np.repeat(one.layers.output, 2, axis=1),
        )
        return replace(found, layers=layers)

    assert with_two_heads(monkeypatch, trainings, alike) == {2, 3}


def test_linear_attention_in_place_of_softmax_is_found(monkeypatch, trainings):
    linear = trainings(2, "linear")
    assert 4 in with_two_heads(
        monkeypatch, trainings, lambda found: replace(found, layers=linear.layers)
    )


def test_softmax_in_place_of_linear_attention_is_found(monkeypatch, trainings):
    def trained(heads, kind, *rest, **words):
        return trainings(heads, "softmax", *rest, **words)

    monkeypatch.setattr(STUDY, trained)
    assert failing(CLAIM.measure(QUICK)) == {5}
