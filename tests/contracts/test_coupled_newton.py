"""SketchedNewton where one column of scores couples all rows: sampled Hessians, full gradients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit.curvature import CentredDiagonal, Diagonal
from softunit.designs import DenseDesign, ScaledDesign, SparseDesign
from softunit.penalties import Ridge, ScoreRidge
from softunit.solution import Status
from softunit.solvers import GradientRegularizedNewton, SketchedNewton
from softunit.solvers.auto import is_large, resolve_solver
from softunit.solvers.coupled_newton import CoupledNewton, CoupledState
from softunit.solvers.curvature_sample import _Maker, row_form, sample_size, sampled_curvature
from softunit.solvers.memory import Memory
from softunit.solvers.search import Search
from softunit.units import GroupedSoftmax, SoftmaxCrossEntropy, SoftmaxSquares, TwoLayerSquares

N, D = 20_000, 6


def planted(rng: np.random.Generator, *, noise: float = 0.2, spread: float = 1.0, n: int = N):
    a = rng.standard_normal((n, D)) * np.logspace(0, 1, D)
    z = a @ (spread * rng.standard_normal(D) / np.logspace(0, 1, D))
    z += noise * rng.standard_normal(n)
    b = np.exp(z - z.max())
    return a, b / b.sum()


def point_of(problem: su.Problem, seed: int = 3, size: float = 0.1):
    return problem.evaluate(size * np.random.default_rng(seed).standard_normal(D))


def distortion(sampled_inverse, exact: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of the exact Hessian seen by the sampled one."""
    image = np.column_stack([sampled_inverse(column) for column in exact])
    return np.sort(np.linalg.eigvals(image).real)


@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_a_sampled_hessian_is_close_to_the_whole_one(spread):
    a, b = planted(np.random.default_rng(0), spread=spread)
    problem = su.Problem(a, SoftmaxCrossEntropy(), b)
    point = point_of(problem)
    exact = problem.hessian(point)
    seen = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        made = sampled_curvature(problem, point, "exact", sample_size(problem), rng)
        seen.append(distortion(made.inverse, exact))
        assert made.leverage is not None
    assert min(low[0] for low in seen) > 0.7
    assert max(high[-1] for high in seen) < 1.5
    few = sampled_curvature(problem, point, "exact", 60, np.random.default_rng(0))
    assert not (distortion(few.inverse, exact)[[0, -1]] == 1.0).all()


def test_draws_are_unbiased_and_sure_rows_stay_as_they_are():
    rng = np.random.default_rng(0)
    chance = np.full(1000, 0.1 / 999)
    chance[0] = 0.9
    total, times = 0.0, np.zeros(1000)
    values = rng.standard_normal(1000)
    for seed in range(400):
        index, weight = _Maker.drawn(chance, 100, np.random.default_rng(seed))
        assert index[0] == 0
        assert weight[0] == 1.0
        total += float(weight @ values[index]) / 400
        times[index] += 1
        assert 60 < len(index) < 140  # the one row that is sure hands its other draws on
    assert total == pytest.approx(values.sum(), abs=20.0)
    assert times[1:].mean() == pytest.approx(400 * 99 / 999, rel=0.05)


