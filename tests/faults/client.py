"""The tests' end of the runner: asks for an action, and gives what came of it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0
"""Seconds for an answer; the runner itself gives up on a child before."""


@dataclass(frozen=True)
class Ending:
    """How a child ended: "done", "error", "killed", "hangs", or another signal or exit status."""

    end: str
    value: Any = None
    error: tuple[str, ...] = ()
    message: str = ""
    moments: int = 0

    @property
    def refused(self) -> bool:
        """Whether it ended with an error of ours, which is a sentence."""
        return self.end == "error" and "SoftunitError" in self.error and self.message.endswith(".")


class Runner:
    """A runner process, and a thread that reads its answers so that waiting has an end."""

    def __init__(self, *before: str) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        }
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "tests.faults.runner"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd=ROOT, env=environment,
        )  # fmt: skip
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def __call__(
        self,
        action: str,
        *,
        kill_at: int | None = None,
        count: bool = False,
        limits: dict[str, int] | None = None,
        **arguments: Any,
    ) -> Ending:
        """Have an action run in a child of its own."""
        request = {
            "action": action, "arguments": arguments, "kill_at": kill_at, "count": count,
            "limits": limits or {},
        }  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request, default=str) + "\n")
        self.process.stdin.flush()
        line = self._answers.get(timeout=PATIENCE)
        if not line:
            assert self.process.stderr is not None
            raise AssertionError(f"the runner has ended: {self.process.stderr.read()[-2000:]}")
        told = json.loads(line)
        return Ending(**{**told, "error": tuple(told.get("error", ()))})

    def close(self) -> None:
        """End the runner, and wait for it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(timeout=10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
