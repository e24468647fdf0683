"""Tables are drawn from a seed, have the stated shape, and the condition that their case names."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from softunit.bench import CASES, SUITES, Case, chosen_cases, chosen_suite, generators
from softunit.errors import InputError


def small(family: str, **sizes: object) -> Case:
    """Return a small case of a family, with the sizes given."""
    return Case(**({"name": family, "family": family, "n": 300, "d": 12, "k": 3, "ridge": 0.01,
                    "condition": 1e3} | sizes))  # fmt: skip


SMALL = {
    "power-law": small("power-law"),
    "sorted": small("sorted"),
    "few-shot": small("few-shot", n=60, k=12),
    "text": small("text", d=200, words=20),
    "one-hot": small("one-hot", n=20_000, d=3_000, k=4),
    "digits": CASES["digits-c1"],
    "iris": CASES["iris"],
    "breast-cancer": CASES["breast-cancer"],
    "breast-cancer-raw": CASES["breast-cancer-raw"],
}


@pytest.mark.parametrize("family", SMALL)
def test_a_case_draws_the_same_table_of_its_shape_twice(family):
    case = SMALL[family]
    one, two = case.task(), case.task()
    assert one.X.shape == (case.n, case.d)
    assert sorted(set(one.y.tolist())) == list(range(case.k))
    assert one.is_sparse == case.is_sparse
    assert one.X.dtype == np.float64
    np.testing.assert_array_equal(one.y, two.y)
    entries = [task.X.data if task.is_sparse else task.X for task in (one, two)]
    np.testing.assert_array_equal(*entries)
    assert np.isfinite(entries[0]).all()


def test_every_family_of_the_cases_is_drawn_above():
    assert {case.family for case in CASES.values()} <= {case.family for case in SMALL.values()}


def test_another_seed_draws_another_table():
    one, two = small("power-law").task(), small("power-law", seed=1).task()
    assert not np.allclose(one.X, two.X)


def test_the_power_law_in_blocks_is_that_of_one_draw(monkeypatch):
    n, d, k, condition = 500, 7, 4, 1e3
    rng = np.random.default_rng(5)
    rotation, _ = np.linalg.qr(rng.standard_normal((d, d)))
    sizes = np.logspace(0, -np.log10(condition) / 2, d)
    X = (rng.standard_normal((n, d)) * sizes) @ rotation
    Z = X @ rng.standard_normal((d, k))
    y = (3 * Z / Z.std() + rng.gumbel(size=Z.shape)).argmax(axis=1)
    monkeypatch.setattr(generators, "_BLOCK", 100)
    drawn, classes = generators.power_law(n, d, k, condition, 5)
    np.testing.assert_allclose(drawn, X, atol=1e-14)
    np.testing.assert_array_equal(classes, y)


@pytest.mark.parametrize("condition", [1e2, 1e6])
def test_the_power_law_has_its_condition(condition):
    X = small("power-law", n=20_000, condition=condition).task().X
    values = np.linalg.eigvalsh(X.T @ X)
    assert values[-1] / values[0] == pytest.approx(condition, rel=0.2)


def test_sorted_rows_are_sorted_and_otherwise_the_same():
    plain, ordered = small("power-law").task(), small("sorted").task()
    assert np.all(np.diff(ordered.y) >= 0)
    np.testing.assert_array_equal(np.sort(plain.X, axis=None), np.sort(ordered.X, axis=None))


def test_few_shot_has_as_many_rows_of_each_class():
    case = SMALL["few-shot"]
    np.testing.assert_array_equal(np.bincount(case.task().y), np.full(case.k, case.n // case.k))


def test_texts_have_length_one_and_columns_of_very_different_counts():
    X = small("text", n=2_000, d=1_000, words=40).task().X
    assert isinstance(X, sparse.csr_matrix)
    np.testing.assert_allclose(np.asarray(X.multiply(X).sum(axis=1)).ravel(), 1.0)
    counts = np.sort(np.bincount(X.indices, minlength=1_000))
    assert counts[-1] > 5 * counts[500] > 5 * counts[10]
    assert 20 < X.nnz / 2_000 <= 40


def test_one_hot_rows_have_one_level_of_each_factor_and_rare_ones_are_rare():
    X = SMALL["one-hot"].task().X
    np.testing.assert_array_equal(np.diff(X.indptr), 11)
    counts = np.bincount(X.indices, minlength=X.shape[1])
    assert np.median(counts) < 10 < counts.max()


def test_float32_cases_are_float32():
    assert small("power-law", dtype="float32").task().X.dtype == np.float32


def test_a_case_that_is_not_what_it_says_is_refused():
    with pytest.raises(InputError, match=r"must be 150 x 5, 3 classes; got 150 x 4, 3"):
        Case("x", "iris", 150, 5, 3, 1.0).task()


def test_cases_come_back_from_plain_values():
    for case in CASES.values():
        assert Case.from_dict(case.to_dict()) == case


def test_suites_name_cases_and_the_study_of_the_issue_is_in_full():
    for suite in SUITES.values():
        assert {case.name for case in chosen_cases(suite.cases)} == set(suite.cases)
    sizes = {(c.n, c.d, c.k, c.ridge, c.condition) for c in chosen_cases(SUITES["full"].cases)}
    assert sizes >= {
        (200_000, 200, 10, 1e-5, 1e4),
        (1_000_000, 30, 7, 1e-6, 1e3),
        (100_000, 100, 3, 1e-8, 1e6),
        (20_000, 2_000, 10, 1e-4, 1e4),
        (50_000, 768, 100, 1e-4, 1e3),
    }


def test_unknown_names_are_refused_with_near_ones():
    with pytest.raises(InputError, match=r"no case 'irs'\. Did you mean 'iris'\?"):
        chosen_cases(["irs"])
    with pytest.raises(InputError, match=r"no suite 'gard'\. Did you mean 'guard'\?"):
        chosen_suite("gard")
