"""The papers' local convergence theory at a point, beside what is measured there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from softunit._numeric import EPS
from softunit._typing import Matrix, Vector
from softunit.curvature import Diagonal
from softunit.designs.base import Design
from softunit.errors import InputError
from softunit.point import Point
from softunit.problem import Problem
from softunit.spectrum import is_blind, seen_gram
from softunit.units.theory import Theory

CONTRACTION = 0.4  # of the distance, left by a step inside the papers' region
SHARE = 0.1  # of l / M: the radius of that region
HALVINGS = 100  # of a region in which the Hessian bends more than at its middle
PESSIMISTIC = 6.0  # powers of ten by which a region must be too small to be called so


@dataclass(frozen=True)
class LocalTheory:
    """A paper's conditions at a point, and the same with the constants of this problem.

    All lengths are Euclidean, in the coordinates of the input's columns. M is a Lipschitz constant
    of the Hessian, l its smallest eigenvalue: within 0.1 l / M of an optimum a Newton step leaves
    at most 0.4 of the distance.

    Attributes
    ----------
    source : str
        Of the paper's constants; empty where none are known.
    radius : float
        R: |A| and |x| are at most this.
    normaliser_log10 : float
        log10 of exp(-R^2), the papers' lower bound on a softmax's normaliser; nan without one.
    w_squared : float
        Least w_i^2 less what the paper asks of it, over the rows; negative where it asks more.
    guaranteed : float
        The l that the paper's condition guarantees; 0 for none.
    own_guaranteed : float
        The l that this package's constants guarantee for every x; 0 for none.
    curvature : float
        Smallest eigenvalue of the Hessian measured at the point, over the directions that count.
    lipschitz_log10 : float
        log10 of the paper's M; nan where none is known.
    lipschitz : float
        M near the point by this package's constants; inf where none is known.
    region_log10 : float
        log10 of the radius 0.1 l / M of the paper's region; nan where none is known.
    region : float
        The same with the measured l and M; 0 where none is known.
    distance : float
        Upper bound on the distance to the optimum nearby by Newton-Kantorovich; inf without one.
    inside : bool
        Whether the point lies in the measured region.
    inside_paper : bool
        Whether it lies in the paper's, the paper's condition on w included.
    iterations : int or None
        log(|x0 - x| / eps) / log(2.5): the steps that the theory predicts from x0, inside.
    """

    source: str
    radius: float
    normaliser_log10: float
    w_squared: float
    guaranteed: float
    own_guaranteed: float
    curvature: float
    lipschitz_log10: float
    lipschitz: float
    region_log10: float
    region: float
    distance: float
    inside: bool
    inside_paper: bool
    iterations: int | None

    def sentences(self) -> list[tuple[str, bool | None]]:
        """Return what to say of it: sentences, each with whether it is proved."""
        return [*self._of_paper(), *self._of_own()]

    def _of_paper(self) -> list[tuple[str, bool | None]]:
        if not self.source:
            return [("the paper's condition on w and its constants are not known here.", None)]
        w = self.w_squared
        if self.guaranteed > 0:
            asked = f"holds by {w:.3g} and guarantees a Hessian of at least {self.guaranteed:.3e}"
        else:
            asked = f"does not hold (the worst row lacks {-w:.3g} of w^2)"
        region = "it promises no Newton region"
        if self.guaranteed > 0:
            known = "known" if self.inside_paper else "not known"
            region = (
                f"its Newton region has radius {_power(self.region_log10)}, and this point is"
                f" {known} to lie in it"
            )
        said: list[tuple[str, bool | None]] = [
            (f"the paper's condition on w ({self.source}) {asked}.", None),
            (
                f"with |A| and |x| at most R = {self.radius:.3g} the paper's Lipschitz constant of"
                f" the Hessian is 10^{self.lipschitz_log10:.0f}, and {region}.",
                None,
            ),
        ]
        if math.isfinite(self.normaliser_log10):
            said.append(
                (
                    "its lower bound on the normaliser, exp(-R^2), is"
                    f" {_power(self.normaliser_log10)}.",
                    None,
                )
            )
        wider = math.log10(self.region) - self.region_log10 if self.region > 0 else 0.0
        stiffer = self.lipschitz_log10 - math.log10(max(self.lipschitz, 1e-300))
        if max(wider, stiffer) > PESSIMISTIC:
            gain = (
                f"Newton's region is 10^{wider:.0f} times as wide"
                if math.isfinite(wider)
                else f"the Lipschitz constant is 10^{stiffer:.0f} times smaller"
            )
            said.append(
                (
                    "the paper's constants are astronomically pessimistic here: by those of this"
                    f" problem {gain}.",
                    False,
                )
            )
        return said

    def _of_own(self) -> list[tuple[str, bool | None]]:
        said: list[tuple[str, bool | None]] = [
            (
                f"the smallest curvature measured here is {self.curvature:.3e}; the regulariser"
                f" guarantees {self.own_guaranteed:.3e} for every x by the sharper constants of"
                " this package.",
                False,
            )
        ]
        if math.isfinite(self.lipschitz) and self.curvature > 0:
            where = "inside" if self.inside else "not known to be inside"
            said.append(
                (
                    f"near here the Hessian's Lipschitz constant is at most {self.lipschitz:.3e},"
                    f" so Newton's region has radius {self.region:.2e}; the optimum is within"
                    f" {self.distance:.1e}, and the point is {where} the region.",
                    False,
                )
            )
        if self.iterations is not None and self.curvature > 0:
            said.append(
                (
                    f"from x0 the theory predicts {self.iterations} steps that leave at most 0.4 of"
                    " the distance each, if x0 lies in the region.",
                    False,
                )
            )
        return said


def local_theory(
    problem: Problem,
    point: Point,
    hessian: Matrix,
    *,
    radius: float | None = None,
    start: Vector | None = None,
    eps: float = 1e-8,
) -> LocalTheory:
    """Return the papers' theory at a point beside what is measured there.

    Parameters
    ----------
    problem : Problem
        With one column of scores.
    point : Point
    hessian : ndarray of shape (d, d)
        At the point.
    radius : float or None, default None
        R; None takes the larger of |A| and |x|, or the smallest that the theorem admits.
    start : ndarray of shape (d,) or None, default None
        x0 of the predicted number of steps, in the problem's coordinates; None means zero.
    eps : float, default 1e-8
        Its accuracy.
    """
    design = problem.design
    x = design.to_input(point.x)
    least, largest = _stretch(problem)
    curvature = _least_curvature(_to_input(design, hessian), problem)
    bounds = problem.unit.bounds(problem.target, problem.weights)
    rows = bounds.lowest if bounds.lowest_rows is None else bounds.lowest_rows
    own = max(0.0, float(np.min(problem.score_ridge + rows)) * least)
    gradient = float(np.linalg.norm(design.gradient_to_input(point.gradient)))
    reach = 2 * gradient * largest / curvature if curvature > 0 else math.inf
    z = point.scores if point.scores is not None else problem.scores(point.x)

    def near(far: float) -> float:
        unit = problem.unit
        return unit.lipschitz_near(z, problem.target, far, problem.weights) * largest**3

    lipschitz = near(reach) if math.isfinite(reach) else math.inf
    region, distance = _region(curvature, lipschitz, gradient)
    region = _held(region, curvature, lambda far: near((far + distance) * largest))
    begin = np.zeros_like(x) if start is None else design.to_input(start)
    apart = float(np.linalg.norm(begin - x))
    found = LocalTheory(
        source="",
        radius=max(largest, float(np.linalg.norm(x))) if radius is None else radius,
        normaliser_log10=math.nan,
        w_squared=math.nan,
        guaranteed=0.0,
        own_guaranteed=own,
        curvature=curvature,
        lipschitz_log10=math.nan,
        lipschitz=lipschitz,
        region_log10=math.nan,
        region=region,
        distance=distance,
        inside=bool(distance <= region),
        inside_paper=False,
        iterations=_steps(apart, eps),
    )
    theory = problem.unit.theory(problem.target)
    if theory is None or problem.weights is not None:
        return found  # the papers know no weights
    size = max(largest, float(np.linalg.norm(x)))
    if radius is not None and radius < max(size, theory.least_radius):
        raise InputError(
            f"`radius` must be at least |A| = {largest:.4g}, |x| = {float(np.linalg.norm(x)):.4g}"
            f" and {theory.least_radius:g}, which the theorem asks for; got {radius:g}."
        )
    if radius is None:
        found = dataclasses.replace(found, radius=max(size, theory.least_radius))
    return _beside_paper(found, theory, problem, (least, gradient, size))


def _stretch(problem: Problem) -> tuple[float, float]:
    """Return the square of the least singular value of A that counts, and the largest itself."""
    design, n = problem.design, problem.design.shape[0]
    ones = np.broadcast_to(1.0, n)
    whole = seen_gram(problem) if is_blind(problem) else design.gram(Diagonal(ones))
    squares = np.linalg.eigvalsh(_to_input(design, whole))
    null = squares <= len(squares) * EPS * squares[-1]
    # Directions that no score sees do not count where nothing else does see them.
    none = null.all() or (null.any() and not _free(problem))
    return 0.0 if none else float(squares[~null][0]), math.sqrt(max(float(squares[-1]), 0.0))


def _beside_paper(
    found: LocalTheory, theory: Theory, problem: Problem, sizes: tuple[float, float, float]
) -> LocalTheory:
    """Return what was measured with what the paper says.

    Parameters
    ----------
    found : LocalTheory
    theory : Theory
    problem : Problem
    sizes : tuple of float
        sigma_min(A)^2, |gradient|, and the larger of |A| and |x|.
    """
    least, gradient, size = sizes
    bound = found.radius
    spare = float(np.min(problem.score_ridge - theory.w_squared))
    guaranteed = max(0.0, spare * least)
    log_m = theory.log10_lipschitz(bound, problem.design.shape[0])
    log_region = math.log10(SHARE * guaranteed) - log_m if guaranteed > 0 else -math.inf
    log_distance = math.inf if guaranteed == 0 else -math.inf
    if guaranteed > 0 and gradient > 0:
        log_distance = math.log10(gradient) - math.log10(guaranteed)
    return dataclasses.replace(
        found,
        source=theory.source,
        normaliser_log10=-(bound**2) / math.log(10) if problem.unit.shift_invariant else math.nan,
        w_squared=spare,
        guaranteed=guaranteed,
        lipschitz_log10=log_m,
        region_log10=log_region,
        inside_paper=bool(size <= bound and log_distance <= log_region),
    )


def _steps(apart: float, eps: float) -> int:
    """Return the steps from one distance to another that the contraction promises."""
    return math.ceil(math.log(apart / eps) / -math.log(CONTRACTION)) if apart > eps else 0


def _region(curvature: float, lipschitz: float, gradient: float) -> tuple[float, float]:
    """Return the radius of Newton's region, and how far the optimum is (Kantorovich)."""
    if not (curvature > 0 and math.isfinite(lipschitz)):
        return 0.0, math.inf
    if lipschitz == 0:
        return math.inf, gradient / curvature
    h = lipschitz * gradient / curvature**2
    far = math.inf if h > 0.5 else 2 * gradient / (curvature * (1 + math.sqrt(1 - 2 * h)))
    return SHARE * curvature / lipschitz, far


