"""Errors, intervals and tests equal statsmodels' to a millionth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

import softunit as su
from softunit._groups import Groups
from softunit.inference import infer, likelihood_ratio_test
from softunit.units import GroupedSoftmax

sm = pytest.importorskip("statsmodels.api")
sandwich = pytest.importorskip("statsmodels.stats.sandwich_covariance")

RTOL = 1e-6
EXACT = {"disp": 0, "method": "newton", "tol": 1e-13, "maxiter": 100}
THEIRS = {"classical": "nonrobust", "robust": "HC0", "HC0": "HC0", "clustered": "cluster"}


def anes():
    """Party identification in seven classes, 1996: the columns, the labels, and clusters."""
    data = sm.datasets.anes96.load_pandas()
    X, y = data.exog, data.endog.astype(int)
    return X, y, X["age"].astype(int).to_numpy()


def constant_last(X):
    return np.column_stack([np.asarray(X, dtype=float), np.ones(len(X))])


def theirs(y, X, kind="classical", clusters=None, model=None):
    groups = {"cov_kwds": {"groups": clusters}} if kind == "clustered" else {}
    fit = (model or sm.MNLogit)(np.asarray(y), constant_last(X))
    return fit.fit(**EXACT, cov_type=THEIRS[kind], **groups)


@pytest.fixture(scope="module")
def seven():
    X, y, _ = anes()
    return su.SoftmaxClassifier(C=np.inf, tol=1e-11).fit(X, y)


@pytest.mark.parametrize("kind", sorted(THEIRS))
def test_multinomial_errors(seven, kind):
    X, y, ages = anes()
    clusters = ages if kind == "clustered" else None
    expected = theirs(y, X, kind, clusters)
    found = seven.inference(X, y, reference=0)
    assert found.names[:2] == (("1", "logpopul"), ("1", "selfLR"))
    assert found.names[-1] == ("6", "intercept")
    np.testing.assert_allclose(found.coef, expected.params.T.ravel(), rtol=RTOL)
    np.testing.assert_allclose(found.log_likelihood, expected.llf, rtol=1e-10)
    np.testing.assert_allclose(found.mcfadden_r2, expected.prsquared, rtol=1e-7)
    np.testing.assert_allclose([found.aic, found.bic], [expected.aic, expected.bic], rtol=1e-10)
    errors = found.standard_errors(kind, clusters)
    np.testing.assert_allclose(errors, np.sqrt(np.diag(expected.cov_params())), rtol=RTOL)
    covariance = found.covariance(kind, clusters)
    np.testing.assert_allclose(covariance, expected.cov_params(), rtol=RTOL, atol=1e-12)
    intervals = found.confidence_intervals(0.9, kind, clusters)
    np.testing.assert_allclose(intervals, expected.conf_int(0.1).reshape(-1, 2), rtol=RTOL)
    frame = found.summary(kind, clusters).frame()
    np.testing.assert_allclose(frame["p_value"], expected.pvalues.T.ravel(), rtol=1e-5, atol=1e-300)


def test_hc1_is_the_sandwich_with_its_correction(seven):
    # `fit(cov_type="HC1")` of statsmodels leaves the correction out for these models.
    X, y, _ = anes()
    expected = sandwich.cov_white_simple(theirs(y, X), use_correction=True)
    found = seven.inference(X, y, reference=0).covariance("HC1")
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=1e-12)


def test_another_reference(seven):
    X, y, _ = anes()
    expected = theirs(np.where(y == 3, -1, y), X)
    found = seven.inference(X, y, reference=3)
    np.testing.assert_allclose(found.coef, expected.params.T.ravel(), rtol=RTOL)
    errors = np.sqrt(np.diag(expected.cov_params()))
    np.testing.assert_allclose(found.standard_errors(), errors, rtol=RTOL)


def test_symmetric_coding_by_the_delta_method(seven):
    X, y, _ = anes()
    expected = theirs(y, X, "robust")
    d, K = 6, 7
    with_reference = np.vstack([np.zeros((d, (K - 1) * d)), np.eye((K - 1) * d)])
    centred = np.kron(np.eye(K) - 1 / K, np.eye(d)) @ with_reference
    found = seven.inference(X, y)
    np.testing.assert_allclose(
        found.coef, centred @ expected.params.T.ravel(), rtol=RTOL, atol=1e-9
    )
    covariance = centred @ expected.cov_params() @ centred.T
    np.testing.assert_allclose(found.covariance("robust"), covariance, rtol=RTOL, atol=1e-12)
    W = np.column_stack([seven.coef_, seven.intercept_])
    np.testing.assert_allclose(found.coef, W.ravel(), rtol=1e-12)


@pytest.mark.parametrize("kind", sorted(THEIRS))
def test_two_classes(kind):
    X, y, ages = anes()
    clusters = ages if kind == "clustered" else None
    expected = theirs(y > 3, X, kind, clusters, sm.Logit)
    model = su.SoftmaxClassifier(C=np.inf, tol=1e-11).fit(X, y > 3)
    found = model.inference(X, y > 3)
    assert found.names[0] == ("True", "logpopul")
    np.testing.assert_allclose(found.coef, expected.params, rtol=RTOL)
    covariance = found.covariance(kind, clusters)
    np.testing.assert_allclose(covariance, expected.cov_params(), rtol=RTOL)
    flipped = model.inference(X, y > 3, reference=True)
    assert flipped.names[0] == ("False", "logpopul")
    np.testing.assert_allclose(flipped.coef, -found.coef, rtol=1e-14)
    np.testing.assert_allclose(flipped.covariance(kind, clusters), covariance, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:cov_type not fully supported")
@pytest.mark.parametrize("kind", ["classical", "robust", "clustered"])
def test_frequency_weights_and_offset(kind):
    X, y, ages = anes()
    rng = np.random.default_rng(3)
    weights, offset = rng.integers(1, 5, len(y)).astype(float), rng.normal(size=len(y))
    clusters = ages if kind == "clustered" else None
    groups = {"cov_kwds": {"groups": clusters}} if kind == "clustered" else {}
    expected = sm.GLM(
        (y > 3).astype(float), constant_last(X), sm.families.Binomial(), freq_weights=weights,
        offset=offset,
    ).fit(tol=1e-14, maxiter=100, cov_type=THEIRS[kind], **groups)  # fmt: skip
    model = su.SoftmaxClassifier(C=np.inf, tol=1e-12).fit(X, y > 3, weights, offset)
    found = model.inference(X, y > 3, weights, offset)
    assert found.n_observations == weights.sum()
    np.testing.assert_allclose(found.log_likelihood, expected.llf, rtol=1e-10)
    np.testing.assert_allclose(found.null_log_likelihood, expected.llnull, rtol=1e-8)
    errors = found.standard_errors(kind, clusters)
    if kind == "clustered":  # they count rows in the correction, where repeats are observations
        n, N, p = len(y), weights.sum(), 6
        errors /= np.sqrt((N - 1) / (N - p) / ((n - 1) / (n - p)))
    np.testing.assert_allclose(errors, expected.bse, rtol=RTOL)


def test_wald_tests(seven):
    X, y, _ = anes()
    expected = theirs(y, X, "robust")
    found = seven.inference(X, y, reference=0)
    R = np.random.default_rng(4).normal(size=(3, 36))
    r = np.array([0.1, -0.2, 0.0])
    constraint = expected.wald_test((R, r), scalar=True, use_f=False)
    mine = found.wald_test(R, r, "robust")
    assert mine.df == 3
    np.testing.assert_allclose(mine.statistic, constraint.statistic, rtol=RTOL)
    np.testing.assert_allclose(mine.p_value, constraint.pvalue, rtol=1e-5)
    income = np.zeros((6, 36))
    income[np.arange(6), np.arange(4, 36, 6)] = 1.0
    joint = expected.wald_test(income, scalar=True, use_f=False)
    named = found.wald_test("income", kind="robust")
    assert named.df == 6
    np.testing.assert_allclose(named.statistic, joint.statistic, rtol=RTOL)
    # The same hypothesis in the symmetric coding: seven restrictions, of which six count.
    symmetric = seven.inference(X, y).wald_test("income", kind="robust")
    assert symmetric.df == 6
    np.testing.assert_allclose(symmetric.statistic, joint.statistic, rtol=RTOL)


def test_likelihood_ratio_tests(seven):
    X, y, _ = anes()
    few = X.drop(columns=["income", "educ"])
    small = su.SoftmaxClassifier(C=np.inf, tol=1e-11).fit(few, y)
    found = likelihood_ratio_test(small.inference(few, y), seven.inference(X, y))
    full, restricted = theirs(y, X), theirs(y, few)
    statistic = 2 * (full.llf - restricted.llf)
    assert found.df == 12
    np.testing.assert_allclose(found.statistic, statistic, rtol=1e-7)
    # The test of all columns at once is the one that statsmodels prints.
    whole = seven.inference(X, y)
    gain = 2 * (whole.log_likelihood - whole.null_log_likelihood)
    np.testing.assert_allclose(gain, full.llr, rtol=1e-7)
    np.testing.assert_allclose(found.p_value, chi2.sf(statistic, 12), rtol=1e-6)


def choices(rng, sets=200, size=4, d=3):
    A = rng.normal(size=(sets * size, d))
    labels = np.repeat(np.arange(sets), size)
    utility = A @ np.array([1.0, -0.5, 0.2])[:d] + rng.gumbel(size=len(A))
    best = utility.reshape(sets, size).argmax(axis=1)
    chosen = np.zeros((sets, size))
    chosen[np.arange(sets), best] = 1.0
    return A, chosen.ravel(), labels


def conditional(A, b, labels):
    groups = Groups(labels)
    problem = su.Problem(A, GroupedSoftmax(groups), b)
    x = su.minimize(problem, solver="newton", tol=1e-12).x
    return infer(problem, x, [f"x{j}" for j in range(A.shape[1])], observations=groups)


def test_conditional_logit_classical(rng):
    A, b, labels = choices(rng)
    mixed = rng.permutation(len(b))
    expected = sm.ConditionalLogit(b, A, groups=labels).fit(disp=0, method="newton", tol=1e-13)
    found = conditional(A[mixed], b[mixed], labels[mixed])
    assert found.n_observations == 200
    np.testing.assert_allclose(found.coef, expected.params, rtol=RTOL)
    np.testing.assert_allclose(found.log_likelihood, expected.llf, rtol=1e-9)
    np.testing.assert_allclose(found.standard_errors(), expected.bse, rtol=RTOL)


@pytest.mark.parametrize("kind", ["classical", "robust", "clustered"])
def test_conditional_logit_of_two_alternatives_is_a_logit_of_differences(rng, kind):
    A, b, labels = choices(rng, sets=300, size=2)
    clusters = np.arange(300) // 7 if kind == "clustered" else None
    first, second = A[::2], A[1::2]
    groups = {"cov_kwds": {"groups": clusters}} if kind == "clustered" else {}
    expected = sm.Logit(b[1::2], second - first).fit(**EXACT, cov_type=THEIRS[kind], **groups)
    mixed = rng.permutation(len(b))
    found = conditional(A[mixed], b[mixed], labels[mixed])
    rows = None if clusters is None else np.repeat(clusters, 2)[mixed]
    np.testing.assert_allclose(found.coef, expected.params, rtol=RTOL)
    np.testing.assert_allclose(found.covariance(kind, rows), expected.cov_params(), rtol=RTOL)
