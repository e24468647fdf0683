"""Newton's method on growing samples: the optimum of all rows, whatever the rows are like."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits

import softunit as su
from softunit.designs import DenseDesign, ScaledDesign, as_design
from softunit.errors import InputError
from softunit.passes import Rows
from softunit.penalties import Ridge, ScoreRidge
from softunit.solution import Status
from softunit.solvers import Newton, SketchedNewton
from softunit.solvers.sketched_newton import SketchedState
from softunit.units import Multinomial

N, D = 4000, 5
DEFAULT = SketchedNewton()
precisions = pytest.mark.parametrize("coarse", [False, True], ids=["fine", "coarse"])


@pytest.fixture
def stages(monkeypatch):
    """Samples as small as the data of these tests: two of them before all rows."""
    monkeypatch.setattr("softunit.solvers.sketch_plan.FIRST_ROWS", 50)


@pytest.fixture
def narrowed(coarse, monkeypatch):
    """Work in float32 far from the optimum, as on large data; or nowhere."""
    monkeypatch.setattr("softunit.solvers.sketch_plan.COARSE_WORK", 0 if coarse else np.inf)


def rows(k: int, n: int = N, d: int = D, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a design and labels that follow it with noise."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, d))
    z = a @ rng.standard_normal((d, k)) + rng.gumbel(size=(n, k))
    return a, z.argmax(axis=1)


def build(a, y, k: int = 3, ridge=1e-3, **settings) -> su.Problem:
    return su.Problem(a, Multinomial(k), y, Ridge(ridge), **settings)


def anew(problem: su.Problem) -> su.Problem:
    """Return the same problem with nothing prepared and nothing spent."""
    return su.Problem(
        problem.design,
        problem.unit,
        problem.target,
        problem.penalties,
        weights=problem.weights,
        offset=problem.offset,
    )


def agreed(problem: su.Problem, solver=DEFAULT, *, tol=1e-9, rel=1e-10) -> su.Solution:
    """Minimise, and assert that Newton's method finds no less; samples must have been used."""
    exact = su.minimize(anew(problem), solver=Newton(linear="cholesky"), tol=1e-12, max_iter=100)
    found = su.minimize(problem, solver=solver, tol=tol, max_iter=200)
    assert found.converged, found.message
    assert found.gradient_norm <= tol
    assert found.value == pytest.approx(exact.value, rel=rel)
    told_of_all_rows(problem, found)
    return found


def told_of_all_rows(problem: su.Problem, found: su.Solution) -> None:
    """Assert that value and gradient are those of all rows in float64, but for rounding."""
    point = anew(problem).evaluate(found.x)
    assert found.value == pytest.approx(point.value, rel=1e-13)
    for gradient in (point.gradient, problem.gradient(found.x)):
        norm = problem.gradient_norm(gradient)
        assert found.gradient_norm == pytest.approx(norm, rel=1e-6, abs=1e-14)
    last = found.history[-1]
    assert (last.value, last.gradient_norm, last.share) == (found.value, found.gradient_norm, 1.0)


def staged(solution: su.Solution, least: int = 3) -> su.Solution:
    """Assert that shares of the rows only grow, over so many stages, and end with all."""
    shares = [record.share for record in solution.history]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) >= least, sorted(set(shares))
    return solution


# The optimum ----------------------------------------------------------------------------------


@precisions
@pytest.mark.parametrize("hessian", ["auto", "sampled", "kronecker"])
@pytest.mark.parametrize("k", [2, 3, 10])
@pytest.mark.usefixtures("narrowed", "stages")
def test_it_ends_where_newton_ends(k, hessian):
    found = agreed(build(*rows(k), k), SketchedNewton(hessian=hessian))
    staged(found, least=2 if k == 10 else 3)
    if k == 2:
        assert found.x.shape == (D,)


def duplicated(a):
    return np.hstack([a, a[:, :2]])


def constant(a):
    return np.hstack([a, np.ones((len(a), 2)), np.zeros((len(a), 1))])


FORMS = {
    "dense-f": np.asfortranarray,
    "float32": lambda a: a.astype(np.float32),
    "sparse": lambda a: sparse.csr_matrix(a * (np.abs(a) > 1)),
    "intercept": lambda a: as_design(a + 3, intercept=True),
    "scaled-sparse": lambda a: ScaledDesign(
        as_design(sparse.csr_matrix(a * (np.abs(a) > 1))), intercept=True, centre=np.ones(D)
    ),
    "duplicated": duplicated,
    "constant": constant,
}


