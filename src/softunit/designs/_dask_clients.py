"""Clients: of a scheduler that runs somewhere, or of a few workers on this machine alone."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from softunit._checks import check_count, check_positive
from softunit.designs import _dask_signals
from softunit.errors import InputError, MissingExtraError, SoftunitError

LOOPBACK = "127.0.0.1"
UNGUARDED = (
    "local_client starts processes that read this script anew: put what calls it under"
    ' `if __name__ == "__main__":`.'
)
LOST = "distributed.deploy.lost-worker-timeout"
NEVER = "3650 days"
LEAST = 300_000_000  # bytes of a worker: 230 MB are taken once it has imported what it works with
SHARE = 0.8  # of the time to connect that the scheduler may take; workers have the rest


def connect(address: str, timeout: float = 10.0) -> Any:
    """Return a client of the Dask scheduler at an address, with at least one worker.

    It becomes Dask's default client. Close it, or use it in a `with` statement.

    Parameters
    ----------
    address : str
        As "tcp://10.0.0.1:8786"; without a protocol it is tcp.
    timeout : float, default 10.0
        Seconds to wait for the scheduler and a first worker.

    Returns
    -------
    distributed.Client

    Raises
    ------
    InputError
        If there is no scheduler within this time, or it has no worker; what to check is said.
    MissingExtraError
        If dask.distributed is not installed.
    """
    seconds = check_positive("timeout", timeout)
    if ":" not in str(address).rpartition("//")[2]:
        raise InputError(
            f"the address of a Dask scheduler must be like 'tcp://host:8786'; got {address!r}."
        )
    distributed = _distributed()
    _check_protocol(str(address))
    begin = time.monotonic()
    try:
        with ThreadPoolExecutor(1) as pool:  # a notebook has an event loop in this thread
            pool.submit(asyncio.run, _known(address, SHARE * seconds)).result()
        client = distributed.Client(address, timeout=SHARE * seconds)
    except Exception as error:  # whoever listens there may answer anything
        if not isinstance(error, (OSError, TimeoutError)):
            raise InputError(
                f"something answered at {address} that is no Dask scheduler, or one of another"
                " version of dask. Check host and port: the scheduler prints them when it starts"
                " (`dask scheduler`), and its dashboard has another port."
            ) from error
        raise InputError(
            f"no Dask scheduler answered at {address} within {seconds:g} s ({_line(error)}). Check"
            " that `dask scheduler` runs there, that host and port are right, that no firewall is"
            " between, and that both sides have the same version of dask and Python."
        ) from error
    try:
        client.wait_for_workers(1, timeout=max(0.1, seconds - (time.monotonic() - begin)))
    except TimeoutError as error:
        client.close()
        raise InputError(
            f"the Dask scheduler at {address} has no worker. Start some (`dask worker {address}`)"
            " where softunit is installed."
        ) from error
    return client


def _check_protocol(address: str) -> None:
    """Refuse a protocol that Dask does not speak, as that of its dashboard."""
    from distributed.comm.registry import get_backend

    protocol, mark, _ = address.partition("://")
    try:
        get_backend(protocol if mark else "tcp")
    except ValueError as error:
        raise InputError(
            "the address of a Dask scheduler must be like 'tcp://host:8786'; got"
            f" {address!r}, and Dask does not speak {protocol!r}. The scheduler prints its address"
            " when it starts; http is its dashboard's."
        ) from error


async def _known(address: str, seconds: float) -> None:
    """Ask a scheduler who it is: a client would wait for ever where something else listens."""
    distributed = _distributed()
    security = distributed.Security().get_connection_args("client")
    async with distributed.rpc(address, connection_args=security) as scheduler:
        await asyncio.wait_for(scheduler.identity(), seconds)


@contextmanager
def local_client(workers: int = 2, memory: str | int | None = None) -> Iterator[Any]:
    """Give the client of workers on this machine, each a process of one thread; end them after.

    Scheduler and workers listen on 127.0.0.1 only. A worker that is killed is started again. In a
    script this belongs under ``if __name__ == "__main__":``, as all that starts processes.

    Parameters
    ----------
    workers : int, default 2
    memory : str, int or None, default None
        Of each worker, as "4GB" or in bytes, at least 300 MB: some 230 MB are what it imports. None
        gives each its share of the machine's.

    Yields
    ------
    distributed.Client

    Raises
    ------
    InputError
        If `workers` is not a count, or `memory` no amount of memory or too little.
    MissingExtraError
        If dask.distributed is not installed.
    SoftunitError
        If the workers do not start.
    """
    count = check_count("workers", workers, least=1)
    limit = "auto" if memory is None else _bytes_of(memory)
    distributed = _distributed()
    import dask

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker that reads the script that starts it. The one who waits for it says why.
        raise SystemExit(1)
    with tempfile.TemporaryDirectory(prefix="softunit-dask-") as folder:
        try:
            with dask.config.set({"temporary-directory": folder}):
                cluster = distributed.LocalCluster(
                    n_workers=count,
                    threads_per_worker=1,
                    memory_limit=limit,
                    host=LOOPBACK,
                    protocol="tcp://",
                    silence_logs=logging.CRITICAL,
                    preload=[_dask_signals.__name__],
                    # The scheduler serves its state by HTTP, on loopback too; no pictures of it.
                    dashboard_address=f"{LOOPBACK}:0",
                    scheduler_kwargs={"dashboard": False},
                )
        except RuntimeError as error:  # what Dask's nannies say when their workers did not start
            raise SoftunitError(
                f"the workers did not start ({_line(error)}). {UNGUARDED}"
            ) from None
        # Dask gives a killed worker 15 s to be there again, and then ends the nanny that starts it:
        # on a busy machine each worker that is killed would be gone for good.
        with dask.config.set({LOST: NEVER}), cluster, distributed.Client(cluster) as client:
            yield client


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError("A Dask cluster", "dask") from error
    return distributed


def _bytes_of(memory: str | int) -> int:
    from dask.utils import parse_bytes

    try:
        size = parse_bytes(memory)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"`memory` must be an amount of memory, as '4GB'; got {memory!r}."
        ) from error
    if size < LEAST:
        raise InputError(
            f"`memory` must be at least {LEAST // 10**6} MB for each worker, most of it for the"
            f" packages that it imports; got {memory!r}."
        )
    return int(size)


def _line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]
