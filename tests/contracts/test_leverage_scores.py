"""Leverage scores: golden values, what they do not see, and every product by two routes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit.coupled_curvature import MatrixFree
from softunit.designs import as_design
from softunit.errors import InputError
from softunit.estimators._leverage_parts import attainable_sum, parts_of
from softunit.estimators._leverage_signs import Retrieval
from softunit.estimators._leverage_stages import convex_sizes
from softunit.units import LeverageScores
from softunit.units._projection import Pairs, Projection, Span

A = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]])
S = np.array([1.0, 2.0, 0.5, 1.5])
SIGMA = np.array([0.212045169385, 0.076537013802, 0.948557089084, 0.762860727729])
JACOBIAN = np.array(
    [
        [0.125502000129, -0.102139610742],
        [0.221760082115, -0.012040131673],
        [-0.151849233874, -0.168964860385],
        [-0.195412848370, 0.283144602800],
    ]
)


def by_definition(a: np.ndarray, s: np.ndarray) -> np.ndarray:
    """The diagonal of the projection, formed."""
    rows = a / s[:, None]
    return np.diag(rows @ np.linalg.pinv(rows))


def test_golden_scores_and_jacobian():
    unit = LeverageScores(A, np.zeros(4))
    np.testing.assert_allclose(unit.scores(S), SIGMA, atol=1e-12)
    # With the target sigma - y the residual is y, and the gradient J' y.
    rows = [unit.gradient(S, unit.scores(S) - y) @ A for y in np.eye(4)]
    np.testing.assert_allclose(np.stack(rows), JACOBIAN, atol=1e-11)


@pytest.mark.parametrize("seed", range(10))
def test_scores_are_the_diagonal_of_the_projection(seed):
    rng = np.random.default_rng(seed)
    a, b, z = rng.standard_normal((12, 4)), rng.standard_normal(12), rng.standard_normal(12)
    sigma = LeverageScores(a, b).scores(z)
    np.testing.assert_allclose(sigma, by_definition(a, z - b), atol=1e-12)
    assert sigma.sum() == pytest.approx(4.0, rel=1e-12)
    assert 0 <= sigma.min() <= sigma.max() <= 1


def test_what_leverage_scores_do_not_see(rng):
    a, s = rng.standard_normal((12, 4)), rng.standard_normal(12)
    base = LeverageScores(a, np.zeros(12))
    sigma = base.scores(s)
    flipped = np.where(rng.random(12) < 0.5, -s, s)
    np.testing.assert_allclose(base.scores(-3.7 * s), sigma, atol=1e-12)
    np.testing.assert_allclose(base.scores(flipped), sigma, atol=1e-12)
    mixed = LeverageScores(a @ rng.standard_normal((4, 4)), np.zeros(12))
    np.testing.assert_allclose(mixed.scores(s), sigma, atol=1e-11)
    target = rng.uniform(size=12)
    assert abs(base.gradient(s, target) @ s) <= 1e-13  # along s nothing changes
    np.testing.assert_allclose(
        LeverageScores(sparse.csr_array(a), np.zeros(12)).scores(s), sigma, atol=1e-14
    )


@pytest.mark.parametrize("kind", ["exact", "gauss_newton"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_the_gram_is_the_same_from_products_one_by_one(kind, form, rng):
    a, b, target = rng.standard_normal((40, 5)), rng.standard_normal(40), rng.uniform(size=40)
    unit, z, w = LeverageScores(a, b), rng.standard_normal(40), rng.uniform(0.1, 2.0, 40)
    curvature = unit.curvature(z, target, w, kind=kind)
    design = as_design(form(rng.standard_normal((40, 3))))
    expected = MatrixFree(curvature.matvec, 40).gram_in(design)
    np.testing.assert_allclose(design.gram(curvature), expected, rtol=1e-10, atol=1e-10)


def test_blocks_of_rows_add_up(rng, monkeypatch):
    q = np.linalg.qr(rng.standard_normal((500, 4)))[0]
    p, v = Projection(q), rng.standard_normal(500)
    dense = np.square(q @ q.T) @ v
    monkeypatch.setattr("softunit.units._projection.BLOCK", 256)
    np.testing.assert_allclose(p.squared(v), dense, atol=1e-13)
    pairs = Pairs(p).rows(slice(0, 500))
    np.testing.assert_allclose(pairs @ (pairs.T @ v), dense, atol=1e-13)
    moments = Pairs(p).unpacked(pairs.T @ v[:, None])[0]
    np.testing.assert_allclose(moments, p.moment(v), atol=1e-13)


@pytest.mark.parametrize("least", [1e-3, 1e-7, 1e-10, 1e-14])
def test_rows_of_any_size_leave_the_basis_orthonormal(least, rng):
    basis, s = np.linalg.qr(rng.standard_normal((60, 4)))[0], rng.standard_normal(60)
    s[[3, 20]] = least
    p = Projection.scaled(basis, s)
    np.testing.assert_allclose(p.q.T @ p.q, np.eye(4), atol=1e-13)
    # What the two large rows leave over is the projection of the others, without their directions.
    gone = np.linalg.qr(basis[[3, 20]].T, mode="complete")[0][:, 2:]
    others = np.delete(np.arange(60), [3, 20])
    expected = by_definition(basis[others] @ gone, s[others])
    np.testing.assert_allclose(p.scores[others], expected, atol=max(1e-12, 1e3 * least**2))


def test_a_zero_of_s_has_no_value_but_derivatives_nearby(rng):
    a, b, z = rng.standard_normal((8, 2)), rng.standard_normal(8), rng.standard_normal(8)
    z[5] = b[5]
    unit, target = LeverageScores(a, b), rng.uniform(size=8)
    value, gradient = unit.value_gradient(z, target)
    assert value == np.inf == unit.value(z, target)
    assert np.isfinite(gradient).all()
    assert gradient[5] == 0.0 < np.abs(gradient).max()  # a plateau
    beside = z + 1e-6 * (np.arange(8) == 5)
    np.testing.assert_allclose(unit.gradient(beside, target)[:5], gradient[:5], rtol=1e-3)
    with pytest.raises(InputError, match="is zero in 1 of 8 rows, the first is row 5"):
        unit.scores(z)
    with pytest.raises(InputError, match="not finite at the start"):
        su.minimize(su.Problem(a, LeverageScores(a, np.zeros(8)), target))


def test_what_is_not_finite_is_refused_by_steps():
    unit = LeverageScores(A, np.zeros(4))
    z = np.array([1.0, np.inf, 1.0, 1.0])
    assert unit.value(z, SIGMA) == np.inf
    assert unit.value_gradient(z, SIGMA)[0] == np.inf


def test_rank_does_not_go_by_the_size_of_columns(rng):
    a = rng.standard_normal((9, 3)) * np.array([1e9, 1.0, 1e-9])
    assert Span.of(a).rank == 3
    close = a[:, 1] + 1e-6 * rng.standard_normal(9)
    assert Span.of(np.column_stack([a, close])).rank == 4
    assert Span.of(np.column_stack([a, a[:, 1] - 3 * a[:, 0]])).rank == 3
    wide = Span.of(rng.standard_normal((3, 5)))
    assert wide.rank == 3
    assert wide.null.shape == (5, 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_convex_stage_finds_the_sizes(seed):
    rng = np.random.default_rng(seed)
    a, s = rng.standard_normal((40, 6)), np.exp(0.6 * rng.standard_normal(40))
    sigma = LeverageScores(a, np.zeros(40)).scores(s)
    (part,) = parts_of(Span.of(a))
    records = []
    sizes = convex_sizes(part, sigma, max_iter=60, tick=records.append)
    np.testing.assert_allclose(sizes.rho, s / np.linalg.norm(s), rtol=1e-10)
    assert sizes.converged
    assert sizes.n_iter <= 20
    assert len(records) == sizes.n_iter + 1
    assert convex_sizes(part, sigma, max_iter=0, tick=records.append).converged is False


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.0 + 1e-9, 1.1])
def test_a_sum_is_made_the_rank_and_order_is_kept(factor, rng):
    sigma = LeverageScores(rng.standard_normal((30, 5)), np.zeros(30)).scores(np.ones(30))
    moved = attainable_sum(factor * sigma, 5)
    assert moved.sum() == pytest.approx(5.0, rel=1e-12)
    np.testing.assert_array_equal(np.argsort(moved), np.argsort(sigma))
    if factor == 1.0:
        np.testing.assert_allclose(moved, sigma, rtol=1e-12)


def test_all_signs_of_few_rows_are_tried(rng):
    a, s = rng.standard_normal((9, 4)), rng.standard_normal(9)
    b = a @ rng.standard_normal(4) - s
    (part,) = parts_of(Span.of(a))
    rho = np.abs(s) / np.linalg.norm(s)
    found = Retrieval(part, b, rho, False).search(4, rng)
    np.testing.assert_array_equal(found[0].signs, np.sign(s))
    assert found[0].misfit <= 1e-12 < found[1].misfit
    np.testing.assert_allclose(found[0].z, b + s, atol=1e-10)


@pytest.mark.parametrize(
    ("matrix", "shift", "sentence"),
    [
        (np.ones(3), np.ones(3), r"shape \(n, d\), n, d >= 1; got shape \(3,\)"),
        (np.ones((3, 0)), np.ones(3), r"got shape \(3, 0\)"),
        ([["a"]], np.ones(1), "`matrix` must hold numbers"),
        (np.full((2, 2), np.nan), np.ones(2), "column 0 of `matrix` holds NaN"),
        (np.eye(3), np.ones(2), r"the shift b has shape \(2,\)"),
    ],
)
def test_bad_matrices_get_a_sentence(matrix, shift, sentence):
    with pytest.raises(InputError, match=sentence):
        LeverageScores(matrix, shift)


def test_a_design_of_another_length_gets_a_sentence():
    with pytest.raises(InputError, match=r"the design has 3 rows, but `matrix` has shape \(4, 2\)"):
        su.Problem(np.eye(3), LeverageScores(A, S), SIGMA)


def test_a_start_on_a_wall_names_its_row(rng):
    a, shift = rng.standard_normal((20, 3)), rng.standard_normal(20)
    shift[7] = 0.0
    problem = su.Problem(a, LeverageScores(a, shift), np.full(20, 0.15))
    with pytest.raises(InputError, match="A x - b is zero in row 7"):
        su.minimize(problem)
