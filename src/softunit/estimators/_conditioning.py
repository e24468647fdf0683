"""Columns brought to one size inside, and the least-norm answer where many would do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import LinearOperator, lsmr

from softunit._numeric import EPS
from softunit._typing import Array, Matrix, Vector
from softunit.designs import Design, ScaledDesign
from softunit.errors import InputError
from softunit.penalties import ElasticNet, Penalty, Ridge
from softunit.problem import FORM_LIMIT, Problem
from softunit.spectrum import Metric, clearly_independent

SMALLEST, LARGEST = 1e-290, 1e290  # mean square, and sum of squares, of a column that can be used


def conditioned(
    design: Design, *, intercept: bool, centre: bool, ridge: float, weights: Vector | None = None
) -> ScaledDesign:
    """Return the design with columns centred (if asked) and scaled to Hessian diagonals near one.

    The scale of a column is sqrt(second moment + ridge): a change of variables, so the objective
    stays the same; columns of 1e12 and of 1e-12 meet the solver at one size.

    Raises
    ------
    InputError
        If the squares of a column overflow, or underflow.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # refused below, with a sentence
        mean, variance = design.column_moments(weights)
        moment = variance if centre else variance + mean**2
    bad = np.flatnonzero(~(moment * design.shape[0] < LARGEST))
    if len(bad):
        raise InputError(
            f"column {bad[0]} is so large that its squares overflow float64; divide it by its"
            " largest entry."
        )
    quiet = variance + mean**2 < SMALLEST
    if quiet.any() and design.largest_terms(quiet.astype(np.float64)) > 0:
        silent = np.flatnonzero(quiet)
        lost = silent[design.abs_rmatvec(np.ones(design.shape[0]))[silent] > 0]
        if len(lost):
            raise InputError(
                f"column {lost[0]} is so small that its squares underflow float64; divide it"
                " by its largest entry."
            )
    scale = np.sqrt(moment + ridge)
    if centre:
        # A constant column leaves only rounding behind once it is centred: nothing to fit.
        scale[variance <= 1e-24 * mean**2] = np.inf
    return ScaledDesign(
        design,
        intercept=intercept,
        centre=mean if centre else None,
        scale=np.where(scale > 0, scale, 1.0),
    )


def scaled_ridge(design: ScaledDesign, strength: float) -> Ridge:
    """Return the ridge on the scaled columns that is `strength` on the input's own.

    Silenced columns are held, so that they do not count as free; an intercept stays free.
    """
    each = strength / design.scale**2
    if strength > 0:
        each[np.isinf(design.scale)] = 1.0
    return Ridge(np.append(each, 0.0) if design.intercept else each)


def scaled_elastic_net(
    design: ScaledDesign, strength: float, *, l1_ratio: float, grouped: bool = False
) -> tuple[Penalty, ...]:
    """Return the penalties on the scaled columns that are an elastic net on the input's own.

    ::

        strength * (l1_ratio * |w|_1 + (1 - l1_ratio) / 2 * |w|^2),  w = x / scale

    The l1 part of a column is divided by its scale, and the ridge by its square. Silenced columns
    are held, an intercept stays free. Without an l1 part it is `scaled_ridge`.

    Parameters
    ----------
    design : ScaledDesign
    strength : float
    l1_ratio : float
        0 to 1.
    grouped : bool, default False
        Whether |w|_1 is the sum of the 2-norms of the rows of w.
    """
    ridge = scaled_ridge(design, (1.0 - l1_ratio) * strength)
    if l1_ratio == 0 or strength == 0:
        return (ridge,)
    each = l1_ratio * strength / design.scale
    each[np.isinf(design.scale)] = 1.0
    every = np.append(each, 0.0) if design.intercept else each
    return ElasticNet(every, l1_ratio=1.0, group=grouped), ridge


