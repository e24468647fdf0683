"""What a user of each estimator is told of data that are separated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import softunit as su
from softunit.errors import InputError, SeparationWarning
from softunit.solution import Status


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
