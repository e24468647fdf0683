"""The two-layer unit: golden values, each outer function, relu's kinks, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit.errors import InputError
from softunit.penalties import ScoreRidge
from softunit.units import SoftmaxSquares, TwoLayerSquares
from softunit.units._outer import OUTERS, outer_named

each_outer = pytest.mark.parametrize("name", sorted(OUTERS))
SMOOTH = sorted(set(OUTERS) - {"relu"})


def test_golden_values():
    a = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]])
    c = np.array([[1, -1, 0, 2], [0, 1, 1, -1], [0.5, 0.5, -0.5, 0.5]])
    problem = su.Problem(a, TwoLayerSquares("tanh", c), [0.3, 0.1, 0.2])
    point = problem.evaluate(np.array([0.3, -0.2]))
    assert point.value == pytest.approx(0.10393089827800799, rel=1e-14)
    np.testing.assert_allclose(point.gradient, [0.234548279854, -0.317406110605], atol=1e-12)
    expected = [[0.212076056192, -0.348621291811], [-0.348621291811, 0.497976779911]]
    np.testing.assert_allclose(problem.hessian(point), expected, atol=1e-12)


def test_the_identity_in_both_layers_is_softmax_squares(rng):
    z, b = rng.standard_normal(9), rng.dirichlet(np.ones(9))
    unit, plain = TwoLayerSquares("identity", np.eye(9)), SoftmaxSquares()
    assert unit.value(z, b) == pytest.approx(plain.value(z, b), rel=1e-13)
    np.testing.assert_allclose(unit.gradient(z, b), plain.gradient(z, b), atol=1e-15)
    for kind in ("exact", "gauss_newton"):
        np.testing.assert_allclose(
            unit.curvature(z, b, kind=kind).matvec(np.eye(9)),
            plain.curvature(z, b, kind=kind).matvec(np.eye(9)),
            atol=1e-15,
        )


@each_outer
def test_slopes_and_bends_are_difference_quotients(name):
    phi, h = outer_named(name), 1e-6
    y = np.array([-2.3, -0.7, -0.1, 0.2, 1.1, 2.9])
    slope = (phi.value(y + h) - phi.value(y - h)) / (2 * h)
    bend = (phi.slope(y + h) - phi.slope(y - h)) / (2 * h)
    np.testing.assert_allclose(phi.slope(y), slope, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(phi.bend(y), bend, rtol=1e-8, atol=1e-9)


@each_outer
def test_the_inverse_leads_back(name):
    phi = outer_named(name)
    y = np.array([0.05, 0.3, 1.0, 2.5])
    np.testing.assert_allclose(phi.inverse(phi.value(y)), y, rtol=1e-10)


@each_outer
@pytest.mark.parametrize("ends", [(-2.0, 1.0), (0.5, 3.0), (-3.0, -0.5)], ids=str)
def test_extremes_bound_what_they_say(name, ends):
    phi, (low, high) = outer_named(name), np.array(ends)[:, None]
    y = np.linspace(*ends, 2001)
    least, most = phi.between(low, high)
    assert least[0] <= phi.value(y).min() + 1e-12
    assert most[0] >= phi.value(y).max() - 1e-12
    h = 1e-5
    third = (phi.bend(y + h) - phi.bend(y - h)) / (2 * h)
    for bound, found in zip(
        phi.largest(low, high), (phi.slope(y), phi.bend(y), third), strict=True
    ):
        assert np.abs(found).max() <= bound[0] + 1e-6


def test_relu_is_flat_below_zero_and_at_zero():
    phi = outer_named("relu")
    y = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(phi.value(y), [0.0, 0.0, 2.0])
    np.testing.assert_array_equal(phi.slope(y), [0.0, 0.0, 1.0])


def test_relu_away_from_its_kinks_is_a_difference_quotient(rng):
    unit = TwoLayerSquares("relu", rng.standard_normal((5, 8)))
    z, b, v, h = rng.standard_normal(8), rng.standard_normal(5), rng.standard_normal(8), 1e-6
    slope = (unit.value(z + h * v, b) - unit.value(z - h * v, b)) / (2 * h)
    assert unit.gradient(z, b) @ v == pytest.approx(slope, rel=1e-6)
    change = (unit.gradient(z + h * v, b) - unit.gradient(z - h * v, b)) / (2 * h)
    np.testing.assert_allclose(unit.curvature(z, b).matvec(v), change, atol=1e-8)


def test_relu_promises_no_curvature_across_a_kink():
    across = TwoLayerSquares("relu", [[-1.0, 2.0]]).bounds(np.array([1.0]))
    assert across.lowest == -math.inf
    assert across.highest == math.inf
    above = TwoLayerSquares("relu", [[1.0, 2.0]]).bounds(np.array([1.5]))
    plain = TwoLayerSquares("identity", [[1.0, 2.0]]).bounds(np.array([1.5]))
    assert above.lowest <= plain.lowest < 0


@pytest.mark.parametrize("outer", SMOOTH)
def test_bounds_hold_where_the_loss_is_steepest(outer, rng):
    # Two rows, the scores swept: where f sits on two outcomes the extremes are.
    c = rng.uniform(-1.5, 1.5, (3, 2))
    unit, b = TwoLayerSquares(outer, c), rng.standard_normal(3)
    bounds, v = unit.bounds(b), np.array([1.0, -1.0]) / np.sqrt(2)
    line = np.linspace(-6, 6, 1201)
    second = np.array([v @ unit.curvature(t * v, b).matvec(v) for t in line])
    third = np.diff(second) / (line[1] - line[0])
    assert second.min() >= bounds.lowest
    assert second.max() <= bounds.highest
    assert np.abs(third).max() <= bounds.lipschitz
    assert min(unit.value(t * v, b) for t in line) >= bounds.lower


def test_the_identity_has_the_constants_of_its_largest_gradient(rng):
    c, b = rng.standard_normal((4, 7)), rng.standard_normal(4)
    bounds = TwoLayerSquares("identity", c).bounds(b)
    norm = np.linalg.norm(c, 2)
    steepest = np.linalg.norm(c.T @ (c - b[:, None]), axis=0).max()
    assert bounds.lowest == pytest.approx(-0.272167 * steepest)
    assert bounds.highest == pytest.approx(norm**2 / 4 + 0.272167 * steepest)
    assert bounds.lipschitz == pytest.approx(1.5 * 0.272167 * norm**2 + steepest / 2)


def test_the_regulariser_above_the_bound_makes_the_problem_convex(rng):
    a, c = rng.standard_normal((12, 3)), rng.standard_normal((4, 12))
    unit, b = TwoLayerSquares("tanh", c), rng.uniform(-0.5, 0.5, 4)
    w = np.sqrt(-unit.bounds(b).lowest + 1.0 / np.linalg.svd(a)[1][-1] ** 2)
    problem = su.Problem(a, unit, b, ScoreRidge(float(w)))
    for scale in (0.1, 1.0, 10.0):
        point = problem.evaluate(scale * rng.standard_normal(3))
        assert np.linalg.eigvalsh(problem.hessian(point))[0] >= 1.0
    assert su.certify(problem, np.zeros(3)).unique


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.coo_array], ids=["matrix", "array"])
@each_outer
def test_sparse_matrices_give_the_same(name, form, rng):
    c = rng.standard_normal((4, 9)) * (rng.random((4, 9)) < 0.5)
    z, b = rng.standard_normal(9), rng.standard_normal(4)
    dense, thin = TwoLayerSquares(name, c), TwoLayerSquares(name, form(c))
    assert thin.value(z, b) == pytest.approx(dense.value(z, b), rel=1e-13)
    np.testing.assert_allclose(thin.gradient(z, b), dense.gradient(z, b), atol=1e-12)
    np.testing.assert_allclose(
        thin.curvature(z, b).matvec(z), dense.curvature(z, b).matvec(z), atol=1e-12
    )
    assert thin.norm == pytest.approx(dense.norm)
    one, other = thin.bounds(b), dense.bounds(b)
    assert one.lower == pytest.approx(other.lower)
    assert one.lowest == pytest.approx(other.lowest)
    np.testing.assert_allclose(thin.gradient_terms(z, b), dense.gradient_terms(z, b), atol=1e-12)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_the_norm_of_a_large_matrix_is_bounded(form, rng):
    c = rng.standard_normal((2001, 2001)) * (rng.random((2001, 2001)) < 0.01)
    unit = TwoLayerSquares("identity", form(c))
    assert unit.norm == pytest.approx(np.linalg.norm(c))
    v = rng.standard_normal(2001)
    assert np.linalg.norm(c @ v) <= unit.norm * np.linalg.norm(v)


def test_more_outputs_than_rows_go_through_a_problem(rng):
    a, c = rng.standard_normal((5, 2)), rng.standard_normal((30, 5))
    unit, x = TwoLayerSquares("sigmoid", c), rng.standard_normal(2)
    problem = su.Problem(a, unit, rng.uniform(0.2, 0.8, 30))
    assert problem.value(x) == pytest.approx(unit.value(a @ x, problem.target))
    assert problem.hessian(problem.evaluate(x)).shape == (2, 2)


def test_a_saturated_softmax_keeps_the_digits_of_its_gradient():
    # Two rows: f = (1 - e, e), so y = 1 + e and the derivative by z is r (1 - e) e (-1, 1).
    unit, e = TwoLayerSquares("identity", [[1.0, 2.0]]), math.exp(-40.0)
    gradient = unit.gradient(np.array([40.0, 0.0]), np.array([0.25]))
    np.testing.assert_allclose(gradient, 0.75 * e * np.array([-1.0, 1.0]), rtol=1e-12)


def test_weights_of_one_are_none_and_others_are_refused(rng):
    unit, z, b = TwoLayerSquares("tanh", np.eye(3)), rng.standard_normal(3), np.zeros(3)
    assert unit.value(z, b, np.ones(3)) == unit.value(z, b)
    for call in (unit.value, unit.value_gradient, unit.curvature):
        with pytest.raises(InputError, match="takes no row weights"):
            call(z, b, np.array([1.0, 2.0, 1.0]))


@pytest.mark.parametrize(
    ("outer", "matrix", "target", "sentence"),
    [
        ("tanhh", np.eye(3), [0.0] * 3, "Did you mean 'tanh'"),
        (3, np.eye(3), [0.0] * 3, "no outer function '3'"),
        ("tanh", np.ones(3), [0.0], r"a column for each row of A; got shape \(3,\)"),
        ("tanh", np.ones((0, 3)), [], r"got shape \(0, 3\)"),
        ("tanh", [["a", "b", "c"]], [0.0], "must hold numbers"),
        ("tanh", [[1.0, np.nan, 2.0]], [0.0], "column 1 of the outer matrix holds NaN"),
        ("tanh", np.ones((2, 4)), [0.0, 0.0], r"shape \(2, 4\), but A has 3 rows.*\(m, 3\)"),
        ("tanh", np.ones((2, 3)), [0.0] * 3, r"b has shape \(3,\).*shape \(2, 3\).*\(2,\)"),
        ("tanh", np.ones((2, 3)), [0.0, np.inf], "the first is entry 1"),
        ("tanh", np.ones((2, 3)), ["x", "y"], "must hold numbers"),
        ("exp", [[0.0, 400.0, 1.0]], [0.0], "row 0 of the outer matrix reaches 400"),
        ("sinh", [[0.0, 1.0, 1.0], [0.0, -400.0, 1.0]], [0.0], "row 1 .* square of sinh"),
    ],
)
def test_bad_input_gets_a_sentence(outer, matrix, target, sentence):
    with pytest.raises(InputError, match=sentence):
        TwoLayerSquares(outer, matrix).check(target, 3)


def test_exp_takes_large_negative_entries():
    unit = TwoLayerSquares("exp", [[0.0, -400.0, 1.0]])
    assert np.isfinite(unit.value(np.array([0.0, 900.0, 0.0]), np.zeros(1)))


def test_a_large_matrix_makes_the_bound_count_its_rounding(rng):
    a, c = rng.standard_normal((40, 3)), rng.standard_normal((8, 40))
    x = rng.standard_normal(3)
    gaps = []
    for factor in (1.0, 1e6):
        unit = TwoLayerSquares("identity", factor * c)
        b = unit.output(a @ x)
        centre = factor * rng.standard_normal()  # cancels in b, not in its rounding
        shifted = TwoLayerSquares("identity", factor * c + centre)
        gaps.append(su.certify(su.Problem(a, shifted, b + centre), x).gap_bound)
        problem = su.Problem(a, shifted, 0.0 * b)
        small = su.certify(problem, x)
        assert shifted.residual_size(problem.target) >= np.abs(shifted.matrix).max()
        assert small.gap_bound > 0
    assert gaps[1] > 1e6 * gaps[0]
