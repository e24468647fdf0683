"""Who fits regressions: ours, and general minimisers given the same objective and start.

Everybody else gets the objective over the task's scale, so that a gradient entry of `tol` means the
same to all, and values are of size one, as general minimisers like them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import least_squares, minimize
from scipy.sparse.linalg import LinearOperator

from softunit._typing import Matrix, Vector
from softunit.bench.judge import BAR
from softunit.bench.peers.base import MAX_ITER, Answer, Peer
from softunit.bench.peers.descent import torch_lbfgs
from softunit.bench.regression.automatic import optimistix_lbfgs, torch_objective, traced, unpinned
from softunit.bench.regression.objectives import Place
from softunit.bench.regression.ours import OURS
from softunit.bench.regression.task import RegressionTask

JACOBIAN_LIMIT = 1.7e9
"""Bytes of a Jacobian above which nobody forms it: its decomposition takes several of them."""

EPS = 2.3e-16
"""Just above the machine's, the least tolerance that SciPy takes."""


def _answer(x: Any, n_iter: int | None) -> Answer:
    return Answer(np.asarray(x, dtype=np.float64)[:, None], np.zeros(1), n_iter)


class Scaled:
    """A task's objective over its scale, remembering what it knows of the latest point.

    Parameters
    ----------
    task : RegressionTask
    """

    def __init__(self, task: RegressionTask) -> None:
        self.task, self.root = task, np.sqrt(task.scale)
        self.latest, self._place = task.start.copy(), task.place(task.start)

    def _at(self, x: Vector) -> Place:
        if not np.array_equal(x, self.latest):
            self.latest, self._place = x.copy(), self.task.place(x)
        return self._place

    def residual(self, x: Vector) -> Vector:
        """Return the residuals, those of the ridge below, (m,) or (m + d,)."""
        r, ridge = self._at(x).residual / self.root, self.task.ridge
        return np.append(r, np.sqrt(ridge) / self.root * x) if ridge else r

    def jacobian(self, x: Vector) -> Matrix:
        """Return their Jacobian, a dense array."""
        task = self.task
        J = self._at(x).forward(task.A) / self.root
        ridge = np.sqrt(task.ridge) / self.root * np.eye(task.d)
        return np.vstack([J, ridge]) if task.ridge else J

    def operator(self, x: Vector) -> LinearOperator:
        """Return their Jacobian as products."""
        task, place = self.task, self._at(x)
        m, low = len(place.residual), np.sqrt(task.ridge) / self.root

        def forward(v: Vector) -> Vector:
            up = place.forward(task.A @ v.ravel()) / self.root
            return np.append(up, low * v) if task.ridge else up

        def backward(y: Vector) -> Vector:
            up = task.A.T @ place.backward(y.ravel()[:m]) / self.root
            return np.asarray(up + low * y.ravel()[m:] if task.ridge else up)

        rows = m + (task.d if task.ridge else 0)
        return LinearOperator((rows, task.d), matvec=forward, rmatvec=backward)

    def value_gradient(self, x: Vector) -> tuple[float, Vector]:
        """Return value and gradient (d,)."""
        task, place = self.task, self._at(x)
        with np.errstate(all="ignore"):
            gradient = task.A.T @ place.gradient + task.ridge * x
            value = place.value + 0.5 * task.ridge * float(x @ x)
        return value / task.scale, gradient / task.scale

    def product(self, x: Vector, v: Vector) -> Vector:
        """Return the Hessian at x times v, (d,)."""
        task, place = self.task, self._at(x)
        with np.errstate(all="ignore"):
            H = task.A.T @ place.curvature(task.A @ v) + task.ridge * v
        return np.asarray(H / task.scale)


def _least_squares(
    method: str, *, operator: bool = False
) -> Callable[[RegressionTask, float], Answer]:
    """Return a fit by SciPy's `least_squares` with the analytic Jacobian.

    trf ends on the largest entry of the gradient. lm has no such rule: it ends on the angle between
    residuals and columns, or on the relative change of x. Where SciPy's step cannot be computed any
    more, as at rounding level, the last point it looked at stands.
    """

    def fit(task: RegressionTask, tol: float) -> Answer:
        scaled = Scaled(task)
        small = max(tol, EPS)
        own = {"xtol": small if method == "lm" else EPS, "ftol": EPS if method == "lm" else None}
        kind = {"tr_solver": "lsmr"} if operator else {"x_scale": "jac"}
        J = scaled.operator if operator else scaled.jacobian
        options = own | kind | {"method": method, "gtol": small, "max_nfev": MAX_ITER}
        try:
            end = least_squares(scaled.residual, task.start, J, **options)
        except ValueError:
            return _answer(scaled.latest, None)
        return _answer(end.x, int(end.njev or end.nfev))

    return fit


def _lbfgs(task: RegressionTask, tol: float) -> Answer:
    """Fit by SciPy's L-BFGS-B; its tolerance is the largest entry of the gradient."""
    options = {"gtol": tol, "ftol": 0.0, "maxiter": MAX_ITER, "maxfun": MAX_ITER, "maxcor": 20}
    objective = Scaled(task).value_gradient
    end = minimize(objective, task.start, jac=True, method="L-BFGS-B", options=options)
    return _answer(end.x, int(end.nit))


def _trust_ncg(task: RegressionTask, tol: float) -> Answer:
    """Fit by a trust region with conjugate gradients; its tolerance is the gradient's length."""
    scaled = Scaled(task)
    end = minimize(
        scaled.value_gradient,
        task.start,
        jac=True,
        hessp=scaled.product,
        method="trust-ncg",
        options={"gtol": tol, "maxiter": MAX_ITER},
    )
    return _answer(end.x, int(end.nit))


def _torch(task: RegressionTask, tol: float) -> Answer:
    """Fit by PyTorch's L-BFGS, derivatives by its autograd."""
    x, n_iter = torch_lbfgs(torch_objective(task), task.start, tol, task.threads)
    return _answer(x, n_iter)


def _optimistix(task: RegressionTask, tol: float) -> Answer:
    """Fit by Optimistix's L-BFGS, derivatives by JAX."""
    x, n_iter = optimistix_lbfgs(task, tol)
    return _answer(x, n_iter)


def _formed(task: RegressionTask) -> str:
    """Return why a task is not for those who form the Jacobian."""
    rows = len(task.target["b"]) + (task.d if task.ridge else 0)
    needed = 8.0 * rows * task.d
    if rows < task.d:
        return "fewer residuals than columns"
    return "" if needed <= JACOBIAN_LIMIT else f"its Jacobian would take {needed / 1e9:.1f} GB"


OTHERS = (
    Peer("scipy-lbfgs", _lbfgs, "scipy", "scipy", BAR),
    Peer("scipy-trust-ncg", _trust_ncg, "scipy", "scipy", 10 * BAR),
    Peer("scipy-trf", _least_squares("trf"), "scipy", "scipy", BAR, _formed),
    Peer("scipy-trf-lsmr", _least_squares("trf", operator=True), "scipy", "scipy", BAR),
    Peer("scipy-lm", _least_squares("lm"), "scipy", "scipy", 10 * BAR, _formed),
    Peer("torch-lbfgs", _torch, "torch", "torch", BAR),
    Peer(
        "optimistix-lbfgs", _optimistix, "optimistix", "optimistix", BAR, unpinned, prepare=traced
    ),
)

REGRESSION_PEERS: dict[str, Peer] = {peer.name: peer for peer in (*OURS, *OTHERS)}
"""Every peer by its name, in the order in which they run: ours, and then the others."""
