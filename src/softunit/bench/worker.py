"""The child process in which peers run on one case: python -m softunit.bench.worker.

Lines of JSON come in and go out. The first line in names the case; the answer is
`{"event": "ready"}`. Each further line names a peer and its budget; the answers are those of
`ladder.climb`, or one `{"event": "failed", "reason": ...}`. Whoever listens may kill it any time.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from threadpoolctl import threadpool_info, threadpool_limits

from softunit.bench.cases import Case, power
from softunit.bench.judge import Task, gradient_seconds
from softunit.bench.ladder import Say, climb
from softunit.bench.peers import PEERS, Peer


def serve(lines: Iterable[str], say: Say) -> None:
    """Read orders and carry them out.

    Parameters
    ----------
    lines : iterable of str
    say : callable
        Takes each event.
    """
    task: Task | None = None
    for line in lines:
        order = json.loads(line)
        if task is None:
            task = Case.from_dict(order["case"]).task(order["threads"])
            say(
                {
                    "event": "ready",
                    "gradient_seconds": gradient_seconds(task),
                    "bytes": design_bytes(task),
                    "pools": pools(),
                }
            )
            continue
        try:
            _run(PEERS[order["peer"]], task, order, say)
        except Exception as error:
            # A peer may fail in ways of its own; the others still run.
            say({"event": "failed", "reason": f"{type(error).__name__}: {error}"[:300]})


def _run(peer: Peer, task: Task, order: dict[str, Any], say: Say) -> None:
    reason = peer.missing() or peer.refuses(task)
    if reason:
        say({"event": "refused", "reason": reason})
        return
    say({"event": "warming"})
    _warm(peer, task)
    climb(peer, task, say, budget=order["budget"], repeats=order["repeats"])


def _warm(peer: Peer, task: Task) -> None:
    """Fit a table of 60 rows, so that what is imported or compiled at first use is not timed."""
    small = power(60, 3, min(task.k, 3), 1e-2, 10.0).task(task.threads)
    X = small.X.astype(task.X.dtype)
    X = type(task.X)(X) if task.is_sparse else X
    small = Task(X, small.y, small.k, small.ridge, task.intercept, task.threads)
    climb(peer, small, lambda event: None, budget=1.0, repeats=1)


def design_bytes(task: Task) -> int:
    """Return the bytes of the design."""
    X = task.X
    parts = (X.data, X.indices, X.indptr) if task.is_sparse else (X,)
    return sum(int(part.nbytes) for part in parts)


def pools() -> list[dict[str, Any]]:
    """Return the thread pools of this process, as threadpoolctl sees them."""
    keys = ("internal_api", "version", "num_threads")
    return [{key: pool.get(key) for key in keys} for pool in threadpool_info()]


def _own_output() -> TextIO:
    """Return a stream to the old standard output, and send what anyone prints nowhere."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    return stream


def main() -> None:
    """Serve standard input."""
    out = _own_output()

    def say(event: dict[str, Any]) -> None:
        out.write(json.dumps(event) + "\n")
        out.flush()

    with threadpool_limits(int(os.environ.get("OMP_NUM_THREADS", "1"))):
        serve(sys.stdin, say)


if __name__ == "__main__":
    main()
