"""Ordered classes beside statsmodels, SciPy and separate binary logits."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize as scipy_minimize
from scipy.special import expit
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data,
    parametrize_with_checks,
)
from statsmodels.miscmodels.ordinal_model import OrderedModel

from softunit import OrdinalClassifier


def anes():
    """Party identification in seven steps, and five columns of 944 people."""
    data = sm.datasets.anes96.load_pandas()
    return data.exog, data.data["PID"].to_numpy().astype(int)


def generated(seed: int = 0, n: int = 1500, k: int = 4):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4)) * [1.0, 0.1, 5.0, 1.0] + [0.0, 2.0, 0.0, -1.0]
    z = x @ [1.0, -4.0, 0.1, 0.0] + rng.logistic(size=n)
    return x, np.digitize(z, np.quantile(z, np.arange(1, k) / k))


def peer(x, y):
    """Return statsmodels' fit, its coefficients, thresholds, and the errors of both."""
    model = OrderedModel(y, np.asarray(x), distr="logit")
    rough = model.fit(method="bfgs", disp=0, maxiter=3000, gtol=1e-6)
    # Its optimiser stops early: Newton steps on its own gradient and Hessian finish the work.
    params = rough.params.copy()
    for _ in range(6):
        params -= np.linalg.solve(model.hessian(params), model.score(params))
    d = np.asarray(x).shape[1]
    thresholds = model.transform_threshold_params(params)[1:-1]
    # Thresholds are cumulated exponentials of its parameters: the delta method.
    steps = np.exp(params[d + 1 :])
    jacobian = np.eye(len(params))
    jacobian[d:, d:] = np.tril(np.ones((len(thresholds),) * 2)) * np.append(1.0, steps)
    covariance = jacobian @ np.linalg.inv(-model.hessian(params)) @ jacobian.T
    return model.loglike(params), params[:d], thresholds, np.sqrt(np.diag(covariance))


