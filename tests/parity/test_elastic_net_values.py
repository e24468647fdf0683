"""Elastic-net fits beside scikit-learn's saga and liblinear, and a proximal gradient of our own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

import softunit as su
from softunit.errors import AllZeroWarning

CS = [1e-3, 3e-2, 1.0, 1e3]
RATIOS = [0.1, 0.5, 1.0]


def table(k: int, *, n: int = 120, d: int = 6, seed: int = 0):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, d)) + 0.3
    a[:, 1] += 0.7 * a[:, 0]
    y = (a[:, :3] @ rng.standard_normal((3, k)) + 1.5 * rng.gumbel(size=(n, k))).argmax(axis=1)
    return a, y


def residuals(w, b, a, y, k):
    """Return the mean log loss times n, and P - Y, both from the definition."""
    z = a @ w.T + b
    z = np.column_stack([np.zeros(len(z)), z]) if z.shape[1] == 1 else z
    logs = z - z.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    r = np.exp(logs)
    r[np.arange(len(y)), y] -= 1
    return -logs[np.arange(len(y)), y], (r[:, 1:] if k == 2 else r)


def value(w, b, a, y, k, *, C, ratio, s=None, grouped=False):
    """Return C sum s loss + ratio |W|_1 + (1 - ratio)/2 |W|^2, or its grouped twin."""
    losses, _ = residuals(w, b, a, y, k)
    s = np.ones(len(y)) if s is None else s
    sizes = np.linalg.norm(w, axis=0) if grouped else np.abs(w)
    return C * (s @ losses) + ratio * sizes.sum() + (1 - ratio) / 2 * (w**2).sum()


def subgradient(w, b, a, y, k, *, C, ratio, s=None, grouped=False):
    """Return the largest entry of the least subgradient, over C sum(s): zero at the optimum."""
    _, r = residuals(w, b, a, y, k)
    s = np.ones(len(y)) if s is None else s
    g = C * (r * s[:, None]).T @ a + (1 - ratio) * w
    if grouped:
        size = np.linalg.norm(w, axis=0)
        norms = np.linalg.norm(g, axis=0)
        inside = np.maximum(norms - ratio, 0.0)[None]
        least = np.where(size > 0, g + ratio * w / np.where(size > 0, size, 1.0), inside)
    else:
        least = np.where(w != 0, g + ratio * np.sign(w), np.maximum(np.abs(g) - ratio, 0))
    return max(np.abs(least).max(), np.abs(C * s @ r).max() * np.any(b)) / (C * s.sum())


def fitted(a, y, C, ratio, *, tol=1e-9, weight=None, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AllZeroWarning)
        model = su.SoftmaxClassifier(C, l1_ratio=ratio, tol=tol, **settings)
        return model.fit(a, y, sample_weight=weight)


def saga(a, y, C, ratio, *, weight=None, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(
            C=C, l1_ratio=ratio, solver="saga", tol=1e-13, max_iter=30_000, **settings
        )
        return model.fit(a, y, sample_weight=weight)


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "plain"])
@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("C", CS)
@pytest.mark.parametrize("k", [2, 3])
def test_values_are_those_of_saga(k, C, ratio, intercept):
    a, y = table(k)
    model = fitted(a, y, C, ratio, fit_intercept=intercept)
    told = {"C": C, "ratio": ratio}
    ours = value(model.coef_, model.intercept_, a, y, k, **told)
    assert subgradient(model.coef_, model.intercept_, a, y, k, **told) < 2e-9
    peer = saga(a, y, C, ratio, fit_intercept=intercept)
    theirs = value(peer.coef_, peer.intercept_, a, y, k, **told)
    assert ours <= theirs * (1 + 1e-12)
    # saga stops at once where all coefficients stay at zero, its intercepts unfinished; and at
    # C = 1000, where it needs a million passes, it ends above.
    if peer.coef_.any() and peer.n_iter_[0] < peer.max_iter:
        assert ours == pytest.approx(theirs, rel=1e-9)
        np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-5 * max(1, C))
    assert model.certificate_.value == pytest.approx(ours / (C * len(y)), rel=1e-12)


@pytest.mark.parametrize("C", CS)
def test_values_are_those_of_liblinear(C):
    a, y = table(2)
    model = fitted(a, y, C, 1.0, fit_intercept=False)
    peer = LogisticRegression(
        C=C, l1_ratio=1.0, solver="liblinear", fit_intercept=False, tol=1e-12, max_iter=100_000
    ).fit(a, y)
    told = {"C": C, "ratio": 1.0}
    ours = value(model.coef_, 0.0, a, y, 2, **told)
    assert ours == pytest.approx(value(peer.coef_, 0.0, a, y, 2, **told), rel=1e-9)
    np.testing.assert_array_equal(model.coef_ != 0, peer.coef_ != 0)


@pytest.mark.parametrize("ratio", [0.5, 1.0])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_weights_and_sparse_columns(form, ratio):
    rng = np.random.default_rng(3)
    a = sparse.random_array((200, 30), density=0.2, rng=rng).toarray()
    y = (a[:, :3] @ rng.standard_normal((3, 3)) + 0.4 * rng.gumbel(size=(200, 3))).argmax(axis=1)
    s = rng.integers(0, 4, 200).astype(float)
    model = fitted(form(a), y, 0.5, ratio, weight=s)
    peer = saga(form(a), y, 0.5, ratio, weight=s)
    told = {"C": 0.5, "ratio": ratio, "s": s}
    ours = value(model.coef_, model.intercept_, a, y, 3, **told)
    assert subgradient(model.coef_, model.intercept_, a, y, 3, **told) < 2e-9
    assert ours == pytest.approx(value(peer.coef_, peer.intercept_, a, y, 3, **told), rel=1e-9)
    assert ((model.coef_ != 0) == (np.abs(peer.coef_) > 1e-9)).all()
    # Balanced classes are weights like others.
    balanced = fitted(form(a), y, 0.5, ratio, class_weight="balanced")
    each = (len(y) / (3 * np.bincount(y)))[y]
    same = fitted(form(a), y, 0.5, ratio, weight=each)
    np.testing.assert_allclose(balanced.coef_, same.coef_, atol=1e-7)


def proximal_gradient(a, y, k, *, C, ratio, steps=20_000):
    """Return W (k, d) and b by plain proximal gradient steps for the grouped penalty."""
    n, d = a.shape
    size = C * (np.linalg.norm(np.column_stack([a, np.ones(n)]), 2) ** 2 / 2) + (1 - ratio)
    w, b = np.zeros((k, d)), np.zeros(k)
    for _ in range(steps):
        _, r = residuals(w, b, a, y, k)
        v = w - (C * r.T @ a + (1 - ratio) * w) / size
        norms = np.linalg.norm(v, axis=0)
        w = v * np.maximum(1 - ratio / size / np.where(norms > 0, norms, 1.0), 0.0)
        b = b - C * r.sum(axis=0) / size
    return w, b


@pytest.mark.parametrize("ratio", [0.5, 1.0])
@pytest.mark.parametrize("C", [0.02, 0.05, 1.0])
def test_groups_are_those_of_proximal_gradients(C, ratio):
    a, y = table(3, n=60)
    model = fitted(a, y, C, ratio, grouped=True)
    w, b = proximal_gradient(a, y, 3, C=C, ratio=ratio)
    told = {"C": C, "ratio": ratio, "grouped": True}
    ours = value(model.coef_, model.intercept_, a, y, 3, **told)
    assert subgradient(model.coef_, model.intercept_, a, y, 3, **told) < 2e-9
    assert ours == pytest.approx(value(w, b, a, y, 3, **told), rel=1e-9)
    np.testing.assert_array_equal(model.coef_.any(axis=0), w.any(axis=0))
    # A column is in for all classes or for none.
    np.testing.assert_array_equal(model.coef_.any(axis=0), model.coef_.all(axis=0))


@pytest.mark.parametrize("k", [2, 3])
def test_the_search_scores_what_saga_predicts(k):
    a, y = table(k)
    Cs, ratios = [0.1, 1.0], [0.0, 0.5, 1.0]
    ours = su.SoftmaxClassifierCV(Cs, l1_ratios=ratios, cv=3, scoring="neg_log_loss", tol=1e-9).fit(
        a, y
    )
    assert ours.scores_.shape == ours.n_iter_.shape == (3, 3, 2)
    for row, ratio in enumerate(ratios):
        for column, C in enumerate(Cs):
            peer = LogisticRegression(
                C=C, l1_ratio=ratio, solver="saga", tol=1e-11, max_iter=100_000
            )
            theirs = cross_val_score(peer, a, y, cv=3, scoring="neg_log_loss")
            np.testing.assert_allclose(ours.scores_[:, row, column], theirs, atol=1e-6)
    best = np.unravel_index(ours.scores_.mean(axis=0).argmax(), (3, 2))
    assert (ours.l1_ratio_, ours.C_) == (ratios[best[0]], Cs[best[1]])
    direct = fitted(a, y, ours.C_, ours.l1_ratio_)
    np.testing.assert_allclose(ours.coef_, direct.coef_, atol=1e-5)
