"""PRESTO: its path, crossing cut-offs, rare classes and errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from softunit import OrdinalClassifier, SoftmaxClassifier
from softunit.errors import InputError, SeparationWarning
from softunit.units import CumulativeLogit


def rare(seed: int, n: int = 2500):
    """Three classes, the last one rare, whose cut-offs differ in one of ten weights."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 10))
    first = x @ np.where(np.arange(10) < 5, 0.5, 0.0)
    later = first + 2.0 * x[:, 0] - 5.5
    noise = rng.logistic(size=n)
    return x, (noise > -first).astype(int) + (noise > -later), 1 / (1 + np.exp(-later))


@pytest.fixture
def data():
    return rare(0, 1200)[:2]


def test_a_path_is_the_fits_one_by_one(data):
    x, y = data
    path = OrdinalClassifier(tol=1e-9).path(x, y, [0.003, 0.01, 0.0003])
    np.testing.assert_array_equal(path.strengths, [0.01, 0.003, 0.0003])
    assert path.converged.all()
    for i, strength in enumerate(path.strengths):
        alone = OrdinalClassifier(presto=strength, tol=1e-9).fit(x, y)
        np.testing.assert_allclose(path.coef[i], alone.coef_, atol=1e-5)
        np.testing.assert_allclose(path.thresholds[i], alone.thresholds_, atol=1e-5)
        assert path.log_likelihood[i] == pytest.approx(alone.log_likelihood_, rel=1e-8)


def test_a_path_begins_where_the_first_difference_appears(data):
    x, y = data
    path = OrdinalClassifier().path(x, y, 8, least=1e-2)
    shared = OrdinalClassifier().fit(x, y)
    assert path.n_differences[0] == 0
    np.testing.assert_allclose(path.coef[0], np.tile(shared.coef_, (2, 1)), atol=1e-6)
    assert path.strengths[-1] == pytest.approx(1e-2 * path.strengths[0])
    just_below = OrdinalClassifier(presto=0.98 * path.strengths[0]).fit(x, y)
    assert np.ptp(just_below.coef_, axis=0).max() > 1e-4
    assert (np.diff(path.log_likelihood) >= -1e-8).all()
    assert path.n_differences[-1] > path.n_differences[1]


def test_the_papers_path_begins_without_weights(data):
    x, y = data
    path = OrdinalClassifier(presto_first="same").path(x, y, 5, least=0.1)
    np.testing.assert_array_equal(path.coef[0], 0.0)
    just_below = OrdinalClassifier(presto=0.98 * path.strengths[0], presto_first="same").fit(x, y)
    assert np.abs(just_below.coef_).max() > 0


@pytest.mark.parametrize(
    ("strengths", "sentence"),
    [
        ([-1.0], "`strengths` must be finite numbers >= 0"),
        ([np.inf], "`strengths` must be finite numbers >= 0"),
        (0, "`strengths` must be an integer >= 1"),
        ("many", "`strengths` must be numbers >= 0; got 'many'"),
    ],
    ids=["negative", "infinite", "none", "word"],
)
def test_wrong_strengths_get_a_sentence(strengths, sentence, data):
    with pytest.raises(InputError, match=sentence):
        OrdinalClassifier().path(*data, strengths)
    with pytest.raises(InputError, match="`least` must be below 1"):
        OrdinalClassifier().path(*data, 3, least=2.0)


def test_cut_offs_that_cross_are_counted_and_put_in_order():
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (600, 1))
    y = (rng.logistic(size=600) > -2 * x[:, 0]) + (rng.logistic(size=600) > 1 + 2 * x[:, 0]) * 1
    model = OrdinalClassifier(presto=0.0).fit(x, y.astype(int))
    far = np.array([[-5.0], [5.0]])
    z = model.cumulative_logits(far)
    assert (np.diff(z, axis=1) < 0).any()
    shares = model.predict_proba(far)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)
    own = model.cumulative_logits(x)
    assert model.n_crossed_ == (np.diff(own, axis=1)[:, 0] < 0).sum()
    middle = y == 1
    assert (np.diff(own[middle], axis=1) > 0).all()  # each row's own logits stay in order


