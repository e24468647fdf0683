"""What observations add to the gradient, and its outer products: the filling of a sandwich.

Never an array of all observations by all parameters: rows pass by in pieces, and what a group of
rows has summed so far is carried from one piece to the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._groups import Groups
from softunit._threads import linear_algebra_on_threads
from softunit._typing import Array, Matrix, Vector
from softunit.designs.base import Design
from softunit.problem import Problem

PIECE = 1 << 18
"""Entries of the outer products of rows that are held at once: 2 MiB."""

LEAST = 512
"""Rows of a piece at least: a (p, p) sum is read and written once for each."""

Index = slice | npt.NDArray[np.integer]


@dataclass(frozen=True)
class Scatter:
    """The derivatives of minus the log-likelihood by x, summed within units of independence.

    Attributes
    ----------
    problem : Problem
    x : ndarray of shape (d,) or (d, K)
    classes : ndarray of shape (K, m)
        What derivatives by the scores are multiplied with: x = u classes'.
    groups : Groups or None
        Rows that are summed: an observation or a cluster; None leaves each row its own.
    frequencies : ndarray or None
        How often each of them was seen, one for each group or row; None means once. The sums, in
        which repeats count already, are divided by the square root.
    """

    problem: Problem
    x: Array
    classes: Matrix
    groups: Groups | None
    frequencies: Vector | None

    @property
    def count(self) -> int:
        """How many sums there are."""
        return self.problem.design.shape[0] if self.groups is None else self.groups.count

    def outer(self) -> Matrix:
        """Return sum_c S_c S_c' for S_c flattened row-major, (d m, d m)."""
        p = self.problem.shape[0] * self.classes.shape[1]
        total, carried, last = np.zeros((p, p)), np.zeros(p), -1
        with linear_algebra_on_threads():
            for index, design, g in self.pieces(max(LEAST, PIECE // p)):
                rows = design.toarray()
                if self.groups is None:
                    each = (rows[:, :, None] * g[:, None, :]).reshape(len(g), p)
                    total += each.T @ each
                    continue
                codes = self.groups.codes[index]
                starts = np.flatnonzero(np.diff(codes, prepend=codes[0] - 1))
                sums = _summed(rows, g, starts)
                if codes[0] == last:
                    sums[0] += carried
                else:
                    total += np.multiply.outer(carried, carried)
                last, carried = codes[-1], sums[-1].copy()
                total += sums[:-1].T @ sums[:-1]
        return np.asarray(total + np.multiply.outer(carried, carried))

    def along(self, directions: Matrix) -> Vector:
        """Return sum_c (S_c' v)^2 for each direction v, (m,), without any outer product.

        Parameters
        ----------
        directions : ndarray of shape (p, m)
            Of x flattened; the classes must be the identity.
        """
        d, k, m = self.problem.shape[0], self.problem.columns, directions.shape[1]
        stacked = directions.reshape(d, k * m)
        whole = np.zeros((self.count, m)) if self.groups is not None else None
        total = np.zeros(m)
        for index, design, g in self.pieces(PIECE // (k * m + design_entries(self.problem))):
            moved = design.matvec(stacked).reshape(len(g), k, m)
            each = np.einsum("ik,ikm->im", g, moved)
            if whole is None:
                total += np.einsum("im,im->m", each, each)
            else:
                assert self.groups is not None
                np.add.at(whole, self.groups.codes[index], each)
        return total if whole is None else np.asarray(np.einsum("cm,cm->m", whole, whole))

    def pieces(self, size: int) -> Iterator[tuple[Index, Design, Matrix]]:
        """Yield (index of rows, their design, derivatives by their scores), group by group.

        Parameters
        ----------
        size : int
            Rows of a piece, about.
        """
        design, n = self.problem.design, self.problem.design.shape[0]
        rows, order = self.problem.by_rows, None if self.groups is None else self.groups.order
        coupled: Array | None = None
        if not self.problem.unit.rowwise:
            whole = slice(0, n)
            z = rows.block_scores(whole, design, self.x, None)
            coupled = rows.value_gradient(whole, z)[1]
        for start in range(0, n, max(64, size)):
            part = slice(start, min(start + max(64, size), n))
            index: Index = part if order is None else order[part]
            block = design.rows(index)
            if coupled is None:
                z = rows.block_scores(index, block, self.x, None)  # type: ignore[arg-type]
                g = rows.value_gradient(index, z)[1]  # type: ignore[arg-type]
            else:
                g = coupled[index]
            yield index, block, self._weighted(index, g)

    def _weighted(self, index: Index, g: Array) -> Matrix:
        """Return derivatives of the sum by u, over the root of the frequency."""
        g = self.problem.mass * (g[:, None] if g.ndim == 1 else g @ self.classes)
        if self.frequencies is None:
            return np.asarray(g)
        each = self.frequencies[index if self.groups is None else self.groups.codes[index]]
        roots = np.sqrt(each)[:, None]
        return np.divide(g, roots, out=np.zeros_like(g), where=roots > 0)


def _summed(rows: Matrix, g: Matrix, starts: npt.NDArray[np.integer]) -> Matrix:
    """Return sum_i a_i kron g_i over runs of rows, (runs, d m), without the terms of the sum."""
    pointers, columns = np.append(starts, len(g)), np.arange(len(g))
    shape = (len(starts), len(g))
    sums = [sparse.csr_array((v, columns, pointers), shape=shape) @ rows for v in g.T]
    return np.asarray(np.stack(sums, axis=2).reshape(len(starts), -1))


def design_entries(problem: Problem) -> int:
    """Return entries of a row of the design, at least one."""
    return max(1, int(problem.design.row_entries))
