"""Peak memory of a large fit, measured from outside: python -m benchmarks.memory.

A child process makes the array and fits it; the parent reads the child's largest resident set
from the system. The limit is the array plus 25 per cent plus 200 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

MB = 1e6
# Made in place, block by block, so that making it needs no second array.
CHILD = """
import json, sys, time
import numpy as np
n, d, k, solver = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rng = np.random.default_rng(0)
X, y = np.empty((n, d)), np.empty(n, dtype=np.int64)
W = rng.normal(size=(d, k)) / np.sqrt(d)
for start in range(0, n, 10_000):
    rows = slice(start, min(start + 10_000, n))
    X[rows] = rng.normal(size=X[rows].shape)
    Z = X[rows] @ W
    y[rows] = (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)
from softunit import SoftmaxClassifier
begin = time.perf_counter()
model = SoftmaxClassifier(solver=solver).fit(X, y)
print(json.dumps({
    "seconds": time.perf_counter() - begin,
    "n_iter": int(model.n_iter_[0]),
    "converged": model.solution_.converged,
    "gap_bound": model.certificate_.gap_bound,
}))
"""


def peak_of(n: int, d: int, k: int, solver: str) -> tuple[float, dict[str, object]]:
    """Return the child's largest resident set in bytes, and what it said of its fit."""
    command = [sys.executable, "-c", CHILD, str(n), str(d), str(k), solver]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"the fit ended with status {child.returncode}.")
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit, json.loads(said)


def main() -> int:
    """Print array, peak and limit; return 1 where the peak is above the limit."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--solver", default="auto")
    given = parser.parse_args()
    array = given.rows * given.columns * 8
    peak, fit = peak_of(given.rows, given.columns, given.classes, given.solver)
    limit = array * 1.25 + 200 * MB
    print(
        f"array {array / MB:.0f} MB, peak {peak / MB:.0f} MB, limit {limit / MB:.0f} MB:"
        f" {'within' if peak <= limit else 'ABOVE THE LIMIT'}"
    )
    print(", ".join(f"{name} {value}" for name, value in fit.items()))
    return int(peak > limit)


if __name__ == "__main__":
    sys.exit(main())
