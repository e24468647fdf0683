"""Variances of chosen parameters by preconditioned conjugate gradients: no p^2 floats anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._threads import add_up
from softunit._typing import Array, Matrix, Vector
from softunit.curvature import Curvature
from softunit.designs.base import Block, Design
from softunit.errors import InputError
from softunit.inference.free import Free, lasso_curvature, ridge_entries, transposed_to_input
from softunit.inference.names import Names, label
from softunit.inference.scatter import Scatter
from softunit.inference.vanishing import Spread
from softunit.point import Point
from softunit.problem import Problem
from softunit.solvers.preconditioner import KroneckerPreconditioner

RTOL = 1e-10  # of the preconditioned residual, at which a system counts as solved
TRUE = 1e-5  # likewise for the residual made anew, as the recurrence may drift from it
MAX_ITER = 2000

VECTORS = 7  # arrays of p floats for each right-hand side that are held at once
SCORES = 3  # likewise arrays of the scores of a block of rows

Curved = tuple[Design, Curvature]


@dataclass(frozen=True)
class IterativeErrors:
    """What variances are made of where p^2 floats do not fit in memory.

    For a reported parameter l'x, with B the Hessian of the penalised objective, I that without
    penalty, and S_c the scores of observations or clusters::

        v = B^-1 l;    classical v' I v  (l'v without penalty);    robust sum_c (S_c'v)^2

    1. Take as many parameters at once as the budget holds.  2. Solve for their v together: each
    pass over the rows serves them all.  3. One pass more for the sandwich.

    Attributes
    ----------
    problem : Problem
    point : Point
        The optimum.
    free : Free
    names : Names
    budget : float
        Bytes for the right-hand sides and what belongs to them. The preconditioner, at most a
        quarter of the design plus 100 MB, comes on top.
    """

    problem: Problem
    point: Point
    free: Free
    names: Names
    budget: float

    def spread(
        self, chosen: npt.NDArray[np.intp], scatter: Scatter | None, gradient: Vector
    ) -> Spread:
        """Return the variances of some reported parameters, and what is left of each step.

        Parameters
        ----------
        chosen : ndarray of int, shape (m,)
        scatter : Scatter or None
            The filling of the sandwich, its classes the identity; None gives classical variances.
        gradient : ndarray of shape (p,)
            Of the mean objective, where its penalty is smooth.

        Raises
        ------
        InputError
            If the budget does not hold one right-hand side, or a system cannot be solved.
        """
        size = self.columns_at_once(scatter)
        variance, classical, step = np.zeros((3, len(chosen)))
        for start in range(0, len(chosen), size):  # 1.
            part = slice(start, start + size)
            right = self._right(chosen[part])
            v = self._solved(right, chosen[part])  # 2.
            image = right if self._added is None else self._product(v) - self._added @ v
            classical[part] = np.einsum("pm,pm->m", v, image) / self.problem.mass
            step[part] = gradient @ v
            if scatter is not None:
                variance[part] = scatter.along(v) / self.problem.mass**2  # 3.
        return Spread(classical if scatter is None else variance, classical, step)

    def columns_at_once(self, scatter: Scatter | None) -> int:
        """Return how many right-hand sides the budget holds.

        Raises
        ------
        InputError
            If it is none.
        """
        rows = max(part.stop - part.start for part, _ in self._blocks)
        each = 8.0 * (VECTORS * self.problem.size + SCORES * rows * self.problem.columns)
        if scatter is not None and scatter.groups is not None:
            each += 8.0 * scatter.count
        if each > self.budget:
            raise InputError(
                f"`memory` of {self.budget:.3g} bytes does not hold the {each:.3g} bytes that one"
                " parameter takes; give more."
            )
        return int(self.budget // each)

    # The linear systems ----------------------------------------------------------------------

    def _right(self, chosen: npt.NDArray[np.intp]) -> Matrix:
        """Return l for some parameters, less what is not free, (p, m)."""
        basis = self.names.basis[:, chosen].toarray()
        d, m = self.problem.shape[0], len(chosen)
        moved = transposed_to_input(self.problem.design, basis.reshape(d, -1))
        return self.free.project(moved.reshape(-1, m))

    def _solved(self, right: Matrix, chosen: npt.NDArray[np.intp]) -> Matrix:
        """Return B^-1 L by conjugate gradients, each column stopped on its own."""
        out, live = np.zeros_like(right), np.arange(right.shape[1])
        residual, direction = right.copy(), self._preconditioned(right)
        rho = np.einsum("pm,pm->m", residual, direction)
        first = rho.copy()
        for _ in range(MAX_ITER):
            go = rho > RTOL**2 * first[live]
            if not go.all():
                live, rho = live[go], rho[go]
                residual, direction = residual[:, go], direction[:, go]
            if not len(live):
                break
            image = self._product(direction)
            curved = np.einsum("pm,pm->m", direction, image)
            length = np.divide(rho, curved, out=np.zeros_like(rho), where=curved > 0)
            out[:, live] += length * direction
            residual -= length * image
            z = self._preconditioned(residual)
            rho, before = np.einsum("pm,pm->m", residual, z), rho
            direction = z + (rho / before) * direction
        self._check(out, right, first, chosen)
        return out

    def _check(self, v: Matrix, right: Matrix, first: Vector, chosen: npt.NDArray[np.intp]) -> None:
        left = right - self._product(v)
        rho = np.einsum("pm,pm->m", left, self._preconditioned(left))
        lost = np.flatnonzero(~(rho <= TRUE**2 * first))
        if len(lost):
            names = ", ".join(repr(label(self.names.names[chosen[i]])) for i in lost[:5])
            more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
            raise InputError(
                f"no standard errors for {names}{more}: conjugate gradients did not settle in"
                f" {MAX_ITER} iterations, as the information matrix is singular along them, or"
                " nearly so. Drop columns that others make up, or rows in which they are constant."
            )

    def _product(self, v: Matrix) -> Matrix:
        """Return E E' B v over the mass, for v (p, m) with v = E E' v."""
        d, k, m = self.problem.shape[0], self.problem.columns, v.shape[1]
        stacked = np.ascontiguousarray(v).reshape(d, k * m)

        def part(curved: Curved) -> tuple[Array]:
            design, curvature = curved
            q = design.matvec(stacked)
            if len(self.problem.shape) == 1:
                return (design.rmatvec(curvature.matvec(q)),)
            cube = q.reshape(len(q), k, m)
            image = np.stack([curvature.matvec(cube[:, :, j]) for j in range(m)], axis=2)
            return (design.rmatvec(image.reshape(len(q), k * m)),)

        if self._stored:
            total = add_up(part, self._curved)[0]
        else:
            total = add_up(lambda block: part(self._at(block)), self._blocks)[0]
        image = np.asarray(total).reshape(v.shape)
        return self.free.project(image if self._added is None else image + self._added @ v)

    def _preconditioned(self, right: Matrix) -> Matrix:
        """Return E E' (approximate B^-1) r for each column r of (p, m)."""
        shape, m = self.problem.shape, right.shape[1]
        if not self.free.held.any():
            # All at once. Where constants across the classes are taken out, those of all columns
            # are taken out together, which the projection makes good.
            inverse = self._made.at(np.repeat(self._diagonal, m))
            return self.free.project(inverse(right.reshape(shape[0], -1)).reshape(right.shape))
        inverse = self._made.at(self._diagonal)
        columns = [inverse(np.ascontiguousarray(r).reshape(shape)).reshape(-1) for r in right.T]
        return self.free.project(np.stack(columns, axis=1))

    # What they are made of -------------------------------------------------------------------

    @cached_property
    def _blocks(self) -> list[Block]:
        return self.problem.by_rows.blocks(self.problem.columns)

    @cached_property
    def _stored(self) -> bool:
        """Whether all curvatures may be kept: else each product makes them anew."""
        return 8.0 * self.problem.design.shape[0] * self.problem.columns <= 0.25 * self.budget

    def _at(self, block: Block) -> Curved:
        rows, x = self.problem.by_rows, self.point.x
        scores = rows.block_scores(*block, x, self.point.scores)
        return block[1], rows.curvature(block[0], scores, "exact")

    @cached_property
    def _curved(self) -> list[Curved]:
        return [self._at(block) for block in self._blocks]

    @cached_property
    def _added(self) -> Any:
        """The second derivative of the penalties, sparse (p, p); None where there are none."""
        ridge, curved = ridge_entries(self.problem), lasso_curvature(self.problem, self.point.x)
        if not ridge.any() and curved is None:
            return None
        diagonal = sparse.diags_array(ridge, format="csr")
        return diagonal if curved is None else diagonal + curved

    @cached_property
    def _diagonal(self) -> Vector:
        """The diagonal of the curvature, summed over the rows: one for each column of scores."""
        if self._stored:
            return np.asarray(sum(curvature.diagonal_sum() for _, curvature in self._curved))
        return np.asarray(sum(self._at(block)[1].diagonal_sum() for block in self._blocks))

    @cached_property
    def _made(self) -> KroneckerPreconditioner:
        problem, unit = self.problem, self.problem.unit

        def seen() -> Matrix:
            n = problem.design.shape[0]
            return np.asarray(problem.design.gram(unit.projection(n)) / problem.mass)

        return KroneckerPreconditioner(problem, None if unit.rowwise else seen)