@precisions
@pytest.mark.parametrize("ridge", [1e-3, 0.0])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.usefixtures("narrowed", "stages")
def test_designs_of_every_form(form, ridge):
    a, y = rows(3)
    for hessian in ("sampled", "kronecker"):
        solver = SketchedNewton(hessian=hessian)
        staged(agreed(build(FORMS[form](a), y, ridge=ridge), solver), least=2)


@pytest.mark.parametrize("hessian", ["sampled", "kronecker"])
@pytest.mark.usefixtures("stages")
def test_collinear_columns_without_ridge_from_any_sample(hessian):
    # Rounding along what no row determines must not be taken for a step.
    a, y = rows(3)
    for seed in range(12):
        agreed(build(duplicated(a), y, ridge=0.0), SketchedNewton(hessian=hessian, seed=seed))


@precisions
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("factor", [1e-6, 1e2, 1e3, 1e4])
@pytest.mark.usefixtures("narrowed", "stages")
def test_columns_in_other_units(factor, k):
    # Rounding in float32 then leaves a gradient far above the tolerance: float64 must go on.
    a, y = rows(k)
    agreed(build(a * np.array([factor, 1, 1, 1, 1]), y, k=k))


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_columns_beyond_float32_are_no_trouble():
    a, y = rows(3)
    for factor in (1e39, 1e-42):
        wide = a * np.array([1, factor, 1, 1, 1])
        design = ScaledDesign(
            DenseDesign(wide), intercept=True, centre=wide.mean(axis=0), scale=wide.std(axis=0)
        )
        exact = su.minimize(build(as_design(a, intercept=True), y, ridge=0.0), tol=1e-12)
        for x0 in (None, np.ones((D + 1, 3))):
            problem = build(design, y, ridge=0.0)
            found = su.minimize(problem, x0, solver=SketchedNewton(), tol=1e-9)
            assert found.value == pytest.approx(exact.value, rel=1e-10)


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_rows_sorted_by_label():
    a, y = rows(3)
    order = np.argsort(y, kind="stable")
    staged(agreed(build(a[order], y[order])))


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_a_class_with_one_row():
    a, y = rows(3)
    y = np.minimum(y, 1)
    y[17] = 2
    staged(agreed(build(a, y)))


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_a_class_without_a_row():
    a, y = rows(3)
    staged(agreed(build(a, y, k=4)))


