"""Tables to fit and a way to run the command, shared by the tests of the command line."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.datasets import dump_svmlight_file
from typer.testing import CliRunner

from softunit.cli import app
from softunit.tables import write_table

FIGURES = {"value", "gradient_norm", "gap_bound", "converged", "n_iter", "seconds"}
# Before click 8.2 stdout and stderr were kept apart only where that was asked for.
APART = "mix_stderr" in inspect.signature(CliRunner).parameters
RUNNER = CliRunner(mix_stderr=False) if APART else CliRunner()
EVIL = ("<script>alert(1)</script>", "[red]x[/red]", "\x1b[31m")


def run(*args: object, status: int = 0) -> Any:
    """Run a command line, check its exit status, and return what it printed."""
    result = RUNNER.invoke(app, [str(arg) for arg in args], prog_name="softunit")
    said = f"{result.stdout}\n{result.stderr}"
    assert result.exit_code == status, f"status {result.exit_code}, not {status}:\n{said}"
    return result


def refused(*args: object) -> str:
    """Run a command line that must be refused, and return its one sentence."""
    result = run(*args, status=2)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("softunit: "), lines
    assert "\x1b" not in lines[0]
    return lines[0]


def figures(path: Path) -> dict[str, Any]:
    """Return what --json wrote; every command writes the same six figures."""
    found = json.loads(path.read_text("utf-8"), parse_constant=lambda name: 1 / 0)
    assert set(found) >= FIGURES
    return found


def columns(rng: np.random.Generator, n: int = 120) -> dict[str, np.ndarray]:
    """Return three kinds of flowers that overlap, told apart by two numbers and a text."""
    kind = np.arange(n) % 3
    return {
        "width": rng.normal(kind, 1.0),
        "height": rng.normal(-kind, 1.5),
        "colour": np.array(["red", "green", "blue"])[rng.integers(3, size=n)],
        "weight": rng.uniform(0.5, 2.0, n),
        "species": np.array(["setosa", "versicolor", "virginica"])[kind],
    }


def table(path: Path, rng: np.random.Generator, n: int = 120) -> Path:
    """Write these flowers to a file and return its path."""
    write_table(path, columns(rng, n))
    return path


def matrix_file(path: Path, rng: np.random.Generator, n: int = 90) -> Path:
    """Write a matrix of numbers with three classes as NPZ or svmlight and return its path."""
    y = np.arange(n) % 3
    X = rng.normal(y[:, None], 1.0, (n, 4))
    if path.suffix == ".npz":
        np.savez(path, X=X, y=y)
    else:
        X[rng.random(X.shape) < 0.4] = 0.0
        dump_svmlight_file(sparse.csr_matrix(X), y, str(path), zero_based=False)
    return path


def market(path: Path, rng: np.random.Generator, n: int = 40) -> Path:
    """Write shares of a market, one softmax over all rows with a planted x, and return its path."""
    price, quality = rng.uniform(1, 3, n), rng.uniform(0, 2, n)
    share = np.exp(-1.5 * price + 0.7 * quality)
    write_table(path, {"price": price, "quality": quality, "share": share / share.sum()})
    return path
