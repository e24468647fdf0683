"""What a report says of regressions: the objective, the runs, targets over decades."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from softunit import (
    HyperbolicRegressor,
    LeverageScoreInverter,
    RescaledRegressor,
    SoftmaxRegressor,
    TwoLayerRegressor,
)
from softunit.report import Scatter, regressor_summary, render_html
from softunit.report.charts import convergence_charts, scatter_chart
from softunit.report.objectives import regressor_objective
from tests.report.stand_ins import regressed, solution

OBJECTIVES = [
    (SoftmaxRegressor(), "1/2 |softmax(A x) - b|²"),
    (SoftmaxRegressor(w=0.5), "1/2 |softmax(A x) - b|² + 1/2 |0.5 A x|²"),
    (HyperbolicRegressor("sinh", ridge=2.0), "1/2 |sinh(A x) - b|² + 2/2 |x|²"),
    (HyperbolicRegressor(w=np.ones(3)), "1/2 |exp(A x) - b|² + 1/2 |diag(w) A x|²"),
    (RescaledRegressor("cosh"), "1/2 |u / <u, 1> - b|², u = cosh(A x)"),
    (RescaledRegressor(gauge=None), "1/2 |u - <u, 1> b|², u = exp(A x)"),
    (TwoLayerRegressor(np.eye(2), "relu"), "1/2 |relu(C softmax(A x)) - b|²"),
    (
        LeverageScoreInverter(w=1),
        "1/2 |sigma(x) - sigma|² + 1/2 |1 A x|², sigma(x) = leverage scores of diag(1/(A x - b)) A",
    ),
]


@pytest.mark.parametrize(("estimator", "objective"), OBJECTIVES)
def test_the_objective_is_written_out(estimator, objective):
    settings = estimator.get_params(deep=False)
    assert regressor_objective(type(estimator).__name__, settings) == objective


def test_weights_stand_in_the_objective(rng):
    A = rng.standard_normal((30, 2))
    b, s = np.exp(A @ [0.3, -0.2]) + 0.1 * rng.standard_normal(30), rng.uniform(1, 2, 30)
    estimator = HyperbolicRegressor().fit(A, b, s)
    summary = regressor_summary(estimator, A, b, sample_weight=s)
    assert summary.objective == "1/2 Σ s_i (exp(A x) - b)_i²"
    assert dict(summary.data)["Row weights"].startswith("given")
    assert summary.title == "HyperbolicRegressor (exp)"
    assert "keyboard_interrupt" not in dict(summary.settings)


def test_fitted_values_may_be_given(rng):
    A = rng.standard_normal((30, 2))
    shift = A @ [0.5, 1.0] - rng.uniform(1, 2, 30)
    sigma = np.sum(np.linalg.qr(A / (A @ [0.5, 1.0] - shift)[:, None])[0] ** 2, axis=1)
    estimator = LeverageScoreInverter(signs="interior").fit(A, sigma, shift)
    fitted = estimator.predict(A, shift)
    summary = regressor_summary(estimator, A, sigma, fitted=fitted)
    assert summary.fit is not None
    np.testing.assert_array_equal(summary.fit.fitted, fitted)
    assert dict(summary.measures)["A x below b"] in ("in 0 of 30 rows", "in 30 of 30 rows")
    assert float(dict(summary.measures)["Misfit before the polish"]) < 1e-6
    paper = LeverageScoreInverter(fidelity="paper").fit(A, sigma, shift, estimator.coef_)
    summary = regressor_summary(paper, A, sigma, fitted=fitted)
    assert "Misfit before the polish" not in dict(summary.measures)


def test_all_runs_are_listed(rng):
    A = rng.standard_normal((40, 2))
    b = np.exp(A @ [1.0, 0.5] + rng.standard_normal(40))
    estimator = SoftmaxRegressor().fit(A, b / b.sum())
    summary = regressor_summary(estimator, A, b / b.sum())
    assert len(summary.runs) == len(estimator.phases_) >= 2
    label, value = summary.runs[-1]
    assert label == f"{len(summary.runs)}. {estimator.phases_[-1].solver}"
    assert value.startswith(f"{estimator.phases_[-1].n_iter} iteration")
    page = render_html(summary)
    assert "The runs that led here" in page
    assert page.count(f"{label}</th>") == 1


def test_a_fit_without_iterations_says_so(rng):
    A = rng.standard_normal((40, 2))
    b = np.exp(A @ [1.0, 0.5])
    estimator = HyperbolicRegressor().fit(A, b)
    summary = regressor_summary(estimator, A, b)
    assert convergence_charts(summary) == ()
    assert "No iterations: the start was within the tolerance." in render_html(summary)


def test_a_picture_needs_two_points():
    drawn = regressed()
    two, one = (dataclasses.replace(drawn, solution=solution(steps=n)) for n in (2, 1))
    assert {chart.key for chart in convergence_charts(two)} == {"iterations", "seconds", "products"}
    assert convergence_charts(one) == ()


@pytest.mark.parametrize(
    ("target", "log"),
    [([1e-4, 0.1, 1.0], True), ([1e-2, 0.1, 1.0], False), ([-1e-4, 0.1, 1.0], False)],
)
def test_targets_over_decades_have_logarithmic_axes(target, log):
    target = np.array(target)
    chart = scatter_chart(Scatter(target, target, 3))
    assert (chart.x.log, chart.y.log) == (log, log)
    heights = [round((chart.box.bottom - y) / (chart.box.bottom - chart.box.top), 3)
               for _, y, _ in chart.dots]  # fmt: skip
    across = [round((x - chart.box.left) / (chart.box.right - chart.box.left), 3)
              for x, _, _ in chart.dots]  # fmt: skip
    assert heights == pytest.approx(across, abs=2e-3)
    assert heights == sorted(heights)


def test_few_targets_are_dots_and_many_a_cloud():
    assert 'class="cloud"' not in render_html(regressed(rows=300))
    assert 'class="cloud"' in render_html(regressed(rows=301))
