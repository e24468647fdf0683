"""Claim 2.22: measured at small size, and it comes out false where what it measures is wrong."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from softunit.claims.base import Effort
from softunit.claims.minimal_transformer import CLAIM, EPOCHS, digits

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs PyTorch: pip install 'softunit[nn]'"
)

STUDY = "softunit.nn.studies.minimal_transformer"
TRAINED = {
    "full": (56000, 0.98),
    "without mlp": (23000, 0.98),
    "collapsed": (10000, 0.96),
    "symmetric": (8000, 0.975),
}


def failing(evidence):
    return [finding.what for finding in evidence.findings if not finding.holds]


def stand_in(**changed):
    """Return training that says what it is told to say."""

    def train_and_test(kind, train, test, *, plan, seed):
        from softunit.nn.studies.minimal_transformer import Trained

        return Trained(*(TRAINED | changed)[kind], losses=(1.0,) * plan.epochs)

    return train_and_test


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    monkeypatch.setattr(f"{STUDY}.train_and_test", stand_in())


def test_it_holds_with_models_that_do():
    evidence = CLAIM.measure(Effort(share=0.2))
    assert failing(evidence) == []
    assert len(evidence.findings) == 3
    assert len(evidence.picture.series) == 4
    assert len(evidence.picture.series[0].x) == EPOCHS, "a small share takes seeds, not epochs"
    assert "symmetric W 97.5 percent with 8,000 parameters" in evidence.notes[0]


@pytest.mark.parametrize(
    ("kept", "words"), [((8000, 0.96), "points of accuracy"), ((20000, 0.975), "percent of its")]
)
def test_a_minimal_model_that_is_worse_or_large_is_found(kept, words, monkeypatch):
    monkeypatch.setattr(f"{STUDY}.train_and_test", stand_in(symmetric=kept))
    (what,) = failing(CLAIM.measure(Effort(share=0.2)))
    assert words in what


def test_scores_that_do_not_collapse_are_found(monkeypatch):
    from softunit.nn.attention import CollapsedAttention

    monkeypatch.setattr(CollapsedAttention, "scores", lambda self, x: 2 * (x @ x.mT)[:, None])
    (what,) = failing(CLAIM.measure(Effort(share=0.2)))
    assert "W_Q W_K'" in what


def test_digits_are_cut_into_patches():
    (patches, labels), (others, _) = digits(np.random.default_rng(0))
    assert patches.shape == (1200, 16, 4)
    assert others.shape == (597, 16, 4)
    assert sorted(set(labels.tolist())) == list(range(10))
    from sklearn.datasets import load_digits

    pictures, _ = load_digits(return_X_y=True)
    whole = patches[0].reshape(4, 4, 2, 2).swapaxes(1, 2).reshape(64)
    assert (16 * whole == pictures).all(1).any()
