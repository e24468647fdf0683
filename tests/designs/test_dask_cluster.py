"""Fits on two workers of this machine: the same answers, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import time
from functools import partial

import dask
import dask.array as da
import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster

import softunit as su
from softunit.designs import DaskDesign, _dask_places
from softunit.designs.dask import connect, local_client
from softunit.errors import FileError, InputError, SoftunitError
from softunit.solvers import LBFGS, Newton, SketchedNewton

N, D, K, PARTS = 12_000, 6, 3, 6
SLOWEST = 300  # seconds that a machine may take to start a worker again


def rows_of(number: int) -> np.ndarray:
    """Read partition `number`: the same rows each time."""
    return np.random.default_rng(number).standard_normal((N // PARTS, D))


LOADERS = [partial(rows_of, number) for number in range(PARTS)]


@pytest.fixture(scope="module")
def client():
    """Two processes of one thread each."""
    with local_client(2) as made:
        yield made


@pytest.fixture(scope="module")
def table():
    a = np.concatenate([load() for load in LOADERS])
    rng = np.random.default_rng(77)
    scores = a @ rng.standard_normal((D, K))
    return a, (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


def problem_of(design: object, y: object) -> su.Problem:
    columns = su.designs.as_design(design, intercept=True)
    return su.Problem(columns, su.units.Multinomial(), y, su.penalties.Ridge(1e-4))


@pytest.fixture(scope="module")
def known(table):
    return su.minimize(problem_of(*table), solver=Newton(), tol=1e-12).x


def tasks_on(dask_scheduler: object) -> int:
    return len(dask_scheduler.tasks)


# The same answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "solver", [Newton(), LBFGS(), SketchedNewton()], ids=["newton", "lbfgs", "sketched"]
)
def test_fits_are_those_in_memory(client, table, known, solver):
    away = problem_of(DaskDesign.from_blocks(LOADERS, client=client), table[1])
    found = su.minimize(away, solver=solver, tol=1e-10)
    assert found.converged
    np.testing.assert_allclose(found.x, known, atol=1e-8)


def test_certificates_are_those_in_memory(client, table, known):
    a, y = table
    x = known + 1e-3 * np.random.default_rng(5).standard_normal(known.shape)
    away = su.certify(problem_of(DaskDesign.from_blocks(LOADERS, client=client), y), x)
    here = su.certify(problem_of(a, y), x)
    assert away.gap_bound == pytest.approx(here.gap_bound, rel=1e-8)
    assert away.value == pytest.approx(here.value, rel=1e-12)
    assert away.strong_convexity == pytest.approx(here.strong_convexity, rel=1e-6)


def test_sums_are_those_of_one_process_to_the_last_bit(client, table):
    a, y = table
    chunks = da.from_array(a, chunks=(N // PARTS, -1))
    away = problem_of(DaskDesign(chunks, client=client), da.from_array(y, chunks=1000))
    here = problem_of(DaskDesign.from_blocks(LOADERS), y)
    x = np.random.default_rng(3).standard_normal(away.shape)
    found, same = away.evaluate(x), here.evaluate(x)
    assert found.value == same.value
    np.testing.assert_array_equal(found.gradient, same.gradient)


def test_to_many_workers_coefficients_go_under_one_key(client, table, monkeypatch):
    design = DaskDesign.from_blocks(LOADERS, client=client)
    few = design.rmatvec(table[0])
    monkeypatch.setattr(_dask_places, "FEW", 0)
    np.testing.assert_array_equal(design.rmatvec(table[0]), few)
    np.testing.assert_allclose(few, table[0].T @ table[0], rtol=1e-10, atol=1e-9)


def test_what_is_kept_does_not_grow(client, table):
    design = DaskDesign.from_blocks(LOADERS, client=client)
    problem = problem_of(design, table[1])
    problem.evaluate(np.zeros(problem.shape))
    before = client.run_on_scheduler(tasks_on)
    for size in (0.1, 0.2, 0.3):
        problem.evaluate(np.full(problem.shape, size))
        design.gathered(np.arange(0, N, 1000))
    deadline = time.monotonic() + 10
    while (now := client.run_on_scheduler(tasks_on)) > before and time.monotonic() < deadline:
        time.sleep(0.05)  # keys are let go a moment after
    assert now <= before


def test_rows_and_spreads_come_from_workers(client, table):
    a, y = table
    design = DaskDesign.from_blocks(LOADERS, client=client)
    index = np.random.default_rng(1).integers(0, N, 500)
    np.testing.assert_array_equal(design.rows(index).toarray(), a[index])
    np.testing.assert_array_equal(design.toarray(), a)
    spread = design.beside(y)
    np.testing.assert_array_equal(spread[index], y[index])
    np.testing.assert_array_equal(np.asarray(spread), y)


# Faults ------------------------------------------------------------------------------------------


def test_a_killed_worker_changes_nothing(client, table, known):
    """Its partitions are read again elsewhere, and shared with the worker that comes for it."""
    design = DaskDesign.from_blocks(LOADERS, client=client)
    problem = problem_of(design, table[1])
    killed = []

    def kill(record: object, x: np.ndarray) -> None:
        if record.iteration == 2:
            killed.extend(sorted(client.run(os.getpid).values())[:1])
            os.kill(killed[0], signal.SIGKILL)

    solution = su.minimize(problem, solver=LBFGS(), tol=1e-10, callback=kill)
    assert killed
    assert solution.converged
    np.testing.assert_allclose(solution.x, known, atol=1e-8)
    client.wait_for_workers(2, timeout=SLOWEST)
    after = problem.evaluate(solution.x + 1.0)
    assert after.value == problem_of(DaskDesign.from_blocks(LOADERS), table[1]).value(after.x)
    holders = client.who_has(design._parts.kept).values()
    assert {address for held in holders for address in held} == set(client.nthreads())


def test_a_worker_that_is_gone_when_it_is_to_have_its_share_changes_nothing(
    client, table, monkeypatch
):
    design = DaskDesign.from_blocks(LOADERS, client=client)
    known = design.rmatvec(table[0])
    there = client.nthreads()
    monkeypatch.setattr(client, "nthreads", lambda: there | {"tcp://127.0.0.1:9": 1})
    np.testing.assert_array_equal(design.rmatvec(table[0]), known)


def test_a_partition_that_cannot_be_read_is_a_sentence(client, tmp_path):
    np.save(tmp_path / "rows.npy", np.ones((3, 2)))
    loaders = [
        partial(np.load, tmp_path / name, allow_pickle=False) for name in ("rows.npy", "gone.npy")
    ]
    with pytest.raises(FileError, match=r"could not be read.*gone\.npy.*every worker"):
        DaskDesign.from_blocks(loaders, client=client)


def test_a_closed_client_is_told(table):
    y = table[1]
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as closed,
    ):
        design = DaskDesign.from_blocks(LOADERS, client=closed)
        spread, problem = design.beside(y), problem_of(design, y)
    asked = {
        "a new design": lambda: DaskDesign(da.ones((4, 2)), client=closed),
        "a fit": lambda: su.SoftmaxClassifier().fit(design, y),
        "a product": lambda: problem.value(np.zeros(problem.shape)),
        "rows": lambda: design.rows(np.arange(3)),
        "partitions": lambda: next(iter(design.chunks())),
        "a spread": lambda: np.asarray(spread),
        "a sum": spread.sum,
    }
    for use in asked.values():
        with pytest.raises(InputError, match=r"Dask client is closed.*make the design anew"):
            use()


def test_without_workers_a_fit_ends_with_a_sentence(monkeypatch):
    monkeypatch.setattr(_dask_places, "POLL", 0.05)
    monkeypatch.setattr(_dask_places, "PATIENCE", 0.2)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as lonely,
        pytest.raises(SoftunitError, match=r"at inproc://.* has had no worker for 0 s"),
    ):
        DaskDesign(da.ones((4, 2)), client=lonely)


# Clients -----------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_scheduler_that_is_not_there_is_told_in_time():
    begin = time.monotonic()
    with pytest.raises(
        InputError, match=r"no Dask scheduler answered at tcp://127\.0\.0\.1.*Check"
    ):
        connect(f"tcp://127.0.0.1:{free_port()}", timeout=0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        with pytest.raises(InputError, match="no Dask scheduler answered"):
            connect(f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.5)
    assert time.monotonic() - begin < 30
    with pytest.raises(InputError, match="must be like 'tcp://host:8786'; got 'local'"):
        connect("local")


def test_what_is_no_scheduler_is_told():
    with pytest.raises(InputError, match=r"Dask does not speak 'http'.*dashboard's"):
        connect("http://127.0.0.1:8787", timeout=0.5)
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            accepted, _ = other.accept()
            with accepted:
                accepted.sendall(b"SSH-2.0-OpenSSH_9.6 and what else it says")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(InputError, match=r"something answered at .* that is no Dask scheduler"):
            connect(f"127.0.0.1:{other.getsockname()[1]}", timeout=5.0)
        thread.join()


def test_workers_leave_ctrl_c_to_the_one_that_fits(client):
    handlers = client.run(signal.getsignal, signal.SIGINT)
    assert list(handlers.values()) == [signal.SIG_IGN] * 2
    assert signal.getsignal(signal.SIGINT) != signal.SIG_IGN


def test_a_scheduler_without_workers_is_told():
    with (
        LocalCluster(
            n_workers=0,
            host="127.0.0.1",
            processes=False,
            protocol="tcp://",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        pytest.raises(InputError, match=r"has no worker\. Start some \(`dask worker tcp://127"),
    ):
        connect(cluster.scheduler_address, timeout=1.0)


def test_a_scheduler_with_workers_is_connected_to(client):
    with connect(client.scheduler.address) as second:
        assert DaskDesign(da.ones((4, 2)), client=second).matvec(np.ones(2)).tolist() == [2.0] * 4
        # The default client's workers are taken where none are named.
        assert DaskDesign(da.ones((4, 2))).beside(np.ones(4)).parts[0].key


def test_a_local_cluster_listens_on_loopback_only(client):
    me = psutil.Process()
    listening = [
        connection.laddr.ip
        for process in [me, *me.children(recursive=True)]
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3  # the scheduler and two workers
    assert set(listening) == {"127.0.0.1"}


def test_a_local_cluster_starts_a_killed_worker_again_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    # With less patience than any start takes, Dask would give the worker up.
    impatient = dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"})
    with impatient, local_client(1, memory="400MB") as small:
        (worker,) = small.scheduler_info()["workers"].values()
        assert (worker["nthreads"], worker["memory_limit"]) == (1, 400_000_000)
        assert [folder.name[:14] for folder in tmp_path.iterdir()] == ["softunit-dask-"]
        (killed,) = small.run(os.getpid).values()
        os.kill(killed, signal.SIGKILL)
        started = small.submit(os.getpid, pure=False).result(timeout=SLOWEST)
        assert started != killed
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "`workers` must be an integer >= 1; got 0"),
        ({"memory": "much"}, "`memory` must be an amount of memory, as '4GB'; got 'much'"),
        ({"memory": 0}, "`memory` must be at least 300 MB for each worker.* got 0"),
        ({"memory": "1KB"}, "`memory` must be at least 300 MB for each worker.* got '1KB'"),
    ],
    ids=["workers", "text", "zero", "little"],
)
def test_settings_of_a_local_cluster_are_checked(settings, message):
    with pytest.raises(InputError, match=message), local_client(**settings):
        pass
