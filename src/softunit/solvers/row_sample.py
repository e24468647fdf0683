"""Rows in a seeded random order, of which every beginning stands for the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Vector
from softunit.designs.base import Design
from softunit.problem import Problem

MANY = 1 << 24  # rows whose list is not made at once
SERVES = 0.7  # share of a sample's rows that other weights must leave with weight


@dataclass(frozen=True)
class RowSample:
    """A priority sample of rows, nested: its first m rows are a sample of m.

    Row i gets the priority w_i / u_i with u_i uniform on (0, 1); the rows of highest priority are
    taken, and the first m stand for all with weights max(w_i, the priority of row m + 1), which
    are unbiased for every sum over rows. Equal weights give a simple random sample, rows without
    weight are never drawn, and a row that outweighs the rest always is.

    Attributes
    ----------
    index : ndarray of int, shape (h,)
        Rows by falling priority.
    weights : ndarray of shape (h,), or None
        Their own weights.
    priorities : ndarray of shape (h + 1,), or None
        The last is that of the first row left out.
    design : Design
        These rows, gathered once.
    factor : ndarray of shape (h,), or None
        What the weights are multiplied by where the sample serves other weights than it was drawn
        for: one number, or zero for rows that have no weight there.

    Notes
    -----
    Source: N. Duffield, C. Lund, M. Thorup (2007), "Priority sampling for estimation of arbitrary
    subset sums". Rows are gathered, never the whole design.
    """

    index: npt.NDArray[np.integer]
    weights: Vector | None
    priorities: Vector | None
    design: Design
    factor: Vector | None = None

    @classmethod
    def draw(
        cls,
        problem: Problem,
        size: int,
        rng: np.random.Generator,
        *,
        gather: int | None = None,
    ) -> RowSample:
        """Draw a sample; where fewer rows have weight, it holds these.

        Parameters
        ----------
        problem : Problem
        size : int
            Rows drawn.
        rng : numpy.random.Generator
        gather : int or None, default None
            How many of the first are gathered; None gathers all.
        """
        n, weights = problem.design.shape[0], problem.weights
        if weights is None:
            ready = problem.design.at_hand(size)
            if ready is not None:
                return cls(ready[0], None, None, ready[1])
            index = _drawn(n, size, rng)
            return cls(index, None, None, problem.design.gathered(index[:gather]))
        index, left = _first_by_priority(weights, size, rng)
        return cls(index, weights[index], left, problem.design.gathered(index[:gather]))

    def __len__(self) -> int:
        """Return how many rows are gathered."""
        return self.design.shape[0]

    def of(self, problem: Problem) -> Problem:
        """Return the problem of the gathered rows."""
        m = len(self)
        return problem.sampled(self.index[:m], weights=self._weights(m), design=self.design)

    @property
    def heaviest(self) -> float:
        """The largest weight in a sample of all rows drawn."""
        weights = self._weights(len(self.index))
        return 1.0 if weights is None else float(weights.max())

    def piece(self, rows: slice) -> tuple[npt.NDArray[np.integer], Vector | None]:
        """Return some rows, gathered or not, and their weights in a sample of all drawn."""
        weights = self._weights(len(self.index))
        return self.index[rows], None if weights is None else weights[rows]

    def first(self, sampled: Problem, m: int) -> Problem:
        """Return the problem of the first m rows, from that of the whole sample."""
        if m >= len(self):
            return sampled
        return sampled.sampled(slice(0, m), weights=self._weights(m))

    def serving(self, weights: Vector | None) -> RowSample | None:
        """Return this sample for other weights of the rows, or None where it serves them badly.

        It does where they are multiples of its own but for rows that have none, as in a fold.
        """
        if weights is None:
            return self if self.weights is None else None
        own = np.ones(len(self.index)) if self.weights is None else self.weights
        with np.errstate(over="ignore"):
            factor = weights[self.index] / own
        heard = factor > 0
        if heard.mean() < SERVES or not np.allclose(factor[heard], factor[heard][0], rtol=1e-9):
            return None
        return replace(self, factor=factor)

    def _weights(self, m: int) -> Vector | None:
        if self.weights is None or self.priorities is None:
            return None if self.factor is None else self.factor[:m].copy()
        weights = np.maximum(self.weights[:m], self.priorities[m])
        return np.asarray(weights if self.factor is None else weights * self.factor[:m])


def _drawn(n: int, size: int, rng: np.random.Generator) -> npt.NDArray[np.integer]:
    """Return some rows of n in random order, without a list of all n where these are very many."""
    if n <= MANY or 2 * size > n:
        return rng.permutation(n)[:size].copy()  # a view would keep all n
    found = np.zeros(0, dtype=np.int64)
    while len(found) < size:
        # So many draws leave a few more different ones than are wanted.
        draws = int(-1.002 * n * np.log1p(-size / n)) + 64
        ordered = np.sort(rng.integers(n, size=draws))  # np.unique takes many times as long
        found = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return rng.permutation(found)[:size].copy()


def _first_by_priority(
    weights: Array, size: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.integer], Vector]:
    """Return the rows of highest priority, and the priorities of these and of the next.

    Rows are looked at piece by piece: no vector of all of them is made.
    """
    rows, found = np.zeros(0, dtype=np.int64), np.zeros(0)
    for start in range(0, len(weights), MANY):
        part = np.asarray(weights[start : start + MANY])
        heard = np.flatnonzero(part)
        with np.errstate(over="ignore"):  # an infinite priority is the highest there is
            priorities = part[heard] / (1.0 - rng.random(len(heard)))
        rows = np.concatenate([rows, start + heard])
        found = np.concatenate([found, priorities])
        order = np.argsort(-found, kind="stable")[: size + 1]
        rows, found = rows[order], found[order]
    index = rows[:size].copy()
    return index, np.append(found, 0.0)[: len(index) + 1]


def drawn_once(problem: Problem, size: int, gather: int, seed: int) -> RowSample:
    """Return a sample for the problem's weights, drawn once for all problems derived from it.

    It is drawn by the weights of the problem that all were derived from, where these serve: rows
    that one fold holds out must be there for the others.
    """
    kept = problem.prepared.get("sample")
    if kept is not None and kept[:3] == (size, gather, seed):
        if kept[3] is problem.weights:
            return kept[4]  # type: ignore[no-any-return]
        serving = kept[4].serving(problem.weights)
        if serving is not None:
            return serving  # type: ignore[no-any-return]
    for source in (problem.derived_from, problem):
        drawn = RowSample.draw(source, size, np.random.default_rng(seed), gather=gather)
        problem.prepared["sample"] = (size, gather, seed, source.weights, drawn)
        if source.weights is problem.weights:
            break
        serving = drawn.serving(problem.weights)
        if serving is not None:
            return serving
    return drawn
