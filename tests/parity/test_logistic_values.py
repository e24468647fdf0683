"""SoftmaxClassifier meets the optimum of scikit-learn's LogisticRegression, to nine digits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize as scipy_minimize
from scipy.special import logsumexp
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression

from softunit import SoftmaxClassifier

LOADERS = {
    "iris": load_iris,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
    "digits": load_digits,
}
C_VALUES = (1e-4, 1e-2, 1.0, 1e2, 1e4)
RTOL = 1e-9
# (intercept, weights, sparse) of the cases run on digits, the one that takes its time.
ON_DIGITS = {(True, False, False), (True, True, True), (False, False, True)}


def table(name):
    X, y = LOADERS[name](return_X_y=True)
    return X, y


def objective(model, X, y, C, weights=None, added=0.0):
    """C * sum_i s_i loss_i + 1/2 |W|^2 from the definition, at the coefficients of a model."""
    W, b = np.asarray(model.coef_, dtype=np.float64), model.intercept_
    Z = X @ W.T + b
    if len(W) == 1:
        Z = np.column_stack([np.zeros(len(Z)), Z[:, 0]])
    Z = Z + added
    codes = np.searchsorted(model.classes_, y)
    losses = logsumexp(Z, axis=1) - Z[np.arange(len(y)), codes]
    s = np.ones(len(y)) if weights is None else weights
    return C * float(s @ losses) + 0.5 * float((W**2).sum())


def reference(X, y, C, weights=None, **settings):
    """scikit-learn's newton-cholesky, to rounding; what it warns of there is its own business."""
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y, sample_weight=weights)


def ours(X, y, C=1.0, weights=None, offset=None, **settings):
    """Fit of ours at tol=1e-11, which some tables only meet at rounding level."""
    model = SoftmaxClassifier(C=C, **{"tol": 1e-11, "max_iter": 500, **settings})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(rounding error|limit was reached)")
        return model.fit(X, y, sample_weight=weights, offset=offset)


CASES = [
    (name, C, intercept, weighted, sparsely)
    for name in LOADERS
    for C in C_VALUES
    for intercept in (True, False)
    for weighted in (False, True)
    for sparsely in (False, True)
    if name != "digits" or (intercept, weighted, sparsely) in ON_DIGITS
]


@pytest.mark.parametrize(("name", "C", "intercept", "weighted", "sparsely"), CASES)
def test_value_at_the_optimum(name, C, intercept, weighted, sparsely):
    X, y = table(name)
    weights = np.random.default_rng(7).uniform(0.1, 3.0, len(y)) if weighted else None
    given = sparse.csr_array(X) if sparsely else X
    model = ours(given, y, C, weights, fit_intercept=intercept)
    peer = reference(X, y, C, weights, fit_intercept=intercept)
    value, best = (objective(m, X, y, C, weights) for m in (model, peer))
    assert value == pytest.approx(best, rel=RTOL)


@pytest.mark.parametrize("solver", ["auto", "newton", "newton-cg", "lbfgs"])
def test_coefficients_on_scaled_columns(solver):
    X, y = table("wine")
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model, peer = ours(X, y, solver=solver, tol=1e-10, max_iter=2000), reference(X, y, 1.0)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-6)
    np.testing.assert_allclose(model.intercept_, peer.intercept_, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(X), peer.predict_proba(X), atol=1e-7)
    np.testing.assert_allclose(model.predict_log_proba(X), peer.predict_log_proba(X), atol=1e-5)
    assert (model.predict(X) == peer.predict(X)).all()
    assert model.score(X, y) == peer.score(X, y)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.2, 1: 3.0, 2: 1.0}, {1: 2.0}])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weight(class_weight, weighted, rng):
    X, y = table("wine")
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    weights = rng.uniform(0.1, 3.0, len(y)) if weighted else None
    model = ours(X, y, weights=weights, class_weight=class_weight)
    peer = reference(X, y, 1.0, weights, class_weight=class_weight)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-7)


