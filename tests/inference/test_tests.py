"""Wald and likelihood-ratio tests that mean nothing say so; data that change are found out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit.errors import InputError, SoftunitWarning
from softunit.inference import infer, likelihood_ratio_test
from softunit.units import Multinomial
from tests.inference.fits import choice, chosen, fitted, labelled

CHANGED = "the data have changed since the fit"

# More restrictions than the scores spread along ---------------------------------------------------


def test_more_restrictions_than_clusters_tell_apart_are_refused_as_such(rng):
    A, b, labels = chosen(rng, d=5)
    found, clusters = choice(A, b, labels), labels % 3
    told = r"a joint test of 5 restrictions is not defined here: .* has rank 2, as there are 3 clus"
    with (
        pytest.warns(SoftunitWarning, match="3 clusters for 5 parameters"),
        pytest.raises(InputError, match=told),
    ):
        found.wald_test(np.eye(5), kind="clustered", clusters=clusters)
    with pytest.warns(SoftunitWarning, match="3 clusters for 5 parameters"):
        two = found.wald_test(np.eye(5)[:2], kind="clustered", clusters=clusters)
    assert two.df == 2


def test_restrictions_that_follow_from_others_are_counted_once(rng):
    A, b, labels = chosen(rng, d=5)
    found, given = choice(A, b, labels), {"kind": "clustered", "clusters": labels % 20}
    doubled = found.wald_test(np.eye(5)[[0, 0, 1]], **given)
    plain = found.wald_test(np.eye(5)[:2], **given)
    assert doubled.df == plain.df == 2
    assert doubled.statistic == pytest.approx(plain.statistic, rel=1e-9)
    with pytest.raises(InputError, match="the restrictions contradict each other"):
        found.wald_test(np.eye(5)[[0, 0, 1]], [0.0, 1.0, 0.0], **given)


def test_more_restrictions_than_residuals_are_refused_as_such(rng):
    # At zero the pairs cancel, and shares of a half are met: two directions have residuals.
    pairs = np.repeat(rng.normal(size=(2, 5)), 2, axis=0)
    A = np.vstack([pairs, rng.normal(size=(60, 5))])
    target = np.vstack([np.eye(2)[[0, 1, 0, 1]], np.full((60, 2), 0.5)])
    problem = su.Problem(A, Multinomial(2), target)
    found = infer(problem, np.zeros(5), [f"a{j}" for j in range(5)])
    assert found.wald_test(np.eye(5)).df == 5
    assert found.wald_test(np.eye(5)[:2], kind="robust").df == 2
    told = r"a joint test of 3 restrictions .* has rank 2, as too few observations have residuals"
    with pytest.raises(InputError, match=told):
        found.wald_test(np.eye(5)[:3], kind="robust")


# Fits that have not converged, and models in place of inferences ----------------------------------


def test_a_test_of_a_fit_that_has_not_converged_says_so_when_printed(rng):
    A, b, labels = chosen(rng)
    with pytest.warns(ConvergenceWarning, match="iteration limit"):
        model = su.ConditionalLogit(max_iter=1).fit(A, b, labels)
    early, whole = model.wald_test("x0"), su.ConditionalLogit().fit(A, b, labels).wald_test("x0")
    first, second = str(early).splitlines()
    assert first.startswith("NOT CONVERGED, so no test to be trusted. ")
    assert "iteration limit" in first
    assert second.startswith("Wald test: chi2(1) = ")
    assert not early.converged
    assert whole.converged
    assert str(whole).startswith("Wald test: chi2(1) = ")
    assert "\n" not in str(whole)


def test_likelihood_ratios_of_models_that_keep_their_data(rng):
    A, b, labels = chosen(rng)
    few, every = (su.ConditionalLogit().fit(A[:, :k], b, labels) for k in (2, 3))
    found = likelihood_ratio_test(few, every)
    assert found == likelihood_ratio_test(few.inference(), every.inference())
    gain = 2 * (every.log_likelihood_ - few.log_likelihood_)
    assert found.statistic == pytest.approx(gain, rel=1e-9)
    X, y = labelled(rng)
    small, large = (su.OrdinalClassifier().fit(X[:, :k], y) for k in (2, 4))
    assert likelihood_ratio_test(small, large).df == 2
    with pytest.raises(InputError, match=r"`full` is a SoftmaxClassifier.*inference\(X, y\)"):
        likelihood_ratio_test(small, fitted(X, y))
    with pytest.raises(InputError, match=r"`restricted` must be an Inference.* got float"):
        likelihood_ratio_test(-1.5, large)


# Data that are written to -------------------------------------------------------------------------


def test_a_fit_of_choices_notices_that_its_data_were_written_to(rng):
    A, b, labels = chosen(rng)
    model = su.ConditionalLogit().fit(A, b, labels)
    A *= 2.0
    with pytest.raises(InputError, match=CHANGED + r": its log-likelihood on them was -\d"):
        model.summary()


def test_so_does_one_that_has_answered_before(rng):
    A, b, labels = chosen(rng)
    model = su.ConditionalLogit(C=3.0).fit(A, b, labels)
    before, kept = model.standard_errors("robust"), A[0, 0]
    A[0, 0] += 0.5
    for ask in (model.summary, model.covariance, lambda: model.wald_test("x0")):
        with pytest.raises(InputError, match=CHANGED):
            ask()
    A[0, 0] = kept
    np.testing.assert_array_equal(model.standard_errors("robust"), before)


@pytest.mark.parametrize("C", [np.inf, 0.5])
def test_and_an_inference_of_classes(rng, C):
    A, y = labelled(rng)
    found = fitted(A, y, C=C).inference(A, y)
    assert np.isfinite(found.standard_errors("robust")).all()
    A[:, 1] += 1e-3 * rng.normal(size=len(A))
    with pytest.raises(InputError, match=CHANGED):
        found.summary("robust")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_rounding_is_no_change(rng, dtype, size):
    A, b, labels = chosen(rng, sets=500)
    A = (A * size + 10 * size).astype(dtype)
    model = su.ConditionalLogit(C=100.0, tol=1e-6).fit(A, b, labels)
    assert np.isfinite(model.standard_errors("robust")).all()
