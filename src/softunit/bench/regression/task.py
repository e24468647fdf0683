"""A regression to run: the objective by plain NumPy, its start, and the judge of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from softunit._typing import Array, Matrix, Vector
from softunit.bench.regression.objectives import Loss, Place

WORSE = 1e-4
"""How much of the way from the planted point's value to that at the start an answer may stand above
the former: what gradients leave open, and less than what separates one minimum from another."""

_ROWS = 4096  # of a block whose absolute values are summed at once


@dataclass(frozen=True)
class RegressionTask:
    """What a peer is given: 1/2 |r(A x)|^2 + ridge/2 |x|^2, and where it starts.

    Attributes
    ----------
    family : str
    A : ndarray of shape (n, d)
    loss : Loss
    target : dict
        What our estimator takes: "b", and "C" or "sigma" where there is one.
    ridge : float
    start : ndarray of shape (d,)
    planted : ndarray of shape (d,)
        The x from which the target was drawn.
    bar : float
        Largest entry of the gradient, over `scale`, at which an answer counts.
    threads : int
    """

    family: str
    A: Matrix
    loss: Loss
    target: dict[str, Any]
    ridge: float
    start: Vector
    planted: Vector
    bar: float
    threads: int = 1
    scale: float = field(init=False)
    """The largest entry of |A|' |g_z(0)|, as `softunit.minimize` has it, for this family."""

    ceiling: float = field(init=False)
    """Value above which an answer is another optimum's than the planted one's."""

    def __post_init__(self) -> None:
        terms, sums = self.loss.terms(len(self.A)), np.zeros(self.d)
        for start in range(0, self.n, _ROWS):  # |A| is never made
            rows = slice(start, start + _ROWS)
            sums += np.abs(self.A[rows]).T @ terms[rows]
        object.__setattr__(self, "scale", float(sums.max()) or 1.0)
        good, first = self.value(self.planted), self.value(self.start)
        object.__setattr__(self, "ceiling", good + WORSE * max(first - good, 0.0))

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.A)

    @property
    def d(self) -> int:
        """Columns."""
        return int(self.A.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of the design."""
        return int(self.A.nbytes)

    def place(self, x: Vector) -> Place:
        """Return residuals and derivatives at x; a score too large gives what is not finite."""
        with np.errstate(all="ignore"):
            return self.loss.at(self.A @ x)

    def value(self, x: Vector) -> float:
        """Return the objective."""
        return self.place(x).value + 0.5 * self.ridge * float(x @ x)

    def value_gradient(self, x: Vector) -> tuple[float, Vector]:
        """Return the objective and its gradient, (d,): two products with A."""
        place = self.place(x)
        with np.errstate(all="ignore"):
            gradient = self.A.T @ place.gradient + self.ridge * x
        return place.value + 0.5 * self.ridge * float(x @ x), gradient

    def judged(self, W: Array, b: Array) -> tuple[float, float]:
        """Return the objective and the largest entry of its gradient over `scale`.

        The gradient counts as infinite where the point is not finite or of the wrong shape, and
        where its value is above `ceiling`: a plateau or another minimum is no answer.

        Parameters
        ----------
        W : ndarray of shape (d, 1)
            x.
        b : ndarray of shape (1,)
            Zero: there is no intercept.
        """
        if np.shape(W) != (self.d, 1) or np.any(b) or not np.isfinite(W).all():
            return np.inf, np.inf
        value, gradient = self.value_gradient(np.asarray(W, dtype=np.float64)[:, 0])
        largest = float(np.abs(gradient).max()) / self.scale
        return value, largest if value <= self.ceiling and np.isfinite(largest) else np.inf

    def one_gradient(self) -> None:
        """Compute one value and gradient at the start."""
        self.value_gradient(self.start)
