"""One revision against another on this machine: scripts/bench --base REV.

The base is checked out into a temporary worktree. Both sides fit the cases of a suite in turn,
each in a process of its own, on the same tables, drawn by the generators of head; both are judged
by head's judge. The best times are compared, and a case that became slower than
benchmarks/thresholds.toml allows, or that no longer meets the bar, makes the exit status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import select
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from softunit.bench import (
    BAR,
    Case,
    Task,
    chosen_cases,
    chosen_suite,
    geometric_mean,
    judged,
    physical_cores,
)
from softunit.bench.machine import pinned

ROOT = Path(__file__).resolve().parents[1]
THRESHOLDS = Path(__file__).with_name("thresholds.toml")
PATIENCE = 300.0
"""Seconds after which a fit counts as one that does not end."""

LONG = 5.0
"""Seconds of a fit that needs no warming up; when the mean reaches them, none is repeated."""

SHORT, MOST = 1.0, 30
"""Seconds of fits, up to which more than the asked repeats are made, and how many."""

# Runs with the source of either side, so it asks for no more than the classifier.
CHILD = """
import gc, json, sys, time, warnings
import numpy as np
from scipy import sparse
import softunit
warnings.simplefilter("ignore")
print(json.dumps({"file": softunit.__file__}), flush=True)
X = y = None
for line in sys.stdin:
    order = json.loads(line)
    if "table" in order:
        with np.load(order["table"], allow_pickle=False) as table:
            y = table["y"]
            if "X" in table:
                X = table["X"]
            else:
                parts = table["data"], table["indices"], table["indptr"]
                X = sparse.csr_matrix(parts, shape=tuple(table["shape"]))
        print("{}", flush=True)
        continue
    model = softunit.SoftmaxClassifier(**order["fit"])
    gc.collect()
    begin = time.perf_counter()
    try:
        model.fit(X, y)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        continue
    seconds = time.perf_counter() - begin
    np.savez(order["answer"], coef=model.coef_, intercept=model.intercept_)
    print(json.dumps({"seconds": seconds}), flush=True)
"""


@dataclass(frozen=True)
class Thresholds:
    """Ratios up to which head may be slower than base."""

    case: float
    mean: float
    seconds: float
    cases: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path = THRESHOLDS) -> Thresholds:
        return cls(**tomllib.loads(path.read_text("utf-8")))

    def of(self, case: str) -> float:
        return self.cases.get(case, self.case)


@dataclass(frozen=True)
class Pair:
    """The best times of both sides on one case; None where the bar was not met."""

    case: str
    base: float | None
    head: float | None

    @property
    def ratio(self) -> float:
        """Head over base: above one is slower; infinite where only base met the bar."""
        if self.base is None:
            return math.nan if self.head is None else 0.0
        return math.inf if self.head is None else self.head / self.base

    def slower(self, thresholds: Thresholds) -> bool:
        """Whether head is slower than it may be, by more than the clock's noise."""
        both = self.base is not None and self.head is not None
        if both and self.head - self.base <= thresholds.seconds:  # type: ignore[operator]
            return False
        return self.ratio > thresholds.of(self.case)


def verdict(pairs: list[Pair], thresholds: Thresholds) -> tuple[float | None, list[str]]:
    """Return the geometric mean of the ratios, and a sentence for each that is too high."""
    mean = geometric_mean([p.ratio for p in pairs if 0 < p.ratio < math.inf])
    said = [
        f"{pair.case}: {pair.ratio:.2f} times base, {thresholds.of(pair.case):g} allowed"
        for pair in pairs
        if pair.slower(thresholds)
    ]
    if mean is not None and mean > thresholds.mean:
        said.append(f"geometric mean {mean:.3f}, {thresholds.mean:g} allowed")
    return mean, said


class Side:
    """A process that fits with the source of one revision."""

    def __init__(self, source: Path, threads: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=pinned(threads) | {"PYTHONPATH": str(source), "PYTHONSAFEPATH": "1"},
        )
        found = Path(self._hear()["file"])
        if not found.is_relative_to(source):
            raise SystemExit(f"softunit was imported from {found}, not from {source}")

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self.close()
            return {"error": "no answer in time" if not ready else "its process ended"}
        return dict(json.loads(line))

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send an order and return the answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            return {"error": "its process ended"}
        return self._hear()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]


