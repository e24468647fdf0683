"""Least squares from a sketch, with a bound on what the sketch has cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr, svdvals

from softunit._checks import check_choice, check_count, check_vector, near_names
from softunit._typing import Matrix, Vector
from softunit.designs import Design, as_design
from softunit.errors import InputError
from softunit.sketches import (
    SRHT,
    CountSketch,
    Gaussian,
    LeverageSampling,
    Sketch,
    UniformSampling,
)
from softunit.sketches.base import check_delta, check_eps
from softunit.sketches.bounds import least_rows
from softunit.sketches.whitening import decomposed, triangle

SKETCHES: dict[str, type[Sketch]] = {
    "countsketch": CountSketch,
    "gaussian": Gaussian,
    "leverage": LeverageSampling,
    "srht": SRHT,
    "uniform": UniformSampling,
}
GUARANTEES = ("l2", "linf")


class Settings(TypedDict, total=False):
    """How large the sketch is, and from which seed: see `lstsq`."""

    rows: int | None
    eps: float
    delta: float
    seed: int


@dataclass(frozen=True)
class LeastSquares:
    """A least-squares answer and what is known of it.

    Attributes
    ----------
    x : ndarray of shape (d,)
        The answer of least norm where A has collinear columns.
    sketch : Sketch or None
        What was drawn; None where A itself was solved with.
    rows : int
        Rows of the system that was solved.
    rank : int
        Of that system.
    eps : float
        As in the guarantee; 0 for an exact answer, infinity where nothing is promised.
    bound : float
        The promise as a number: see `bounds`.
    bounds : str
        What `bound` is an upper bound on.
    proved : bool
        Whether the bound is proved, or a rate whose constant was measured.
    residual_norm : float
        |A x - b|, computed with A itself.
    statement : str
        All this in sentences.
    """

    x: Vector
    sketch: Sketch | None
    rows: int
    rank: int
    eps: float
    bound: float
    bounds: str
    proved: bool
    residual_norm: float
    statement: str


def lstsq(
    a: Any,
    b: npt.ArrayLike,
    *,
    sketch: str | Sketch | None = "srht",
    guarantee: str = "l2",
    **settings: Unpack[Settings],
) -> LeastSquares:
    """Return x' = argmin |S (A x - b)| for a sketch S, and how far it can be from the optimum.

    With x* the exact answer, and with probability at least 1 - delta::

        guarantee="l2"      |A x' - b|     <=  (1 + eps) |A x* - b|
        guarantee="linf"    |x' - x*|_inf  <=  (eps / sqrt(d)) |A x* - b| |A^+|

    1. Take as many rows for S as the guarantee needs for eps; where these are no fewer than A has,
    solve with A itself.  2. Apply the same S to A and b.  3. Solve by QR and SVD.

    Parameters
    ----------
    a : array_like, scipy sparse, frame or Design, of shape (n, d)
    b : array_like of shape (n,)
    sketch : str, Sketch or None, default "srht"
        "srht", "gaussian", "countsketch", "leverage" or "uniform"; or a sketch with its m; or None
        to solve with A itself, the yardstick.
    guarantee : {"l2", "linf"}, default "l2"
        What eps is about. Entrywise ("linf") only dense sketches can promise: Gaussian and SRHT.
    **settings : see below

    Other Parameters
    ----------------
    rows : int or None, by default None
        m; None takes what eps needs.
    eps : float, by default 0.5
        Wished for where `rows` is None.
    delta : float, by default 0.05
        Probability with which the promise may fail.
    seed : int, by default 0
        Of the sketch.

    Returns
    -------
    LeastSquares
        With `x`, `bound` (a number), `bounds` (what it bounds), `proved`, `residual_norm` and
        `statement`. x is in the columns of the design as it is given.

    Raises
    ------
    InputError
        If shapes differ, an entry is NaN or infinite (the row is named), a setting is unknown or
        out of range, rows are fewer than the columns, or an entrywise guarantee is asked of a
        sketch that is not dense.

    Notes
    -----
    Source of the entrywise guarantee: Z. Song, M. Ye, J. Yin, L. Zhang, arXiv 2302.00248, with m of
    the order of d log^3(n / delta) / eps^2. For Gaussian sketches the constant here is proved; for
    SRHT it is one, with one logarithm, and measured by claim 1.17. Sparse sketches and row samples
    cannot give it: one large entry of the residual that meets a column's row moves that entry of x.
    """
    rows, eps, delta, seed = _checked(settings)
    check_choice("guarantee", guarantee, GUARANTEES)
    design = as_design(a)
    right = check_vector("b", b, design.shape[0])
    plan = _Plan(guarantee, eps, delta)
    chosen, why = plan.choose(sketch, rows, design.shape)
    if chosen is None:
        return _exact(design, right, why, guarantee)
    drawn = chosen.draw(design, np.random.default_rng(seed))
    image = drawn.apply(design)
    x, rank = least_norm(image, drawn.apply(right))
    residual = float(np.linalg.norm(design.matvec(x) - right))
    reach, bound, bounds = plan.promise(chosen, image, rank, design.shape[0], residual)
    proved = guarantee == "l2" or isinstance(chosen, Gaussian)
    name = type(chosen).__name__
    said = f"{name} with {chosen.m} rows for {design.shape[0]}: "
    said += plan.sentence(reach, bound, bounds, chosen.source, proved=proved)
    said += _rank_sentence(rank, design.shape[1])
    return LeastSquares(x, chosen, chosen.m, rank, reach, bound, bounds, proved, residual, said)


@dataclass(frozen=True)
class _Plan:
    """Which guarantee is asked for, and how sharp."""

    guarantee: str
    eps: float
    delta: float

    def choose(
        self, sketch: str | Sketch | None, rows: int | None, shape: tuple[int, int]
    ) -> tuple[Sketch | None, str]:
        """Return the sketch to draw; or None, and why A itself is solved with."""
        if sketch is None:
            return None, "no sketch was asked for"
        subject = _resolved(sketch, rows)
        self._refuse(subject)
        n, d = shape
        m: int | None = subject.m if isinstance(sketch, Sketch) else rows
        name = type(subject).__name__
        if m is None:
            m = least_rows(lambda k: self.reach(subject.resized(k), n, d), self.eps, least=d)
            if m >= n:
                return None, f"{name} has no promise of eps = {self.eps:g} with fewer"
        if m >= n:
            return None, f"{m} rows of {name} would save nothing over the {n} of A"
        if m < d:
            raise InputError(
                f"{m} rows of {name} cannot determine {d} columns: take at least {d}, better"
                f" {4 * d}, rows, or leave `rows` to eps."
            )
        return subject.resized(m), ""

    def _refuse(self, subject: Sketch) -> None:
        if self.guarantee == "linf" and not subject.dense:
            raise InputError(
                f"{type(subject).__name__} cannot promise a bound on single entries of x: where S"
                " is sparse, one large residual that lands on a row of A moves the entry that this"
                " row determines (arXiv 2302.00248). Take sketch='srht' or 'gaussian', or"
                " guarantee='l2'."
            )

    def reach(self, sketch: Sketch, n: int, d: int) -> float:
        """Return the eps of the guarantee that a sketch promises."""
        if self.guarantee == "l2":
            return sketch.residual_eps(n, d, delta=self.delta)
        return sketch.entry_eps(n, d, delta=self.delta)

    def promise(
        self, sketch: Sketch, image: Matrix, rank: int, n: int, residual: float
    ) -> tuple[float, float, str]:
        """Return eps, the bound as a number, and what it bounds."""
        d = image.shape[1]
        eps = self.reach(sketch, n, d)
        if self.guarantee == "l2":
            return eps, 1 + eps, BOUNDS["l2"]
        stretch = 1 + sketch.distortion(n, d, delta=self.delta / 2).eps
        inverse = math.sqrt(stretch) / svdvals(image)[rank - 1] if rank else 0.0
        return eps, eps / math.sqrt(d) * residual * float(inverse), BOUNDS["linf"]

    def sentence(self, eps: float, bound: float, bounds: str, source: str, *, proved: bool) -> str:
        """Return the promise as a sentence."""
        if math.isinf(eps):
            return "nothing is promised."
        ground = source if proved else "Estimated: the rate is proved, its constant measured."
        return (
            f"{bounds} is at most {bound:.4g} with probability {1 - self.delta:.4g}"
            f" (eps = {eps:.4g}). {ground}"
        )


BOUNDS = {"l2": "|A x - b| / min |A x - b|", "linf": "the largest error of an entry of x"}


def least_norm(a: Matrix, b: Vector) -> tuple[Vector, int]:
    """Return the least-squares answer of least norm, (d,), and the rank, for a small A (m, d)."""
    both = qr(np.column_stack([a, b]), mode="r", check_finite=False)[0]
    both = both[: min(len(both), a.shape[1] + 1)]
    triangular, image = both[:, :-1], both[:, -1]
    left, values, scaled = decomposed(triangular)
    x = scaled @ ((left.T @ image) / values)
    rank = len(values)
    if 0 < rank < a.shape[1]:
        seen = np.linalg.qr(triangular.T @ left)[0]  # what the rows span
        x = seen @ (seen.T @ x)
    return np.asarray(x), rank


def _exact(design: Design, right: Vector, why: str, guarantee: str) -> LeastSquares:
    n, d = design.shape
    factor = triangle(design, None, right)
    x, rank = least_norm(factor[:, :d], factor[:, d])
    residual = float(np.linalg.norm(design.matvec(x) - right))
    said = f"Solved with all {n} rows, since {why}." + _rank_sentence(rank, d)
    bound = 1.0 if guarantee == "l2" else 0.0
    return LeastSquares(x, None, n, rank, 0.0, bound, BOUNDS[guarantee], True, residual, said)


def _rank_sentence(rank: int, d: int) -> str:
    if rank == d:
        return ""
    return f" The rank is {rank} of {d} columns: of many answers, the one of least norm is given."


def _checked(settings: Settings) -> tuple[int | None, float, float, int]:
    """Return rows, eps, delta and seed, or raise `InputError`."""
    known = sorted(Settings.__annotations__)
    for name in settings:
        if name not in known:
            raise InputError(
                f"lstsq has no setting {name!r}.{near_names(name, known)} It has"
                f" {', '.join(known)}."
            )
    rows, eps = settings.get("rows"), settings.get("eps", 0.5)
    delta, seed = settings.get("delta", 0.05), settings.get("seed", 0)
    if rows is not None:
        check_count("rows", rows, least=1)
    check_eps(eps)
    check_delta(delta)
    check_count("seed", seed)
    return rows, eps, delta, seed


def _resolved(sketch: str | Sketch, rows: int | None) -> Sketch:
    if not isinstance(sketch, Sketch):
        check_choice("sketch", sketch, sorted(SKETCHES))
        return SKETCHES[sketch](1 if rows is None else rows)
    if rows is not None:
        raise InputError(
            f"the sketch has m = {sketch.m} rows of its own: leave `rows` = {rows} out, or name the"
            " sketch in words."
        )
    return sketch