@dataclass(frozen=True)
class NullSpace:
    """Combinations of the input's columns that change no score (up to a constant if centred).

    Only rows of positive weight count: where folds are told by weights of zero, the columns are
    centred on all rows, and a combination may be constant on some.

    Attributes
    ----------
    problem : Problem
        Of a `ScaledDesign`.
    basis : ndarray of shape (d, m), or None
        Orthonormal; None where d is too large to decompose.
    shift : ndarray of shape (m,), or None
        What each of them adds to the scores.
    """

    problem: Problem
    basis: Matrix | None
    shift: Vector | None = None

    @classmethod
    def of(cls, problem: Problem) -> NullSpace:
        """Take the null directions of the problem's metric, in the input's columns."""
        if problem.shape[0] > FORM_LIMIT:
            return cls(problem, None)
        design = _scaled(problem)
        if clearly_independent(problem):
            return cls(problem, np.zeros((design.inner.shape[1], 0)), np.zeros(0))
        d = design.inner.shape[1]
        null = Metric.of(problem).null
        silent = np.isinf(design.scale)
        raw = np.where(silent[:, None], null[:d], null[:d] / design.scale[:, None])
        length = np.linalg.norm(raw, axis=0)
        heard = length > 0
        left, sizes, right = np.linalg.svd(raw[:, heard] / length[heard], full_matrices=False)
        kept = sizes > EPS * max(raw.shape) * sizes.max(initial=0.0)
        constant = null[d, heard] / length[heard] if design.intercept else np.zeros(heard.sum())
        # The intercept makes up for the constant that a combination adds.
        shift = -(right[kept] @ constant) / sizes[kept]
        return cls(problem, left[:, kept], shift)

    @property
    def found(self) -> bool:
        """Whether null directions are known to exist."""
        return self.basis is not None and self.basis.shape[1] > 0

    def least_norm(self, x: Array) -> Array:
        """Return the x with the same scores, up to rounding, and the least coefficients."""
        design = _scaled(self.problem)
        moved = design.to_input(x)
        w = moved[: design.inner.shape[1]].copy()
        if self.basis is None or self.shift is None:
            least, constant = self._by_lsmr(w)
        else:
            along = self.basis.T @ w
            least, constant = w - self.basis @ along, self.shift @ along
        moved[: len(least)] = least
        if design.intercept and design.centre is not None:
            # The centred scores stay but for the constant that was taken away.
            moved[-1] = x[-1] + constant - design.centre @ least
        return design.from_input(moved)

    def _by_lsmr(self, w: Array) -> tuple[Array, Array]:
        design, weights = _scaled(self.problem), self.problem.weights
        inner, centre = design.inner, design.centre
        kept = np.ones(inner.shape[0]) if weights is None else (weights > 0).astype(np.float64)
        m = np.zeros(inner.shape[1]) if centre is None else inner.column_moments(kept)[0]
        operator = LinearOperator(
            inner.shape,
            matvec=lambda v: kept * (inner.matvec(v.ravel()) - m @ v.ravel()),
            rmatvec=lambda g: inner.rmatvec(kept * g.ravel()) - m * (kept @ g.ravel()),
            dtype=np.float64,
        )
        columns = w[:, None] if w.ndim == 1 else w
        solved = [lsmr(operator, operator @ c, atol=1e-14, btol=1e-14)[0] for c in columns.T]
        least = np.stack(solved, axis=1).reshape(w.shape)
        return least, (m if centre is None else m - centre) @ (w - least)


def _scaled(problem: Problem) -> ScaledDesign:
    assert isinstance(problem.design, ScaledDesign)
    return problem.design


def least_norm_point(problem: Problem, x: Array, tol: float) -> tuple[Array, bool]:
    """Return the point of least norm among those that score like x, and whether there are others.

    Nearly collinear columns can make a projection move what it must not: then x stays.
    """
    null = NullSpace.of(problem)
    moved = null.least_norm(x)
    before, after = problem.evaluate(x), problem.evaluate(moved)
    same = after.value <= before.value * (1 + 1e-13) + 1e-26
    steep = max(tol, 2 * problem.gradient_norm(before.gradient))
    if same and problem.gradient_norm(after.gradient) <= steep:
        return moved, null.found
    return x, null.found
