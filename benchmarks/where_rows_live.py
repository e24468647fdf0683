"""The same rows fitted wherever rows may live: python -m benchmarks.where_rows_live --folder DIR.

Planted rows are written to the folder as Parquet, unless they are there, and once more as NPY. Each
fit is a process of its own that reads its rows from there; bringing them where they live is timed
apart. Peaks are largest resident sets, for a cluster that of this process and of a worker together.
Files are float32. Arrays and tensors in memory are float64, so that coefficients come back in it
and can be compared with those of the first fit to all digits. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.planted_rows import GB, Planted, add_options, generate, planted_by
from softunit import SoftmaxClassifier
from softunit.bench.machine import about, pinned

KB = 1024
NPY = "rows.npy"


@dataclass(frozen=True)
class Home:
    """A place for rows.

    Attributes
    ----------
    name : str
    said : str
        Its row of the table.
    bring : callable
        (folder, planted, memory) -> context of (X, y).
    """

    name: str
    said: str
    bring: Callable[[Path, Planted, str], Any]


def arrays(
    folder: Path, planted: Planted, dtype: type[np.floating] = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows, (n, d), and classes, (n,)."""
    X, y, held = np.empty((planted.n, planted.d), dtype), np.empty(planted.n, np.int8), 0
    for name, _ in planted.files:
        for batch in pq.ParquetFile(folder / name).iter_batches(1 << 16):
            rows = slice(held, held + batch.num_rows)
            for j in range(planted.d):
                X[rows, j] = batch.column(j).to_numpy()
            y[rows], held = batch.column(planted.d).to_numpy(), rows.stop
    return X, y


def in_memory(folder: Path, planted: Planted, memory: str) -> Any:
    """Return the rows as arrays."""
    return nullcontext(arrays(folder, planted))


def in_parquet(folder: Path, planted: Planted, memory: str) -> Any:
    """Return the design of the Parquet files."""
    from softunit.designs import ChunkedDesign

    paths = [folder / name for name, _ in planted.files]
    A = ChunkedDesign.from_dataset(paths, planted.names, memory=memory)
    return nullcontext((A, A.read_column("y")))


def in_npy(folder: Path, planted: Planted, memory: str) -> Any:
    """Return the design of the NPY file."""
    from softunit.designs import ChunkedDesign

    A = ChunkedDesign.from_dataset(folder / NPY, memory=memory)
    return nullcontext((A, np.load(folder / f"y-{NPY}")))


@contextmanager
def on_workers(folder: Path, planted: Planted, memory: str) -> Iterator[Any]:
    """Give the rows as a dask frame on two workers of this machine."""
    import dask.dataframe as dd

    from softunit.designs.dask import local_client

    with local_client(workers=2):
        frame = dd.read_parquet([str(folder / name) for name, _ in planted.files])
        yield frame[planted.names], frame["y"]


