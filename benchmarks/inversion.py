"""Peak memory and time of leverage-score inversion: python -m benchmarks.inversion.

A child process draws A, b and x, takes the leverage scores, and recovers x from them; the parent
reads the child's largest resident set from the system. The limit is 2 GB, and x must come back.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from softunit.bench import physical_cores
from softunit.bench.machine import about, pinned

GB = 1e9
LIMIT = 2.0
"""GB."""

CLOSE = 1e-8
"""Largest error of x, over its largest entry, at which it counts as recovered."""

CHILD = """
import json, sys, time, warnings
import numpy as np
n, d, signs = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rng = np.random.default_rng(0)
A = rng.standard_normal((n, d))
x = rng.standard_normal(d)
if signs == "interior":
    b = A @ x - rng.uniform(0.5, 1.5, n)
else:
    b = rng.standard_normal(n)
q = np.linalg.qr(A / (A @ x - b)[:, None])[0]
sigma = np.einsum("ij,ij->i", q, q)
del q
import softunit as su
warnings.simplefilter("ignore")
begin = time.perf_counter()
model = su.LeverageScoreInverter().fit(A, sigma, b)
seconds = time.perf_counter() - begin
print(json.dumps({
    "seconds": seconds,
    "n_iter": int(model.n_iter_),
    "converged": bool(model.solution_.converged),
    "gradient_norm": model.solution_.gradient_norm,
    "error": float(np.abs(model.coef_ - x).max() / np.abs(x).max()),
}))
"""


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Return what the child said of its fit, and its largest resident set in bytes."""
    command = [sys.executable, "-c", CHILD, str(given.rows), str(given.columns), given.signs]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=pinned(given.threads)
    ) as child:
        assert child.stdout is not None
        said = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"the fit ended with status {child.returncode}.")
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak": usage.ru_maxrss * unit, **json.loads(said)}


def main() -> int:
    """Print peak, time and error; return 1 above the limit, or where x did not come back."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inversion",
        description="Peak memory and time of leverage-score inversion.",
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument(
        "--signs", choices=("interior", "mixed"), default="mixed", help="of A x - b (default mixed)"
    )
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--json", metavar="FILE", help="write what was measured here")
    given = parser.parse_args()
    found = measured(given)
    small, back = found["peak"] < LIMIT * GB, found["error"] <= CLOSE
    place, word = "within" if small else "ABOVE", "recovered" if back else "NOT RECOVERED"
    print(
        f"{given.rows:,} x {given.columns}, signs {given.signs}: {found['seconds']:.2f} s;"
        f" peak {found['peak'] / GB:.2f} GB, {place} the limit of {LIMIT:g} GB;"
        f" error of x {found['error']:.1e}: {word}"
    )
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump({"machine": about(given.threads), **vars(given), **found}, file, indent=2)
            file.write(os.linesep)
    return int(not (small and back))


if __name__ == "__main__":
    sys.exit(main())
