"""Columns whose coefficients the data say nothing about."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit.designs import ScaledDesign, as_design
from softunit.errors import NotUniqueWarning
from softunit.penalties import Ridge
from softunit.problem import Problem
from softunit.separation import identification, unidentified
from softunit.units import GroupedSoftmax, Multinomial

GROUPS = np.repeat(np.arange(40), 3)
CHOSEN = np.tile([1.0, 0.0, 0.0], 40)


def test_columns_constant_within_every_choice_set_are_named(rng):
    a = rng.standard_normal((120, 3))
    a[:, 1] = np.repeat(rng.standard_normal(40), 3)
    (found,) = unidentified(Problem(a, GroupedSoftmax(GROUPS), CHOSEN), ["cost", "income", "time"])
    assert (found.column, found.name, found.others) == (1, "income", ())
    assert str(found) == "column 'income' is constant within every choice set"
    a[1, 1] += 1.0
    assert unidentified(Problem(a, GroupedSoftmax(GROUPS), CHOSEN)) == ()


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_combinations_name_the_last_column_and_what_it_is_made_of(form, rng):
    a = rng.standard_normal((120, 5))
    a[:, 2] = 3.0 + 0 * a[:, 2]
    a[:, 4] = 1e4 * a[:, 0] - 2 * a[:, 3] + 5
    design = ScaledDesign(as_design(form(a)), intercept=True)
    constant, made = unidentified(Problem(design, Multinomial(2), rng.integers(0, 2, 120)))
    assert constant.sentence == "column 2 is constant, as the intercept is"
    assert (made.name, made.others) == ("4", ("0", "3"))
    assert made.sentence == "column 4 is a combination of 0, 3"


def test_without_an_intercept_only_a_column_of_zeros_is_silent(rng):
    a = np.column_stack([rng.standard_normal(60), np.ones(60), np.zeros(60)])
    (found,) = unidentified(Problem(a, Multinomial(2), rng.integers(0, 2, 60)))
    assert found.sentence == "column 2 is zero"


def test_ridge_identifies_what_it_is_on(rng):
    a = rng.standard_normal((60, 2))
    a = np.column_stack([a, a[:, 0]])
    y = rng.integers(0, 2, 60)
    assert [one.column for one in unidentified(Problem(a, Multinomial(2), y))] == [2]
    assert unidentified(Problem(a, Multinomial(2), y, Ridge(np.full(3, 0.1)))) == ()


def test_more_parameters_than_are_decomposed_are_not_looked_at(rng, monkeypatch):
    a = np.zeros((10, 3))
    problem = Problem(a, Multinomial(2), rng.integers(0, 2, 10))
    assert len(unidentified(problem)) == 3
    monkeypatch.setattr(identification, "FORM_LIMIT", 2)
    assert unidentified(problem) == ()


def test_a_classifier_names_them(rng):
    a = rng.standard_normal((150, 2))
    x = np.column_stack([a, a[:, 0] - a[:, 1], np.full(150, 7.0)])
    with pytest.warns(NotUniqueWarning, match="column 'x2' is a combination of 'x0', 'x1'; column"):
        su.SoftmaxClassifier(C=np.inf).fit(x, rng.integers(0, 3, 150))
