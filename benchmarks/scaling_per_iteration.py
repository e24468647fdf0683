"""Time of an iteration of SketchedNewton against nonzeros.

python -m benchmarks.scaling_per_iteration

Softmax regression with 20 columns, dense and sparse (four nonzeros a row), from 1e5 to 1e8
nonzeros, all of about the same difficulty: entries and so scores are bounded, and the start is at
0.9 of a planted x, so that a line search takes as many values at every size. Each size has a
process of its own, which draws the table, runs a few iterations and says how long one took: the
time of the run over its iterations, so that what is made once counts too. The slope is that of log
time against log nonzeros; it exits with 1 where one is above the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from softunit.bench import physical_cores, slope
from softunit.bench.machine import about, pinned

LIMIT = 1.1
"""Slope up to which the time counts as linear."""

SIZES = (1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8)
PER_ROW = 4
"""Nonzeros of a row of the sparse designs."""

# The design is made in place or in CSR's own arrays, so that making it needs no second one.
CHILD = """
import json, resource, sys, time, warnings
import numpy as np
from scipy import sparse
import softunit as su
warnings.simplefilter("ignore")
kind, nonzeros, d, iterations, repeats, per_row = sys.argv[1], *map(int, sys.argv[2:])
rng = np.random.default_rng(0)
if kind == "dense":
    n = nonzeros // d
    A = np.empty((n, d))
    for start in range(0, n, 100_000):
        rng.random(out=A[start:start + 100_000])
    A -= 0.5
else:
    n = nonzeros // per_row
    # Sorted and distinct within a row: one column from each of as many stretches.
    stretch = d // per_row
    columns = np.arange(per_row, dtype=np.int32) * stretch
    indices = np.empty((n, per_row), dtype=np.int32)
    for start in range(0, n, 1_000_000):
        rows = slice(start, start + 1_000_000)
        indices[rows] = columns + rng.integers(stretch, size=indices[rows].shape, dtype=np.int32)
    indptr = np.arange(0, n * per_row + 1, per_row, dtype=np.int32)
    A = sparse.csr_matrix((rng.random(n * per_row) - 0.5, indices.ravel(), indptr), shape=(n, d))
x = rng.standard_normal(d)
z = A @ x
x /= z.std()
z /= z.std()
z += 0.3 * rng.standard_normal(n)
z -= z.max()
b = np.exp(z)
b /= b.sum()
problem = su.Problem(A, su.units.SoftmaxSquares(), b)
problem.gradient_scale  # made once for a problem, not for an iteration
solver = su.solvers.SketchedNewton()
found = []
for _ in range(repeats):
    problem.prepared.clear()
    begin = time.perf_counter()
    end = su.minimize(problem, 0.9 * x, solver=solver, tol=0.0, max_iter=iterations)
    seconds = time.perf_counter() - begin
    times = np.diff([record.seconds for record in end.history])
    steps = max(end.n_iter, 1)
    found.append((seconds / steps, end.n_iter, float(np.median(times)), end.cost.values / steps))
begin = time.perf_counter()
problem.design.rmatvec(problem.design.matvec(np.ones(d)))
gradient = time.perf_counter() - begin
best = min(found)
print(json.dumps({
    "rows": n, "seconds": best[0], "n_iter": best[1], "median": best[2],
    "values": best[3],
    "gradient_norm": end.gradient_norm,
    "two_products": gradient,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1e6 if sys.platform == "darwin" else 1e3),
}))
"""


def measured(kind: str, nonzeros: int, given: argparse.Namespace) -> dict[str, Any]:
    """Return what a child process says of one size."""
    sizes = (nonzeros, given.columns, given.iterations, given.repeats, PER_ROW)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, kind, *map(str, sizes)],
        stdout=subprocess.PIPE,
        text=True,
        env=pinned(given.threads),
        check=True,
    )
    return {"kind": kind, "nonzeros": nonzeros, **json.loads(done.stdout)}


def main() -> int:
    """Measure, print a line for each size and a slope for each kind; return 1 above the limit."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling_per_iteration",
        description="Time of one SketchedNewton iteration against nonzeros.",
    )
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--most", type=float, default=SIZES[-1], help="largest nonzeros tried")
    parser.add_argument("--iterations", type=int, default=5, help="of each run (default 5)")
    parser.add_argument("--repeats", type=int, default=3, help="the best run counts (default 3)")
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--json", metavar="FILE", help="write what was measured here")
    given = parser.parse_args()
    sizes = [int(size) for size in SIZES if size <= given.most]
    points, slopes = [], {}
    for kind in ("dense", "sparse"):
        own = []
        for nonzeros in sizes:
            own.append(point := measured(kind, nonzeros, given))
            print(
                f"{kind:<7}{nonzeros:>12,} nonzeros {point['rows']:>12,} rows"
                f" {point['seconds'] * 1e3:>10.2f} ms an iteration"
                f" ({point['seconds'] / point['two_products']:.1f} x two products,"
                f" {point['n_iter']} of them, {point['values']:.1f} values in each,"
                f" median {point['median'] * 1e3:.2f} ms,"
                f" peak {point['peak_mb']:,.0f} MB)",
                flush=True,
            )
        slopes[kind] = slope(sizes, [point["seconds"] for point in own])
        points += own
        word = "within" if slopes[kind] <= LIMIT else "ABOVE THE LIMIT"
        print(f"{kind:<7}slope {slopes[kind]:.3f}, limit {LIMIT}: {word}")
    if given.json:
        told = {"machine": about(given.threads), "limit": LIMIT, "slopes": slopes}
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump(told | {"points": points}, file, indent=2)
            file.write(os.linesep)
    return int(not all(value <= LIMIT for value in slopes.values()))


if __name__ == "__main__":
    sys.exit(main())
