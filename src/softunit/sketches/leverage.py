"""Leverage scores: how much each row of a design matters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._checks import check_choice, check_count, check_positive, check_weights
from softunit._typing import Matrix, Vector
from softunit.designs import Design, as_design
from softunit.errors import InputError
from softunit.sketches.bounds import MOST_ROWS, directions_needed, gaussian_deviation, least_rows
from softunit.sketches.count_sketch import CountSketch
from softunit.sketches.whitening import row_squares, whitener, whitener_of

METHODS = ("exact", "sketched")
FIRST = 1.5  # factor that the first sketch may be off by: measured
AIMED = 1.35  # and the one that its rows are counted for, with the bound of a Gaussian sketch
NONZEROS = 8  # of the first sketch, in each column
DENSE_COLUMNS = 256  # up to which the Gram costs no more than the sketch (measured)
SPARSE_ENTRIES = 16  # and entries in a sparse row
PAYS = 8  # rows of A for each row of a sketch worth making
DELTA = 0.05  # probability with which some row may be further off


def leverage_scores(
    a: Any,
    method: str = "exact",
    *,
    weights: npt.ArrayLike | None = None,
    factor: float = 2.0,
    seed: int = 0,
) -> Vector:
    """Return the leverage scores of the rows of diag(sqrt(w)) A, shape (n,).

    Score i is the i-th diagonal entry of the projection on the range::

        tau_i = w_i a_i' (A' diag(w) A)^+ a_i,     0 <= tau_i <= 1,     sum(tau) = rank

    Parameters
    ----------
    a : array_like, scipy sparse, frame or Design, of shape (n, d)
    method : {"exact", "sketched"}, default "exact"
        "exact" takes O(n d^2) work in two passes over A: one for a whitening T, (d, d), and one
        for |a_i' T|^2. Where columns are collinear or nearly so it takes four. "sketched" takes T
        from a sketch, where that is cheaper than the Gram of the columns, and |a_i' T G|^2 with
        a Gaussian G of k columns, where k < d.
    weights : array_like of shape (n,) or None, default None
        w, nonnegative; None means one.
    factor : float, default 2.0
        Sketched scores are within this factor of the exact ones, all rows at once, with
        probability 0.95; above 1.5. A sketch behind T may be off by 1.5: that is measured, not
        proved. The rest sets k by the tails of chi-square, which is proved. The larger the
        factor, the fewer columns has G: with T from the Gram and n = 500,000 143 for 2, 65 for 3,
        30 for 6 and 12 for 30.
    seed : int, default 0
        Of the sketch and of G.

    Returns
    -------
    ndarray of shape (n,)
        Rows of weight zero have score zero.

    Raises
    ------
    InputError
        If A or a weight is not finite, a weight is negative, or `method`, `factor` or `seed` is out
        of range.

    Notes
    -----
    No array is larger than a block of rows, (d, d), or some numbers for each row. Combinations of
    the columns below 1e-12 of the largest, each column scaled to unit size, count as null. The
    sketch is a `CountSketch` with 8 nonzeros in each column; it is taken for dense designs of more
    than 256 columns and sparse ones of more than 16 entries a row, with enough rows. Source of the
    two factors: P. Drineas and others (2012), "Fast approximation of matrix coherence and
    statistical leverage", with this sketch for their Hadamard transform.
    """
    check_choice("method", method, METHODS)
    check_count("seed", seed)
    check_factor(factor)
    design = as_design(a)
    w = None if weights is None else check_weights(weights, design.shape[0])
    if method == "exact":
        return row_squares(design, whitener(design, w), w)
    return sketched_scores(design, w, factor, np.random.default_rng(seed))


def sketched_scores(
    design: Design, weights: Vector | None, factor: float, rng: np.random.Generator
) -> Vector:
    """Return scores within a factor of the exact ones; exact ones where a sketch saves nothing.

    1. T from a sketch of the rows, or from all of them.  2. Random directions in its columns, if
    they are fewer.  3. Squares of the rows.
    """
    n, d = design.shape
    rows = first_rows(d)
    most = SPARSE_ENTRIES if design.row_entries < d else DENSE_COLUMNS
    if n < PAYS * rows or design.row_entries <= most:
        basis = _fewer_columns(whitener(design, weights), n, factor, rng)
        return row_squares(design, basis, weights)
    drawn = CountSketch(rows, NONZEROS).draw(design, rng)
    image = drawn.apply(design, weights=weights)
    basis = whitener_of(np.asarray(np.linalg.qr(image, mode="r")))  # 1.
    basis = _fewer_columns(basis, n, factor / FIRST, rng)  # 2.
    return row_squares(design, basis, weights)  # 3.


def check_factor(factor: float) -> None:
    """Raise `InputError` unless a factor leaves something to the random directions."""
    if not check_positive("factor", factor, infinite=True) > FIRST:
        raise InputError(
            f"`factor` must be above {FIRST}, what the first sketch takes of it; got {factor!r}."
            " The method 'exact' has no factor."
        )


def first_rows(d: int) -> int:
    """Return how many rows the first sketch has for d columns."""
    spread = 1 - AIMED**-0.5
    needed = least_rows(lambda m: gaussian_deviation(m, d, DELTA), spread)
    return -(-needed // NONZEROS) * NONZEROS


def _fewer_columns(basis: Matrix, n: int, factor: float, rng: np.random.Generator) -> Matrix:
    rank = basis.shape[1]
    k = directions_needed(n, factor, DELTA) if rank else MOST_ROWS
    if k >= rank:
        return basis
    # Columns of the basis are free to turn, and rounding turns them: the triangular one is unique.
    upper = np.linalg.qr(basis.T, mode="r")
    basis = np.where(np.diagonal(upper) < 0, -1.0, 1.0) * np.asarray(upper).T
    return np.asarray(basis @ (rng.standard_normal((rank, k)) / np.sqrt(k)))
