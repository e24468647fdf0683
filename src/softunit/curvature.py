"""Second derivatives in score space, as objects with products: never an n-by-n array.

Every kind knows its product with a vector and its Gram A' C A in a design. Where the Gram is a sum
over rows the design takes it: rows with a weight and a common centre (`WeightedRows`), or kinds
that say how they meet a dense block of rows and how they expand into weighted Grams, which keeps
sparse designs sparse (`BlockRows`). Others make it from products with the design (`gram_in`).
Units only build the objects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from softunit._array_api import column_sums, matching, namespace
from softunit._typing import Array, Matrix, Vector

WeightedGram = Callable[[Vector], Matrix]
"""w (n,) -> A' diag(w) A, (d, d)."""

Transpose = Callable[[Vector], Vector]
"""g (n,) -> A' g, (d,)."""


class Products(Protocol):
    """What a curvature asks of a design."""

    shape: tuple[int, int]

    def matvec(self, x: Array) -> Array:
        """Return A x."""
        ...

    def rmatvec(self, g: Array) -> Array:
        """Return A' g."""
        ...

    def gram(self, curvature: Curvature) -> Matrix:
        """Return A' C A."""
        ...

    def rows(self, index: slice | npt.NDArray[np.integer]) -> Products:
        """Return the design of some rows."""
        ...

    def toarray(self) -> Matrix:
        """Return A as a dense array."""
        ...


@dataclass(frozen=True)
class RowForm:
    """A curvature as weighted rows, which may be sampled, and a few exact terms.

    ::

        A' C A = (A - 1 c'A)' diag(p) (A - 1 c'A) + (A' U) S (A' U)'

    Attributes
    ----------
    weights : ndarray of shape (n,)
        p; may have negative entries.
    centre : ndarray of shape (n,) or None
        c; None means no centring.
    factors, core : ndarray of shape (n, r) and (r, r), or None
        U and S.
    """

    weights: Vector
    centre: Vector | None = None
    factors: Matrix | None = None
    core: Matrix | None = None

    def beside(self, transpose: Callable[[Array], Array]) -> Matrix | float:
        """Return (A' U) S (A' U)', (d, d), from products with A'; zero without factors."""
        if self.factors is None or self.core is None:
            return 0.0
        moved = transpose(self.factors)
        return np.asarray(moved @ self.core @ moved.T)


class Curvature(ABC):
    """The Hessian C of a unit in score space."""

    @abstractmethod
    def matvec(self, v: Array) -> Array:
        """Return C v, of the shape of the scores: (n,) or (n, K)."""

    @abstractmethod
    def gram_in(self, design: Products) -> Matrix:
        """Return A' C A, symmetric, (d, d) or (dK, dK)."""

    @abstractmethod
    def diagonal(self) -> Matrix:
        """Return the diagonal of C, (n, 1) for scores (n,), else (n, K)."""

    def diagonal_sum(self) -> Vector:
        """Return the sum over rows of the diagonal of C, one entry per column of scores."""
        total: Vector = column_sums(self.diagonal())
        return total

    def row_form(self) -> RowForm | None:
        """Return the curvature as weighted rows, or None where it has no such form."""
        return None


class WeightedRows(Curvature):
    """A curvature for scores (n,) that is a sum over weighted rows, less a common centre.

    ::

        A' C A = (A - 1 f'A)' diag(p) (A - 1 f'A)
    """

    weights: Vector
    centre: Vector | None = None

    def gram_in(self, design: Products) -> Matrix:
        """Return A' C A as the design makes it."""
        return design.gram(self)

    def expanded_gram(self, gram: WeightedGram, transpose: Transpose) -> Matrix:
        """Return A'diag(p)A - a_p a_f' - a_f a_p' + sum(p) a_f a_f', with a_v = A'v."""
        total = gram(self.weights)
        if self.centre is None:
            return total
        a_p, a_f = transpose(self.weights), transpose(self.centre)
        return recentred(total, a_p, float(self.weights.sum()), a_f)

    def row_form(self) -> RowForm:
        """Return the rows weighted by p, less their centre."""
        return RowForm(self.weights, self.centre)


def recentred(gram: Matrix, first: Vector, total: float, centre: Vector) -> Matrix:
    """Return the weighted Gram of rows less a centre from that of the rows themselves.

    Parameters
    ----------
    gram : ndarray of shape (d, d)
        A' diag(p) A.
    first : ndarray of shape (d,)
        A' p.
    total : float
        sum(p).
    centre : ndarray of shape (d,)
    """
    cross = np.outer(first, centre)
    return np.asarray(gram - cross - cross.T + total * np.outer(centre, centre))


class BlockRows(Curvature):
    """A curvature for scores (n, K) whose Gram is a sum over blocks of rows."""

    def gram_in(self, design: Products) -> Matrix:
        """Return A' C A as the design makes it."""
        return design.gram(self)

    @abstractmethod
    def block_gram(self, block: Matrix) -> Matrix:
        """Return A' C A for a dense A of shape (n, d)."""

    @abstractmethod
    def expanded_gram(self, gram: WeightedGram, transpose: Transpose) -> Matrix:
        """Return A' C A from products of the design."""

    @abstractmethod
    def __getitem__(self, rows: slice) -> BlockRows:
        """Return the part that belongs to some rows."""


