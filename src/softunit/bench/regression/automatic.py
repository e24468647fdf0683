"""The regression losses for automatic differentiation, by PyTorch and by JAX."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from softunit._typing import Vector
from softunit.bench.peers.base import MAX_ITER
from softunit.bench.regression.task import RegressionTask


def squares(xp: Any, family: str, given: Mapping[str, Any], x: Any) -> Any:
    """Return the objective of a task over its scale, by torch or jax.numpy.

    Parameters
    ----------
    xp : module
    family : str
    given : mapping of str to tensor
        A, b, ridge and scale, and C or sigma where there is one.
    x : tensor of shape (d,)
    """
    z = given["A"] @ x
    if family in ("softmax", "two-layer"):
        e = xp.exp(z - z.max())
        out = e / e.sum()
        out = xp.tanh(given["C"] @ out) if family == "two-layer" else out
        r = out - given["b"]
    elif family == "leverage":
        Q = xp.linalg.qr(given["A"] / (z - given["b"])[:, None])[0]
        r = (Q * Q).sum(1) - given["sigma"]
    else:
        r = getattr(xp, family)(z) - given["b"]
    return 0.5 * ((r * r).sum() + given["ridge"] * (x * x).sum()) / given["scale"]


def _given(task: RegressionTask) -> dict[str, Any]:
    return {"A": task.A, "ridge": np.float64(task.ridge), "scale": np.float64(task.scale)} | {
        name: np.asarray(array, dtype=np.float64) for name, array in task.target.items()
    }


def torch_objective(task: RegressionTask) -> Callable[[Any, Any], Any]:
    """Return the objective as a function of the module torch and a tensor x."""
    given = _given(task)
    tensors: dict[str, Any] = {}

    def objective(torch: Any, x: Any) -> Any:
        if not tensors:  # they share memory with the arrays
            tensors.update({name: torch.as_tensor(array) for name, array in given.items()})
        return squares(torch, task.family, tensors, x)

    return objective


@cache
def _traced(family: str) -> Callable[[Any, Any], Any]:
    """Return one function for each family, so that JAX compiles it once for each shape."""
    import jax.numpy as jnp  # type: ignore[import-not-found, unused-ignore]

    def objective(x: Any, given: Any) -> Any:
        return squares(jnp, family, given, x)

    return objective


def optimistix_lbfgs(task: RegressionTask, tol: float) -> tuple[Vector, int]:
    """Return x and the iterations of Optimistix's L-BFGS; it ends on changes of x and the value.

    Parameters
    ----------
    task : RegressionTask
    tol : float
    """
    import jax  # type: ignore[import-not-found, unused-ignore]
    import optimistix  # type: ignore[import-not-found, unused-ignore]

    jax.config.update("jax_enable_x64", True)
    given = jax.tree.map(jax.numpy.asarray, _given(task))
    small = jax.numpy.asarray(tol)  # an array: other tolerances need no other program
    end = optimistix.minimise(
        _traced(task.family),
        optimistix.LBFGS(rtol=small, atol=small),
        jax.numpy.asarray(task.start),
        given,
        max_steps=MAX_ITER,
        throw=False,
    )
    return np.asarray(end.value, dtype=np.float64), int(end.stats["num_steps"])


def traced(task: RegressionTask) -> None:
    """Have JAX compile a task's program, which is not to be timed: it ends at once."""
    optimistix_lbfgs(task, 1e300)


def unpinned(task: RegressionTask) -> str:
    """Return why JAX is not asked: its threads are as many as cores, whatever it is told."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return "" if task.threads == cores else "JAX uses every core, and cannot be told to use fewer"