def test_heavy_rows_are_drawn_by_their_leverage():
    rng = np.random.default_rng(0)
    a, b = planted(rng)
    a[7, 2] = 1e4  # one row holds nearly all there is of a column
    problem = su.Problem(a, SoftmaxCrossEntropy(), b)
    point = problem.evaluate(np.zeros(D))
    exact = problem.hessian(point)
    for seed in range(10):
        made = sampled_curvature(problem, point, "exact", 500, np.random.default_rng(seed))
        again = sampled_curvature(problem, point, "exact", 500, np.random.default_rng(seed), made)
        # The first draw may miss it; by then its leverage is known.
        assert distortion(again.inverse, exact)[-1] < 3.0
        assert again.leverage[7] > 100 * np.median(again.leverage)


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("form", ["dense", "sparse", "scaled"])
def test_it_ends_where_gradient_regularised_newton_ends(form, noise):
    a, b = planted(np.random.default_rng(1), noise=noise)
    design = {
        "dense": lambda: DenseDesign(a),
        "sparse": lambda: SparseDesign(sparse.csr_matrix(a)),
        "scaled": lambda: ScaledDesign(DenseDesign(a), centre=a.mean(axis=0), scale=a.std(axis=0)),
    }[form]()
    problem = su.Problem(design, SoftmaxSquares(), b)
    assert 2 * sample_size(problem) < N
    start = su.minimize(su.Problem(design, SoftmaxCrossEntropy(), b), tol=1e-3).x
    exact = su.minimize(problem, start, solver=GradientRegularizedNewton(), tol=1e-12)
    found = su.minimize(problem, start, solver=SketchedNewton(), tol=1e-10)
    assert found.converged
    assert found.solver == "SketchedNewton"
    np.testing.assert_allclose(design.to_input(found.x), design.to_input(exact.x), atol=1e-7)
    assert found.cost.rows < found.cost.products * N  # no Hessian of all rows
    assert found.n_iter <= 25


def test_penalties_and_terms_beside_the_rows_are_exact():
    rng = np.random.default_rng(2)
    a, b = planted(rng)
    w = rng.uniform(0.0, 0.1, N)
    matrix = rng.standard_normal((5, N))
    for unit, target in ((SoftmaxSquares(), b), (TwoLayerSquares("tanh", matrix), np.full(5, 0.1))):
        problem = su.Problem(a, unit, target, (Ridge(0.3), ScoreRidge(w)))
        point = point_of(problem)
        maker = _Maker(problem, row_form(problem, point, "exact"))
        everything = np.arange(N), np.ones(N)
        np.testing.assert_allclose(
            maker.of(everything, maker.form.weights), problem.hessian(point), rtol=1e-9, atol=1e-9
        )
        twice = maker._penalties()
        np.testing.assert_allclose(
            twice, a.T @ ((w**2)[:, None] * a) + 0.3 * np.eye(D), rtol=1e-10, atol=1e-10
        )
        found = su.minimize(problem, solver=SketchedNewton(), tol=1e-9)
        assert found.converged


def test_curvatures_without_rows_are_taken_whole():
    rng = np.random.default_rng(3)
    a, b = planted(rng, n=600)
    groups = np.repeat(np.arange(100), 6)
    problem = su.Problem(a, GroupedSoftmax(groups), b)
    assert row_form(problem, point_of(problem), "exact") is None
    found = su.minimize(problem, solver=SketchedNewton(), tol=1e-9)
    assert found.converged
    assert isinstance(resolve_solver("auto", problem), type(resolve_solver("newton", problem)))


def test_wide_and_tall_designs_are_sampled_by_auto_and_others_are_not():
    rng = np.random.default_rng(4)
    tall = su.Problem(rng.standard_normal((30_000, 60)), SoftmaxSquares(), np.full(30_000, 1 / 3e4))
    assert is_large(tall)
    assert isinstance(resolve_solver("auto", tall), SketchedNewton)
    narrow = su.Problem(tall.design.array[:, :10], SoftmaxSquares(), tall.target)
    assert isinstance(resolve_solver("auto", narrow), GradientRegularizedNewton)
    short = su.Problem(tall.design.array[:5000], SoftmaxSquares(), np.full(5000, 2e-4))
    assert isinstance(resolve_solver("auto", short), GradientRegularizedNewton)


def test_an_indefinite_sample_takes_the_positive_part():
    a, b = planted(np.random.default_rng(5), spread=1.0)
    problem = su.Problem(a, SoftmaxSquares(), b)
    point = point_of(problem, size=0.1)
    form = row_form(problem, point, "exact")
    assert np.linalg.eigvalsh(problem.hessian(point))[0] < 0
    made = sampled_curvature(problem, point, "exact", 4000, np.random.default_rng(0))
    positive = problem.design.gram(CentredDiagonal(np.maximum(form.weights, 0), form.centre))
    eigenvalues = distortion(made.inverse, positive)
    assert 0.5 < eigenvalues[0] <= eigenvalues[-1] < 2.0


