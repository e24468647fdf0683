"""Where the rows of a fit live: in memory, on disk within a budget, or on a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softunit._free_memory import free_memory, take_workspaces
from softunit.designs._memory import LEAST, parse_memory, shown
from softunit.errors import InputError
from softunit.tables.data_files import DataFile, find_files, is_url, titled
from softunit.tables.file_readers import LAZY
from softunit.tables.names import listed
from softunit.tables.sizes import decoded_bytes

_SHARE = 2  # of the free memory that data in memory may take: half
_BUDGET = 4  # of the free memory that a fit from disk takes by itself: a quarter
_SMALL = 32 << 20  # bytes on disk below which text files are not looked at
_WORKERS = 4  # of a local cluster, at most
_LOCAL = "local"


@dataclass(frozen=True)
class Home:
    """Where the rows live.

    Attributes
    ----------
    budget : int or None
        Bytes that a fit from disk may take; None where the rows are in memory or on a cluster.
    client : distributed.Client or None
        Of the cluster that holds the rows.
    cluster : str
        What the cluster is called.
    note : str
        Why the rows are not in memory though nobody asked for that; mostly empty.
    """

    budget: int | None = None
    client: Any = None
    cluster: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """Return "memory", "disk" or "cluster"."""
        return "cluster" if self.client is not None else "memory" if self.in_memory else "disk"

    @property
    def in_memory(self) -> bool:
        """Whether the rows are read as one table."""
        return self.budget is None and self.client is None

    @property
    def place(self) -> str:
        """Where the rows live, in words."""
        if self.client is not None:
            return f"on the workers of {self.cluster}"
        return "in memory" if self.budget is None else f"on disk, {_within(self.budget)}"

    def told(self, fitting: float = 0.0, reads: float = 0.0) -> tuple[tuple[str, str], ...]:
        """Return what the summary says of it; nothing where the rows are in memory.

        Parameters
        ----------
        fitting : float, default 0.0
            Times that the fit read all rows from disk; a read serves a product or several.
        reads : float, default 0.0
            Times that they were read by all that was done.
        """
        if self.in_memory:
            return ()
        where, further = self.place, "softunit certify looks further"
        if self.client is not None:
            further += ", from disk (--memory)"
        else:
            where += (
                f", read {reads:.3g} times in full: {fitting:.3g} by the fit, the rest to encode"
                " the columns and to measure the fit"
            )
        return (("Rows live", where), ("Certificate", f"of the fit's own passes; {further}"))


def _within(budget: int) -> str:
    return f"within {shown(budget)} of memory"


def kept_on_disk(budget: int | None) -> str:
    """Return a sentence that says that the rows stayed on disk; empty where they did not.

    Parameters
    ----------
    budget : int or None
        As in `Home`.
    """
    return "" if budget is None else f"The rows stayed on disk, {_within(budget)}."


def home_of(
    paths: Sequence[str], *, memory: str | None, format: str | None, streamed: bool, what: str
) -> Home:
    """Return where the rows of a dataset live on this machine.

    1. With --memory they stay on disk.  2. Without, they do if they would take more than half of
    the free memory and what is done with them can be done block by block.

    Parameters
    ----------
    paths : sequence of str
    memory : str or None
        What --memory was given.
    format : str or None
    streamed : bool
        Whether what is done can be done block by block.
    what : str
        What is done, as a sentence names it.

    Raises
    ------
    InputError
        If --memory is no size, or the rows must be in memory and do not fit; or if the process may
        hardly take any.
    """
    take_workspaces()
    budget = None if memory is None else parse_memory(memory)
    files = _files(paths, format, budget)
    if not files:
        return Home()
    lazy = files[0].kind in LAZY
    if budget is not None:
        if not lazy:
            raise InputError(
                f"--memory keeps the rows on disk, but {files[0].path} is {files[0].kind}, which"
                f" is read whole: write it as Parquet. Formats that can are {listed(LAZY)}."
            )
        return Home(budget)
    needed, free = decoded_bytes(files), free_memory()
    if free is None or needed <= free / _SHARE:
        return Home()
    if lazy and streamed:
        budget = max(LEAST, free // _BUDGET)
        note = (
            f"The data take about {shown(needed)}, more than half of the {shown(free)} of free"
            f" memory: they stay on disk and are read block by block within {shown(budget)}"
            " (--memory)."
        )
        return Home(budget, note=note)
    if needed <= free:
        return Home()
    why = f"{what} needs all rows in memory" if lazy else f"{files[0].kind} files are read whole"
    wish = (
        "Use fewer rows or columns, or a machine with more memory"
        if lazy
        else "Write the rows as Parquet, which can be read block by block"
    )
    raise InputError(
        f"{titled(paths)} takes about {shown(needed)} in memory, and {shown(free)} are free;"
        f" {why}. {wish}."
    )


def _files(paths: Sequence[str], format: str | None, budget: int | None) -> Sequence[DataFile]:
    """Return the files to look at; none where they are small, or the reader will refuse them."""
    try:
        files = find_files(paths, format=format)
        sizes = [file.state()[0] for file in files]
    except InputError:
        if budget is None and len(paths) == 1 and not is_url(paths[0]):
            return ()  # whoever reads it says what is wrong; a store is asked once only
        raise
    small = budget is None and files[0].kind != "parquet" and sum(sizes) < _SMALL
    return () if small or 0 in sizes else files


@contextlib.contextmanager
def cluster_of(address: str | None) -> Iterator[Home | None]:
    """Give the cluster that holds the rows, and end a local one after; None without --dask.

    Parameters
    ----------
    address : str or None
        What --dask was given: "local" or tcp://host:port.

    Raises
    ------
    InputError
        If no scheduler answers there.
    MissingExtraError
        If dask is not installed.
    """
    if address is None:
        yield None
        return
    from softunit.designs.dask import connect, local_client

    if address == _LOCAL:
        workers = max(1, min(os.cpu_count() or 1, _WORKERS))
        with local_client(workers=workers) as client:
            yield Home(client=client, cluster=f"a local cluster, {workers} in all")
        return
    with connect(address) as client:
        yield Home(client=client, cluster=f"the cluster at {address}")


def file_name(paths: Sequence[str]) -> str:
    """Return the name of a dataset without its folder, for the model file.

    Parameters
    ----------
    paths : sequence of str
    """
    return Path(paths[0]).name if len(paths) == 1 else titled(paths)
