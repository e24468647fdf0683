"""Six kinds of check for every unit of the table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from softunit.units import Multinomial, SoftmaxCrossEntropy, SoftmaxSquares
from tests.contracts.cases import UNITS, UnitCase

seeds = st.integers(0, 2**32 - 1)
rows = st.integers(5, 12)
scales = st.floats(0.01, 5.0)
each_unit = pytest.mark.parametrize("case", UNITS, ids=lambda case: case.name)


def draw(case: UnitCase, seed: int, n: int, scale: float = 1.0, *, weighted: bool = False):
    rng = np.random.default_rng(seed)
    n = case.rows or n
    shape = (n,) if case.columns is None else (n, case.columns)
    z = case.scores(scale * rng.standard_normal(shape))
    target = case.subject.check(case.target(rng, n), n)
    return z, target, (rng.uniform(0.1, 3.0, n) if weighted and case.weighted else None)


def dense_curvature(curvature, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    columns = [curvature.matvec(e.reshape(shape)).ravel() for e in np.eye(size)]
    return np.stack(columns, axis=1)


@each_unit
@given(seed=seeds, n=rows, scale=scales, weighted=st.booleans())
def test_gradient_is_the_difference_quotient_of_the_value(case, seed, n, scale, weighted):
    z, target, w = draw(case, seed, n, scale, weighted=weighted)
    gradient = case.subject.gradient(z, target, w)
    h = 1e-6
    for index in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[index] = h
        up, down = (case.subject.value(z + s * step, target, w) for s in (1, -1))
        quotient = (up - down) / (2 * h)
        rounding = 1e-9 * (1 + abs(up))  # of the value, over h
        assert abs(gradient[index] - quotient) <= 1e-6 * abs(quotient) + rounding


@each_unit
@given(seed=seeds, n=rows, scale=scales, weighted=st.booleans())
def test_whole_curvature_is_the_difference_quotient_of_the_gradient(case, seed, n, scale, weighted):
    z, target, w = draw(case, seed, n, scale, weighted=weighted)
    dense = dense_curvature(case.subject.curvature(z, target, w), z.shape)
    h, size = 1e-6, z.size
    quotient = np.empty((size, size))
    for column, e in enumerate(np.eye(size)):
        step = h * e.reshape(z.shape)
        up, down = (case.subject.gradient(z + s * step, target, w) for s in (1, -1))
        quotient[:, column] = ((up - down) / (2 * h)).ravel()
    assert np.abs(dense - quotient).max() <= 1e-6 * max(np.abs(dense).max(), 1e-3)
    assert np.abs(dense - dense.T).max() <= 1e-12 * max(np.abs(dense).max(), 1e-12)


@each_unit
def test_derivatives_are_difference_quotients_over_200_draws(case):
    worst = np.zeros(2)
    for seed in range(200):
        z, target, w = draw(case, seed, 8, weighted=bool(seed % 2))
        v = np.random.default_rng((seed, 1)).standard_normal(z.shape)
        basis = np.eye(z.size).reshape(z.size, *z.shape)
        h = 1e-5
        slopes = [
            (case.subject.value(z + h * e, target, w) - case.subject.value(z - h * e, target, w))
            / (2 * h)
            for e in basis
        ]
        gradient = case.subject.gradient(z, target, w).ravel()
        up, down = (case.subject.gradient(z + s * h * v, target, w) for s in (1, -1))
        change, product = (up - down) / (2 * h), case.subject.curvature(z, target, w).matvec(v)
        misses = [
            np.linalg.norm(gradient - slopes) / np.linalg.norm(gradient),
            np.linalg.norm(product - change) / np.linalg.norm(product),
        ]
        worst = np.maximum(worst, misses)
    assert (worst <= 1e-6).all(), worst


@each_unit
@given(seed=seeds, n=rows, scale=scales)
def test_every_route_gives_one_number(case, seed, n, scale):
    z, target, w = draw(case, seed, n, scale, weighted=True)
    value, gradient = case.subject.value_gradient(z, target, w)
    assert value == pytest.approx(case.subject.value(z, target, w), rel=1e-12, abs=1e-15)
    np.testing.assert_array_equal(gradient, case.subject.gradient(z, target, w))
    diagonal = np.diag(dense_curvature(case.subject.curvature(z, target, w), z.shape))
    total = case.subject.curvature(z, target, w).diagonal_sum()
    summed = diagonal.reshape(len(z), -1).sum(axis=0)
    np.testing.assert_allclose(total, summed, rtol=1e-10, atol=1e-14)


@each_unit
@given(seed=seeds, n=rows, shift=st.floats(-50, 50))
def test_a_constant_changes_nothing_where_the_unit_says_so(case, seed, n, shift):
    z, target, w = draw(case, seed, n, weighted=True)
    if not case.subject.shift_invariant:
        return
    one_score = case.subject.rowwise and case.columns is None
    if one_score:
        return  # the first score is held at zero: there is nothing left to shift
    value = case.subject.value(z, target, w)
    assert case.subject.value(z + shift, target, w) == pytest.approx(value, rel=1e-9, abs=1e-12)
    ones = np.ones_like(z)
    image = case.subject.curvature(z, target, w).matvec(ones)
    assert np.abs(image).max() <= 1e-14


@each_unit
@given(seed=seeds, n=rows, scale=scales)
def test_gauss_newton_curvature_is_positive_semidefinite(case, seed, n, scale):
    z, target, w = draw(case, seed, n, scale, weighted=True)
    dense = dense_curvature(case.subject.curvature(z, target, w, kind="gauss_newton"), z.shape)
    eigenvalues = np.linalg.eigvalsh(dense)
    assert eigenvalues[0] >= -1e-12 * max(1.0, eigenvalues[-1])


@each_unit
@given(seed=seeds, n=rows, scale=st.floats(0.01, 30.0))
def test_bounds_hold(case, seed, n, scale):
    z, target, _ = draw(case, seed, n, scale)
    bounds = case.subject.bounds(target)
    eigenvalues = np.linalg.eigvalsh(dense_curvature(case.subject.curvature(z, target), z.shape))
    assert bounds.lowest - 1e-12 <= eigenvalues[0]
    assert eigenvalues[-1] <= bounds.highest + 1e-12
    assert case.subject.value(z, target) >= bounds.lower - 1e-12
    assert bounds.convex == (bounds.lowest >= 0)


@each_unit
@given(seed=seeds, n=rows, scale=scales)
def test_third_derivative_stays_below_the_lipschitz_constant(case, seed, n, scale):
    z, target, _ = draw(case, seed, n, scale)
    v = np.random.default_rng(seed + 1).standard_normal(z.shape)
    v /= np.linalg.norm(v)
    h = 1e-5

    def second(t: float) -> float:
        return float(np.vdot(v, case.subject.curvature(z + t * v, target).matvec(v)))

    third = abs(second(h) - second(-h)) / (2 * h)
    bounds = case.subject.bounds(target)
    if np.isfinite(bounds.lipschitz):
        assert third <= bounds.lipschitz + 1e-6
    if np.isfinite(bounds.concordance):
        reach = np.linalg.norm(v.reshape(len(z), -1), axis=1).max()
        assert third <= bounds.concordance * reach * second(0.0) + 1e-6


@each_unit
@given(seed=seeds, n=rows)
def test_whole_weights_are_repeated_rows(case, seed, n):
    z, target, _ = draw(case, seed, n)
    if not case.subject.rowwise:
        return  # weights of outcomes, not of rows
    times = np.random.default_rng(seed).integers(0, 4, n)
    weighted = case.subject.value(z, target, times.astype(float))
    repeated = case.subject.value(np.repeat(z, times, axis=0), np.repeat(target, times, axis=0))
    assert weighted == pytest.approx(repeated, rel=1e-12, abs=1e-12)


@each_unit
@pytest.mark.parametrize("size", [1e2, 1e4, 1e9])
def test_huge_scores_stay_finite(case, size):
    z, target, w = draw(case, 5, 8, size, weighted=True)
    value, gradient = case.subject.value_gradient(z, target, w)
    assert np.isfinite(value) or (case.overflows and value == np.inf)
    assert np.isfinite(gradient).all()
    assert np.isfinite(case.subject.curvature(z, target, w).matvec(z)).all()


@given(seed=seeds, k=st.integers(2, 6))
def test_multinomial_is_the_negative_log_softmax(seed, k):
    rng = np.random.default_rng(seed)
    z, y = rng.standard_normal((9, k)), rng.integers(0, k, 9)
    expected = -log_softmax(z, axis=1)[np.arange(9), y].sum()
    assert Multinomial(k).value(z, y) == pytest.approx(expected, rel=1e-12)
    hot = np.eye(k)[y]
    assert Multinomial(k).value(z, hot) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(
        Multinomial(k).gradient(z, hot), Multinomial(k).gradient(z, y), atol=1e-15
    )


@given(seed=seeds)
def test_one_score_is_two_columns_with_the_first_at_zero(seed):
    rng = np.random.default_rng(seed)
    z, y = 3 * rng.standard_normal(7), rng.integers(0, 2, 7)
    two = np.stack([np.zeros(7), z], axis=1)
    assert Multinomial().value(z, y) == pytest.approx(Multinomial(2).value(two, y), rel=1e-12)
    np.testing.assert_allclose(
        Multinomial().gradient(z, y), Multinomial(2).gradient(two, y)[:, 1], atol=1e-15
    )
    np.testing.assert_allclose(Multinomial.probabilities(z), Multinomial.probabilities(two))


def test_a_wrong_vertex_has_no_gradient_in_squares_but_one_in_cross_entropy():
    z, b = np.array([0.0, 30.0, 0.0]), np.array([1.0, 0.0, 0.0])
    assert np.abs(SoftmaxSquares().gradient(z, b)).max() < 1e-12
    assert np.abs(SoftmaxCrossEntropy().gradient(z, b)).max() > 0.9


@pytest.mark.parametrize(
    ("unit", "target", "sentence"),
    [
        (Multinomial(), [0, 1, 1.5], "whole numbers"),
        (Multinomial(), [0, 1], r"shape \(2,\), but A has 3 rows"),
        (Multinomial(), [0, 0, 0], "one class only"),
        (Multinomial(2), [0, 1, 2], "must lie in 0 to 1; got 2"),
        (Multinomial(), [0, -1, 1], "got -1"),
        (Multinomial(), [[0.5, 0.5], [1, 0], [0.4, 0.4]], "row 2 with sum 0.8"),
        (Multinomial(), [[0.5, 0.5], [1.5, -0.5], [1, 0]], "row 1, column 1"),
        (Multinomial(3), [[0.5, 0.5]] * 3, "`n_classes` is 3"),
        (SoftmaxSquares(), [0.5, np.nan, 0.5], "NaN or infinity in 1 of 3"),
        (SoftmaxSquares(), [0.5, 0.5], "but A has 3 rows"),
        (SoftmaxCrossEntropy(), [0.5, -0.1, 0.6], "needs b >= 0"),
        (SoftmaxCrossEntropy(), [0.0, 0.0, 0.0], "zero in all 3 rows"),
    ],
)
def test_bad_targets_get_a_sentence(unit, target, sentence):
    with pytest.raises(ValueError, match=sentence):
        unit.check(target, 3)
