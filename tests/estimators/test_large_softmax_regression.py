"""Softmax regression on designs so large that passes over them count, and the paper's algorithm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit._numeric import softmax
from softunit._progress import Tick
from softunit.errors import InputError, NotUniqueWarning, SoftunitWarning
from softunit.estimators._descents import Descents
from softunit.estimators._objective import Settings
from softunit.estimators._softmax_phases import Phases
from softunit.penalties import Ridge, ScoreRidge
from softunit.solvers import GradientRegularizedNewton
from softunit.units import SoftmaxCrossEntropy, SoftmaxSquares

N, D = 30_000, 55
silent: Tick = lambda record: None  # noqa: E731


def planted(seed: int, *, spread: float = 1.0, noise: float = 0.1):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((N, D)) * np.logspace(0, 2, D)
    x = spread * rng.standard_normal(D) / np.sqrt(D) / np.logspace(0, 2, D)
    return a, softmax(a @ x + noise * rng.standard_normal(N)), x


def phases(problem: su.Problem) -> Phases:
    return Phases(problem, Settings("auto", 1e-10, 200), silent)


@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_few_passes_end_where_many_do(spread):
    a, b, _ = planted(0, spread=spread)
    model = su.SoftmaxRegressor().fit(a, b)
    assert [phase.solver for phase in model.phases_] == ["Newton", "SketchedNewton"]
    assert model.solution_.converged
    exact = su.minimize(
        su.Problem(a - a.mean(axis=0), SoftmaxSquares(), b),
        model.coef_ * 1.001,
        solver=GradientRegularizedNewton(),
        tol=1e-13,
    )
    scale = a.std(axis=0)
    np.testing.assert_allclose(model.coef_ * scale, exact.x * scale, atol=1e-7)
    assert model.solution_.cost.products <= 60
    assert model.certificate_.newton_decrement**2 < 1e-12 * model.solution_.value


def test_a_planted_point_is_met_without_a_descent():
    a, b, x = planted(1, noise=0.0)
    model = su.SoftmaxRegressor().fit(a, b)
    np.testing.assert_allclose(model.coef_ * a.std(axis=0), x * a.std(axis=0), atol=1e-9)
    assert model.solution_.n_iter == 0
    assert model.solution_.value < 1e-25


def test_sparse_designs_too():
    a, b, _ = planted(2)
    a[np.random.default_rng(0).random(a.shape) < 0.8] = 0.0
    dense = su.SoftmaxRegressor().fit(a, b)
    model = su.SoftmaxRegressor().fit(sparse.csr_matrix(a), b)
    np.testing.assert_allclose(model.coef_, dense.coef_, rtol=1e-6, atol=1e-12)


def test_another_solver_is_taken_at_its_word():
    a, b, _ = planted(3)
    model = su.SoftmaxRegressor(solver="lbfgs", tol=1e-6).fit(a, b)
    assert {phase.solver for phase in model.phases_[1:]} == {"LBFGS"}


def test_the_sampled_cross_entropy_stands_for_the_whole():
    a, b, _ = planted(4, spread=3.0)
    whole = su.Problem(a / a.std(axis=0), SoftmaxSquares(), b, Ridge(0.1))
    sample = phases(whole)._sampled(b)
    assert sample.design.shape[0] < N / 4
    assert sample.target.sum() == pytest.approx(1.0)
    full = su.Problem(whole.design, SoftmaxCrossEntropy(), b, whole.penalties)
    near = su.minimize(sample, tol=1e-10).x
    exact = su.minimize(full, tol=1e-10).x
    gained = full.value(0 * exact) - full.value(exact)
    assert full.value(near) - full.value(exact) < 0.3 * gained
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = 0.1 * rng.standard_normal(D)
        change = sample.value(x) - sample.value(0 * x)
        assert change == pytest.approx(full.value(x) - full.value(0 * x), abs=0.1)


def test_weights_of_the_scores_are_kept():
    a, b, _ = planted(10)
    w = np.linspace(0.0, 0.02, N)
    model = su.SoftmaxRegressor(w=w).fit(a, b)
    assert [phase.solver for phase in model.phases_] == ["SketchedNewton"] * 2
    problem = su.Problem(a, SoftmaxSquares(), b, ScoreRidge(w))
    assert problem.gradient_norm(problem.gradient(model.coef_)) < 1e-9


def test_a_target_on_few_rows_keeps_them_in_the_sample():
    a, _, _ = planted(5)
    b = np.zeros(N)
    b[[7, 70, 700]] = 1 / 3
    problem = su.Problem(a / a.std(axis=0), SoftmaxSquares(), b)
    sample = phases(problem)._sampled(b)
    assert np.count_nonzero(sample.target) == 3
    assert (sample.offset[sample.target > 0] == 0.0).all()  # drawn for sure: counts once


def test_few_rows_tell_whether_a_linear_solve_may_meet_the_target(monkeypatch):
    a, b, x = planted(6, noise=0.0)
    scaled = a / a.std(axis=0)
    rng = np.random.default_rng(0)
    noisy = b * np.exp(1e-3 * rng.standard_normal(N))

    def solved(target):
        return phases(su.Problem(scaled, SoftmaxSquares(), target))._linear_solve()

    np.testing.assert_allclose(solved(b), x * a.std(axis=0), atol=1e-12)
    assert solved(noisy / noisy.sum()) is None
    one_row = b.copy()
    one_row[N // 2] *= 1.0 + 1e-6  # what few rows cannot see, all of them do
    assert solved(one_row / one_row.sum()) is None
    monkeypatch.setattr("softunit.estimators._softmax_phases.TALL", 10**9)
    np.testing.assert_allclose(solved(b), x * a.std(axis=0), atol=1e-12)
    assert solved(noisy / noisy.sum()) is None


def test_collinear_columns_of_a_tall_design_are_found_all_the_same():
    a, b, _ = planted(11)
    a[:, 3] = 2 * a[:, 2] - 1.0
    with pytest.warns(NotUniqueWarning, match="moves no score"):
        model = su.SoftmaxRegressor().fit(a, b)
    assert model.certificate_.unique is False
    frame = pd.DataFrame(a, columns=[f"c{j}" for j in range(D)])
    with pytest.warns(NotUniqueWarning, match="columns 'c2', 'c3' of A are collinear"):
        su.SoftmaxRegressor().fit(frame, b)
    a[:5, 3] += 1e-3 * a[:5, 2].std()  # five of 30,000 rows tell them apart
    assert su.SoftmaxRegressor().fit(a, b).certificate_.unique is not False


def test_the_papers_algorithm_needs_the_papers_w():
    rng = np.random.default_rng(7)
    a = rng.standard_normal((4000, 4))
    b = softmax(a @ rng.standard_normal(4))
    paper = su.SoftmaxRegressor(w=np.sqrt(21.0), fidelity="paper").fit(a, b)
    usual = su.SoftmaxRegressor(w=np.sqrt(21.0)).fit(a, b)
    assert paper.solution_.solver == "PaperNewton"
    assert paper.solution_.converged
    np.testing.assert_allclose(paper.coef_, usual.coef_, atol=1e-12)
    again = su.SoftmaxRegressor(w=np.sqrt(21.0), fidelity="paper").fit(a, b)
    np.testing.assert_array_equal(paper.coef_, again.coef_)
    other = su.SoftmaxRegressor(w=np.sqrt(21.0), fidelity="paper", random_state=1).fit(a, b)
    steps = [record.value for record in paper.solution_.history]
    assert steps != [record.value for record in other.solution_.history]
    with (
        pytest.warns(ConvergenceWarning, match="PaperNewton stopped"),
        pytest.warns(
            SoftunitWarning, match="asks for w_i.2 >= 20 and more, of which some row lacks"
        ),
    ):
        su.SoftmaxRegressor(fidelity="paper", max_iter=5).fit(a, b)


def test_counts_are_normalised_where_that_is_asked_for():
    rng = np.random.default_rng(8)
    a = rng.standard_normal((300, 3))
    counts = rng.poisson(np.exp(a @ np.ones(3))).astype(float)
    shares = counts / counts.sum()
    model = su.SoftmaxRegressor(normalise=True).fit(a, counts)
    np.testing.assert_allclose(model.coef_, su.SoftmaxRegressor().fit(a, shares).coef_, rtol=1e-12)
    full = model.certify(a, counts)
    assert full.value == pytest.approx(model.solution_.value, rel=1e-12)
    for bad, sentence in ((-counts, "the least is -"), (0 * counts, "the sum is 0")):
        with pytest.raises(InputError, match=sentence):
            model.fit(a, bad)
    with pytest.raises(InputError, match="`normalise` must be True or False; got 'yes'"):
        su.SoftmaxRegressor(normalise="yes").fit(a, shares)
    with pytest.raises(InputError, match="`fidelity` must be 'auto' or 'paper'; got 'printed'"):
        su.SoftmaxRegressor(fidelity="printed").fit(a, shares)


def test_solutions_are_records_of_the_phases():
    a, b, _ = planted(9)
    model = su.SoftmaxRegressor().fit(a, b)
    last = dataclasses.replace(model.phases_[-1], x=model.solution_.x)
    assert last.value == model.solution_.value
    assert model.n_iter_ == sum(phase.n_iter for phase in model.phases_)


def test_a_first_solve_of_few_rows_can_be_refined():
    a, _, _ = planted(12)
    scaled = a / a.std(axis=0)
    x, inverse = phases(su.Problem(scaled, SoftmaxSquares(), np.full(N, 1 / N)))._first_solve(
        np.zeros(N)
    )
    np.testing.assert_array_equal(x, 0.0)
    centred = scaled - scaled.mean(axis=0)
    image = np.column_stack([inverse(column) for column in centred.T @ centred])
    eigenvalues = np.linalg.eigvals(image).real
    assert 0.3 < eigenvalues.min() <= eigenvalues.max() < 3.0


def test_the_sampled_cross_entropy_keeps_the_ridge():
    a, b, _ = planted(4)
    ridge = np.linspace(0.1, 2.0, D)
    sample = phases(su.Problem(a / a.std(axis=0), SoftmaxSquares(), b, Ridge(ridge)))._sampled(b)
    assert sample.design.shape[0] < N / 4
    np.testing.assert_array_equal(sample.ridge, ridge)


def test_a_polish_is_kept_only_where_it_helps(monkeypatch):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((200, 5))
    b = softmax(a @ rng.standard_normal(5) + 0.3 * rng.standard_normal(200))
    descents = Descents(su.Problem(a, SoftmaxSquares(), b), Settings("auto", 1e-3, 200), silent)
    rough = descents.descend(np.zeros(5))
    assert 1e-7 < rough.gradient_norm <= 1e-3
    polished = descents.polished(rough)
    assert polished.gradient_norm <= 1e-7
    assert su.SoftmaxRegressor(tol=1e-3).fit(a, b).solution_.gradient_norm <= 1e-7
    for bad in ({"value": rough.value + 1.0}, {"gradient_norm": 2e-3}):
        end = dataclasses.replace(polished, **bad)
        monkeypatch.setattr("softunit.estimators._descents.minimize", lambda *_, end=end, **__: end)
        assert descents.polished(rough) is rough
