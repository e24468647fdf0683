"""What a user of each estimator is told of data that are separated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import softunit as su
from softunit.designs import ScaledDesign, as_design
from softunit.errors import InputError, SeparationWarning
from softunit.problem import Problem
from softunit.separation import alone, finder
from softunit.separation.cone import Cone
from softunit.solution import Status
from softunit.units import GroupedSoftmax, Multinomial


@pytest.fixture
def table(rng):
    frame = pd.DataFrame(rng.standard_normal((240, 2)), columns=["age", "income"])
    y = rng.choice(["bus", "car", "train"], 240)
    frame["member"] = ((rng.random(240) < 0.3) & (y != "train")).astype(float)
    return frame, y


def test_a_classifier_names_the_column_and_the_class(table):
    x, y = table
    with pytest.warns(SeparationWarning, match="of column 'member' for 'train' moves off") as told:
        model = su.SoftmaxClassifier(C=np.inf).fit(x, y)
    assert model.solution_.status is Status.SEPARABLE
    assert not model.solution_.converged
    with pytest.raises(InputError, match="separable") as refused:
        model.standard_errors(x, y)
    assert str(told[0].message) in str(refused.value)
    assert su.SoftmaxClassifier(C=1e3).fit(x, y).solution_.converged


def test_a_search_counts_folds_and_its_fit_names_the_column(table):
    x, y = table
    with (
        pytest.warns(SeparationWarning, match="column 'member' for 'train'"),
        pytest.warns(SeparationWarning, match="2 of 2 fits on folds have no optimum"),
    ):
        su.SoftmaxClassifierCV([np.inf], cv=2).fit(x, y)


def test_choices_name_the_column(rng):
    groups = np.repeat(np.arange(100), 3)
    b = np.zeros(300)
    b[3 * np.arange(100) + rng.integers(0, 3, 100)] = 1.0
    x = pd.DataFrame({"cost": rng.standard_normal(300)})
    x["broken"] = ((rng.random(300) < 0.3) & (b == 0)).astype(float)
    with pytest.warns(SeparationWarning, match="the coefficient of column 'broken' moves") as told:
        model = su.ConditionalLogit().fit(x, b, groups)
    assert model.solution_.status is Status.SEPARABLE
    with pytest.raises(InputError, match="separable") as refused:
        model.standard_errors()
    assert str(told[0].message) in str(refused.value)


def test_levels_name_the_column_and_thresholds(rng):
    y = rng.integers(0, 3, 200)
    x = pd.DataFrame({"age": rng.standard_normal(200), "top": (y == 2) & (rng.random(200) < 0.5)})
    with pytest.warns(SeparationWarning, match="coefficient of column 'top'") as told:
        model = su.OrdinalClassifier().fit(x.astype(float), y)
    assert model.solution_.status is Status.SEPARABLE
    with pytest.raises(InputError, match="separable") as refused:
        model.standard_errors()
    assert str(told[0].message) in str(refused.value)


def ways(rng, chosen, sets=60, k=12):
    """Return sets of all k ways, in which only some are chosen, each of them."""
    y = np.zeros((sets, k))
    y[np.arange(sets), np.resize(chosen, sets)] = 1.0
    names = np.tile([f"way {i:02d}" for i in range(k)], sets)
    return rng.standard_normal((sets * k, 2)), y.ravel(), np.repeat(np.arange(sets), k), names


@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    ("chosen", "never"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7, 8], "'way 09', 'way 10', 'way 11'"),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], "'way 00'"),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "'way 00', 'way 11'"),
    ],
    ids=["others", "reference", "both"],
)
def test_ways_never_chosen_are_told_without_a_programme(store, chosen, never, rng, monkeypatch):
    monkeypatch.setattr(finder, "LIMIT", 5)
    x, y, groups, names = ways(rng, chosen)
    with pytest.warns(SeparationWarning, match=f"no choice for or against {never} is ever wrong"):
        model = su.ConditionalLogit().fit(store(x), y, groups, alternatives=names)
    assert model.solution_.status is Status.SEPARABLE
    with pytest.raises(InputError, match="separable"):
        model.summary()


def test_what_no_sign_tells_stays_open_beyond_the_programme(rng, monkeypatch):
    monkeypatch.setattr(finder, "LIMIT", 5)
    x, y, groups, names = ways(rng, np.arange(12))
    model = su.ConditionalLogit().fit(x, y, groups, alternatives=names)  # proved to exist
    assert model.solution_.converged
    x[:, 0] = y  # with the other column too; told by no sign where it is turned
    turned = x @ np.array([[1.0, 1.0], [-0.5, 0.5]])
    problem = Problem(turned, GroupedSoftmax(groups), y)
    assert alone.separated_alone(Cone(problem)) is None
    assert alone.separated_alone(Cone(problem), np.linalg.inv([[1.0, 1.0], [-0.5, 0.5]])[:, 0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_single_columns_of_classes_are_told_by_their_sign(sign, rng):
    y = rng.integers(0, 3, 200)
    x = rng.standard_normal((200, 4))
    x[:, 2] = sign * ((rng.random(200) < 0.3) & (y != 1))
    cone = Cone(Problem(ScaledDesign(as_design(x), intercept=True), Multinomial(3), y))
    w, walk = alone.separated_alone(cone)
    expected = np.zeros((5, 3))
    expected[2, 1] = -sign
    np.testing.assert_array_equal(np.sign(w), expected)
    assert walk.holds
    assert sum(mask.sum() for mask in walk.positive) == np.abs(x[:, 2]).sum()
    x[:, 2] = sign * (rng.random(200) < 0.3)
    assert alone.separated_alone(Cone(Problem(as_design(x), Multinomial(3), y))) is None


def test_a_hint_that_rounding_only_makes_true_is_not_taken():
    x = np.array([[0.1 + 0.2, 0.3], [0.0, 0.0], [0.3, 0.1 + 0.2], [0.0, 0.0], [1.0, 1.0], [0.0, 0]])
    y, groups = np.array([1.0, 0, 1, 0, 1, 0]), np.repeat([0, 1, 2], 2)
    cone = Cone(Problem(x, GroupedSoftmax(groups), y))
    assert alone.separated_alone(cone, np.array([5.0, -5.0])) is not None  # by signs of each
    y = np.array([1.0, 0, 0, 1, 1, 0])
    cone = Cone(Problem(x, GroupedSoftmax(groups), y))
    assert alone.separated_alone(cone, np.array([1.0, -1.0])) is None
