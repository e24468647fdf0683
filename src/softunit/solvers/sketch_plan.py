"""Which samples a sketched Newton run passes through, and the Hessians it makes of them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from softunit._row_array import count_nonzero
from softunit._threads import linear_algebra_on_threads
from softunit._typing import Array, Matrix
from softunit.designs.base import BLOCK_ENTRIES, WIDE
from softunit.point import Point
from softunit.problem import Problem
from softunit.solvers.class_grams import has_small_blocks, inverse_of_blocks
from softunit.solvers.conjugate_gradients import conjugate_gradients
from softunit.solvers.memory import Inverse
from softunit.solvers.preconditioner import DECOMPOSE_LIMIT, KroneckerPreconditioner
from softunit.solvers.row_sample import RowSample, drawn_once

if TYPE_CHECKING:
    from softunit.solvers.sketched_newton import SketchedNewton

FIRST_ROWS = 5000  # fewer cost no less time
PER_PARAMETER = 2.0  # rows for each parameter in the smallest sample worth a look
AT_MOST = 4  # of which a sample for the Hessian is one part
DETERMINED = 3.0  # rows for each parameter from which a sample determines the Hessian
GRAM_ROWS = (4, 20)  # rows for each column in the Gram of the preconditioner: at least, at most
GRAM_WORK = 2.0  # rows of it that cost half a gradient: this times n K over d
BLOCK_ROWS = 5000  # and those that a Gram for each class is taken from
MEAN_ROWS = 2000  # rows that the mean curvature of a class is taken from
COARSE_WORK = 1e7  # entries of A times columns of scores: a pass of some milliseconds
CG_RTOL = 0.1  # of the preconditioned residual: the memory mends the rest,
CG_RTOL_FAR = 0.003  # but where many rows are on disk, products with a sample cost nothing
FAR_BYTES = 5e8  # beside a pass over them all


@dataclass(frozen=True)
class Plan:
    """Samples of one problem, smallest first, the whole last.

    Attributes
    ----------
    whole : Problem
    sizes : tuple of int
        Rows of the samples, without the whole.
    sample : RowSample or None
        None where the whole is used throughout.
    """

    whole: Problem
    sizes: tuple[int, ...]
    sample: RowSample | None

    @property
    def last(self) -> int:
        """Number of the stage that is the whole."""
        return len(self.sizes)

    @cached_property
    def coarse(self) -> bool:
        """Whether there is enough work for float32 to pay, and the design bears it."""
        design = self.whole.design
        work = design.shape[0] * design.row_entries * self.whole.columns
        return design.narrowable and work > COARSE_WORK

    @cached_property
    def sound(self) -> bool:
        """Whether float32 holds the entries of the sample; else it cannot be worked with."""
        return bool(np.isfinite(self.first.gradient).all())

    @cached_property
    def first(self) -> Point:
        """Zero on the smallest sample."""
        least = self.problem(0)
        return least.evaluate(np.zeros(least.shape), store=False, coarse=self.coarse)

    @cached_property
    def _sampled(self) -> Problem:
        return self.whole if self.sample is None else self.sample.of(self.whole)

    def problem(self, stage: int) -> Problem:
        """Return the problem of a stage."""
        if stage == self.last:
            return self.whole
        return self.head(self.sizes[stage])

    def head(self, rows: int) -> Problem:
        """Return the problem of the first rows of the sample, of all its rows if it has fewer."""
        if self.sample is None:
            return self.whole
        return self.sample.first(self._sampled, max(rows, 1))

    def samples_hessian(self, kind: str) -> bool:
        """Return whether the Hessian is that of a sample."""
        if kind != "auto":
            return kind == "sampled"
        rows = self._sampled.design.shape[0]
        few = self.sample is not None and AT_MOST * rows <= self.whole.design.shape[0]
        return few and rows >= DETERMINED * _parameters(self.whole)

    @cached_property
    def preconditioner(self) -> KroneckerPreconditioner:
        """One weighted Gram for each class."""
        kept, score_ridge = self.whole.prepared.get("preconditioner", (None, None))
        made = None
        if kept is not None and np.array_equal(score_ridge, self.whole.score_ridge):
            made = kept.with_ridge(self.whole.ridge)
        if made is None:
            made = KroneckerPreconditioner(self.whole, self._gram)
            self.whole.prepared["preconditioner"] = (made, self.whole.score_ridge)
        return made

    def _gram(self) -> Matrix:
        """Return the Gram of some rows, gathered piece by piece; float32 where it is large."""
        whole, sample = self.whole, self.sample
        if sample is None:
            return whole.gram
        d = whole.shape[0]
        dtype = np.float64 if d <= DECOMPOSE_LIMIT else np.float32
        total, mass = np.zeros((d, d), dtype=dtype), 0.0
        heaviest = sample.heaviest
        entries = whole.design.block_entries if whole.design.home == "device" else BLOCK_ENTRIES
        size = max(64, entries // (2 * d))
        # Short blocks have no work for threads of linear algebra, which then spin.
        with linear_algebra_on_threads() if d > WIDE else nullcontext():
            for start in range(0, len(sample.index), size):
                rows, weights = sample.piece(slice(start, start + size))
                held = start + len(rows) <= len(sample)
                part = slice(start, start + len(rows))
                some = sample.design.rows(part) if held else whole.design.rows(rows)
                shares = np.ones(len(rows)) if weights is None else weights / heaviest
                if some.home == "device":
                    total += some.weighted_gram(shares)
                else:
                    a: Any = np.array(some.toarray(), dtype=dtype)
                    a *= np.sqrt(shares).astype(dtype)[:, None]
                    total += a.T @ a
                mass += float(shares.sum())
                whole.cost.rows += len(rows)
        total /= dtype(mass)
        return total

    def inverse_of_blocks(self, x: Array) -> Inverse:
        """Return the inverse of the Hessian's diagonal blocks at x, from some rows."""
        return inverse_of_blocks(self.whole, self.head(BLOCK_ROWS), x)

    def inverse(self, stage: int, x: Array, kind: str, max_cg: int) -> Inverse:
        """Return R -> approximate H^-1 R at x for a stage."""
        point = Point(x, np.nan, x, None)
        few = self.head(MEAN_ROWS)
        if not self.samples_hessian(kind):
            return self.preconditioner.at(few.hessian_product(point, coarse=True)[1])
        rows = self.whole.design.shape[0] if stage == self.last else self.sizes[stage]
        least = int(DETERMINED * _parameters(self.whole))
        sample = self.head(max(rows // 8, least, min(rows, FIRST_ROWS)))
        product, diagonal = sample.hessian_product(point, coarse=True)
        precondition = self.preconditioner.at(diagonal)
        design = self.whole.design
        away = design.home == "disk" and design.nbytes > FAR_BYTES
        far = away and stage == self.last
        rtol, most = (CG_RTOL_FAR, 2 * max_cg) if far else (CG_RTOL, max_cg)
        return lambda right: conjugate_gradients(
            product, precondition, right, rtol=rtol, max_iter=most
        )


def planned(problem: Problem, solver: SketchedNewton) -> Plan:
    """Return the plan for a problem, made once."""
    kept = problem.prepared.get("plan")
    if kept is not None and kept[0] is problem and kept[1] == solver:
        return kept[2]  # type: ignore[no-any-return]
    sizes = _sizes(problem, solver.growth)
    n = problem.design.shape[0]
    # Sizes of folds differ by a row or two: one sample must serve them all. For a sampled Hessian
    # of fewer rows than stages need, as many as it takes are gathered; the Gram gathers by itself.
    determined = int(DETERMINED * _parameters(problem))
    few = max(determined, min(n // AT_MOST, FIRST_ROWS)) if AT_MOST * determined <= n else 0
    means = BLOCK_ROWS if has_small_blocks(problem) else MEAN_ROWS
    held = max(n // solver.growth if sizes else 0, few, min(n // AT_MOST, means))
    drawn = max(held, min(_gram_rows(problem), n // 2) if sizes else _gram_rows(problem))
    if problem.design.home != "memory":  # rows that are not gathered would be looked for one by one
        held = drawn = min(drawn, most_rows(problem))
    some = sizes or drawn < n // 2
    sample = drawn_once(problem, drawn, held, solver.seed) if some else None
    plan = Plan(problem, sizes, sample)
    problem.prepared["plan"] = (problem, solver, plan)
    return plan


def _sizes(problem: Problem, growth: int) -> tuple[int, ...]:
    """Return n/growth, n/growth^2, ... down to the smallest sample worth a look, ascending."""
    n = problem.design.shape[0]
    heard = n if problem.weights is None else count_nonzero(problem.weights)
    least = max(FIRST_ROWS, int(PER_PARAMETER * _parameters(problem)))
    sizes = []
    rows = min(heard // growth, most_rows(problem))
    while rows >= least:
        sizes.append(rows)
        rows //= growth
    return tuple(reversed(sizes))


def most_rows(problem: Problem) -> int:
    """Return how many rows may be gathered."""
    limit = problem.design.sample_limit
    return problem.design.shape[0] if limit is None else limit


def _gram_rows(problem: Problem) -> int:
    """Return from how many rows the Gram is taken: as many as cost about half a gradient."""
    n, d = problem.design.shape
    least, most = (rows * d for rows in GRAM_ROWS)
    return max(FIRST_ROWS, min(most, max(least, int(GRAM_WORK * n * problem.columns / d))))


def _parameters(problem: Problem) -> int:
    """Return the parameters that rows must determine: the last class follows from the others."""
    return problem.shape[0] * max(1, problem.columns - 1)
