"""The parent: a worker for each case, killed where a peer runs out of time."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from softunit.bench.cases import AnyCase, Suite
from softunit.bench.machine import pinned
from softunit.bench.peers import Peer
from softunit.bench.results import Result, from_fits, skipped

WORKER = (sys.executable, "-m", "softunit.bench.worker")
SLACK = 90.0
"""Seconds for whatever is not timed: making the table, imports, judging."""


class WorkerError(Exception):
    """A worker said nothing for too long, or ended."""


class Worker:
    """A child process that holds the table of one case.

    Parameters
    ----------
    case : AnyCase
    threads : int
    command : sequence of str, default WORKER
    slack : float, default SLACK
    """

    def __init__(
        self,
        case: AnyCase,
        threads: int,
        *,
        command: Sequence[str] = WORKER,
        slack: float = SLACK,
    ) -> None:
        self._slack = slack
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env=pinned(threads),
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the child
        )
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ready: dict[str, Any] = {}
        try:
            self._send({"case": case.to_dict(), "threads": threads})
            self.ready = self._hear(slack)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def unit(self) -> float:
        """Seconds of one gradient by plain numpy on this table."""
        return float(self.ready["gradient_seconds"])

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            for line in self._process.stdout:
                self._events.put(json.loads(line))
        self._events.put(None)

    def _send(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise WorkerError(self._last_words()) from error

    def _hear(self, seconds: float) -> dict[str, Any]:
        """Return the next event; `WorkerError` where none comes in time."""
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            raise WorkerError("") from None
        if event is None:
            raise WorkerError(self._last_words())
        return event

    def _last_words(self) -> str:
        """Return how the worker ended, and the last line that it wrote on stderr."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        status = f"its process ended with status {self._process.poll()}"
        return f"{status}: {lines[-1][:200]}" if lines else status

    def run(self, case: str, peer: str, budget: float, repeats: int) -> Result:
        """Return the result of one peer; after "stopped" or "failed" the worker may be dead.

        Parameters
        ----------
        case, peer : str
        budget : float
            Seconds of fits.
        repeats : int
        """
        fits: list[dict[str, Any]] = []
        try:
            self._send({"peer": peer, "budget": budget, "repeats": repeats})
            allowed = self._slack
            while True:
                event = self._hear(allowed)
                # A fit may take what is left of the budget, everything else the slack.
                allowed = event["left"] if event["event"] == "begin" else self._slack
                if event["event"] == "refused":
                    return skipped(case, peer, event["reason"])
                if event["event"] == "failed":
                    return Result(case, peer, "failed", budget=budget, reason=event["reason"])
                if event["event"] == "fit":
                    fits.append(event)
                if event["event"] == "end":
                    spent = sum(fit["seconds"] for fit in fits)
                    late = spent >= budget
                    return from_fits(case, peer, fits, unit=self.unit, budget=budget, stopped=late)
        except WorkerError as end:
            self.close()
            if str(end) and not fits:
                return Result(case, peer, "failed", budget=budget, reason=str(end))
            return from_fits(case, peer, fits, unit=self.unit, budget=budget, stopped=True)

    @property
    def alive(self) -> bool:
        """Whether it can take another order."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process; what it was doing is lost."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._reader.join(5.0)


@dataclass
class CaseRun:
    """What all peers did on one case.

    Attributes
    ----------
    case : AnyCase
    gradient_seconds : float or None
        The time of one gradient; None where the table could not be made.
    results : list of Result
    """

    case: AnyCase
    gradient_seconds: float | None = None
    results: list[Result] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """How a suite is run.

    Attributes
    ----------
    suite : Suite
        Its budgets; its cases are given apart.
    threads, repeats : int
    command : tuple of str
        What starts a worker.
    """

    suite: Suite
    threads: int
    repeats: int
    command: tuple[str, ...] = WORKER

    def budget(self, results: Sequence[Result], *, ours: bool) -> float:
        """Return the seconds the next peer may take.

        Ours gets three times the cap. A peer gets `factor` times our time, and no more than three
        times that of the best peer so far, but at least the floor and at most the cap.

        Parameters
        ----------
        results : sequence of Result
            Of the same case, so far.
        ours : bool
        """
        suite = self.suite
        mine = [r.seconds for r in results if r.peer == "softunit" and r.seconds is not None]
        if ours:
            return 3 * suite.cap
        if not mine:
            return suite.cap
        theirs = [
            r.seconds
            for r in results
            if not r.peer.startswith("softunit") and r.seconds is not None
        ]
        best = min(theirs, default=suite.cap)
        return min(max(suite.floor, min(suite.factor * mine[0], 3 * best)), suite.cap)


def run_cases(
    cases: Sequence[AnyCase],
    peers: Sequence[Peer],
    plan: Plan,
    watch: Callable[[AnyCase, str], None] | None = None,
) -> Iterator[CaseRun]:
    """Yield each case as soon as its first result is known, filled in place as it goes on.

    The same object is yielded after every result, so that an interrupted run keeps what it has.

    Parameters
    ----------
    cases : sequence of AnyCase
    peers : sequence of Peer
        In this order; ours should come first, as budgets follow from it.
    plan : Plan
    watch : callable, default None
        Told the case and the peer's name before each run.
    """
    begin = time.monotonic()
    for case in cases:
        run, worker = CaseRun(case), None
        try:
            for peer in peers:
                if watch is not None:
                    watch(case, peer.name)
                late = time.monotonic() - begin > plan.suite.limit and not peer.is_ours
                reason = peer.missing() or ("the suite's time was used up" if late else "")
                if reason:
                    run.results.append(skipped(case.name, peer.name, reason))
                else:
                    worker = _run_one(run, peer, plan, worker)
                yield run
        finally:
            if worker is not None:
                worker.close()


def _run_one(run: CaseRun, peer: Peer, plan: Plan, worker: Worker | None) -> Worker | None:
    """Add the result of one peer, and return the worker for the next one."""
    case = run.case
    if worker is None or not worker.alive:
        try:
            worker = Worker(case, plan.threads, command=plan.command)
        except WorkerError as end:
            reason = str(end) or "its table was not ready in time"
            run.results.append(Result(case.name, peer.name, "failed", reason=reason))
            return None
    run.gradient_seconds = run.gradient_seconds or worker.unit
    budget = plan.budget(run.results, ours=peer.is_ours)
    run.results.append(worker.run(case.name, peer.name, budget, plan.repeats))
    return worker
