"""Fits on Dask workers beside the same fit in memory: python -m benchmarks.distributed.

Rows with planted coefficients (`benchmarks.planted_rows`) are drawn on the workers, partition by
partition, and stay there. The same rows are fitted in memory, by one worker and by two, each
arrangement in a process of its own; every process has one thread. Reading, or drawing, is told
apart from fitting. The parent computes the gradients anew in float64 with numpy, block by block,
and judges:

- every gradient comes down to 1e-6;
- one worker takes at most 1.3 times as long as memory;
- two workers are at least 1.6 times as fast as one.

The last two bars say something only on a machine with three idle cores, or two and patience.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import softunit as su
from benchmarks.planted_rows import Planted
from softunit.bench.machine import about, pinned
from softunit.designs.dask import DaskDesign, local_client

GRADIENT, OVERHEAD, FASTER = 1e-6, 1.3, 1.6
"""The bars."""


def block_of(planted: Planted, number: int) -> np.ndarray:
    """Return the rows of a partition, (m, d) of float32."""
    rows = np.empty((planted.files[number][1], planted.d), dtype=np.float32)
    start = 0
    for X, _ in planted.drawn(number):
        rows[start : start + len(X)] = X
        start += len(X)
    return rows


def labels_of(planted: Planted, number: int) -> np.ndarray:
    """Return the classes of a partition, (m,) of uint8."""
    return np.concatenate([y for _, y in planted.drawn(number)]).astype(np.uint8)


def problem_of(design: Any, y: Any, planted: Planted) -> su.Problem:
    """Return multinomial regression with an intercept and a small ridge."""
    columns = su.designs.as_design(design, intercept=True)
    ridge = su.penalties.Ridge(strengths(planted))
    return su.Problem(columns, su.units.Multinomial(planted.k), y, ridge)


def strengths(planted: Planted) -> np.ndarray:
    """Return the ridge on each column, none on the intercept."""
    return np.append(np.full(planted.d, 1 / planted.n), 0.0)


def data_of(planted: Planted, client: Any) -> tuple[Any, Any]:
    """Return rows and classes: here without a client, else on its workers."""
    numbers = range(len(planted.files))
    if client is None:
        X = np.empty((planted.n, planted.d), dtype=np.float32)
        start = 0
        for number in numbers:
            block = block_of(planted, number)
            X[start : start + len(block)] = block
            start += len(block)
        return X, np.concatenate([labels_of(planted, number) for number in numbers])
    import dask.array as da
    from dask.delayed import delayed

    design = DaskDesign.from_blocks([partial(block_of, planted, i) for i in numbers], client=client)
    parts = [
        da.from_delayed(delayed(labels_of)(planted, i), (rows,), np.uint8)
        for i, (_, rows) in enumerate(planted.files)
    ]
    return design, design.beside(da.concatenate(parts))


def fitted(order: dict[str, Any]) -> dict[str, Any]:
    """Do one arrangement: draw the rows, fit a few to load what is loaded once, fit them all."""
    planted, workers = Planted(**order["planted"]), order["workers"]
    with local_client(workers) if workers else nullcontext() as client:
        few = Planted(n=4_000, d=planted.d, k=planted.k, file_rows=1_000)
        su.minimize(problem_of(*data_of(few, client), few), tol=order["tol"])
        begin = time.perf_counter()
        X, y = data_of(planted, client)
        drawn = time.perf_counter() - begin
        best, used = np.inf, 0.0
        for _ in range(order["repeats"]):
            begin, processor = time.perf_counter(), time.process_time()
            problem = problem_of(X, y, planted)
            solution = su.minimize(problem, tol=order["tol"])
            if time.perf_counter() - begin < best:
                best, used = time.perf_counter() - begin, time.process_time() - processor
        passes = []
        for shift in range(1, 4):
            begin = time.perf_counter()
            problem.evaluate(solution.x * (1 + 0.01 * shift))
            passes.append(time.perf_counter() - begin)
    np.save(order["out"], problem.design.to_input(solution.x), allow_pickle=False)
    return {
        "workers": workers,
        "seconds_to_draw": drawn,
        "seconds": best,
        "own_processor_seconds": used,  # of this process: in memory all, else samples and sums
        "pass_seconds": min(passes),
        "converged": bool(solution.converged),
        "n_iter": solution.n_iter,
        "rows_visited": int(solution.cost.rows),
        "own_gradient": solution.gradient_norm,
    }


def ordered(order: dict[str, Any]) -> dict[str, Any]:
    """Return what a child of one thread made of its orders."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.distributed", "--child", json.dumps(order)],
        capture_output=True,
        text=True,
        env=pinned(1),
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the fit ended with status {done.returncode}:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def gradients(planted: Planted, points: list[np.ndarray]) -> list[float]:
    """Return the largest entry of the gradient at each point (d + 1, K), in float64 by numpy."""
    sums = [np.zeros(x.shape) for x in points]
    for number in range(len(planted.files)):
        for X, y in planted.drawn(number):
            A = np.column_stack([X.astype(np.float64), np.ones(len(X))])
            for x, total in zip(points, sums, strict=True):
                P = A @ x
                np.exp(P - P.max(axis=1, keepdims=True), out=P)
                P /= P.sum(axis=1, keepdims=True)
                P[np.arange(len(y)), y] -= 1.0
                total += A.T @ P
    ridge = strengths(planted)[:, None]
    return [
        float(np.abs(g / planted.n + ridge * x).max()) for g, x in zip(sums, points, strict=True)
    ]


