"""OrdinalClassifier: order of labels, weights, thresholds that collapse, what is proved, told."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import softunit as su
from softunit import OrdinalClassifier, SoftmaxClassifier
from softunit.errors import InputError, NotUniqueWarning, SeparationWarning, SoftunitWarning

GRADES = np.array(["poor", "fair", "good", "best"])


@pytest.fixture
def data():
    rng = np.random.default_rng(11)
    x = rng.standard_normal((400, 3)) * [1.0, 10.0, 0.1] + [0.0, 50.0, 0.0]
    z = x @ [1.0, 0.05, -4.0] + rng.logistic(size=400)
    return x, np.digitize(z, np.quantile(z, [0.2, 0.5, 0.9]))


def test_two_classes_are_logistic_regression(data):
    x, y = data
    y = (y > 1).astype(int)
    model = OrdinalClassifier().fit(x, y)
    plain = SoftmaxClassifier(C=np.inf, tol=1e-9).fit(x, y)
    np.testing.assert_allclose(model.coef_, plain.coef_[0], rtol=1e-6)
    np.testing.assert_allclose(-model.thresholds_, plain.intercept_, rtol=1e-6)
    np.testing.assert_allclose(model.predict_proba(x), plain.predict_proba(x), atol=1e-8)
    np.testing.assert_allclose(model.decision_function(x), plain.decision_function(x), atol=1e-6)
    assert OrdinalClassifier(presto=0.3).fit(x, y).coef_[0] == pytest.approx(model.coef_, rel=1e-6)


def test_the_order_of_labels_is_asked_for_or_read_from_the_column(data):
    x, y = data
    numbers = OrdinalClassifier().fit(x, y)
    words = GRADES[y]
    given = OrdinalClassifier(order=GRADES).fit(x, words)
    frame = pd.Series(pd.Categorical(words, categories=GRADES, ordered=True))
    enum = pl.Series(words, dtype=pl.Enum(GRADES.tolist()))
    for model in (given, OrdinalClassifier().fit(x, frame), OrdinalClassifier().fit(x, enum)):
        np.testing.assert_array_equal(model.classes_, GRADES)
        np.testing.assert_allclose(model.coef_, numbers.coef_, rtol=1e-10)
        np.testing.assert_array_equal(model.predict(x), GRADES[numbers.predict(x)])
        np.testing.assert_array_equal(model.predict_median(x), GRADES[numbers.predict_median(x)])
    turned = OrdinalClassifier(order=GRADES[::-1]).fit(x, words)
    np.testing.assert_allclose(turned.coef_, -numbers.coef_, rtol=1e-6)
    np.testing.assert_allclose(turned.thresholds_, -numbers.thresholds_[::-1], rtol=1e-6)


def test_words_without_an_order_are_warned_of(data):
    x, y = data
    with pytest.warns(
        SoftunitWarning, match="'best', 'fair', 'good', 'poor', and are taken in the"
    ):
        model = OrdinalClassifier().fit(x, GRADES[y])
    np.testing.assert_array_equal(model.classes_, np.sort(GRADES))
    assert OrdinalClassifier().fit(x, np.array(["no", "yes"])[(y > 1) * 1]).coef_.shape == (3,)


def test_weights_are_repeated_rows_and_sparse_is_dense(data):
    x, y = data
    times = np.random.default_rng(0).integers(1, 4, len(y))
    for presto in (None, 0.005):
        model = OrdinalClassifier(presto=presto, C=50.0)
        weighted = clone(model).fit(x, y, sample_weight=times)
        repeated = clone(model).fit(np.repeat(x, times, axis=0), np.repeat(y, times))
        np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-5, atol=1e-7)
        assert weighted.bic_ == pytest.approx(repeated.bic_, rel=1e-7)
        thin = clone(model).fit(sparse.csr_matrix(x), y, sample_weight=times)
        np.testing.assert_allclose(thin.coef_, weighted.coef_, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(thin.thresholds_, weighted.thresholds_, rtol=1e-5, atol=1e-6)
    once = OrdinalClassifier().fit(x, y)
    assert OrdinalClassifier().fit(x, y, sample_weight=2.0).coef_ == pytest.approx(once.coef_)


def test_columns_of_any_size_and_place_give_the_same_scores(data):
    x, y = data
    model = OrdinalClassifier().fit(x, y)
    moved = OrdinalClassifier(tol=1e-6).fit(x * [1e6, 1e-6, 1.0] + [1e7, 0.0, 1e3], y)
    np.testing.assert_allclose(moved.coef_ * [1e6, 1e-6, 1.0], model.coef_, rtol=1e-4)
    single = OrdinalClassifier().fit(x.astype(np.float32), y)
    np.testing.assert_allclose(single.coef_, model.coef_, rtol=1e-3)
    with pytest.warns(NotUniqueWarning, match="column 'x3' is constant"):
        constant = OrdinalClassifier().fit(np.column_stack([x, np.full(len(x), 3.0)]), y)
    np.testing.assert_allclose(constant.coef_, [*model.coef_, 0.0], rtol=1e-6)


def test_predictions_belong_together(data):
    x, y = data
    model = OrdinalClassifier().fit(x, y)
    z = model.thresholds_ - (x @ model.coef_)[:, None]
    np.testing.assert_allclose(model.cumulative_logits(x), z, rtol=1e-12)
    below = np.cumsum(model.predict_proba(x), axis=1)[:, :-1]
    np.testing.assert_allclose(below, expit(z), atol=1e-12)
    np.testing.assert_array_equal(model.predict(x), model.decision_function(x).argmax(axis=1))
    np.testing.assert_array_equal(model.predict_median(x), (below < 0.5).sum(axis=1))
    assert model.log_likelihood(x, y) == pytest.approx(model.log_likelihood_, rel=1e-10)
    assert model.log_likelihood(x, y, np.full(400, 2.0)) == pytest.approx(2 * model.log_likelihood_)
    assert model.score(x, y) > np.bincount(y).max() / len(y)
    shares = np.bincount(y) / len(y)
    assert model.null_log_likelihood_ == pytest.approx(400 * shares @ np.log(shares))
    assert model.aic_ == pytest.approx(2 * 6 - 2 * model.log_likelihood_)
    assert 0 < model.mcfadden_r2_ < 1


def test_far_scores_have_finite_log_probabilities(data):
    x, y = data
    model = OrdinalClassifier().fit(x, y)
    far = model.predict_log_proba(x * [1e4, 0.0, 0.0])
    assert np.isfinite(far).all()
    assert far.min() < -1e3


def test_the_gap_is_proved_without_any_ridge(data):
    x, y = data
    for presto in (None, 0.0):
        model = OrdinalClassifier(presto=presto).fit(x, y)
        assert model.certificate_.gap_bound < 1e-10
        assert "more than" in str(model.certificate_)
        again = model.certify(x, y)
        assert again.gap_bound < 1e-10
        assert again.value == pytest.approx(-model.log_likelihood_ / len(y), rel=1e-12)


def test_a_gap_bound_holds_at_points_away_from_the_optimum(data):
    x, y = data
    model = OrdinalClassifier().fit(x, y)
    best = -model.log_likelihood_ / len(y)
    rng, finite = np.random.default_rng(0), 0
    for size in (1e-1, 1e-2, 1e-3, 1e-4):
        for _ in range(5):
            other = clone(model).fit(x, y)
            other.coef_ = model.coef_ * (1 + size * rng.standard_normal(3))
            other.thresholds_ = model.thresholds_ + size * rng.standard_normal(3)
            certificate = other.certify(x, y)
            assert certificate.value - best <= certificate.gap_bound
            finite += np.isfinite(certificate.gap_bound)
    assert finite >= 10


def test_ridge_shrinks_and_is_certified(data):
    x, y = data
    norms = []
    for C in (1e-3, 1e-1, 10.0):
        model = OrdinalClassifier(C=C).fit(x, y)
        norms.append(np.linalg.norm(model.coef_))
        assert model.certificate_.gap_bound < 1e-10
        loss = -model.log_likelihood_ / 400 + norms[-1] ** 2 / (2 * C * 400)
        assert model.solution_.value == pytest.approx(loss, rel=1e-10)
    assert norms == sorted(norms)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"C": -1.0}, "`C` must be"),
        ({"tol": -1.0}, "`tol` must be"),
        ({"max_iter": 1.5}, "`max_iter` must be"),
        ({"solver": "newtn"}, "'newton'"),
        ({"presto": -0.1}, "`presto` must be"),
        ({"presto": 0.1, "presto_first": np.inf}, "`presto_first` must be"),
        ({"presto_first": 0.1}, "has no part without `presto`"),
        ({"presto": np.inf, "presto_first": "same"}, "would hold every coefficient at zero"),
        (
            {"order": [0, 1, 2]},
            r"label 3, first in row \d+, which is not among the classes 0, 1, 2",
        ),
        ({"order": [0, 1, 2, 3, 3]}, "two or more different labels"),
        ({"order": [0, 1, 2, 3, 4]}, "no row has class 4.*thresholds would collapse"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_settings_get_a_sentence(settings, sentence, data):
    with pytest.raises(InputError, match=sentence):
        OrdinalClassifier(**settings).fit(*data)


def test_thresholds_that_collapse_get_a_sentence(data):
    x, y = data
    with pytest.raises(InputError, match="all rows of class 2 have weight zero: its thresholds"):
        OrdinalClassifier().fit(x, y, sample_weight=(y != 2).astype(float))
    frame = pd.Series(pd.Categorical(GRADES[y], categories=[*GRADES, "top"], ordered=True))
    with pytest.raises(InputError, match="no row has class 'top'"):
        OrdinalClassifier().fit(x, frame)
    with pytest.raises(InputError, match="one class only"):
        OrdinalClassifier().fit(x, np.zeros(400, dtype=int))
    model = OrdinalClassifier().fit(x, y)
    with pytest.raises(InputError, match=r"label 7, first in row \d+"):
        model.certify(x, y + 7)


def test_separable_classes_are_named(data):
    x, y = data
    y = np.digitize(x[:, 0], [-1.0, 0.0, 1.0])
    with pytest.warns(SeparationWarning, match=r"column 'x0' put all 400 rows at their levels"):
        model = OrdinalClassifier().fit(x, y)
    assert model.solution_.status is su.Status.SEPARABLE
    with pytest.raises(InputError, match="no standard errors exist"):
        model.standard_errors()
    held = OrdinalClassifier(C=1.0).fit(x, y)
    assert held.solution_.converged


def test_half_separable_classes_count_observations(data):
    x, y = data
    y = np.where(x[:, 0] > 0.5, 3, np.random.default_rng(0).integers(0, 3, 400))
    alone = (x[:, :1] > 0.5).astype(float)
    # Rows of the top class move off for ever, and so do those of class 2, on the other side of it.
    falls = int(((y == 3) | (y == 2)).sum())
    with pytest.warns(SeparationWarning, match=f"in {falls} of 400 rows, and rises in none"):
        OrdinalClassifier().fit(alone, y)


def test_collinear_columns_are_named_and_the_least_norm_is_given(data):
    x, y = data
    frame = pd.DataFrame(np.column_stack([x, x[:, 0] - x[:, 1]]), columns=list("abcd"))
    with pytest.warns(NotUniqueWarning, match="the columns 'a', 'b', 'd' are collinear"):
        model = OrdinalClassifier().fit(frame, y)
    plain = OrdinalClassifier().fit(x, y)
    assert model.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=1e-9)
    assert abs(model.coef_ @ [1.0, -1.0, 0.0, -1.0]) < 1e-9  # nothing along the null direction
    with pytest.raises(InputError, match="'a', 'b', 'd' are collinear"):
        model.standard_errors()


def test_a_fit_that_stops_early_says_so(data):
    x, y = data
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = OrdinalClassifier(max_iter=1).fit(x, y)
    assert not model.solution_.converged
    assert "*" not in str(model.summary()).split("\n", 3)[3]


def test_inference_on_other_data_and_after_pickling(data):
    x, y = data
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    model = OrdinalClassifier(order=GRADES).fit(frame, GRADES[y])
    names = [*"abc", "poor|fair", "fair|good", "good|best"]
    assert list(model.inference().names) == names
    loaded = pickle.loads(pickle.dumps(model))
    with pytest.raises(InputError, match=r"call inference\(X, y\)"):
        loaded.standard_errors()
    again = loaded.inference(frame, GRADES[y]).standard_errors()
    np.testing.assert_allclose(again, model.standard_errors(), rtol=1e-9)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        OrdinalClassifier().standard_errors()


def test_robust_errors_are_the_sandwich_by_observation(data):
    x, y = data
    model = OrdinalClassifier().fit(x, y)
    z = model.cumulative_logits(x)
    g = su.units.CumulativeLogit(4).gradient(z, y)
    rows = np.column_stack([-x * g.sum(axis=1)[:, None], g])
    bread = model.covariance()
    expected = np.sqrt(np.diag(bread @ rows.T @ rows @ bread))
    np.testing.assert_allclose(model.standard_errors("robust"), expected, rtol=1e-6)
    times = np.full(400, 3.0)
    thrice = OrdinalClassifier().fit(x, y, sample_weight=times)
    np.testing.assert_allclose(
        thrice.standard_errors() * np.sqrt(3), model.standard_errors(), rtol=1e-6
    )


def test_the_median_is_the_lowest_label_reached_with_probability_one_half(data):
    x, y = data
    model = OrdinalClassifier(order=GRADES).fit(x, GRADES[y])
    model.coef_, model.thresholds_ = np.zeros(3), np.array([-1.0, 0.0, 1.0])
    np.testing.assert_array_equal(model.predict_median(x[:2]), "fair")
    assert model.predict_proba(x[:1])[0, :2].sum() == pytest.approx(0.5, rel=1e-15)


def test_certificates_and_errors_on_other_data_take_their_weights(data):
    x, y = data
    times = np.random.default_rng(2).integers(1, 4, len(y)).astype(float)
    model = OrdinalClassifier(C=5.0).fit(x, y, sample_weight=times)
    certificate = model.certify(x, y, times)
    assert certificate.gap_bound < 1e-10
    assert certificate.value == pytest.approx(model.certificate_.value, rel=1e-12)
    own = model.inference()
    found = model.inference(x, y, times)
    np.testing.assert_allclose(found.standard_errors(), own.standard_errors(), rtol=1e-9)
    shares = np.bincount(y, weights=times)
    null = shares @ np.log(shares / shares.sum())
    assert model.null_log_likelihood_ == pytest.approx(null, rel=1e-12)
    # The ridge is part of the curvature: errors shrink with it.
    z = OrdinalClassifier(C=1e-3).fit(x, y)
    loose = OrdinalClassifier().fit(x, y)
    assert (z.standard_errors()[:3] < 0.9 * loose.standard_errors()[:3]).all()


def test_l1_on_shared_coefficients_is_of_the_columns_as_given(data):
    x, y = data
    strength = 0.02
    model = OrdinalClassifier(presto=np.inf, presto_first=strength, tol=1e-10).fit(x, y)
    loss = -model.log_likelihood_ / len(y)
    assert model.solution_.value == pytest.approx(
        loss + strength * np.abs(model.coef_).sum(), rel=1e-9
    )
    z = model.cumulative_logits(x)
    slope = x.T @ -su.units.CumulativeLogit(4).gradient(z, y).sum(axis=1) / len(y)
    zero = model.coef_ == 0
    assert 0 < zero.sum() < 3
    np.testing.assert_allclose(slope[~zero], -strength * np.sign(model.coef_[~zero]), atol=1e-8)
    assert (np.abs(slope[zero]) <= strength).all()
    assert model.aic_ == pytest.approx(2 * (3 + (~zero).sum()) - 2 * model.log_likelihood_)


def test_an_unordered_categorical_is_taken_for_words(data):
    x, y = data
    frame = pd.Series(pd.Categorical(GRADES[y], categories=GRADES))
    with pytest.warns(SoftunitWarning, match="are taken in the order of the alphabet"):
        model = OrdinalClassifier().fit(x, frame)
    np.testing.assert_array_equal(model.classes_, np.sort(GRADES))


def test_labels_that_do_not_fit_are_told_with_their_row(data):
    x, y = data
    model = OrdinalClassifier().fit(x, y)
    with pytest.raises(InputError, match="X has 400 rows, but y has 399 labels"):
        model.log_likelihood(x, y[1:])
    other = y.copy()
    other[[17, 30]] = 9
    with pytest.raises(InputError, match="label 9, first in row 17, which is not among"):
        model.certify(x, other)


def test_silent_rows_are_no_part_of_a_separation(data):
    x, y = data
    y = np.digitize(x[:, 0], [-1.0, 0.0, 1.0])
    silent = np.arange(400) < 100
    y[:100] = np.roll(y[:100], 1)  # which would overlap
    with pytest.warns(SeparationWarning, match="put all 300 rows at their levels"):
        OrdinalClassifier().fit(x, y, sample_weight=(~silent).astype(float))


def test_separation_and_collinear_columns_are_told_with_free_weights_too(data):
    x, y = data
    wide = np.column_stack([x, x[:, 0] - x[:, 1]])
    with pytest.warns(NotUniqueWarning, match="the columns 'x0', 'x1', 'x3' are collinear"):
        model = OrdinalClassifier(presto=0.0).fit(wide, y)
    assert model.certificate_.unique is False
    assert np.abs(model.coef_ @ [1.0, -1.0, 0.0, -1.0]).max() < 1e-9
    with pytest.warns(SeparationWarning, match="column 'x0' put all 400 rows at their levels"):
        OrdinalClassifier(presto=0.0).fit(x, np.digitize(x[:, 0], [-1.0, 0.0, 1.0]))


@pytest.mark.parametrize("settings", [{"presto": 0.003}, {"presto": 0.0, "presto_first": 0.003}])
def test_collinear_columns_are_told_beside_an_l1_penalty(settings, data):
    x, y = data
    wide = np.column_stack([x, x[:, 0] - x[:, 1], np.ones(400)])
    with pytest.warns(NotUniqueWarning, match="columns 'x0', 'x1', 'x3', 'x4' are collinear"):
        model = OrdinalClassifier(**settings).fit(wide, y)
    assert model.certificate_.unique is False
    # Nothing along the null direction where no penalty holds the coefficients.
    coef = model.coef_[:, :4] @ [1.0, -1.0, 0.0, -1.0]
    loose = coef[0] if "presto_first" not in settings else np.diff(coef)
    assert np.abs(loose).max() < 1e-9
    with pytest.warns(NotUniqueWarning, match="column 'x3' is constant"):
        OrdinalClassifier(**settings).fit(wide[:, [0, 1, 2, 4]], y)
    held = OrdinalClassifier(presto=0.003, presto_first="same").fit(wide, y)
    assert held.certificate_.unique is None  # l1 holds all: most often one optimum


def test_columns_of_any_unit_are_named_as_collinear(data):
    x, y = data
    wide = np.column_stack([x, 1e9 * (x[:, 0] - x[:, 2])])
    with pytest.warns(NotUniqueWarning, match="columns 'x0', 'x2', 'x3' are collinear"):
        OrdinalClassifier().fit(wide, y)


@pytest.mark.parametrize("away", [1e6, 1e8, -1e9])
@pytest.mark.parametrize("presto", [None, 0.003])
def test_columns_far_from_zero_are_fitted_as_if_they_were_near(presto, away, data):
    x, y = data
    whole = np.round(x * 64) / 64  # adding `away` rounds nothing
    base = OrdinalClassifier(presto=presto).fit(whole, y)
    model = OrdinalClassifier(presto=presto).fit(whole + away, y)
    assert model.solution_.status in (su.solution.Status.CONVERGED, su.solution.Status.PROVED)
    assert model.n_iter_ <= base.n_iter_ + 10
    np.testing.assert_allclose(model.coef_, base.coef_, rtol=1e-6, atol=1e-6)


def test_many_collinear_columns_are_counted_not_listed(data):
    x, y = data
    with pytest.warns(NotUniqueWarning, match=r"'x7' and 2 more are collinear"):
        OrdinalClassifier().fit(np.column_stack([np.repeat(x[:, :1], 10, axis=1)]), y)
    constant = np.column_stack([x, x[:, 0], np.ones(400)])
    with pytest.warns(NotUniqueWarning, match="columns 'x0', 'x3', 'x4' are collinear"):
        OrdinalClassifier().fit(constant, y)


def test_ctrl_c_returns_the_point_or_raises(data, monkeypatch):
    original = su.run._Run.record

    def record(self, number, *told):
        if number == 2:
            raise KeyboardInterrupt("Ctrl-C")
        return original(self, number, *told)

    monkeypatch.setattr("softunit.run._Run.record", record)
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        OrdinalClassifier().fit(*data)
    with pytest.warns(ConvergenceWarning, match="An interrupt"):
        model = OrdinalClassifier(keyboard_interrupt="return").fit(*data)
    assert model.solution_.status is su.Status.INTERRUPTED
    with pytest.raises(InputError, match="`keyboard_interrupt` must be"):
        OrdinalClassifier(keyboard_interrupt="ignore").fit(*data)


@pytest.mark.parametrize("presto", [None, 0.0], ids=["shared", "free"])
def test_a_bound_is_kept_only_where_it_is_less_than_any_dip(presto, data, monkeypatch):
    x, y = data
    times = np.random.default_rng(3).integers(1, 4, len(y)).astype(float)
    model = OrdinalClassifier(presto=presto).fit(x, y, sample_weight=times)
    middle = (y > 0) & (y < 3)
    z = model.cumulative_logits(x)[middle]
    gaps = z[np.arange(len(z)), y[middle]] - z[np.arange(len(z)), y[middle] - 1]
    shares = times[middle] / times.sum()
    if presto is None:  # a class has one gap
        totals = np.bincount(y, weights=times)[1:3] / times.sum()
        gaps, shares = np.diff(model.thresholds_), totals
    half = 0.5 * gaps.min()
    ends = [-np.log(1 - np.exp(-g)) for g in (gaps, half, (gaps + half) / 2)]
    dip = (shares * (ends[0] / 2 + ends[1] / 2 - ends[2])).min()
    plain = su.certificate.certify

    def certify(problem, *given, **more):
        found = plain(problem, *given, **more)
        held = problem.unit.least_gap
        if held:
            assert held == pytest.approx(half, rel=1e-9)
        return dataclasses.replace(found, gap_bound=told if held else np.inf)

    monkeypatch.setattr("softunit.estimators._ordinal_proof.certify", certify)
    for told in (0.99 * dip, 1.01 * dip):
        certificate = model.certify(x, y, times)
        kept = told < dip
        assert certificate.gap_bound == (told if kept else np.inf)
        assert ("logits are more than" in str(certificate)) == kept


def test_the_gap_is_proved_by_a_dual_point_with_l1(data):
    for settings in ({"presto": 0.01}, {"presto": np.inf, "presto_first": 0.02}):
        model = OrdinalClassifier(**settings).fit(*data)
        assert model.certificate_.gap_bound < 1e-8
        assert "duality gap" in str(model.certificate_)


def test_copies_keep_the_data_of_the_fit_and_pickles_do_not():
    x = np.random.default_rng(5).standard_normal((80, 2))
    y = np.digitize(x[:, 0] + np.random.default_rng(6).logistic(size=80), [-0.5, 0.5])
    model = OrdinalClassifier().fit(x, y)
    for twin in (copy.copy(model), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.standard_errors(), model.standard_errors())
    with pytest.raises(InputError, match="does not hold the data of the fit"):
        pickle.loads(pickle.dumps(model)).standard_errors()
