"""A fit that is to be killed: run as a process of its own."""

from __future__ import annotations

import numpy as np

import softunit as su


def problem() -> su.Problem:
    rng = np.random.default_rng(12)
    a = rng.standard_normal((400, 8)) * np.geomspace(1, 30, 8)
    y = (a / np.geomspace(1, 30, 8) @ rng.standard_normal((8, 3))).argmax(axis=1)
    return su.Problem(a, su.units.Multinomial(3), y, su.penalties.Ridge(1e-4))


def run(path: str | None, *, every: float = 30.0, tells: bool = False) -> su.Solution:
    """Minimise, and tell of each iteration on standard output if that is asked for."""

    def tell(record, point) -> None:
        if tells:
            print(record.iteration, flush=True)

    return su.minimize(
        problem(),
        solver="gradient-descent",
        tol=1e-9,
        max_iter=150,
        checkpoint=path,
        every=every,
        resume=path is not None,
        callback=tell,
    )
