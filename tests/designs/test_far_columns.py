"""Columns far from zero, as times in seconds, where the rows live elsewhere."""

import dask.array as da
import numpy as np
import pytest

from softunit import SoftmaxClassifier
from softunit.designs import ChunkedDesign, as_design
from softunit.designs.centred import CentredDesign

N, D, K = 6000, 4, 3


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((N, D))
    y = (X @ rng.standard_normal((D, K)) + rng.gumbel(size=(N, K))).argmax(axis=1)
    X[:, 2] = 1.7e9 + 3600.0 * X[:, 2]
    return X, y


def chunked(X):
    return ChunkedDesign([X[i : i + 1000] for i in range(0, len(X), 1000)], memory="40MB")


@pytest.mark.parametrize("home", ["disk", "cluster"])
def test_a_time_in_seconds_is_fitted_as_in_memory(table, home):
    X, y = table
    here = SoftmaxClassifier(tol=1e-8).fit(X, y)
    rows = chunked(X) if home == "disk" else da.from_array(X, chunks=(1500, D))
    there = SoftmaxClassifier(tol=1e-8).fit(rows, y)
    assert there.solution_.converged
    np.testing.assert_allclose(there.coef_, here.coef_, rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(there.intercept_, here.intercept_, rtol=1e-8)
    assert there.certificate_.gap_bound < 10 * here.certificate_.gap_bound


def test_a_centred_design_is_its_array_less_the_centre(table):
    X, _ = table
    centre = X.mean(axis=0)
    A, near = CentredDesign(chunked(X), centre), X - centre
    g = np.random.default_rng(1).standard_normal((N, 2))
    np.testing.assert_allclose(A.matvec(g[:D]), near @ g[:D], rtol=1e-12)
    np.testing.assert_allclose(A.rmatvec(g), near.T @ g, rtol=1e-10, atol=1e-6)
    np.testing.assert_array_equal(A.rows(np.array([4001, 7])).toarray(), near[[4001, 7]])
    np.testing.assert_allclose(A.column_moments()[1], near.var(axis=0), rtol=1e-12)
    few = as_design(A.gathered(np.arange(10)))
    np.testing.assert_allclose(few.toarray(), near[:10], rtol=1e-6, atol=1e-6)
    assert A.sample_limit == chunked(X).sample_limit // 2
