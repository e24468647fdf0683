"""Blocks of coordinates: how they are made, what bounds their Hessians, and which comes next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from softunit._numeric import EPS
from softunit._typing import Array, Matrix, Vector
from softunit.designs.base import Design
from softunit.designs.dense import DenseDesign
from softunit.errors import InputError
from softunit.problem import Problem

Rule: TypeAlias = Literal["gsq", "gsl", "gs", "random"]
"""How the next block is chosen."""

Index: TypeAlias = npt.NDArray[np.integer]
"""Rows of x."""

KEPT_BYTES = 64 << 20  # columns of fixed blocks that are kept in memory


# Blocks and their columns -------------------------------------------------------------------------


def equal_blocks(d: int, size: int) -> tuple[Index, ...]:
    """Return 0 to d - 1 in order, in blocks of `size`; the last may be smaller."""
    return tuple(np.arange(start, min(start + size, d)) for start in range(0, d, size))


def check_indices(blocks: object) -> None:
    """Raise `InputError` unless blocks given by hand are sequences of integers."""
    wish = "`blocks` must be 'fixed', 'variable' or a sequence of sequences of row numbers of x"
    if not isinstance(blocks, (Sequence, np.ndarray)):
        raise InputError(f"{wish}; got {blocks!r}.")
    for i, block in enumerate(blocks):
        if isinstance(block, str) or not isinstance(block, (Sequence, np.ndarray, range)):
            raise InputError(f"{wish}; block {i} is {block!r}.")
        for row in block:
            if isinstance(row, bool) or not isinstance(row, (int, np.integer)):
                raise InputError(f"{wish}; block {i} holds {row!r}, which is no integer.")


def checked_blocks(blocks: Sequence[Sequence[int]], d: int) -> tuple[Index, ...]:
    """Return blocks given by hand as arrays.

    Raises
    ------
    InputError
        Unless each of 0 to d - 1 is in exactly one block.
    """
    groups = tuple(np.asarray(block, dtype=np.int64) for block in blocks)
    seen = np.bincount(np.concatenate([np.zeros(0, int), *groups]).clip(0), minlength=d)
    outside = [int(j) for group in groups for j in group if not 0 <= j < d]
    wrong = np.flatnonzero(seen[:d] != 1)
    if outside or len(wrong):
        what = f"{outside[0]} is outside" if outside else f"{wrong[0]} is in {seen[wrong[0]]}"
        raise InputError(
            f"`blocks` must hold each of 0 to {d - 1}, the rows of x, in exactly one block;"
            f" {what}{'' if outside else ' of them'}."
        )
    return tuple(group for group in groups if len(group))


def columns_of(design: Design, index: Index) -> Matrix:
    """Return some columns of A, (n, b)."""
    basis = np.zeros((design.shape[1], len(index)))
    basis[index, np.arange(len(index))] = 1.0
    return design.matvec(basis)


@dataclass(frozen=True)
class Columns:
    """Columns of blocks, kept while memory allows: fixed blocks come back.

    Parameters
    ----------
    design : Design
    keep : bool
        Whether blocks are fixed.
    """

    design: Design
    keep: bool
    _kept: dict[bytes, DenseDesign] = field(default_factory=dict)

    def at(self, index: Index) -> DenseDesign:
        """Return the design of some columns, (n, b)."""
        key = index.tobytes()
        if key in self._kept:
            return self._kept[key]
        found = DenseDesign(columns_of(self.design, index))
        if self.keep and sum(part.nbytes for part in self._kept.values()) < KEPT_BYTES:
            self._kept[key] = found
        return found


def restricted(problem: Problem, index: Index, columns: Design) -> Problem:
    """Return the problem in some rows of x, the others held; its points need their scores given.

    Products with its design cost O(n b), and evaluations count with those of the whole.

    Parameters
    ----------
    problem : Problem
    index : ndarray of int
    columns : Design
        The columns of A that belong to them.
    """
    n = problem.design.shape[0]
    part = problem.sampled(slice(0, n), weights=problem.weights, design=columns)
    part.target, part.ridge = problem.target, problem.ridge[index]
    part.lasso = None if problem.lasso is None else problem.lasso.at(index)
    part.shape = (len(index), *problem.shape[1:])
    return part


# What bounds the Hessian of a block ---------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """A matrix M (d, d) that stands for the Hessian in each column of x.

    Parameters
    ----------
    matrix : ndarray of shape (d, d)
        A bound for every point, or the Hessian at one, averaged over the columns of x.
    """

    matrix: Matrix
    _kept: dict[bytes, tuple[Vector, Matrix]] = field(default_factory=dict)

    def parts(self, index: Index) -> tuple[Vector, Matrix]:
        """Return eigenvalues, none at zero or below, and eigenvectors of a block of M."""
        key = index.tobytes()
        if key not in self._kept:
            values, vectors = eigh(self.matrix[np.ix_(index, index)])
            size = np.abs(values)
            self._kept[key] = np.maximum(size, 1e-300 + len(size) * EPS * size.max()), vectors
        return self._kept[key]

    def largest(self, index: Index) -> float:
        """Return L_b: the largest eigenvalue of a block of M."""
        return float(self.parts(index)[0].max())

    def solve(self, index: Index, right: Array) -> Array:
        """Return M_b^-1 right, of the shape of right: (b,) or (b, K)."""
        values, vectors = self.parts(index)
        return np.asarray(vectors @ ((vectors.T @ right).T / values).T)

    @property
    def diagonal(self) -> Vector:
        """The diagonal of M, none at zero or below."""
        each = np.abs(np.diagonal(self.matrix))
        return np.asarray(np.maximum(each, 1e-300 + EPS * each.max()))


def mean_over_columns(hessian: Matrix, columns: int) -> Matrix:
    """Return the mean of the diagonal blocks of columns, (d, d), of a Hessian (dK, dK)."""
    d = len(hessian) // columns
    return np.asarray(np.einsum("jckc->jk", hessian.reshape(d, columns, d, columns)) / columns)


# Which block comes next ---------------------------------------------------------------------------


def score(rule: Rule, gradient: Array, index: Index, measure: Measure | None) -> float:
    """Return what a greedy rule promises of a block.

    ::

        gs    |g_b|^2
        gsl   |g_b|^2 / L_b
        gsq   g_b' M_b^-1 g_b

    Parameters
    ----------
    rule : {"gs", "gsl", "gsq"}
    gradient : ndarray of shape (d,) or (d, K)
    index : ndarray of int
        b.
    measure : Measure or None
        M; "gs" needs none.
    """
    g = gradient[index]
    squares = float(np.vdot(g, g))
    if rule == "gs" or measure is None:
        return squares
    if rule == "gsl":
        return squares / measure.largest(index)
    return float(np.vdot(g, measure.solve(index, g)))


def row_scores(rule: Rule, gradient: Array, measure: Measure | None) -> Vector:
    """Return the score of each row of x by itself, (d,)."""
    squares = np.asarray(gradient**2 if gradient.ndim == 1 else (gradient**2).sum(axis=1))
    return squares if rule == "gs" or measure is None else squares / measure.diagonal


def greedy_quadratic(gradient: Array, allowed: Index, size: int, measure: Measure) -> Index:
    """Return a block found by adding the row that raises g_b' M_b^-1 g_b most, one at a time.

    A partial Cholesky factorisation: with r the gradient and s the diagonal of M after what the
    chosen rows explain, row j adds |r_j|^2 / s_j.

    Parameters
    ----------
    gradient : ndarray of shape (d,) or (d, K)
    allowed : ndarray of int
        Rows to choose among.
    size : int
    measure : Measure
    """
    rest = gradient.reshape(len(gradient), -1).astype(np.float64, copy=True)
    left, floor = measure.diagonal.copy(), 1e-12 * measure.diagonal
    factors = np.zeros((len(rest), 0))
    chosen: list[int] = []
    open_rows = np.zeros(len(rest), dtype=bool)
    open_rows[allowed] = True
    for _ in range(min(size, len(allowed))):
        usable = open_rows & (left > floor)
        if not usable.any():
            break
        gain = np.where(usable, (rest**2).sum(axis=1) / np.where(usable, left, 1.0), -np.inf)
        j = int(gain.argmax())
        column = (measure.matrix[:, j] - factors @ factors[j]) / left[j] ** 0.5
        rest -= np.outer(column, rest[j] / left[j] ** 0.5)
        left -= column**2
        factors = np.column_stack([factors, column])
        open_rows[j] = False
        chosen.append(j)
    return np.sort(np.asarray(chosen, dtype=np.int64))


def ranked(
    rule: Rule,
    gradient: Array,
    groups: Sequence[Index],
    measure: Measure | None,
    rng: np.random.Generator,
) -> Iterator[Index]:
    """Yield fixed blocks, the one to update first: in the order of their scores, or at random."""
    if rule == "random":
        order = rng.permutation(len(groups))
    else:
        scores = np.array([score(rule, gradient, group, measure) for group in groups])
        order = np.argsort(-scores, kind="stable")
    for i in order:
        yield groups[i]


def assembled(
    rule: Rule,
    gradient: Array,
    allowed: Index,
    size: int,
    measure: Measure | None,
    rng: np.random.Generator,
) -> Iterator[Index]:
    """Yield blocks made for this gradient, best first: the next one from the rows left over.

    Parameters
    ----------
    rule : {"gsq", "gsl", "gs", "random"}
    gradient : ndarray of shape (d,) or (d, K)
    allowed : ndarray of int
        Rows to choose among.
    size : int
        Rows in a block.
    measure : Measure or None
        M; "gs" and "random" need none.
    rng : Generator
    """
    while len(allowed):
        if rule == "random":
            block = np.sort(rng.choice(allowed, min(size, len(allowed)), replace=False))
        elif rule == "gsq" and measure is not None:
            block = greedy_quadratic(gradient, allowed, size, measure)
        else:
            scores = row_scores(rule, gradient, measure)[allowed]
            block = np.sort(allowed[np.argsort(-scores, kind="stable")[:size]])
        if not len(block):
            return
        yield block
        allowed = np.setdiff1d(allowed, block)
