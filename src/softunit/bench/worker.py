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

from softunit.bench.cases import AnyCase
from softunit.bench.catalogue import case_from, peers_of
from softunit.bench.judge import AnyTask, gradient_seconds
from softunit.bench.ladder import Say, climb
from softunit.bench.peers import Peer


def serve(lines: Iterable[str], say: Say) -> None:
    """Read orders and carry them out.

    Parameters
    ----------
    lines : iterable of str
    say : callable
        Takes each event.
    """
    case: AnyCase | None = None
    for line in lines:
        order = json.loads(line)
        if case is None:
            case = case_from(order["case"])
            task, peers = case.task(order["threads"]), peers_of(case.kind)
            say(
                {
                    "event": "ready",
                    "gradient_seconds": gradient_seconds(task),
                    "bytes": task.nbytes,
                    "pools": pools(),
                }
            )
            continue
        try:
            _run(peers[order["peer"]], case, task, order, say)
        except Exception as error:
            # A peer may fail in ways of its own; the others still run.
            say({"event": "failed", "reason": f"{type(error).__name__}: {error}"[:300]})


def _run(peer: Peer, case: AnyCase, task: AnyTask, order: dict[str, Any], say: Say) -> None:
    reason = peer.missing() or peer.refuses(task)
    if reason:
        say({"event": "refused", "reason": reason})
        return
    say({"event": "warming"})
    # So that what is imported or compiled at first use is not timed.
    climb(peer, case.warmer(task), lambda event: None, budget=1.0, repeats=1)
    peer.prepare(task)
    climb(peer, task, say, budget=order["budget"], repeats=order["repeats"])


def pools() -> list[dict[str, Any]]:
    """Return the thread pools of this process, as threadpoolctl sees them."""
    keys = ("internal_api", "version", "num_threads")
    return [{key: pool.get(key) for key in keys} for pool in threadpool_info()]


def own_output() -> TextIO:
    """Return a stream to the old standard output, and send what anyone prints nowhere."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    return stream


def main() -> None:
    """Serve standard input."""
    out = own_output()

    def say(event: dict[str, Any]) -> None:
        out.write(json.dumps(event) + "\n")
        out.flush()

    with threadpool_limits(int(os.environ.get("OMP_NUM_THREADS", "1"))):
        serve(sys.stdin, say)


if __name__ == "__main__":
    main()
