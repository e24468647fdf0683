"""The parent: a process for each unit, so that memory and threads are its own."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from softunit.bench.attention.plan import Plan
from softunit.bench.machine import pinned

WORKER = (sys.executable, "-m", "softunit.bench.attention.worker")


@dataclass
class Row:
    """What was found of one unit or peer.

    Attributes
    ----------
    kind : {"unit", "peer"}
    name : str
    parts : dict of str to dict
        By part; what has "complete" is whole.
    """

    kind: str
    name: str
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def missing(self, wanted: Sequence[str]) -> list[str]:
        """Return those parts that are not whole."""
        return [part for part in wanted if not self.parts.get(part, {}).get("complete")]

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return {"kind": self.kind, "name": self.name, **self.parts}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Row:
        """Return the row of plain values."""
        parts = {key: value for key, value in told.items() if key not in ("kind", "name")}
        return cls(told["kind"], told["name"], parts)


Watch = Callable[[Row, str, dict[str, Any]], None]
"""Told the row, the part, and what was found of it so far."""


def run_rows(
    plan: Plan,
    rows: Sequence[Row],
    parts: dict[str, tuple[str, ...]],
    watch: Watch | None = None,
    *,
    command: Sequence[str] = WORKER,
) -> Iterator[Row]:
    """Yield each row when all its parts are whole, or have failed; rows are filled in place.

    Parameters
    ----------
    plan : Plan
    rows : sequence of Row
        Parts that they have are not measured again.
    parts : dict of str to tuple of str
        By name, which parts are wanted.
    watch : callable, optional
        Told what is found, as it is found.
    command : sequence of str, optional
        What starts a worker.
    """
    for row in rows:
        wanted = row.missing(parts[row.name])
        if wanted:
            _measure(plan, row, wanted, watch or _nobody, command)
        yield row


def _nobody(row: Row, part: str, found: dict[str, Any]) -> None:
    pass


def _measure(plan: Plan, row: Row, wanted: list[str], watch: Watch, command: Sequence[str]) -> None:
    """Fill a row from a worker of its own; parts that it dies in say how it ended."""
    order = {"plan": plan.to_dict(), "kind": row.kind, "name": row.name, "parts": wanted}
    watch(row, wanted[0], {})
    # Longer than any one thing may take without a word.
    patience = 60.0 * plan.seconds + 300.0
    with _child(plan, order, command) as hear:
        while left := row.missing(wanted):
            event = hear(patience)
            if isinstance(event, str):
                row.parts[left[0]] = row.parts.get(left[0], {}) | {
                    "failed": event,
                    "complete": True,
                }
                for part in left[1:]:
                    row.parts[part] = {
                        "failed": f"not begun: {row.name} ended in {left[0]}",
                        "complete": True,
                    }
                return
            row.parts[event["part"]] = event["found"]
            watch(row, event["part"], event["found"])


@contextlib.contextmanager
def _child(
    plan: Plan, order: dict[str, Any], command: Sequence[str]
) -> Iterator[Callable[[float], dict[str, Any] | str]]:
    """Give a way to hear the next event of a worker, or how it ended."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            env=pinned(plan.threads),
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the child
        )
        events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        reader = threading.Thread(target=_read, args=(process, events), daemon=True)
        reader.start()

        def hear(seconds: float) -> dict[str, Any] | str:
            try:
                event = events.get(timeout=seconds)
            except queue.Empty:
                return f"its process said nothing for {seconds:.0f} s"
            return _last_words(process, errors) if event is None else event

        try:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.close()
            yield hear
        finally:
            process.kill()
            process.wait()
            reader.join(5.0)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


def _read(process: Any, events: queue.Queue[dict[str, Any] | None]) -> None:
    with contextlib.suppress(ValueError, OSError):
        for line in process.stdout:
            events.put(json.loads(line))
    events.put(None)


def _last_words(process: Any, errors: Any) -> str:
    """Return how a worker ended, and the last line that it wrote on stderr."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5.0)
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    status = f"its process ended with status {process.poll()}"
    if process.poll() == -9:
        status += " (the system ends processes that take too much memory)"
    return f"{status}: {lines[-1][:200]}" if lines else status
