"""General minimisers given the objective: SciPy's trust region and PyTorch's L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, softmax

from softunit._typing import Array, Vector
from softunit.bench.judge import BAR, Task, gradient_of
from softunit.bench.peers.base import MAX_ITER, Answer, Peer


def _unpacked(task: Task, x: Vector) -> tuple[Array, Array]:
    """Return W (d, columns) and b (columns,) of one vector, b last where there is one."""
    rows = x.reshape(-1, task.columns)
    return rows[: task.d], rows[task.d] if task.intercept else np.zeros(task.columns)


def _trust_ncg(task: Task, tol: float) -> Answer:
    """Fit by a trust region with conjugate gradients; its tolerance is the gradient's length."""

    def value_gradient(x: Vector) -> tuple[float, Vector]:
        value, G, g = gradient_of(task, *_unpacked(task, x))
        return value, (np.vstack([G, g]) if task.intercept else G).ravel()

    kept: dict[bytes, Array] = {}

    def shares(x: Vector) -> Array:
        key = x.tobytes()
        if key not in kept:
            kept.clear()
            W, b = _unpacked(task, x)
            Z = task.X @ W + b
            kept[key] = expit(Z) if task.columns == 1 else softmax(Z, axis=1)
        return kept[key]

    def product(x: Vector, v: Vector) -> Vector:
        P = shares(x)
        V, c = _unpacked(task, v)
        U = P * (task.X @ V + c)
        U -= P * U.sum(axis=1, keepdims=True)
        H = task.X.T @ U / task.n + task.ridge * V
        return (np.vstack([H, U.mean(axis=0)]) if task.intercept else H).ravel()

    x0 = np.zeros((task.d + task.intercept) * task.columns)
    options = {"gtol": tol, "maxiter": MAX_ITER}
    end = minimize(value_gradient, x0, jac=True, hessp=product, method="trust-ncg", options=options)
    return Answer(*_unpacked(task, end.x), int(end.nit))


def _torch_lbfgs(task: Task, tol: float) -> Answer:
    """Fit by L-BFGS with a strong Wolfe search; its tolerance is the judge's."""
    import torch

    torch.set_num_threads(task.threads)
    X, y = torch.as_tensor(task.X), torch.as_tensor(task.y)
    W = torch.zeros((task.d, task.columns), dtype=X.dtype, requires_grad=True)
    b = torch.zeros(task.columns, dtype=X.dtype, requires_grad=task.intercept)
    optimizer = torch.optim.LBFGS(
        [W, b] if task.intercept else [W],
        max_iter=MAX_ITER,
        max_eval=MAX_ITER,
        tolerance_grad=tol,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )
    targets = y.to(X.dtype)

    def objective() -> torch.Tensor:
        optimizer.zero_grad()
        Z = X @ W + b
        if task.columns == 1:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(Z[:, 0], targets)
        else:
            loss = torch.nn.functional.cross_entropy(Z, y)
        loss = loss + 0.5 * task.ridge * (W * W).sum()
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        return loss

    optimizer.step(objective)
    steps = optimizer.state[optimizer._params[0]]["n_iter"]
    return Answer(W.detach().numpy(), b.detach().numpy(), int(steps))


def torch_lbfgs(
    objective: Callable[[Any, Any], Any], start: Vector, tol: float, threads: int
) -> tuple[Vector, int]:
    """Return the end of PyTorch's L-BFGS with a strong Wolfe search, and its iterations.

    Parameters
    ----------
    objective : callable (torch, x) -> tensor
        x is a tensor of shape (d,).
    start : ndarray of shape (d,)
    tol : float
        Of the largest entry of the gradient.
    threads : int
    """
    import torch

    torch.set_num_threads(threads)
    x = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [x],
        max_iter=MAX_ITER,
        max_eval=MAX_ITER,
        tolerance_grad=tol,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss: torch.Tensor = objective(torch, x)
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        return loss

    optimizer.step(closure)
    return x.detach().numpy(), int(optimizer.state[x]["n_iter"])


def _dense(task: Task) -> str:
    return "dense tables only" if task.is_sparse else ""


DESCENT = (
    Peer("scipy-trust-ncg", _trust_ncg, "scipy", "scipy", 10 * BAR),
    Peer("torch-lbfgs", _torch_lbfgs, "torch", "torch", BAR, _dense),
)
