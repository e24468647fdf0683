"""Fuzz every reader for a while, starting from the corpus, and keep what found new ways through it.

``python -m tests.fuzz.run --seconds 600`` gives each target ten minutes; with --only, one of them.
A finding (an error that is not ours, more than 10 seconds or more than 1 GB) does not end a run:
its input is kept in the folder of --findings and the run goes on. The status is 1 where there was
one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from tests.fuzz import seeds
from tests.fuzz.harness import CORPUS, INSTRUMENTED, Check

Step: TypeAlias = tuple[str, int, int]
TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]

SEEDS = {"checkpoint": seeds.checkpoints, "model_file": seeds.model_files, "tables": seeds.tables}
"""The targets, and what yields whole files for each."""

LIMITS = ("-timeout=10", "-rss_limit_mb=1024")
LARGEST_INPUT = 16_384
LARGEST_CORPUS = 300_000  # bytes for each target


@dataclass
class Outcome:
    """What came of one target."""

    target: str
    seconds: float = 0.0
    executions: int = 0
    peak_rss_mb: int = 0
    slowest_s: int = 0
    findings: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for each target")
    parser.add_argument("--only", choices=sorted(SEEDS), help="one target")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--keep", action="store_true", help="write the corpus back, minimised")
    asked = parser.parse_args()
    found = False
    for target in [asked.only] if asked.only else sorted(SEEDS):
        with tempfile.TemporaryDirectory(prefix="softunit-fuzzing-") as folder:
            work = _gather(target, Path(folder) / "work")
            outcome = _run(target, asked.seconds, work, asked.findings)
            if asked.keep:
                _minimise(target, work)
        found = found or bool(outcome.findings)
        sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
        sys.stdout.flush()
    return int(found)


def _gather(target: str, work: Path) -> Path:
    """Put the corpus and the seeds into a working folder."""
    work.mkdir()
    kept = CORPUS / target
    for path in kept.iterdir() if kept.is_dir() else ():
        shutil.copy(path, work)
    for number, data in enumerate(SEEDS[target]()):
        (work / f"seed-{number}").write_bytes(data)
    return work


def _run(target: str, seconds: float, work: Path, findings: Path) -> Outcome:
    """Fuzz one target, again after each finding, until its time is over."""
    findings.mkdir(parents=True, exist_ok=True)
    outcome, begun = Outcome(target), time.monotonic()
    while (left := seconds - (time.monotonic() - begun)) >= 1:
        prefix = f"-artifact_prefix={findings}/{target}-"
        told = _fuzz(target, f"-max_total_time={int(left)}", prefix, *LIMITS, str(work))
        _count(outcome, told.stderr)
        if told.returncode == 0:
            break
        kept = re.findall(r"Test unit written to (\S+)", told.stderr)
        outcome.findings.append(kept[0] if kept else told.stderr[-500:])
        (findings / f"{target}-{len(outcome.findings)}.log").write_text(told.stderr[-20_000:])
        if kept:  # what was just found must not be found again at once
            _forget(work, Path(kept[0]))
    outcome.seconds = round(time.monotonic() - begun, 1)
    return outcome


def _fuzz(target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"tests.fuzz.fuzz_{target}", f"-max_len={LARGEST_INPUT}"]
    command += ["-print_final_stats=1", "-verbosity=1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def _count(outcome: Outcome, told: str) -> None:
    def last(pattern: str) -> int:
        return max((int(each) for each in re.findall(pattern, told)), default=0)

    outcome.executions += last(r"(?:number_of_executed_units:\s*|^#)(\d+)")
    outcome.peak_rss_mb = max(outcome.peak_rss_mb, last(r"(?:peak_rss_mb:\s*|rss: )(\d+)"))
    outcome.slowest_s = max(outcome.slowest_s, last(r"slowest_unit_time_sec:\s*(\d+)"))


def _forget(work: Path, finding: Path) -> None:
    for path in work.iterdir():
        if finding.is_file() and path.read_bytes() == finding.read_bytes():
            path.unlink()


def _minimise(target: str, work: Path) -> None:
    """Keep in the corpus the shortest inputs that together take every step that any input takes."""
    check = import_module(f"tests.fuzz.fuzz_{target}").check
    kept = CORPUS / target
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    known: set[Step] = set()
    total = 0
    for path in sorted(work.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
        data = path.read_bytes()
        steps = _steps(check, data)
        if steps <= known or total + len(data) > LARGEST_CORPUS:
            continue
        known |= steps
        total += len(data)
        (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def _steps(check: Check, data: bytes) -> set[Step]:
    """Return the steps from line to line that a reader takes in our own code."""
    taken: set[Step] = set()

    def within(frame: FrameType, event: str, arg: object) -> TraceFunction:
        before = frame.f_lineno

        def step(frame: FrameType, event: str, arg: object) -> TraceFunction:
            nonlocal before
            taken.add((frame.f_code.co_filename, before, frame.f_lineno))
            before = frame.f_lineno
            return step

        return step

    def enter(frame: FrameType, event: str, arg: object) -> TraceFunction | None:
        ours = frame.f_globals.get("__name__", "").startswith(INSTRUMENTED)
        return within(frame, event, arg) if ours else None

    sys.settrace(enter)
    try:
        check(data)
    finally:
        sys.settrace(None)
    return taken


if __name__ == "__main__":
    sys.exit(main())
