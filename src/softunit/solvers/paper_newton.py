"""The papers' algorithm: full Newton steps on a Hessian of sampled rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from softunit._checks import check_count, check_positive
from softunit._typing import Matrix, Vector
from softunit.curvature import Diagonal
from softunit.designs import ScaledDesign
from softunit.designs.base import Design
from softunit.errors import InputError, NeedsError
from softunit.point import Point
from softunit.problem import Problem
from softunit.sketches import leverage_scores
from softunit.sketches.leverage_sampling import drawn_by
from softunit.solution import Status
from softunit.solvers.base import Solver
from softunit.solvers.curvature_sample import row_form, scored_rows


@dataclass(frozen=True)
class PaperState:
    """The point, and how many steps have been made: each draws its own rows."""

    point: Point
    steps: int = 0


@dataclass(frozen=True)
class PaperNewton(Solver[PaperState]):
    """Approximate Newton by leverage scores, as the papers print it: no line search, no shift.

    With the curvature D of the unit in score space and the regulariser's W^2:

    1. Take the leverage scores tau of the rows of sqrt(|D + W^2|) A.  2. Draw `rows` of them with
    probabilities tau / sum(tau) and weigh them so that A' D~ A has the right expectation.  3. Step
    by -H~^-1 g with the exact gradient g; the papers' restatements print a plus.

    For one softmax the diagonal D belongs to the design centred by the probabilities, and the rows
    of W A are drawn beside those of D. The theory holds for the papers' large w alone. Elsewhere
    H~ may be indefinite, or a full step too long: then the solver refuses to go on with status
    `NO_DESCENT`, where `GradientRegularizedNewton` would go on.

    Parameters
    ----------
    rows : int or None, default None
        Rows drawn for each step; None takes 3 d log(2 d / delta) / eps^2.
    delta : float, default 0.1
        Probability of a worse sample.
    eps : float, default 0.5
        Relative error of H~ in the order of symmetric matrices, where D + W^2 >= 0.
    seed : int, default 0

    Raises
    ------
    InputError
        If a parameter is out of range.

    Notes
    -----
    Source: arXiv 2303.15725, 2304.10411 and 2305.00660, which share the algorithm; the number of
    rows is a matrix Chernoff bound.
    """

    rows: int | None = None
    delta: float = 0.1
    eps: float = 0.5
    seed: int = 0
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "curvature", "formed_hessian"})

    def __post_init__(self) -> None:
        if self.rows is not None:
            check_count("rows", self.rows, least=1)
        for name in ("delta", "eps"):
            check_positive(name, getattr(self, name))
            if getattr(self, name) >= 1:
                raise InputError(f"`{name}` must be below 1; got {getattr(self, name)!r}.")
        check_count("seed", self.seed)

    def check(self, problem: Problem) -> None:
        """Compare what the solver needs with what the problem offers.

        Raises
        ------
        NeedsError
            If the unit's curvature is no diagonal, not even in a centred design.
        """
        super().check(problem)
        z = np.zeros((problem.design.shape[0], *problem.shape[1:]))
        if problem.columns > 1 or scored_rows(problem, z) is None:
            raise NeedsError(
                f"PaperNewton samples the rows of A' D A, but the curvature of"
                f" {type(problem.unit).__name__} is no diagonal D. GradientRegularizedNewton and"
                " LBFGS would do."
            )

    def init(self, problem: Problem, point: Point) -> PaperState:
        """Return the state at the start."""
        return PaperState(point)

    def step(self, problem: Problem, state: PaperState) -> tuple[PaperState, Status]:
        """Return the next state, or NO_DESCENT where the full step leads nowhere."""
        point = state.point
        hessian = self.hessian(problem, point, np.random.default_rng((self.seed, state.steps)))
        try:
            factor = cho_factor(hessian, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return state, Status.NO_DESCENT
        trial = problem.evaluate(point.x - cho_solve(factor, point.gradient))  # 3.
        if not math.isfinite(trial.value) or not np.isfinite(trial.gradient).all():
            return state, Status.NO_DESCENT
        return PaperState(trial, state.steps + 1), Status.RUNNING

    def hessian(self, problem: Problem, point: Point, rng: np.random.Generator) -> Matrix:
        """Return H~, (d, d): the Gram of sampled rows, what sees all rows, and the ridge.

        Parameters
        ----------
        problem : Problem
        point : Point
        rng : numpy.random.Generator
            Draws the rows.
        """
        form = row_form(problem, point, "exact")
        assert form is not None
        problem.cost.curvatures += 1
        problem.cost.rows += problem.design.shape[0]
        design, q = problem.design, problem.score_ridge
        if form.centre is None:
            parts = [(design, form.weights + q)]
        else:
            centred = ScaledDesign(design, centre=design.rmatvec(form.centre))
            parts = [(centred, form.weights), (design, q)]
        total = np.zeros((problem.size, problem.size))
        for part, weights in parts:
            if weights.any():
                total += self._sampled_gram(part, weights, rng)
        total += form.beside(design.rmatvec)
        total[np.diag_indices_from(total)] += problem.ridge
        return total

    def _sampled_gram(self, design: Design, weights: Vector, rng: np.random.Generator) -> Matrix:
        """Return A' D~ A; all rows where a sample would not be smaller."""
        n, d = design.shape
        m = self.rows or math.ceil(3 * d * math.log(2 * d / self.delta) / self.eps**2)
        if m >= n:
            return design.gram(Diagonal(weights))
        tau = leverage_scores(design, weights=np.abs(weights))  # 1.
        if not tau.sum() > 0:
            # One softmax that is all but one row: its centred design is rounding, and no row is
            # seen. What is left of the Gram is too little to step by, which `step` finds out.
            return design.gram(Diagonal(weights))
        index, times = drawn_by(tau, m, rng)  # 2.
        return design.rows(index).gram(Diagonal(times * weights[index]))
