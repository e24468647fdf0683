"""Sums over blocks on threads: the serial sum, and linear algebra gets back what it had."""

from __future__ import annotations

import multiprocessing
import queue
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import softunit as su
from softunit._threads import (
    add_up,
    blocks_on_threads,
    cores,
    linear_algebra_on_threads,
)
from softunit.penalties import Ridge
from softunit.solvers import Newton
from softunit.units import Multinomial
from tests.contracts.cases import labels, multinomial_problem


def blas() -> set[int]:
    """Return how many threads the libraries of linear algebra may use."""
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    """So many threads of linear algebra, whatever the machine or its settings say."""
    with threadpool_limits(request.param, user_api="blas"):
        yield request.param


@pytest.fixture
def two():
    with threadpool_limits(2, user_api="blas"):
        assert blas() == {2}
        yield


def terms(i: int) -> tuple[float, np.ndarray, list[int]]:
    return 0.5 * i, np.array([i, i * i], dtype=np.float64), [i]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
def test_the_sum_is_the_serial_sum(threads, count):
    value, array, kept = add_up(terms, range(count))
    assert cores() == threads
    assert value == 0.5 * sum(range(count))
    np.testing.assert_array_equal(array, [sum(range(count)), sum(i * i for i in range(count))])
    # Lists are joined: nothing is lost or doubled, whatever the order.
    assert sorted(kept) == list(range(count))


def test_work_is_spread_over_as_many_threads_as_there_are(threads):
    # Nobody goes on before all have arrived: with fewer threads the barrier would break.
    barrier = threading.Barrier(threads, timeout=60)

    def meet(i: int) -> tuple[list[str]]:
        barrier.wait()
        return ([threading.current_thread().name],)

    (names,) = add_up(meet, range(threads))
    assert len(set(names)) == threads


def test_one_number_of_threads_gives_one_answer(threads):
    parts = np.random.default_rng(0).standard_normal((40, 30)) * np.logspace(-8, 8, 40)[:, None]
    sums = [add_up(lambda i: (parts[i].copy(), float(parts[i, 0])), range(40)) for _ in range(5)]
    for array, value in sums[1:]:
        np.testing.assert_array_equal(array, sums[0][0])
        assert value == sums[0][1]
    np.testing.assert_allclose(sums[0][0], parts.sum(axis=0), rtol=1e-9)


def test_narrow_terms_are_summed_in_float64(threads):
    tiny = np.full(3, 2.0**-26, dtype=np.float32)
    (total,) = add_up(lambda i: (tiny.copy() if i else np.ones(3, np.float32),), range(4097))
    assert total.dtype == np.float64
    # In float32 each of the terms would be lost beside the one.
    np.testing.assert_array_equal(total, np.full(3, 1 + 2.0**-14))


def test_terms_of_the_first_item_are_not_written_to_in_float32(two):
    held = np.ones(3, dtype=np.float32)
    add_up(lambda i: (held,), range(6))
    np.testing.assert_array_equal(held, np.ones(3))


def test_linear_algebra_is_held_and_gets_its_threads_back(threads):
    (seen,) = add_up(lambda i: ([blas()],), range(6))
    assert all(one == {1} for one in seen)
    assert blas() == {threads}


def test_threads_come_back_after_an_exception(two):
    def fails(i: int) -> tuple[float]:
        if i == 3:
            raise ArithmeticError("the fourth item")
        return (1.0,)

    with pytest.raises(ArithmeticError, match="the fourth item"):
        add_up(fails, range(8))
    assert blas() == {2}
    assert cores() == 2
    assert add_up(lambda i: (1.0,), range(8)) == (8.0,)


def test_holds_may_be_nested(two):
    with blocks_on_threads():
        with blocks_on_threads():
            assert blas() == {1}
            assert cores() == 2
        assert blas() == {1}
        assert add_up(lambda i: (1.0,), range(8)) == (8.0,)
        assert blas() == {1}
        assert cores() == 2
    assert blas() == {2}


def test_a_hold_ends_with_an_exception(two):
    with pytest.raises(ArithmeticError, match="inside"), blocks_on_threads():
        raise ArithmeticError("inside")
    assert blas() == {2}


def test_a_limit_of_one_is_respected():
    here = threading.current_thread().name
    with threadpool_limits(1, user_api="blas"):
        assert cores() == 1
        (names,) = add_up(lambda i: ([threading.current_thread().name],), range(6))
        assert set(names) == {here}
        with blocks_on_threads():
            assert cores() == 1
            with linear_algebra_on_threads():
                assert blas() == {1}
        assert blas() == {1}


