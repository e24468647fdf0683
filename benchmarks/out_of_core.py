"""A fit of more rows than memory holds: python -m benchmarks.out_of_core --folder SCRATCH.

Planted rows are written to the folder, unless they are there (`benchmarks.planted_rows`). A child
process whose address space may grow by 2 GB fits them. The parent then computes the gradient anew
in float64, block by block, with numpy; times a plain read of all files, with nothing of them in
the page cache and again with what stayed there; decodes and fits a part in memory; and judges:

- the gradient comes down to 1e-6;
- the largest resident set stays under 1.5 GB;
- the files are read at most 8 times in full, by the system's count of bytes;
- the time is at most 1.5 times (reads x time of a plain read from disk + compute in memory).

Where files stay in the page cache, later reads cost less than from disk, so the last bar is also
told with each byte at the rate at which it was to be had. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.planted_rows import GB, Planted, add_options, generate, planted_by
from softunit.bench.judge import Task, gradient_of
from softunit.bench.machine import about, pinned

GRADIENT, PEAK, READS, TIMES = 1e-6, 1.5 * GB, 8.0, 1.5
"""The bars."""

BUFFER = 1 << 23  # bytes of a plain read


def files_of(planted: Planted, folder: Path) -> list[Path]:
    """Return the paths of the files, in order."""
    return [folder / name for name, _ in planted.files]


def forget(paths: list[Path]) -> None:
    """Ask the system to drop the files from its page cache."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())  # only what is on the disk can be dropped
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def plain_read(paths: list[Path]) -> dict[str, float]:
    """Return the seconds of one sequential read of all files, and the share that the disk gave."""
    buffer = memoryview(bytearray(BUFFER))
    before, begin, size = _fetched(), perf_counter(), 0
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while got := file.readinto(buffer):
                size += got
    seconds = perf_counter() - begin
    return {"seconds": seconds, "bytes": size, "from_disk": (_fetched() - before) / size}


