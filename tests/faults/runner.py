"""A process that imports once, and forks a child for each action that may be killed.

Requests come in on stdin and answers go out on stdout, a line of JSON each. A child may be killed
at the n-th moment of its action, that is before or after the n-th call of any function, also of
those in C: whatever reaches the disk does so in one of them. The same n is the same moment on any
machine.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from tests.faults.actions import ACTIONS, prepare

SLOWEST = 60.0
"""Seconds after which a child counts as hanging."""


def main() -> None:
    prepare()
    for line in sys.stdin:
        answer = _run(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _run(request: dict[str, Any]) -> dict[str, Any]:
    """Fork a child, wait for its end, and tell of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _act(request, writing)
    os.close(writing)
    said, hangs = _read_all(reading, time.monotonic() + SLOWEST)
    if hangs:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if hangs:
        return {"end": "hangs"}
    if said:
        return json.loads(said)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return {"end": "killed" if number == signal.SIGKILL else f"signal {number}"}
    return {"end": f"exit {os.WEXITSTATUS(status)}"}


def _read_all(descriptor: int, deadline: float) -> tuple[bytes, bool]:
    """Return what a child says until it closes its end, and whether that took too long."""
    parts = []
    try:
        while (left := deadline - time.monotonic()) > 0:
            if select.select([descriptor], [], [], left)[0]:
                part = os.read(descriptor, 1 << 16)
                if not part:
                    return b"".join(parts), False
                parts.append(part)
        return b"".join(parts), True
    finally:
        os.close(descriptor)


def _act(request: dict[str, Any], writing: int) -> None:
    """Run an action in the child, and end it without any cleaning up."""
    for name, limit in request.get("limits", {}).items():
        _limit(name, limit)
    warnings.simplefilter("ignore")
    moments = _Moments(request.get("kill_at"))
    action: Callable[..., Any] = ACTIONS[request["action"]]
    try:
        counted = request.get("count") or request.get("kill_at")
        begin = (lambda: sys.setprofile(moments)) if counted else (lambda: None)
        value = action(begin, **request.get("arguments", {}))
        sys.setprofile(None)
        answer = {"end": "done", "value": value}
    except BaseException as error:
        sys.setprofile(None)
        answer = {"end": "error", "error": _lineage(error), "message": str(error)}
    answer["moments"] = moments.seen
    os.write(writing, json.dumps(answer).encode())
    os._exit(0)


def _lineage(error: BaseException) -> list[str]:
    return [each.__name__ for each in type(error).__mro__]


def _limit(name: str, limit: int) -> None:
    """Set a resource limit; that of memory is counted from what is taken already."""
    if name == "memory":
        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + limit, taken + limit))
    else:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


class _Moments:
    """Counts calls and returns, and kills the process at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self.seen = 0
        self.kill_at = kill_at

    def __call__(self, frame: Any, event: str, arg: Any) -> None:
        self.seen += 1
        if self.seen == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