def test_a_rare_class_is_found_better_than_by_either_neighbour():
    gains = []
    for seed in range(4):
        x, y, truth = rare(seed)
        assert 5 <= (y == 2).sum() <= 60
        presto = OrdinalClassifier(presto=0.001, tol=1e-6).fit(x, y)
        shared = OrdinalClassifier(tol=1e-6).fit(x, y)
        alone = SoftmaxClassifier(C=np.inf).fit(x, y == 2)
        fits = [m.predict_proba(x)[:, -1] for m in (presto, shared, alone)]
        errors = [np.mean((p - truth) ** 2) for p in fits]
        gains.append(errors)
    presto, shared, alone = np.mean(gains, axis=0)
    assert presto < shared
    assert presto < alone


def test_errors_of_free_weights_are_those_of_the_long_parametrisation(data):
    x, y = data
    y = np.minimum(y + (x[:, 0] > 0.7), 2)
    model = OrdinalClassifier(presto=0.0).fit(x, y)
    found = model.inference()
    assert found.names[0] == ("0|1", "x0")
    assert found.names[-1] == ("1|2", "threshold")
    told = np.column_stack([model.coef_.T.ravel()[None, :], model.thresholds_[None, :]])
    np.testing.assert_allclose(found.coef, told.ravel(), rtol=1e-9)
    # The inverse of a Hessian by differences, in betas and thresholds.
    rows = np.column_stack([-x, np.ones(len(x))])
    unit, size = CumulativeLogit(3), rows.shape[1]
    parts = np.vstack([model.coef_.T, model.thresholds_])

    def gradient(v):
        return (rows.T @ unit.gradient(rows @ v.reshape(size, 2), y)).ravel()

    steps = 1e-5 * np.eye(2 * size)
    hessian = np.stack(
        [(gradient(parts.ravel() + e) - gradient(parts.ravel() - e)) / 2e-5 for e in steps]
    )
    expected = np.sqrt(np.diag(np.linalg.inv(hessian)))
    np.testing.assert_allclose(found.standard_errors(), expected, rtol=1e-5)


def test_errors_after_l1_carry_a_remark(data):
    model = OrdinalClassifier(presto=0.01).fit(*data)
    assert "l1" in str(model.summary())


def test_the_order_and_size_of_columns_do_not_matter(data):
    x, y = data
    wide = np.column_stack([x, x[:, :1] * 1e5])
    model = OrdinalClassifier(presto=1e-3, C=10.0, tol=1e-6).fit(wide, y)
    assert model.solution_.converged
    thin = OrdinalClassifier(presto=1e-3, C=10.0, tol=1e-6).fit(wide[:, ::-1], y)
    np.testing.assert_allclose(
        thin.predict_proba(wide[:, ::-1]), model.predict_proba(wide), atol=1e-6
    )


@pytest.mark.parametrize(
    "settings",
    [{"presto_first": 0.005}, {"presto_first": "same"}, {"C": 0.05}],
    ids=["first", "same", "ridge"],
)
def test_a_path_has_the_weights_and_the_other_penalties_of_a_fit(settings, data):
    x, y = data
    times = np.random.default_rng(1).integers(1, 4, len(y)).astype(float)
    model = OrdinalClassifier(tol=1e-9, **settings)
    path = model.path(x, y, 3, least=0.1, sample_weight=times)
    assert not hasattr(model, "n_features_in_")
    strength = path.strengths[1]
    alone = OrdinalClassifier(presto=strength, tol=1e-9, **settings).fit(x, y, times)
    np.testing.assert_allclose(path.coef[1], alone.coef_, atol=1e-5)
    np.testing.assert_allclose(path.thresholds[1], alone.thresholds_, atol=1e-5)
    # It begins at the least strength without a difference, or without any weights.
    same = settings.get("presto_first") == "same"
    np.testing.assert_array_equal(path.coef[0] if same else np.ptp(path.coef[0], axis=0), 0.0)
    below = OrdinalClassifier(presto=0.97 * path.strengths[0], tol=1e-9, **settings).fit(
        x, y, times
    )
    assert (np.abs(below.coef_) if same else np.ptp(below.coef_, axis=0)).max() > 0


