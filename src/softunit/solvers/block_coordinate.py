"""Block coordinate descent: a few rows of x at a time, the most promising first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from softunit._checks import check_choice, check_count, check_positive
from softunit._numeric import ShiftedCholesky, dot
from softunit._typing import Array, Matrix
from softunit.curvature import Diagonal
from softunit.errors import InputError, NeedsError
from softunit.line import Line
from softunit.point import Point
from softunit.problem import FORM_LIMIT, Problem
from softunit.solution import Status
from softunit.solvers.base import Solver, check_scores_kept
from softunit.solvers.blocks import (
    Columns,
    Index,
    Measure,
    Rule,
    assembled,
    check_indices,
    checked_blocks,
    equal_blocks,
    mean_over_columns,
    ranked,
    restricted,
    row_scores,
)
from softunit.solvers.directions import score_bound
from softunit.solvers.ends import why_no_step
from softunit.solvers.forest import edges_among, forest_blocks, meeting, tree_solve
from softunit.solvers.newton import fix_gauge
from softunit.solvers.proximal import definite, least_subgradient, proximal_newton
from softunit.solvers.search import Search, check_search

REFRESH = 50  # steps after which scores that were moved are made anew
BLOCK = 5
HALVINGS, ARMIJO = 60, 1e-4


@dataclass(frozen=True)
class BlockState:
    """The point, and what was made once for all steps.

    Attributes
    ----------
    point : Point
        Value and gradient with the l1 penalty: the gradient is the subgradient of least norm.
    count : int
        Steps so far: the seed of the next random block.
    groups : tuple of ndarray or None
        Fixed blocks; None where each step makes its own.
    columns : Columns
    bound : Measure or None
        The bound on the Hessian at every point, where one is known and called for.
    adjacent : ndarray of shape (d, d) or None
        Which rows of x meet in A'A, for tree updates.
    block : ndarray of int or None
        The block of the last step.
    """

    point: Point
    count: int
    groups: tuple[Index, ...] | None
    columns: Columns
    bound: Measure | None
    adjacent: npt.NDArray[np.bool_] | None
    block: Index | None = None


@dataclass(frozen=True)
class BlockCoordinate(Solver[BlockState]):
    """Greedy block coordinate descent: each step moves a few rows of x, the others held.

    ::

        minimise  F(x) + l1 |x|_1

    1. Choose a block b of rows by the gradient.  2. Solve for its direction.  3. Search along it,
    at O(n |b| K) for each trial: scores are kept up to date. The gradient costs one product.

    Parameters
    ----------
    rule : {"gsq", "gsl", "gs", "random"}, default "gsq"
        The block with the largest g_b' M_b^-1 g_b, |g_b|^2 / L_b or |g_b|^2 (Gauss-Southwell), or
        one at random. M is the bound A' diag(c) A + ridge on the Hessian, c the unit's largest
        curvature, and L_b = |M_b|; for units without such a bound M is the Hessian at the point,
        averaged over the columns of x. With `l1`, g is the subgradient of least norm.
    blocks : {"fixed", "variable"} or sequence of sequences of int, default "fixed"
        "fixed" cuts the rows of x into equal blocks, in order. "variable" makes a block for each
        step: the rows of largest score, for "gsq" added one at a time by what they gain beside
        those chosen. Or blocks of your own, each row of x in exactly one.
    size : int or None, default None
        Rows in a block; None takes 5, and as many as fit for tree updates.
    update : {"newton", "matrix", "tree"}, default "newton"
        "newton" takes the exact Hessian of the block and searches along the line. "matrix" takes
        M_b and step one, which cannot fail. "tree" is "newton" on blocks of any number of rows
        that meet in a forest, solved in linear time by messages; two rows of x meet where their
        columns of A share a row.
    l1 : float, default 0.0
        Strength of the l1 penalty, on the entries of x in the coordinates of the design. Value and
        gradient of the run include it, which `certify` does not know of.
    search : Search, default Search()
        The line search without `l1`; with it, steps are halved until the value falls.
    seed : int, default 0
        Of the rule "random".

    Raises
    ------
    InputError
        If a parameter is wrong, or blocks do not hold each row of x once.
    NeedsError
        If scores are not stored, a bound is missing for "matrix" updates, a matrix of A'A is too
        large, or a tree is asked for where a unit couples all rows.

    Notes
    -----
    Source: Nutini, Laradji, Schmidt, arXiv 1712.08859, "Let's make block coordinate descent
    converge faster". Ranking single rows by |g_j|^2 / L_j for variable blocks is theirs too.
    """

    rule: Rule = "gsq"
    blocks: Literal["fixed", "variable"] | Sequence[Sequence[int]] = "fixed"
    size: int | None = None
    update: Literal["newton", "matrix", "tree"] = "newton"
    l1: float = 0.0
    search: Search = Search()
    seed: int = 0
    needs: ClassVar[frozenset[str]] = frozenset({"gradient", "curvature"})
    remade: ClassVar[frozenset[str]] = frozenset({"groups", "columns", "bound", "adjacent"})

    def __post_init__(self) -> None:
        check_choice("rule", self.rule, get_args(Rule))
        check_choice("update", self.update, ("newton", "matrix", "tree"))
        if isinstance(self.blocks, str):
            check_choice("blocks", self.blocks, ("fixed", "variable"))
        else:
            check_indices(self.blocks)
        check_search(self.search)
        if self.size is not None:
            check_count("size", self.size, least=1)
        check_positive("l1", self.l1, zero=True)
        check_count("seed", self.seed)
        if self.l1 > 0 and self.update == "tree":
            raise InputError(
                f"`l1` {self.l1:g} goes with update='newton' or 'matrix': the kinks of |x| leave no"
                " linear system for messages to solve."
            )

    def check(self, problem: Problem) -> None:
        """Raise `NeedsError` where the problem lacks what a block needs."""
        super().check(problem)
        unit, d = type(problem.unit).__name__, problem.shape[0]
        check_scores_kept(self, problem)
        if self.update == "tree" and not problem.unit.rowwise:
            raise NeedsError(
                f"tree updates need rows that do not meet, but {unit} couples all rows: no block of"
                " its Hessian is a forest. update='newton' would do."
            )
        if self._forms_gram and d > FORM_LIMIT:
            raise NeedsError(
                f"BlockCoordinate(rule={self.rule!r}, update={self.update!r}) forms A'A, and {d}"
                f" columns are more than {FORM_LIMIT}. rule='gs' or 'random' with update='newton'"
                " would do, or LBFGS."
            )
        if self.update == "matrix":
            score_bound(problem)

    @property
    def _forms_gram(self) -> bool:
        return self.rule in ("gsq", "gsl") or self.update in ("matrix", "tree")

    # Hooks of the loop: the l1 penalty belongs to what is minimised -------------------------------

    def begin(self, problem: Problem, x: Array) -> Point:
        """Return x with value and gradient, the l1 penalty included."""
        return self._composed(problem.evaluate(x))

    def refresh(self, problem: Problem, point: Point) -> Point:
        """Return the point made afresh, the l1 penalty included."""
        return self._composed(problem.evaluate(point.x))

    def patience(self, problem: Problem) -> int:
        """Return more iterations than it takes to visit all rows at random."""
        rows = problem.shape[0] if self.rule == "random" else 0
        return 5 + 4 * rows // (self.size or BLOCK)

    def _composed(self, point: Point) -> Point:
        if self.l1 == 0:
            return point
        return replace(
            point,
            value=point.value + self.l1 * float(np.abs(point.x).sum()),
            gradient=least_subgradient(point.x, point.gradient, self.l1),
        )

    # Steps ----------------------------------------------------------------------------------------

    def init(self, problem: Problem, point: Point) -> BlockState:
        """Return the state at the start, with what is made once."""
        d = problem.shape[0]
        adjacent = None
        if self.update == "tree":
            adjacent = meeting(problem.design)
        groups: tuple[Index, ...] | None = None
        if not isinstance(self.blocks, str):
            groups = checked_blocks(self.blocks, d)
        elif self.blocks == "fixed":
            groups = equal_blocks(d, self.size or BLOCK)
            if adjacent is not None:
                groups = forest_blocks(adjacent, np.arange(d), self.size or d)
        columns = Columns(problem.design, keep=groups is not None)
        return BlockState(point, 0, groups, columns, self._bound(problem), adjacent)

    def _bound(self, problem: Problem) -> Measure | None:
        """Return the bound on every Hessian; None where it is not known or not called for."""
        if not self._forms_gram:
            return None
        try:
            c = score_bound(problem)
        except NeedsError:
            return None
        problem.cost.rows += problem.design.shape[0]
        return Measure(problem.design.gram(Diagonal(c)) + np.diag(problem.ridge))

    def step(self, problem: Problem, state: BlockState) -> tuple[BlockState, Status]:
        """Return the next state; where a block has no step left, the next best is tried."""
        rng = np.random.default_rng((self.seed, state.count))
        first: Status | None = None
        for block in self._candidates(problem, state, rng):  # 1.
            found = self._block_step(problem, state, block)
            if isinstance(found, Point):
                count = state.count + 1
                return replace(state, point=found, count=count, block=block), Status.RUNNING
            first = first or found
        return state, first or Status.ROUNDING

    def _candidates(
        self, problem: Problem, state: BlockState, rng: np.random.Generator
    ) -> Iterator[Index]:
        g, measure = state.point.gradient, state.bound
        if self.rule in ("gsl", "gsq") and measure is None:
            hessian = problem.hessian(state.point)
            measure = Measure(mean_over_columns(hessian, problem.columns))
        if state.groups is not None:
            return ranked(self.rule, g, state.groups, measure, rng)
        if state.adjacent is None:
            # A row at zero that the l1 penalty holds there would only take another's place.
            settled = (g == 0) & (state.point.x == 0) & (self.l1 > 0)
            rows = np.flatnonzero(~settled.reshape(len(g), -1).all(axis=1))
            return assembled(self.rule, g, rows, self.size or BLOCK, measure, rng)
        scores = rng.random(len(g)) if self.rule == "random" else row_scores(self.rule, g, measure)
        order = np.argsort(-scores, kind="stable")
        return iter(forest_blocks(state.adjacent, order, self.size or len(g), most=1))

    def _block_step(self, problem: Problem, state: BlockState, block: Index) -> Point | Status:
        """Return the point after a step in one block, or why there is none."""
        point, before = state.point, problem.cost.products
        assert point.scores is not None  # `check` refuses what does not store them
        part = restricted(problem, block, state.columns.at(block))
        here = self._in_block(problem, part, point, block)
        direction = self._direction(part, here, state, block)  # 2.
        line = Line(part, here, direction)
        t, slope = self._along(line)  # 3.
        # What was multiplied is a share of the columns.
        spent = 1 + problem.cost.products - before
        problem.cost.products = before + spent * len(block) / problem.shape[0]
        if t is None:
            return why_no_step(point, slope)
        x = point.x.copy()
        x[block] += t * direction
        if (state.count + 1) % REFRESH == 0:
            return self._composed(problem.evaluate(x))
        scores = point.scores + t * part.design.matvec(direction)
        return self._composed(problem.evaluate(x, scores))

    def _in_block(self, problem: Problem, part: Problem, point: Point, block: Index) -> Point:
        """Return the point as the block sees it: without the penalties of other rows, or l1."""
        x = point.x[block]
        if self.l1 > 0:  # the subgradient of least norm does not tell the gradient
            return part.evaluate(x, point.scores)
        held = 0.5 * dot(point.x, (problem.ridge * point.x.T).T)
        own = 0.5 * dot(x, (part.ridge * x.T).T)
        return Point(x, point.value - held + own, point.gradient[block], point.scores, exact=False)

    def _direction(self, part: Problem, here: Point, state: BlockState, block: Index) -> Array:
        g = here.gradient
        if self.update == "matrix" and state.bound is not None:
            if self.l1 == 0:
                return -state.bound.solve(block, g)
            bound = state.bound.matrix[np.ix_(block, block)]
            return self._proximal(np.kron(bound, np.eye(part.columns)), here)
        hessian = part.hessian(here)
        if self.l1 > 0:
            return self._proximal(hessian, here)
        if state.adjacent is not None:
            found = _by_messages(hessian, edges_among(state.adjacent, block), -g)
            if dot(found, g) < 0:
                return found
        fix_gauge(part, hessian)
        return ShiftedCholesky(hessian).solve(-g.ravel()).reshape(g.shape)

    def _proximal(self, hessian: Matrix, here: Point) -> Array:
        found = proximal_newton(definite(hessian), here.gradient.ravel(), here.x.ravel(), self.l1)
        return found.reshape(here.x.shape)

    def _along(self, line: Line) -> tuple[float | None, float]:
        """Return the step length, None where there is none, and the promised change per length."""
        if self.l1 == 0 and self.update != "matrix":
            return self.search.step(line), line.slope
        x, p, start = line.start.x, line.direction, line.start.value
        slope = line.slope + self.l1 * float((np.abs(x + p) - np.abs(x)).sum())
        if not slope < 0:
            return None, slope
        size, t = self.l1 * float(np.abs(x).sum()), 1.0
        for _ in range(HALVINGS):
            change = line.at(t)[0] - start
            if self.l1 > 0:
                change += self.l1 * float(np.abs(x + t * p).sum()) - size
            if change <= ARMIJO * t * slope or (change <= line.noise and -slope <= line.noise):
                return t, slope
            t *= 0.5
        return None, slope


def _by_messages(hessian: Matrix, edges: npt.ArrayLike, right: Array) -> Array:
    """Return H^-1 right on a forest, or zeros where a block on the way is singular."""
    try:
        return tree_solve(hessian, edges, right)
    except np.linalg.LinAlgError:
        return np.zeros_like(right)
