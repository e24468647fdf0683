"""Sums over blocks of rows on all cores, with linear algebra held to one thread meanwhile.

Products of a block with a few columns are too short for threads inside linear algebra, and
exponentials have none at all. Whole blocks on threads of their own keep every core busy with data
that fit its cache.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, copy_context
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from softunit._array_api import added, widened

NAME = "softunit-blocks"  # of the threads

Item = TypeVar("Item")
Terms = tuple[Any, ...]
"""Floats and arrays; sums are taken entry by entry, in float64."""


def cores() -> int:
    """Return how many threads linear algebra may use now: what a user pinned counts here too."""
    if _Held.holders:
        return _Held.cores
    pools = _controller().info()
    return max(1, min((p["num_threads"] for p in pools if p["user_api"] == "blas"), default=1))


def add_up(
    function: Callable[[Item], Terms], items: Sequence[Item], *, alone: bool = False
) -> Terms:
    """Return the sum of function(item) over all items, on as many threads as linear algebra has.

    Items are dealt out in turn to one chain for each thread and added up in order, so one number
    of threads gives one answer.

    Parameters
    ----------
    function : callable
        Returns a tuple of floats and arrays, new ones at every call.
    items : sequence
        At least one.
    alone : bool, default False
        Whether one thread does it all, as where a device does the work.
    """
    inside = threading.current_thread().name.startswith(NAME)  # a chain of another sum
    workers = min(cores(), len(items)) if len(items) > 1 and not (inside or alone) else 1
    if workers < 2:
        return _chain(function, items)
    chains = [items[i::workers] for i in range(workers)]
    with blocks_on_threads():
        futures = [_started(workers, copy_context(), function, chain) for chain in chains]
        parts = [future.result() for future in futures]
    return tuple(sum(terms[1:], start=terms[0]) for terms in zip(*parts, strict=True))


def _started(
    workers: int, context: Context, function: Callable[[Item], Terms], chain: Sequence[Item]
) -> Future[Terms]:
    """Return a chain on its way; done here where no thread can be had, as memory is limited."""
    future: Future[Terms] = Future()
    work = [(context, function, chain)]  # emptied by whoever takes it: the queue keeps nothing
    try:
        _pool(workers).submit(_fill, future, work)
    except RuntimeError:
        # What was submitted is in the queue, and a thread that was had before may take it.
        _fill(future, work)
    return future


def _fill(future: Future[Terms], work: list[tuple[Context, Any, Any]]) -> None:
    try:
        context, function, chain = work.pop()
    except IndexError:
        return
    try:
        future.set_result(context.run(_chain, function, chain))
    except BaseException as error:
        future.set_exception(error)


def _chain(function: Callable[[Item], Terms], items: Sequence[Item]) -> Terms:
    totals = [widened(term) for term in function(items[0])]
    for item in items[1:]:
        for i, term in enumerate(function(item)):
            totals[i] = added(totals[i], term)
    return tuple(totals)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix=NAME)


# Threads do not survive a fork: a child makes its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


class _Held:
    """How many callers hold linear algebra to one thread now; the first sets, the last restores."""

    lock = threading.Lock()
    holders = 0
    cores = 1
    freed = 0
    holds = 0
    limit: Any = None


@contextmanager
def blocks_on_threads() -> Iterator[None]:
    """Hold linear algebra to one thread, so that blocks can have the others.

    A run holds it from beginning to end: threads of linear algebra that have just worked go on
    spinning for a while, on the cores that blocks want.
    """
    with _Held.lock:
        if _Held.holders == 0:
            _Held.cores = cores()
            _Held.limit = _controller().limit(limits=1, user_api="blas")
            _Held.holds += 1
            _Held.freed = 0
        _Held.holders += 1
    try:
        yield
    finally:
        with _Held.lock:
            _Held.holders -= 1
            if _Held.holders == 0:
                _Held.limit.restore_original_limits()


@contextmanager
def linear_algebra_on_threads() -> Iterator[None]:
    """Give linear algebra its threads back for large matrices, where nobody else holds them."""
    with _Held.lock:
        free, hold = _Held.holders == 1, _Held.holds
        if free and _Held.freed == 0:
            _Held.limit.restore_original_limits()
        _Held.freed += free
    try:
        yield
    finally:
        with _Held.lock:
            free = free and hold == _Held.holds  # else that hold is over, and has put all back
            _Held.freed -= free
            if free and _Held.freed == 0 and _Held.holders:
                _Held.limit = _controller().limit(limits=1, user_api="blas")