@contextlib.contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """Give a checkout of a revision, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="softunit-base-") as folder:
        place = Path(folder) / "base"
        git = ["git", "-C", str(ROOT), "worktree"]
        done = subprocess.run(
            [*git, "add", "--detach", str(place), revision], capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"no worktree of {revision!r}: {done.stderr.strip()}")
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=False)


def save_table(task: Task, path: Path) -> None:
    """Write the table of a case for both sides to read."""
    if task.is_sparse:
        X = task.X
        parts = {"data": X.data, "indices": X.indices, "indptr": X.indptr, "shape": X.shape}
        np.savez(path, y=task.y, **parts)
    else:
        np.savez(path, y=task.y, X=task.X)


def compare(case: Case, sources: dict[str, Path], solver: str, threads: int, repeats: int) -> Pair:
    """Fit one case on both sides in turn, and return the best times that met the bar."""
    task = case.task(threads)
    fit = {
        "C": task.inverse_ridge,
        "tol": BAR,
        "fit_intercept": case.intercept,
        "solver": solver,
        "max_iter": 100_000,
    }
    best: dict[str, float | None] = dict.fromkeys(sources)
    with tempfile.TemporaryDirectory(prefix="softunit-table-") as folder:
        table, answer = Path(folder) / "table.npz", Path(folder) / "answer.npz"
        save_table(task, table)
        sides = {name: Side(source, threads) for name, source in sources.items()}
        try:
            for side in sides.values():
                side.ask({"table": str(table)})
            turn, spent = 0, 0.0
            while turn <= repeats or (spent < SHORT and turn <= MOST):
                # ABBA, so that a machine that slows down slows both; the first turn warms up.
                order = list(sides) if turn % 2 == 0 else list(sides)[::-1]
                for name in order:
                    seconds = _judged_time(sides[name], task, fit, answer)
                    if seconds is not None and (turn or seconds > LONG):
                        best[name] = min(seconds, best[name] or math.inf)
                    spent += seconds or LONG
                if spent > 2 * repeats * LONG:
                    break
                turn += 1
        finally:
            for side in sides.values():
                side.close()
    return Pair(case.name, best["base"], best["head"])


def _judged_time(side: Side, task: Task, fit: dict[str, Any], answer: Path) -> float | None:
    told = side.ask({"fit": fit, "answer": str(answer)})
    if "seconds" not in told:
        return None
    with np.load(answer, allow_pickle=False) as found:
        _, gradient = judged(task, found["coef"].T, found["intercept"])
    return float(told["seconds"]) if gradient <= BAR else None


def main() -> int:
    """Compare, print a line for each case, and return 1 where head is too slow."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--base", required=True, metavar="REV", help="what head is compared with")
    parser.add_argument("--suite", default="guard", help="default guard")
    parser.add_argument("--cases", help="only these, with commas")
    parser.add_argument("--solver", default="auto", help="default auto")
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--repeats", type=int, default=5, help="the best counts (default 5)")
    given = parser.parse_args()
    names = given.cases.split(",") if given.cases else chosen_suite(given.suite).cases
    cases, thresholds, pairs = chosen_cases(names), Thresholds.read(), []
    print(f"{'case':<20}{'base':>10}{'head':>10}{'ratio':>8}{'allowed':>9}")
    with worktree(given.base) as place:
        sources = {"base": place / "src", "head": ROOT / "src"}
        for case in cases:
            pair = compare(case, sources, given.solver, given.threads, given.repeats)
            pairs.append(pair)
            times = (f"{'missed' if t is None else f'{t:.4f}':>10}" for t in (pair.base, pair.head))
            line = (
                f"{case.name:<20}{''.join(times)}{pair.ratio:>8.2f}{thresholds.of(case.name):>9g}"
            )
            print(line, flush=True)
    mean, said = verdict(pairs, thresholds)
    if mean is not None:
        print(f"geometric mean {mean:.3f} (head over base; below one is faster)")
    for sentence in said:
        print(f"slower: {sentence}", file=sys.stderr)
    return int(bool(said))


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