def test_poor_steps_draw_more_rows_and_a_lost_search_takes_all():
    a, b = planted(np.random.default_rng(6))
    problem = su.Problem(a, SoftmaxSquares(), b)
    point = point_of(problem)
    solver = CoupledNewton(memory=5, seed=0, search=Search())
    state = CoupledState(point, 500, 0, Memory(5))
    first, status = solver.step(problem, state)
    assert status is Status.RUNNING
    assert first.rows == 500
    tired = CoupledState(first.point, 500, 1, Memory(5), first.sample, first.decrement, poor=2)
    assert solver.step(problem, tired)[0].rows == 2000
    remembering = Memory(5).with_pair(np.ones(D), np.ones(D))
    lost = CoupledState(point, 500, 0, remembering, first.sample)
    forgot, status = solver._stuck(problem, lost, -1.0)
    assert status is Status.RUNNING
    assert (len(forgot.memory.pairs), forgot.sample, forgot.rows) == (0, None, 500)
    whole, status = solver._stuck(problem, forgot, -1.0)
    assert status is Status.RUNNING
    assert whole.rows == N
    assert solver._stuck(problem, whole, -1.0)[1] is Status.NO_DESCENT
    assert solver._stuck(problem, whole, -1e-30)[1] is Status.ROUNDING


def test_changed_weights_draw_anew_and_kept_ones_do_not():
    a, b = planted(np.random.default_rng(7))
    problem = su.Problem(a, SoftmaxCrossEntropy(), b)
    solver = CoupledNewton(memory=5, seed=0, search=Search())
    state = solver.init(problem, problem.evaluate(np.zeros(D)))
    state, _ = solver.step(problem, state)
    kept = CoupledState(state.point, state.rows, state.seed, state.memory, state.sample)
    far = problem.evaluate(state.point.x + 3.0)
    moved = CoupledState(far, state.rows, state.seed, state.memory, state.sample)
    assert solver._sampled(problem, moved).sample is not state.sample
    near = problem.evaluate(np.zeros(D))
    same = CoupledState(near, kept.rows, kept.seed, kept.memory, kept.sample)
    assert solver._sampled(problem, same).sample is state.sample


def test_one_seed_gives_one_answer():
    a, b = planted(np.random.default_rng(8))
    problem = su.Problem(a, SoftmaxSquares(), b)
    one, two = (su.minimize(problem, solver=SketchedNewton(seed=3), max_iter=3) for _ in range(2))
    np.testing.assert_array_equal(one.x, two.x)
    other = su.minimize(problem, solver=SketchedNewton(seed=4), max_iter=3)
    assert np.abs(other.x - one.x).max() > 0


def test_grams_of_designs_larger_than_a_block_take_a_centre_out_safely():
    rng = np.random.default_rng(9)
    a = rng.standard_normal((150_000, 8)) + 1e6  # so far off that the centre must leave the rows
    f, p = rng.dirichlet(np.ones(len(a))), rng.uniform(size=len(a))
    centred = a - f @ a
    expected = centred.T @ (p[:, None] * centred)
    for weights, wanted in ((p, expected), (-p, -expected)):
        found = DenseDesign(a).gram(CentredDiagonal(weights, f))
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-7 * np.abs(wanted).max())
    scaled = ScaledDesign(
        DenseDesign(a), intercept=True, centre=a.mean(axis=0), scale=np.full(8, 2)
    )
    dense = scaled.toarray()
    np.testing.assert_allclose(
        scaled.gram(Diagonal(p)), dense.T @ (p[:, None] * dense), rtol=1e-8, atol=1e-3
    )


def test_small_problems_are_taken_whole():
    a, b = planted(np.random.default_rng(10), n=600)
    problem = su.Problem(a, SoftmaxCrossEntropy(), b)
    assert sample_size(problem) == 600
    made = sampled_curvature(problem, point_of(problem), "exact", 600, np.random.default_rng(0))
    assert made.leverage is None
    np.testing.assert_allclose(distortion(made.inverse, problem.hessian(point_of(problem))), 1.0)