def test_a_path_ends_after_the_iterations_allowed(data):
    path = OrdinalClassifier(max_iter=1, tol=1e-12).path(*data, [1e-3, 1e-4])
    assert not path.converged.any()
    assert (path.n_iter == 1).all()
    with pytest.raises(InputError, match="`strengths` must be finite numbers >= 0"):
        OrdinalClassifier().path(*data, np.ones((2, 2)))


def test_a_column_named_threshold_is_told_from_the_thresholds(data):
    x, y = data
    frame = pd.DataFrame(x[:, :2], columns=["a", "threshold"])
    found = OrdinalClassifier(presto=0.0, C=10.0).fit(frame, y).inference()
    between = ("0|1", "1|2")
    columns = ("a", "threshold", "(threshold)")
    assert list(found.names) == [(level, column) for column in columns for level in between]


def test_l1_on_the_first_weights_alone_is_no_free_fit(data):
    x, y = data
    model = OrdinalClassifier(presto=0.0, presto_first=0.03, tol=1e-9).fit(x, y)
    first = np.abs(model.coef_[0])
    assert 0 < (first == 0).sum() < 10
    loss = -model.log_likelihood_ / len(y)
    assert model.solution_.value == pytest.approx(loss + 0.03 * first.sum(), rel=1e-9)
    assert model.aic_ == pytest.approx(
        2 * (22 - (first == 0).sum()) - 2 * model.log_likelihood_, rel=1e-9
    )


@pytest.mark.parametrize(
    "settings", [{"presto": 0.01}, {"presto": 0.0, "presto_first": 0.01}], ids=["first", "rest"]
)
def test_separation_along_weights_that_no_penalty_holds_is_told(settings):
    x = np.random.default_rng(0).standard_normal((200, 3))
    y = np.digitize(x[:, 0], [-0.5, 0.7])
    with pytest.warns(SeparationWarning, match="separable: .*'x0'"):
        model = OrdinalClassifier(**settings).fit(x, y)
    assert not model.solution_.converged
    with pytest.raises(InputError, match="separable"):
        model.standard_errors()
    held = OrdinalClassifier(presto=0.01, presto_first=0.01).fit(x, y)
    assert held.solution_.converged


def test_a_path_tells_what_separates_once():
    x = pd.DataFrame(np.random.default_rng(0).standard_normal((200, 2)), columns=["age", "sex"])
    y = np.digitize(x["age"], [-0.5, 0.7])
    with pytest.warns(SeparationWarning, match="separable: .*'age'") as told:
        OrdinalClassifier().path(x, y, strengths=4)
    assert len(told) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"presto": 0.0},
        {"presto": 0.002},
        {"presto": 0.002, "presto_first": "same"},
        {"presto": 0.002, "C": 3.0},
    ],
    ids=["shared", "free", "presto", "paper", "ridge"],
)
def test_weights_are_repeats_and_rows_of_weight_zero_are_absent(settings, data):
    x, y = data
    times = np.random.default_rng(5).integers(0, 4, len(y))
    x[times == 0] += 1e3  # which would move columns' means
    weighed = OrdinalClassifier(**settings).fit(x, y, sample_weight=times)
    repeated = OrdinalClassifier(**settings).fit(x.repeat(times, axis=0), y.repeat(times))
    np.testing.assert_allclose(weighed.coef_, repeated.coef_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(weighed.thresholds_, repeated.thresholds_, rtol=1e-8)
    for name in ("log_likelihood_", "null_log_likelihood_", "aic_", "bic_"):
        assert getattr(weighed, name) == pytest.approx(getattr(repeated, name), rel=1e-9)
    errors = [model.standard_errors() for model in (weighed, repeated)]
    np.testing.assert_allclose(errors[0], errors[1], rtol=1e-7)
