"""Conditional logit: the optimum by other roads, and the same answer however sets are told."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import optimize, sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit.errors import InputError, NotUniqueWarning, SeparationWarning
from softunit.estimators import _choice_fit, _choice_start
from softunit.solution import Status

SIZES = (2, 3, 5, 4)
NAMES = np.array(["air", "bus", "car", "rail", "walk"])


def drawn(rng: np.random.Generator, *, sets: int = 120, d: int = 3):
    """Ragged sets, the alternatives of each, and one choice by a true model."""
    sizes = np.array([SIZES[g % len(SIZES)] for g in range(sets)])
    groups = np.repeat(np.arange(sets), sizes)
    which = np.concatenate([np.sort(rng.choice(len(NAMES), k, replace=False)) for k in sizes])
    a, x = rng.standard_normal((len(groups), d)), rng.standard_normal(d)
    constants = np.array([0.0, 0.5, -0.3, 0.2, 0.1])
    z = a @ x + constants[which]
    y = np.zeros(len(groups))
    for g in range(sets):
        rows = np.flatnonzero(groups == g)
        p = np.exp(z[rows] - z[rows].max())
        y[rng.choice(rows, p=p / p.sum())] = 1.0
    return a, y, groups, NAMES[which]


def plain_likelihood(a, y, groups, x, *, weights=None, offset=None) -> float:
    """The log-likelihood set by set, as it is written in the docstring."""
    total = 0.0
    z = a @ x if offset is None else a @ x + offset
    for g in np.unique(groups):
        rows = groups == g
        s = 1.0 if weights is None else weights[rows][0]
        total += s * (y[rows] @ z[rows] - y[rows].sum() * np.log(np.exp(z[rows]).sum()))
    return total


def optimum(a, y, groups, **more) -> np.ndarray:
    """The maximum of the plain likelihood by a general optimiser on numbers alone."""
    found = optimize.minimize(
        lambda x: -plain_likelihood(a, y, groups, x, **more),
        np.zeros(a.shape[1]),
        method="BFGS",
        options={"gtol": 1e-7},
    )
    return found.x


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_the_optimum_is_that_of_the_plain_likelihood(form, rng):
    a, y, groups, _ = drawn(rng)
    model = su.ConditionalLogit().fit(form(a), y, groups)
    np.testing.assert_allclose(model.coef_, optimum(a, y, groups), atol=1e-5)
    own = plain_likelihood(a, y, groups, model.coef_)
    assert model.log_likelihood_ == pytest.approx(own, rel=1e-12)
    assert model.log_likelihood(form(a), y, groups) == pytest.approx(own, rel=1e-12)
    null = -np.log(np.bincount(groups)).sum()
    assert model.null_log_likelihood_ == pytest.approx(null, rel=1e-12)
    assert model.mcfadden_r2_ == pytest.approx(1 - own / null)
    assert model.aic_ == pytest.approx(6 - 2 * own)
    assert model.bic_ == pytest.approx(3 * np.log(120) - 2 * own)
    assert model.solution_.value == pytest.approx(-own)
    assert model.certificate_.gap_bound < 1e-8
    assert model.certificate_.unique
    assert (model.n_sets_, model.n_dropped_) == (120, 0)


def test_offsets_and_weights_enter_the_likelihood(rng):
    a, y, groups, _ = drawn(rng)
    offset = rng.standard_normal(len(y))
    weights = rng.uniform(0.2, 3.0, 120)[groups]
    model = su.ConditionalLogit().fit(a, y, groups, sample_weight=weights, offset=offset)
    expected = optimum(a, y, groups, weights=weights, offset=offset)
    np.testing.assert_allclose(model.coef_, expected, atol=1e-5)
    own = plain_likelihood(a, y, groups, model.coef_, weights=weights, offset=offset)
    assert model.log_likelihood_ == pytest.approx(own, rel=1e-12)
    null = plain_likelihood(a, y, groups, 0 * model.coef_, weights=weights, offset=offset)
    assert model.null_log_likelihood_ == pytest.approx(null, rel=1e-12)


def test_permuted_rows_and_renamed_sets_give_the_same_answer(rng):
    a, y, groups, names = drawn(rng)
    model = su.ConditionalLogit().fit(a, y, groups, alternatives=names)
    order = rng.permutation(len(y))
    labels = np.array([f"set {g}" for g in rng.permutation(120)])[groups]
    moved = su.ConditionalLogit().fit(a[order], y[order], labels[order], alternatives=names[order])
    np.testing.assert_allclose(moved.coef_, model.coef_, rtol=1e-9)
    np.testing.assert_allclose(
        moved.predict_proba(a[order], labels[order], alternatives=names[order]),
        model.predict_proba(a, groups, alternatives=names)[order],
        rtol=1e-9,
    )
    for kind in ("classical", "robust"):
        np.testing.assert_allclose(
            moved.standard_errors(kind), model.standard_errors(kind), rtol=1e-8
        )


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_constants_are_columns_of_ones(form, rng):
    a, y, groups, names = drawn(rng)
    model = su.ConditionalLogit(reference="car").fit(form(a), y, groups, alternatives=names)
    others = ["air", "bus", "rail", "walk"]
    wide = np.column_stack([a, *(names == name for name in others)])
    plain = su.ConditionalLogit().fit(wide, y, groups)
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.standard_errors(), plain.standard_errors(), rtol=1e-8)
    assert model.names_ == ("x0", "x1", "x2", *(f"constant: {name}" for name in others))
    np.testing.assert_array_equal(model.constants_[[0, 1, 3, 4]], model.coef_[3:])
    assert model.constants_[2] == 0.0
    alone = su.ConditionalLogit().fit(wide[:, 3:], y, groups)
    assert model.constants_log_likelihood_ == pytest.approx(alone.log_likelihood_, rel=1e-9)


def test_constants_of_equal_sets_have_the_shares_as_their_likelihood(rng):
    groups, names = np.repeat(np.arange(90), 3), np.tile(["a", "b", "c"], 90)
    y = np.zeros(270)
    y[rng.choice(3, 90, p=[0.5, 0.3, 0.2]) + 3 * np.arange(90)] = 1.0
    a = rng.standard_normal((270, 1))
    model = su.ConditionalLogit().fit(a, y, groups, alternatives=names)
    alone = su.ConditionalLogit().fit(
        np.column_stack([names == "b", names == "c"]).astype(float), y, groups
    )
    assert model.constants_log_likelihood_ == pytest.approx(alone.log_likelihood_, rel=1e-10)
    shares = model.predict_proba(a, groups, alternatives=names).reshape(90, 3).mean(axis=0)
    np.testing.assert_allclose(shares, y.reshape(90, 3).mean(axis=0), rtol=1e-8)


def test_shares_counts_and_weights_are_sets_seen_several_times(rng):
    a, _, groups, _ = drawn(rng, sets=40)
    counts = rng.poisson(1.0, len(groups)).astype(float)
    counts[np.unique(groups, return_index=True)[1]] += 1
    totals = np.bincount(groups, counts)[groups]
    by_counts = su.ConditionalLogit().fit(a, counts, groups)
    by_shares = su.ConditionalLogit().fit(a, counts / totals, groups, sample_weight=totals)
    rows, sets, chosen, number = [], [], [], 0
    for i in np.flatnonzero(counts):
        for _ in range(int(counts[i])):
            members = np.flatnonzero(groups == groups[i])
            rows.extend(members)
            sets.extend([number] * len(members))
            chosen.extend(members == i)
            number += 1
    one_by_one = su.ConditionalLogit().fit(a[rows], chosen, sets)
    for other in (by_shares, one_by_one):
        np.testing.assert_allclose(other.coef_, by_counts.coef_, rtol=1e-8)
        assert other.log_likelihood_ == pytest.approx(by_counts.log_likelihood_, rel=1e-10)
        np.testing.assert_allclose(other.standard_errors(), by_counts.standard_errors(), rtol=1e-7)


def test_a_ridge_is_the_one_of_the_docstring(rng):
    a, y, groups, names = drawn(rng)
    model = su.ConditionalLogit(C=0.05).fit(a, y, groups, alternatives=names)
    known = su.ConditionalLogit().fit(a, y, groups, alternatives=names)
    others = np.column_stack([names == name for name in NAMES[1:]])
    wide = np.column_stack([a, others])

    def objective(x):
        return -0.05 * plain_likelihood(wide, y, groups, x) + 0.5 * x[:3] @ x[:3]

    found = optimize.minimize(objective, np.zeros(7), method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(model.coef_, found.x, atol=1e-5)
    assert np.linalg.norm(model.coef_[:3]) < np.linalg.norm(known.coef_[:3])
    assert model.log_likelihood_ < known.log_likelihood_
    assert "ridge" in str(model.summary())


def test_scores_of_any_size_and_far_columns_fit(rng):
    a, y, groups, _ = drawn(rng)
    plain = su.ConditionalLogit().fit(a, y, groups)
    scale, shift = np.array([1e6, 1e-6, 1.0]), np.array([1e8, 0.0, 1e4])
    moved = su.ConditionalLogit().fit(a * scale + shift, y, groups)
    np.testing.assert_allclose(moved.coef_ * scale, plain.coef_, rtol=1e-6)


def test_an_offset_of_minus_infinity_and_a_mask_leave_rows_out(rng):
    a, y, groups, _ = drawn(rng)
    out = (y == 0) & (rng.random(len(y)) < 0.3)
    out &= np.bincount(groups, ~out)[groups] > 1
    kept = ~out
    expected = su.ConditionalLogit().fit(a[kept], y[kept], groups[kept])
    masked = su.ConditionalLogit().fit(a, y, groups, available=kept)
    offset = su.ConditionalLogit().fit(a, y, groups, offset=np.where(out, -np.inf, 0.0))
    for model in (masked, offset):
        np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
        np.testing.assert_allclose(
            model.standard_errors("robust"), expected.standard_errors("robust"), rtol=1e-10
        )
    p = masked.predict_proba(a, groups, available=kept)
    assert (p[out] == 0).all()
    np.testing.assert_allclose(p[kept], expected.predict_proba(a[kept], groups[kept]), rtol=1e-12)
    np.testing.assert_allclose(np.bincount(groups, p), 1.0)


def test_a_start_from_some_sets_leads_to_the_same_end(rng, monkeypatch):
    monkeypatch.setattr(_choice_start, "SAMPLED_WORK", 1.0)
    monkeypatch.setattr(_choice_start, "LEAST", 40)
    a, y, groups, _ = drawn(rng, sets=1200)
    order = rng.permutation(len(y))
    sampled = su.ConditionalLogit().fit(a[order], y[order], groups[order])
    monkeypatch.setattr(_choice_start, "SAMPLED_WORK", np.inf)
    whole = su.ConditionalLogit().fit(a[order], y[order], groups[order])
    np.testing.assert_allclose(sampled.coef_, whole.coef_, rtol=1e-8)
    assert sampled.solution_.solver == "SampledHessian"
    assert sampled.solution_.cost.curvatures == 0 < whole.solution_.cost.curvatures


@pytest.mark.parametrize("solver", ["newton-cg", "lbfgs"])
def test_other_solvers_reach_the_same_optimum(solver, rng):
    a, y, groups, _ = drawn(rng)
    expected = su.ConditionalLogit().fit(a, y, groups).coef_
    model = su.ConditionalLogit(solver=solver, max_iter=1000).fit(a, y, groups)
    np.testing.assert_allclose(model.coef_, expected, atol=1e-6)


def test_columns_that_no_choice_depends_on_are_named(rng):
    a, y, groups, _ = drawn(rng)
    income = rng.uniform(1, 5, 120)[groups]
    wide = np.column_stack([a, income, a[:, 0] - 2 * a[:, 1]])
    with pytest.warns(NotUniqueWarning, match="'x3' is constant within every choice set and"):
        model = su.ConditionalLogit().fit(wide, y, groups)
    plain = su.ConditionalLogit().fit(a, y, groups)
    assert model.coef_[3] == pytest.approx(0.0, abs=1e-9)
    assert model.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=1e-12)
    assert model.aic_ == pytest.approx(plain.aic_)
    assert model.certificate_.unique is False
    with pytest.raises(InputError, match="x4"):
        model.standard_errors()


def test_separated_choices_are_told_and_not_believed(rng):
    groups = np.repeat(np.arange(30), 3)
    a = rng.standard_normal((90, 2))
    y = np.zeros(90)
    y[a[:, 0].reshape(30, 3).argmax(axis=1) + 3 * np.arange(30)] = 1.0
    with pytest.warns(SeparationWarning, match="x0"):
        model = su.ConditionalLogit().fit(a, y, groups)
    assert model.solution_.status is Status.SEPARABLE
    with pytest.raises(InputError, match="no standard errors exist"):
        model.standard_errors()
    held = su.ConditionalLogit(C=1.0).fit(a, y, groups)
    assert held.solution_.converged


def test_an_alternative_that_is_never_chosen_is_told(rng):
    a, y, groups, names = drawn(rng)
    never = (names == "walk") & (y > 0)
    kept = ~np.isin(groups, groups[never])
    with pytest.warns(SeparationWarning, match="walk"):
        su.ConditionalLogit().fit(a[kept], y[kept], groups[kept], alternatives=names[kept])


def test_a_fit_that_is_cut_short_says_so_and_shows_no_stars(rng):
    a, y, groups, _ = drawn(rng)
    with pytest.warns(ConvergenceWarning, match="after 1 iteration "):
        model = su.ConditionalLogit(max_iter=1).fit(a, y, groups)
    assert not model.solution_.converged
    assert "***" not in str(model.summary())
    assert su.ConditionalLogit().fit(a, y, groups).summary() is not None


def test_it_is_an_estimator_that_travels_without_its_data(rng):
    a, y, groups, names = drawn(rng)
    model = clone(su.ConditionalLogit(reference="bus")).fit(a, y, groups, alternatives=names)
    errors = model.standard_errors("clustered", groups // 4)
    assert len(pickle.dumps(model)) < 20_000 < a.nbytes * 8
    there = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(there.coef_, model.coef_)
    with pytest.raises(InputError, match="without the data of its fit"):
        there.standard_errors()
    again = there.inference(a, y, groups, alternatives=names)
    np.testing.assert_allclose(again.standard_errors("clustered", groups // 4), errors)
    certificate = there.certify(a, y, groups, alternatives=names)
    assert certificate.value == pytest.approx(-model.log_likelihood_)
    assert certificate.gap_bound < 1e-8


def test_large_groups_and_a_float32_design_are_taken(rng):
    groups = np.repeat(np.arange(3), [40_000, 60_000, 7])
    a = rng.standard_normal((len(groups), 2)).astype(np.float32)
    unit = su.units.GroupedSoftmax(groups)
    shares = unit.probabilities(a @ np.array([0.3, -0.2]))
    model = su.ConditionalLogit().fit(a, shares, groups)
    np.testing.assert_allclose(model.coef_, [0.3, -0.2], atol=1e-6)


def test_wide_sparse_columns_need_no_hessian_to_step(rng):
    groups = np.repeat(np.arange(700), 3)
    a = sparse.random_array((2100, 210), density=0.05, rng=rng, format="csr")
    z = a @ (0.3 * rng.standard_normal(210)) + rng.gumbel(size=2100)
    y = np.zeros(2100)
    y[z.reshape(700, 3).argmax(axis=1) + 3 * np.arange(700)] = 1.0
    wide = su.ConditionalLogit().fit(a, y, groups)
    dense = su.ConditionalLogit().fit(a.toarray(), y, groups)
    assert wide.solution_.cost.curvatures > 0
    np.testing.assert_allclose(wide.coef_, dense.coef_, atol=1e-6)
    np.testing.assert_allclose(wide.standard_errors(), dense.standard_errors(), rtol=1e-6)


def equal_sets(rng, names):
    """Ninety sets of three alternatives, a weight for each set and an offset for each row."""
    groups, which = np.repeat(np.arange(90), 3), np.resize(list(names), 270)
    y = np.zeros(270)
    y[rng.choice(3, 90, p=[0.5, 0.3, 0.2]) + 3 * np.arange(90)] = 1.0
    weights = rng.uniform(0.2, 3.0, 90)[groups]
    return rng.standard_normal((270, 1)), y, groups, which, weights, rng.standard_normal(270)


@pytest.mark.parametrize("how", ["weights", "offset", "repeated"])
def test_models_that_know_less_take_weights_and_offsets_too(how, rng):
    names = "abbacc" if how == "repeated" else "abc"
    a, y, groups, which, weights, offset = equal_sets(rng, names)
    more = {"weights": {"sample_weight": weights}, "offset": {"offset": offset}, "repeated": {}}
    model = su.ConditionalLogit().fit(a, y, groups, alternatives=which, **more[how])
    others = np.column_stack([which == name for name in sorted(set(names))[1:]]).astype(float)
    alone = su.ConditionalLogit().fit(others, y, groups, **more[how])
    assert model.constants_log_likelihood_ == pytest.approx(alone.log_likelihood_, rel=1e-9)
    mass = weights[::3].sum() if how == "weights" else 90.0
    if how != "offset":
        assert model.null_log_likelihood_ == pytest.approx(-mass * np.log(3), rel=1e-12)
    k = len(model.coef_)
    assert model.bic_ == pytest.approx(k * np.log(mass) - 2 * model.log_likelihood_, rel=1e-12)


def test_a_ridge_is_no_part_of_the_likelihood_and_stays_in_the_problem(rng):
    a, y, groups, names = drawn(rng)
    model = su.ConditionalLogit(C=0.05).fit(a, y, groups, alternatives=names)
    wide = np.column_stack([a, *(names == name for name in NAMES[1:])])
    own = plain_likelihood(wide, y, groups, model.coef_)
    assert model.log_likelihood_ == pytest.approx(own, rel=1e-12)
    penalty = model.coef_[:3] @ model.coef_[:3] / (2 * 0.05)
    assert model.certificate_.theory is None  # that of one softmax is no theory of many
    again = model.certify(a, y, groups, alternatives=names)
    assert again.value == pytest.approx(penalty - own, rel=1e-12)
    np.testing.assert_allclose(
        model.inference(a, y, groups, alternatives=names).standard_errors(),
        model.standard_errors(),
        rtol=1e-10,
    )


def test_a_ridge_does_not_hold_the_constant_of_what_is_never_chosen(rng):
    a, y, groups, names = drawn(rng)
    kept = ~np.isin(groups, groups[(names == "walk") & (y > 0)])
    model = su.ConditionalLogit(C=1.0)
    with pytest.warns(SeparationWarning, match="walk"):
        model.fit(a[kept], y[kept], groups[kept], alternatives=names[kept])
    assert model.solution_.status is Status.SEPARABLE


def test_a_column_of_one_value_is_told_and_held_at_zero_by_a_ridge(rng):
    a, y, groups, _ = drawn(rng)
    wide = np.column_stack([a, np.full(len(y), 7.0)])
    model = su.ConditionalLogit(C=1.0).fit(wide, y, groups)
    plain = su.ConditionalLogit(C=1.0).fit(a, y, groups)
    np.testing.assert_allclose(model.coef_, np.append(plain.coef_, 0.0), rtol=1e-9, atol=1e-12)
    assert model.certificate_.unique


def test_an_unfinished_start_from_some_sets_is_carried_to_the_end(rng, monkeypatch):
    monkeypatch.setattr(_choice_start, "SAMPLED_WORK", 1.0)
    monkeypatch.setattr(_choice_start, "LEAST", 40)
    monkeypatch.setattr(_choice_fit, "STEPS", 1)
    a, y, groups, _ = drawn(rng, sets=1200)
    model = su.ConditionalLogit().fit(a, y, groups)
    assert model.solution_.converged
    monkeypatch.setattr(_choice_start, "SAMPLED_WORK", np.inf)
    whole = su.ConditionalLogit().fit(a, y, groups)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-6)
    assert model.n_iter_ > 1
