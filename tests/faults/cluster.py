"""Fits on workers that are killed in each phase; run as a script, which says what came of it.

One line of JSON goes to stdout: by phase the difference to the fit in memory, or the error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from softunit import Problem, certify, minimize
from softunit.designs import DaskDesign
from softunit.designs.dask import local_client
from softunit.errors import SoftunitError
from softunit.penalties import Ridge
from softunit.units import Multinomial

PARTITIONS, ROWS, COLUMNS, CLASSES = 6, 200, 5, 3
PHASES = ("moments", "gathering", "gradient", "certificate")
WORKERS = 2


def block(number: int) -> Any:
    """Return the rows of one partition."""
    return np.random.default_rng(number).standard_normal((ROWS, COLUMNS))


def labels() -> Any:
    rng = np.random.default_rng(99)
    X = np.concatenate([block(number) for number in range(PARTITIONS)])
    return np.argmax(X[:, :CLASSES] + rng.gumbel(size=(len(X), CLASSES)), axis=1)


def deadly(function: Any, mark: str, chunk: Any, arrays: Any) -> Any:
    """Kill the worker that comes here first, and do the work on the next."""
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return function(chunk, arrays)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a killed process goes on")


class Deadly:
    """Makes a design kill one worker, in a pass or before rows are gathered."""

    def __init__(self, client: Any, design: DaskDesign, folder: Path) -> None:
        self.client, self.design, self.folder, self.kills = client, design, folder, 0
        self.reduce, self.taken = design.reduce, design.taken

    def in_pass(self, number: int) -> None:
        """Kill in the pass of this number from now on."""
        passes = 0

        def reduce(function: Any, arrays: Any = (), folds: Any = None) -> Any:
            nonlocal passes
            passes += 1
            if passes == number:
                self.kills += 1
                function = partial(deadly, function, str(self.folder / f"mark-{self.kills}"))
            return self.reduce(function, arrays, folds)

        self.design.reduce = reduce

    def in_gathering(self) -> None:
        """Kill a worker just before rows are gathered from it."""

        def taken(index: Any, dtype: Any) -> Any:
            self.kills += 1
            kill_one(self.client)
            return self.taken(index, dtype)

        self.design.taken = taken

    def spare(self) -> None:
        """Kill no more."""
        self.design.reduce, self.design.taken = self.reduce, self.taken


def kill_one(client: Any) -> None:
    pids = client.run(os.getpid)
    os.kill(pids[min(pids)], signal.SIGKILL)


def phases(client: Any, folder: Path) -> dict[str, Any]:
    """Return by phase how far the coefficients are from those in memory, or the error."""
    y = labels()
    X = np.concatenate([block(number) for number in range(PARTITIONS)])
    here = Problem(X, Multinomial(CLASSES), y, Ridge(1e-3))
    right = minimize(here, solver="newton", tol=1e-11).x
    value = certify(here, right).value
    found: dict[str, Any] = {}
    for phase in PHASES:
        client.wait_for_workers(WORKERS, timeout=300)
        loaders = [partial(block, number) for number in range(PARTITIONS)]
        design = DaskDesign.from_blocks(loaders, client=client)
        deadly = Deadly(client, design, folder / phase)
        (folder / phase).mkdir()
        begun = time.monotonic()
        try:
            found[phase] = _tried(phase, design, deadly, y, right, value)
            found[phase]["kills"] = deadly.kills
        except SoftunitError as error:
            found[phase] = {"refused": str(error)}
        found[phase]["seconds"] = round(time.monotonic() - begun, 1)
    return found


def _tried(
    phase: str, design: DaskDesign, deadly: Deadly, y: Any, right: Any, value: float
) -> dict[str, Any]:
    if phase == "moments":
        deadly.in_pass(1)
        mean, variance = design.column_moments(None)
        X = design.toarray()
        off = max(np.abs(mean - X.mean(axis=0)).max(), np.abs(variance - X.var(axis=0)).max())
        return {"off": float(off)}
    if phase == "gathering":
        deadly.in_gathering()
        index = np.arange(7, design.shape[0], 13)
        rows = design.rows(index).toarray()
        deadly.spare()
        return {"off": float(np.abs(rows - design.toarray()[index]).max())}
    problem = Problem(design, Multinomial(CLASSES), y, Ridge(1e-3))
    if phase != "certificate":
        deadly.in_pass(5)
    solution = minimize(problem, solver="lbfgs", tol=1e-11)
    if phase == "certificate":
        deadly.in_pass(1)
    told = certify(problem, solution.x)
    deadly.spare()
    off = max(np.abs(solution.x - right).max(), abs(told.value - value))
    return {"off": float(off), "converged": solution.converged}


def main() -> None:
    warnings.simplefilter("ignore")
    with local_client(workers=WORKERS) as client:
        ports = client.run(_listening)
        found = phases(client, Path(sys.argv[1]))
        found["addresses"] = sorted({client.scheduler.address, *ports})
    sys.stdout.write(json.dumps(found) + "\n")


def _listening(dask_worker: Any) -> str:
    return str(dask_worker.address)


if __name__ == "__main__":
    main()