def as_tensor(folder: Path, planted: Planted, memory: str) -> Any:
    """Return the rows as tensors of PyTorch, on the GPU where there is one."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    X, y = arrays(folder, planted)
    return nullcontext(tuple(torch.from_numpy(part).to(device) for part in (X, y)))


HOMES = {
    home.name: home
    for home in (
        Home("memory", "in memory", in_memory),
        Home("parquet", "in Parquet files", in_parquet),
        Home("npy", "in an NPY file", in_npy),
        Home("dask", "on two workers of this machine", on_workers),
        Home("torch", "as a tensor", as_tensor),
    )
}


def peak() -> int:
    """Return the largest resident set of this process, and that of its largest child, together."""
    status = Path("/proc/self/status").read_text("ascii")
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return KB * (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def classifier(order: dict[str, Any]) -> SoftmaxClassifier:
    """Return the estimator that an order asks for."""
    return SoftmaxClassifier(order["C"], tol=order["tol"])


def fitted(order: dict[str, Any]) -> dict[str, Any]:
    """Fit rows where an order says they live; return what it took, coefficients in its file."""
    planted, folder = Planted(**order["planted"]), Path(order["folder"])
    few = np.random.default_rng(0).standard_normal((2000, 3))
    SoftmaxClassifier().fit(few, (few[:, 0] > 0).astype(int))  # what is loaded once is not timed
    begin = time.perf_counter()
    with HOMES[order["home"]].bring(folder, planted, order["memory"]) as (X, y):
        brought = time.perf_counter()
        model = classifier(order).fit(X, y)
        ended = time.perf_counter()
        coefficients = np.asarray(getattr(model.coef_, "cpu", lambda: model.coef_)())
    np.save(order["out"], coefficients)
    return {
        "home": order["home"],
        "bring": brought - begin,
        "seconds": ended - brought,
        "peak": peak(),
        "converged": bool(model.solution_.converged),
        "gradient_norm": model.solution_.gradient_norm,
        "gap_bound": model.certificate_.gap_bound,
        "reads": float(X.passes) if hasattr(X, "passes") else None,
    }


def measured(home: str, planted: Planted, given: argparse.Namespace) -> dict[str, Any]:
    """Return what a child says of its fit, and its coefficients."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "coefficients.npy"
        order = {
            "home": home,
            "planted": vars(planted),
            "folder": str(given.folder),
            "memory": given.memory,
            "C": given.C,
            "tol": given.tol,
            "out": str(out),
        }
        code = "import sys; from benchmarks.where_rows_live import child; child()"
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(order)],
            capture_output=True,
            text=True,
            env=pinned(given.threads),
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"the fit ({home}) ended with status {done.returncode}:\n{done.stderr}"
            )
        return json.loads(done.stdout.splitlines()[-1]) | {"coefficients": np.load(out)}


def child() -> None:
    """Do what the order on the command line says, and print what came of it."""
    print(json.dumps(fitted(json.loads(sys.argv[1]))))


def write_npy(planted: Planted, folder: Path) -> None:
    """Write the rows as NPY too, unless they are there."""
    if (folder / NPY).exists():
        return
    X, y = arrays(folder, planted, np.float32)
    for name, part in ((f"y-{NPY}", y), (NPY, X)):
        with (folder / f"_{name}").open("wb") as file:
            np.save(file, part)
        os.replace(folder / f"_{name}", folder / name)


def row(found: dict[str, Any], first: dict[str, Any]) -> str:
    """Return a row of the table."""
    apart = np.abs(found["coefficients"] - first["coefficients"]).max()
    reads = "" if found["reads"] is None else f"{found['reads']:.1f}"
    cells = [
        HOMES[found["home"]].said,
        f"{found['seconds']:.1f} s",
        f"{found['bring']:.1f} s",
        f"{found['peak'] / GB:.2f} GB",
        reads,
        f"{found['gap_bound']:.1e}",
        f"{apart:.0e}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Print a table; return 1 where a fit has not converged, or coefficients are apart."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.where_rows_live", description=__doc__.partition(":")[0]
    )
    parser.add_argument("--folder", type=Path, required=True, help="for the files")
    add_options(parser)
    parser.set_defaults(rows=4_000_000)
    parser.add_argument("--homes", nargs="+", choices=sorted(HOMES), default=list(HOMES))
    parser.add_argument("--memory", default="500MB", help="budget of rows in files")
    parser.add_argument("-C", type=float, default=1e-3)
    parser.add_argument("--tol", type=float, default=1e-11)
    parser.add_argument("--bar", type=float, default=1e-8, help="of coefficients apart")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    planted = planted_by(given)
    generate(planted, given.folder, given.processes)
    write_npy(planted, given.folder)
    print(f"{planted.n:,} x {planted.d}, K = {planted.k}, largest gradient entry {given.tol:.0e}")
    print("| rows | fit | bringing them there | peak | reads | gap bound | coefficients apart |")
    print("|---|---|---|---|---|---|---|")
    results: list[dict[str, Any]] = []
    for home in given.homes:
        results.append(measured(home, planted, given))
        print(row(results[-1], results[0]), flush=True)
    apart = [
        float(np.abs(r.pop("coefficients") - results[0]["coefficients"]).max()) for r in results[1:]
    ]
    results[0].pop("coefficients")
    if given.json:
        told = {"machine": about(given.threads), "planted": vars(planted), "apart": apart}
        given.json.write_text(json.dumps(told | {"results": results}, indent=1), encoding="utf-8")
    return int(max(apart, default=0.0) > given.bar or not all(r["converged"] for r in results))


if __name__ == "__main__":
    sys.exit(main())
