"""One fit in a process of its own, whose address space may grow so much and no more.

`benchmarks.out_of_core` starts it with its orders as JSON on the command line, and reads what it
says of itself as JSON from its last line. What is told of memory and of reads comes from the
system (Linux), not from the package.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset  # noqa: F401 (what a fit imports anyway is there before the limit is set)
import pyarrow.parquet as pq

import softunit as su

KB = 1024


def status(name: str) -> int:
    """Return a size from /proc/self/status in bytes, as VmSize, VmPeak, VmRSS or VmHWM."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * KB
    raise KeyError(name)


def read_so_far() -> tuple[int, int]:
    """Return bytes this process asked the system to read, and those that came from the disk."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    told = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    return told["rchar"], told["read_bytes"]


def limit(growth: int) -> None:
    """Let the address space of this process grow by so many bytes from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (status("VmSize") + growth, hard))


def fitted(design: Any, y: np.ndarray, order: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return W (d, K) and b (K,) of a fit, and what its solution says."""
    ridge = 1 / (order["C"] * len(y))
    if order["by"] == "minimize":
        problem = su.Problem(design, su.units.Multinomial(), y, su.penalties.Ridge(ridge))
        solution = su.minimize(problem, tol=order["tol"])
        W, b = solution.x, np.zeros(solution.x.shape[1])
        bound = su.certify(problem, solution.x).gap_bound
    else:
        model = su.SoftmaxClassifier(order["C"], tol=order["tol"]).fit(design, y)
        solution, bound = model.solution_, model.certificate_.gap_bound
        W, b = model.coef_.T, model.intercept_
    history = [[record.share, record.gradient_norm, record.seconds] for record in solution.history]
    return (
        W,
        b,
        {
            "solver": solution.solver,
            "status": solution.status.name,
            "converged": bool(solution.converged),
            "n_iter": solution.n_iter,
            "own_gradient": solution.gradient_norm,
            "gap_bound": bound,
            "rows_visited": int(solution.cost.rows),
            "history": history,
        },
    )


def on_disk(order: dict[str, Any]) -> dict[str, Any]:
    """Fit the files of a folder within the limit."""
    started, resident = status("VmSize"), status("VmRSS")
    if order["growth"]:
        limit(order["growth"])
    asked, fetched = read_so_far()
    begin, used = time.perf_counter(), time.process_time()
    columns = [f"x{j}" for j in range(order["d"])]
    design = su.designs.ChunkedDesign.from_dataset(
        order["folder"], columns=columns, memory=order["memory"]
    )
    y = design.read_column("y")
    W, b, told = fitted(design, y, order)
    seconds, processor = time.perf_counter() - begin, time.process_time() - used
    now = read_so_far()
    np.savez(order["out"], W=W, b=b)
    return told | {
        "seconds": seconds,
        "processor_seconds": processor,
        "resident_at_start": resident,
        "peak": status("VmHWM"),
        "grew": status("VmPeak") - started,
        "passes": float(design.passes),
        "bytes_read": int(design.bytes_read),
        "asked": now[0] - asked,
        "fetched": now[1] - fetched,
    }


def in_memory(order: dict[str, Any]) -> dict[str, Any]:
    """Fit the first rows of the same files, held in memory, at the same ridge; time a pass too."""
    X, y = np.empty((order["n"], order["d"]), dtype=np.float32), np.empty(order["n"], np.int8)
    held = 0
    for path in sorted(Path(order["folder"]).glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(1 << 16):
            m = min(batch.num_rows, order["n"] - held)
            for j in range(order["d"]):
                X[held : held + m, j] = batch.column(j).to_numpy()[:m]
            y[held : held + m] = batch.column(order["d"]).to_numpy()[:m]
            held += m
        if held == order["n"]:
            break
    few = np.arange(0, len(y), max(1, len(y) // 2000))
    fitted(X[few], y[few], order)  # what is loaded once is not timed
    begin = time.perf_counter()
    W, _, told = fitted(X, y, order)
    seconds = time.perf_counter() - begin
    problem = su.Problem(X, su.units.Multinomial(), y)
    moved = np.ascontiguousarray(W) if W.shape[1] > 1 else np.column_stack([0 * W, W])
    passes = []
    for shift in range(3):
        begin = time.perf_counter()
        problem.evaluate(moved * (1 + 0.01 * shift))
        passes.append(time.perf_counter() - begin)
    return told | {"seconds": seconds, "pass_seconds": min(passes), "n": len(y)}


def main() -> int:
    """Do what the orders say and print what came of it."""
    order = json.loads(sys.argv[1])
    print(json.dumps(on_disk(order) if order["kind"] == "disk" else in_memory(order)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
