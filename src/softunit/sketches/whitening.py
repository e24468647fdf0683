"""A basis in which the weighted columns of a design are orthonormal, and its rank."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh, qr, svd

from softunit._threads import linear_algebra_on_threads
from softunit._typing import Matrix, Vector
from softunit.curvature import Diagonal
from softunit.designs import Design
from softunit.designs.base import BLOCK_ENTRIES
from softunit.sketches.base import rows_of_blocks, stored

RANK = 1e-12  # of the largest singular value, columns scaled to one size: smaller ones are rounding
CLEAR = 1e-4  # of the largest eigenvalue of the scaled Gram: smaller ones cost digits


def whitener(design: Design, weights: Vector | None) -> Matrix:
    """Return T, (d, r), such that diag(sqrt(weights)) A T has orthonormal columns; r is the rank.

    1. Decompose the Gram of the scaled columns: one pass.  2. Where that costs digits, take the
    triangular factor of a blockwise QR instead, in which the rank can be seen, and make up for
    what its inverse loses by the Gram of A T: two passes more.
    """
    gram = weighted_gram(design, weights)
    size = np.sqrt(np.diagonal(gram))
    if np.isfinite(gram).all() and size.all():
        values, vectors = eigh(gram / size / size[:, None])
        if values[0] > CLEAR * values[-1]:  # 1.
            return np.asarray(vectors / size[:, None] / np.sqrt(values))
    basis = whitener_of(triangle(design, weights))  # 2.
    if basis.shape[1] == 0:
        return basis
    values, vectors = eigh(weighted_gram(design, weights, basis))
    return np.asarray(basis @ (vectors / np.sqrt(values)))


def whitener_of(a: Matrix) -> Matrix:
    """Return T, (d, r), such that A T has orthonormal columns, from a small A or its R factor."""
    _, values, scaled = decomposed(a)
    return np.asarray(scaled / values)


def decomposed(a: Matrix) -> tuple[Matrix, Vector, Matrix]:
    """Return U (m, r), s (r,) and W (d, r) with A W = U diag(s), r the rank, U orthonormal.

    Columns are scaled to one size before the rank is judged, so units of measurement do not matter.
    """
    size = np.abs(a).max(axis=0, initial=0.0)
    size[size == 0] = 1.0
    length = np.sqrt(np.square(a / size).sum(axis=0))
    size *= np.where(length == 0, 1.0, length)
    left, values, right = svd(a / size, full_matrices=False, check_finite=False)
    kept = values > RANK * values.max(initial=0.0)
    return left[:, kept], values[kept], right[kept].T / size[:, None]


def triangle(design: Design, weights: Vector | None, right: Vector | None = None) -> Matrix:
    """Return the R factor of diag(sqrt(weights)) [A, right], block by block.

    Parameters
    ----------
    design : Design
        A, (n, d).
    weights : ndarray of shape (n,) or None
    right : ndarray of shape (n,) or None, default None
        One more column.
    """
    d = design.shape[1]
    factor = np.zeros((0, d + (right is not None)))
    size = max(4 * d, BLOCK_ENTRIES // d)
    with linear_algebra_on_threads():
        for rows, part in design.blocks(size):
            block = part.toarray()
            if right is not None:
                block = np.column_stack([block, right[rows]])
            if weights is not None:
                block = np.sqrt(weights[rows])[:, None] * block
            stacked = np.concatenate([factor, block])
            factor = qr(stacked, mode="r", overwrite_a=True, check_finite=False)[0]
            factor = factor[: factor.shape[1]]
    return np.asarray(factor)


def weighted_gram(design: Design, weights: Vector | None, basis: Matrix | None = None) -> Matrix:
    """Return T' A' diag(weights) A T, block by block; without a basis T is the identity."""
    rows = rows_of_blocks(design, design.shape[1]) if basis is None else _rows(design, basis)
    source = design if basis is None else stored(design)
    image = None if basis is None else products(design, basis)

    def part(block: tuple[slice, Design]) -> tuple[Matrix]:
        at, a = block
        w = np.ones(at.stop - at.start) if weights is None else weights[at]
        if image is None:
            return (a.gram(Diagonal(w)),)
        q = image(a)
        return (q.T @ (w[:, None] * q),)

    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is taken by QR
        (total,) = source.over_blocks(part, rows)
    return np.asarray(total)


def products(design: Design, basis: Matrix) -> Callable[[Design], Matrix]:
    """Return the function block -> (rows of A) T, for blocks of `stored(design)`."""
    if stored(design) is design:
        return lambda block: np.asarray(block.toarray() @ basis)
    inside, constant = design.into_core(basis)

    def product(block: Design) -> Matrix:
        image = block.matvec(inside)
        if constant is not None:
            image += constant
        return image

    return product


def _rows(design: Design, basis: Matrix) -> int:
    """Return the rows of blocks short enough for their products as well."""
    return int(BLOCK_ENTRIES / max(design.row_entries, basis.shape[1]))


def row_squares(design: Design, basis: Matrix, weights: Vector | None) -> Vector:
    """Return weights * |rows of A T|^2, shape (n,): one pass over blocks of rows."""
    out = np.zeros(design.shape[0])
    if basis.shape[1] == 0:
        return out
    image = products(design, basis)

    def part(block: tuple[slice, Design]) -> tuple[float]:
        rows, a = block
        q = image(a)
        np.einsum("ij,ij->i", q, q, out=out[rows])
        return (0.0,)

    stored(design).over_blocks(part, _rows(design, basis))
    return out if weights is None else out * weights
