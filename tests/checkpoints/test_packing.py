"""Points, memories and settings as a file holds them, and what hashes tell apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

import softunit as su
from softunit._groups import Groups
from softunit._numeric import ShiftedCholesky
from softunit.checkpoints.fingerprint import digest, fingerprint
from softunit.checkpoints.part import serves, settings_of
from softunit.checkpoints.trees import from_text, to_text
from softunit.errors import NeedsError
from softunit.point import Point
from softunit.solution import Solution, Status
from softunit.solvers import LBFGS, BlockCoordinate, Newton, Search
from softunit.solvers.memory import Memory
from softunit.solvers.packing import (
    packed_memory,
    packed_point,
    packed_state,
    unpacked_memory,
    unpacked_point,
)
from softunit.units import GroupedSoftmax, Multinomial

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
X = arrays(np.float64, (2, 3), elements=FLOATS)
PROBLEM = su.Problem(np.eye(4, 2), Multinomial(3), [0, 1, 2, 0])


def through(tree):
    """Return a tree as it comes out of a file."""
    return from_text(*to_text(tree))


def bits(value):
    return value.tobytes() if isinstance(value, np.ndarray) else value


@given(
    x=X,
    gradient=X,
    scores=st.none() | arrays(np.float64, (4, 3), elements=FLOATS),
    value=FLOATS,
    share=st.floats(0, 1, exclude_min=True),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_points(x, gradient, scores, value, share, flags):
    point = Point(x, value, gradient, scores, flags[0], share, flags[1])
    again = unpacked_point(PROBLEM, through(packed_point(point)))
    for item in dataclasses.fields(Point):
        assert bits(getattr(again, item.name)) == bits(getattr(point, item.name))


@given(
    pairs=st.lists(st.tuples(X, X, st.floats(1e-300, 1e300)), max_size=4), size=st.integers(1, 20)
)
def test_memories(pairs, size):
    memory = Memory(size, tuple(pairs))
    again = unpacked_memory(through(packed_memory(memory)), (2, 3))
    assert again.size == size
    assert [list(map(bits, pair)) for pair in again.pairs] == [
        list(map(bits, pair)) for pair in pairs
    ]


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 12))
def test_factors(seed, size):
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((size, size))
    made = ShiftedCholesky(half @ half.T)
    told = through({"scale": made.parts[0], "factor": made.parts[1]})
    again = ShiftedCholesky.of_parts(told["scale"], told["factor"])
    right = rng.standard_normal(size)
    np.testing.assert_array_equal(again.solve(right), made.solve(right))


def test_states_that_are_none():
    with pytest.raises(NeedsError, match="object is no dataclass, so a checkpoint cannot hold it"):
        packed_state(object())


# What hashes and settings tell apart --------------------------------------------------------------

ARRAYS = arrays(np.float64, st.integers(1, 30), elements=FLOATS)


@given(array=ARRAYS, place=st.integers(0, 29))
def test_a_hash_sees_each_entry(array, place):
    assert digest(array) == digest(array.copy()) == digest(np.repeat(array, 2)[::2])
    other = array.copy()
    place %= len(array)
    other[place] = np.nextafter(other[place], 0.0) if other[place] else 1.0
    assert digest(other) != digest(array)
    assert digest(array.reshape(1, -1)) != digest(array)


def test_a_hash_of_pieces_is_that_of_the_whole(monkeypatch, rng):
    array = rng.standard_normal((100, 7))
    whole = digest(array)
    monkeypatch.setattr("softunit.checkpoints.fingerprint.PIECE", 21)
    assert digest(array) == digest(np.asfortranarray(array)) == whole


def test_objects_are_what_they_were_made_with():
    labels = np.array([3, 1, 1, 3, 2, 2])
    groups, twin = Groups(labels), Groups(labels)
    assert groups.codes is not None  # worked out when it is first asked for
    assert digest(groups) == digest(twin) != digest(Groups(labels[::-1][:4]))
    assert digest(GroupedSoftmax(labels)) == digest(GroupedSoftmax(labels.copy()))
    assert digest(np.tanh) != digest(len)
    assert digest({"b": 1, "a": [2.0]}) == digest({"a": [2.0], "b": 1}) != digest({"a": [1.0]})
    assert digest(sparse.csr_array(np.eye(3))) != digest(sparse.csr_array(2 * np.eye(3)))
    assert len({digest(each) for each in (None, 0, 0.0, False, "", [], np.zeros(0))}) == 7


def test_a_fingerprint_is_the_same_for_any_threads_and_orders(rng):
    a, y = rng.standard_normal((500, 6)), rng.integers(0, 3, 500)
    made = [
        fingerprint(su.Problem(each, Multinomial(3), y))
        for each in (a, np.asfortranarray(a), sparse.csr_array(a))
    ]
    assert made[0]["facts"] == made[1]["facts"] == made[2]["facts"]


@pytest.mark.parametrize(
    ("solver", "told"),
    [
        (LBFGS(), "LBFGS()"),
        (LBFGS(5), "LBFGS(memory=5)"),
        (Newton(kind="exact", linear="cg"), "Newton(kind='exact', linear='cg')"),
        (BlockCoordinate("random", l1=0.5), "BlockCoordinate(rule='random', l1=0.5)"),
    ],
)
def test_settings_are_told(solver, told):
    assert settings_of(solver) == told
    assert settings_of(dataclasses.replace(solver, search=Search(decrease=1e-3))) != told


@pytest.mark.parametrize(
    ("status", "norm", "n_iter", "answer"),
    [
        (Status.CONVERGED, 1e-7, 9, True),
        (Status.CONVERGED, 1e-5, 9, False),
        (Status.SADDLE, 1e-7, 9, True),
        (Status.MAX_ITER, 1e-3, 10, True),
        (Status.MAX_ITER, 1e-3, 9, False),
        (Status.MAX_ITER, 1e-7, 10, False),
        (Status.ROUNDING, 1e-3, 9, True),
        (Status.ROUNDING, 1e-7, 9, False),
        (Status.NO_DESCENT, 1e-3, 9, True),
        (Status.STOPPED, 1e-3, 9, False),
        (Status.INTERRUPTED, 1e-3, 9, False),
    ],
)
def test_which_ends_are_ends_still(status, norm, n_iter, answer):
    ended = Solution(np.zeros(2), 1.0, norm, status, n_iter, (), 0.0, tol=1e-6)
    assert serves(ended, 10) is answer