def _fetched() -> int:
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def ordered(order: dict[str, Any], threads: int) -> dict[str, Any]:
    """Return what a child made of its orders."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.limited_fit", json.dumps(order)],
        capture_output=True,
        text=True,
        env=pinned(threads),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the fit ended with status {done.returncode}:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def judged(
    planted: Planted, folder: Path, C: float, W: np.ndarray, b: np.ndarray
) -> tuple[float, float]:
    """Return the mean objective and the largest entry of its gradient, one block at a time."""
    value, G, g = 0.0, np.zeros(W.shape), np.zeros(b.shape)
    for path in files_of(planted, folder):
        for batch in pq.ParquetFile(path).iter_batches(1 << 16):
            X = np.column_stack([batch.column(j).to_numpy() for j in range(planted.d)])
            y = batch.column(planted.d).to_numpy().astype(np.int64)
            told = gradient_of(Task(X, y, planted.k, 0.0, True), W, b)
            value, G, g = value + told[0] * len(y), G + told[1] * len(y), g + told[2] * len(y)
    ridge = 1 / (C * planted.n)
    G = G / planted.n + ridge * W
    entries = [np.abs(G).max()] + ([np.abs(g / planted.n).max()] if b.any() else [])
    return value / planted.n + 0.5 * ridge * float((W * W).sum()), float(max(entries))


def decoding(planted: Planted, folder: Path) -> float:
    """Return the seconds that decoding all files to columns takes, from one that is cached."""
    path = files_of(planted, folder)[0]
    plain_read([path])
    begin = perf_counter()
    for batch in pq.ParquetFile(path).iter_batches(1 << 16):
        for column in batch.columns:
            column.to_numpy()
    return (perf_counter() - begin) * planted.n / planted.files[0][1]


def measured(planted: Planted, given: argparse.Namespace) -> dict[str, Any]:
    """Return everything that is told of one table."""
    paths = files_of(planted, given.folder)
    forget(paths)
    found: dict[str, Any] = {"cold": plain_read(paths), "warm": plain_read(paths)}
    order = {
        "d": planted.d,
        "folder": str(given.folder),
        "memory": given.memory,
        "C": given.C,
        "tol": given.tol,
        "by": given.by,
    }
    forget(paths)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "fit.npz"
        told = {"kind": "disk", "growth": int(given.address_space * GB), "out": str(out)}
        found["fit"] = ordered(order | told, given.threads)
        with np.load(out) as answer:
            W, b = answer["W"], answer["b"]
    found["value"], found["gradient"] = judged(planted, given.folder, given.C, W, b)
    found["decoding"] = decoding(planted, given.folder)
    m = min(planted.n, given.memory_rows)
    told = {"kind": "memory", "n": m, "C": given.C * planted.n / m}
    found["memory"] = ordered(order | told, given.threads)
    return found | bars(planted, found)


def bars(planted: Planted, found: dict[str, Any]) -> dict[str, Any]:
    """Return what is compared with the bars, and whether each is met.

    The compute is that of the fit in memory, by rows visited: rows of samples count as rows.
    """
    fit, memory, cold, warm = (found[name] for name in ("fit", "memory", "cold", "warm"))
    reads = max(fit["asked"], fit["bytes_read"]) / cold["bytes"]
    compute = memory["seconds"] / memory["rows_visited"] * fit["rows_visited"]
    disk = min(1.0, fit["fetched"] / (reads * cold["bytes"]))
    reading = reads * (disk * cold["seconds"] + (1 - disk) * warm["seconds"])
    ratio = fit["seconds"] / (reads * cold["seconds"] + compute)
    met = {
        "converged": fit["converged"],
        "gradient": found["gradient"] <= GRADIENT,
        "peak": fit["peak"] < PEAK,
        "reads": max(reads, fit["passes"]) <= READS,
        "ratio": ratio <= TIMES,
    }
    return {
        "reads": reads,
        "from_disk": disk,
        "compute": compute,
        "pass_compute": memory["pass_seconds"] * planted.n / memory["n"],
        "ratio": ratio,
        "ratio_as_read": fit["seconds"] / (reading + compute),
        "met": met,
    }


def lines(planted: Planted, found: dict[str, Any]) -> list[str]:
    """Return the table."""
    fit, cold, warm = found["fit"], found["cold"], found["warm"]
    size = cold["bytes"]

    def told(name: str, said: str) -> str:
        return f"{name:<28}{said}"

    def verdict(name: str) -> str:
        return "met" if found["met"][name] else "NOT MET"

    return [
        told("rows", f"{planted.n:,} x {planted.d}, K = {planted.k}, {size / GB:.2f} GB on disk"),
        told("fit", f"{fit['seconds']:.1f} s, {fit['n_iter']} iterations, {fit['status']}"),
        told("  processor time", f"{fit['processor_seconds']:.1f} s"),
        told(
            "gradient, recomputed",
            f"{found['gradient']:.2e} (bar {GRADIENT:.0e}: {verdict('gradient')})",
        ),
        told("gap bound", f"{fit['gap_bound']:.2e}, value {found['value']:.10f}"),
        told(
            "peak resident",
            f"{fit['peak'] / GB:.2f} GB, {fit['resident_at_start'] / GB:.2f} GB of it imports"
            f" (bar {PEAK / GB:.1f} GB: {verdict('peak')})",
        ),
        told("address space", f"grew by {fit['grew'] / GB:.2f} GB"),
        told(
            "full reads",
            f"{found['reads']:.2f} by the system, {fit['passes']:.2f} by the design"
            f" (bar {READS:g}: {verdict('reads')}); {found['from_disk']:.0%} from disk",
        ),
        told("one plain read", f"{cold['seconds']:.1f} s, {size / cold['seconds'] / GB:.2f} GB/s,"
             f" {cold['from_disk']:.0%} from disk"),
        told("  again", f"{warm['seconds']:.1f} s, {warm['from_disk']:.0%} from disk"),
        told("decoding all files", f"{found['decoding']:.1f} s"),
        told("compute in memory", f"{found['compute']:.1f} s ({found['pass_compute']:.2f} s for a"
             f" value and gradient; {fit['rows_visited'] / planted.n:.1f} times all rows visited)"),
        told(
            "time over reads and compute",
            f"{found['ratio']:.2f} (bar {TIMES:g}: {verdict('ratio')});"
            f" {found['ratio_as_read']:.2f} at the rates of disk and cache",
        ),
    ]  # fmt: skip


def main() -> int:
    """Print a table; return 1 where a bar is not met."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.out_of_core", description=__doc__.partition(":")[0]
    )
    parser.add_argument("--folder", type=Path, required=True, help="for the files")
    add_options(parser)
    parser.add_argument("--address-space", type=float, default=2.0, help="GB; 0 for no limit")
    parser.add_argument("--memory", default="1GB", help="budget of the design")
    parser.add_argument("--by", choices=["classifier", "minimize"], default="classifier")
    parser.add_argument("-C", type=float, default=1.0)
    parser.add_argument("--tol", type=float, default=GRADIENT)
    parser.add_argument("--memory-rows", type=int, default=2_000_000, help="fitted in memory")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    planted = planted_by(given)
    print(f"{planted.nbytes / GB:.2f} GB of disk are used in {given.folder}", flush=True)
    generate(planted, given.folder, given.processes)
    found = measured(planted, given)
    print("\n".join(lines(planted, found)))
    if given.json:
        told = {"machine": about(given.threads), "planted": vars(planted), **found}
        given.json.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return int(not all(found["met"].values()))


if __name__ == "__main__":
    sys.exit(main())
