"""Rows that come chunk by chunk give what the same rows give in memory, and are read no oftener."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest

import softunit as su
from softunit._checks import check_offset, check_weights
from softunit._row_array import RowArray, as_array, count_nonzero
from softunit._threads import add_up
from softunit.curvature import CentredDiagonal, Diagonal, RowSoftmax
from softunit.designs import DenseDesign, Design, ScaledDesign
from softunit.designs.chunkwise import ChunkwiseDesign
from softunit.errors import InputError, NeedsError
from softunit.free_rows import minimised_over
from softunit.penalties import Ridge, ScoreRidge
from softunit.solvers import Newton, SketchedNewton
from softunit.solvers.row_sample import RowSample
from softunit.solvers.sketch_plan import most_rows, planned
from softunit.units import Multinomial, SinhSquares, SoftmaxSquares
from tests.contracts.cases import labels

LENGTHS = (3, 1, 150, 46)  # of chunks: one row, and more than a block
N, D = sum(LENGTHS), 4
ENDS = np.cumsum(LENGTHS)[:-1]
CENTRE, SCALE = np.array([1.0, -2.0, 0.5, 0.0]), np.array([2.0, 1.0, 0.5, 3.0])


class Piled(ChunkwiseDesign):
    """Piles of rows in memory that count how often all of them are asked for."""

    home = "disk"
    sample_limit = 77
    block_entries = 2  # so blocks have as few rows as they may
    nbytes = 12345

    def __init__(self, a: np.ndarray, hand: int = 0, ends: Any = ENDS) -> None:
        self.whole, self.shape, self.dtype = a, a.shape, a.dtype
        self.piles = np.split(a, ends)
        self.reads = self.yielded = self.taken_rows = 0
        self.hand = np.random.default_rng(5).permutation(len(a))[:hand]

    def chunks(self) -> Iterator[tuple[slice, Design]]:
        self.reads += 1
        start = 0
        for pile in self.piles:
            self.yielded += 1
            yield slice(start, start + len(pile)), DenseDesign(pile)
            start += len(pile)

    def taken(self, index: Any, dtype: Any) -> Design:
        self.taken_rows += len(index)
        return DenseDesign(self.whole[index].astype(dtype))

    def at_hand(self, size: int) -> tuple[np.ndarray, Design] | None:
        if size > len(self.hand):
            return None
        return self.hand[:size], DenseDesign(self.whole[self.hand[:size]])


class Parted(RowArray):
    """An array in parts, none of which is ever seen whole but by those who ask for it."""

    def __init__(self, array: np.ndarray, ends: Any = ENDS) -> None:
        self.parts = np.split(array, ends)
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.concatenate(self.parts)[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate(self.parts).astype(dtype)

    def fold(self, function: Any, *folds: Any, others: Any = ()) -> tuple[Any, ...]:
        assert not others
        found = [function(part) for part in self.parts]
        totals = found[0]
        for more in found[1:]:
            totals = tuple(f(a, b) for f, a, b in zip(folds, totals, more, strict=True))
        return totals

    def map(self, function: Any, *others: Any) -> Parted:
        raise AssertionError("no test needs it")


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    """Blocks of 64 rows, in chunks and out of them."""
    for module in ("base", "dense"):
        monkeypatch.setattr(f"softunit.designs.{module}.BLOCK_ENTRIES", 1)


@pytest.fixture
def a(rng):
    return rng.standard_normal((N, D)) + np.array([3.0, 0.0, -1.0, 0.2])


def close(found: Any, expected: Any, tol: float = 1e-12) -> None:
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=tol, atol=tol * scale)


def scaled(inner: Design, intercept: bool = True) -> ScaledDesign:
    return ScaledDesign(inner, intercept=intercept, centre=CENTRE, scale=SCALE)


def wrapped(a: np.ndarray, kind: str) -> tuple[Piled, Design, np.ndarray]:
    """Return piles of rows, a design around them, and the dense array that it stands for."""
    piled = Piled(a)
    if kind == "plain":
        return piled, piled, a
    dense = (a - CENTRE) / SCALE
    if kind == "scaled":
        return piled, scaled(piled, intercept=False), dense
    return piled, scaled(piled), np.column_stack([dense, np.ones(len(a))])


each_kind = pytest.mark.parametrize("kind", ["plain", "scaled", "intercept"])
each_width = pytest.mark.parametrize("columns", [None, 1, 3])


# Products ----------------------------------------------------------------------------------------


@each_width
@each_kind
def test_products_take_each_chunk_at_its_own_rows(a, rng, kind, columns):
    piled, design, dense = wrapped(a, kind)
    tail = () if columns is None else (columns,)
    x, g = rng.standard_normal((dense.shape[1], *tail)), rng.standard_normal((N, *tail))
    found = [design.matvec(x), design.rmatvec(g)]
    assert piled.reads == 2
    close(found[0], dense @ x)
    close(found[1], dense.T @ g)
    size = np.abs(dense) @ np.abs(x)
    larger = design.abs_matvec(np.abs(x))
    assert larger.shape == size.shape
    assert (larger >= size * (1 - 1e-12)).all()
    if kind == "plain":
        close(larger, size)
    close(design.abs_rmatvec(np.abs(rng.standard_normal(N)) * 0 + 2.0), 2 * np.abs(dense).sum(0))
    weights = rng.uniform(0, 1, N)
    close(design.abs_rmatvec(weights), weights @ np.abs(dense))


@pytest.mark.parametrize("signed", [False, True], ids=["positive", "signed"])
@each_kind
def test_grams_take_one_read(a, rng, kind, signed):
    piled, design, dense = wrapped(a, kind)
    weights = rng.standard_normal(N) if signed else rng.uniform(0, 1, N)
    gram = design.gram(Diagonal(weights))
    assert piled.reads == 1
    close(gram, dense.T @ (weights[:, None] * dense))


@pytest.mark.parametrize("signed", [False, True], ids=["positive", "signed"])
@each_kind
def test_grams_around_a_centre(a, rng, kind, signed):
    _, design, dense = wrapped(a, kind)
    weights = rng.standard_normal(N) if signed else rng.uniform(0, 1, N)
    centre = rng.uniform(0, 1, N) @ dense / N
    moved = dense - centre
    close(design.weighted_gram(weights), dense.T @ (weights[:, None] * dense))
    close(design.weighted_gram(weights, centre), moved.T @ (weights[:, None] * moved))
    shares = rng.dirichlet(np.ones(N))
    moved = dense - shares @ dense
    gram = design.gram(CentredDiagonal(weights, shares))
    close(gram, moved.T @ (weights[:, None] * moved))


@each_kind
def test_grams_of_curvatures_in_blocks(a, rng, kind):
    _, design, dense = wrapped(a, kind)
    p, s = rng.dirichlet(np.ones(3), size=N), rng.uniform(0, 2, N)
    own = [s[i] * (np.diag(p[i]) - np.outer(p[i], p[i])) for i in range(N)]
    expected = sum(
        np.kron(np.outer(row, row), curved) for row, curved in zip(dense, own, strict=True)
    )
    close(design.gram(RowSoftmax(p, s)), expected)


@pytest.mark.parametrize("far", ["disk", "cluster", "device", "memory"])
def test_a_centred_gram_counts_on_its_centre_wherever_it_is(a, rng, far, monkeypatch):
    monkeypatch.setattr(Piled, "home", far)
    _, design, dense = wrapped(a, "intercept")
    weights, shares = rng.uniform(0, 1, N), rng.dirichlet(np.ones(N))
    moved = dense - shares @ dense
    close(
        design.gram(CentredDiagonal(weights, shares)),
        moved.T @ (weights[:, None] * moved),
    )
    close(design.gram(Diagonal(weights)), dense.T @ (weights[:, None] * dense))


# Rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_come_in_the_order_of_the_index(a, dtype):
    piled = Piled(a.astype(dtype))
    index = np.array([7, 199, 0, 7, 160, 3])
    np.testing.assert_array_equal(piled.rows(index).toarray(), piled.whole[index])
    assert piled.rows(index).dtype == dtype
    assert piled.gathered(index).dtype == np.float32
    np.testing.assert_array_equal(piled.gathered(index).toarray(), a[index].astype(np.float32))
    for part in (slice(2, 9), slice(None, None, 3), slice(-5, None), slice(8, 1, -2)):
        np.testing.assert_array_equal(piled.rows(part).toarray(), piled.whole[part])


def test_a_dense_copy_has_its_limit(a, monkeypatch):
    np.testing.assert_array_equal(Piled(a).toarray(), a)
    monkeypatch.setattr("softunit.designs.chunkwise.ARRAY_BYTES", a.nbytes)
    np.testing.assert_array_equal(Piled(a.astype(np.float32)).toarray(), a.astype(np.float32))
    monkeypatch.setattr("softunit.designs.chunkwise.ARRAY_BYTES", a.nbytes - 1)
    with pytest.raises(InputError, match=r"copy of this design of shape \(200, 4\) would take"):
        Piled(a.astype(np.float32)).toarray()


@each_kind
def test_blocks_lie_within_chunks_and_cover_all_rows(a, kind):
    _, design, dense = wrapped(a, kind)
    pieces = list(design.blocks())
    assert [rows.start for rows, _ in pieces] == [0, 3, 4, 68, 132, 154]
    assert [rows.stop for rows, _ in pieces] == [3, 4, 68, 132, 154, 200]
    for rows, block in pieces:
        close(block.toarray(), dense[rows])
    assert [rows.stop for rows, _ in design.blocks(100)] == [3, 4, 104, 154, 200]
    for size, expected in ((None, [3, 1, 64, 64, 22, 46]), (100, [3, 1, 100, 50, 46])):
        seen: list[tuple[slice, Design]] = []
        (rows,) = design.over_blocks(lambda block, to=seen: (to.append(block) or 1.0,), size)
        assert rows == len(seen)
        seen.sort(key=lambda block: block[0].start)  # threads take them in any order
        assert [at.stop - at.start for at, _ in seen] == expected
        for at, block in seen:
            close(block.toarray(), dense[at])


# Moments -----------------------------------------------------------------------------------------


def moments(a: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    share = np.full(len(a), 1 / len(a)) if weights is None else weights / weights.sum()
    mean = share @ a
    return mean, share @ (a - mean) ** 2


@each_kind
def test_moments_take_one_read_for_each_weighting(a, rng, kind):
    piled, design, dense = wrapped(a, kind)
    weights, others = rng.uniform(0, 1, N), rng.uniform(0, 1, N) * (np.arange(N) > 90)
    for reads, own in enumerate((None, weights, others), start=1):
        for _ in range(2):
            for found, expected in zip(
                design.column_moments(own), moments(dense, own), strict=True
            ):
                close(found, expected)
                found += 1.0  # what is kept is not the caller's
        assert piled.reads == reads
    close(design.column_moments(weights)[0], moments(dense, weights)[0])
    assert piled.reads == 3  # those before the last are kept too, and no more
    close(design.column_moments()[1], moments(dense, None)[1])
    assert piled.reads == 4


@pytest.mark.parametrize("far", [1e8, 1e5])
@pytest.mark.parametrize("parted", [False, True], ids=["array", "parts"])
def test_a_beginning_without_weight_is_no_measure_of_the_rest(rng, monkeypatch, parted, far):
    monkeypatch.setattr("softunit.designs.chunkwise.PILOT_ROWS", 40)
    a = rng.standard_normal((N, D)) + np.array([far, 0.0, -far / 10, 3.0])
    a[:40] = rng.standard_normal((40, D))
    weights = rng.uniform(0.5, 1, N)
    weights[:40] = 0.0
    piled = Piled(a)
    mean, variance = piled.column_moments(Parted(weights) if parted else weights)
    expected = moments(a[40:], weights[40:])
    np.testing.assert_allclose(mean, expected[0], rtol=1e-14, atol=1e-13)
    np.testing.assert_allclose(variance, expected[1], rtol=max(1e-10, 1e-15 * far))
    assert piled.reads == 2


def test_columns_far_from_zero_or_without_variance_take_one_read(rng):
    a = rng.standard_normal((N, D)) + np.array([1e9, 0.0, -1e6, 1.0])
    a[:, 1], a[:, 3] = 123456.789, 0.0
    piled = Piled(a)
    mean, variance = piled.column_moments(rng.uniform(0.5, 1, N))
    assert piled.reads == 1
    np.testing.assert_allclose(mean[[1, 3]], [123456.789, 0.0], rtol=1e-14)
    assert (variance[[1, 3]] <= 1e-18).all()
    assert (variance >= 0).all()
    np.testing.assert_allclose(piled.column_moments()[1][0], a[:, 0].var(), rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_no_variance_is_negative(rng, weighted):
    a = np.tile(rng.uniform(0.1, 1.0, 300), (N, 1))
    _, variance = Piled(a).column_moments(rng.uniform(0.5, 1, N) if weighted else None)
    assert (variance >= 0).all()
    assert (variance <= 1e-28).all()


@each_width
@pytest.mark.parametrize("weighted", [False, True], ids=["alone", "after-weights"])
def test_largest_terms_are_bounded_without_another_read(a, rng, columns, weighted):
    a[5, 0], a[180, 2] = 40.0, -90.0  # in rows that have no weight
    weights = rng.uniform(0, 1, N)
    weights[[5, 180]] = 0.0
    tail = () if columns is None else (columns,)
    for kind in ("plain", "scaled", "intercept"):
        piled, design, dense = wrapped(a, kind)
        x = rng.standard_normal((dense.shape[1], *tail))
        if weighted:
            design.column_moments(weights)
        found = design.largest_terms(x)
        assert piled.reads == 1
        least = (np.abs(dense) @ np.abs(x)).max()
        bound = np.abs(a).max(axis=0) @ np.abs(x) if kind == "plain" else None
        assert found >= least * (1 - 1e-14)
        if bound is not None:
            assert found == pytest.approx(bound.max(), rel=1e-14)
        else:
            w = np.abs((x[:D].T / SCALE).T)
            parts = [np.abs(a).max(axis=0) @ w, np.abs(CENTRE) @ w, np.abs(x[D:]).sum(axis=0)]
            assert found == pytest.approx(sum(np.max(part) for part in parts), rel=1e-13)


@each_width
def test_largest_terms_in_memory_are_those_of_all_blocks(a, rng, columns):
    tail = () if columns is None else (columns,)
    for place in (5, 100, 199):
        a[place] *= 30.0
        for design in (DenseDesign(a), scaled(DenseDesign(a))):
            x = rng.standard_normal((design.shape[1], *tail))
            found = design.largest_terms(x)
            size = np.abs(design.toarray()) @ np.abs(x)
            assert found >= size.max() * (1 - 1e-14)
            assert found == pytest.approx(design.abs_matvec(np.abs(x)).max(), rel=1e-13)


# Reductions --------------------------------------------------------------------------------------


def extremes(chunk: Design, arrays: tuple[Any, ...], *, power: int) -> tuple[Any, ...]:
    """Return sums, largest, smallest, and what there is no array of."""
    codes, nothing = arrays
    assert nothing is None
    assert len(codes) == chunk.shape[0]
    dense = chunk.toarray()
    return codes @ dense**power, dense.max(axis=0), dense.min(axis=0), float(len(codes))


@each_kind
def test_terms_are_folded_as_is_said(a, rng, kind):
    _, design, dense = wrapped(a, kind)
    codes = rng.standard_normal(N)
    folds = (np.add, np.maximum, np.minimum, np.add)
    for given in (codes, Parted(codes)):
        found = design.reduce(partial(extremes, power=2), (given, None), folds)
        expected = codes @ dense**2, dense.max(axis=0), dense.min(axis=0), N
        for one, other in zip(found, expected, strict=True):
            close(one, other)
    sums = design.reduce(partial(extremes, power=1), (codes, None))
    close(sums[0], codes @ dense)
    starts = [0, *ENDS]
    close(sums[1], np.maximum.reduceat(dense, starts).sum(axis=0))


def test_a_wrapper_says_of_its_rows_what_the_wrapped_design_says(a):
    piled = Piled(a, hand=50)
    design = scaled(piled)
    assert (design.home, design.sample_limit, design.block_entries) == ("disk", 77, 2)
    assert (design.nbytes, design.row_entries, design.narrowable) == (12345, D, False)
    assert design.at_hand(51) is None
    index, some = design.at_hand(20)
    np.testing.assert_array_equal(index, piled.hand[:20])
    dense = np.column_stack([(a - CENTRE) / SCALE, np.ones(N)])
    close(some.toarray(), dense[index])
    for rows, chunk in design.chunks():
        close(chunk.toarray(), dense[rows])
    assert design.beside(a) is a
    piled.beside = piled.placed = lambda array, *name: ("there", array)
    assert design.beside(1) == design.placed(1) == ("there", 1)
    memory = scaled(DenseDesign(a))
    assert [chunk for _, chunk in memory.chunks()] == [memory]
    assert memory.at_hand(5) is None
    elsewhere = strict.asarray(a)
    assert memory.beside(a) is a
    np.testing.assert_array_equal(memory.beside(elsewhere), a)
    assert isinstance(memory.beside(elsewhere), np.ndarray)
    assert (memory.home, memory.sample_limit) == ("memory", None)


@pytest.mark.parametrize("far", [0.0, 1e7], ids=["near", "far"])
def test_gathered_rows_are_centred_and_scaled_before_they_are_narrowed(a, far):
    moved = a + far
    design = ScaledDesign(Piled(moved), intercept=True, centre=CENTRE + far, scale=SCALE)
    index = np.array([190, 3, 77, 3])
    few = design.gathered(index)
    assert few.dtype == np.float32
    dense = np.column_stack([(moved - CENTRE - far) / SCALE, np.ones(N)])
    np.testing.assert_allclose(few.toarray(), dense[index], rtol=2e-6, atol=2e-6)
    close(design.rows(index).toarray(), dense[index], 1e-8)


# Objectives --------------------------------------------------------------------------------------

CASES = [
    ("bare", {}),
    ("weighted", {"weights"}),
    ("offset", {"offset"}),
    ("all", {"weights", "offset", "score_ridge"}),
    ("parts", {"weights", "offset", "score_ridge", "parted"}),
]


def twins(
    a: np.ndarray, k: int, settings: Any, kind: str = "intercept", hand: int = 0
) -> tuple[su.Problem, su.Problem, Piled]:
    """Return one problem with its rows in memory, and chunk by chunk."""
    rng = np.random.default_rng(11)
    target = labels(k)(rng, N)
    shape = (N,) if k == 2 else (N, k)
    weights, offset = rng.uniform(0.2, 2, N), rng.standard_normal(shape)
    weights[[0, 1, 2, 100]] = 0.0  # the first chunk, and one more
    weights[[20, 170]] *= 30.0  # which every sample has, and not for others
    q = rng.uniform(0.01, 0.2, N)
    piled = Piled(a, hand=hand)
    made = []
    for design in (DenseDesign(a), piled):
        part = Parted if "parted" in settings and design is piled else np.asarray
        outer = scaled(design) if kind == "intercept" else design
        made.append(
            su.Problem(
                outer,
                Multinomial(),
                target,
                [Ridge(0.1), ScoreRidge(q)] if "score_ridge" in settings else Ridge(0.1),
                weights=part(weights) if "weights" in settings else None,
                offset=part(offset) if "offset" in settings else None,
            )
        )
    return made[0], made[1], piled


each_case = pytest.mark.parametrize("settings", [s for _, s in CASES], ids=[n for n, _ in CASES])
each_number = pytest.mark.parametrize("k", [2, 3], ids=["one-column", "three-columns"])


@each_number
@each_case
@pytest.mark.parametrize("kind", ["plain", "intercept"])
def test_values_and_derivatives_are_those_in_memory(a, rng, settings, k, kind):
    here, away, piled = twins(a, k, settings, kind)
    x = 0.5 * rng.standard_normal(here.shape)
    assert here.mass == pytest.approx(away.mass, rel=1e-14)
    assert away.value(x) == pytest.approx(here.value(x), rel=1e-13)
    ours, theirs = here.evaluate(x), away.evaluate(x)
    assert piled.reads == 2
    assert theirs.scores is None
    assert theirs.value == pytest.approx(ours.value, rel=1e-13)
    close(theirs.gradient, ours.gradient)
    z = np.asarray(ours.scores)
    close(z, here.design.toarray() @ x + (0.0 if here.offset is None else here.offset))
    close(away.scores(x), z)
    # Scores that are known are cut to the rows of a chunk and a block.
    known = away.evaluate(x, z)
    assert known.value == pytest.approx(ours.value, rel=1e-13)
    close(known.gradient, ours.gradient)
    found = np.empty_like(z)
    for rows, block, part in away.by_rows.scores(x):
        assert block.shape[0] == len(part)
        found[rows] = part
    close(found, z)


@each_number
@each_case
def test_scores_that_are_known_are_not_made_again(a, rng, settings, k):
    here, away, _ = twins(a, k, settings)
    x, other, v = (rng.standard_normal(here.shape) for _ in range(3))
    elsewhere = here.evaluate(other)  # scores that tell themselves from those at x
    for problem in (here, away):
        point = problem.evaluate(x, elsewhere.scores)
        value = elsewhere.value + 0.05 * ((x**2).sum() - (other**2).sum())
        assert point.value == pytest.approx(value, rel=1e-12)
        close(point.gradient, elsewhere.gradient + 0.1 * (x - other))
        expected = here.hessian(elsewhere)
        close(problem.hessian(point), expected)
        product, diagonal = problem.hessian_product(point)
        close(product(v).ravel(), expected @ v.ravel())
        close(diagonal, here.hessian_product(elsewhere)[1])
        ours = problem.by_rows.scores(x, elsewhere.scores)
        close(np.concatenate([z for _, _, z in ours]), elsewhere.scores)


@each_number
@each_case
def test_values_are_what_the_formula_says(a, rng, settings, k):
    here, away, _ = twins(a, k, settings)
    x = 0.5 * rng.standard_normal(here.shape)
    z = here.design.toarray() @ x + (0.0 if here.offset is None else here.offset)
    weights = np.ones(N) if here.weights is None else here.weights
    loss = here.unit.value(z, here.target, weights / weights.sum())
    ridge = 0.05 * (x**2).sum() + 0.5 * here.score_ridge @ (z**2 if k == 2 else (z**2).sum(axis=1))
    for problem in (here, away):
        assert problem.value(x) == pytest.approx(loss + ridge, rel=1e-12)
        assert problem.evaluate(x).value == pytest.approx(loss + ridge, rel=1e-12)


@pytest.mark.parametrize("kind", ["exact", "gauss_newton"])
def test_both_kinds_of_curvature_are_had_anywhere(a, rng, kind):
    b = rng.standard_normal(N)
    here, away = (su.Problem(scaled(d), SinhSquares(), b) for d in (DenseDesign(a), Piled(a)))
    x, v = (0.2 * rng.standard_normal(D + 1) for _ in range(2))
    own = here.hessian(here.evaluate(x), kind=kind)
    other = here.hessian(here.evaluate(x), kind="exact" if kind != "exact" else "gauss_newton")
    assert np.abs(own - other).max() > 1e-3 * np.abs(own).max()
    for problem in (here, away):
        point = problem.evaluate(x, store=False)
        close(problem.hessian(point, kind=kind), own)
        close(problem.hessian_product(point, kind=kind)[0](v), own @ v)


def test_blocks_come_one_by_one_and_nothing_is_kept(a):
    _, away, piled = twins(a, 3, {})
    x = np.ones(away.shape)
    blocks = away.by_rows.scores(x)
    next(blocks)
    assert (piled.reads, piled.yielded) == (1, 1)
    blocks.close()
    setting = {"kind": "exact", "keep": True, "narrow": False}
    product, _ = away.by_rows.hessian_product(x, None, **setting)
    assert piled.reads == 2
    close(product(x), away.by_rows.hessian_product(x, None, **(setting | {"keep": False}))[0](x))
    assert piled.reads == 5  # each product reads its rows


def differences(problem: su.Problem, x: np.ndarray) -> np.ndarray:
    """Return the Hessian at x by differences of gradients."""
    columns = []
    for j in range(x.size):
        e = np.zeros(x.size)
        e[j] = 1e-5
        up, down = (problem.gradient(x + sign * e.reshape(x.shape)) for sign in (1, -1))
        columns.append((up - down).ravel() / 2e-5)
    return np.stack(columns, axis=1)


@each_number
@each_case
@pytest.mark.parametrize("kind", ["plain", "intercept"])
def test_hessians_are_those_in_memory(a, rng, settings, k, kind):
    here, away, piled = twins(a, k, settings, kind)
    x, v = (rng.standard_normal(here.shape) for _ in range(2))
    ours, theirs = here.evaluate(x), away.evaluate(x)
    own = here.hessian(ours)
    np.testing.assert_allclose(own, differences(here, x), atol=1e-8)
    piled.reads = 0
    close(away.hessian(theirs), own)
    assert piled.reads == 1
    some = np.array([3, 0])
    close(
        away.hessian(theirs, coordinates=some),
        here.hessian(ours, coordinates=some),
    )
    piled.reads = 0
    product, diagonal = away.hessian_product(theirs)
    expected, summed = here.hessian_product(ours)
    assert piled.reads == 1
    close(product(v), (own @ v.ravel()).reshape(v.shape))
    assert piled.reads == 2
    close(expected(v), product(v))
    close(diagonal, summed)
    nothing_kept, again = here.hessian_product(here.evaluate(x, store=False))
    close(nothing_kept(v), product(v))
    close(again, diagonal)


@each_number
def test_scores_of_a_sample_of_chunks_are_those_of_its_rows(a, rng, k):
    here, away, _ = twins(a, k, {"weights", "offset", "score_ridge"})
    index = np.array([150, 4, 199, 0, 60])
    x = rng.standard_normal(here.shape)
    weights = rng.uniform(1, 2, len(index))
    ours, theirs = (p.sampled(index, weights=weights) for p in (here, away))
    assert theirs.design.home == "memory"
    assert theirs.value(x) == pytest.approx(ours.value(x), rel=1e-6)
    close(theirs.gradient(x), ours.gradient(x), 1e-5)


@pytest.mark.parametrize("case", [set(), {"weights"}], ids=["equal", "weighted"])
def test_a_sample_drawn_without_weights_stands_for_all_scores(a, case):
    here, _, _ = twins(a, 2, {"score_ridge", *case}, kind="plain")
    x = np.zeros(here.shape)
    whole = here.hessian(here.evaluate(x))
    total = np.zeros_like(whole)
    orders = np.random.default_rng(2).permutation(N)
    for index in np.split(orders, 4):
        # Each row stands for four, which its weight says.
        weights = None if here.weights is None else 4 * here.weights[index]
        part = here.sampled(index, weights=weights)
        total += part.hessian(part.evaluate(x)) / 4
    # The four samples are all rows, each for a quarter of them.
    np.testing.assert_allclose(total, whole, rtol=0.05, atol=0.02 * np.abs(whole).max())


def test_scores_are_stored_in_memory_only(a):
    here, away, _ = twins(a, 2, {})
    assert here.stores_scores
    assert not away.stores_scores


@pytest.mark.parametrize(
    ("far", "unit"), [("disk", SoftmaxSquares()), ("cluster", SoftmaxSquares())], ids=["disk", "cl"]
)
def test_units_that_couple_rows_need_them_in_memory(a, far, unit, monkeypatch):
    monkeypatch.setattr(Piled, "home", far)
    with pytest.raises(NeedsError, match=f"SoftmaxSquares couples all rows.*live on a {far}"):
        su.Problem(Piled(a), unit, np.full(N, 1 / N))


# Arrays beside the rows --------------------------------------------------------------------------


def test_facts_of_parts_are_those_of_the_whole():
    array = np.concatenate([np.arange(5.0), [-3.0], np.zeros(144), [9.0], np.full(49, 0.5)])
    parts = Parted(array)
    assert (len(parts), parts.ndim) == (N, 1)
    assert (parts.sum(), parts.max(), parts.min()) == (array.sum(), 9.0, -3.0)
    assert (parts.max(initial=20.0), parts.min(initial=-20.0)) == (20.0, -20.0)
    assert (parts.max(initial=2.0), parts.min(initial=2.0)) == (9.0, -3.0)
    assert parts.count_nonzero() == count_nonzero(parts) == count_nonzero(array) == 55
    assert parts.any()
    assert Parted(np.resize([1.0, -1.0], N)).any()  # whatever their sum
    assert as_array(parts) is parts
    assert as_array([1, 2]).tolist() == [1, 2]
    assert not Parted(np.zeros(N)).any()
    narrow = Parted(np.full(200, 0.1, dtype=np.float32), ())
    assert narrow.sum() == pytest.approx(200 * float(np.float32(0.1)), rel=1e-14)


def with_entry(value: float) -> np.ndarray:
    array = np.ones(N)
    array[160] = value
    return array


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(N - 1), r"the weights have shape \(199,\); what is needed is shape \(200,\)"),
        (np.ones((N, 1)), r"the weights have shape \(200, 1\)"),
        (with_entry(np.nan), "the weights hold NaN or infinity"),
        (with_entry(np.inf), "the weights hold NaN or infinity"),
        (with_entry(-0.5), r"the weights must be >= 0; the least is -0\.5"),
        (np.zeros(N), r"the weights are all zero \(200 rows\)"),
    ],
    ids=["short", "wide", "nan", "infinite", "negative", "zero"],
)
def test_weights_in_parts_are_checked(array, message):
    ends = ENDS if len(array) == N else ()
    with pytest.raises(InputError, match=message):
        check_weights(Parted(array, ends), N)


def test_offsets_in_parts_are_checked():
    good = Parted(np.linspace(-3, 1, N))
    assert check_offset(good, N, None) is good
    assert check_offset(Parted(np.zeros(N)), N, None).sum() == 0.0  # an offset may be nothing
    wide = Parted(np.zeros((N, 3)))
    assert check_offset(wide, N, 3) is wide
    assert check_weights(Parted(with_entry(0.0)), N).min() == 0.0
    with pytest.raises(InputError, match=r"the offset.* shape \(200,\).*\(200, 3\)"):
        check_offset(good, N, 3)
    with pytest.raises(InputError, match=r"the offset.* shape \(200, 3\).*\(200,\)"):
        check_offset(wide, N, None)
    with pytest.raises(InputError, match=r"the offset .*NaN or infinity"):
        check_offset(Parted(with_entry(np.nan)), N, None)


# Samples -----------------------------------------------------------------------------------------


def draw(problem: su.Problem, size: int, seed: int = 0, **settings: Any) -> RowSample:
    return RowSample.draw(problem, size, np.random.default_rng(seed), **settings)


@pytest.mark.parametrize("size", [1, 30, 99, 100, 101, 199])
def test_rows_of_very_many_are_drawn_without_a_list_of_all(a, size, monkeypatch):
    here, _, _ = twins(a, 2, {})
    listed = draw(here, size).index
    monkeypatch.setattr("softunit.solvers.row_sample.MANY", 50)
    found = draw(here, size).index
    assert len(np.unique(found)) == len(found) == size
    assert found.min() >= 0
    assert found.max() < N
    assert found.base is None
    assert np.array_equal(found, listed) == (2 * size > N)
    np.testing.assert_array_equal(found, draw(here, size).index)
    assert size == 1 or not np.array_equal(found, np.sort(found))


class Repeating(np.random.Generator):
    """A generator whose first numbers are all the same."""

    drawn = 0

    def integers(self, high: int, size: int) -> np.ndarray:
        self.drawn += 1
        return super().integers(high, size=size) if self.drawn > 1 else np.zeros(size, dtype=int)


def test_rows_of_very_many_are_drawn_again_where_too_few_differ(a, monkeypatch):
    monkeypatch.setattr("softunit.solvers.row_sample.MANY", 50)
    rng = Repeating(np.random.PCG64(0))
    index = RowSample.draw(twins(a, 2, {})[0], 40, rng).index
    assert len(np.unique(index)) == 40
    assert rng.drawn == 2


def test_rows_of_very_many_are_a_simple_random_sample(a, monkeypatch):
    monkeypatch.setattr("softunit.solvers.row_sample.MANY", 50)
    here, _, _ = twins(a, 2, {})
    count, first = np.zeros(N), np.zeros(N)
    for seed in range(1500):
        index = draw(here, 40, seed, gather=1).index
        count[index] += 1
        first[index[:10]] += 1
    for seen, share in ((count, 0.2), (first, 0.05)):
        error = np.sqrt(share * (1 - share) / 1500)
        assert np.abs(seen / 1500 - share).max() <= 5 * error
        assert abs((seen * np.arange(N)).sum() / seen.sum() - 99.5) <= 2.0  # no side is preferred


@pytest.mark.parametrize("size", [1, 30, 150, 199])
def test_priorities_are_those_of_one_look_at_all_rows(a, size, monkeypatch):
    here, away, _ = twins(a, 2, {"weights"})
    whole = draw(here, size)
    for many in (1, 64, 199, 200):
        monkeypatch.setattr("softunit.solvers.row_sample.MANY", many)
        sample = draw(here, size)
        np.testing.assert_array_equal(sample.index, whole.index)
        np.testing.assert_array_equal(sample.priorities, whole.priorities)
        np.testing.assert_array_equal(sample.weights, here.weights[sample.index])
    assert len(whole.index) == min(size, 196)  # four rows have no weight
    assert (whole.priorities[-1] == 0.0) == (size == 199)
    assert (whole.weights > 0).all()
    assert (np.diff(whole.priorities) <= 0).all()  # the highest come first
    gathered = draw(away, size).design
    np.testing.assert_allclose(gathered.toarray(), whole.design.toarray(), rtol=1e-5, atol=1e-6)


def test_a_sample_at_hand_is_taken_where_rows_have_no_weights(a):
    here, away, piled = twins(a, 3, {"offset"}, hand=60)
    sample = draw(away, 25, gather=5)
    np.testing.assert_array_equal(sample.index, piled.hand[:25])
    assert (sample.weights, sample.priorities) == (None, None)
    assert piled.reads == piled.taken_rows == 0
    x = np.random.default_rng(0).standard_normal(here.shape)
    expected = here.sampled(sample.index)
    assert sample.of(away).value(x) == pytest.approx(expected.value(x), rel=1e-6)
    more = draw(away, 61)  # than are at hand
    np.testing.assert_array_equal(more.index, draw(here, 61).index)
    assert piled.taken_rows == 61
    some = draw(away, 61, gather=7)
    assert len(some) == 7
    close(some.design.toarray(), here.design.toarray()[more.index[:7]], 1e-6)
    # Rows at hand were drawn without weights.
    weighted = twins(a, 3, {"weights"}, hand=60)[1]
    assert draw(weighted, 25).priorities is not None


# Newton's method on them -------------------------------------------------------------------------


@pytest.mark.parametrize("hand", [0, 30, N], ids=["none", "tenth", "all"])
@each_case
def test_free_rows_are_minimised_with_the_hessian_of_what_is_at_hand(a, settings, hand):
    penalty = Ridge(np.array([0.1, 0.1, 0.1, 0.1, 0.0]))
    here, away, piled = (
        p.derived(penalty=penalty) if isinstance(p, su.Problem) else p
        for p in twins(a, 3, settings, hand=hand)
    )
    x = np.vstack([0.3 * np.random.default_rng(1).standard_normal((D, 3)), np.zeros((1, 3))])
    free = np.array([D])
    start = away.evaluate(x)
    before = start.x.copy()
    reads = piled.reads
    found = minimised_over(away, start, free)
    made = piled.reads - reads
    own = minimised_over(here, here.evaluate(x), free)
    assert np.abs(found.gradient[D]).max() <= 1e-8
    np.testing.assert_array_equal(found.x[:D], x[:D])
    np.testing.assert_array_equal(start.x, before)
    close(found.x[D] - found.x[D].mean(), own.x[D] - own.x[D].mean(), 1e-7)
    assert found.value == pytest.approx(own.value, rel=1e-12)
    assert found.value < start.value - 1e-6
    if hand == N:
        # One read for each step, which is Newton's: as few as in memory.
        assert made <= 6
    assert made >= 2


@pytest.mark.parametrize(("hand", "used"), [(0, None), (19, None), (30, 20), (N, N)])
@each_case
def test_the_first_step_is_by_the_hessian_of_the_rows_at_hand(a, settings, hand, used, monkeypatch):
    here, away, piled = twins(a, 3, settings, hand=hand)
    solved = []

    def noted(matrix: np.ndarray, right: np.ndarray) -> Any:
        solved.append((matrix, right))
        raise ArithmeticError("that is enough")

    monkeypatch.setattr("softunit.free_rows.lstsq", noted)
    free, x = np.array([D, 1]), np.random.default_rng(1).standard_normal(here.shape)
    part = here
    if used is not None:
        index = piled.hand[:used]
        grown = None if here.weights is None else N / used * here.weights[index]
        part = here.sampled(index, weights=grown)
    expected = part.hessian(part.evaluate(x, store=False), coordinates=free)
    with pytest.raises(ArithmeticError, match="that is enough"):
        minimised_over(away, away.evaluate(x), free)
    close(solved[0][0], expected, 1e-5)
    close(solved[0][1], -here.gradient(x)[free].ravel())


def test_rows_at_hand_that_have_no_weight_say_nothing(a, rng):
    weights = rng.uniform(0.5, 1, N)
    piled = Piled(a, hand=20)
    weights[piled.hand] = 0.0
    problem = su.Problem(scaled(piled), Multinomial(), labels(3)(rng, N), weights=weights)
    start = problem.evaluate(np.zeros(problem.shape))
    found = minimised_over(problem, start, np.arange(D + 1))
    assert np.abs(found.gradient).max() <= 1e-8


@pytest.mark.parametrize("n", [4, 9, 10, 11])
def test_few_rows_have_fewer_at_hand(rng, n):
    a = rng.standard_normal((n, D))
    problem = su.Problem(
        scaled(Piled(a, hand=n // 2, ends=(2,))), Multinomial(3), labels(3)(rng, n)
    )
    problem = problem.derived(penalty=Ridge(np.array([1.0, 1.0, 1.0, 1.0, 0.0])))
    found = minimised_over(problem, problem.evaluate(np.zeros(problem.shape)), np.array([D]))
    assert np.abs(found.gradient[D]).max() <= 1e-8


def test_the_gradient_left_in_free_rows_is_as_small_as_a_pass_is_cheap(a):
    here, away, _ = twins(a, 3, {})
    here, away = (p.derived(penalty=Ridge(np.array([1.0, 1, 1, 1, 0]))) for p in (here, away))
    x = np.ones(here.shape) * np.arange(3)
    found = minimised_over(here, here.evaluate(x), np.array([D]))
    assert np.abs(found.gradient[D]).sum() <= 1e-9
    # A gradient between the two limits is worked on in memory, and left elsewhere.
    e = np.zeros(here.shape)
    e[D] = [1, -1, 0]
    slope = np.abs(here.gradient(found.x + 1e-6 * e)[D]).sum() / 1e-6
    near = found.x + 4e-9 / slope * e
    points = [p.evaluate(near) for p in (here, away)]
    assert all(1e-9 < np.abs(point.gradient[D]).sum() < 1e-8 for point in points)
    assert minimised_over(away, points[1], np.array([D])) is points[1]
    moved = minimised_over(here, points[0], np.array([D]))
    assert np.abs(moved.gradient[D]).sum() <= 1e-9


def planned_for(a: np.ndarray, **settings: Any) -> tuple[Any, su.Problem]:
    problem = twins(a, 3, settings.pop("case", {}))[1]
    return planned(problem, SketchedNewton(**settings)), problem


@pytest.mark.parametrize("case", [set(), {"weights"}], ids=["equal", "weighted"])
def test_no_more_rows_are_gathered_than_the_design_allows(a, case, monkeypatch):
    monkeypatch.setattr("softunit.solvers.sketch_plan.FIRST_ROWS", 20)
    monkeypatch.setattr(Piled, "sample_limit", 33)
    here, away, piled = twins(a, 3, case)
    assert (most_rows(here), most_rows(away)) == (N, 33)
    plan = planned(away, SketchedNewton(growth=2))
    assert plan.sizes == (33,)
    assert len(plan.sample) == len(plan.sample.index) == 33
    assert piled.taken_rows == 33
    plan.preconditioner.at(np.ones(3))
    assert piled.taken_rows == 33  # nor are rows looked for one by one
    assert max(planned(here, SketchedNewton(growth=2)).sizes) == (100 if not case else 98)


@pytest.mark.parametrize("case", [set(), {"weights"}], ids=["equal", "weighted"])
@pytest.mark.parametrize("held", [33, 199])
def test_the_gram_of_a_sample_is_that_of_its_rows(a, case, held, monkeypatch):
    monkeypatch.setattr("softunit.solvers.sketch_plan.FIRST_ROWS", 20)
    monkeypatch.setattr("softunit.solvers.sketch_plan.BLOCK_ENTRIES", 1)
    monkeypatch.setattr(Piled, "sample_limit", held)
    here, away, _ = twins(a, 3, case)
    for problem in (here, away):
        plan = planned(problem, SketchedNewton(growth=2))
        sample = plan.sample
        dense = here.design.toarray()[sample.index]
        own = np.ones(len(dense))
        if case:
            own = np.maximum(sample.weights, sample.priorities[-1])
            assert own.max() > own.min(), "so equal that nothing could fail"
        expected = dense.T @ (own[:, None] * dense) / own.sum()
        before = problem.cost.rows
        close(plan._gram(), expected, 1e-5)
        assert problem.cost.rows - before == pytest.approx(len(sample.index), rel=1e-12)


@pytest.mark.parametrize("far_bytes", [0.0, 1e9], ids=["dear", "cheap"])
@pytest.mark.parametrize("stage", ["last", "sample"])
def test_directions_are_sought_harder_where_a_pass_is_dear(a, far_bytes, stage, monkeypatch):
    for name, value in (("FIRST_ROWS", 20), ("FAR_BYTES", far_bytes), ("PER_PARAMETER", 0.5)):
        monkeypatch.setattr(f"softunit.solvers.sketch_plan.{name}", value)
    asked = []

    def noted(product: Any, precondition: Any, right: Any, *, rtol: float, max_iter: int) -> Any:
        asked.append((rtol, max_iter))
        return right

    monkeypatch.setattr("softunit.solvers.sketch_plan.conjugate_gradients", noted)
    for problem in twins(a, 3, {})[:2]:
        plan = planned(problem, SketchedNewton(growth=4))
        at = plan.last if stage == "last" else 0
        assert plan.last > 0
        x = np.zeros(problem.shape)
        plan.inverse(at, x, "sampled", 10)(x)
    dear = far_bytes == 0.0 and stage == "last"
    assert asked == [(0.1, 10), (0.003, 20) if dear else (0.1, 10)]


@pytest.mark.parametrize("case", [set(), {"offset"}, {"offset", "score_ridge"}])
def test_moves_keep_to_the_centre_where_no_score_sees_it(a, case, monkeypatch):
    monkeypatch.setattr("softunit.solvers.sketch_plan.FIRST_ROWS", 20)
    monkeypatch.setattr("softunit.solvers.sketch_plan.COARSE_WORK", 0.0)
    here, away, _ = twins(a, 3, case)
    expected = su.minimize(here, solver=Newton(kind="exact"), tol=1e-11)

    def stuck(*_: Any) -> Any:
        raise AssertionError("directions held to the wrong place led nowhere")

    monkeypatch.setattr(SketchedNewton, "_by_newton", stuck)
    for problem in (here, away):
        found = su.minimize(problem, solver=SketchedNewton(growth=3), tol=1e-11)
        assert found.converged
        close(found.x, expected.x, 1e-8)
        centred = np.abs(found.x.mean(axis=1)).max() <= 64 * 2.3e-16 * np.abs(found.x).max()
        assert centred == ("score_ridge" not in case)  # a ridge on scores sees their mean


def test_a_start_off_the_centre_is_not_held_there(a, rng):
    here, away, _ = twins(a, 3, {})
    start = rng.standard_normal(here.shape) + 2.0
    expected = su.minimize(here, solver=Newton(kind="exact"), tol=1e-11)
    found = su.minimize(away, start, solver=SketchedNewton(), tol=1e-11)
    assert found.converged
    close(found.x, expected.x, 1e-8)


# Threads -----------------------------------------------------------------------------------------


class FewThreads:
    """A pool that has some threads, and cannot have another."""

    def __init__(self, threads: int) -> None:
        self.left = threads

    def submit(self, function: Any, *arguments: Any) -> Any:
        if self.left == 0:
            raise RuntimeError("can't start new thread")
        self.left -= 1
        answer = function(*arguments)
        return type("Answer", (), {"result": lambda self: answer})()


@pytest.mark.parametrize("threads", [0, 1, 2, 3])
def test_what_no_thread_can_be_had_for_is_done_here(threads, monkeypatch):
    pool = FewThreads(threads)
    monkeypatch.setattr("softunit._threads._pool", lambda workers: pool)
    monkeypatch.setattr("softunit._threads.cores", lambda: 3)
    value, seen = add_up(lambda i: (0.5 * i, [i]), range(10))
    assert value == 22.5
    assert sorted(seen) == list(range(10))


@pytest.mark.parametrize("had", [0, 1])
def test_work_that_no_thread_took_is_neither_kept_nor_done_twice(had, monkeypatch):
    start, started, calls, refused = threading.Thread.start, [], [], threading.Event()

    def limited(self: threading.Thread) -> None:
        if len(started) == had:
            refused.set()
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    def work(i: int, held: np.ndarray) -> tuple[float]:
        calls.append(i)
        assert refused.wait(60)  # so the thread that there is stays busy until then
        return (float(held[i]),)

    monkeypatch.setattr("softunit._threads.cores", lambda: 2)
    with ThreadPoolExecutor(2, thread_name_prefix="softunit-blocks") as pool:
        monkeypatch.setattr("softunit._threads._pool", lambda workers: pool)
        monkeypatch.setattr(threading.Thread, "start", limited)
        held = np.arange(6.0)
        gone = weakref.ref(held)
        assert add_up(partial(work, held=held), range(6)) == (15.0,)
        monkeypatch.undo()
        del held
        if had:  # what was left for this thread would come before this
            assert pool.submit(int).result() == 0
        gc.collect()
        assert gone() is None
    assert sorted(calls) == list(range(6))


def test_where_a_device_does_the_work_one_thread_waits_for_it(monkeypatch):
    monkeypatch.setattr("softunit._threads.cores", lambda: 3)
    here = threading.current_thread().name
    (names,) = add_up(lambda i: ([threading.current_thread().name],), range(6), alone=True)
    assert names == [here] * 6


def test_errors_of_the_work_itself_are_not_taken_for_want_of_threads(monkeypatch):
    def fails(i: int) -> tuple[float]:
        raise RuntimeError(f"item {i} is bad")

    monkeypatch.setattr("softunit._threads.cores", lambda: 2)
    with pytest.raises(RuntimeError, match=r"item \d is bad"):
        add_up(fails, range(4))
