"""A Hessian A' D A from rows drawn by approximate leverage scores, beside exact small terms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from softunit._numeric import ShiftedCholesky
from softunit._threads import linear_algebra_on_threads
from softunit._typing import Array, Kind, Matrix, Vector
from softunit.curvature import Diagonal, RowForm
from softunit.point import Point
from softunit.problem import Problem
from softunit.solvers.memory import Inverse
from softunit.solvers.newton import fix_gauge

CAPPED = 4  # rounds in which rows that are sure to be drawn hand on what they do not need
PROBES = 4  # random directions that a row's leverage is measured along
ROUGH = 10  # rows for each column, at least, of the metric that leverage is measured in
EVEN = 0.1  # of the mean leverage that every row is given: what few probes may have missed
SLACK = 1e-8  # shift of a Cholesky factor above which the sampled Hessian counts as indefinite
WORK = 8  # rows drawn for each n / d: forming their Hessian costs about a gradient,
SHARE = 0.1  # but no more of all rows,
DETERMINED = 12.0  # unless this times d log(20 d) is more: a distortion of one half


def sample_size(problem: Problem) -> int:
    """Return how many rows a sample takes: all of them where n is small.

    It is O(d log d), and more where more cost no more than a gradient does.
    """
    n, d = problem.design.shape
    least = DETERMINED * d * math.log(20 * d)
    rows = int(max(least, min(WORK / d, SHARE) * n))
    return n if 2 * rows >= n else rows


@dataclass(frozen=True)
class CurvatureSample:
    """The inverse of a sampled Hessian, and what it takes to draw the next.

    Attributes
    ----------
    inverse : callable
        R -> H^-1 R, by `ShiftedCholesky.solve`.
    weights : ndarray of shape (n,)
        The weights D of the rows it was made for.
    leverage : ndarray of shape (n,) or None
        Approximate leverage of the rows, unweighted, in the metric of the Hessian; None where all
        rows were used.
    """

    inverse: Inverse
    weights: Vector
    leverage: Vector | None

    @property
    def factor(self) -> ShiftedCholesky:
        """The factor of the sampled Hessian, which `inverse` solves with."""
        found: ShiftedCholesky = self.inverse.__self__  # type: ignore[attr-defined]
        return found

    def stale(self, weights: Vector, change: float) -> bool:
        """Return whether the weights of the rows have changed by more than a share."""
        return float(np.abs(weights - self.weights).sum()) > change * float(
            np.abs(self.weights).sum()
        )


def sampled_curvature(
    problem: Problem,
    point: Point,
    kind: Kind,
    rows: int,
    rng: np.random.Generator,
    before: CurvatureSample | None = None,
) -> CurvatureSample:
    """Return the inverse of the Hessian at a point from some of its rows.

    1. Draw each row with a chance p_i that goes by |D_i| times its leverage, at most one; where
    leverages are not known, half by |D_i| and half at random, and measure them in the metric that
    these rows give.  2. Sum D_i / p_i a_i a_i' and add the exact terms: ridge, score ridge, and
    what the curvature holds beside its rows.  3. Where that is indefinite take the positive part
    of D.

    Parameters
    ----------
    problem : Problem
        With one column of scores.
    point : Point
    kind : {"exact", "gauss_newton"}
    rows : int
        About how many to draw, each at most once; n or more takes them all.
    rng : numpy.random.Generator
    before : CurvatureSample or None, default None
        An earlier sample, whose leverages serve again.
    """
    form = row_form(problem, point, kind)
    n = problem.design.shape[0]
    if form is None or rows >= n:
        weights = np.zeros(n) if form is None else form.weights
        whole = problem.hessian(point, kind=kind)
        fix_gauge(problem, whole)
        return CurvatureSample(_inverse(whole), weights, None)
    problem.cost.curvatures += problem.share
    maker = _Maker(problem, form)
    leverage = None if before is None else before.leverage
    size = np.abs(form.weights)
    if leverage is None:
        even = size / max(float(size.sum()), 1e-300) + 1.0 / n
        few = max(rows // 4, ROUGH * problem.shape[0])
        rough = maker.hessian(np.abs, even / even.sum(), few, rng)
        leverage = maker.leverage(rough, rng)
    chance = size * leverage
    total = float(chance.sum())
    chance = chance / total if total > 0 else np.full(n, 1.0 / n)
    drawn = maker.drawn(chance, rows, rng)
    with linear_algebra_on_threads():
        signed = ShiftedCholesky(maker.of(drawn, form.weights))
        if signed.shift > SLACK and (form.weights < 0).any():
            signed = ShiftedCholesky(maker.of(drawn, np.maximum(form.weights, 0.0)))
    return CurvatureSample(signed.solve, form.weights, leverage)


def row_form(problem: Problem, point: Point, kind: Kind) -> RowForm | None:
    """Return the curvature at a point as weighted rows, or None where it has no such form."""
    z = point.scores if point.scores is not None else problem.scores(point.x)
    return scored_rows(problem, z, kind)


def scored_rows(problem: Problem, z: Array, kind: Kind = "exact") -> RowForm | None:
    """Return the curvature at scores z likewise."""
    everything = slice(0, problem.design.shape[0])
    return problem.by_rows.curvature(everything, z, kind).row_form()


Drawn = tuple[npt.NDArray[np.integer], Vector]
"""Rows, each once, and one over the chance that they had."""


class _Maker:
    """Sampled Grams of one problem at one point."""

    def __init__(self, problem: Problem, form: RowForm) -> None:
        self.problem, self.form = problem, form
        self.centre = np.zeros(problem.design.shape[1])
        if form.centre is not None:
            self.centre = problem.design.rmatvec(form.centre)
            problem.cost.products += problem.share

    @staticmethod
    def drawn(chance: Vector, rows: int, rng: np.random.Generator) -> Drawn:
        """Return about so many rows; those expected more than once are taken as they are."""
        expected = chance * rows
        for _ in range(CAPPED):
            open_ones = expected < 1
            left = rows - float(np.count_nonzero(~open_ones))
            mass = float(expected[open_ones].sum())
            if not 0 < mass < left:
                break
            expected = np.where(open_ones, expected * (left / mass), 1.0)
        expected = np.minimum(expected, 1.0)
        index = np.flatnonzero(rng.random(len(chance)) < expected)
        return index, 1.0 / expected[index]

    def of(self, drawn: Drawn, weights: Vector) -> Matrix:
        """Return the Hessian from the drawn rows, with the exact terms."""
        index, times = drawn
        self.problem.cost.rows += len(index)
        block = self.problem.design.rows(index).toarray() - self.centre
        each = times * weights[index]
        total = block.T @ (each[:, None] * block)
        total += self.form.beside(self.problem.design.rmatvec)
        total += self._penalties()
        fix_gauge(self.problem, total)
        return np.asarray(total)

    def hessian(
        self, take: np.ufunc, chance: Vector, rows: int, rng: np.random.Generator
    ) -> Matrix:
        """Return the Hessian of the weights' absolute values, from rows drawn by chance."""
        return self.of(self.drawn(chance, rows, rng), take(self.form.weights))

    def leverage(self, hessian: Matrix, rng: np.random.Generator) -> Vector:
        """Return |(a_i - c)' R^-1 G|^2 for each row with R'R the Hessian and G a few normals."""
        d = len(hessian)
        scale = np.sqrt(np.maximum(np.diagonal(hessian), 1e-300))
        scaled = hessian / scale / scale[:, None]
        factor = None
        for lift in (1e-10, 1e-6, 1e-2):
            try:
                factor = cholesky(scaled + lift * np.eye(d), check_finite=False)
                break
            except LinAlgError:
                continue
        probes = rng.standard_normal((d, PROBES)) / math.sqrt(PROBES)
        if factor is not None:
            probes = solve_triangular(factor, probes, check_finite=False)
        probes /= scale[:, None]
        image = self.problem.design.matvec(probes) - self.centre @ probes
        self.problem.cost.products += PROBES * self.problem.share
        each = np.einsum("ij,ij->i", image, image)
        return np.asarray(each + EVEN * each.mean() + 1e-300)

    def _penalties(self) -> Matrix:
        """Return the exact terms of ridge and score ridge; the Gram of the latter is kept."""
        problem = self.problem
        if not problem.score_ridge.any():
            return np.diag(problem.ridge)
        kept = problem.prepared.get("score gram")
        if kept is None or kept[0] is not problem.score_ridge:
            kept = (problem.score_ridge, problem.design.gram(Diagonal(problem.score_ridge)))
            problem.prepared["score gram"] = kept
        return np.asarray(kept[1] + np.diag(problem.ridge))


def _inverse(hessian: Matrix) -> Inverse:
    with linear_algebra_on_threads():
        return ShiftedCholesky(hessian).solve