@pytest.mark.filterwarnings("ignore:Maximum Likelihood optimization failed")
@pytest.mark.parametrize("data", [anes, generated], ids=["anes", "generated"])
def test_proportional_odds_are_those_of_statsmodels(data):
    x, y = data()
    loglike, beta, thresholds, errors = peer(x, y)
    model = OrdinalClassifier().fit(x, y)
    np.testing.assert_allclose(model.coef_, beta, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(model.thresholds_, thresholds, rtol=1e-6, atol=1e-7)
    assert model.log_likelihood_ == pytest.approx(loglike, rel=1e-9)
    np.testing.assert_allclose(model.standard_errors(), errors, rtol=1e-6)
    own = OrderedModel(y, np.asarray(x), distr="logit")
    packed = np.append(model.thresholds_[0], np.log(np.diff(model.thresholds_)))
    shares = own.predict(np.concatenate([model.coef_, packed]))
    np.testing.assert_allclose(model.predict_proba(x), shares, atol=1e-9)


def test_published_anes_fit():
    """The log-likelihood and coefficients of the ordered logit, as statsmodels' notebooks do."""
    x, y = anes()
    model = OrdinalClassifier().fit(x, y)
    assert model.log_likelihood_ == pytest.approx(-1494.6195, abs=1e-4)
    expected = {"logpopul": -0.0707, "selfLR": 1.0192, "age": -0.0042, "educ": 0.1777}
    for name, value in expected.items():
        assert model.coef_[list(x.columns).index(name)] == pytest.approx(value, abs=1e-4)


def presto_value(params, x, y, *, strength: float, first: float = 0.0) -> float:
    """Return the objective of PRESTO written out: (K - 1, d + 1) of betas and thresholds."""
    k = y.max() + 1
    parts = params.reshape(k - 1, x.shape[1] + 1)
    z = parts[:, -1] - x @ parts[:, :-1].T
    sides = np.column_stack([np.zeros(len(x)), expit(z), np.ones(len(x))])
    each = np.diff(sides, axis=1)[np.arange(len(x)), y]
    if (each <= 0).any():
        return np.inf
    differences = np.abs(np.diff(parts[:, :-1], axis=0)).sum()
    l1 = strength * differences + first * np.abs(parts[0, :-1]).sum()
    return float(-np.log(each).mean() + l1)


def test_zero_penalty_is_the_free_fit_of_scipy():
    x, y = generated(1, 800, 3)
    x = x - x.mean(axis=0)
    model = OrdinalClassifier(presto=0.0, tol=1e-10).fit(x, y)
    start = np.tile(np.zeros(5), (2, 1))
    start[:, -1] = OrdinalClassifier().fit(x, y).thresholds_
    found = by_scipy(x, y, start)
    own = np.column_stack([model.coef_, model.thresholds_])
    assert presto_value(own, x, y, strength=0.0) <= found.fun + 1e-12
    np.testing.assert_allclose(own.ravel(), found.x, atol=1e-6)


def by_scipy(x, y, start):
    """Return SciPy's optimum from values and gradients written out without ours."""

    def both(params):
        parts = params.reshape(start.shape)
        z = parts[:, -1] - x @ parts[:, :-1].T
        p = np.column_stack([np.zeros(len(x)), expit(z), np.ones(len(x))])
        own = np.diff(p, axis=1)[np.arange(len(x)), y]
        if (own <= 0).any():
            return 1e10, np.zeros_like(params)
        slope = p[:, 1:-1] * (1 - p[:, 1:-1])
        inside = (y[:, None] == np.arange(len(start))).astype(float)
        inside -= y[:, None] == np.arange(1, len(start) + 1)
        g = -(inside * slope) / own[:, None] / len(x)
        gradient = np.column_stack([-g.T @ x, g.sum(axis=0)])
        return -np.log(own).mean(), gradient.ravel()

    options = {"ftol": 1e-16, "gtol": 1e-11, "maxiter": 5000, "maxcor": 30}
    return scipy_minimize(both, start.ravel(), jac=True, method="L-BFGS-B", options=options)


def test_zero_penalty_elsewhere_is_near_the_separate_logits():
    x, y = anes()
    free = OrdinalClassifier(presto=0.0).fit(x, y).coef_
    alone = np.array([OrdinalClassifier().fit(x, (y > k).astype(int)).coef_ for k in range(6)])
    assert np.abs(free - alone).max() == pytest.approx(0.066, abs=5e-4)  # as the guide says


def test_zero_penalty_on_a_saturated_design_is_the_separate_logits():
    rng = np.random.default_rng(2)
    cell = rng.integers(0, 3, 900)
    x = np.eye(3)[cell][:, 1:]
    y = (rng.random((900, 1)) > np.array([[0.3, 0.7], [0.2, 0.5], [0.5, 0.8]])[cell]).sum(axis=1)
    model = OrdinalClassifier(presto=0.0, tol=1e-11).fit(x, y)
    for k in range(2):
        logit = sm.Logit((y > k).astype(float), sm.add_constant(x)).fit(disp=0, tol=1e-12)
        np.testing.assert_allclose(-model.thresholds_[k], logit.params[0], atol=1e-8)
        np.testing.assert_allclose(model.coef_[k], logit.params[1:], atol=1e-8)


@pytest.mark.parametrize("strength", [10.0, np.inf], ids=["finite", "infinite"])
@pytest.mark.parametrize("data", [anes, generated], ids=["anes", "generated"])
def test_a_large_penalty_on_differences_is_proportional_odds(data, strength):
    x, y = data()
    shared = OrdinalClassifier().fit(x, y)
    presto = OrdinalClassifier(presto=strength).fit(x, y)
    coef = np.broadcast_to(presto.coef_, (len(shared.thresholds_), len(shared.coef_)))
    np.testing.assert_allclose(coef, np.tile(shared.coef_, (len(coef), 1)), atol=1e-6)
    np.testing.assert_allclose(presto.thresholds_, shared.thresholds_, atol=1e-6)
    assert presto.log_likelihood_ == pytest.approx(shared.log_likelihood_, rel=1e-10)


def test_the_papers_penalty_shrinks_to_thresholds_alone():
    x, y = generated(3, 600, 3)
    model = OrdinalClassifier(presto=5.0, presto_first="same").fit(x, y)
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert model.log_likelihood_ == pytest.approx(model.null_log_likelihood_, rel=1e-9)
    shares = np.bincount(y) / len(y)
    np.testing.assert_allclose(model.predict_proba(x[:1])[0], shares, atol=1e-7)


@pytest.mark.parametrize("first", [0.0, 0.02], ids=["free", "held"])
def test_no_point_nearby_is_better_than_the_presto_fit(first):
    x, y = generated(4, 500, 3)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    strength = 0.01
    model = OrdinalClassifier(presto=strength, presto_first=first, tol=1e-10).fit(x, y)
    own = np.column_stack([model.coef_, model.thresholds_])
    settings = {"strength": strength, "first": first}
    best = presto_value(own, x, y, **settings)
    moves = np.diff(model.coef_, axis=0)
    assert 0 < (moves == 0).sum() < moves.size
    rng = np.random.default_rng(0)
    for size in (1e-1, 1e-3, 1e-5):
        for _ in range(200):
            step = size * rng.standard_normal(own.shape) * (rng.random(own.shape) < 0.5)
            if rng.random() < 0.5:
                step[1] = step[0]
            assert presto_value(own + step, x, y, **settings) >= best - 1e-14


NO_ORDER = "its blobs lie in no order along any line"
EXPECTED = {
    "check_classifiers_train": NO_ORDER,
    "check_classifiers_train(readonly_memmap=True)": NO_ORDER,
    "check_classifiers_train(readonly_memmap=True,X_dtype=float32)": NO_ORDER,
}


def expected_failures(estimator):
    return EXPECTED if estimator.presto is None else {}


# It has 30 columns and 9 rows of positive weight: only a penalty leaves an optimum.
@pytest.mark.parametrize("presto", [None, 0.0, 0.1])
def test_weights_are_repeats_in_scikit_learns_eyes(presto):
    model = OrdinalClassifier(C=1.0, presto=presto)
    check_sample_weight_equivalence_on_dense_data("OrdinalClassifier", model)


@pytest.mark.parametrize("first", [0.05, "same"])
def test_weights_are_repeats_where_l1_holds_all(first):
    model = OrdinalClassifier(presto=0.01, presto_first=first)
    check_sample_weight_equivalence_on_dense_data("OrdinalClassifier", model)


@pytest.mark.filterwarnings("ignore:the 3 classes are words")
@parametrize_with_checks(
    [OrdinalClassifier(C=1.0), OrdinalClassifier(C=1.0, presto=0.01)],
    expected_failed_checks=expected_failures,
)
def test_estimator(estimator, check):
    check(estimator)
