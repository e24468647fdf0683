"""Certificates: what they prove holds, what they cannot prove they do not claim."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.datasets import load_iris

import softunit as su
from softunit.certificate import Certificate
from softunit.penalties import Ridge, ScoreRidge
from softunit.spectrum import Metric, Spectrum, concordant_gap
from softunit.units import GroupedSoftmax, Multinomial, SoftmaxCrossEntropy, SoftmaxSquares
from tests.contracts.cases import labels, multinomial_problem, simplex, squares_problem


def text(certificate: Certificate, *, proved: bool | None = None) -> str:
    return " ".join(s.text for s in certificate.statements if proved in (None, s.proved))


@pytest.mark.parametrize("columns", [2, 4])
@pytest.mark.parametrize("effort", ["quick", "full"])
def test_gap_of_an_early_stop_is_bounded_and_not_wildly(columns, effort, rng):
    seed = int(rng.integers(1 << 30))
    problem = multinomial_problem(np.random.default_rng(seed), columns=columns)
    best = su.minimize(problem, tol=1e-13).value
    for max_iter in (2, 3, 4, 5):
        x = su.minimize(problem, max_iter=max_iter, tol=1e-13).x
        certificate = su.certify(problem, x, effort=effort)
        gap = certificate.value - best
        assert gap <= certificate.gap_bound
        assert certificate.gap_bound <= max(1e4 * gap, 1e-12)
        assert certificate.strong_convexity == pytest.approx(0.01)
        assert certificate.unique


def test_newton_decrement_is_that_of_the_formed_hessian(rng):
    problem = multinomial_problem(rng, columns=2)
    x = su.minimize(problem, max_iter=2, tol=0.0).x
    point = problem.evaluate(x)
    step = np.linalg.solve(problem.hessian(point), point.gradient)
    expected = math.sqrt(point.gradient @ step)
    assert su.certify(problem, x).newton_decrement == pytest.approx(expected, rel=1e-9)


def test_beyond_the_size_that_is_formed_cg_gives_the_decrement(monkeypatch, rng):
    problem = multinomial_problem(rng, columns=3)
    x = su.minimize(problem, max_iter=3, tol=0.0).x
    formed = su.certify(problem, x)
    monkeypatch.setattr("softunit.certificate.FORM_LIMIT", 1)
    by_cg = su.certify(problem, x)
    assert by_cg.newton_decrement == pytest.approx(formed.newton_decrement, rel=1e-3)
    assert "by conjugate gradients" in text(by_cg, proved=False)
    assert math.isfinite(by_cg.gap_bound)


def test_a_coupled_problem_is_bounded_globally_and_locally(rng):
    problem = squares_problem(rng, noise=0.3)
    solution = su.minimize(problem, tol=1e-12)
    certificate = su.certify(problem, solution.x)
    assert certificate.gap_bound == pytest.approx(solution.value, rel=1e-6)
    assert certificate.local_gap_bound < 1e-12
    assert "Kantorovich" in text(certificate, proved=True)
    assert certificate.unique is None


def test_the_papers_regulariser_proves_a_global_optimum(rng):
    a, b = rng.standard_normal((50, 3)), simplex(rng, 50)
    strong = su.Problem(a, SoftmaxSquares(), b, ScoreRidge(0.5))
    start = su.certify(strong, 0.1 * np.ones(3))
    best = su.minimize(strong, tol=1e-13)
    assert best.converged
    assert start.unique
    assert 0 <= start.value - best.value <= start.gap_bound < 10 * (start.value - best.value)
    assert "strongly convex everywhere" in text(start, proved=True)
    weak = su.certify(su.Problem(a, SoftmaxSquares(), b, ScoreRidge(0.4)), 0.1 * np.ones(3))
    assert weak.strong_convexity == 0.0


def test_cross_entropy_is_certified_by_its_entropy(rng):
    problem = squares_problem(rng)
    convex = su.Problem(problem.design, SoftmaxCrossEntropy(), problem.target)
    certificate = su.certify(convex, su.minimize(convex, tol=1e-13).x)
    assert certificate.gap_bound < 1e-12


def test_a_saddle_is_called_what_it_is():
    # b on one row, x far on the wrong side: the curvature along the column is negative.
    problem = su.Problem(np.array([[1.0], [0.0]]), SoftmaxSquares(), [1.0, 0.0])
    certificate = su.certify(problem, [-2.0])
    assert "not positive definite" in text(certificate, proved=False)
    assert math.isnan(certificate.newton_decrement)
    assert certificate.local_gap_bound == certificate.gap_bound


def test_collinear_columns_without_ridge_are_not_unique(rng):
    a = rng.standard_normal((80, 3))
    y = labels(3)(rng, 80)
    doubled = su.Problem(np.column_stack([a, a[:, 0]]), Multinomial(), y)
    certificate = su.certify(doubled, su.minimize(doubled).x)
    assert certificate.unique is False
    assert "1 of 4 directions" in text(certificate, proved=False)
    held = su.Problem(np.column_stack([a, a[:, 0]]), Multinomial(), y, Ridge(1e-3))
    assert su.certify(held, su.minimize(held).x).unique


def test_nothing_is_claimed_for_separable_classes_without_ridge():
    x, y = load_iris(return_X_y=True)
    problem = su.Problem(x[:100], Multinomial(), y[:100])
    certificate = su.certify(problem, su.minimize(problem).x)
    assert certificate.gap_bound == math.inf
    assert "no bound on the gap" in text(certificate)


def test_concordant_gap_is_half_the_squared_decrement_in_the_limit():
    assert concordant_gap(1e-8, 3.0) == pytest.approx(0.5e-16, rel=1e-6)
    assert concordant_gap(0.5, 2.0) == math.inf
    # Continuous where the series hands over to the closed form.
    below, above = concordant_gap(0.9999e-3, 1.0), concordant_gap(1.0001e-3, 1.0)
    assert above / below == pytest.approx((1.0001 / 0.9999) ** 2, rel=1e-6)


def test_the_bound_holds_for_the_function_it_models():
    # F(x) = log(1 + exp(-x)) + x / 4 is self-concordant with constant 1; its optimum is log 3.
    def gap(x: float) -> tuple[float, float]:
        p = 1 / (1 + math.exp(x))
        decrement = abs(0.25 - p) / math.sqrt(p * (1 - p))
        value = math.log1p(math.exp(-x)) + x / 4
        best = math.log1p(1 / 3) + math.log(3) / 4
        return value - best, concordant_gap(decrement, 1 / math.sqrt(p * (1 - p)))

    for x in np.linspace(0.2, 2.2, 41):
        true, bound = gap(x)
        assert true <= bound + 1e-15


def test_to_dict_is_json_without_nan(rng):
    problem = multinomial_problem(rng)
    certificate = su.certify(problem, np.zeros(problem.shape), effort="quick")
    data = json.loads(json.dumps(certificate.to_dict(), allow_nan=False))
    assert data["value"] == certificate.value
    assert data["statements"][0]["proved"] is True
    assert str(certificate).startswith("Proved: the objective is")


@pytest.mark.parametrize(
    ("x", "sentence"),
    [(np.zeros(3), r"x has shape \(3,\)"), (np.full((5, 3), np.nan), "15 entries")],
)
def test_bad_points_get_a_sentence(x, sentence, rng):
    with pytest.raises(ValueError, match=sentence):
        su.certify(multinomial_problem(rng), x)


def test_a_constant_across_classes_costs_its_ridge_and_nothing_else(rng):
    a, y = rng.standard_normal((60, 3)), labels(3)(rng, 60)
    problem = su.Problem(a, Multinomial(), y, Ridge(1e-14))
    best = su.minimize(problem, tol=1e-12).x
    moved = su.certify(problem, best + 1e6)
    cost = problem.value(best + 1e6) - problem.value(best)
    assert cost > 1e-2
    assert cost <= moved.gap_bound <= 1.1 * cost


def test_a_note_is_neither_proved_nor_estimated(rng):
    problem = multinomial_problem(rng)
    far = su.certify(problem, 50 * np.ones(problem.shape) * np.arange(3))
    marks = {statement.mark for statement in far.statements}
    assert "note" in marks
    assert marks <= {"proved", "estimated", "note"}
    assert "Note: " in str(far)


def test_what_rounding_hides_is_not_proved(rng):
    a = rng.standard_normal((60, 2))
    y = labels(2)(rng, 60)
    near = a[:, 0] + 1e-9 * rng.standard_normal(60)
    apart = su.Problem(np.column_stack([a, near]), Multinomial(), y)
    certificate = su.certify(apart, np.zeros(3))
    assert "give or take" in text(certificate, proved=False)
    assert certificate.gap_bound == math.inf
    problem = multinomial_problem(rng)
    x = su.minimize(problem, tol=0.0).x
    metric = Metric.of(problem)
    near, far = (Spectrum.at(problem, problem.evaluate(x), metric, reach=r) for r in (9.0, 99.0))
    assert near.gradient_error > 0
    assert far.gradient_error == pytest.approx(10 * near.gradient_error)
    assert far.eigenvalue_error == pytest.approx(10 * near.eigenvalue_error)
    assert 0 < near.proved_smallest < near.smallest
    assert near.decrement < near.proved_decrement < far.proved_decrement


def test_a_bound_from_below_is_told_where_it_is_the_best(rng):
    groups, y = np.repeat(np.arange(50), 3), np.zeros(150)
    y[3 * np.arange(50) + rng.integers(0, 3, 50)] = 1.0
    problem = su.Problem(rng.standard_normal((150, 4)), GroupedSoftmax(groups), y)
    at_end = su.certify(problem, su.minimize(problem).x)
    assert at_end.unique
    assert "smaller loss" not in str(at_end)  # it would say less than the last sentence
    far = su.certify(problem, np.full(4, 8.0))
    assert far.gap_bound == pytest.approx(far.value)
    assert "no point has a smaller loss than 0, so the value is within" in str(far)
    held = problem.derived(penalty=Ridge(0.1))
    sentences = str(su.certify(held, np.full(4, 8.0)))
    assert "Proved: there is a regulariser on a convex loss: the objective is strongly" in sentences
