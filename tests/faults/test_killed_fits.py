"""A fit that is killed at any moment goes on where it was, to the same optimum."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest

SOLVERS = ("newton", "lbfgs", "gradient-descent", "sketched-newton", "gradient-regularized-newton")
KILLS = 10
"""Of each solver, and of the classifier; 60 in all."""


def moments(name, whole):
    """Return the moments of the kills, drawn by name."""
    assert whole.end == "done", whole
    return np.random.default_rng(zlib.crc32(name.encode())).integers(1, whole.moments, KILLS)


def finished(runner, action, folder, moment, **options):
    """Kill a fit at a moment, and again at half of it; return what the resumed fit ends with."""
    path = os.path.join(folder, f"run-{moment}.ckpt")
    first = runner(action, checkpoint=path, kill_at=int(moment), **options)
    second = runner(action, checkpoint=path, resume=True, kill_at=int(moment) // 2, **options)
    last = runner(action, checkpoint=path, resume=True, **options)
    assert {first.end, second.end} <= {"killed", "done"}, (first, second)
    assert last.end == "done", last
    assert os.listdir(folder) == [os.path.basename(path)], "something was left"
    os.unlink(path)
    return first.end == "killed", last.value


@pytest.mark.parametrize("solver", SOLVERS)
def test_resumed_to_the_same_optimum(solver, runner, tmp_path):
    right = runner("fit", solver=solver).value
    assert right["status"] == "CONVERGED"
    whole = runner("fit", solver=solver, checkpoint=str(tmp_path / "w.ckpt"), count=True)
    os.unlink(tmp_path / "w.ckpt")
    killed = 0
    for moment in moments(solver, whole):
        dead, value = finished(runner, "fit", str(tmp_path), moment, solver=solver)
        killed += dead
        assert value["status"] == "CONVERGED"
        np.testing.assert_allclose(value["x"], right["x"], rtol=0, atol=1e-10)
    assert killed == KILLS


def test_a_classifier_is_resumed_to_the_same_optimum(runner, tmp_path):
    right = runner("classify").value
    whole = runner("classify", checkpoint=str(tmp_path / "w.ckpt"), count=True)
    os.unlink(tmp_path / "w.ckpt")
    killed = 0
    for moment in moments("classifier", whole):
        dead, value = finished(runner, "classify", str(tmp_path), moment)
        killed += dead
        assert value["status"] == "CONVERGED"
        np.testing.assert_allclose(value["x"], right["x"], rtol=0, atol=1e-10)
    assert killed == KILLS
