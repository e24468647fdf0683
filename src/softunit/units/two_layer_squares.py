"""Two layers under squared error: a softmax over all rows, then a matrix and a function."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from softunit._checks import check_finite_columns
from softunit._numeric import softmax
from softunit._typing import Array, Kind, Vector
from softunit.coupled_curvature import Updated
from softunit.curvature import CentredDiagonal
from softunit.errors import InputError
from softunit.units._outer import Outer, outer_named
from softunit.units.base import SOFTMAX_SECOND, Bounds, Unit

LARGEST_EXPONENT = 350.0  # exp of it may still be squared
EXACT_WORK = 1e8  # n^2 m up to which the largest gradient at a vertex is computed, not bounded


@dataclass(frozen=True, eq=False)
class TwoLayerSquares(Unit):
    """Half squared distance between phi(C softmax(z)) and a target b.

    With f = softmax(z), y = C f, r = phi(y) - b, g = C' (phi'(y)*r) and J = diag(f) - f f'::

        value     = 1/2 |r|^2
        gradient  = J g = f*g - <f, g> f
        curvature = J C' diag(phi'(y)^2 + phi''(y)*r) C J + F' diag(J g) F,  F = I - 1 f'

    C has one column for each row of the design and one row for each entry of b, so b has another
    length than z. kind="gauss_newton" keeps J C' diag(phi'(y)^2) C J, which is positive
    semidefinite. A constant added to z changes nothing. relu has phi'(0) = 0 and no curvature of
    its own: its kinks are not seen.

    Row weights other than one are refused: the residuals belong to rows of C, not to rows of the
    design.

    Parameters
    ----------
    outer : {"identity", "relu", "softplus", "tanh", "sigmoid", "exp", "cosh", "sinh"}
        phi.
    matrix : array_like or sparse matrix of shape (m, n)
        C.

    Raises
    ------
    InputError
        If phi is unknown, C is no finite matrix, or its entries are so large that exp, cosh or
        sinh would overflow.

    Notes
    -----
    Source: Li, Song, Wang, Yin, arXiv 2311.15390; derivatives and bounds are in
    docs/maths/two-layer.
    """

    outer: str
    matrix: Any
    rowwise: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        outer_named(self.outer)
        object.__setattr__(self, "matrix", _checked(self.matrix))
        if self.function.exponential:
            low, high = self.interval
            far = np.maximum(high, -low if self.outer != "exp" else high)
            if far.max() > LARGEST_EXPONENT:
                row = int(far.argmax())
                raise InputError(
                    f"row {row} of the outer matrix reaches {far[row]:.6g} in absolute value, where"
                    f" the square of {self.outer} overflows: keep its entries below"
                    f" {LARGEST_EXPONENT:g}, for example by dividing the matrix."
                )

    @property
    def function(self) -> Outer:
        """The function phi with its derivatives."""
        return outer_named(self.outer)

    @cached_property
    def interval(self) -> tuple[Vector, Vector]:
        """The least and the largest entry of each row of C, between which y lies, (m,) each."""
        low, high = self.matrix.min(axis=1), self.matrix.max(axis=1)
        if sparse.issparse(self.matrix):
            low, high = low.toarray(), high.toarray()
        return np.ravel(low), np.ravel(high)

    @cached_property
    def norm(self) -> float:
        """At least the spectral norm |C|: exact up to a few thousand rows or columns."""
        c = self.matrix
        if min(c.shape) > 2000:
            squares = c.power(2).sum() if sparse.issparse(c) else np.vdot(c, c)
            return float(np.sqrt(squares))
        gram = c @ c.T if c.shape[0] <= c.shape[1] else c.T @ c
        gram = gram.toarray() if sparse.issparse(gram) else gram
        return float(np.sqrt(max(np.linalg.eigvalsh(gram)[-1], 0.0)))

    def check(self, target: object, n: int) -> Array:
        """Return the target b as float64 (m,).

        Raises
        ------
        InputError
            If C has not n columns, b not as many entries as C has rows, or one is not finite.
        """
        m, columns = self.matrix.shape
        if columns != n:
            raise InputError(
                f"the outer matrix has shape {(m, columns)}, but A has {n} rows: it must be"
                f" (m, {n}), one column for each row of A."
            )
        try:
            b = np.asarray(target, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"the target b must hold numbers; {error}.") from error
        if b.shape != (m,):
            raise InputError(
                f"the target b has shape {b.shape}, but the outer matrix has shape {(m, columns)}:"
                f" b must be ({m},), one entry for each of its rows."
            )
        bad = np.flatnonzero(~np.isfinite(b))
        if len(bad):
            raise InputError(
                f"the target b holds NaN or infinity in {len(bad)} of {m} entries; the first is"
                f" entry {bad[0]}."
            )
        return b

    def output(self, z: Vector) -> Vector:
        """Return phi(C softmax(z)), shape (m,), for scores z (n,)."""
        return np.asarray(self.function.value(self.matrix @ softmax(z)))

    def value(self, z: Array, target: Array, weights: Vector | None = None) -> float:
        """Return the loss for scores z (n,) and target b (m,)."""
        _refuse(weights)
        r = self.output(z) - target
        return 0.5 * float(r @ r)

    def value_gradient(
        self, z: Array, target: Array, weights: Vector | None = None
    ) -> tuple[float, Array]:
        """Return the loss and its derivative by z, shape (n,)."""
        _refuse(weights)
        f, y, r = self._forward(z, target)
        return 0.5 * float(r @ r), _spread(f, self.matrix.T @ (self.function.slope(y) * r))

    def curvature(
        self, z: Array, target: Array, weights: Vector | None = None, *, kind: Kind = "exact"
    ) -> Updated:
        """Return the second derivative: a centred diagonal (n,) and a term of rank m."""
        _refuse(weights)
        f, y, r = self._forward(z, target)
        c = self.matrix
        slope = self.function.slope(y)
        factors = _spread(f, c.T.toarray() if sparse.issparse(c) else c.T)  # J C', (n, m)
        if kind == "gauss_newton":
            return Updated(CentredDiagonal(np.zeros_like(f), f), factors, np.diag(slope**2))
        core = slope**2 + self.function.bend(y) * r
        return Updated(CentredDiagonal(_spread(f, c.T @ (slope * r)), f), factors, np.diag(core))

    def gradient_terms(self, start: Array, target: Array, weights: Vector | None = None) -> Vector:
        """Return f * |C|' (|phi'(y)| * (|phi(y)| + |b|)): no residual of zero makes it small.

        Parameters
        ----------
        start : ndarray of shape (n,)
            The scores at x = 0.
        target : ndarray of shape (m,)
        weights : ndarray of shape (n,) or None, default None
            None, or ones.
        """
        _refuse(weights)
        f, y, r = self._forward(start, target)
        b = target
        terms = np.abs(self.function.slope(y)) * (np.abs(r + b) + np.abs(b))
        return np.asarray(f * (abs(self.matrix).T @ terms))

    def residual_size(self, target: Array) -> float:
        """Return the norm of b, and of the terms of C f through the steepest slope of phi."""
        terms = np.maximum(np.abs(self.interval[0]), np.abs(self.interval[1]))
        steep = np.exp(terms) if self.function.exponential else 1.0
        return float(np.linalg.norm(target) + np.linalg.norm(steep * terms))

    def bounds(self, target: Array, weights: Vector | None = None) -> Bounds:
        """Return what follows from y lying between the smallest and largest entries of C's rows.

        The part of b outside of what phi attains there bounds the loss below. With a kink inside,
        as relu may have, no bound on the curvature holds for all z.
        """
        _refuse(weights)
        low, high = self.interval
        b, phi, size = target, self.function, self.norm
        least, most = phi.between(low, high)
        short = b - np.clip(b, least, most)
        lower = 0.5 * float(short @ short)
        if not phi.smooth and ((low < 0) & (high > 0)).any():
            return Bounds(False, lower)
        far = np.maximum(np.abs(least - b), np.abs(most - b))
        first, second, third = phi.largest(low, high)
        steepest = self._steepest(b, first * far)
        turn, twist = (second * far).max(), (third * far).max()
        below = SOFTMAX_SECOND * steepest
        half = size / 2  # of |J| <= 1/2
        return Bounds(
            convex=False,
            lower=lower,
            lowest=-(half**2) * turn - below,
            highest=half**2 * float((first**2 + second * far).max()) + below,
            lipschitz=3 * first.max() * half * (second.max() * half**2)
            + 3 * (first.max() ** 2 * half + turn * half) * SOFTMAX_SECOND * size
            + twist * half**3
            + 0.5 * steepest,
        )

    def _steepest(self, b: Vector, slopes: Vector) -> float:
        """Return at least |C' (phi'(y)*r)|, everywhere."""
        m, n = self.matrix.shape
        if self.outer == "identity" and n * n * m <= EXACT_WORK:
            # Convex in f, hence largest at a vertex.
            c = self.matrix.toarray() if sparse.issparse(self.matrix) else self.matrix
            return float(np.sqrt(((c.T @ (c - b[:, None])) ** 2).sum(axis=0).max()))
        return self.norm * float(np.linalg.norm(slopes))

    def _forward(self, z: Vector, target: Array) -> tuple[Vector, Vector, Vector]:
        """Return f (n,), y (m,) and the residual r (m,)."""
        f = softmax(z)
        y = np.asarray(self.matrix @ f)
        return f, y, np.asarray(self.function.value(y) - target)


def _spread(f: Vector, v: Array) -> Array:
    """Return J v = f*v - <f, v> f for v (n,) or (n, m)."""
    # Relative to the row of the largest share: a saturated f leaves digits, not rounding of v.
    v = v - v[f.argmax()]
    return np.asarray((f * (v - f @ v).T).T)


def _checked(matrix: Any) -> Any:
    """Return C as float64, dense or CSR."""
    try:
        c = (
            sparse.csr_array(matrix, dtype=np.float64)
            if sparse.issparse(matrix)
            else np.asarray(matrix, dtype=np.float64)
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"the outer matrix must hold numbers; {error}.") from error
    if c.ndim != 2 or 0 in c.shape:
        raise InputError(
            f"the outer matrix must be (m, n), a column for each row of A; got shape {c.shape}."
        )
    check_finite_columns(c, what="the outer matrix")
    return c


def _refuse(weights: Vector | None) -> None:
    """Raise `InputError` unless all weights are one, which is as good as none."""
    if weights is not None and (weights != 1).any():
        raise InputError(
            f"TwoLayerSquares takes no row weights (got {len(weights)}): its residuals belong to"
            " rows of the outer matrix, not to rows of A."
        )
