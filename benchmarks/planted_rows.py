"""Rows on disk with planted coefficients, as many as wanted: python -m benchmarks.planted_rows.

Files of equal size, each drawn from a seed of its own, so that what was interrupted goes on where
it stood and any number of processes write the same bytes. Each file is written under a temporary
name and renamed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GB = 1e9
SPREAD = 3.0  # standard deviation of the scores
BATCH = 1 << 15  # rows drawn in one go: they and their scores stay in the cache
PLAN = "_planted.json"  # readers of datasets pass over names that begin with an underscore


@dataclass(frozen=True)
class Planted:
    """Rows of d correlated Gaussian columns, and a class for each from a noisy softmax.

    Attributes
    ----------
    n, d, k : int
        Rows, columns, classes.
    condition : float
        Of the covariance of the columns, whose spectrum falls as a power of the rank.
    noise : float
        Share of the rows whose class is drawn from all classes alike.
    seed : int
    file_rows, group_rows : int
        Rows of a file and of a row group in it.
    compression : str
        Of the columns, as Parquet calls it. Drawn float32 hardly shrink.
    """

    n: int = 50_000_000
    d: int = 40
    k: int = 5
    condition: float = 1e3
    noise: float = 0.05
    seed: int = 0
    file_rows: int = 1_000_000
    group_rows: int = 131_072
    compression: str = "snappy"

    @property
    def names(self) -> list[str]:
        """Of the columns, in order; the target is `y`."""
        return [f"x{j}" for j in range(self.d)]

    @property
    def nbytes(self) -> int:
        """Bytes of the rows: float32 columns and an int8 target."""
        return self.n * (4 * self.d + 1)

    @property
    def files(self) -> list[tuple[str, int]]:
        """Names and rows of the files, in order."""
        starts = range(0, self.n, self.file_rows)
        return [
            (f"part-{i:05d}.parquet", min(self.file_rows, self.n - start))
            for i, start in enumerate(starts)
        ]

    def model(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return mix (d, d), means (d,), coefficients (d, k) and intercepts (k,), all float32."""
        rng = np.random.default_rng([self.seed, self.d, self.k])
        rotation, _ = np.linalg.qr(rng.standard_normal((self.d, self.d)))
        power = np.log(self.condition) / (2 * np.log(max(2, self.d)))
        mix = np.arange(1, self.d + 1)[:, None] ** -power * rotation
        means = 0.3 * rng.standard_normal(self.d)
        coefficients = rng.standard_normal((self.d, self.k))
        coefficients *= SPREAD / np.sqrt((mix @ coefficients).var(axis=1).sum())
        intercepts = -means @ coefficients + 0.5 * rng.standard_normal(self.k)
        return tuple(np.float32(part) for part in (mix, means, coefficients, intercepts))

    def drawn(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows (m, d), float32, and classes (m,), int8, of a file, block by block."""
        mix, means, coefficients, intercepts = self.model()
        rng = np.random.default_rng([self.seed, 1 + number])
        rows = self.files[number][1]
        for start in range(0, rows, BATCH):
            m = min(BATCH, rows - start)
            X = rng.standard_normal((m, self.d), dtype=np.float32) @ mix + means
            Z = X @ coefficients + intercepts
            # Of exponential times with rates exp(z), the first is that of a class with softmax(z).
            Z -= Z.max(axis=1, keepdims=True)
            times = rng.standard_exponential(Z.shape, dtype=np.float32)
            y = (np.log(np.maximum(times, np.float32(1e-30))) - Z).argmin(axis=1).astype(np.int8)
            replaced = rng.random(m, dtype=np.float32) < self.noise
            y[replaced] = rng.integers(self.k, size=int(replaced.sum()), dtype=np.int8)
            yield X, y


def write_file(planted: Planted, folder: Path, number: int) -> bool:
    """Write one file; return False where it is there already."""
    name, rows = planted.files[number]
    path = folder / name
    if path.exists():
        return False
    schema = pa.schema([(name, pa.float32()) for name in planted.names] + [("y", pa.int8())])
    partial = path.with_name(f"_{name}.partial")
    kept_X = np.empty((min(planted.group_rows, rows), planted.d), dtype=np.float32, order="F")
    kept_y = np.empty(len(kept_X), dtype=np.int8)
    with pq.ParquetWriter(
        partial, schema, compression=planted.compression, use_dictionary=["y"]
    ) as writer:
        held = 0
        for X, y in planted.drawn(number):
            while len(X):
                m = min(len(X), len(kept_X) - held)
                kept_X[held : held + m], kept_y[held : held + m] = X[:m], y[:m]
                X, y, held = X[m:], y[m:], held + m
                if held == len(kept_X):
                    writer.write_table(_table(schema, kept_X, kept_y))
                    held = 0
        if held:
            writer.write_table(_table(schema, kept_X[:held], kept_y[:held]))
    partial.rename(path)
    return True


def _table(schema: pa.Schema, X: np.ndarray, y: np.ndarray) -> pa.Table:
    return pa.Table.from_arrays([*(pa.array(column) for column in X.T), pa.array(y)], schema=schema)


def generate(planted: Planted, folder: Path, processes: int = 2) -> int:
    """Write the files that are not there yet; return how many were written.

    Parameters
    ----------
    planted : Planted
    folder : Path
        Made where it is not there. One that holds other rows is refused.
    processes : int, default 2
        One writes in this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan, told = folder / PLAN, asdict(planted)
    if plan.exists() and (found := json.loads(plan.read_text("utf-8"))) != told:
        raise SystemExit(f"{folder} holds other rows: {found}. Name another folder.")
    todo = [i for i, (name, _) in enumerate(planted.files) if not (folder / name).exists()]
    need = int(1.02 * planted.nbytes * len(todo) / len(planted.files))
    free = shutil.disk_usage(folder).free
    if need > free:
        raise SystemExit(f"{folder} needs {need / GB:.1f} GB, and {free / GB:.1f} GB are free.")
    plan.write_text(json.dumps(told, indent=1), encoding="utf-8")
    if processes == 1:
        return sum(write_file(planted, folder, i) for i in todo)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(write_file, planted, folder, i) for i in todo]
        return sum(job.result() for job in jobs)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting of the rows."""
    defaults = asdict(Planted())
    parser.add_argument("--rows", type=int, default=defaults["n"])
    parser.add_argument("--columns", type=int, default=defaults["d"])
    parser.add_argument("--classes", type=int, default=defaults["k"])
    for name in ("condition", "noise", "seed", "file_rows", "group_rows", "compression"):
        kind = type(defaults[name])
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=defaults[name])
    parser.add_argument("--processes", type=int, default=2, help="that write files")


def planted_by(given: argparse.Namespace) -> Planted:
    """Return the rows that the options ask for."""
    others = ("condition", "noise", "seed", "file_rows", "group_rows", "compression")
    return Planted(
        given.rows, given.columns, given.classes, **{name: getattr(given, name) for name in others}
    )


def main() -> int:
    """Write the rows and print how fast."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.planted_rows", description=__doc__.partition(":")[0]
    )
    parser.add_argument("--folder", type=Path, required=True)
    add_options(parser)
    given = parser.parse_args()
    planted = planted_by(given)
    begin = perf_counter()
    written = generate(planted, given.folder, given.processes)
    seconds = perf_counter() - begin
    made = sum(rows for _, rows in planted.files[:written]) * (4 * planted.d + 1)
    print(
        f"{written} of {len(planted.files)} files written in {seconds:.1f} s"
        f" ({made / GB:.2f} GB, {made / GB / max(seconds, 1e-9):.2f} GB/s), {given.folder}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
