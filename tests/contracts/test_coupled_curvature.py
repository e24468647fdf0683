"""Curvatures that couple rows, against dense matrices, in every design of the table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softunit import coupled_curvature
from softunit._groups import Groups
from softunit.coupled_curvature import GroupedDiagonal, MatrixFree, Updated
from softunit.curvature import CentredDiagonal, Curvature, Diagonal
from softunit.designs import DenseDesign
from softunit.designs.base import GRAM_ENTRIES
from tests.contracts.cases import DESIGNS

each_design = pytest.mark.parametrize("case", DESIGNS, ids=lambda case: case.name)
seeds = st.integers(0, 2**32 - 1)


def simplex(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.dirichlet(np.ones(n))


def centred(p: np.ndarray, f: np.ndarray) -> np.ndarray:
    c = np.eye(len(p)) - np.outer(np.ones(len(p)), f)
    return c.T @ (p[:, None] * c)


def updated(rng: np.random.Generator, n: int) -> tuple[Curvature, np.ndarray]:
    p, f, u = rng.standard_normal(n), simplex(rng, n), rng.standard_normal((n, 3))
    s = rng.standard_normal((3, 3))
    s = s + s.T
    return Updated(CentredDiagonal(p, f), u, s), centred(p, f) + u @ s @ u.T


def updated_diagonal(rng: np.random.Generator, n: int) -> tuple[Curvature, np.ndarray]:
    p, u = rng.uniform(0, 1, n), rng.standard_normal((n, 1))
    return Updated(Diagonal(p), u, np.array([[-0.5]])), np.diag(p) - 0.5 * u @ u.T


def grouped(rng: np.random.Generator, n: int) -> tuple[Curvature, np.ndarray]:
    labels = rng.integers(0, max(1, n // 4) + 1, n)
    p, f, dense = rng.standard_normal(n), np.zeros(n), np.zeros((n, n))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        f[rows] = simplex(rng, len(rows))
        dense[np.ix_(rows, rows)] = centred(p[rows], f[rows])
    return GroupedDiagonal(p, f, Groups(labels)), dense


def grouped_in_order(rng: np.random.Generator, n: int) -> tuple[Curvature, np.ndarray]:
    labels = np.sort(rng.integers(0, 3, n))
    p, f, dense = rng.uniform(0, 1, n), np.zeros(n), np.zeros((n, n))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        f[rows] = simplex(rng, len(rows))
        dense[np.ix_(rows, rows)] = centred(p[rows], f[rows])
    return GroupedDiagonal(p, f, Groups(labels)), dense


def matrix_free(rng: np.random.Generator, n: int) -> tuple[Curvature, np.ndarray]:
    dense = rng.standard_normal((n, n))
    dense = dense + dense.T
    return MatrixFree(lambda v: dense @ v, n), dense


KINDS = [updated, updated_diagonal, grouped, grouped_in_order, matrix_free]
each_kind = pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)


@each_kind
@given(seed=seeds, n=st.integers(1, 25))
def test_products_are_those_of_the_dense_matrix(make, seed, n):
    rng = np.random.default_rng(seed)
    curvature, dense = make(rng, n)
    for v in (rng.standard_normal(n), rng.standard_normal((n, 1)), rng.standard_normal((n, 4))):
        found = curvature.matvec(v)
        assert found.shape == v.shape
        np.testing.assert_allclose(found, dense @ v, atol=1e-12 * (1 + np.abs(dense).max() * n))


@each_kind
@given(seed=seeds, n=st.integers(1, 25))
def test_diagonals_are_those_of_the_dense_matrix(make, seed, n):
    curvature, dense = make(np.random.default_rng(seed), n)
    atol = 1e-12 * (1 + np.abs(dense).max())
    np.testing.assert_allclose(curvature.diagonal(), np.diag(dense)[:, None], atol=atol)
    np.testing.assert_allclose(curvature.diagonal_sum(), [np.trace(dense)], atol=n * atol)


@each_kind
@given(seed=seeds, n=st.integers(1, 25))
def test_row_forms_say_the_same(make, seed, n):
    curvature, dense = make(np.random.default_rng(seed), n)
    form = curvature.row_form()
    if form is None:
        assert isinstance(curvature, GroupedDiagonal | MatrixFree)
        return
    centre = np.zeros(n) if form.centre is None else form.centre
    total = centred(form.weights, centre) + form.factors @ form.core @ form.factors.T
    np.testing.assert_allclose(total, dense, atol=1e-12 * (1 + np.abs(dense).max()))


@each_kind
@each_design
@given(seed=seeds, size=st.tuples(st.integers(1, 25), st.integers(1, 5)))
def test_grams_are_those_of_the_dense_matrix(make, case, seed, size):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(size) * (rng.random(size) < 0.6)
    design, whole = case.build(a), case.dense(a)
    curvature, dense = make(rng, size[0])
    expected = whole.T @ dense @ whole
    scale = max(1.0, float((np.abs(whole).T @ np.abs(dense) @ np.abs(whole)).max()))
    found = design.gram(curvature)
    np.testing.assert_allclose(found, expected, atol=10 * case.rtol * scale)
    np.testing.assert_allclose(found, found.T, atol=10 * case.rtol * scale)


@pytest.mark.parametrize("entries", [1, 8, 30, 1000])
@pytest.mark.parametrize("in_order", [True, False])
def test_groups_larger_than_a_piece_are_taken_whole(entries, in_order, rng, monkeypatch):
    monkeypatch.setattr(coupled_curvature, "PIECE", entries)
    labels = np.repeat([0, 1, 2, 3], [2, 11, 1, 6])
    labels = labels if in_order else rng.permutation(labels)
    a, groups = rng.standard_normal((20, 2)), Groups(labels)
    f = rng.uniform(0.1, 1, 20)
    f /= groups.spread(groups.sums(f))
    curvature = GroupedDiagonal(rng.standard_normal(20), f, groups)
    dense = curvature.matvec(np.eye(20))
    np.testing.assert_allclose(DenseDesign(a).gram(curvature), a.T @ dense @ a, atol=1e-12)


@pytest.mark.parametrize("case", DESIGNS[:1] + DESIGNS[4:5] + DESIGNS[8:9], ids=lambda c: c.name)
def test_a_centred_gram_of_more_than_one_block(case, rng):
    d = 4
    n = GRAM_ENTRIES // d + 1000
    a, p = rng.standard_normal((n, d)), rng.standard_normal(n)
    f = rng.uniform(0, 1, n)
    f /= f.sum()
    whole = case.dense(a)
    moved = whole - f @ whole
    expected = moved.T @ (p[:, None] * moved)
    scale = (moved**2).sum()
    found = case.build(a).gram(CentredDiagonal(p, f))
    np.testing.assert_allclose(found, expected, atol=1e-13 * scale)
