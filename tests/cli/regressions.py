"""Tables of planted regressions, one for each problem, and the options that fit them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softunit.tables import write_table

PLANTED = np.array([0.8, -0.5, 0.3])
NAMES = ("a", "b c", "d")
PROBLEMS = ("softmax", "exp", "cosh", "sinh", "rescaled", "two-layer", "leverage")


@dataclass(frozen=True)
class Planted:
    """Files whose fit is known."""

    problem: str
    data: Path
    options: tuple[object, ...]
    target: np.ndarray
    outer: Path | None = None

    @property
    def fit(self) -> tuple[object, ...]:
        """The command that fits them."""
        return ("fit", self.data, "--problem", self.problem, *self.options)

    @property
    def certify(self) -> tuple[object, ...]:
        """What `certify` needs beside the model and the data."""
        return () if self.outer is None else ("--matrix", self.outer)


def planted(folder: Path, problem: str, rng: np.random.Generator, n: int = 40) -> Planted:
    """Write a planted problem to `folder` and return it."""
    A = rng.standard_normal((n, 3))
    z = A @ PLANTED
    table = dict(zip(NAMES, A.T, strict=True))
    data, outer = folder / f"{problem}.csv", None
    options: tuple[object, ...] = ("--target", "target")
    share = np.exp(z) / np.exp(z).sum()
    if problem == "two-layer":
        outer = folder / "outer.csv"
        C = rng.standard_normal((8, n))
        target = np.tanh(C @ share)
        names = [f"t{i}" for i in range(n)]
        write_table(outer, {"target": target} | dict(zip(names, C.T, strict=True)))
        options = (*options, "--matrix", outer)
    elif problem == "leverage":
        table["shift"] = rng.standard_normal(n)
        target = np.sum(np.linalg.qr(A / (z - table["shift"])[:, None])[0] ** 2, axis=1)
        options = (*options, "--shift", "shift")
    elif problem == "softmax":
        target = share
    elif problem == "rescaled":
        target = np.cosh(z) / np.cosh(z).sum()
        options = (*options, "--unit", "cosh")
    else:
        target = getattr(np, problem)(z)
    write_table(data, table if outer is not None else table | {"target": target})
    return Planted(problem, data, options, target, outer)