def test_leverage_is_measured_around_the_centre_and_no_row_goes_without():
    a, b = planted(np.random.default_rng(11), n=400)
    a += 1e3  # beside such a mean every row looks alike
    problem = su.Problem(a, SoftmaxCrossEntropy(), b)
    point = problem.evaluate(np.zeros(D))
    maker = _Maker(problem, row_form(problem, point, "exact"))
    hessian = problem.hessian(point)
    rows = a - maker.form.centre @ a
    exact = np.einsum("ij,jk,ik->i", rows, np.linalg.inv(hessian), rows)
    draws = [maker.leverage(hessian.copy(), np.random.default_rng(seed)) for seed in range(400)]
    np.testing.assert_allclose(np.mean(draws, axis=0), exact + 0.1 * exact.mean(), rtol=0.3)
    assert min(draw.min() / draw.mean() for draw in draws) > 0.05


def test_weights_of_rows_and_a_ridge_alone_are_in_the_sampled_hessian():
    rng = np.random.default_rng(12)
    a, b = planted(rng, n=500)
    problem = su.Problem(a, SoftmaxSquares(), b, Ridge(0.3), weights=rng.uniform(0.1, 3.0, 500))
    point = point_of(problem)
    maker = _Maker(problem, row_form(problem, point, "exact"))
    found = maker.of((np.arange(500), np.ones(500)), maker.form.weights)
    np.testing.assert_allclose(found, problem.hessian(point), rtol=1e-9, atol=1e-12)


def test_a_derived_problem_has_its_own_score_ridge():
    a, b = planted(np.random.default_rng(13), n=500)
    problem = su.Problem(a, SoftmaxSquares(), b, ScoreRidge(1.0))
    for factor in (1.0, 3.0):
        twin = problem.derived(penalty=ScoreRidge(factor))
        maker = _Maker(twin, row_form(twin, point_of(twin), "exact"))
        np.testing.assert_allclose(maker._penalties(), factor**2 * (a.T @ a), rtol=1e-12)


@pytest.mark.parametrize("rows", [2000, N])
def test_a_constant_column_gets_no_step(rows):
    a, b = planted(np.random.default_rng(14))
    a[:, 2] = 1e3 / 3
    problem = su.Problem(a, SoftmaxCrossEntropy(), b)
    point = point_of(problem)
    made = sampled_curvature(problem, point, "exact", rows, np.random.default_rng(0))
    # Rounding is all that the Hessian holds of it: its inverse would be huge.
    largest = (np.diagonal(problem.hessian(point)) / (a**2).sum(axis=0)).max()
    step = np.abs(made.inverse(np.eye(D)[2]))
    assert step.max() <= 10 / (largest * (a[:, 2] ** 2).sum())


def test_what_a_step_teaches():
    a, b = planted(np.random.default_rng(15))
    problem = su.Problem(a, SoftmaxCrossEntropy(), b)
    solver = CoupledNewton(memory=5, seed=7, search=Search())
    start = problem.evaluate(np.zeros(D))
    state = CoupledState(start, 2000, 7, Memory(5), decrement=1e-12)
    after, _ = solver.step(problem, state)
    (move, change, _), *more = after.memory.pairs
    assert not more
    np.testing.assert_array_equal(move, after.point.x - start.x)
    np.testing.assert_array_equal(change, after.point.gradient - start.gradient)
    slope = start.gradient @ after.sample.inverse(start.gradient)
    assert after.decrement == pytest.approx(slope)
    assert (after.poor, after.seed) == (1, 8)  # far above what was left: the model was poor
    good = solver.step(problem, CoupledState(start, 2000, 7, Memory(5), decrement=1e12))[0]
    assert good.poor == 0
    moved = CoupledState(problem.evaluate(after.point.x + 3.0), 2000, 8, after.memory, after.sample)
    drawn = solver._sampled(problem, moved)
    assert not drawn.memory.pairs  # moves across a changed Hessian tell of neither
    assert drawn.seed == 9
