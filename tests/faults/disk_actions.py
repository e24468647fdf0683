"""Fits of rows on disk whose files are harmed while they are read."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow
from pyarrow import feather, parquet

from softunit import Problem, minimize
from softunit.cli.app import main as command
from softunit.designs import ChunkedDesign
from softunit.penalties import Ridge
from softunit.units import Multinomial

FILES, ROWS, COLUMNS, CLASSES = 3, 1200, 4, 3


def drawn(file: int) -> tuple[Any, Any]:
    """Return the rows (m, d) and labels (m,) of one file."""
    rng = np.random.default_rng(100 + file)
    X = rng.standard_normal((ROWS, COLUMNS))
    noise = rng.gumbel(size=(ROWS, CLASSES))
    return X, np.argmax(X @ np.eye(COLUMNS, CLASSES) + noise, axis=1)


def write_data(begin: Callable[[], None], folder: str, format: str, nan: bool = False) -> None:
    """Write the files of a dataset; the very last row may hold a NaN."""
    for file in range(FILES):
        X, y = drawn(file)
        if nan and file == FILES - 1:
            X[-1, 1] = np.nan
        _write(Path(folder) / f"part-{file}.{format}", X, y)


def _write(path: Path, X: Any, y: Any) -> None:
    if path.suffix == ".npy":
        np.save(path, X)
        return
    table = pyarrow.table({**{f"x{j}": X[:, j] for j in range(COLUMNS)}, "y": y})
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=300, compression="none")
    else:
        feather.write_feather(table, path, chunksize=300, compression="uncompressed")


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    """Flip bits in the middle of the entries, the time of change put back."""
    stamp = path.stat()
    with open(path, "rb+") as file:
        file.seek(stamp.st_size // 3)
        found = file.read(64)
        file.seek(stamp.st_size // 3)
        file.write(bytes(byte ^ 1 for byte in found))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def _replace(path: Path) -> None:
    """Put a file of as many bytes, with other rows, in its place."""
    other = path.with_name(f".other{path.suffix}")
    X, y = drawn(17)
    _write(other, X, y)
    os.replace(other, path)


def _remove(path: Path) -> None:
    path.unlink()


HARM: Mapping[str, Callable[[Path], None]] = MappingProxyType(
    {"bits flipped": _flip, "removed": _remove, "replaced": _replace, "truncated": _truncate}
)
"""What may happen to a file."""


def fit_files(
    begin: Callable[[], None],
    folder: str,
    format: str,
    harm: str | None = None,
    after: int = 0,
) -> dict[str, Any]:
    """Fit a dataset, one file of which is harmed after a number of blocks were read."""
    names = None if format == "npy" else [f"x{j}" for j in range(COLUMNS)]
    path = Path(folder) / f"part-1.{format}"
    if harm and not after:
        HARM[harm](path)
    design = ChunkedDesign.from_dataset(folder, columns=names, memory="8MB")
    y = np.concatenate([drawn(file)[1] for file in range(FILES)])
    read, blocks = design.source.read, 0

    def harmed(numbers: Any) -> Any:
        nonlocal blocks
        for item in read(numbers):
            blocks += 1
            if harm and blocks == after:
                HARM[harm](path)
            yield item

    design.source.read = harmed
    problem = Problem(design, Multinomial(CLASSES), y, Ridge(1e-3))
    solution = minimize(problem, solver="lbfgs", tol=1e-9)
    return {"x": solution.x.tolist(), "status": solution.status.name, "blocks": blocks}


def fit_limited(begin: Callable[[], None], path: str, memory: str) -> dict[str, Any]:
    """Fit rows on disk with a budget, in a process that may be allowed less."""
    design = ChunkedDesign.from_dataset(path, memory=memory)
    y = np.arange(design.shape[0]) % 2
    solution = minimize(Problem(design, Multinomial(2), y, Ridge(1e-3)), tol=1e-6)
    return {"x": solution.x.tolist(), "status": solution.status.name}


def run_command(begin: Callable[[], None], arguments: list[str]) -> dict[str, Any]:
    """Run the command line; return its status and what it said."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = command(arguments)
        except SystemExit as ended:
            status = ended.code
    return {"status": status, "out": out.getvalue(), "err": err.getvalue()}


DISK_ACTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "fit_files": fit_files,
        "fit_limited": fit_limited,
        "run_command": run_command,
        "write_data": write_data,
    }
)
