"""Where a run ended: its status with advice, its history, and what it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Self

from softunit._typing import Array
from softunit.errors import NotConvergedError


class Status(Enum):
    """How a run ended; the value is a sentence of advice."""

    RUNNING = "The run goes on."
    CONVERGED = "The largest entry of the gradient is within the tolerance."
    MAX_ITER = (
        "The iteration limit was reached before the tolerance. Raise `max_iter`, add ridge, or"
        " scale the columns; solvers without curvature (L-BFGS, gradient descent) need many"
        " iterations where Newton's needs few."
    )
    ROUNDING = (
        "No further step lowers the objective in double precision, yet the gradient is above the"
        " tolerance: it has reached the rounding error of the data. Usual causes: columns of very"
        " different size, or scores in the thousands. Scale the columns, or raise `tol`."
    )
    PROVED = (
        "No further step lowers the objective in double precision, and the certificate proves that"
        " the value is at its optimum up to rounding. The gradient is above the tolerance only"
        " because it is measured in columns of very different size: nothing needs to be done."
    )
    NO_DESCENT = (
        "No step found lowers the objective, though its gradient promises that one does: the"
        " objective is not finite or not smooth near this point. Start elsewhere, scale the"
        " columns, or add ridge; a unit of your own may have a wrong gradient."
    )
    SADDLE = (
        "The gradient is within the tolerance, but this is no minimum: along a direction of"
        " negative curvature the objective falls. Start elsewhere; x = 0 is such a point of cosh"
        " units for every target, and of rescaled ones."
    )
    SEPARABLE = (
        "The classes are separable: the loss falls towards its infimum as the coefficients grow"
        " without bound, so there is no optimum. Use a finite C (ridge), or drop the columns that"
        " separate."
    )
    STOPPED = "A callback asked to stop before the tolerance was reached."
    INTERRUPTED = (
        "An interrupt (Ctrl-C) ended the run before the tolerance was reached. This is the best"
        " point so far, and its certificate says how good it is; to go on, start from it."
    )

    @property
    def advice(self) -> str:
        """The sentence that goes with this status."""
        return self.value


@dataclass
class Cost:
    """What a run has consumed; every count is cumulative.

    Attributes
    ----------
    products : float
        Products with the design or its transpose, per pass over all its rows and all columns of
        scores; a pass over a share of the rows counts as that share.
    rows : int
        Rows of the design read.
    values, gradients, curvatures : float
        Evaluations of the unit over all rows; over a share of them they count as that share.
    """

    products: float = 0.0
    rows: int = 0
    values: float = 0.0
    gradients: float = 0.0
    curvatures: float = 0.0

    def add(self, more: Cost, share: float) -> None:
        """Add what was spent on a share of all rows; rows read are counted as they are."""
        self.products += more.products * share
        self.rows += more.rows
        self.values += more.values * share
        self.gradients += more.gradients * share
        self.curvatures += more.curvatures * share

    def copy(self) -> Cost:
        """Return an independent copy."""
        return Cost(**{item.name: getattr(self, item.name) for item in fields(self)})

    def __add__(self, other: Cost) -> Cost:
        names = [item.name for item in fields(self)]
        return Cost(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def since(self, start: Cost) -> Cost:
        """Return what has been consumed since `start`, an earlier copy of this object."""
        names = [item.name for item in fields(self)]
        return Cost(**{name: getattr(self, name) - getattr(start, name) for name in names})


@dataclass(frozen=True)
class Record:
    """One line of the history, written after each iteration (0 is the start).

    Attributes
    ----------
    iteration : int
    value : float
        The objective.
    gradient_norm : float
        What is compared with `tol`; see `softunit.minimize`.
    seconds : float
        Since the start of the run.
    products : float
        Products with the design so far.
    decrement : float, default nan
        g' H^-1 g before the step, with the solver's Hessian H: twice what the step promised to
        gain. At the start that of the start, where the solver knows it; NaN for solvers without a
        Hessian.
    share : float, default 1.0
        Share of the rows that value and gradient were taken over: values of different shares are
        values of different samples.
    """

    iteration: int
    value: float
    gradient_norm: float
    seconds: float
    products: float
    decrement: float = math.nan
    share: float = 1.0


@dataclass(frozen=True)
class Solution:
    """Where a run ended.

    Attributes
    ----------
    x : ndarray of shape (d,) or (d, K)
        The best point found.
    value : float
        The objective there: mean loss plus penalty for rowwise units, the loss itself plus
        penalty for units that couple all rows and for exp, cosh and sinh.
    gradient_norm : float
        What was compared with `tol`; see `softunit.minimize`.
    status : Status
    n_iter : int
    history : tuple of Record
    seconds : float
    cost : Cost
    solver : str
        Name of the solver that ran.
    tol : float
    """

    x: Array
    value: float
    gradient_norm: float
    status: Status
    n_iter: int
    history: tuple[Record, ...]
    seconds: float
    cost: Cost = field(default_factory=Cost)
    solver: str = ""
    tol: float = 0.0

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached, or the optimum proved to be."""
        return self.status in (Status.CONVERGED, Status.PROVED)

    @property
    def message(self) -> str:
        """One sentence on how the run ended, with its figures, and the advice of its status."""
        s = "" if self.n_iter == 1 else "s"
        return (
            f"{self.solver or 'The run'} stopped after {self.n_iter} iteration{s} with largest"
            f" gradient entry {self.gradient_norm:.2e} (tol {self.tol:.0e}). {self.status.advice}"
        )

    def raise_if_failed(self) -> Self:
        """Return the solution itself, or raise.

        Raises
        ------
        NotConvergedError
            If the tolerance was not reached; the message holds the advice.
        """
        if not self.converged:
            raise NotConvergedError(self.message)
        return self
