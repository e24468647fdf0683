"""Peers side by side, on the same work, in one run.

python -m benchmarks [--quick] [--threads N] [--repeats N] [--out results.json]

An answer counts if the gradient of the mean objective, computed in float64 outside the solver,
has no entry above 1e-6; a run that misses is a failure, not a time. A gradient-equivalent is the
time of one gradient by plain numpy on the same data.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy
import scipy
import sklearn
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.peers import PEERS, Result, measured
from benchmarks.work import REACHED, all_work, one_gradient

HEAD = ("work", "classes", "C", "condition", "peer", "seconds", "gradients", "iter", "gradient")


def cells(result: Result) -> tuple[str, ...]:
    """Return one line of the table as text."""
    return (
        result.work,
        str(result.classes),
        f"{result.C:g}",
        "-" if result.condition is None else f"{result.condition:g}",
        result.peer,
        f"{result.seconds:.3f}" if result.reached else "missed",
        f"{result.gradient_equivalents:.0f}" if result.reached else "-",
        str(result.n_iter),
        f"{result.gradient:.1e}",
    )


def show(results: list[Result]) -> None:
    """Print the table, by rich where it is installed."""
    rows = [cells(result) for result in results]
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        for row in (HEAD, *rows):
            print("  ".join(text.ljust(20 if i in (0, 4) else 10) for i, text in enumerate(row)))
        return
    table = Table(*HEAD)
    for i, row in enumerate(rows):
        ends = i + 1 == len(rows) or rows[i + 1][:3] != row[:3]
        table.add_row(*row, end_section=ends)
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)


def machine(threads: int) -> dict[str, Any]:
    """Return what ran it."""
    pools = [{k: p.get(k) for k in ("internal_api", "version", "num_threads")} for p in
             threadpool_info()]  # fmt: skip
    return {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "threads": threads,
        "pools": pools,
    }


def main() -> None:
    """Run all peers on all work, print a table, write JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, help="write the results here, as JSON")
    parser.add_argument("--quick", action="store_true", help="two small tables only")
    parser.add_argument("--threads", type=int, default=1, help="of linear algebra (default 1)")
    parser.add_argument("--repeats", type=int, default=3, help="the best counts (default 3)")
    given = parser.parse_args()
    with threadpool_limits(given.threads):
        about = machine(given.threads)
        results = []
        for work in all_work(quick=given.quick):
            unit = one_gradient(work)
            results += [measured(work, peer, unit, given.repeats) for peer in PEERS]
    print(f"scikit-learn {sklearn.__version__}, threads of linear algebra: {given.threads}")
    show(results)
    missed = sum(not result.reached for result in results)
    print(f"{missed} of {len(results)} runs missed a gradient of {REACHED:g}")
    if given.out:
        told = {"about": about, "results": [result.to_dict() for result in results]}
        given.out.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
