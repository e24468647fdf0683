"""Intercept, centring and scaling as a wrapper: sparse stays sparse, nothing large is copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import check_vector
from softunit._typing import Array, Matrix, Vector
from softunit.curvature import BlockRows, Diagonal, WeightedRows
from softunit.designs.base import Block, Design, Terms
from softunit.designs.centred import CentredDesign
from softunit.designs.dense import DenseDesign, gather
from softunit.designs.sparse import SparseDesign
from softunit.designs.tensor import TensorDesign
from softunit.designs.wrapper import WrapperDesign
from softunit.errors import InputError

LARGE = 1e24  # size of a column, or one over it, that float32 bears with outliers
FAR = 30.0  # scaled units between a column and zero beyond which float32 loses too much
LOST = 1e4  # likewise beyond which float64 does: products less the centre's leave rounding
COPIED = 2e8  # bytes of a dense design up to which its centred columns are then held


class ScaledDesign(WrapperDesign):
    """The design [(A - 1 m') diag(1/s), 1] without forming it.

    Its x holds the coefficients of the scaled columns and, last, that of the intercept. `to_input`
    gives what the unscaled columns see: coefficients x / s and intercept x_0 - m'(x / s).

    Parameters
    ----------
    inner : Design
        A, shape (n, d).
    intercept : bool, default False
        Whether to append a column of ones.
    centre : array_like of shape (d,) or None, default None
        m. Without an intercept centring changes the scores of a row-independent unit; it is then
        meant for units that are blind to a constant, such as one softmax over all rows.
    scale : array_like of shape (d,) or None, default None
        s, all positive. Infinity silences a column: its coefficient is held at zero, as befits a
        constant column beside an intercept.

    Notes
    -----
    A dense design whose columns are more than 10,000 times their scale away from zero is held a
    second time, its centre taken off, up to 200 MB: A w - m'w would be mostly rounding. By
    Sterbenz's lemma these differences are exact in float64.
    """

    def __init__(
        self,
        inner: Design,
        *,
        intercept: bool = False,
        centre: npt.ArrayLike | None = None,
        scale: npt.ArrayLike | None = None,
    ) -> None:
        n, d = inner.shape
        self.inner = inner
        self.intercept = bool(intercept)
        self.centre = None if centre is None else check_vector("`centre`", centre, d, rows="A'")
        self.scale = _checked_scale(scale, d)
        self.shape: tuple[int, int] = (n, d + self.intercept)
        self.dtype = inner.dtype

    @property
    def _far(self) -> float:
        """How many scaled units the centre is away from zero."""
        return 0.0 if self.centre is None else float(np.abs(self.centre / self.scale).max())

    @cached_property
    def _close(self) -> Design | None:
        """The wrapped columns less their centre, where products with them alone are exact."""
        inner = self.inner
        if self.centre is None or self._far <= LOST:
            return None
        if self.home in ("disk", "cluster"):
            return CentredDesign(inner, self.centre)
        if not isinstance(inner, (DenseDesign, TensorDesign)) or inner.nbytes > COPIED:
            return None
        return inner.less(self.centre)  # silenced columns may be anything: no product has them

    @property
    def _held(self) -> Design:
        return self.inner if self._close is None else self._close

    @property
    def narrowable(self) -> bool:
        """Whether the wrapped design is, and float32 bears how far off and large columns are."""
        sizes = self.scale[np.isfinite(self.scale)]
        kept = (sizes >= 1 / LARGE).all() and (sizes <= LARGE).all()
        return bool(self.inner.narrowable and self._far <= FAR and kept)

    def narrow(self) -> ScaledDesign:
        """Return the same wrapper around the narrowed design."""
        return self._around(lambda design: design.narrow())

    @property
    def core(self) -> Design:
        """The stored entries of the wrapped design, or these less their centre."""
        return self._held.core

    def into_core(self, x: Array) -> tuple[Array, Array | None]:
        """Return x / s, and x_0 - m'(x / s)."""
        w = self._unscaled(x)
        apart = self.centre is not None and self._close is None
        constant = -(self.centre @ w) if apart else np.zeros(x.shape[1:])
        if self.intercept:
            constant = constant + x[-1]
        w, more = self.inner.into_core(w.astype(x.dtype, copy=False))
        return w, constant if more is None else constant + more

    def from_core(self, g: Array, total: Array) -> Array:
        """Return [(A'v - m sum(v)) / s, sum(v)]."""
        out = np.empty((self.shape[1], *g.shape[1:]))
        d = self.inner.shape[1]
        out[:d] = self.inner.from_core(g, total)
        if self.centre is not None and self._close is None:
            out[:d] -= np.multiply.outer(self.centre, total)
        out[:d] /= self.scale if g.ndim == 1 else self.scale[:, None]
        if self.intercept:
            out[d] = total
        return out

    def matvec(self, x: Array) -> Array:
        """Return A (x/s) + (x_0 - m'(x/s)), (n,) or (n, K)."""
        w, constant = self.into_core(x)
        z = self.core.matvec(w)
        if constant is not None:
            z += constant
        return z

    def rmatvec(self, g: Array) -> Array:
        """Return [(A'g - m sum(g)) / s, sum(g)], (d,) or (d, K)."""
        return self.from_core(self.core.rmatvec(g), g.sum(axis=0, dtype=np.float64))

    def _weighted_rows(self, curvature: WeightedRows) -> Matrix:
        if isinstance(self.inner, SparseDesign) and self.centre is None:
            return curvature.expanded_gram(self._weighted_gram, self.rmatvec)
        if curvature.centre is None:
            return self.weighted_gram(curvature.weights)
        # What the curvature takes out takes the design's own centre with it.
        return self._around_gram(curvature.weights, self._held.rmatvec(curvature.centre), 0.0)

    def _block_rows(self, curvature: BlockRows) -> Matrix:
        if isinstance(self.inner, SparseDesign) and self.centre is None:
            return curvature.expanded_gram(self._weighted_gram, self.rmatvec)
        if isinstance(self.inner, TensorDesign):
            own = (self.centre, self.scale)
            return self.inner.rescaled(*own, intercept=self.intercept).gram(curvature)
        return super()._block_rows(curvature)

    def weighted_gram(self, weights: Vector, centre: Vector | None = None) -> Matrix:
        """Return (A - 1 c')' diag(p) (A - 1 c') from the wrapped design's."""
        d, own = self.inner.shape[1], self.centre if self._close is None else None
        shift = None if own is None and centre is None else np.zeros(d)
        if shift is not None and own is not None:
            shift = shift + own
        if shift is not None and centre is not None:
            shift = shift + np.where(np.isinf(self.scale), 0.0, centre[:d] * self._heard)
        one = 1.0 - centre[d] if self.intercept and centre is not None else 1.0
        return self._around_gram(weights, shift, one)

    def _around_gram(self, weights: Vector, shift: Vector | None, one: float) -> Matrix:
        """Return the Gram of the held rows less a shift, with `one` as the intercept column."""
        d = self.inner.shape[1]
        out = np.empty((self.shape[1], self.shape[1]))
        gram = self._held.weighted_gram(weights, shift)
        out[:d, :d] = gram / self.scale / self.scale[:, None]
        if self.intercept:
            total = float(weights.sum())
            first = self._held.rmatvec(weights)
            moved = first if shift is None else first - total * shift
            out[d, :d] = out[:d, d] = one * moved / self.scale
            out[d, d] = one * one * total
        return out

    def _weighted_gram(self, w: Vector) -> Matrix:
        d = self.inner.shape[1]
        out = np.empty((self.shape[1], self.shape[1]))
        out[:d, :d] = self.inner.gram(Diagonal(w)) / self.scale / self.scale[:, None]
        if self.intercept:
            out[d, :d] = out[:d, d] = self.inner.rmatvec(w) / self.scale
            out[d, d] = w.sum()
        return out

    def rows(self, index: slice | npt.NDArray[np.integer]) -> ScaledDesign:
        """Return the same wrapper around some rows."""
        return self._around(lambda design: design.rows(index))

    def gathered(self, index: npt.NDArray[np.integer]) -> Design:
        """Return a copy of some rows, centred and scaled if they are dense."""
        if isinstance(self.inner, SparseDesign):
            return self.rows(index)
        if self.home == "memory":
            return DenseDesign(gather(self, index))
        if isinstance(self.inner, TensorDesign):
            own, one = (self.centre, self.scale), self.intercept
            return self.inner.rescaled(*own, intercept=one, index=index, narrow=True)
        few = self.inner.rows(index) if self._far > FAR else self.inner.gathered(index)
        if not isinstance(few, DenseDesign):
            return self.around(few)
        return DenseDesign(gather(self.around(few), np.arange(len(index))))

    def columns(self, index: npt.NDArray[np.integer]) -> ScaledDesign | None:
        """Return the same wrapper around some columns, with the intercept if it is among them."""
        d = self.inner.shape[1]
        kept = index[index < d]
        inner = self.inner.columns(kept) if len(kept) else None
        if inner is None:
            return None
        centre = None if self.centre is None else self.centre[kept]
        intercept = self.intercept and len(kept) < len(index)
        return ScaledDesign(inner, intercept=intercept, centre=centre, scale=self.scale[kept])

    def _around(self, part_of: Callable[[Design], Design]) -> ScaledDesign:
        part, inner = object.__new__(ScaledDesign), part_of(self.inner)
        part.inner, part.intercept = inner, self.intercept
        part.centre, part.scale = self.centre, self.scale
        part._close = None if self._close is None else part_of(self._close)
        part.shape, part.dtype = (inner.shape[0], self.shape[1]), inner.dtype
        return part

    def toarray(self) -> Matrix:
        """Return the scaled columns as a dense float64 copy, (n, d)."""
        out = np.empty(self.shape)
        d = self.inner.shape[1]
        a, centre = self._held.toarray(), self.centre if self._close is None else None
        np.divide(a if centre is None else a - centre, self.scale, out=out[:, :d])
        if self.intercept:
            out[:, d] = 1.0
        return out

    def column_moments(self, weights: Vector | None = None) -> tuple[Vector, Vector]:
        """Return weighted mean and variance of each scaled column."""
        mean, variance = self.inner.column_moments(weights)
        if self.centre is not None:
            mean = mean - self.centre
        mean, variance = mean / self.scale, variance / self.scale**2
        if self.intercept:
            mean, variance = np.append(mean, 1.0), np.append(variance, 0.0)
        return mean, variance

    def abs_rmatvec(self, g: Vector) -> Vector:
        """Return |A|' g for g >= 0: scaling is applied to the sums, not to the entries."""
        centre = 0.0 if self.centre is None else self.centre

        def part(block: Block) -> tuple[Vector]:
            moved = block[1].toarray() - centre
            return (g[block[0]] @ np.abs(moved, out=moved),)

        inner = self.inner
        plain = self.centre is None
        sums = inner.abs_rmatvec(g) if plain else inner.over_blocks(part)[0]
        out = sums / self.scale
        return np.append(out, g.sum()) if self.intercept else np.asarray(out)

    def abs_matvec(self, x: Array) -> Array:
        """Return |A| (x/s) + |m|'(x/s) + x_0 for x >= 0: each term of `matvec` by its size."""
        w = self._unscaled(x)
        out = self._held.abs_matvec(w)
        if self.centre is not None and self._close is None:
            out = out + np.abs(self.centre) @ w
        return out + x[-1] if self.intercept else out

    def around(self, chunk: Design) -> ScaledDesign:
        """Return the same wrapper around some rows; they are centred anew where that is exact."""
        return ScaledDesign(chunk, intercept=self.intercept, centre=self.centre, scale=self.scale)

    def at_hand(self, size: int) -> tuple[npt.NDArray[np.integer], Design] | None:
        """Return wrapped rows that another pass has gathered, where float32 bears them."""
        return None if self._far > FAR else super().at_hand(size)

    def reduce(
        self,
        function: Callable[[Design, tuple[Any, ...]], Terms],
        arrays: tuple[Any, ...] = (),
        folds: Sequence[np.ufunc] | None = None,
    ) -> Terms:
        """Return the terms of function(wrapped chunk, its arrays), folded over all chunks."""
        if self.home == "memory":
            return function(self, arrays)
        shell = {"intercept": self.intercept, "centre": self.centre, "scale": self.scale}
        return self.inner.reduce(partial(_rewrapped, function, shell), arrays, folds)

    def largest_terms(self, x: Array) -> float:
        """Return at least the largest of |A| (|x|/s) + |m|'(|x|/s) + |x_0|."""
        if self.home == "memory":
            return super().largest_terms(x)
        w = self._unscaled(np.abs(x))
        apart = self.centre if self._close is None else None
        more = 0.0 if apart is None else float((np.abs(apart) @ w).max())
        return self._held.largest_terms(w) + more + float(np.abs(x[-1]).max() * self.intercept)

    def to_input(self, x: Array) -> Array:
        """Return coefficients of the unscaled columns and, last, their intercept."""
        out = np.array(x, dtype=np.float64)
        out[: len(self.scale)] = w = self._unscaled(x)
        if self.intercept and self.centre is not None:
            out[-1] -= self.centre @ w
        return out

    def from_input(self, x: Array) -> Array:
        """Return the x that `to_input` maps to these coefficients and intercept."""
        out = np.array(x, dtype=np.float64)
        d = len(self.scale)
        if self.intercept and self.centre is not None:
            out[-1] += self.centre @ x[:d]
        out[:d] = (x[:d].T * self._heard).T
        return out

    def gradient_to_input(self, g: Array) -> Array:
        """Return the gradient by unscaled coefficients and intercept."""
        out = np.array(g, dtype=np.float64)
        d = len(self.scale)
        out[:d] = (g[:d].T * self._heard).T
        if self.intercept and self.centre is not None:
            out[:d] += np.multiply.outer(self.centre, g[-1])
        return out

    def _unscaled(self, x: Array) -> Array:
        return np.asarray((x[: len(self.scale)].T / self.scale).T)

    @property
    def _heard(self) -> Vector:
        """The scale, with zero for silenced columns."""
        return np.where(np.isinf(self.scale), 0.0, self.scale)


def _rewrapped(
    function: Callable[..., Terms], shell: dict[str, Any], chunk: Design, arrays: tuple[Any, ...]
) -> Terms:
    """Return function of a chunk wrapped where it lies."""
    return function(ScaledDesign(chunk, **shell), arrays)


def _checked_scale(scale: npt.ArrayLike | None, d: int) -> Vector:
    if scale is None:
        return np.ones(d)
    s = np.asarray(scale, dtype=np.float64)
    if s.shape != (d,):
        raise InputError(f"`scale` has shape {s.shape}, but A has {d} columns: it must be ({d},).")
    if not (s > 0).all():
        raise InputError(f"`scale` must be > 0 everywhere; its least is {s.min()}.")
    return s
