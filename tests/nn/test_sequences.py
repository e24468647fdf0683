"""Small tasks on sequences, and the model that is trained on them."""

from __future__ import annotations

import math

import pytest
import torch

from softunit.errors import InputError
from softunit.nn.studies.models import SequenceModel, Training, score, train, turned
from softunit.nn.studies.sequences import IGNORED, AssociativeRecall, CharacterText, library_text

TEXT = "the quick brown fox jumps over the lazy dog. " * 40


def drawn(seed):
    return torch.Generator().manual_seed(seed)


def test_text_asks_for_the_next_character_and_holds_out_its_end():
    task = CharacterText("ab" * 900 + "cd" * 100, 20)
    assert task.vocabulary == 4
    batch = task.draw(8, drawn(0))
    assert torch.equal(batch.tokens[:, 1:], batch.targets[:, :-1])
    assert int(batch.tokens.max()) <= 1
    assert int(task.draw(8, drawn(0), held_out=True).tokens.min()) >= 2
    again = task.draw(8, drawn(0))
    assert torch.equal(batch.tokens, again.tokens)


def test_hidden_characters_are_asked_for_where_they_are_hidden():
    task = CharacterText(TEXT, 30, hidden=0.3)
    plain = CharacterText(TEXT, 30)
    batch = task.draw(64, drawn(3))
    gone = batch.tokens == task.vocabulary - 1
    assert task.vocabulary == plain.vocabulary + 1
    assert torch.equal(gone, batch.targets != IGNORED)
    assert 0.2 < float(gone.double().mean()) < 0.4


def test_every_query_of_recall_has_the_value_of_its_key():
    task = AssociativeRecall(pairs=5, queries=7, keys=9, values=4)
    batch = task.draw(20, drawn(1))
    assert batch.tokens.shape == (20, task.length)
    for tokens, targets in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True):
        told = dict(zip(tokens[0:10:2], tokens[1:10:2], strict=True))
        assert len(told) == 5
        assert targets[:10] == [IGNORED] * 10
        assert [told[key] for key in tokens[10:]] == targets[10:]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CharacterText("short", 10), "at least 120 characters"),
        (lambda: CharacterText(TEXT, 10, hidden=1.0), "`hidden` must be in"),
        (lambda: AssociativeRecall(pairs=5, keys=4), "got 5 pairs of 4 keys"),
        (lambda: AssociativeRecall(queries=0), "must be at least one"),
        (lambda: SequenceModel(5, 10, heads=3), "`heads` must divide `width`"),
        (lambda: SequenceModel(0), "`vocabulary` must be at least one; got 0"),
        (lambda: SequenceModel(5, positions="sung"), "got 'sung'"),
        (lambda: Training(steps=0), "at least one"),
    ],
)
def test_bad_sizes_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_learned_places_end_where_they_end():
    model = SequenceModel(5, 8, 1, 2, positions="learned", length=6)
    assert model(torch.zeros(2, 6, dtype=torch.int64)).shape == (2, 6, 5)
    with pytest.raises(InputError, match="a sequence of 7 tokens"):
        model(torch.zeros(2, 7, dtype=torch.int64))


def test_the_library_has_text_enough():
    text = library_text()
    assert len(text) > 200_000
    assert text.isascii()
    assert len(set(text)) < 100


@pytest.mark.parametrize("unit", ["softmax", "sigmoid", "tensor", "tensor_polynomial"])
@pytest.mark.parametrize("shifted", [False, True])
def test_a_causal_model_does_not_look_ahead(unit, shifted):
    model = SequenceModel(7, 8, 2, 2, unit=unit, shifted=shifted)
    tokens = torch.randint(7, (1, 9), generator=drawn(2))
    later = tokens.clone()
    later[0, 6:] = (later[0, 6:] + 1) % 7
    apart = (model(tokens) - model(later)).detach().abs().amax((0, 2))
    assert float(apart[:6].max()) < 1e-6
    assert float(apart[6:].min()) > 1e-6


def test_a_model_that_sees_both_sides_looks_ahead():
    model = SequenceModel(7, 8, 2, 2, causal=False)
    tokens = torch.randint(7, (1, 9), generator=drawn(2))
    later = tokens.clone()
    later[0, 8] = (later[0, 8] + 1) % 7
    assert float((model(tokens) - model(later)).detach().abs().amax((0, 2)).min()) > 1e-6


def test_parameters_follow_from_the_seed_alone():
    state = torch.random.get_rng_state()
    one, same, other = (SequenceModel(5, 8, 1, 2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    pairs = list(zip(one.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.scores.weight, other.scores.weight)


def test_products_of_turned_vectors_depend_on_distance_alone():
    generator = drawn(4)
    q = torch.randn(7, generator=generator, dtype=torch.float64).expand(6, 7)
    k = torch.randn(7, generator=generator, dtype=torch.float64).expand(6, 7)
    products = turned(q) @ turned(k).T
    torch.testing.assert_close(products[1:, 1:], products[:-1, :-1])
    assert float((products[0] - products[0, 0]).abs().max()) > 1e-3


def test_recall_is_learned_and_the_same_twice():
    task = AssociativeRecall(pairs=3, queries=4, keys=6, values=5)
    training = Training(steps=60, rows=32, rate=1e-2)
    seen = []
    models = [SequenceModel(task.vocabulary, 32, 1, 2, shifted=True) for _ in range(2)]
    curves = [train(model, task, training, watch=lambda *one: seen.append(one)) for model in models]
    assert curves[0].losses == curves[1].losses
    assert len(seen) == 120
    assert abs(curves[0].losses[0] - math.log(task.vocabulary)) < 1.0
    found = score(models[0], task)
    assert found.accuracy > 0.9
    assert found.loss < 0.5


def test_training_says_why_it_stops():
    task = CharacterText(TEXT, 16)
    model = SequenceModel(task.vocabulary, 8, 1, 2)
    late = train(model, task, Training(steps=5, rows=2, seconds=1e-9))
    assert len(late.losses) == 1
    assert "after step 1 the 1e-09 seconds were used up" in late.stopped
    with torch.no_grad():
        model.scores.weight.fill_(float("inf"))
    broken = train(model, task, Training(steps=5, rows=2))
    assert broken.stopped == "the loss of step 1 is not finite"
    short = SequenceModel(task.vocabulary, 8, 1, 2, positions="learned", length=4)
    refused = train(short, task, Training(steps=5, rows=2))
    assert refused.losses == ()
    assert "at step 1 the unit refused its input: Places are learned" in refused.stopped
