"""The facts of a certificate, one method each; the smallest proved bound wins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from softunit._numeric import EPS, as_columns
from softunit._typing import Matrix
from softunit.duality import dual_gap
from softunit.free_rows import free_left, minimised_over
from softunit.point import Point
from softunit.problem import FORM_LIMIT, Problem
from softunit.solvers.conjugate_gradients import conjugate_gradients
from softunit.solvers.preconditioner import KroneckerPreconditioner
from softunit.spectrum import (
    Metric,
    Spectrum,
    clearly_independent,
    concordant_gap,
    constant_gap,
    least_hessian,
)

FREE_LIMIT = 300
"""Unpenalised parameters up to which the ridge bound minimises over them exactly."""


@dataclass(frozen=True)
class Statement:
    """One sentence of a certificate: proved (True), estimated (False), or a mere note (None).

    The sentence that `opens` is the first one about a point; remarks of a fit stand before it.
    """

    text: str
    proved: bool | None
    opens: bool = False

    @property
    def mark(self) -> str:
        """The word "proved", "estimated" or "note"."""
        return {True: "proved", False: "estimated", None: "note"}[self.proved]

    def __str__(self) -> str:
        return f"{self.mark.capitalize()}: {self.text}"


class Proofs:
    """What has been shown about a point so far; each method adds to it."""

    def __init__(self, problem: Problem, point: Point) -> None:
        self.problem, self.point = problem, point
        self.bounds = problem.unit.bounds(problem.target, problem.weights)
        self.reach = _largest_terms(problem, point)
        self.rounding = self._rounding()
        self.gap = self.local = math.inf
        self.gap_proved = True
        self.convexity, self.decrement = 0.0, math.nan
        self.unique: bool | None = None
        self.hessian: Matrix | None = None
        self.statements: list[Statement] = []

    def _rounding(self) -> float:
        """Return what float64 may have made of the value, scores magnified by exponentials."""
        value, growth = abs(self.point.value), 16 * EPS * (4 + self.reach)
        unit = self.problem.unit
        if not unit.relative and (unit.rowwise or self.bounds.convex):
            mass = 1.0 if unit.rowwise else float(np.abs(self.problem.target).sum())
            return growth * (value + mass)
        # A sum of squared residuals: each residual is off by rounding of the target's size.
        off = growth * (1 + unit.residual_size(self.problem.target))
        return math.sqrt(2 * value) * off + 0.5 * off * off + growth * value

    def say(self, text: str, *, proved: bool | None = True, opens: bool = False) -> None:
        """Add one sentence."""
        self.statements.append(Statement(text, proved, opens))

    def describe(self) -> None:
        """State the value and the gradient."""
        entries = self.problem.least_subgradient(self.point)
        norm = float(np.abs(entries).max()) / self.problem.gradient_scale
        what = "gradient" if self.problem.lasso is None else "subgradient of least norm"
        unit = self.problem.unit
        scaled = "" if unit.rowwise else " (relative to the gradient at zero)"
        if unit.relative:
            scaled = " (relative to its terms where the target is met)"
        said = (
            f"the objective is {self.point.value:.10g} and the largest entry of its {what} is"
            f" {norm:.2e}{scaled}, recomputed at this point."
        )
        self.statements.append(Statement(said, True, opens=True))

    def improve(self, gap: float, *, proved: bool = True) -> None:
        """Keep a bound on value - infimum if it is the smallest, rounding of the value added."""
        if gap + self.rounding < self.gap:
            self.gap, self.gap_proved = gap + self.rounding, proved

    def ridge_bound(self) -> None:
        """Bound the gap by |grad|^2 / (2 mu) with mu from the ridge.

        Parameters without ridge are minimised over first: the function that is left is strongly
        convex in the others, with their gradient.
        """
        problem = self.problem
        free = np.flatnonzero(problem.ridge == 0)
        columns = self.point.x.shape[1] if self.point.x.ndim == 2 else 1
        if len(free) == len(problem.ridge) or len(free) * columns > FREE_LIMIT:
            self.say(
                "there is no ridge on most parameters: no global strong convexity.", proved=None
            )
            return
        point = minimised_over(problem, self.point, free)
        held = problem.ridge > 0
        g = as_columns(point.gradient)
        # What minimising over the free rows still leaves: for a log loss at most their gradient,
        # also where the minimum lies at infinity (a class without weight).
        left = float(np.abs(g[free]).sum())
        if left > free_left(problem):
            self.say(
                "the unpenalised parameters could not be minimised out (their gradient stays at"
                f" {left:.1e}): no bound from the ridge.",
                proved=None,
            )
            return
        moved = max(0.0, self.point.value - point.value) + left
        mean, variance = problem.design.column_moments(problem.weights)
        off = 4 * EPS * (1 + self.reach) * np.sqrt(mean**2 + variance)[:, None]
        gap = moved + 0.5 * float(((np.abs(g) + off)[held] ** 2 / problem.ridge[held, None]).sum())
        self.improve(gap)
        roots = problem.design.gradient_to_input(np.sqrt(problem.ridge))
        # Silent columns, which the input's coordinates do not have, hold nothing.
        self.convexity = float((roots[held & (roots > 0)] ** 2).min(initial=math.inf))
        rest = " once the unpenalised intercept is minimised out" if len(free) else ""
        self.say(
            f"the objective is strongly convex{rest}, with constant mu = {self.convexity:.3e} from"
            f" the ridge, so the gap |grad|^2 / (2 mu) is at most {gap:.2e}."
        )
        self.unique = True
        floor = self.point.value - self.bounds.lower
        if floor < gap:
            self.improve(max(0.0, floor))
            self.say(
                f"no point has a smaller loss than {self.bounds.lower:.4g}, so the gap is at most"
                f" {floor:.2e}: the point is still far off."
            )

    def dual_bound(self, effort: str) -> None:
        """Bound the gap of an objective with an l1 penalty by a point of its dual problem."""
        problem, lasso = self.problem, self.problem.lasso
        assert lasso is not None
        if not self.bounds.convex:
            self.say("the loss is not convex: duality says nothing here.", proved=None)
            return
        kept, of = np.count_nonzero(lasso.sizes(self.point.x) > 0), lasso.sizes(self.point.x).size
        gap = dual_gap(problem, self.point, reach=self.reach, quick=effort == "quick")
        what = "rows of the coefficients" if lasso.group else "coefficients"
        self.say(f"{kept} of {of} {what} are not zero at this point.")
        if gap < math.inf:
            self.improve(gap)
            self.say(
                "a feasible point of the dual problem, made from the derivative of the loss, bounds"
                f" every value of the objective from below: the duality gap is {gap:.2e}."
            )
        else:
            self.say(
                f"no feasible point of a dual problem of {type(problem.unit).__name__} is known"
                " here.",
                proved=None,
            )
        floor = self.point.value - self.bounds.lower
        if floor < gap:
            self.improve(max(0.0, floor))
            self.say(f"no point has a smaller loss than {self.bounds.lower:.4g}.")
        free = lasso.strength.reshape(len(problem.ridge), -1).max(axis=1) == 0
        held = problem.ridge > 0
        if (held | free).all() and held.any():
            roots = problem.design.gradient_to_input(np.sqrt(problem.ridge))
            self.convexity = float((roots[held & (roots > 0)] ** 2).min(initial=math.inf))
            self.unique = True
            self.say(
                "the ridge makes the objective strongly convex in all that is penalised, with"
                f" constant {self.convexity:.3e}: these coefficients are unique."
            )

    def global_bound(self) -> None:
        """Bound the gap from below by the loss's infimum, and by strong convexity everywhere."""
        problem, value = self.problem, self.point.value
        floor = max(0.0, value - self.bounds.lower)
        if math.isfinite(floor):
            self.improve(floor)
        matrix = least_hessian(problem, self.bounds)
        if matrix is not None:
            self._convex_everywhere(matrix)

    def _convex_everywhere(self, matrix: Matrix) -> None:
        """Bound the gap by a Hessian that no point's falls below, if it is positive definite."""
        eigenvalues = np.linalg.eigvalsh(matrix)
        least = float(eigenvalues[0])
        if least <= len(matrix) * EPS * float(eigenvalues[-1]):
            return
        g, lowest = self.point.gradient, self.bounds.lowest
        gap = 0.5 * float(g @ np.linalg.solve(matrix, g))
        self.improve(gap)
        self.convexity, self.unique = least, True
        why = f"the regulariser exceeds the most negative curvature of the unit ({lowest:.4g})"
        self.say(
            f"{why if lowest < 0 else 'there is a regulariser on a convex loss'}: the objective is"
            f" strongly convex everywhere with constant {least:.3e}, and the gap is at most"
            f" {gap:.2e}."
        )

    def spectral_bounds(self) -> None:
        """Use the eigenvalues of the Hessian at the point."""
        metric = Metric.of(self.problem)
        self.note_rank(metric)
        spectrum = Spectrum.at(self.problem, self.point, metric, reach=self.reach)
        self.decrement, self.hessian = spectrum.decrement, spectrum.hessian
        if not spectrum.proved_smallest > 0:
            self.say(
                "the Hessian at this point is not positive definite beyond rounding: its smallest"
                f" eigenvalue is {spectrum.smallest:.2e} in the metric of the columns, give or take"
                f" {spectrum.eigenvalue_error:.0e}.",
                proved=False,
            )
            return
        self.say(
            "the Hessian at this point is positive definite: its smallest eigenvalue is"
            f" {spectrum.smallest:.2e} in the metric of the columns.",
            proved=not metric.collinear,
        )
        self.promise("")
        if metric.collinear and metric.null_has_ridge:
            return
        if self.bounds.convex and math.isfinite(self.bounds.concordance):
            self.concordant(spectrum)
        elif self.problem.columns == 1:
            self.kantorovich(spectrum)

    def concordant(self, spectrum: Spectrum) -> None:
        """Bound the gap of a convex unit by self-concordance."""
        radius = self.bounds.concordance * spectrum.metric.largest_row()
        radius /= math.sqrt(spectrum.proved_smallest)
        gap = concordant_gap(spectrum.proved_decrement, radius)
        if gap == math.inf:
            self.say(
                "the point is outside the region where self-concordance bounds the gap (decrement"
                f" times radius {spectrum.proved_decrement * radius:.2g} >= 1).",
                proved=None,
            )
            return
        gap += constant_gap(self.problem, self.point)
        proved = not spectrum.metric.collinear
        self.improve(gap, proved=proved)
        if self.unique is None:
            self.unique = proved
        self.say(
            "the loss is self-concordant and the point lies in Newton's region: an optimum exists"
            f" and the gap is at most {gap:.2e}.",
            proved=proved,
        )

    def kantorovich(self, spectrum: Spectrum) -> None:
        """Prove a local minimiser nearby by Newton-Kantorovich, in the metric of the columns."""
        metric, low = spectrum.metric, spectrum.proved_smallest
        norm = metric.dual_norm(self.point.gradient) + spectrum.gradient_error
        z = self.problem.scores(self.point.x) if self.point.scores is None else self.point.scores
        # All that Kantorovich's ball holds is as near as this, in scores.
        lipschitz = self.problem.unit.lipschitz_near(
            z, self.problem.target, 2 * norm / low, self.problem.weights
        )
        if not math.isfinite(lipschitz):
            return
        h = lipschitz * norm / low**2
        if not h <= 0.5:
            self.say(
                f"the point is outside Newton's region (Kantorovich's number {h:.2g} > 1/2): no"
                " local minimiser nearby is proved.",
                proved=None,
            )
            return
        left = low * math.sqrt(1 - 2 * h)
        self.local = (norm * norm / (2 * left) if left > 0 else math.inf) + self.rounding
        self.say(
            f"the point lies inside Newton's region (Kantorovich's number {h:.2g} <= 1/2, Lipschitz"
            f" constant {lipschitz:.4g}): a strict local minimiser lies nearby and the"
            f" value is within {self.local:.2e} of it.",
            proved=not metric.collinear,
        )

    def note_rank(self, metric: Metric) -> None:
        """Say whether collinear columns make the optimum a whole subspace."""
        if not metric.collinear:
            return
        missing, d = metric.null.shape[1], self.problem.shape[0]
        if metric.null_has_ridge:
            self.say(
                f"{missing} of {d} directions of the coefficients change no score (collinear"
                " columns) and are held only by a ridge that is lost in rounding.",
                proved=False,
            )
            return
        self.unique = False
        self.say(
            f"the optimum is not unique: {missing} of {d} directions of the coefficients change no"
            " score beyond rounding and carry no ridge (collinear or constant columns). Scores and"
            " value are unique where the loss is convex.",
            proved=False,
        )

    def beyond_spectrum(self, effort: str) -> None:
        """Say what is left where the Hessian is not formed."""
        problem = self.problem
        free = (problem.ridge == 0).sum() > 1 and problem.shape[0] <= FORM_LIMIT
        if free and not clearly_independent(problem):
            self.note_rank(Metric.of(problem))
        if effort != "full" or not self.bounds.convex:
            return
        product, diagonal = problem.hessian_product(self.point)
        v = conjugate_gradients(
            product,
            KroneckerPreconditioner(problem).at(diagonal),
            self.point.gradient,
            rtol=1e-3,
            max_iter=250,
        )
        self.decrement = math.sqrt(max(0.0, float(np.vdot(v, self.point.gradient))))
        self.promise(" by conjugate gradients")

    def promise(self, how: str) -> None:
        """State the Newton decrement and what a quadratic model makes of it."""
        self.say(
            f"the Newton decrement is {self.decrement:.2e}{how}, so a quadratic model promises a"
            f" further decrease of {self.decrement**2 / 2:.2e}.",
            proved=False,
        )


def _largest_terms(problem: Problem, point: Point) -> float:
    """Return max_i sum_j |a_ij| |x_j|: the rounding of a score, in units of EPS."""
    x = np.abs(point.x)
    if problem.columns == 1 and problem.design.home == "memory":
        return float(problem.design.abs_matvec(x).max())
    return problem.design.largest_terms(x)
