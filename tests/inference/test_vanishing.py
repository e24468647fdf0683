"""Sandwich errors that are nothing but rounding are refused, by name; what is held is not these."""

from __future__ import annotations

import numpy as np
import pytest

import softunit as su
from softunit._groups import Groups
from softunit.errors import InputError
from softunit.inference import infer, variances
from softunit.units import GroupedSoftmax, Multinomial
from tests.inference.fits import choice, inferred, labelled

CANCEL = r"no clustered errors for 'x0': the scores cancel within every cluster"


@pytest.fixture(params=["dense", "iterated"])
def _route(request, monkeypatch):
    """Both routes: one factorisation, and conjugate gradients, as if all sizes were too large."""
    if request.param == "iterated":
        monkeypatch.setattr(variances, "dense_fits", lambda *_: False)


def alike(sets=40):
    """Pairs of rows; in every four sets the same choices, so that their scores sum to zero."""
    A = np.tile([[0.0], [1.0]], (sets, 1))
    b = np.tile([1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0], sets // 4)
    return A, b, np.repeat(np.arange(sets), 2)


@pytest.mark.usefixtures("_route")
def test_scores_that_cancel_within_clusters_are_refused():
    A, b, labels = alike()
    found = choice(A, b, labels)
    with pytest.raises(InputError, match=CANCEL):
        found.standard_errors("clustered", labels // 4)
    # Robust errors of the same fit, and clusters that mix the sets in another way, are errors.
    plain = found.standard_errors()
    for kind, clusters in (("robust", None), ("clustered", labels % 7)):
        errors = found.standard_errors(kind, clusters)
        assert 0.1 < errors[0] / plain[0] < 10


@pytest.mark.usefixtures("_route")
@pytest.mark.parametrize("off", [1e-12, 1e-5, 0.01])
def test_so_are_scores_of_which_the_fit_left_a_little(off):
    A, b, labels = alike()
    problem = su.Problem(A, GroupedSoftmax(Groups(labels)), b)
    x = su.minimize(problem, solver="newton", tol=1e-12).x
    error = 1 / np.sqrt(40 * 0.75 * 0.25)
    found = infer(problem, x + off * error, ["x0"], observations=Groups(labels))
    with pytest.raises(InputError, match=CANCEL):
        found.standard_errors("clustered", labels // 4)
    np.testing.assert_allclose(found.standard_errors(), error, rtol=0.02)


def test_every_question_about_them_is_refused():
    A, b, labels = alike()
    model = su.ConditionalLogit().fit(A, b, labels)
    given = {"kind": "clustered", "clusters": labels // 4}
    for ask in (
        lambda: model.summary(**given),
        lambda: model.covariance(**given),
        lambda: model.confidence_intervals(**given),
        lambda: model.wald_test("x0", **given),
    ):
        with pytest.raises(InputError, match=CANCEL):
            ask()


@pytest.mark.usefixtures("_route")
def test_only_what_is_asked_for_is_refused(rng):
    A, b, labels = alike(80)
    # A second column that is zero where the first is not: its scores do not cancel.
    extra = np.zeros((60, 2))
    extra[:, 1] = rng.normal(size=60)
    picks = np.eye(2)[rng.integers(0, 2, 30)].ravel()
    A = np.vstack([np.column_stack([A, 0 * A]), extra])
    b, labels = np.append(b, picks), np.append(labels, 80 + np.repeat(np.arange(30), 2))
    clusters = np.where(labels < 80, labels // 4, labels)
    found = choice(A, b, labels)
    with pytest.raises(InputError, match=r"no clustered errors for 'x0': the scores"):
        found.standard_errors("clustered", clusters)
    assert found.standard_errors("clustered", clusters, which="x1")[0] > 0.01


@pytest.mark.usefixtures("_route")
@pytest.mark.parametrize("kind", ["robust", "HC1"])
def test_shares_that_the_model_meets_have_no_robust_errors_and_nothing_is_held(rng, kind):
    labels = np.repeat(np.arange(60), 2)
    model = su.ConditionalLogit().fit(rng.normal(size=(120, 2)), np.full(120, 0.5), labels)
    told = r"no robust errors for 'x0', 'x1': the fit meets every observation"
    with pytest.raises(InputError, match=told):
        model.inference().standard_errors(kind)
    assert not model.inference().held.any()


@pytest.mark.usefixtures("_route")
def test_small_errors_that_are_errors_stay(rng):
    A = rng.normal(size=(400, 3))
    P = 1 / (1 + np.exp(-A @ [1.0, -0.5, 0.3] - 1e-4 * rng.normal(size=400)))
    problem = su.Problem(A, Multinomial(2), np.column_stack([1 - P, P]))
    found = infer(problem, su.minimize(problem, solver="newton", tol=1e-13).x, ["a", "b", "c"])
    share = found.standard_errors("robust") / found.standard_errors()
    assert (share > 1e-6).all()
    assert (share < 1e-3).all()


def test_held_are_those_that_a_penalty_set_to_zero_in_every_class_compared(rng):
    A, y = labelled(rng, d=8, size=0.3)
    model = su.SoftmaxClassifier(C=0.05, l1_ratio=1.0, tol=1e-9).fit(A, y)
    zero = np.column_stack([model.coef_ == 0, np.zeros(3, dtype=bool)])
    symmetric, against = model.inference(A, y), model.inference(A, y, reference=0)
    np.testing.assert_array_equal(symmetric.held, zero.ravel())
    np.testing.assert_array_equal(against.held, (zero[1:] & zero[0]).ravel())
    assert 0 < against.held.sum() < zero[1:].sum()
    for found in (symmetric, against):
        np.testing.assert_array_equal(found.standard_errors("robust") == 0, found.held)
        summary = found.summary()
        np.testing.assert_array_equal(np.isnan(summary.z), found.held)
        assert summary.to_text(100).count("  held") == found.held.sum()


def test_the_steps_of_both_routes_are_newtons(rng):
    A, y = labelled(rng)
    optimum = inferred(A, y, C=0.5).variances
    problem, own = optimum.problem, optimum.names
    x = optimum.point.x + 1e-3 * rng.normal(size=problem.shape)
    before, after = (
        infer(problem, point, own.names, basis=own.basis) for point in (optimum.point.x, x)
    )
    whole, moved = np.arange(len(own.names)), after.variances
    dense = moved._spread(moved.covariance("classical", None), whole)
    solved = variances.IterativeErrors(problem, moved.point, moved.free, own, 1e9)
    iterated = solved.spread(whole, None, moved.gradient)
    np.testing.assert_allclose(iterated.step, dense.step, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(iterated.classical, dense.classical, rtol=1e-8)
    np.testing.assert_allclose(after.coef - dense.step, before.coef, atol=1e-5)
    assert np.abs(dense.step).max() > 1e-4