def blocks_of_zeros(rng):
    weights = np.ones(N)
    weights[: N // 2] = 0.0
    weights[-N // 10 :] = 0.0
    return weights


def tiny_and_huge(rng):
    return np.where(rng.random(N) < 0.5, 1e-300, 1e300)


def few_outweigh(rng):
    weights = np.full(N, 1e-300)
    weights[:: N // 40] = 1e300
    return weights


WEIGHTS = {
    "zeros": blocks_of_zeros,
    "tiny-and-huge": tiny_and_huge,
    "few-outweigh": few_outweigh,
    "heavy-tail": lambda rng: rng.pareto(1.1, N),
    "fractions": lambda rng: rng.uniform(0, 1e-3, N),
}


@precisions
@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.usefixtures("narrowed", "stages")
def test_weights_of_every_size(name, rng):
    staged(agreed(build(*rows(3), weights=WEIGHTS[name](rng))), least=2)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
@pytest.mark.usefixtures("stages")
def test_a_large_gram_is_formed_from_weights_of_every_size(size, rng, monkeypatch):
    # Beyond the limit the Gram of some rows is made in float32.
    for room in ("preconditioner", "sketch_plan"):
        monkeypatch.setattr(f"softunit.solvers.{room}.DECOMPOSE_LIMIT", 1)
    (a, y), weights = rows(3), rng.uniform(0.1, 1, N)
    solver = SketchedNewton(hessian="kronecker")
    plain = agreed(build(a, y, weights=weights), solver)
    found = agreed(build(a, y, weights=size * weights), solver)
    assert found.n_iter <= plain.n_iter + 3


@pytest.mark.usefixtures("stages")
def test_rows_without_weight_change_nothing(rng):
    (a, y), weights = rows(3), blocks_of_zeros(rng)
    there = agreed(build(a, y, weights=weights))
    wild = np.where(weights[:, None] > 0, a, 1e6 * a)
    here = agreed(build(wild, np.where(weights > 0, y, 0), weights=weights))
    np.testing.assert_allclose(here.x, there.x, rtol=1e-6)


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_shares_as_targets(rng):
    a, _ = rows(3)
    staged(agreed(build(a, rng.dirichlet(np.ones(3), N))))
    staged(agreed(build(a, rng.dirichlet(np.ones(2), N), k=2)))


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_offsets(rng):
    a, y = rows(3)
    staged(agreed(build(a, y, offset=10 + 2 * rng.standard_normal((N, 3)))))
    staged(agreed(build(a, np.minimum(y, 1), k=2, offset=2 * rng.standard_normal(N))))


@precisions
@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weights"])
@pytest.mark.usefixtures("narrowed", "stages")
def test_a_score_ridge(weighted, rng):
    a, y = rows(3)
    penalty, weights = [Ridge(1e-3), ScoreRidge(0.02)], rng.pareto(1.5, N) if weighted else None
    staged(agreed(su.Problem(a, Multinomial(3), y, penalty, weights=weights)))


@precisions
@pytest.mark.usefixtures("narrowed")
def test_fewer_rows_than_columns():
    problem = build(*rows(3, n=150, d=220), ridge=1e-3)
    found = agreed(problem)
    assert all(record.share == 1.0 for record in found.history)


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_many_classes_with_few_rows_each():
    a, y = rows(100, n=1500, d=8)
    y[:100] = np.arange(100)
    agreed(build(a, y, k=100))


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_columns_that_few_rows_have(rng):
    # Most samples miss them: their own curvature is then known from the ridge alone.
    a, y = rows(3)
    rare = sparse.random(N, 60, density=0.001, format="csr", random_state=1)
    rare.data[:] = 1.0
    agreed(build(sparse.hstack([a, rare], format="csr"), y, ridge=1e-5))


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_nearly_separable_classes_are_left_to_newton(monkeypatch):
    # A Gram for each class would do here: without, the mean over rows stands for nothing.
    monkeypatch.setattr("softunit.solvers.sketched_newton.has_small_blocks", lambda problem: False)
    x, y = load_digits(return_X_y=True)
    d, n = x.shape[1], len(x)
    ridge = np.append(np.full(d, 1 / (100 * n)), 0.0)
    problem = build(as_design(x / 16, intercept=True), y, k=10, ridge=ridge)
    states = []
    solver = _Watched(states)
    agreed(problem, solver, tol=1e-8, rel=1e-8)
    assert states[-1].newton is not None
    # It is the last resort, and once taken it is not left.
    taken = [state.newton is not None for state in states]
    assert taken == sorted(taken)
    assert not taken[0]


class _Watched(SketchedNewton):
    """Sketched Newton that writes its states down."""

    def __init__(self, states: list[SketchedState]) -> None:
        super().__init__()
        object.__setattr__(self, "states", states)

    def step(self, problem, state):
        after, status = super().step(problem, state)
        self.states.append(after)
        return after, status


# Starts and ends ------------------------------------------------------------------------------


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_a_start_at_the_optimum_stays_there():
    problem = build(*rows(3))
    optimum = su.minimize(anew(problem), solver="newton-cholesky", tol=1e-13)
    found = su.minimize(problem, optimum.x, solver=SketchedNewton(), tol=1e-9)
    assert found.converged
    assert found.n_iter <= 2
    assert all(record.share == 1.0 for record in found.history)
    np.testing.assert_allclose(found.x, optimum.x, atol=1e-6)


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_a_start_near_the_optimum_does_not_go_back_to_samples(rng):
    problem = build(*rows(3))
    optimum = su.minimize(anew(problem), solver="newton-cholesky", tol=1e-13)
    x0 = optimum.x + 1e-4 * rng.standard_normal(optimum.x.shape)
    near = su.minimize(problem, x0, solver=SketchedNewton(), tol=1e-9)
    assert near.converged
    assert all(record.share == 1.0 for record in near.history)
    assert near.value == pytest.approx(optimum.value, rel=1e-12)
    cold = su.minimize(anew(problem), solver=SketchedNewton(), tol=1e-9)
    assert near.n_iter < cold.n_iter


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_a_start_far_off_begins_on_a_sample(rng):
    problem = build(*rows(3))
    optimum = su.minimize(anew(problem), solver="newton-cholesky", tol=1e-13)
    x0 = 30 * rng.standard_normal(optimum.x.shape)
    far = staged(su.minimize(problem, x0, solver=SketchedNewton(), tol=1e-9), least=2)
    assert far.converged
    assert far.value == pytest.approx(optimum.value, rel=1e-12)


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_convergence_is_believed_of_exact_and_whole_points_only():
    seen = []
    problem = build(*rows(3))
    # So wide a tolerance that every sample is within it.
    found = su.minimize(
        problem,
        solver=SketchedNewton(),
        tol=0.05,
        callback=lambda record, point: seen.append((point.share, record.gradient_norm)) or None,
    )
    assert found.converged
    early = [norm for share, norm in seen if share < 1.0]
    assert min(early) <= 0.05, "no sample was within the tolerance: the case shows nothing"
    assert found.gradient_norm <= 0.05
    told_of_all_rows(problem, found)


@pytest.mark.parametrize("coarse", [True])
@pytest.mark.usefixtures("narrowed", "stages")
def test_a_gradient_that_float32_hides_is_looked_at_again(monkeypatch):
    made = Rows.total_value_gradient

    def blind(self, x, scores, *, into=None, narrow=False):
        value, gradient = made(self, x, scores, into=into, narrow=narrow)
        return value, 0 * gradient if narrow else gradient

    monkeypatch.setattr(Rows, "total_value_gradient", blind)
    agreed(build(*rows(3), ridge=0.0))


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_zero_tolerance_runs_to_rounding():
    problem = build(*rows(3))
    found = su.minimize(problem, solver=SketchedNewton(), tol=0.0)
    assert found.status is Status.ROUNDING
    assert found.gradient_norm < 1e-12


@precisions
@pytest.mark.parametrize("max_iter", [0, 1, 2, 3])
@pytest.mark.usefixtures("narrowed", "stages")
def test_a_limit_on_a_sample_is_told_of_all_rows(max_iter):
    problem = build(*rows(3))
    shares = []
    found = su.minimize(
        problem,
        solver=SketchedNewton(),
        tol=1e-9,
        max_iter=max_iter,
        callback=lambda record, point: shares.append(point.share) or None,
    )
    assert found.status is Status.MAX_ITER
    assert found.n_iter == max_iter
    assert shares[-1] < 1.0, "the limit fell on all rows: the case shows nothing"
    told_of_all_rows(problem, found)


@precisions
@pytest.mark.parametrize("interrupt", [False, True], ids=["stop", "interrupt"])
@pytest.mark.usefixtures("narrowed", "stages")
def test_an_end_asked_for_on_a_sample_is_told_of_all_rows(interrupt):
    problem = build(*rows(3))

    def stop(record, point):
        assert point.share < 1.0
        if interrupt and record.iteration == 2:
            raise KeyboardInterrupt
        return record.iteration == 2

    found = su.minimize(
        problem, solver=SketchedNewton(), callback=stop, keyboard_interrupt="return"
    )
    assert found.status is (Status.INTERRUPTED if interrupt else Status.STOPPED)
    assert found.n_iter == 2
    told_of_all_rows(problem, found)


# Seeds, settings, costs -----------------------------------------------------------------------


@pytest.mark.usefixtures("stages")
def test_one_seed_gives_one_solution():
    a, y = rows(3)
    once, again = (
        su.minimize(build(a, y), solver=SketchedNewton(seed=5), tol=1e-9) for _ in range(2)
    )
    np.testing.assert_array_equal(once.x, again.x)
    assert once.value == again.value
    assert [r.value for r in once.history] == [r.value for r in again.history]


@pytest.mark.usefixtures("stages")
def test_other_seeds_give_the_same_optimum():
    a, y = rows(3)
    found = [
        su.minimize(build(a, y), solver=SketchedNewton(seed=seed), tol=1e-10) for seed in range(4)
    ]
    assert all(one.converged for one in found)
    for one in found[1:]:
        assert one.history[1].value != found[0].history[1].value
        assert one.value == pytest.approx(found[0].value, rel=1e-13)
        np.testing.assert_allclose(one.x, found[0].x, atol=1e-6)


@pytest.mark.parametrize("growth", [2, 3, 8, 30])
@pytest.mark.usefixtures("stages")
def test_samples_grow_as_asked(growth):
    found = staged(agreed(build(*rows(3)), SketchedNewton(growth=growth)), least=2)
    sizes = sorted({round(record.share * N) for record in found.history})
    assert sizes[-1] == N
    for small, large in itertools.pairwise(sizes):
        assert large // small == growth or large // (small + 1) == growth


@pytest.mark.usefixtures("stages")
def test_most_iterations_cost_few_rows():
    # Nothing beats one pass for each iteration but samples.
    problem = build(*rows(3, n=20_000))
    found = agreed(problem, tol=1e-6, rel=1e-9)
    exact = su.minimize(anew(problem), solver="newton-cg", tol=1e-6)
    assert found.cost.products < exact.cost.products
    assert found.cost.products < 2 * found.n_iter


@pytest.mark.usefixtures("stages")
def test_a_path_prepares_once():
    whole = build(*rows(3))
    su.minimize(whole, solver=SketchedNewton(), tol=1e-9)
    sample, made = whole.prepared["sample"][-1], whole.prepared["preconditioner"]
    for ridge in (1e-2, 1e-4):
        path = whole.derived(penalty=Ridge(ridge))
        agreed(path)
        assert path.prepared["sample"][-1] is sample
        assert path.prepared["preconditioner"] is made


@precisions
@pytest.mark.parametrize("hessian", ["sampled", "kronecker"])
@pytest.mark.usefixtures("narrowed", "stages")
def test_a_path_of_other_penalties_ends_as_if_made_anew(hessian, rng):
    # What was prepared for one penalty must not mislead on another.
    a, y = rows(3)
    solver = SketchedNewton(hessian=hessian)
    for ridge in (1e-3, 0.0):
        whole = build(a, y, ridge=ridge, offset=1 + rng.standard_normal((N, 3)))
        su.minimize(whole, solver=solver, tol=1e-9)
        for penalty in ([Ridge(ridge), ScoreRidge(0.05)], Ridge(1e-2), Ridge(np.arange(D) / 10)):
            path = whole.derived(penalty=penalty)
            fresh = su.minimize(anew(path), solver=solver, tol=1e-9)
            found = agreed(path, solver)
            assert found.n_iter <= 1.5 * fresh.n_iter + 5


@precisions
@pytest.mark.usefixtures("narrowed", "stages")
def test_other_weights_end_as_if_made_anew():
    a, y = rows(3)
    a[: N // 2] *= np.array([100, 1, 1, 1, 0.01])
    first = np.arange(N) < N // 2
    whole = build(a, y, weights=first)
    solver = SketchedNewton(hessian="kronecker")
    su.minimize(whole, solver=solver, tol=1e-7)
    other = whole.derived(penalty=Ridge(1e-3), weights=~first)
    fresh = su.minimize(anew(other), solver=solver, tol=1e-9)
    found = agreed(other, solver)
    assert found.n_iter <= 1.5 * fresh.n_iter + 5


@pytest.mark.usefixtures("stages")
def test_a_warm_start_along_a_path_converges_to_its_own_optimum():
    whole = build(*rows(3))
    x = su.minimize(whole, solver=SketchedNewton(), tol=1e-9).x
    for ridge in (2e-3, 1e-2, 1e-1, 1e-4):
        path = whole.derived(penalty=Ridge(ridge))
        exact = su.minimize(anew(path), solver="newton-cholesky", tol=1e-12)
        found = su.minimize(path, x, solver=SketchedNewton(), tol=1e-9)
        assert found.converged
        assert found.value == pytest.approx(exact.value, rel=1e-12)
        x = found.x


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("growth", 1, "`growth` must be an integer >= 2; got 1."),
        ("growth", 2.5, "`growth` must be an integer >= 2; got 2.5."),
        ("memory", 0, "`memory` must be an integer >= 1; got 0."),
        ("memory", True, "`memory` must be an integer >= 1; got True."),
        ("hessian", "x", "`hessian` must be 'auto' or 'sampled' or 'kronecker'; got 'x'."),
        ("hessian", None, "`hessian` must be 'auto' or 'sampled' or 'kronecker'; got None."),
        ("max_cg", 0, "`max_cg` must be an integer >= 1; got 0."),
        ("seed", -1, "`seed` must be an integer >= 0; got -1."),
        ("seed", None, "`seed` must be an integer >= 0; got None."),
    ],
)
def test_settings_out_of_range_get_a_sentence(name, value, sentence):
    with pytest.raises(InputError, match=f"^{sentence}$"):
        SketchedNewton(**{name: value})
