"""Any bytes as a checkpoint: resumed to the optimum, or refused with a sentence."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from softunit import Problem, minimize
from softunit.checkpoints.files import KEY, SUM, UNKNOWN, read_file
from softunit.errors import FileError, SoftunitError
from softunit.penalties import Ridge
from softunit.units import Multinomial
from tests.fuzz.harness import file_of, fuzz, quiet
from tests.fuzz.mutators import mutate_safetensors

SOLVERS = ("lbfgs", "newton", "sketched-newton")
TOL = 1e-6


def problem() -> Problem:
    """Return the small problem that all checkpoints are of."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((40, 3))
    labels = np.argmax(X + rng.gumbel(size=(40, 3)), axis=1)
    return Problem(X, Multinomial(3), labels, Ridge(1e-2))


def check(data: bytes) -> None:
    """Read a checkpoint, and go on from one that is accepted; the end must be an optimum."""
    with quiet(), file_of(data, ".ckpt") as path:
        try:
            tree = read_file(path)
        except FileError:
            return
        made = problem()
        for solver in SOLVERS:
            path.write_bytes(data)
            try:
                end = minimize(made, solver=solver, tol=TOL, checkpoint=path, every=0, resume=True)
            except SoftunitError:
                continue
            gradient = np.abs(made.evaluate(end.x).gradient).max()
            if end.converged and gradient > 2 * TOL:
                raise AssertionError(f"{solver} calls {gradient} an optimum, from {tree}")


def mutate(data: bytes, seed: int) -> bytes:
    """Return a checkpoint with a change behind its lengths and its checksum."""
    return signed(mutate_safetensors(data, seed, KEY))


def signed(data: bytes) -> bytes:
    """Return the file with the checksum that belongs to it."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        header["__metadata__"] = {**header["__metadata__"], SUM: UNKNOWN}
        text = json.dumps(header).encode()
    except (ValueError, KeyError, TypeError):
        return data
    text += b" " * (-len(text) % 8)
    whole = len(text).to_bytes(8, "little") + text + data[8 + length :]
    return whole.replace(UNKNOWN.encode(), hashlib.sha256(whole).hexdigest().encode(), 1)


def stopped(solver: str, path: object, iterations: int) -> None:
    """Leave the checkpoint of a run that was stopped after some iterations."""
    minimize(
        problem(),
        solver=solver,
        tol=TOL,
        checkpoint=path,
        every=0,
        callback=lambda record, point: record.iteration >= iterations,
    )


if __name__ == "__main__":
    fuzz(check, mutate)