def test_shares_are_weighted_repeated_rows(rng):
    X, shares = rng.normal(size=(60, 4)), rng.dirichlet(np.ones(3), size=60)
    weights = rng.uniform(0.5, 2.0, 60)
    model = ours(X, shares, weights=weights)
    repeated = reference(
        np.repeat(X, 3, axis=0),
        np.tile(np.arange(3), 60),
        1.0,
        (shares * weights[:, None]).ravel(),
    )
    np.testing.assert_allclose(model.coef_, repeated.coef_, atol=1e-8)
    np.testing.assert_allclose(model.intercept_, repeated.intercept_, atol=1e-8)


def test_warm_start_goes_on_from_the_last_fit():
    X, y = table("iris")
    model = ours(X, y, warm_start=True, tol=1e-9)
    assert model.n_iter_[0] > 2
    before = model.coef_.copy()
    model.fit(X, y)
    assert model.n_iter_[0] <= 1
    np.testing.assert_allclose(model.coef_, before, atol=1e-7)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library):
    frames = pytest.importorskip(library)
    X, y = table("iris")
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    frame = frames.DataFrame({name: X[:, j] for j, name in enumerate(names)})
    model = ours(frame, frames.Series(y))
    assert list(model.feature_names_in_) == names
    np.testing.assert_allclose(model.coef_, ours(X, y).coef_, rtol=1e-10)
    assert (model.predict(frame) == ours(X, y).predict(X)).all()


def test_frame_with_other_names_is_refused():
    frames = pytest.importorskip("pandas")
    X, y = table("iris")
    model = ours(frames.DataFrame(X, columns=list("abcd")), y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frames.DataFrame(X, columns=list("abce")))


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_float32_stays_float32(container):
    X, y = table("iris")
    model = SoftmaxClassifier().fit(container(X.astype(np.float32)), y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    np.testing.assert_allclose(model.coef_, ours(X, y).coef_, atol=1e-3)


def test_labels_of_strings():
    iris = load_iris()
    model = ours(iris.data, iris.target_names[iris.target])
    assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
    peer = ours(iris.data, iris.target)
    np.testing.assert_array_equal(model.coef_, peer.coef_)
    assert (model.predict(iris.data) == iris.target_names[peer.predict(iris.data)]).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_offset_is_a_column_with_a_fixed_coefficient(classes, rng):
    n, d, C = 80, 3, 0.7
    X, y = rng.normal(size=(n, d)), np.arange(n) % classes
    offset = rng.normal(size=n if classes == 2 else (n, classes))
    full = np.column_stack([np.zeros(n), offset]) if classes == 2 else offset
    columns = 1 if classes == 2 else classes

    def value_and_gradient(flat):
        W = flat.reshape(d + 1, columns)
        Z = X @ W[:d] + W[d]
        Z = full + (np.column_stack([np.zeros(n), Z]) if columns == 1 else Z)
        P = np.exp(Z - logsumexp(Z, axis=1, keepdims=True))
        losses = logsumexp(Z, axis=1) - Z[np.arange(n), y]
        P[np.arange(n), y] -= 1
        G = P[:, 1:] if columns == 1 else P
        gradient = C * np.vstack([X.T @ G, G.sum(axis=0)])
        gradient[:d] += W[:d]
        return C * losses.sum() + 0.5 * (W[:d] ** 2).sum(), gradient.ravel()

    start = np.zeros((d + 1) * columns)
    best = scipy_minimize(value_and_gradient, start, jac=True, method="BFGS", tol=1e-9)
    model = ours(X, y, C, offset=offset)
    assert objective(model, X, y, C, added=full) == pytest.approx(best.fun, rel=1e-10)
    np.testing.assert_allclose(model.coef_, best.x.reshape(d + 1, columns)[:d].T, atol=1e-6)
    assert (model.predict(X, offset) == full_prediction(model, X, full)).all()


def full_prediction(model, X, full):
    Z = X @ model.coef_.T + model.intercept_
    Z = np.column_stack([np.zeros(len(Z)), Z]) if Z.shape[1] == 1 else Z
    return model.classes_[(Z + full).argmax(axis=1)]
