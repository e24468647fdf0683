"""One fit of ordered classes: its problem, its end, and what inference needs of it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._groups import Groups
from softunit._typing import Array, Vector
from softunit.certificate import Certificate, Effort, at_optimum
from softunit.checkpoints import Checkpoint
from softunit.designs import ProportionalDesign, ScaledDesign
from softunit.estimators._ordinal_problem import (
    Long,
    least_norm,
    long_problem,
    proportional_problem,
)
from softunit.estimators._ordinal_proof import ordinal_certificate
from softunit.estimators._ordinal_separation import proportional_separation
from softunit.estimators._ordinal_target import OrderedTarget
from softunit.estimators._presto import (
    Strengths,
    from_parts,
    from_proportional,
    presto_problem,
    to_parts,
)
from softunit.inference import Facts, Inference, infer
from softunit.problem import Problem
from softunit.run import Callback, Interrupt, minimize
from softunit.separation import examine
from softunit.solution import Solution, Status
from softunit.solvers import Newton, Solver

START_TOL = 1e-4  # of the proportional odds from which PRESTO starts


@dataclass(frozen=True)
class Plan:
    """How a model of ordered classes is to be fitted.

    Attributes
    ----------
    C : float
    strengths : Strengths or None
        None means one set of coefficients, without l1.
    solver : str or Solver
    tol : float
    max_iter : int
    keyboard_interrupt : {"raise", "return"}
    checkpoint : Checkpoint or None
        That both runs, where there are two, are told to.
    """

    C: float
    strengths: Strengths | None
    solver: str | Solver[Any]
    tol: float
    max_iter: int
    keyboard_interrupt: Interrupt = "raise"
    checkpoint: Checkpoint | None = None

    @property
    def shared(self) -> bool:
        """Whether all thresholds share their coefficients."""
        return self.strengths is None or math.isinf(self.strengths.differences)

    @property
    def loose(self) -> slice:
        """The columns of a PRESTO x that carry no l1 penalty; of another x, all that there is."""
        if self.shared or self.strengths is None or self.strengths == Strengths(0.0, 0.0):
            return slice(None)
        return slice(1) if self.strengths.first == 0 else slice(1, None)

    @property
    def free(self) -> bool:
        """Whether no penalty holds some of the coefficients: they may have no optimum."""
        if self.strengths is None:
            return math.isinf(self.C)
        loose = self.strengths.first == 0 or self.strengths.differences == 0
        held = self.shared and self.strengths.first > 0
        return math.isinf(self.C) and loose and not held


@dataclass(frozen=True)
class OrdinalFit:
    """Data with the problem that they pose under a plan.

    Attributes
    ----------
    plan : Plan
    x : ndarray or CSR matrix of shape (n, d)
    target : OrderedTarget
    weights : ndarray of shape (n,) or None
    problem : Problem
    start : ndarray
    """

    plan: Plan
    x: Any
    target: OrderedTarget
    weights: Vector | None
    problem: Problem
    start: Array

    @classmethod
    def of(cls, plan: Plan, x: Any, target: OrderedTarget, weights: Vector | None) -> OrdinalFit:
        """Pose the problem."""
        if plan.shared:
            l1 = 0.0 if plan.strengths is None else plan.strengths.first
            problem, start = proportional_problem(x, target, weights, C=plan.C, l1=l1)
        else:
            assert plan.strengths is not None
            problem, start = presto_problem(x, target, weights, C=plan.C, strengths=plan.strengths)
        return cls(plan, x, target, weights, problem, start)

    def solve(self, callback: Callback, start: Array | None = None) -> Solution:
        """Minimise from a point, or from proportional odds where thresholds have their own."""
        plan, problem = self.plan, self.problem
        smooth = plan.solver == "auto" and problem.lasso is None
        if start is None:
            start = self.start if plan.shared else self._from_proportional()
        return minimize(
            problem,
            start,
            solver=Newton(kind="exact") if smooth else plan.solver,
            tol=plan.tol,
            max_iter=plan.max_iter,
            callback=callback,
            keyboard_interrupt=plan.keyboard_interrupt,
            checkpoint=plan.checkpoint,
        )

    def _from_proportional(self) -> Array:
        """Return the proportional odds fit: close, and in order in every row."""
        assert self.plan.strengths is not None
        first = Strengths(math.inf, self.plan.strengths.first)
        plan = dataclasses.replace(
            self.plan, strengths=first, solver="auto", tol=max(START_TOL, self.plan.tol)
        )
        shared = OrdinalFit.of(plan, self.x, self.target, self.weights)
        found = shared.solve(lambda record, point: None)
        return self.shared_point(*shared.parts(found.x))

    def shared_point(self, coef: Array, thresholds: Vector) -> Array:
        """Return the point at which all thresholds have the same coefficients."""
        design = self.problem.design
        assert isinstance(design, ScaledDesign)
        return from_proportional(design, coef, thresholds)

    def parts(self, x: Array) -> tuple[Array, Vector]:
        """Return coefficients, (d,) or (K - 1, d), and thresholds in the input's columns."""
        at = self.problem.design.to_input(x)
        if not self.plan.shared:
            return to_parts(at)
        d = self.x.shape[1]
        return at[:d].copy(), at[d:].copy()

    def point(self, coef: Array, thresholds: Vector) -> Array:
        """Return the point of the problem at coefficients and thresholds."""
        shared = self.plan.shared
        at = np.concatenate([coef, thresholds]) if shared else from_parts(coef, thresholds)
        return self.problem.design.from_input(at)

    def end(self, solution: Solution, names: list[str]) -> End:
        """Return what the run amounts to: separated, not unique, or an optimum."""
        problem, x, status = self.problem, solution.x, solution.status
        collinear: tuple[str, ...] = ()
        if self.plan.free:
            x, which = least_norm(problem, x, self.plan.loose)
            collinear = tuple(str(names[j]) for j in which)
        stalled = status in (Status.ROUNDING, Status.NO_DESCENT)
        effort: Effort = "full" if self.plan.free or stalled else "quick"
        certificate = ordinal_certificate(problem, x, effort=effort)
        if stalled and at_optimum(certificate):
            status = Status.PROVED
        separation = self._separation(x, certificate, names)
        if separation:
            status = Status.SEPARABLE
        if collinear:  # or constant
            certificate = dataclasses.replace(certificate, unique=False)
        found = dataclasses.replace(solution, x=problem.design.to_input(x), status=status)
        return End(x, found, certificate, separation, collinear)

    def _separation(self, x: Array, certificate: Certificate, names: list[str]) -> str:
        if not self.plan.free:
            return ""
        if self.plan.shared:
            at = np.concatenate(self.parts(x))
            return proportional_separation(
                self.x, self.target, self.weights, (at, certificate), names
            )
        outcomes = self.target.classes.tolist()
        return examine(
            self.problem, x, names=names, outcomes=outcomes, certificate=certificate
        ).sentence

    def crossed(self, x: Array) -> int:
        """Return in how many rows neighbouring cumulative logits are out of order."""
        if self.plan.shared:
            return 0
        z = np.cumsum(self.problem.scores(x), axis=1)
        return int((np.diff(z, axis=1) < 0).any(axis=1).sum())

    def log_likelihood(self, x: Array) -> float:
        """Return the log-likelihood at a point, without the penalty."""
        return -self.problem.mass * self.problem.by_rows.total_value(x)

    def null_log_likelihood(self) -> float:
        """Return that of thresholds alone."""
        totals = self.target.totals(self.weights)
        return float(totals @ np.log(totals / totals.sum()))

    def infer(self, x: Array, facts: Facts, columns: list[str]) -> Inference:
        """Return what the data say of each coefficient and threshold.

        Parameters
        ----------
        x : ndarray
            In the problem's coordinates.
        facts : Facts
        columns : list of str
            Names of the columns of X.
        """
        between = threshold_names(self.target.classes)
        if self.plan.shared:
            design = self.problem.design
            assert isinstance(design, ProportionalDesign)
            # Here every observation has its own gap: scores add up observation by observation.
            long = Long.of(self.target.codes, len(self.target.classes))
            penalty = self.problem.penalties
            whole = long_problem(long, design.inner, self.target, self.weights, penalty)
            names = [*columns, *between]
            return infer(whole, x, names, observations=Groups(long.observation), facts=facts)
        m = len(between)
        last = "(threshold)" if "threshold" in columns else "threshold"
        pairs = [(level, column) for column in [*columns, last] for level in between]
        sums = sparse.csr_array(np.triu(np.ones((m, m))))
        signs = np.append(-np.ones(len(columns)), 1.0)
        basis = sparse.kron(sparse.diags_array(signs), sums, format="csr")
        return infer(self.problem, x, pairs, basis=basis, facts=facts)


@dataclass(frozen=True)
class End:
    """Where a fit ended.

    Attributes
    ----------
    x : ndarray
        In the problem's coordinates.
    solution : Solution
        Its x is in the input's columns.
    certificate : Certificate
    separation : str
        A sentence on classes that are told apart without error; mostly empty.
    collinear : tuple of str
        Columns that others, or the thresholds, make up for.
    """

    x: Array
    solution: Solution
    certificate: Certificate
    separation: str
    collinear: tuple[str, ...]


def threshold_names(classes: npt.NDArray[Any]) -> list[str]:
    """Return the names of the thresholds: the classes on both sides."""
    told = [str(label) for label in classes.tolist()]
    return [f"{low}|{high}" for low, high in pairwise(told)]
