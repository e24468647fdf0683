"""What a conditional logit refuses, and what it leaves out: a sentence each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import softunit as su
from softunit.errors import InputError, SoftunitWarning
from softunit.estimators._choice_data import choice_sets

A = np.array([[1.0], [2.0], [0.5], [1.0], [2.0], [0.2], [0.3], [0.9]])
Y = np.array([1.0, 0, 0, 1, 0, 1, 1, 0])
SETS = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])

MISSING = pd.Series(["bus", "car", pd.NA, "car", "bus", "car", "bus", "car"], dtype="string")
UNKNOWN = pd.array([True] * 6 + [pd.NA, True], dtype="boolean")


def changed(v, place, value):
    out = np.array(v, dtype=object if isinstance(value, str) or value is None else None)
    out[place] = value
    return out


@pytest.mark.parametrize(
    ("y", "groups", "more", "sentence"),
    [
        (None, SETS, {}, "requires y to be passed"),
        (Y, None, {}, "`groups` must say which choice set"),
        (Y[:7], SETS, {}, r"the target y has shape \(7,\), but X has 8 rows"),
        (Y, SETS[:7], {}, r"`groups` has shape \(7,\), but X has 8 rows"),
        (changed(Y, 3, np.nan), SETS, {}, "the target y holds NaN .* in row 3"),
        (changed(Y, 1, -2.0), SETS, {}, "first is -2 in row 1"),
        (["yes"] * 8, SETS, {}, "the target y must hold numbers"),
        (Y, changed(SETS, 2, None), {}, "the groups hold None, first in row 2"),
        (Y, np.where(SETS == "b", np.nan, 1.0), {}, "the groups hold NaN, first in row 2"),
        (Y / 2 + 0.1, SETS, {}, "4 of 4 sets do not, the first is set 'a'.* sum 0.7"),
        (Y, SETS, {"sample_weight": np.arange(8.0)}, "differ within 4 sets; the first is set 'a'"),
        (Y, SETS, {"sample_weight": np.ones(4)}, "one for each set: repeat the weight"),
        (Y, SETS, {"sample_weight": -np.ones(8)}, "hold 8 negative entries"),
        (Y, SETS, {"offset": np.ones(7)}, r"the offset has shape \(7,\)"),
        (Y, SETS, {"offset": changed(np.zeros(8), 4, np.nan)}, "the offset holds NaN .* row 4"),
        (Y, SETS, {"offset": changed(np.zeros(8), 4, np.inf)}, "the offset holds NaN or inf"),
        (Y, SETS, {"offset": changed(np.zeros(8), 3, -np.inf)}, "row 3, chosen 1 time in set 'b'"),
        (Y, SETS, {"available": np.arange(8) != 0}, "1 chosen alternative is not available"),
        (Y, SETS, {"available": np.arange(8)}, "`available` must hold true and false; row 2"),
        (Y, SETS, {"available": np.ones(3)}, r"`available` has shape \(3,\)"),
        (0 * Y, SETS, {}, "4 of 4 choice sets teach nothing: 4 without a choice"),
        (Y, np.arange(8), {}, "4 with one alternative .*No set is left"),
        (Y, SETS, {"alternatives": ["x"] * 8}, "holds one name only, 'x'"),
        (Y, SETS, {"alternatives": ["x"] * 3}, r"`alternatives` has shape \(3,\)"),
        (Y, SETS, {"alternatives": changed(SETS, 5, None)}, "no name in 1 of 8 rows, .* row 5"),
        (Y, SETS, {"alternatives": MISSING}, "no name in 1 of 8 rows, first in row 2"),
        (Y, SETS, {"alternatives": [1, "1"] * 4}, "`alternatives` holds names of types int, str"),
        (Y, [1, "1", 1, "1", 2, 2, 3, 3], {}, "the groups hold labels of types int, str side by"),
        (
            Y,
            SETS,
            {"sample_weight": np.ones(3)},
            r"the weights have shape \(3,\), but X has 8 rows",
        ),
        (Y, SETS, {"sample_weight": changed(np.ones(8), 4, np.inf)}, "the weights hold NaN or inf"),
        (Y, SETS, {"offset": ["far"] * 8}, "the offset must hold numbers"),
        (Y, SETS, {"available": UNKNOWN}, "`available` must hold true and false; row 6 holds <NA>"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_bad_data_get_a_sentence(y, groups, more, sentence):
    with pytest.raises(InputError, match=sentence):
        su.ConditionalLogit().fit(A, y, groups, **more)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"C": 0}, "`C` must be a number > 0"),
        ({"C": 1e-320}, "is too small: 1 / C overflows"),
        ({"tol": -1}, "`tol` must be"),
        ({"max_iter": 1.5}, "`max_iter` must be an integer"),
        ({"solver": "newtons"}, "Did you mean 'newton'"),
        ({"strict": "yes"}, "`strict` must be True or False"),
        ({"alternative_constants": 1}, "`alternative_constants` must be True or False"),
        ({"keyboard_interrupt": "stop"}, "`keyboard_interrupt` must be"),
        ({"reference": "bus"}, "`reference` 'bus' is not among the alternatives 'buss', 'car'"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_bad_parameters_get_a_sentence(params, sentence):
    names = np.tile(["buss", "car"], 4)
    with pytest.raises(InputError, match=sentence):
        su.ConditionalLogit(**params).fit(A, Y, SETS, alternatives=names)


def test_bad_columns_get_their_name():
    frame = pd.DataFrame({"cost": A[:, 0], "time": A[::-1, 0]})
    frame.loc[5, "time"] = np.nan
    with pytest.raises(InputError, match=r"column 'time' of X holds NaN .* first in row 5"):
        su.ConditionalLogit().fit(frame, Y, SETS)


@pytest.fixture
def odd(rng):
    """Forty good sets, two without a choice and one with one alternative, in mixed order."""
    groups = np.concatenate([np.repeat(np.arange(42), 3), [99]])
    y = np.zeros(len(groups))
    y[3 * np.arange(40) + rng.integers(0, 3, 40)] = 1.0
    y[-1] = 1.0
    order = rng.permutation(len(groups))
    return rng.standard_normal((len(groups), 2)), y[order], groups[order]


def test_sets_that_teach_nothing_are_left_out_and_counted(odd):
    a, y, groups = odd
    with pytest.warns(SoftunitWarning, match="3 of 43 .*: 2 without a .* 1 with one alternative"):
        model = su.ConditionalLogit().fit(a, y, groups)
    good = groups < 40
    plain = su.ConditionalLogit(strict=True).fit(a[good], y[good], groups[good])
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-10)
    assert (model.n_sets_, model.n_dropped_) == (40, 3)
    errors = model.standard_errors("clustered", np.where(good, groups % 7, 1000))
    np.testing.assert_allclose(
        errors, plain.standard_errors("clustered", groups[good] % 7), rtol=1e-8
    )


def test_strict_refuses_them(odd):
    a, y, groups = odd
    first = np.flatnonzero(np.isin(groups, [40, 41]))[0]
    with pytest.raises(InputError, match=f"set {groups[first]}, row {first}.*Drop them"):
        su.ConditionalLogit(strict=True).fit(a, y, groups)


def test_rows_that_are_not_available_can_leave_one_alternative(odd):
    a, y, groups = odd
    good = groups < 40
    a, y, groups = a[good], y[good], groups[good]
    available = (y > 0) | (groups != 7)
    with pytest.warns(SoftunitWarning, match="1 of 40 .* 1 with one alternative"):
        model = su.ConditionalLogit().fit(a, y, groups, available=available)
    assert model.n_dropped_ == 1


def test_shares_may_miss_one_by_rounding():
    y = np.array([1 / 3, 2 / 3, 0.25, 0.75, 0.5, 0.5, 0.1, 0.9], dtype=np.float32)
    sets = choice_sets(y, SETS, 8)
    np.testing.assert_allclose(sets.groups.sums(sets.target), 1.0, rtol=1e-15)
    with pytest.raises(InputError, match=r"with sum 0\.999"):
        choice_sets(y * (1 - 1e-4), SETS, 8)


def test_counts_and_flags_are_no_shares():
    np.testing.assert_array_equal(choice_sets(3 * Y, SETS, 8).target, 3 * Y)
    np.testing.assert_array_equal(choice_sets(Y > 0, SETS, 8).target, Y)


def test_nothing_is_copied_where_all_sets_are_good():
    sets = choice_sets(Y, SETS, 8)
    assert sets.kept is None
    assert sets.of_rows(A) is A


def test_masks_offsets_and_weights_keep_to_their_rows():
    groups, y = np.repeat(["a", "b"], 4), np.array([1.0, 0, 0, 0, 0, 0, 0, 1])
    offset, weights = np.arange(8.0), np.repeat([2.0, 3.0], 4)
    offset[[2, 5]] = -np.inf
    sets = choice_sets(
        y, groups, 8, available=np.arange(8) != 1, offset=offset, sample_weight=weights
    )
    np.testing.assert_array_equal(sets.kept, [0, 3, 4, 6, 7])
    np.testing.assert_array_equal(sets.offset, [0, 3, 4, 6, 7])
    np.testing.assert_array_equal(sets.weights, [2, 2, 3, 3, 3])


def test_shares_may_leave_a_set_without_a_choice():
    y = np.array([0.5, 0.5, 0, 0, 0.25, 0.75, 0.1, 0.9])
    with pytest.warns(SoftunitWarning, match=r"1 of 4 .* 1 without a choice .*set 'b', row 2"):
        sets = choice_sets(y, SETS, 8)
    assert sets.n_dropped == 1
    np.testing.assert_allclose(sets.target, y[[0, 1, 4, 5, 6, 7]])


def test_sets_of_no_weight_are_not_counted():
    weights = np.repeat([0.0, 1.0, 2.0, 1.0], 2)
    assert choice_sets(Y, SETS, 8, sample_weight=weights).n_sets == 3


def test_a_reference_without_alternatives_is_refused():
    with pytest.raises(InputError, match="`reference` is 'bus', but `fit` was told no alternat"):
        su.ConditionalLogit(reference="bus").fit(A, Y, SETS)


def test_flags_may_be_numbers():
    available = np.array([1.0, 1, 1, 1, 1, 1, 1, 1])
    assert su.ConditionalLogit(C=1.0).fit(A, Y, SETS, available=available).n_sets_ == 4
    with pytest.raises(InputError, match=r"row 5 holds 0\.5"):
        su.ConditionalLogit(C=1.0).fit(A, Y, SETS, available=changed(available, 5, 0.5))


def test_one_of_a_thing_is_not_told_as_many():
    with pytest.raises(InputError, match="differ within 1 set; the first is set 'c'"):
        su.ConditionalLogit().fit(A, Y, SETS, sample_weight=[1, 1, 1, 1, 1, 2, 1, 1])
    with pytest.warns(SoftunitWarning, match="1 of 4 choice sets teaches nothing"):
        su.ConditionalLogit(C=1.0).fit(A, changed(Y, 0, 0.0), SETS)