def test_large_matrices_have_the_threads_inside_a_hold(two):
    with blocks_on_threads():
        with linear_algebra_on_threads():
            assert blas() == {2}
        assert blas() == {1}
        with pytest.raises(ArithmeticError, match="inside"), linear_algebra_on_threads():
            raise ArithmeticError("inside")
        assert blas() == {1}
    assert blas() == {2}
    with linear_algebra_on_threads():
        assert blas() == {2}
    assert blas() == {2}


def test_large_matrices_within_large_matrices(two):
    with blocks_on_threads():
        with linear_algebra_on_threads():
            with linear_algebra_on_threads():
                assert blas() == {2}
            assert blas() == {2}
        assert blas() == {1}
    assert blas() == {2}


def test_nobody_takes_the_threads_that_another_holds(two):
    with blocks_on_threads(), blocks_on_threads():
        with linear_algebra_on_threads():
            assert blas() == {1}
        assert blas() == {1}
    assert blas() == {2}


@pytest.mark.parametrize("solver", ["newton-cholesky", "newton-cg", "sketched-newton", "lbfgs"])
def test_a_run_leaves_linear_algebra_as_it_was(solver, two, monkeypatch):
    monkeypatch.setattr(
        "softunit.designs.base.BLOCK_ENTRIES", 1
    )  # several blocks: threads have work
    seen = []
    problem = multinomial_problem(np.random.default_rng(0))
    assert len(problem.by_rows.blocks(problem.columns)) > 1
    su.minimize(problem, solver=solver, callback=lambda record, point: seen.append(blas()))
    assert seen
    assert all(one == {1} for one in seen)
    assert blas() == {2}


def test_a_damped_run_leaves_linear_algebra_as_it_was(two, monkeypatch):
    # Saturated scores make short steps: the damping asks for second moments on the way.
    monkeypatch.setattr("softunit.designs.base.BLOCK_ENTRIES", 1)
    rng = np.random.default_rng(0)
    a, y = rng.standard_normal((300, 4)), labels(3)(rng, 300)
    problem = su.Problem(a, Multinomial(3), y, Ridge(1e-8))
    x0 = 100 * rng.standard_normal(problem.shape)
    assert su.minimize(problem, x0, solver=Newton(linear="cholesky")).converged
    assert "gram" in vars(problem), "no step was short: the case shows nothing"
    assert blas() == {2}


def test_a_run_that_fails_leaves_linear_algebra_as_it_was(two, monkeypatch):
    monkeypatch.setattr("softunit.designs.base.BLOCK_ENTRIES", 1)

    def stop(record, point):
        raise ArithmeticError("from the callback")

    with pytest.raises(ArithmeticError, match="from the callback"):
        su.minimize(multinomial_problem(np.random.default_rng(0)), callback=stop)
    assert blas() == {2}


def test_threads_of_ones_own_may_run_problems_at_once(two, monkeypatch):
    monkeypatch.setattr("softunit.designs.base.BLOCK_ENTRIES", 1)
    problems = [multinomial_problem(np.random.default_rng(seed)) for seed in range(4)]
    alone = [su.minimize(problem, tol=1e-10).value for problem in problems]
    found: queue.Queue[tuple[int, float]] = queue.Queue()

    def work(i: int) -> None:
        problem = multinomial_problem(np.random.default_rng(i))
        found.put((i, su.minimize(problem, tol=1e-10).value))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    values = dict(found.get_nowait() for _ in range(4))
    np.testing.assert_allclose([values[i] for i in range(4)], alone, rtol=1e-12)
    assert blas() == {2}


def _in_child(out) -> None:
    with threadpool_limits(2, user_api="blas"):
        out.put((add_up(lambda i: (float(i),), range(10))[0], sorted(blas())))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork"
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "darwin", reason="Accelerate does not survive a fork")
def test_a_forked_child_makes_threads_of_its_own(two):
    assert add_up(lambda i: (float(i),), range(10)) == (45.0,)  # the pool has threads now
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    child = context.Process(target=_in_child, args=(out,))
    child.start()
    try:
        assert out.get(timeout=60) == (45.0, [2])
        child.join(timeout=60)
        assert child.exitcode == 0
    finally:
        if child.is_alive():
            child.kill()
    assert add_up(lambda i: (float(i),), range(10)) == (45.0,)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_sum_within_a_sum_ends(threads):
    with threadpool_limits(threads):
        (total,) = add_up(lambda i: add_up(lambda j: (float(i * j),), range(4)), range(4))
    assert total == 36.0
