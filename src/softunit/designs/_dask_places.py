"""Where the partitions of a Dask design are kept: on a cluster's workers, or in this process."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from softunit.designs._dask_tasks import Fold, Group, Nodes, called, held, merged, reduced
from softunit.designs.base import Terms
from softunit.errors import FileError, InputError, SoftunitError

RETRIES = 2  # of a read that failed, as from a busy file server
POLL = 5.0  # seconds after which a wait looks whether there are workers still
PATIENCE = 60.0  # seconds that a wait bears without any
ARITY = 8  # results of workers that one task puts together
FEW = 8  # workers that each get the function with their task
GRAPH_LIMIT = "1PB"  # Dask warns of large graphs, which hold ours: coefficients, labels

Items = Sequence[tuple[Any, ...]]
"""For each partition what is handed to a function: kept things, arrays and None."""


class Place(ABC):
    """Keeps results of Dask tasks, and runs functions beside them."""

    @abstractmethod
    def keep(self, tasks: Sequence[Any]) -> list[Any]:
        """Run delayed tasks and return a handle for each result, kept where it was made."""

    @abstractmethod
    def fetch(self, tasks: Sequence[Any]) -> list[Any]:
        """Return the results of delayed tasks here, in order."""

    @abstractmethod
    def ahead(self, tasks: Sequence[Any]) -> Iterator[Any]:
        """Yield the results of delayed tasks here, in order, the next one on its way."""

    @abstractmethod
    def reduce(
        self, function: Callable[..., Terms], items: Items, folds: Sequence[Fold] | None
    ) -> Terms:
        """Return function(*item) folded over all partitions, pair by pair in their order."""


class Here(Place):
    """The process at hand, where there is no cluster: Dask's threads read, and results stay."""

    def keep(self, tasks: Sequence[Any]) -> list[Any]:
        """Return the results themselves."""
        return self.fetch(tasks)

    def fetch(self, tasks: Sequence[Any]) -> list[Any]:
        """Return the results of delayed tasks, made on Dask's threads."""
        from dask.base import compute

        with _readable():
            return list(compute(*tasks, scheduler="threads"))

    def ahead(self, tasks: Sequence[Any]) -> Iterator[Any]:
        """Yield the results one by one."""
        for task in tasks:
            yield from self.fetch([task])

    def reduce(
        self, function: Callable[..., Terms], items: Items, folds: Sequence[Fold] | None
    ) -> Terms:
        """Return the folded terms; each partition is worked on by all cores."""
        count = len(items)
        nodes: Nodes = {}
        for number, item in enumerate(items):
            nodes = merged([nodes, {(0, number): called(function, item)}], count, folds)
        return next(iter(nodes.values()))