def judged(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures that have bars, each with whether it keeps it.

    Parameters
    ----------
    runs : list of dict
        In memory, on one worker, on two.
    """
    memory, one, two = (run["seconds"] for run in runs)
    worst = max(run["gradient"] for run in runs)
    return {
        "gradient": {"value": worst, "bar": GRADIENT, "kept": worst <= GRADIENT},
        "overhead": {"value": one / memory, "bar": OVERHEAD, "kept": one / memory <= OVERHEAD},
        "faster": {"value": one / two, "bar": FASTER, "kept": one / two >= FASTER},
    }


def compared(planted: Planted, tol: float, repeats: int) -> dict[str, Any]:
    """Run the three arrangements one after the other, and judge them."""
    runs, points = [], []
    with TemporaryDirectory() as folder:
        for workers in (0, 1, 2):
            order = {
                "planted": vars(planted),
                "workers": workers,
                "tol": tol,
                "repeats": repeats,
                "out": str(Path(folder) / f"{workers}.npy"),
            }
            runs.append(ordered(order))
            points.append(np.load(order["out"], allow_pickle=False))
            print(_line(runs[-1]), flush=True)
    for run, gradient in zip(runs, gradients(planted, points), strict=True):
        run["gradient"] = gradient
    return {"machine": about(1), "rows": vars(planted), "runs": runs, "bars": judged(runs)}


def _line(run: dict[str, Any]) -> str:
    where = f"{run['workers']} workers" if run["workers"] else "in memory"
    return (
        f"{where:>10}: {run['seconds']:7.2f} s to fit ({run['own_processor_seconds']:.2f} s of this"
        f" process), {run['pass_seconds']:.3f} s a pass, {run['n_iter']} iterations,"
        f" {run['rows_visited']:,} rows visited"
    )


def main() -> int:
    """Print what each arrangement took, and the bars; return 1 where one is not kept."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distributed", description=__doc__.partition(":")[0]
    )
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--repeats", type=int, default=1, help="fits, of which the best counts")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(fitted(json.loads(given.child))))
        return 0
    size = -(-given.rows // given.partitions)
    planted = Planted(n=given.rows, d=given.columns, k=given.classes, file_rows=size)
    result = compared(planted, given.tol, given.repeats)
    for name, bar in result["bars"].items():
        kept = "" if bar["kept"] else "  NOT KEPT"
        print(f"{name:>20}: {bar['value']:.4g} (bar {bar['bar']:g}){kept}")
    if given.out:
        given.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return int(not all(bar["kept"] for bar in result["bars"].values()))


if __name__ == "__main__":
    sys.exit(main())
