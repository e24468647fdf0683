"""The papers' local theory in a certificate: conditions, constants, regions."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

import softunit as su
from softunit.designs import DenseDesign, ScaledDesign
from softunit.errors import InputError
from softunit.penalties import Ridge, ScoreRidge
from softunit.units import CoshSquares, ExpSquares, LeverageScores, SinhSquares, SoftmaxSquares


def softmax_problem(rng: np.random.Generator, w: float, *, n: int = 80, d: int = 3) -> su.Problem:
    a = rng.standard_normal((n, d))
    return su.Problem(a, SoftmaxSquares(), rng.dirichlet(np.ones(n)), ScoreRidge(w))


def at_optimum(problem: su.Problem, **settings) -> su.Certificate:
    return su.certify(problem, su.minimize(problem, tol=1e-12).x, **settings)


def test_the_papers_condition_guarantees_what_it_says(rng):
    problem = softmax_problem(rng, np.sqrt(21.0))
    theory = at_optimum(problem).theory
    a = problem.design.array
    least = float(np.linalg.svd(a)[1][-1] ** 2)
    assert theory.w_squared == pytest.approx(1.0)
    assert theory.guaranteed == pytest.approx(least)
    assert theory.own_guaranteed == pytest.approx(least * (21 - 0.240410))
    for _ in range(20):
        point = problem.evaluate(rng.standard_normal(3))
        smallest = float(np.linalg.eigvalsh(problem.hessian(point))[0])
        assert theory.guaranteed <= theory.own_guaranteed <= smallest
    assert theory.curvature == pytest.approx(
        np.linalg.eigvalsh(problem.hessian(problem.evaluate(su.minimize(problem, tol=1e-12).x)))[0]
    )


def test_without_the_papers_w_nothing_is_guaranteed_and_that_is_said(rng):
    certificate = at_optimum(softmax_problem(rng, 0.1))
    theory, text = certificate.theory, str(certificate)
    assert theory.guaranteed == 0.0
    assert not theory.inside_paper
    assert "does not hold (the worst row lacks 20" in text
    assert "astronomically pessimistic" in text
    assert "promises no Newton region" in text


def test_constants_follow_from_the_radius(rng):
    problem = softmax_problem(rng, 5.0)
    theory = at_optimum(problem, radius=12.0).theory
    assert theory.radius == 12.0
    assert theory.lipschitz_log10 == pytest.approx((40 * 144 + 2 * math.log(80)) / math.log(10))
    region = math.log10(0.1 * theory.guaranteed) - theory.lipschitz_log10
    assert theory.region_log10 == pytest.approx(region)
    assert theory.normaliser_log10 == pytest.approx(-144 / math.log(10))
    assert at_optimum(problem).theory.radius == pytest.approx(
        max(10.0, np.linalg.norm(problem.design.array, 2))
    )
    with pytest.raises(InputError, match="`radius` must be a finite number > 0; got -1"):
        at_optimum(problem, radius=-1)
    with pytest.raises(InputError, match=r"`radius` must be at least .A. = .* and 10, which the"):
        at_optimum(problem, radius=9.9)
    with pytest.raises(InputError, match=r"`eps` must lie in 1e-100 to 1e.100; got 1e-320"):
        at_optimum(problem, eps=1e-320)


def test_newton_contracts_inside_the_measured_region(rng):
    problem = softmax_problem(rng, 0.3)
    best = su.minimize(problem, tol=1e-13).x
    theory = su.certify(problem, best).theory
    assert theory.region > 0
    for _ in range(10):
        step = rng.standard_normal(3)
        x = best + 0.99 * theory.region * step / np.linalg.norm(step)
        point = problem.evaluate(x)
        after = x - np.linalg.solve(problem.hessian(point), point.gradient)
        assert np.linalg.norm(after - best) <= 0.4 * np.linalg.norm(x - best)
        there = su.certify(problem, x).theory
        assert np.linalg.norm(x - best) <= there.distance
    far = su.certify(problem, best + 5.0).theory
    assert not far.inside


def test_steps_are_predicted_from_the_start(rng):
    problem = softmax_problem(rng, 0.3)
    best = su.minimize(problem, tol=1e-13).x
    apart = float(np.linalg.norm(best - 1.0))
    theory = su.certify(problem, best, start=np.ones(3), eps=1e-6).theory
    assert theory.iterations == math.ceil(math.log(apart / 1e-6) / math.log(2.5))
    assert su.certify(problem, best, start=best).theory.iterations == 0
    with pytest.raises(InputError, match="`start` has shape"):
        su.certify(problem, best, start=np.ones(2))


@pytest.mark.parametrize("unit", [ExpSquares(), CoshSquares(), SinhSquares()], ids=["e", "c", "s"])
def test_the_lipschitz_constant_near_a_point_holds(unit, rng):
    for _ in range(50):
        z, b = rng.uniform(-3, 3, 6), rng.uniform(-5, 5, 6)
        s = rng.uniform(0.1, 2, 6)
        reach = float(rng.uniform(0.01, 1))
        near = unit.lipschitz_near(z, b, reach, s)
        h = 1e-5
        for move in (0.0, reach):
            step = rng.standard_normal(6)
            there = z + move * step / np.linalg.norm(step)
            third = (
                unit.curvature(there + h, b, s).weights - unit.curvature(there - h, b, s).weights
            ) / (2 * h)
            assert np.abs(third).max() <= near * (1 + 1e-6)
    assert unit.lipschitz_near(np.full(2, 159.0), np.ones(2), 10.0) == math.inf


@pytest.mark.parametrize("unit", [ExpSquares(), CoshSquares(), SinhSquares()], ids=["e", "c", "s"])
def test_exponential_units_know_their_papers_condition(unit, rng):
    a, b = rng.standard_normal((50, 3)), rng.uniform(1.0, 2.0, 50)
    extra = 0.0 if isinstance(unit, ExpSquares) else 1.0
    problem = su.Problem(a, unit, b, ScoreRidge(np.sqrt(0.5 * b**2 + extra + 0.25)))
    theory = at_optimum(problem).theory
    assert theory.w_squared == pytest.approx(0.25)
    for _ in range(50):
        hessian = problem.hessian(problem.evaluate(rng.standard_normal(3)))
        assert np.linalg.eigvalsh(hessian)[0] >= theory.guaranteed
    assert theory.guaranteed > 0


def test_lengths_are_those_of_the_inputs_columns(rng):
    a, b = rng.standard_normal((80, 3)), rng.dirichlet(np.ones(80))
    plain = su.Problem(a, SoftmaxSquares(), b, Ridge(0.1))
    design = ScaledDesign(DenseDesign(a), centre=a.mean(axis=0), scale=[2.0, 0.1, 7.0])
    scaled = su.Problem(design, SoftmaxSquares(), b, Ridge(0.1 / np.array([2.0, 0.1, 7.0]) ** 2))
    one, two = at_optimum(plain).theory, at_optimum(scaled).theory
    for item in dataclasses.fields(one):
        first, second = getattr(one, item.name), getattr(two, item.name)
        if isinstance(first, float) and item.name != "distance":
            assert second == pytest.approx(first, rel=1e-6, abs=1e-12, nan_ok=True), item.name


def test_units_without_a_papers_constants_say_so_and_json_has_numbers_only(rng):
    a, b = rng.standard_normal((30, 3)), rng.standard_normal(30)
    x = rng.standard_normal(3)
    unit = LeverageScores(a, b)
    sigma = np.full(30, 0.1)
    certificate = su.certify(su.Problem(a, unit, sigma), x)
    assert certificate.theory.source == ""
    assert "constants are not known here" in str(certificate)
    plain = json.loads(json.dumps(certificate.to_dict(), allow_nan=False))
    assert plain["theory"]["lipschitz_log10"] is None
    quick = su.certify(su.Problem(a, unit, sigma), x, effort="quick")
    assert quick.theory is None


def test_means_over_samples_have_no_such_theory(rng):
    a, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    assert at_optimum(su.Problem(a, su.units.Multinomial(), y, Ridge(0.1))).theory is None


def test_the_worst_row_decides(rng):
    a, w = rng.standard_normal((80, 3)), np.full(80, 6.0)
    w[7] = 5.0
    problem = su.Problem(a, SoftmaxSquares(), rng.dirichlet(np.ones(80)), ScoreRidge(w))
    theory = at_optimum(problem).theory
    least = float(np.linalg.svd(a)[1][-1] ** 2)
    assert theory.w_squared == pytest.approx(5.0)
    assert theory.guaranteed == pytest.approx(5.0 * least)
    assert theory.own_guaranteed == pytest.approx((25 - 0.240410) * least)


@pytest.mark.parametrize("unit", [SoftmaxSquares(), ExpSquares()], ids=["softmax", "exp"])
def test_region_and_distance_are_those_of_kantorovich(unit, rng):
    a, b = rng.standard_normal((80, 3)), rng.dirichlet(np.ones(80))
    problem = su.Problem(a, unit, b, ScoreRidge(0.7))
    best, step = su.minimize(problem, tol=1e-13).x, rng.standard_normal(3)
    seen = set()
    for size in np.geomspace(1e-4, 1e-1, 40):
        x = best + size * step
        theory = su.certify(problem, x).theory
        point = problem.evaluate(x)
        curvature = np.linalg.eigvalsh(problem.hessian(point))[0]
        gradient, largest = np.linalg.norm(point.gradient), np.linalg.norm(a, 2)
        reach = 2 * gradient / curvature * largest
        lipschitz = unit.lipschitz_near(a @ x, b, reach) * largest**3
        assert theory.curvature == pytest.approx(curvature)
        assert theory.lipschitz == pytest.approx(lipschitz)
        h = lipschitz * gradient / curvature**2
        seen.add(h > 0.5)
        if h > 0.5:
            assert theory.distance == math.inf
        else:
            nearest = (1 - math.sqrt(1 - 2 * h)) * curvature / lipschitz
            assert theory.distance == pytest.approx(nearest, rel=1e-6)
        assert theory.inside == (theory.distance <= theory.region)
    assert seen == {False, True}


def test_the_papers_region_is_that_of_its_constants():
    a = np.array([[2.0], [-2.0], [1.0], [-1.0]])  # |A|^2 = 10
    problem = su.Problem(a, ExpSquares(), np.ones(4), ScoreRidge(1.0))
    for x, inside in ((0.0, True), (1e-7, True), (1e-4, False)):  # the optimum is at zero
        theory = su.certify(problem, [x]).theory
        assert theory.guaranteed == pytest.approx(5.0)
        assert theory.region_log10 == pytest.approx(math.log10(0.5 / 4) - 10 / math.log(10))
        assert theory.inside_paper is inside


def test_directions_that_no_score_sees_do_not_count(rng):
    a, b = rng.standard_normal((80, 3)), rng.dirichlet(np.ones(80))
    seen = su.Problem(a, SoftmaxSquares(), b)
    x = su.minimize(seen, tol=1e-12).x
    whole = su.Problem(np.column_stack([a, np.full(80, 3.0)]), SoftmaxSquares(), b)
    one, two = su.certify(seen, x).theory, su.certify(whole, np.append(x, 0.0)).theory
    assert one.curvature > 0
    assert two.curvature == pytest.approx(one.curvature)


@pytest.mark.parametrize("unit", [ExpSquares(), CoshSquares(), SinhSquares()], ids=["e", "c", "s"])
def test_heavy_targets_count_in_the_lipschitz_constant(unit):
    z, b, s, h = np.array([-4.0, 0.0]), np.array([1000.0, 1.0]), np.array([10.0, 0.1]), 1e-5
    z = z if isinstance(unit, ExpSquares) else z / 4  # cosh and sinh are large on both sides
    third = (unit.curvature(z + h, b, s).weights - unit.curvature(z - h, b, s).weights) / (2 * h)
    assert np.abs(third).max() <= unit.lipschitz_near(z, b, 1e-3, s)


def test_collinear_columns_guarantee_nothing(rng):
    a = rng.standard_normal((80, 2))
    twice = np.column_stack([a, a[:, 0]])
    problem = su.Problem(twice, SoftmaxSquares(), rng.dirichlet(np.ones(80)), ScoreRidge(5.0))
    theory = su.certify(problem, np.zeros(3)).theory
    assert theory.guaranteed == theory.own_guaranteed == 0.0


def test_row_weights_leave_the_papers_condition_unsaid():
    a = np.array([[1.0], [-1.0]])
    weights = np.full(2, 1000.0)
    problem = su.Problem(
        a, SoftmaxSquares(), [1.0, 0.0], ScoreRidge(np.sqrt(21.0)), weights=weights
    )
    theory = su.certify(problem, [0.3]).theory
    assert theory.source == ""
    assert theory.guaranteed == theory.own_guaranteed == 0.0


@pytest.mark.parametrize("ridge", [1.0, 1e3, 1e6])
def test_the_region_of_exp_holds_to_its_edge(ridge, rng):
    a, b = rng.standard_normal((40, 2)), rng.uniform(0.5, 2.0, 40)
    problem = su.Problem(a, ExpSquares(), b, Ridge(ridge))
    best = su.minimize(problem, tol=1e-13).x
    region = su.certify(problem, best).theory.region
    assert region > 0
    for _ in range(20):
        step = rng.standard_normal(2)
        x = best + 0.99 * region * step / np.linalg.norm(step)
        point = problem.evaluate(x)
        after = x - np.linalg.solve(problem.hessian(point), point.gradient)
        assert np.linalg.norm(after - best) <= 0.4 * np.linalg.norm(x - best)
