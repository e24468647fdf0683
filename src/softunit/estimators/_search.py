"""Paths of C over all folds: one design, and every fit starts where the last ones lead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from softunit._progress import Watch
from softunit._typing import Array, Matrix, Vector
from softunit.certificate import at_optimum, certify
from softunit.estimators._fit_end import End
from softunit.estimators._folds import Split
from softunit.estimators._objective import Bases, Settings
from softunit.estimators._scoring import Judge
from softunit.estimators._sparsity import next_minimum
from softunit.point import Point
from softunit.problem import Problem
from softunit.solution import Record, Solution, Status

Twin = Callable[[Problem, Array, float, float], Any]
"""From a problem, a point of it, its C and its share of l1 to a fitted classifier."""

LARGEST_RATIO = 2.0  # of a predicted move to the last one


@dataclass
class Fold:
    """One fold on its way along the path.

    Attributes
    ----------
    split : Split
    problem : Problem
        Of the latest C.
    x : ndarray of shape (d,) or (d, K)
        In the scaled columns, as are the moves: the last one and the one before.
    """

    split: Split
    problem: Problem
    x: Array
    move: Array | None = None
    earlier: Array | None = None

    def predicted(self, leader: Fold | None, ratio: float) -> Array:
        """Return where the next fit should begin.

        With l1 that is where it is: what is zero shall stay so until it must not. Else, without a
        leader, the last move is made again, by as much shorter or longer as it was than
        the one before; with a leader, which has made its move, its own, and what this fold's last
        move had besides the leader's.

        Parameters
        ----------
        leader : Fold or None
        ratio : float
            Step of log C over the last step; 0 where there is none.
        """
        if self.problem.lasso is not None:
            return self.x
        if leader is None:
            if self.move is None or self.earlier is None:
                return self.x
            return self.x + ratio * _ratio(self.move, self.earlier) * self.move
        if leader.move is None:
            return self.x
        if leader.earlier is None or self.move is None:
            return self.x + leader.move
        besides = _ratio(leader.move, leader.earlier) * (self.move - leader.earlier)
        return self.x + leader.move + besides

    def advance(self, x: Array) -> None:
        """Take the point of the latest C."""
        self.x, self.move, self.earlier = x, x - self.x, self.move


def _ratio(move: Array, earlier: Array) -> float:
    square = float(np.vdot(earlier, earlier))
    along = float(np.vdot(move, earlier))
    return min(max(along / square, 0.0), LARGEST_RATIO) if square > 0 else 0.0


@dataclass(frozen=True)
class Failure:
    """A fit on a fold that did not converge, and how far it is from the optimum at most."""

    C: float
    fold: int
    solution: Solution
    gap: float


@dataclass(frozen=True)
class Scored:
    """The best C so far of all folds together, or of one.

    Attributes
    ----------
    index : int
        In the flattened pairs of a share of l1 and a C.
    score : float
    C : float
    x : ndarray of shape (d,) or (d, K)
        In the input's columns; the mean over the folds where they are together.
    """

    index: int
    score: float
    C: float
    x: Array

    def worse_than(self, score: float, C: float) -> bool:
        """Return whether a score is a number, and the first, better, or as good at a smaller C."""
        if math.isnan(score) or self is NOTHING:
            return not math.isnan(score)
        return score > self.score or (score == self.score and C < self.C)


NOTHING = Scored(-1, math.nan, math.nan, np.empty(0))


@dataclass
class PathSearch:
    """Fits and scores of every C on every fold.

    1. For each share of l1 in turn C ascends, as strong penalties are easy and near zero; all
    folds are done with one C before the next.  2. Each fit begins where moves so far lead, with l1
    where the last one ended and without the columns that the strong rule leaves out.  3. The
    held-out rows are scored.  4. A C counts once all its folds are scored, so that an interrupt
    leaves a whole answer; among equals the smallest C wins, and then the first share of l1.

    Attributes
    ----------
    bases : Bases
    splits : tuple of Split
    settings : Settings
    judge : Judge
    watch : callable
    twin : callable
    scores, n_iter : ndarray of shape (folds, r, m)
        NaN and 0 where the search has not been.
    best : Scored
    each : list of Scored
        The best of each fold.
    failures : list of Failure
    separable : int
        Fits without ridge that have no optimum.
    interrupted : bool
    """

    bases: Bases
    splits: tuple[Split, ...]
    settings: Settings
    judge: Judge
    watch: Watch
    twin: Twin
    scores: Matrix = field(init=False)
    n_iter: Array = field(init=False)
    best: Scored = NOTHING
    each: list[Scored] = field(init=False)
    failures: list[Failure] = field(default_factory=list)
    separable: int = 0
    interrupted: bool = False

    def __post_init__(self) -> None:
        shape = (len(self.splits), len(self.bases.ratios), len(self.bases.Cs))
        self.each = [NOTHING] * len(self.splits)
        self.scores, self.n_iter = np.full(shape, np.nan), np.zeros(shape, dtype=np.int32)

    def run(self) -> None:
        """Walk the paths; what has been reached stays when an interrupt ends it."""
        try:
            for row, ratio in enumerate(self.bases.ratios):
                self._walk(row, float(ratio))
        except KeyboardInterrupt:
            self.interrupted = True
            raise

    def _walk(self, row: int, share: float) -> None:
        order = np.argsort(self.bases.Cs, kind="stable")  # 1.
        logs = np.log(self.bases.Cs[order])
        folds: list[Fold] = []
        for place, index in enumerate(order):
            C = float(self.bases.Cs[index])
            if not folds or math.isinf(C):
                folds = self._begun(folds, free=math.isinf(C))
            ratio = _step_ratio(logs[max(place - 2, 0) : place + 1])
            scores = np.full(len(folds), np.nan)
            for number, fold in enumerate(folds):
                where = f"fold {number + 1}/{len(folds)}, C {place + 1}/{len(order)} ({C:.0e})"
                if len(self.bases.ratios) > 1:
                    where += f", l1_ratio {share:g}"
                done = (row * len(order) + place) * len(folds) + number
                before, fold.problem = fold.problem, self.bases.penalised(fold.problem, C, share)
                start = fold.predicted(folds[0] if number else None, ratio)  # 2.
                end = self._fit(fold.problem, start, before, (where, done))
                self.n_iter[number, row, index] = end.n_iter
                fold.advance(self._examined(fold.problem, end, C, number + 1))
                scores[number] = self._score(fold, C, share)  # 3.
            self._count((row, int(index)), scores, folds)  # 4.

    def shortfall(self) -> str:
        """Return a sentence on what the search has left undone, or an empty string."""
        said = []
        scored = int((~np.isnan(self.scores)).all(axis=0).sum())
        if self.interrupted:
            every = self.scores[0].size
            what = "values of C" if len(self.bases.ratios) == 1 else "pairs of l1_ratio and C"
            said.append(
                f"The search was interrupted (Ctrl-C) after {scored} of {every} {what}; the best of"
                " these is taken."
            )
        if self.failures:
            worst = max(self.failures, key=lambda f: (f.gap, f.solution.gradient_norm))
            least = f", at most {worst.gap:.1e} above its optimum" * math.isfinite(worst.gap)
            said.append(
                f"{len(self.failures)} of {self.scores.size} fits on folds did not converge; the"
                f" worst, C = {worst.C:.2g} on fold {worst.fold}, ended after"
                f" {worst.solution.n_iter} iterations with largest gradient entry"
                f" {worst.solution.gradient_norm:.1e} (tol {worst.solution.tol:.0e}){least}."
                f" {worst.solution.status.advice}"
            )
        return " ".join(said)

    def _begun(self, before: list[Fold], *, free: bool) -> list[Fold]:
        """Return the folds at zero, or where they were, in columns scaled for what comes."""
        base = self.bases.of(free=free)
        starts = [base.design.from_input(f.problem.design.to_input(f.x)) for f in before]
        return [
            Fold(split, base.derived(penalty=base.penalties, weights=split.weights), start)
            for split, start in zip(
                self.splits, starts or [np.zeros(base.shape) for _ in self.splits], strict=True
            )
        ]

    def _fit(
        self, problem: Problem, start: Array, before: Problem, place: tuple[str, int]
    ) -> Solution:
        def tick(record: Record, point: Point) -> None:
            self.watch(record, *place)

        return next_minimum(self.settings, problem, start, before, tick).solution

    def _examined(self, problem: Problem, solution: Solution, C: float, number: int) -> Array:
        """Return the point to keep of a run, and note what is wrong with it."""
        end = End.of(
            problem, solution, self.bases.classes, free=math.isinf(C), tol=self.settings.tol
        )
        if end.separation:
            self.separable += 1
        elif not solution.converged:
            rounding = end.status is Status.ROUNDING
            certificate = certify(problem, end.x, effort="full" if rounding else "quick")
            if not (rounding and at_optimum(certificate)):
                self.failures.append(Failure(C, number, solution, certificate.gap_bound))
        return end.x

    def _score(self, fold: Fold, C: float, share: float) -> float:
        problem = fold.problem
        rows = fold.split.test
        return self.judge.score(problem, fold.x, rows, lambda x: self.twin(problem, x, C, share))

    def _count(self, pair: tuple[int, int], scores: Vector, folds: list[Fold]) -> None:
        """Enter the scores of one C, and keep the coefficients where they are the best so far."""
        self.scores[:, *pair] = scores
        C, index = float(self.bases.Cs[pair[1]]), pair[0] * len(self.bases.Cs) + pair[1]
        points = [fold.problem.design.to_input(fold.x) for fold in folds]
        for number, score in enumerate(scores):
            if self.each[number].worse_than(score, C):
                self.each[number] = Scored(index, float(score), C, points[number])
        mean = float(scores.mean())
        if self.best.worse_than(mean, C):
            self.best = Scored(index, mean, C, np.mean(points, axis=0))

    def settings_of(self, scored: Scored) -> tuple[float, float]:
        """Return the C and the share of l1 of a best one."""
        return scored.C, float(self.bases.ratios[scored.index // len(self.bases.Cs)])


def _step_ratio(logs: Vector) -> float:
    """Return the last step of log C over the one before; 0 where one is missing or endless."""
    steps = np.diff(logs)
    if len(steps) < 2 or not np.isfinite(steps).all() or steps[0] == 0:
        return 0.0
    return float(steps[1] / steps[0])
