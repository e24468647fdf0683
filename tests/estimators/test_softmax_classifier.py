"""The classifier on hard data: a right answer or a sentence, never nan."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit.errors import InputError, NotUniqueWarning, SeparationWarning
from softunit.estimators._conditioning import NullSpace
from softunit.solution import Status
from softunit.solvers import LBFGS


def blobs(rng: np.random.Generator, *, n: int = 300, d: int = 4, k: int = 3):
    a = rng.standard_normal((n, d))
    y = (a @ rng.standard_normal((d, k)) + rng.gumbel(size=(n, k))).argmax(axis=1)
    return a, y


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("factor", [1e12, 1e-12, 1e30])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_scaled_columns_predict_as_before(k, factor, form, rng):
    a, y = blobs(rng, k=k)
    base = su.SoftmaxClassifier(C=np.inf, tol=1e-11).fit(a, y)
    scaled = a * np.array([1, factor, 1, 1 / factor])
    model = su.SoftmaxClassifier(C=np.inf, tol=1e-11).fit(form(scaled), y)
    # The gradient by such columns is at rounding level: mostly the certificate has to speak.
    assert model.solution_.status in (Status.PROVED, Status.CONVERGED)
    np.testing.assert_allclose(model.predict_proba(scaled), base.predict_proba(a), atol=1e-9)
    assert model.certificate_.gap_bound < 1e-12


def test_a_gradient_at_rounding_level_says_why(rng, monkeypatch):
    a, y = blobs(rng)
    huge = a * np.array([1, 1e13, 1, 1])
    model = su.SoftmaxClassifier(tol=1e-9).fit(huge, y)
    assert model.solution_.status is Status.PROVED
    assert model.solution_.gradient_norm > 1e-9
    # Where the Hessian is too large to prove anything, the warning names the usual causes.
    monkeypatch.setattr("softunit.certificate.FORM_LIMIT", 1)
    with pytest.warns(ConvergenceWarning, match="columns of very different size"):
        su.SoftmaxClassifier(tol=1e-9).fit(huge, y)


def test_a_huge_common_offset_of_a_column_is_centred_away(rng):
    a, y = blobs(rng)
    base = su.SoftmaxClassifier(tol=1e-10).fit(a, y)
    model = su.SoftmaxClassifier(tol=1e-6).fit(a + 1e5, y)
    np.testing.assert_allclose(model.coef_, base.coef_, atol=1e-6)


def test_scores_near_ten_thousand_stay_finite(rng):
    a, y = blobs(rng)
    offset = 1e4 * rng.standard_normal((len(y), 3))
    model = su.SoftmaxClassifier(C=1e-3).fit(a, y, offset=offset)
    assert model.solution_.converged
    assert np.isfinite(model.predict_log_proba(a, offset)).all()
    np.testing.assert_allclose(model.predict_proba(a, offset).sum(axis=1), 1)


def test_squares_that_overflow_are_refused(rng):
    a, y = blobs(rng)
    a[:, 2] *= 1e200
    with pytest.raises(InputError, match="column 2 is so large that its squares overflow"):
        su.SoftmaxClassifier().fit(a, y)


def test_separable_classes_without_ridge_are_named():
    x, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    with pytest.warns(SeparationWarning, match="separates 'setosa' from the other"):
        model = su.SoftmaxClassifier(C=np.inf).fit(x, names)
    assert model.solution_.status is Status.SEPARABLE
    assert not model.solution_.converged
    assert np.isfinite(model.coef_).all()
    with pytest.warns(SeparationWarning, match="the classes 'setosa', 'versicolor' apart"):
        su.SoftmaxClassifier(C=np.inf).fit(x[:100], names[:100])
    with pytest.warns(SeparationWarning, match="0, 1, 2, 3, 4, 5, 6, 7, 8, 9"):
        su.SoftmaxClassifier(C=np.inf).fit(*(v[:300] for v in load_digits(return_X_y=True)))


def test_classes_that_overlap_are_not_called_separable():
    x, y = load_iris(return_X_y=True)
    model = su.SoftmaxClassifier(C=np.inf).fit(x[50:], y[50:])
    assert model.solution_.converged
    assert model.certificate_.gap_bound < 1e-10


def test_rows_of_no_weight_do_not_hide_separation():
    x, y = load_iris(return_X_y=True)
    x, y = x[:101].copy(), y[:101]
    x[100], y[100] = x[0], 1  # one row on the wrong side
    weight = np.ones(101)
    weight[100] = 0.0
    with pytest.warns(SeparationWarning, match="0, 1 apart"):
        su.SoftmaxClassifier(C=np.inf).fit(x, y, sample_weight=weight)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_collinear_columns_without_ridge_get_the_least_norm(form, rng):
    a, y = blobs(rng)
    doubled = np.column_stack([a, 2 * a[:, 0], np.ones(len(a)), np.zeros(len(a))])
    base = su.SoftmaxClassifier(C=np.inf, tol=1e-10).fit(a, y)
    with pytest.warns(NotUniqueWarning, match="least norm"):
        model = su.SoftmaxClassifier(C=np.inf, tol=1e-9).fit(form(doubled), y)
    assert model.certificate_.unique is False
    np.testing.assert_allclose(model.coef_[:, 4], 2 * model.coef_[:, 0], atol=1e-7)
    np.testing.assert_allclose(model.coef_[:, 5:], 0, atol=1e-12)
    np.testing.assert_allclose(5 * model.coef_[:, 0], base.coef_[:, 0], atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(doubled), base.predict_proba(a), atol=1e-7)


def test_least_norm_beyond_the_size_that_is_decomposed(monkeypatch, rng):
    a, y = blobs(rng)
    doubled = np.column_stack([a, 2 * a[:, 0]])
    monkeypatch.setattr("softunit.estimators._conditioning.FORM_LIMIT", 1)
    with pytest.warns(NotUniqueWarning, match="least norm"):
        model = su.SoftmaxClassifier(C=np.inf, tol=1e-9).fit(doubled, y)
    np.testing.assert_allclose(model.coef_[:, 4], 2 * model.coef_[:, 0], atol=1e-6)


@pytest.mark.parametrize("k", [2, 4])
def test_solution_and_certificate_speak_of_the_input_columns(k, rng):
    a, y = blobs(rng, k=k)
    model = su.SoftmaxClassifier(tol=1e-9).fit(a, y)
    ridge = np.append(np.full(4, 1 / len(y)), 0.0)
    problem = su.Problem(
        np.column_stack([a, np.ones(len(a))]), su.units.Multinomial(k), y, su.penalties.Ridge(ridge)
    )
    point = problem.evaluate(model.solution_.x)
    assert point.value == pytest.approx(model.certificate_.value, rel=1e-12)
    assert np.abs(point.gradient).max() <= 1e-9
    assert model.certificate_.strong_convexity == pytest.approx(1 / len(y))
    np.testing.assert_array_equal(np.atleast_2d(model.solution_.x.T)[:, :-1], model.coef_)


def test_certify_on_other_data_and_unknown_labels(rng):
    a, y = blobs(rng)
    model = su.SoftmaxClassifier(tol=1e-9).fit(a, y)
    again = model.certify(a, y)
    assert again.gradient_norm <= 1e-9
    assert again.gap_bound <= 1e-9
    other = model.certify(a[:100], y[:100])
    assert other.gradient_norm > 1e-3
    with pytest.raises(InputError, match="1 labels that the model does not know; the first is 7"):
        model.certify(a, np.append(y[:-1], 7))
    with pytest.raises(InputError, match="X has 300 rows, but y has 2 labels"):
        model.certify(a, y[:2])
    with pytest.raises(InputError, match="y has 4 columns of shares, but the model has 3"):
        model.certify(a, np.full((300, 4), 0.25))
    assert model.certify(a, np.eye(3)[y]).value == pytest.approx(again.value, rel=1e-13)


def test_free_classes_sum_to_zero_whatever_the_start(rng):
    a, y = blobs(rng)
    model = su.SoftmaxClassifier(warm_start=True).fit(a, y)
    model.coef_ += 3.0
    model.intercept_ -= 5.0
    model.fit(a, y)
    assert np.abs(model.coef_.sum(axis=0)).max() < 1e-12
    assert abs(model.intercept_.sum()) < 1e-12


def test_a_warm_start_saves_iterations(rng):
    a, y = blobs(rng)
    model = su.SoftmaxClassifier(warm_start=True, solver=LBFGS()).fit(a, y)
    first = int(model.n_iter_[0])
    assert int(model.set_params(C=1.01).fit(a, y).n_iter_[0]) < first
    assert model.fit(a, (y == 0).astype(int)).coef_.shape == (1, 4)


def test_progress_is_silent_off_a_terminal(rng, capsys):
    a, y = blobs(rng)
    su.SoftmaxClassifier(verbose=1).fit(a, y)
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err == ""


def test_too_few_iterations_warn_with_the_gap(rng):
    a, y = blobs(rng)
    with pytest.warns(ConvergenceWarning, match=r"Raise `max_iter`.* at most .* above the optimum"):
        su.SoftmaxClassifier(max_iter=1).fit(a, y)


def test_shares_of_a_frame_take_its_names(rng):
    pandas = pytest.importorskip("pandas")
    a, _ = blobs(rng)
    shares = pandas.DataFrame(rng.dirichlet(np.ones(3), len(a)), columns=["bus", "car", "train"])
    model = su.SoftmaxClassifier().fit(a, shares)
    assert model.classes_.tolist() == ["bus", "car", "train"]
    assert set(model.predict(a)) <= {"bus", "car", "train"}
    tilted = su.SoftmaxClassifier(class_weight={"car": 2.0}).fit(a, shares)
    assert tilted.predict_proba(a)[:, 1].mean() > model.predict_proba(a)[:, 1].mean() + 0.05
    balanced = su.SoftmaxClassifier(class_weight="balanced", tol=1e-10).fit(a, shares)
    np.testing.assert_allclose(balanced.predict_proba(a).mean(axis=0), 1 / 3, atol=0.05)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"C": 0}, "`C` must be a number > 0; got 0"),
        ({"C": "1"}, "`C` must be a number > 0; got '1'"),
        ({"C": np.nan}, "got nan"),
        ({"C": 1e-320}, "is too small"),
        ({"tol": -1e-4}, "`tol` must be a finite number >= 0; got -0.0001"),
        ({"max_iter": 2.5}, "`max_iter` must be an integer"),
        ({"solver": "lbgfs"}, "Did you mean 'lbfgs'"),
        ({"class_weight": "balancd"}, "class_weight"),
    ],
)
def test_bad_parameters_get_a_sentence(settings, sentence, rng):
    with pytest.raises(ValueError, match=sentence):
        su.SoftmaxClassifier(**settings).fit(*blobs(rng))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a, y: (np.where(a > 2, np.nan, a), y, None, None), r"column \d of X holds NaN"),
        (lambda a, y: (a, np.zeros(len(y)), None, None), "one class only, 0.0, in all 300 rows"),
        (lambda a, y: (a, y[:9], None, None), "X has 300 rows, but y has 9 labels"),
        (lambda a, y: (a, a[:, 0], None, None), "Unknown label type: continuous"),
        (lambda a, y: (a, a[:, :3], None, None), "negative entries"),
        (lambda a, y: (a, np.ones((5, 3)) / 3, None, None), r"y has shape \(5, 3\)"),
        (lambda a, y: (a, None, None, None), "y is None"),
        (lambda a, y: (a, y, -np.ones(len(y)), None), "Weights must be >= 0"),
        (lambda a, y: (a, y, np.zeros(len(y)), None), "all zero"),
        (
            lambda a, y: (a, y, np.ones(3), None),
            r"weights has shape|weights have shape|shape \(3,\)",
        ),
        (lambda a, y: (a, y, None, np.zeros(300)), r"the scores have shape \(300, 3\)"),
        (lambda a, y: (a, y, None, np.full((300, 3), np.inf)), "column 0 of the offset"),
    ],
)
def test_bad_data_gets_a_sentence(change, sentence, rng):
    x, y, weight, offset = change(*blobs(rng))
    with pytest.raises(ValueError, match=sentence):
        su.SoftmaxClassifier().fit(x, y, sample_weight=weight, offset=offset)


def test_an_offset_of_the_wrong_shape_at_prediction(rng):
    a, y = blobs(rng)
    model = su.SoftmaxClassifier().fit(a, y)
    with pytest.raises(InputError, match=r"the offset has shape \(300,\), the scores \(300, 3\)"):
        model.predict(a, np.zeros(300))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_sparse_coefficients_predict_the_same(form, rng):
    a, y = blobs(rng)
    model = su.SoftmaxClassifier(tol=1e-9).fit(a, y)
    before, certificate = model.predict_proba(a), model.certify(a, y)
    model.sparsify()
    assert sparse.issparse(model.coef_)
    np.testing.assert_allclose(model.predict_proba(form(a)), before, atol=1e-14)
    assert model.certify(a, y).value == certificate.value
    np.testing.assert_allclose(model.to_sklearn().predict_proba(a), before, atol=1e-14)
    assert isinstance(model.densify().coef_, np.ndarray)


@pytest.mark.parametrize("apart", [1e-5, 3e-6, 1e-6])
def test_nearly_collinear_columns_keep_their_scores(apart, rng):
    a, b = rng.standard_normal((2, 300))
    y = (b + rng.standard_normal(300) > 0).astype(int)
    x = np.column_stack([a, a + apart * b])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeparationWarning)  # it may well be that nothing is proved
        model = su.SoftmaxClassifier(C=np.inf, tol=1e-9).fit(x, y)
    assert model.certificate_.unique is not False
    loss = -np.log(model.predict_proba(x)[np.arange(300), y]).mean()
    assert loss == pytest.approx(model.solution_.value, rel=1e-8)


def test_what_is_certified_is_what_is_stored(rng):
    a, y = blobs(rng)
    x = (1e5 + a).astype(np.float32)
    model = su.SoftmaxClassifier().fit(x, y)
    assert model.coef_.dtype == np.float32
    assert model.certify(x, y).value == pytest.approx(model.certificate_.value, rel=1e-13)


def test_shares_of_zero_and_one_and_offsets_separate_too(rng):
    x = rng.standard_normal((80, 3))
    y = (x[:, 0] > 0).astype(int)
    with pytest.warns(SeparationWarning, match="the classes 0, 1 apart"):
        su.SoftmaxClassifier(C=np.inf).fit(x, np.eye(2)[y])
    with pytest.warns(SeparationWarning, match="the classes 0, 1 apart"):
        su.SoftmaxClassifier(C=np.inf).fit(x, y, offset=rng.standard_normal(80))
    mixed = np.full((80, 2), 0.5) + np.column_stack([-x[:, 0], x[:, 0]]) / 20
    assert su.SoftmaxClassifier(C=np.inf).fit(x, mixed).solution_.converged


def test_ordered_classes_in_one_column_are_told_apart_but_not_by_a_hyperplane():
    x = np.linspace(0, 3, 90)[:, None]
    y = np.array(["lo", "mid", "hi"])[(x[:, 0] // 1.0001).astype(int)]
    with pytest.warns(SeparationWarning, match="column 'x0' tell the classes 'hi', 'lo', 'mid'"):
        su.SoftmaxClassifier(C=np.inf).fit(x, y)


def test_quasi_separable_classes_are_not_passed_off_as_fitted():
    x = np.repeat([-1.0, 0.0, 1.0], 20)[:, None]
    y = np.concatenate([np.zeros(20), np.tile([0, 1], 10), np.ones(20)]).astype(int)
    with pytest.warns(
        SeparationWarning, match="quasi-separable: as the coefficient of column 'x0'"
    ):
        su.SoftmaxClassifier(C=np.inf).fit(x, y)


def test_an_offset_that_saturates_is_fitted_through(rng):
    x = rng.standard_normal((120, 4))
    y = (x[:, 0] + 0.3 * rng.standard_normal(120) > 0).astype(int)
    model = su.SoftmaxClassifier().fit(x, y, offset=1e4 * x[:, 0])
    assert model.solution_.converged
    assert model.certificate_.gap_bound < 1e-4


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({0: 0, 1: 0, 2: 0}, "leaves no row any weight"),
        ({0: np.nan}, "class 0 has nan"),
        ({0: -1.0}, "class 0 has -1.0"),
        ({0: "much"}, "class 0 has 'much'"),
    ],
)
def test_bad_class_weights_get_a_sentence(weights, sentence, rng):
    a, y = blobs(rng)
    with pytest.raises(InputError, match=sentence):
        su.SoftmaxClassifier(class_weight={1: 1, 2: 1} | weights).fit(a, y)


def test_class_weights_for_shares_must_name_them(rng):
    a, _ = blobs(rng)
    shares = rng.dirichlet(np.ones(3), len(a))
    with pytest.raises(InputError, match="names class 9, which is not among the shares"):
        su.SoftmaxClassifier(class_weight={0: 2, 9: 3}).fit(a, shares)
    with pytest.raises(InputError, match="gives some rows no weight"):
        su.SoftmaxClassifier(class_weight={0: 0, 1: 0, 2: 0}).fit(a, shares)
    with pytest.raises(InputError, match="must be None, 'balanced' or a dict"):
        su.SoftmaxClassifier(class_weight="equal").fit(a, shares)


def test_weights_whose_sum_overflows(rng):
    a, y = blobs(rng)
    with pytest.raises(InputError, match="the sum of the weights overflows"):
        su.SoftmaxClassifier().fit(a, y, sample_weight=np.full(len(y), 1e307))


def test_labels_and_columns_of_mixed_types_are_named(rng):
    pandas = pytest.importorskip("pandas")
    a, y = blobs(rng)
    mixed = y.astype(object)
    mixed[3] = "three"
    with pytest.raises(InputError, match="labels of types int, str side by side"):
        su.SoftmaxClassifier().fit(a, mixed)
    frame = pandas.DataFrame({"size": a[:, 0], "colour": ["red"] * len(a)})
    with pytest.raises(InputError, match="column 'colour' of X does not hold numbers"):
        su.SoftmaxClassifier().fit(frame, y)


def test_score_of_shares_is_that_of_the_largest(rng):
    a, y = blobs(rng)
    model = su.SoftmaxClassifier().fit(a, np.eye(3)[y])
    assert model.score(a, np.eye(3)[y]) == model.score(a, y) > 0.5


def test_switches_must_be_switches(rng):
    with pytest.raises(InputError, match="`fit_intercept` must be True or False; got 'no'"):
        su.SoftmaxClassifier(fit_intercept="no").fit(*blobs(rng))


def test_the_default_reaches_a_tiny_optimum_too():
    x, y = load_digits(return_X_y=True)
    tight = su.SoftmaxClassifier(C=1e4, solver="newton", tol=1e-12).fit(x, y)
    plain = su.SoftmaxClassifier(C=1e4, solver="newton").fit(x, y)
    model = su.SoftmaxClassifier(C=1e4).fit(x, y)
    best = tight.solution_.value
    assert plain.solution_.value > 1.01 * best  # the gradient alone stops per cents too early
    assert model.solution_.value == pytest.approx(best, rel=1e-9)
    assert model.solution_.status is Status.CONVERGED
    assert model.solution_.tol == 1e-6
    history = model.solution_.history
    assert [record.iteration for record in history] == list(range(model.n_iter_[0] + 1))
    assert (np.diff([record.products for record in history]) > 0).all()
    assert (np.diff([record.seconds for record in history]) >= 0).all()
    assert history[-1].value == model.solution_.value


def test_going_on_never_costs_convergence_or_iterations():
    x, y = load_iris(return_X_y=True)
    first = su.SoftmaxClassifier(C=1e4, solver="newton").fit(x, y)
    limit = int(first.n_iter_[0]) + 1
    model = su.SoftmaxClassifier(C=1e4, max_iter=limit).fit(x, y)
    assert model.solution_.converged
    assert model.n_iter_[0] <= limit


@pytest.mark.parametrize("seed", range(20))
def test_offsets_up_to_ten_thousand_take_few_iterations(seed):
    rng = np.random.default_rng(seed)
    a, y = blobs(rng, n=150, k=3 + seed % 2)
    offset = 10.0 ** rng.uniform(1, 4) * rng.standard_normal((150, 3 + seed % 2))
    model = su.SoftmaxClassifier(C=10.0 ** rng.uniform(-2, 3)).fit(a, y, offset=offset)
    assert model.solution_.converged
    assert model.n_iter_[0] <= 50


def test_a_projection_that_moves_scores_is_not_made(monkeypatch, rng):
    a, y = blobs(rng)
    right = su.SoftmaxClassifier(C=np.inf).fit(a, y)
    monkeypatch.setattr(
        NullSpace, "of", lambda problem: NullSpace(problem, np.eye(4)[:, :1], np.zeros(1))
    )
    with pytest.warns(NotUniqueWarning, match="not unique"):
        model = su.SoftmaxClassifier(C=np.inf).fit(a, y)
    np.testing.assert_array_equal(model.coef_, right.coef_)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("away", [1e6, 1e8, -1e9])
def test_columns_far_from_zero_are_fitted_as_if_they_were_near(k, away, rng):
    a, y = blobs(rng, k=k)
    whole = np.round(a * 64) / 64  # adding `away` rounds nothing
    base = su.SoftmaxClassifier(tol=1e-9).fit(whole, y)
    model = su.SoftmaxClassifier().fit(whole + away, y)
    assert model.solution_.status in (Status.CONVERGED, Status.PROVED)
    assert model.solution_.n_iter <= base.solution_.n_iter + 4
    np.testing.assert_allclose(model.coef_, base.coef_, atol=1e-7)
    assert model.certificate_.gap_bound < 1e-11


def test_scores_that_float64_cannot_name_end_the_fit_soon(monkeypatch, rng):
    monkeypatch.setattr("softunit.designs.scaled.COPIED", 0.0)  # as for data too large to copy
    a, y = blobs(rng)
    with pytest.warns(ConvergenceWarning, match="rounding error of the data"):
        model = su.SoftmaxClassifier().fit(a + 1e8, y)
    assert model.solution_.status is Status.ROUNDING
    assert model.solution_.n_iter < 60
    base = su.SoftmaxClassifier().fit(a, y)
    np.testing.assert_allclose(model.coef_, base.coef_, atol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"l1_ratio": 0.5}], ids=["ridge", "elastic-net"])
def test_classes_without_weight_are_named(settings, rng):
    a, y = blobs(rng, k=4)
    weights = (y != 1).astype(float)
    with pytest.warns(SeparationWarning, match=r"a class without weight: 1\. .* Leave the rows"):
        model = su.SoftmaxClassifier(**settings).fit(a, y, sample_weight=weights)
    assert model.solution_.status is Status.SEPARABLE
    assert model.predict_proba(a)[:, 1].max() < 1e-4
    with pytest.raises(InputError, match="a class without weight: 1"):
        model.inference(a, y, weights)
    with pytest.warns(SeparationWarning, match=r"classes without weight: 0, 3\."):
        su.SoftmaxClassifier(**settings, class_weight={0: 0, 3: 0}).fit(a, y)
    shares = np.column_stack([y == 0, y > 0, np.zeros(len(y))]).astype(float)
    with pytest.warns(SeparationWarning, match=r"a class without weight: 2\."):
        su.SoftmaxClassifier(**settings).fit(a, shares)


def test_a_class_without_weight_has_an_optimum_where_the_penalty_is_on_all(rng):
    a, y = blobs(rng)
    model = su.SoftmaxClassifier(fit_intercept=False).fit(a, y, sample_weight=(y != 1) * 1.0)
    assert model.solution_.converged


@pytest.mark.parametrize("kind", [su.SoftmaxClassifier, su.OrdinalClassifier])
def test_columns_of_one_name_and_words_get_a_sentence(kind, rng):
    a, y = blobs(rng)
    frame = pd.DataFrame(a, columns=["a", "b", "c", "b"])
    with pytest.raises(InputError, match="two columns of X have the name 'b', columns 1 and 3"):
        kind().fit(frame, y)
    words = a.astype(str)
    model = kind(C=1.0).fit(words, y)  # numbers, if in quotes
    words[7, 2] = "many"
    for x in (words, words.tolist(), words.astype(object)):
        with pytest.raises(InputError, match="column 2 of X holds 'many' in row 7"):
            kind().fit(x, y)
    with pytest.raises(InputError, match="column 2 of X holds 'many' in row 0"):
        model.predict(words[7:8])
