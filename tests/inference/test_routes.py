"""One factorisation, conjugate gradients, and blocks of any size tell the same errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit._groups import Groups
from softunit.errors import InputError
from softunit.inference import scatter, variances
from softunit.inference.memory import as_bytes
from softunit.inference.scatter import Scatter
from tests.inference.fits import choice, chosen, fitted, inferred, labelled

KINDS = ("classical", "robust", "HC1", "clustered")


@pytest.fixture
def large(monkeypatch):
    """Every size counts as too large to be written out."""

    def pretend():
        monkeypatch.setattr(variances, "dense_fits", lambda *_: False)

    return pretend


def both_routes(found, kind, clusters, pretend, memory="1GB"):
    dense = found.standard_errors(kind, clusters)
    pretend()
    return dense, found.standard_errors(kind, clusters, memory=memory)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("as_matrix", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_conjugate_gradients_meet_the_factorisation(rng, large, kind, as_matrix):
    A, y = labelled(rng, d=6, K=4)
    A[np.abs(A) < 0.3] = 0.0
    clusters = rng.integers(0, 40, len(y)) if kind == "clustered" else None
    A = as_matrix(A * np.logspace(-3, 3, 6) + 0.0)
    found = inferred(A, y)
    dense, iterated = both_routes(found, kind, clusters, large)
    np.testing.assert_allclose(iterated, dense, rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_they_meet_for_choice_sets(rng, large, kind):
    A, b, labels = chosen(rng)
    clusters = labels // 5 if kind == "clustered" else None
    dense, iterated = both_routes(choice(A + 7.0, b, labels), kind, clusters, large)
    np.testing.assert_allclose(iterated, dense, rtol=1e-8)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("grouped", [False, True], ids=["entries", "rows"])
@pytest.mark.parametrize("kind", ["classical", "robust"])
def test_they_meet_after_a_penalty(rng, large, l1_ratio, grouped, kind):
    A, y = labelled(rng, d=6, K=4, size=0.5)
    penalty = {"C": 0.05, "l1_ratio": l1_ratio, "grouped": grouped, "tol": 1e-8}
    found = inferred(A, y, reference=None, **penalty)
    dense, iterated = both_routes(found, kind, None, large)
    assert (dense > 0).any()
    np.testing.assert_allclose(iterated, dense, rtol=1e-7, atol=1e-12)


def test_blocks_of_any_size_tell_the_same(rng, large):
    A, y = labelled(rng, d=5, K=3)
    found = inferred(A, y)
    dense, one_by_one = both_routes(found, "robust", None, large, memory=40_000)
    np.testing.assert_allclose(one_by_one, dense, rtol=1e-8)


def test_chosen_parameters(rng, large):
    A, y = labelled(rng, d=5, K=3)
    found = inferred(A, y)
    every = found.standard_errors("robust")
    column = [2, 8]
    wanted = {"x2": column, ("2", "x2"): [8], "1": [0, 1, 2, 3, 4, 5], 3: [3], -1: [11]}
    assert found.names[8] == ("2", "x2")
    for route in ("dense", "iterated"):
        for which, positions in wanted.items():
            some = found.standard_errors("robust", which=which)
            np.testing.assert_allclose(some, every[positions], rtol=1e-8, err_msg=route)
        some = found.standard_errors("robust", which=[("1", "x0"), 11])
        np.testing.assert_allclose(some, every[[0, 11]], rtol=1e-8)
        large()


def test_beyond_2000_parameters_chosen_ones_are_solved_for(rng):
    A = sparse.random_array((1500, 524), density=0.02, rng=rng, format="csr")
    y = (A @ rng.normal(size=(524, 4)) + rng.gumbel(size=(1500, 4))).argmax(axis=1)
    model = fitted(A, y, C=1.0, tol=1e-8)
    found = model.inference(A, y)
    assert len(found.names) == 2100
    which = ["x0", "x17", ("2", "intercept")]
    some = found.standard_errors("robust", which=which, memory="1MB")
    whole = found.standard_errors("robust")
    np.testing.assert_allclose(some, whole[found.variances.names.find(which)], rtol=1e-7)


def test_a_covariance_too_large_points_to_what_fits(rng, large):
    A, y = labelled(rng)
    found = inferred(A, y)
    large()
    with pytest.raises(InputError, match=r"takes .* GB to make. Ask for standard_errors"):
        found.covariance()


def test_memory_that_holds_nothing_is_refused(rng, large):
    A, y = labelled(rng)
    found = inferred(A, y)
    large()
    with pytest.raises(InputError, match=r"`memory` of 1e\+03 bytes does not hold"):
        found.standard_errors(memory="1KB")


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 5e8), ("2 GB", 2e9), ("1.5k", 1500.0), (17, 17.0), ("8", 8.0)]
)
def test_budgets_as_people_write_them(text, size):
    assert as_bytes(text) == size


@pytest.mark.parametrize("text", ["much", "-1GB", "0", "GB", "1e9"])
def test_other_budgets_are_refused(text):
    with pytest.raises(InputError, match="`memory` must be a size, as '500MB' or '2GB'"):
        as_bytes(text)


# The filling of the sandwich ------------------------------------------------------------------


def brute_force(problem, x, classes, labels, frequencies):
    """Sums of the scores of each observation, one by one."""
    z = problem.scores(x)
    g = problem.mass * problem.by_rows.value_gradient(slice(0, len(z)), z)[1]
    g = g[:, None] if g.ndim == 1 else g @ classes
    A, total = problem.design.toarray(), 0.0
    for i, label in enumerate(np.unique(labels)):
        mine = labels == label
        score = sum(np.kron(a, own) for a, own in zip(A[mine], g[mine], strict=True))
        total = total + np.outer(score, score) / frequencies[i]
    return total


@pytest.mark.parametrize("piece", [1, 1 << 12, 1 << 20])
@pytest.mark.parametrize("labels", ["own", "few", "many", "in order"])
def test_sums_within_clusters_do_not_depend_on_the_pieces(rng, monkeypatch, piece, labels):
    A, y = labelled(rng, n=400)
    problem = su.Problem(A, su.units.Multinomial(3), y, weights=rng.uniform(0.5, 2, 400))
    x = rng.normal(size=(4, 3))
    codes = {
        "own": np.arange(400),
        "few": rng.integers(0, 2, 400),
        "many": rng.integers(0, 150, 400),
        "in order": np.sort(rng.integers(0, 90, 400)),
    }[labels]
    groups = None if labels == "own" else Groups(codes)
    frequencies = rng.uniform(0.5, 2, 400 if groups is None else groups.count)
    classes = rng.normal(size=(3, 2))
    monkeypatch.setattr(scatter, "PIECE", piece)
    monkeypatch.setattr(scatter, "LEAST", 64)
    expected = brute_force(problem, x, classes, codes, frequencies)
    found = Scatter(problem, x, classes, groups, frequencies)
    np.testing.assert_allclose(found.outer(), expected, rtol=1e-9, atol=1e-9)
    plain = Scatter(problem, x, np.eye(3), groups, frequencies)
    directions = rng.normal(size=(12, 5))
    along = np.einsum("pm,pq,qm->m", directions, plain.outer(), directions)
    np.testing.assert_allclose(plain.along(directions), along, rtol=1e-9)


def test_the_filling_never_holds_all_rows_times_all_parameters(rng):
    tracemalloc = pytest.importorskip("tracemalloc")
    A, y = labelled(rng, n=40_000, d=30, K=4)
    problem = su.Problem(A, su.units.Multinomial(4), y)
    groups = Groups(rng.integers(0, 20_000, len(y)))
    found = Scatter(problem, np.zeros((30, 4)), np.eye(4), groups, None)
    assert groups.order is not None
    tracemalloc.start()
    found.outer()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 8 * A.size * 4, peak
