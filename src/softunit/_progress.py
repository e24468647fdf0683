"""A progress line for work over two seconds: silent off a terminal and at verbose 0."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from softunit.solution import Record

AFTER = 2.0  # seconds of silence
EVERY = 0.1  # seconds between updates

Tick = Callable[[Record], None]


@contextmanager
def progress(verbose: int, tol: float) -> Iterator[Tick]:
    """Yield a function that shows a record; the line goes away at the end.

    Parameters
    ----------
    verbose : int
        0 shows nothing.
    tol : float
        Shown beside the gradient.
    """
    if not verbose or not sys.stderr.isatty():
        yield lambda record: None
        return
    shown = 0.0

    def show(record: Record) -> None:
        nonlocal shown
        if record.seconds < AFTER or record.seconds - shown < EVERY:
            return
        shown = record.seconds
        sys.stderr.write("\r\x1b[2K" + progress_text(record, tol))
        sys.stderr.flush()

    try:
        yield show
    finally:
        if shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def progress_text(record: Record, tol: float) -> str:
    """Return one line of at most 79 characters on where a run stands."""
    return (
        f"iteration {record.iteration}  value {record.value:.6g}  gradient"
        f" {record.gradient_norm:.1e} (to {tol:.0e})  {record.seconds:.0f} s"
    )
