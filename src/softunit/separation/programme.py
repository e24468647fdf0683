"""The linear programme: the best direction of the cone, over the rows that matter so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linprog

from softunit._typing import Array, Matrix, Vector

Mask = npt.NDArray[np.bool_]

TOLERANCE = 1e-10  # HiGHS's smallest; rows of the programme have largest entry one
METHOD = "highs-ds"
OPTIONS = {
    "primal_feasibility_tolerance": TOLERANCE,
    "dual_feasibility_tolerance": TOLERANCE,
    "maxiter": 200_000,
}
MARGIN = 1e-9  # of a row's largest entry: a smaller least value may be the tolerance's
ACTIVE = 1e-7  # of a row's largest entry: smaller values may be zero but for that tolerance
RANK = 1e-11  # singular values of the active rows below this share of the largest are zero
RAISES = 1e-11  # of the largest entry of g: less is what rounding leaves of zero
COLLAPSED = 1e-6  # of a direction: what is left below this, once rows are zero, is rounding
BINDS = 0.5  # of |u|_1 <= 1: in a cone the optimum has |u|_1 = 1, or is zero but for the tolerance


class OutOfReachError(Exception):
    """The linear programme is beyond its limits, or HiGHS gave up; the message says which."""


@dataclass
class Programme:
    """maximise <g, u> over D u >= 0 (= 0 for some rows) and |u|_1 <= 1.

    The cone has a direction that raises g if and only if the optimum is positive; the 1-norm makes
    it name few columns. Rows are scaled to largest entry one, which changes no cone.

    Attributes
    ----------
    into : CSC array of shape (p, p)
        w = into u: what the rows are linear functions of.
    free : ndarray of bool, shape (p, K)
        Entries of u that may move.
    shape : tuple of int
        (p, K).
    blind : bool
        Whether a constant added across the K columns of w changes no row.
    most : int
        Entries of D up to which the programme is solved.
    rows : CSR array of shape (t, p K)
        As functions of w, each scaled.
    equal : ndarray of bool, shape (t,)
    """

    into: Any
    free: Mask
    shape: tuple[int, int]
    blind: bool
    most: int
    rows: Any = None
    equal: Mask = field(default_factory=lambda: np.zeros(0, dtype=bool))
    _size: Vector | None = None

    def add(self, rows: Any, equal: Mask) -> None:
        """Add rows, as functions of w; rows of zeros say nothing and are left out.

        Raises
        ------
        OutOfReachError
            If the programme grows beyond `most` entries.
        """
        top = abs(rows).max(axis=1).toarray().ravel()
        seen = top > 0
        exponent = np.frexp(np.where(seen, top, 1.0))[1]
        rows = (sparse.diags_array(np.ldexp(1.0, -exponent)) @ rows).tocsr()[seen]
        self.rows = rows if self.rows is None else sparse.vstack([self.rows, rows], format="csr")
        self.equal = np.concatenate([self.equal, equal[seen]])
        if self.rows.nnz > self.most:
            raise OutOfReachError(
                f"the linear programme has more than {self.most:,} entries, its limit"
            )

    def solve(self, total: Matrix) -> Matrix | None:
        """Return the best w, (p, K), or None where no direction raises the total.

        Parameters
        ----------
        total : ndarray of shape (p, K)
            g, as a function of w.

        Raises
        ------
        OutOfReachError
            If HiGHS does not finish.
        """
        d, change = self._scaled()
        g = change.T @ total.ravel()
        if not np.abs(g).max() > 0:
            return None
        g /= np.abs(g).max()
        u = self._optimum(d, g)
        if np.abs(u).sum() < BINDS or g @ u < RAISES:
            return None
        return self._direction(change, u)

    def widest(self) -> Matrix | None:
        """Return the w along which the least of all rows is largest, None where that is zero.

        Raises
        ------
        OutOfReachError
            If HiGHS does not finish.
        """
        d, change = self._scaled()
        u = self._optimum(d, None)
        if np.abs(u).sum() < BINDS or (d @ u).min(initial=1.0) < MARGIN:
            return None
        return self._direction(change, u)

    def _direction(self, change: Any, u: Vector) -> Matrix | None:
        """Return w = change u, or None where u is but what the rows do not see.

        Where a constant across the columns of scores is not seen, their median is taken out of u:
        that leaves it least.
        """
        u = self._seen(u.reshape(self.shape)).ravel()
        return None if np.abs(u).sum() < BINDS else (change @ u).reshape(self.shape)

    def _seen(self, w: Matrix) -> Matrix:
        """Return w without what is common to its columns, where the rows do not see that."""
        return w - np.median(w, axis=1, keepdims=True) if self.blind else w

    def _scaled(self) -> tuple[Any, Any]:
        """Return D by u with rows and columns near size one, and w = change u."""
        change = sparse.kron(self.into, sparse.eye_array(self.shape[1]), format="csr")
        if self._size is None:  # by powers of two
            d = self.rows @ change
            top = abs(d).max(axis=0).toarray().ravel() if d.shape[0] else np.zeros(d.shape[1])
            self._size = np.ldexp(1.0, -np.frexp(np.where(top > 0, top, 0.5))[1])
        change = change @ sparse.diags_array(self._size)
        return self._unit_rows(self.rows @ change), change

    @staticmethod
    def _unit_rows(d: Any) -> Any:
        top = abs(d).max(axis=1).toarray().ravel()
        return (sparse.diags_array(1 / np.where(top > 0, top, 1.0)) @ d).tocsr()

    def _optimum(self, d: Any, g: Vector | None) -> Vector:
        """Return the best u for <g, u>; for the least entry of D u where g is None."""
        q = d.shape[1]
        free = self.free.ravel()
        goal = np.append(np.zeros(2 * q), -1.0) if g is None else np.concatenate([-g, g])
        rows = -sparse.hstack([d, -d], format="csr")
        if g is None:  # D u >= least, and least is to be large
            least = sparse.csr_array(np.ones((d.shape[0], 1)))
            rows = sparse.hstack([rows, least], format="csr")
        norm = sparse.csr_array(np.append(np.ones(2 * q), np.zeros(len(goal) - 2 * q))[None, :])
        above = sparse.vstack([rows[~self.equal], norm], format="csr")
        limit = np.append(np.zeros(above.shape[0] - 1), 1.0)
        fixed = rows[self.equal] if self.equal.any() else None
        high = np.append(np.tile(np.where(free, 1.0, 0.0), 2), np.ones(len(goal) - 2 * q))
        found = linprog(
            goal,
            A_ub=above,
            b_ub=limit,
            A_eq=fixed,
            b_eq=None if fixed is None else np.zeros(fixed.shape[0]),
            bounds=np.column_stack([np.zeros(len(high)), high]),
            method=METHOD,
            options=OPTIONS,
        )
        if found.x is None or found.status != 0:
            raise OutOfReachError(f"HiGHS did not solve the linear programme ({found.message})")
        return np.asarray(found.x[:q] - found.x[q : 2 * q])

    def active(self, w: Matrix) -> Array:
        """Return the rows whose value along w is zero but for the programme's tolerance."""
        values = self.rows @ w.ravel()
        sizes = abs(self.rows) @ np.abs(w).ravel()
        return np.flatnonzero(self.equal | (np.abs(values) <= ACTIVE * sizes))

    def settled(self, w: Matrix, scale: Vector) -> Matrix:
        """Return the direction nearest to w along which the active rows are zero.

        1. Take the active rows in the columns that w moves, these at size one.  2. Take out of w
        what they see, twice, as rounding leaves a little the first time.  3. Where next to nothing
        is left, that is rounding, and the direction is zero.
        """
        rows = self.rows[self.active(w)]
        moved = np.flatnonzero(w.ravel())
        size = np.repeat(scale, self.shape[1])[moved]
        m = rows[:, moved].toarray() / size  # 1.
        top = np.abs(m).max(axis=1, initial=0.0)
        m = m[top > 0] / top[top > 0, None]
        v = w.ravel()[moved] * size
        for _ in range(2):  # 2.
            v = v - np.linalg.lstsq(m, m @ v, rcond=RANK)[0]
        out = np.zeros(w.size)
        out[moved] = v / size
        left = self._seen(out.reshape(self.shape))  # 3.
        before, after = (np.abs(one.T * scale).max() for one in (w, left))
        return left if after > COLLAPSED * before else np.zeros(self.shape)
