"""Every design of the table against the dense array it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from softunit.curvature import CentredDiagonal, Diagonal, RowSoftmax
from softunit.designs import DenseDesign, ScaledDesign, SparseDesign, as_design
from tests.contracts.cases import DESIGNS, DesignCase

each_design = pytest.mark.parametrize("case", DESIGNS, ids=lambda case: case.name)
seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(1, 30), st.integers(1, 6))


def draw(case: DesignCase, seed: int, size: tuple[int, int]):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(size) * (rng.random(size) < 0.6)
    return rng, case.build(a), case.dense(a)


def close(case: DesignCase, found: object, expected: object) -> None:
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=case.rtol, atol=10 * case.rtol * scale)


@each_design
@given(seed=seeds, size=sizes, columns=st.sampled_from([None, 1, 3]))
def test_products(case, seed, size, columns):
    rng, design, dense = draw(case, seed, size)
    tail = () if columns is None else (columns,)
    x, g = rng.standard_normal((dense.shape[1], *tail)), rng.standard_normal((len(dense), *tail))
    assert design.shape == dense.shape
    close(case, design.matvec(x), dense @ x)
    close(case, design.rmatvec(g), dense.T @ g)
    assert design.matvec(x).dtype == np.float64
    close(case, design.toarray(), dense)
    close(case, design.abs_rmatvec(np.abs(rng.standard_normal(len(dense)))).shape, dense.shape[1:])


@each_design
@given(seed=seeds, size=sizes)
def test_absolute_products_and_moments(case, seed, size):
    rng, design, dense = draw(case, seed, size)
    g = rng.uniform(0.1, 1, len(dense))
    close(case, design.abs_rmatvec(g), np.abs(dense).T @ g)
    x = rng.uniform(0.1, 1, (dense.shape[1], 2))
    least = np.abs(dense) @ x
    assert (design.abs_matvec(x) >= least - 1e-6).all()
    if not issubclass(case.kind, ScaledDesign):
        close(case, design.abs_matvec(x), least)
    mean, variance = design.column_moments(g)
    close(case, mean, g @ dense / g.sum())
    close(case, variance, g @ (dense - g @ dense / g.sum()) ** 2 / g.sum())


@each_design
@given(seed=seeds, size=sizes)
def test_grams_of_every_curvature(case, seed, size):
    rng, design, dense = draw(case, seed, size)
    n, d = dense.shape
    w, f = rng.standard_normal(n), rng.dirichlet(np.ones(n))
    close(case, design.gram(Diagonal(w)), dense.T @ (w[:, None] * dense))
    centred = dense - f @ dense
    close(case, design.gram(CentredDiagonal(w, f)), centred.T @ (w[:, None] * centred))
    p, s = rng.dirichlet(np.ones(3), size=n), rng.uniform(0, 2, n)
    curvature = RowSoftmax(p, s)
    big = np.stack(
        [
            design.rmatvec(curvature.matvec(design.matvec(e.reshape(d, 3)))).ravel()
            for e in np.eye(3 * d)
        ],
        axis=1,
    )
    close(case, design.gram(curvature), big)


@each_design
@given(seed=seeds, size=sizes, block=st.integers(1, 40))
def test_rows_and_blocks(case, seed, size, block):
    rng, design, dense = draw(case, seed, size)
    pieces = [(rows, part.toarray()) for rows, part in design.blocks(block)]
    assert [rows.start for rows, _ in pieces] == [0, *[rows.stop for rows, _ in pieces][:-1]]
    close(case, np.concatenate([part for _, part in pieces]), dense)
    index = rng.integers(0, len(dense), 4)
    close(case, design.rows(index).toarray(), dense[index])
    close(case, design.rows(slice(0, 1)).toarray(), dense[:1])


@each_design
@given(seed=seeds, size=sizes)
def test_a_change_of_variables_goes_both_ways(case, seed, size):
    rng, design, dense = draw(case, seed, size)
    x, g = rng.standard_normal(dense.shape[1]), rng.standard_normal(dense.shape[1])
    close(case, design.from_input(design.to_input(x)), x)
    # <dF/dx, v> does not depend on the coordinates in which it is written.
    v = rng.standard_normal(dense.shape[1])
    moved = design.to_input(x + v) - design.to_input(x)
    close(case, design.gradient_to_input(g) @ moved, g @ v)


def test_contiguous_floats_are_not_copied():
    for array in (np.ones((6, 3)), np.ones((6, 3), order="F"), np.ones((6, 3), dtype=np.float32)):
        assert np.shares_memory(DenseDesign(array).array, array)
        assert np.shares_memory(DenseDesign(array).rows(slice(1, 4)).array, array)
    csr = sparse.random(20, 5, density=0.5, format="csr", rng=np.random.default_rng(0))
    assert np.shares_memory(SparseDesign(csr).matrix.data, csr.data)
    assert np.shares_memory(SparseDesign(csr).rows(slice(3, 9)).matrix.data, csr.data)


@pytest.mark.parametrize("part", ["whole", "rows", "columns"])
def test_products_with_centred_columns_far_from_zero_lose_nothing(part):
    rng = np.random.default_rng(3)
    a = rng.standard_normal((60, 3)) + np.array([1e8, -3e8, 2.0])
    centre, scale = a.mean(axis=0), np.array([1.0, 2.0, 0.5])
    dense = np.column_stack([(a - centre) / scale, np.ones(60)])  # exact: Sterbenz's lemma
    design = ScaledDesign(DenseDesign(a), intercept=True, centre=centre, scale=scale)
    if part == "rows":
        design, dense = design.rows(slice(5, 40)), dense[5:40]
    elif part == "columns":
        design, dense = design.columns(np.array([1, 3])), dense[:, [1, 3]]
    tol = {"rtol": 1e-11, "atol": 1e-12}
    n, d = dense.shape
    x, g, w = rng.standard_normal(d), rng.standard_normal(n), rng.uniform(0.5, 1, n)
    np.testing.assert_allclose(design.matvec(x), dense @ x, **tol)
    np.testing.assert_allclose(design.rmatvec(g), dense.T @ g, **tol)
    np.testing.assert_allclose(design.toarray(), dense, **tol)
    np.testing.assert_allclose(design.gram(Diagonal(w)), dense.T @ (w[:, None] * dense), **tol)
    f = w / w.sum()
    moved = dense - f @ dense
    gram = design.gram(CentredDiagonal(w, f))
    np.testing.assert_allclose(gram, moved.T @ (w[:, None] * moved), **tol)
    larger = design.abs_matvec(np.abs(x)) - np.abs(dense) @ np.abs(x)
    assert (larger >= -1e-4).all()


def test_variance_survives_a_huge_offset():
    a = 1e8 + np.random.default_rng(0).standard_normal((5000, 1))
    mean, variance = DenseDesign(a).column_moments()
    assert mean[0] == pytest.approx(a.mean(), rel=1e-14)
    assert variance[0] == pytest.approx(a.var(), rel=1e-6)


@pytest.mark.parametrize(
    ("a", "sentence"),
    [
        (np.zeros(3), r"must have shape \(n, d\)"),
        (np.zeros((0, 3)), r"got \(0, 3\)"),
        ([["a", "b"]], "must hold numbers"),
        (
            [[1.0, np.nan], [1.0, 2.0], [np.inf, np.nan]],
            "column 0 of A .* 1 of 3 rows, first in row 2",
        ),
        (sparse.csr_matrix([[1.0, np.inf]]), "column 1 of A"),
    ],
)
def test_bad_arrays_get_a_sentence(a, sentence):
    with pytest.raises(ValueError, match=sentence):
        as_design(a)


def test_bad_scales_get_a_sentence():
    inner = DenseDesign(np.ones((4, 2)))
    with pytest.raises(ValueError, match="`scale` must be > 0"):
        ScaledDesign(inner, scale=[1.0, 0.0])
    with pytest.raises(ValueError, match=r"`centre` has shape \(3,\)"):
        ScaledDesign(inner, centre=np.zeros(3))
    with pytest.raises(ValueError, match="needs a SciPy sparse matrix"):
        SparseDesign(np.ones((2, 2)))


def test_sparse_input_of_any_kind_is_taken_for_what_it_says():
    row, column = np.array([0, 0, 1, 3]), np.array([1, 1, 0, 2])
    matrix = sparse.csr_matrix((np.array([1.0, 2.0, 4.0, 0.0]), (row, column)), shape=(4, 3))
    twice = sparse.csr_matrix(
        (np.array([1.0, 2.0, 4.0, 0.0]), np.array([1, 1, 0, 2]), np.array([0, 2, 3, 3, 4])),
        shape=(4, 3),
    )
    design = SparseDesign(twice)
    assert twice.nnz == 4  # the caller's own matrix keeps its duplicates
    np.testing.assert_array_equal(design.toarray(), matrix.toarray())
    np.testing.assert_allclose(design.column_moments()[1], matrix.toarray().var(axis=0))
    np.testing.assert_array_equal(design.rows(slice(0, 4, 2)).toarray(), matrix.toarray()[::2])
    whole = SparseDesign(sparse.csr_matrix(np.array([[1, 0], [2, 3]])))
    assert whole.dtype == np.float64
    assert whole.nbytes > 0
    with pytest.raises(ValueError, match=r"got \(0, 2\)"):
        SparseDesign(sparse.csr_matrix((0, 2)))
    assert DenseDesign(np.arange(6).reshape(3, 2)).dtype == np.float64


@each_design
@given(seed=seeds, size=sizes)
def test_grams_around_any_centre(case, seed, size):
    rng, design, dense = draw(case, seed, size)
    p, f = rng.standard_normal(len(dense)), rng.uniform(0, 1, len(dense))
    centre = f @ dense / len(dense)  # no mean: an intercept is not taken out whole
    moved = dense - centre
    for weights in (p, np.abs(p)):
        close(case, design.weighted_gram(weights, centre), moved.T @ (weights[:, None] * moved))
        close(case, design.weighted_gram(weights), dense.T @ (weights[:, None] * dense))
    outer = ScaledDesign(design, centre=centre)
    close(case, outer.gram(Diagonal(p)), moved.T @ (p[:, None] * moved))


@pytest.mark.parametrize("wide", [1, 400], ids=["in-turn", "on-threads"])
def test_grams_of_many_blocks_add_up(wide, rng, monkeypatch):
    monkeypatch.setattr("softunit.designs.base.WIDE", wide)
    monkeypatch.setattr("softunit.designs.base.BLOCK_ENTRIES", 1)
    a, p = rng.standard_normal((300, 3)), rng.uniform(size=300)
    design = DenseDesign(a)
    assert len(list(design.blocks())) == 5
    np.testing.assert_allclose(design.weighted_gram(p), a.T @ (p[:, None] * a), rtol=1e-12)
    moved = a - 1e4
    found = design.weighted_gram(p, np.full(3, 1e4))
    np.testing.assert_allclose(found, moved.T @ (p[:, None] * moved), rtol=1e-9)
