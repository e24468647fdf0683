"""A progress line for work over two seconds: silent off a terminal and at verbose 0."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from softunit.solution import Record

AFTER = 2.0  # seconds of silence
WINDOW = 5  # records that the time left is judged by

Tick = Callable[[Record], None]
Watch = Callable[[Record, str, int], None]


@contextmanager
def progress(verbose: int, tol: float) -> Iterator[Tick]:
    """Yield a function that shows a record; the line goes away at the end.

    Parameters
    ----------
    verbose : int
        0 shows nothing.
    tol : float
        The gradient at which the run ends.
    """
    seen: deque[Record] = deque(maxlen=WINDOW)
    with _line(verbose) as write:

        def show(record: Record) -> None:
            seen.append(record)
            if record.seconds >= AFTER:
                write(lambda: progress_text(seen, tol))

        yield show


@contextmanager
def search_progress(verbose: int, fits: int) -> Iterator[Watch]:
    """Yield a function that shows a record of one of many fits; one line tells of all.

    It is called with the record, words for the fit and the number of fits before it.

    Parameters
    ----------
    verbose : int
        0 shows nothing.
    fits : int
        How many there are.
    """
    begin = time.perf_counter()
    with _line(verbose) as write:

        def show(record: Record, where: str, done: int) -> None:
            seconds = time.perf_counter() - begin
            if seconds >= AFTER:
                left = seconds * (fits - done) / done if done else None
                write(lambda: search_text(record, where, seconds, left))

        yield show


@contextmanager
def _line(verbose: int) -> Iterator[Callable[[Callable[[], str]], None]]:
    """Yield a function that writes a text over the last one; it goes away at the end."""
    console = _terminal() if verbose else None
    if console is None:
        yield lambda text: None
        return
    with console.status("", spinner="line") as status:
        status.stop()

        def write(text: Callable[[], str]) -> None:
            status.update(text())
            status.start()

        yield write


def _terminal() -> Any:
    """Return a console on standard error if that is a terminal and rich is installed."""
    try:
        from rich.console import Console
    except ImportError:  # the line is a comfort: without the extra cli there is none
        return None
    console = Console(stderr=True, markup=False, highlight=False)
    return console if console.is_terminal else None


def progress_text(seen: deque[Record], tol: float) -> str:
    """Return one line on where a run stands, of at most 79 characters."""
    last = seen[-1]
    left = seconds_left(seen, tol)
    return (
        f"iteration {last.iteration}  value {last.value:.6g}  gradient {last.gradient_norm:.1e}"
        f" (to {tol:.0e})  {last.seconds:.0f} s"
        + ("" if left is None else f", {left:.0f} s left")
        + (f", on {last.share:.1%} of the rows" if last.share < 1.0 else "")
    )


def search_text(record: Record, where: str, seconds: float, left: float | None) -> str:
    """Return one line on where a search stands, of at most 79 characters for usual numbers."""
    return (
        f"{where}, iteration {record.iteration}, gradient {record.gradient_norm:.0e}"
        f"  {seconds:.0f} s" + ("" if left is None else f", {left:.0f} s left")
    )


def seconds_left(seen: deque[Record], tol: float) -> float | None:
    """Return how long the gradient needs down to tol at its latest rate; None where unknown.

    On a sample of the rows nothing is known: the whole is still to come.
    """
    first, last = seen[0], seen[-1]
    if first.share < 1.0:
        return None
    passed = last.seconds - first.seconds
    if not (passed > 0 and 0 < tol < last.gradient_norm < first.gradient_norm):
        return None
    rate = math.log(first.gradient_norm / last.gradient_norm) / passed
    return math.log(last.gradient_norm / tol) / rate
