"""The cone of directions of the coefficients along which no row's loss rises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._numeric import EPS, as_columns
from softunit._typing import Array, Matrix, Vector
from softunit.designs import Design, ScaledDesign, SparseDesign
from softunit.errors import InputError
from softunit.problem import Problem
from softunit.units.recession import Recession

Mask = npt.NDArray[np.bool_]

BLOCK = 1 << 17  # scores of a block
SNAP = 1e-9  # of the largest entry of a direction: smaller ones are rounding


@dataclass(frozen=True)
class Part:
    """Some forms of scores, measured along a direction.

    Attributes
    ----------
    design : Design
        The stored columns of the rows of these forms.
    recession : Recession
    values : ndarray of shape (m,)
    sizes : ndarray of shape (m,)
        The sum of the absolute terms of each value.
    slack : ndarray of shape (m,)
        What rounding can have made of each value.
    start : int
        Number of the first row.
    """

    design: Design
    recession: Recession
    values: Vector
    sizes: Vector
    slack: Vector
    start: int

    @property
    def wrong(self) -> Mask:
        """Forms that are negative beyond rounding, or not zero that must be."""
        return np.where(self.recession.equal, np.abs(self.values), -self.values) > self.slack

    @property
    def positive(self) -> Mask:
        """Forms that are positive beyond rounding."""
        return (self.values > self.slack) & ~self.recession.equal

    @property
    def blurred(self) -> Mask:
        """Forms that are zero or cannot be told from it."""
        return (np.abs(self.values) <= self.slack) & (self.sizes > 0)


class Cone:
    """What the forms of a problem's scores ask of directions of its coefficients.

    Directions w have shape (p, K), in the coordinates of the stored columns and, last, the
    intercept where there is one; they are exact there, as no column is centred or divided. Offsets
    have no part in them.

    Parameters
    ----------
    problem : Problem

    Attributes
    ----------
    scale : ndarray of shape (p,)
        Powers of two near the columns' size: scaling by them rounds nothing.
    shape : tuple of int
        (p, K).

    Raises
    ------
    InputError
        If the problem's unit has no `recession`.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        design, self.intercept = _stored(problem.design)
        self.inner = design
        p = design.shape[1] + self.intercept
        self.shape = (p, problem.columns)
        mean, variance = design.column_moments(problem.weights if problem.unit.rowwise else None)
        size = np.sqrt(variance + (0.0 if self._centred else mean**2))
        size = np.where(size > 1e-12 * np.abs(mean), size, np.abs(mean))
        exponent = np.round(np.log2(np.where(size > 0, size, 1.0)))
        self.scale: Vector = np.ones(p)
        self.scale[: len(exponent)] = np.ldexp(1.0, exponent.astype(int))
        self.centre: Vector | None = mean if self._centred else None
        self._known: list[Recession] = []
        n = design.shape[0]
        rows = max(64, BLOCK // problem.columns) if problem.unit.rowwise else n
        self.blocks = [slice(k, min(k + rows, n)) for k in range(0, n, rows)]
        if len(self.blocks) == 1:
            self._known = [self._recession(self.blocks[0])]
        else:
            self._recession(slice(0, 1))  # refused at once where there is none

    @property
    def _centred(self) -> bool:
        """Whether the linear programme sees centred columns: where a constant costs nothing."""
        coupled = self.problem.unit.shift_invariant and not self.problem.unit.rowwise
        return (self.intercept or coupled) and not isinstance(self.inner, SparseDesign)

    def _recession(self, rows: slice) -> Recession:
        problem = self.problem
        weights = None if problem.weights is None else problem.weights[rows]
        found = problem.unit.recession(problem.target[rows], problem.columns, weights)
        if found is None:
            raise InputError(
                f"separation is not defined for {type(problem.unit).__name__}: its loss has no"
                " `recession`. Use Multinomial, GroupedSoftmax(loss='log') or CumulativeLogit."
            )
        return found

    def recessions(self) -> Iterator[Recession]:
        """Yield the forms of each block: kept where it is the only one."""
        yield from self._known or map(self._recession, self.blocks)

    @property
    def held(self) -> Mask:
        """Entries of w, (p, K), that a penalty keeps from growing."""
        out = np.broadcast_to((self.problem.ridge > 0)[:, None], self.shape)
        lasso = self.problem.lasso
        if lasso is not None:
            out = out | (as_columns(lasso.strength) > 0)
        return out

    def measure(self, w: Matrix) -> Iterator[Part]:
        """Yield the values of all forms along w, block by block: one pass over the rows.

        Only columns in which w is not zero have terms, hence rounding.
        """
        d = self.inner.shape[1]
        absolute = np.abs(w)
        terms = int((w != 0).sum(axis=0).max()) + 3
        for rows, forms in zip(self.blocks, self.recessions(), strict=True):
            block = self.inner.rows(rows)
            z, size = block.matvec(w[:d]), block.abs_matvec(absolute[:d])
            if self.intercept:
                z, size = z + w[d], size + absolute[d]
            values = forms.forms @ z.ravel()
            sizes = abs(forms.forms) @ size.ravel()
            yield Part(block, forms, values, sizes, terms * EPS * sizes, rows.start)

    def total(self, wanted: list[Mask]) -> Matrix:
        """Return the sum of the wanted forms as a linear function of w, (p, K).

        Parameters
        ----------
        wanted : list of ndarray of bool
            For each block, of its forms.
        """
        out = np.zeros(self.shape)
        d = self.inner.shape[1]
        for rows, forms, mask in zip(self.blocks, self.recessions(), wanted, strict=True):
            c = (forms.forms.T @ mask.astype(np.float64)).reshape(-1, self.shape[1])
            out[:d] += self.inner.rows(rows).rmatvec(c)
            if self.intercept:
                out[d] += c.sum(axis=0)
        return out

    def rows_of(self, part: Part, chosen: Array) -> Any:
        """Return some forms of a part as linear functions of w, CSR (t, p K).

        Parameters
        ----------
        part : Part
        chosen : ndarray of int, shape (t,)
        """
        p, k = self.shape
        picked, columns = self.terms(part, chosen)
        columns.data *= np.repeat(picked.data, np.diff(columns.indptr))
        entries = columns.tocoo()
        index = entries.coords[1] * k + (picked.coords[1] % k)[entries.coords[0]]
        where = picked.coords[0][entries.coords[0]], index
        return sparse.coo_array((entries.data, where), shape=(len(chosen), p * k)).tocsr()

    def terms(self, part: Part, chosen: Array) -> tuple[Any, Any]:
        """Return some forms, COO (t, n K), and the row of columns of each of their entries, CSR."""
        picked = part.recession.forms[chosen].tocoo()
        scores, which = np.unique(picked.coords[1] // self.shape[1], return_inverse=True)
        return picked, self._columns(part.design, scores)[which]

    def _columns(self, design: Design, rows: Array) -> Any:
        """Return some rows of the columns and intercept as CSR."""
        some = design.rows(rows)
        whole = some.matrix if isinstance(some, SparseDesign) else some.toarray()
        a = sparse.csr_array(whole, dtype=np.float64, copy=True)
        if not self.intercept:
            return a
        ones = sparse.csr_array(np.ones((a.shape[0], 1)))
        return sparse.hstack([a, ones], format="csr")

    @cached_property
    def coordinates(self) -> Any:
        """T with w = T u for the u of the linear programme, CSC (p, p).

        Columns of u are scaled, and centred where the intercept makes up for it.
        """
        p = self.shape[0]
        t = sparse.diags_array(1 / self.scale).tolil()
        if self.intercept and self.centre is not None:
            t[p - 1, : p - 1] = -self.centre / self.scale[:-1]
        return t.tocsc()

    def named(self, w: Matrix) -> Matrix:
        """Return w with entries set to zero that are rounding beside what they were made of."""
        out = np.array(w)
        columns = self.shape[0] - self.intercept
        top = self.size_of(w)
        sizes = np.abs(w[:columns]) * self.scale[:columns, None]
        out[:columns][sizes < SNAP * top] = 0.0
        if self.intercept:  # it makes up for the centre of each column
            moved = 0.0 if self.centre is None else np.abs(self.centre) @ np.abs(out[:columns])
            out[-1, np.abs(w[-1]) < SNAP * np.maximum(moved, top)] = 0.0
        return out

    def size_of(self, w: Matrix) -> float:
        """Return the largest entry of w in columns scaled to size one, the intercept's if alone."""
        sizes = np.abs(w).max(axis=1) * self.scale
        top = float(sizes[: self.shape[0] - self.intercept].max(initial=0.0))
        return top or float(sizes.max())


def _stored(design: Design) -> tuple[Design, bool]:
    """Return the design of the stored columns, and whether an intercept follows them."""
    if isinstance(design, ScaledDesign):
        return design.inner, design.intercept
    return design, False