def _held(region: float, curvature: float, near: Callable[[float], float]) -> float:
    """Return the radius within which the constant that it rests on holds, not at its middle only.

    Parameters
    ----------
    region : float
    curvature : float
    near : callable
        radius -> Lipschitz constant within it.
    """
    for _ in range(HALVINGS):
        if not region > 0 or SHARE * curvature >= region * near(region):
            break
        region /= 2
    return region


def _least_curvature(hessian: Matrix, problem: Problem) -> float:
    """Return the smallest eigenvalue over the directions that some score or ridge sees."""
    values = np.linalg.eigvalsh(hessian)
    size = len(values) * EPS * float(np.abs(values).max(initial=0.0))
    null = np.abs(values) <= size
    counted = values[~null] if _free(problem) and null.any() else values
    return float(counted.min()) if len(counted) else 0.0


def _free(problem: Problem) -> bool:
    """Return whether directions that no score sees carry no penalty either."""
    return problem.unit.shift_invariant and not (problem.ridge.any() or problem.score_ridge.any())


def _to_input(design: Design, matrix: Matrix) -> Matrix:
    """Return a quadratic form in the coordinates of the input's columns."""
    return np.asarray(design.gradient_to_input(design.gradient_to_input(matrix).T).T)


def _power(log10: float) -> str:
    return "0" if log10 == -math.inf else f"10^{log10:.0f}"
