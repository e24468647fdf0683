"""The convex stage of leverage-score inversion: from scores to the sizes |s| that have them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import logit

from softunit._progress import Tick
from softunit._typing import Vector
from softunit.estimators._leverage_parts import CLIP, Part
from softunit.solution import Record
from softunit.solvers.conjugate_gradients import conjugate_gradients
from softunit.units._projection import Projection

DENSE = 300  # rows up to which the Newton matrix is formed
CG_ITER = 300
LONGEST = 4.0  # largest change of one t in a step: derivatives change by e^4 at most
HALVINGS = 40
EXACT = 1e-14  # times sqrt(rank): Newton decrement at which nothing but rounding is left
ROUGH = 1e-6  # decrement below which a stage that stalls has reached the rounding of its scores
FAR = 150.0  # spread of t, 1e32 in |s|: beyond it the minimum lies at infinity


@dataclass(frozen=True)
class Sizes:
    """Where the convex stage ended.

    Attributes
    ----------
    t : ndarray of shape (m,)
        -2 log |s| up to a constant.
    decrement : float
        sqrt(g' H^-1 g) there, the distance to the minimum in units of t weighed by sigma.
    n_iter : int
    """

    t: Vector
    decrement: float
    n_iter: int

    @property
    def converged(self) -> bool:
        """Whether the scores are met up to rounding."""
        return self.decrement <= ROUGH

    @property
    def rho(self) -> Vector:
        """|s| up to a factor, of norm one, shape (m,)."""
        size = np.exp((self.t.min() - self.t) / 2)
        return np.asarray(size / np.linalg.norm(size))


def convex_sizes(part: Part, sigma: Vector, *, max_iter: int, tick: Tick) -> Sizes:
    """Minimise log det(A' diag(e^t) A) - <sigma, t>, convex with gradient sigma(t) - sigma.

    1. Start where each score, moved by itself, would be met.  2. Newton's direction: the matrix
    diag(sigma(t)) - P.P + 11'/m is formed for few rows, else conjugate gradients with products in
    O(m r^2) and its diagonal sigma (1 - sigma) as preconditioner.  3. Go along it until the slope
    has at least halved in size or is still falling: for a convex function that is progress, and
    no value is needed.  4. End at rounding level.

    Parameters
    ----------
    part : Part
    sigma : ndarray of shape (m,)
        In (0, 1) with sum r; see `attainable_sum`.
    max_iter : int
    tick : callable
        Shown a record for each iteration.
    """
    begin = time.perf_counter()
    own = np.einsum("ij,ij->i", part.basis, part.basis)
    t = logit(sigma) - logit(np.clip(own, CLIP, 1 - CLIP))  # 1.
    best, stalled = (t, math.inf), 0
    p = _at(part, t)
    for iteration in range(max_iter + 1):
        gradient = p.scores - sigma
        gradient -= gradient.mean()
        direction = _direction(p, gradient)  # 2.
        decrement = math.sqrt(max(0.0, -float(direction @ gradient)))
        tick(Record(iteration, math.nan, decrement, time.perf_counter() - begin, products=0))
        stalled = 0 if decrement <= 0.5 * best[1] else stalled + 1
        if decrement < best[1]:
            best = (t, decrement)
        at_rounding = stalled > 1 and best[1] <= ROUGH  # 4.
        if decrement <= EXACT * math.sqrt(part.rank) or at_rounding or iteration == max_iter:
            break
        moved = _along(part, t, direction, gradient, sigma)  # 3.
        if moved is None or np.ptp(moved[0]) > FAR:
            break
        t, p = moved
    return Sizes(best[0], best[1], iteration)


def _at(part: Part, t: Vector) -> Projection:
    """Return the projection for s = exp(-t / 2)."""
    return Projection.scaled(part.basis, np.exp((t.max() - t) / 2))


def _direction(p: Projection, gradient: Vector) -> Vector:
    """Return -(diag(sigma) - P.P)^+ g, with mean zero."""
    m = len(gradient)
    if m <= DENSE:
        matrix = -np.square(p.q @ p.q.T)
        matrix[np.diag_indices(m)] += p.scores + 1e-15 * p.scores.max()
        matrix += float(p.scores.mean()) / m
        try:
            step = cho_solve(cho_factor(matrix, check_finite=False), -gradient, check_finite=False)
            return np.asarray(step - step.mean())
        except np.linalg.LinAlgError:
            pass  # saturated scores leave rows without curvature: conjugate gradients stop in time
    diagonal = np.maximum(p.scores * (1 - p.scores), 1e-300)
    scaled = float(np.sqrt(gradient @ (gradient / diagonal)))
    step = conjugate_gradients(
        p.laplacian,
        lambda r: np.asarray(r / diagonal),
        -gradient,
        rtol=min(0.1, max(scaled, 1e-8)),
        max_iter=CG_ITER,
    )
    return np.asarray(step - step.mean())


def _along(
    part: Part, t: Vector, direction: Vector, gradient: Vector, sigma: Vector
) -> tuple[Vector, Projection] | None:
    """Return where a step along the direction leads, or None where there is none."""
    slope = float(direction @ gradient)
    length = min(1.0, LONGEST / max(float(np.abs(direction).max()), 1e-300))
    if not slope < 0:
        return None
    for _ in range(HALVINGS):
        moved = t + length * direction
        p = _at(part, moved)
        after = float(direction @ (p.scores - sigma))
        if after <= -0.5 * slope + 1e-14 * float(np.abs(direction) @ sigma):
            return moved, p
        # The slope rises: where it is nought lies on this side, by the secant.
        length *= max(0.1, min(0.9, slope / (slope - after)))
    return None
