"""`python -m softunit` and `softunit` are one command."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

from softunit.errors import MissingExtraError

_NEEDED = frozenset({"click", "rich", "typer"})


def main() -> int:
    """Run the command line and return its exit status: 0, 2 or 3; 130 after Ctrl-C."""
    # Arrow's own pool reserves a gigabyte of addresses at once, which limits on them do not bear.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        with _quiet_interrupt():
            from softunit.cli import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(f"softunit: {MissingExtraError('the command line', 'cli')}\n")
        return 2
    return run()


@contextlib.contextmanager
def _quiet_interrupt() -> Iterator[None]:
    """End the program at once on Ctrl-C: an import cut short fails in ways of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set what a signal does
        return
    before = signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(number: int, frame: object) -> NoReturn:
    os.write(2, b"softunit: interrupted. Nothing was begun.\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