class Cluster(Place):
    """The workers of a Dask cluster.

    Results are kept by keys that the scheduler can make again: it knows the tasks they came from,
    down to those that read the data. A worker that is lost takes nothing with it for good.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def client(self) -> Any:
        """The client, which must be open still."""
        _check_open(self._client)
        return self._client

    def keep(self, tasks: Sequence[Any]) -> list[Any]:
        """Return delayed handles of the results; it does not wait for them."""
        with _large_graphs():
            return list(self.client.persist(list(tasks), retries=RETRIES))

    def fetch(self, tasks: Sequence[Any]) -> list[Any]:
        """Return the results, all asked for at once."""
        with _told(self._address):
            return self._results(self._start(tasks))

    def ahead(self, tasks: Sequence[Any]) -> Iterator[Any]:
        """Yield the results; a worker makes the next while one is on its way here."""
        waiting = list(tasks)
        futures = self._start(waiting[:1])
        for number in range(len(waiting)):
            with _told(self._address):
                following = self._start(waiting[number + 1 : number + 2])
                (result,) = self._results(futures)
            futures = following
            yield result

    def reduce(
        self, function: Callable[..., Terms], items: Items, folds: Sequence[Fold] | None
    ) -> Terms:
        """Return the terms, folded on the workers: one task for each of them.

        The function goes to each of a few tasks; to more it goes once, under a key of its own, and
        then from worker to worker.
        """
        from dask.delayed import delayed

        count = len(items)
        with _told(self._address):
            groups = self._groups([item[0] for item in items])
        sent = function if len(groups) <= FEW else delayed(function, pure=False, traverse=False)
        several = [
            delayed(reduced, pure=False)(
                sent, group, [items[i] for i in group.numbers], count, folds
            )
            for group in groups
        ]
        while len(several) > 1:
            several = [
                delayed(merged, pure=False)(several[i : i + ARITY], count, folds)
                for i in range(0, len(several), ARITY)
            ]
        (nodes,) = self.fetch(several)
        terms: Terms = next(iter(nodes.values()))
        return terms

    def _groups(self, handles: Sequence[Any]) -> list[Group]:
        """Return the partitions by the workers that hold them.

        One that is lost, and made again just now, is a group of its own.
        """
        homes, threads = self.client.who_has(list(handles)), self.client.nthreads()
        loads: dict[str, list[int]] = {address: [] for address in sorted(threads)}
        lost = []
        for number, handle in enumerate(handles):
            found = sorted(address for address in homes.get(handle.key, ()) if address in loads)
            if found:  # of several copies, one where there is least to do
                loads[min(found, key=lambda a: len(loads[a]) / threads[a])].append(number)
            else:
                lost.append(Group((number,)))
        self._share_out(loads, handles)
        return [Group(tuple(numbers), threads[a]) for a, numbers in loads.items() if numbers] + lost

    def _share_out(self, loads: dict[str, list[int]], handles: Sequence[Any]) -> None:
        """Give a worker that has nothing, as one that came for a lost one, half of the fullest's.

        A worker keeps what a task there was given. One that has gone again is no harm: the task
        runs on another, and so does the work on what was to lie there.

        Parameters
        ----------
        loads : dict of str to list of int
            Partitions by worker; changed.
        handles : sequence
        """
        for address in [a for a, numbers in loads.items() if not numbers]:
            fullest = max(loads.values(), key=len)
            half = len(fullest) // 2
            if not half:
                return
            moved = fullest[-half:]
            copied = self.client.futures_of([handles[i] for i in moved])
            # Not by `client.replicate`: it raises, or never ends, where that worker goes meanwhile.
            came = self.client.submit(
                held, copied, workers=[address], allow_other_workers=True, pure=False
            )
            self._results([came])
            del fullest[-half:]
            loads[address] = moved

    def _start(self, tasks: Sequence[Any]) -> list[Any]:
        if not tasks:
            return []
        with _large_graphs():
            return list(self.client.compute(list(tasks), retries=RETRIES))

    def _results(self, futures: list[Any]) -> list[Any]:
        """Wait for results and take them; where all workers go and none comes, do not hang."""
        from distributed import wait

        alone = None
        while True:
            try:
                with self._client.as_current():
                    wait(futures, timeout=POLL)
                return list(self._client.gather(futures))
            except TimeoutError:
                if all(future.done() for future in futures):
                    raise
                alone = self._alone_since(alone)

    def _alone_since(self, since: float | None) -> float | None:
        """Return since when there has been no worker; raise where it has been too long."""
        if self.client.nthreads():
            return None
        now = time.monotonic()
        if since is not None and now - since > PATIENCE:
            raise SoftunitError(
                f"the Dask scheduler at {self._address} has had no worker for {PATIENCE:.0f} s."
                " Start workers, and the fit again."
            )
        return now if since is None else since

    @property
    def _address(self) -> str:
        return str(self.client.scheduler.address)


def place_of(client: Any) -> Place:
    """Return the place of a client; of Dask's default client, or this process, for None.

    Raises
    ------
    InputError
        If it is not a client of dask.distributed, or is closed or asynchronous.
    """
    if client is None:
        client = _default_client()
        return Here() if client is None else Cluster(client)
    if not hasattr(client, "scheduler") or not hasattr(client, "persist"):
        raise InputError(f"`client` must be a dask.distributed Client or None; got {client!r}.")
    if client.asynchronous:
        raise InputError("`client` is asynchronous; make it with Client(..., asynchronous=False).")
    _check_open(client)
    return Cluster(client)


def _check_open(client: Any) -> None:
    if client.status in ("closed", "closing"):
        raise InputError(
            "the Dask client is closed, as at the end of its `with` block or when its scheduler is"
            " lost, and its rows have gone with it: connect again, and make the design anew."
        )


def _default_client() -> Any:
    try:
        from distributed import default_client
    except ImportError:  # dask alone runs on threads
        return None
    try:
        return default_client()
    except ValueError:
        return None


@contextmanager
def _large_graphs() -> Iterator[None]:
    """Hold back Dask's warning of large graphs."""
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": GRAPH_LIMIT}):
        yield


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Say in a sentence what a cluster can do to a fit."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        with _readable():
            yield
    except KilledWorker as error:
        raise SoftunitError(
            "a task died with each of the Dask workers that tried it: most often a partition and"
            " the work on it need more memory than a worker has. Give workers more memory, or make"
            " the partitions smaller (rechunk, repartition)."
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise SoftunitError(
            f"the Dask scheduler at {address} was lost or started anew, and the rows with it. Fit"
            " again; a fit with a checkpoint goes on from there."
        ) from error
    except ModuleNotFoundError as error:
        raise SoftunitError(
            f"a Dask worker cannot import {error.name}: install on every worker what is installed"
            " here, in the same versions."
        ) from error


@contextmanager
def _readable() -> Iterator[None]:
    """Say in a sentence that a partition could not be read."""
    try:
        yield
    except OSError as error:
        if type(error).__module__.partition(".")[0] == "distributed":  # a lost connection
            raise
        raise FileError(
            f"a partition of the data could not be read: {error}. Check that the files are still"
            " there, and that every worker can reach them."
        ) from error