@dataclass(frozen=True)
class Diagonal(WeightedRows):
    """C = diag(w): rows do not meet.

    Parameters
    ----------
    weights : ndarray of shape (n,)
        w; may have negative entries.
    """

    weights: Vector

    def matvec(self, v: Array) -> Array:
        """Return w * v, shape (n,) or (n, K)."""
        if not isinstance(v, np.ndarray):
            w = matching(self.weights, v)
            return w * v if v.ndim == 1 else w[:, None] * v
        return np.asarray((self.weights.astype(v.dtype, copy=False) * v.T).T)

    def diagonal(self) -> Matrix:
        """Return w, shape (n, 1)."""
        return self.weights[:, None]


@dataclass(frozen=True)
class CentredDiagonal(WeightedRows):
    """C = (I - 1 f')' diag(p) (I - 1 f'): a diagonal in the design centred by f.

    Every Hessian of one softmax over all rows has this form (docs/maths/softmax-squares).

    Parameters
    ----------
    weights : ndarray of shape (n,)
        p; may have negative entries.
    centre : ndarray of shape (n,)
        f, nonnegative with sum one.
    """

    weights: Vector
    centre: Vector

    def matvec(self, v: Array) -> Array:
        """Return C v, shape (n,) or (n, K)."""
        # Centring v first keeps the digits that a common offset would cancel.
        q = ((v - self.centre @ v).T * self.weights).T
        return np.asarray(q - np.multiply.outer(self.centre, q.sum(0)))

    def diagonal(self) -> Matrix:
        """Return the diagonal of C, shape (n, 1)."""
        p, f = self.weights, self.centre
        return np.asarray(p - 2 * p * f + p.sum() * f * f)[:, None]


@dataclass(frozen=True)
class RowSoftmax(BlockRows):
    """C = one block s_i (diag(p_i) - p_i p_i') for each row i, in K columns of scores.

    Parameters of a design with this curvature are flattened row-major: entry (j, k) of x (d, K)
    stands at j * K + k.

    Parameters
    ----------
    probabilities : ndarray of shape (n, K)
    weights : ndarray of shape (n,) or None
        s; None means one.
    """

    probabilities: Matrix
    weights: Vector | None = None

    def matvec(self, v: Array) -> Array:
        """Return s * (p*v - p <p, v>) row by row, shape (n, K)."""
        if not isinstance(v, np.ndarray):
            return self._on_device(v)
        u = self.probabilities * v
        u -= self.probabilities * u.sum(axis=1)[:, None]
        if self.weights is not None:
            u *= self.weights.astype(u.dtype, copy=False)[:, None]
        return u

    def _on_device(self, v: Any) -> Any:
        p = matching(self.probabilities, v)
        u = p * v
        u -= p * namespace(u).sum(u, axis=1, keepdims=True)
        return u if self.weights is None else u * matching(self.weights, v)[:, None]

    def block_gram(self, block: Matrix) -> Matrix:
        """Return A' C A, (dK, dK): weighted Grams on the diagonal, less one symmetric product."""
        if not isinstance(block, np.ndarray):
            return self._gram_on_device(block)
        (n, d), k = block.shape, self.probabilities.shape[1]
        p = self.probabilities
        root = p if self.weights is None else p * np.sqrt(self.weights)[:, None]
        rows = (block[:, :, None] * root[:, None, :]).reshape(n, d * k)
        total = rows.T @ rows  # BLAS sees one array twice and computes one triangle
        np.negative(total, out=total)
        four = total.reshape(d, k, d, k)
        for c in range(k):
            own = p[:, c] if self.weights is None else p[:, c] * self.weights
            four[:, c, :, c] += block.T @ (own[:, None] * block)
        return np.asarray(total)

    def _gram_on_device(self, block: Any) -> Any:
        xp, (n, d), k = namespace(block), block.shape, self.probabilities.shape[1]
        p, s = matching(self.probabilities, block), matching(self.weights, block)
        root = p if s is None else p * xp.sqrt(s)[:, None]
        rows = xp.reshape(block[:, :, None] * root[:, None, :], (n, d * k))
        four = xp.reshape(-(rows.T @ rows), (d, k, d, k))
        own = p if s is None else p * s[:, None]
        for c in range(k):
            four[:, c, :, c] += block.T @ (own[:, c][:, None] * block)
        return xp.reshape(four, (d * k, d * k))

    def expanded_gram(self, gram: WeightedGram, transpose: Transpose) -> Matrix:
        """Return A' C A, (dK, dK), from K(K+1)/2 weighted Grams."""
        p, k = self.probabilities, self.probabilities.shape[1]
        blocks: dict[tuple[int, int], Matrix] = {}
        for a in range(k):
            for b in range(a, k):
                w = p[:, a] * ((a == b) - p[:, b])
                blocks[a, b] = gram(w if self.weights is None else w * self.weights)
        d = blocks[0, 0].shape[0]
        total = np.empty((d, k, d, k))
        for (a, b), part in blocks.items():
            total[:, a, :, b] = part
            total[:, b, :, a] = part.T
        return total.reshape(d * k, d * k)

    def diagonal(self) -> Matrix:
        """Return s_i p_ik (1 - p_ik), shape (n, K)."""
        each = self.probabilities * (1 - self.probabilities)
        if not isinstance(each, np.ndarray):
            s = matching(self.weights, each)
            return each if s is None else each * s[:, None]
        if self.weights is not None:
            each *= self.weights.astype(each.dtype, copy=False)[:, None]
        return np.asarray(each)

    def __getitem__(self, rows: slice) -> RowSoftmax:
        return RowSoftmax(
            self.probabilities[rows], None if self.weights is None else self.weights[rows]
        )
