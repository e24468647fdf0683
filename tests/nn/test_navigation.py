"""Navigation: queries pushed away from explored keys, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import explore, navigate


def drawn(rng, *shape):
    return torch.tensor(rng.standard_normal(shape))


def test_a_query_loses_what_it_explored(rng):
    q, keys = drawn(rng, 2, 3, 5), drawn(rng, 7, 5)
    explored = torch.tensor(rng.integers(0, 7, (2, 3, 4)))
    found = navigate(q, keys, explored, 0.3)
    for place in np.ndindex(2, 3):
        expected = q[place] - 0.3 * sum(keys[e] for e in explored[place])
        torch.testing.assert_close(found[place], expected, rtol=1e-14, atol=1e-14)


def test_nothing_explored_changes_nothing(rng):
    q = drawn(rng, 4, 5)
    none = torch.zeros(4, 0, dtype=torch.int64)
    assert torch.equal(navigate(q, drawn(rng, 3, 5), none, 2.0), q)


def by_loops(q, keys, rounds, count, strength):
    found = []
    for _ in range(rounds):
        now = q - strength * sum((keys[e] for e in found), 0 * q)
        order = sorted(range(len(keys)), key=lambda e: -float(keys[e] @ now))
        found += [e for e in order if e not in found][:count]
    return found


@pytest.mark.parametrize("strength", [0.0, 0.05, 1.0])
def test_rounds_against_plain_loops(rng, strength):
    q, keys = drawn(rng, 2, 2, 6), drawn(rng, 40, 6)
    found = explore(q, keys, rounds=4, count=5, strength=strength)
    assert found.shape == (2, 2, 20)
    for place in np.ndindex(2, 2):
        expected = by_loops(q[place].numpy(), keys.numpy(), 4, 5, strength)
        assert found[place].tolist() == expected
        assert len(set(expected)) == 20


def test_strength_zero_is_the_plain_top(rng):
    q, keys = drawn(rng, 6), drawn(rng, 30, 6)
    found = explore(q, keys, rounds=3, count=4, strength=0.0)
    assert found.tolist() == (keys @ q).topk(12).indices.tolist()


def test_all_keys_can_be_explored(rng):
    found = explore(drawn(rng, 3), drawn(rng, 6, 3), rounds=3, count=2, strength=0.5)
    assert sorted(found.tolist()) == list(range(6))


def test_gradients_reach_query_and_keys(rng):
    q, keys = (drawn(rng, *shape).requires_grad_() for shape in ((2, 3), (4, 3)))
    explored = torch.tensor([[0, 1], [3, 3]])
    assert torch.autograd.gradcheck(lambda q, keys: navigate(q, keys, explored, 0.7), (q, keys))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", ["q", "keys"])
def test_numbers_without_an_order_are_refused(rng, bad, place):
    """nan would come first of all, and minus infinity could be found twice."""
    given = {"q": drawn(rng, 2, 3), "keys": drawn(rng, 4, 3)}
    given[place][1, 0] = bad
    with pytest.raises(InputError, match="of 8 scores <q, k> are nan or infinite"):
        explore(**given, rounds=1, count=2, strength=0.1)


def test_settings_may_be_numbers_of_numpy(rng):
    q, keys = drawn(rng, 6), drawn(rng, 30, 6)
    found = explore(q, keys, rounds=np.int64(3), count=np.int64(4), strength=np.float32(0.5))
    assert torch.equal(found, explore(q, keys, rounds=3, count=4, strength=0.5))


Q, KEYS, PLACES = torch.zeros(2, 3), torch.zeros(4, 3), torch.zeros(2, 1, dtype=torch.int64)


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ((Q, torch.zeros(4, 2), PLACES, 1.0), r"must be \(\.\.\., d\).*\(2, 3\).*\(4, 2\)"),
        ((Q, KEYS.double(), PLACES, 1.0), "same dtype.*float32.*float64"),
        ((Q.long(), KEYS.long(), PLACES, 1.0), "floating dtype; got torch.int64"),
        ((Q, KEYS, PLACES, -0.5), "`strength` must be a finite number of at least 0; got -0.5"),
        (
            (Q, KEYS, PLACES, float("nan")),
            "`strength` must be a finite number of at least 0; got nan",
        ),
        ((Q, KEYS, PLACES.int(), 1.0), "`explored` must be int64"),
        ((Q, KEYS, PLACES[0], 1.0), r"`explored` must be int64 of shape \(2, 'e'\)"),
        ((Q, KEYS, PLACES + 4, 1.0), "places from 0 to 3; got 4 to 4"),
        ((Q, KEYS, PLACES - 1, 1.0), "places from 0 to 3; got -1 to -1"),
        ((Q, KEYS, PLACES, "a"), "`strength` must be.*'a'"),
        ((Q, KEYS, PLACES, None), "`strength` must be.*None"),
        ((Q, KEYS, [[0], [1]], 1.0), "`explored` must be a torch tensor; got list"),
        ((Q.tolist(), KEYS, PLACES, 1.0), "`q` must be a torch tensor; got list"),
        ((Q, KEYS.numpy(), PLACES, 1.0), "`keys` must be a torch tensor; got ndarray"),
        ((Q, KEYS.to("meta"), PLACES, 1.0), "`keys` is on meta and `q` on cpu"),
        ((Q[0], KEYS, PLACES[0, 0], 1.0), r"`explored` must be int64 of shape \('e',\)"),
    ],
)
def test_what_does_not_fit_is_refused(args, match):
    with pytest.raises(InputError, match=match):
        navigate(*args)


@pytest.mark.parametrize(
    ("rounds", "count", "match"),
    [
        (0, 1, "`rounds` must be an integer of at least 1; got 0"),
        (1, 0, "`count` must be an integer of at least 1; got 0"),
        (1, "2", "`count` must be an integer of at least 1; got '2'"),
        (1, 1.5, r"`count` must be an integer of at least 1; got 1\.5"),
        (2, 3, "2 rounds of 3 need 6 keys; there are 4"),
    ],
)
def test_rounds_that_cannot_be_are_refused(rounds, count, match):
    with pytest.raises(InputError, match=match):
        explore(Q, KEYS, rounds=rounds, count=count, strength=0.1)
