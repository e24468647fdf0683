"""Covariances and standard errors of one fit, by whichever route its size allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from softunit._checks import check_choice
from softunit._groups import Groups
from softunit._typing import Matrix, Vector
from softunit.errors import InputError, SoftunitWarning, warn
from softunit.inference.clusters import checked_clusters, few_clusters
from softunit.inference.dense import DenseErrors, bytes_needed, dense_fits
from softunit.inference.free import Free
from softunit.inference.iterative import IterativeErrors
from softunit.inference.names import Names
from softunit.inference.scatter import Scatter
from softunit.inference.vanishing import Spread
from softunit.point import Point
from softunit.problem import FORM_LIMIT, Problem

ErrorKind: TypeAlias = Literal["classical", "robust", "HC0", "HC1", "clustered"]

KINDS = ("classical", "robust", "HC0", "HC1", "clustered")

WHOLE = 1e9
"""Bytes that a whole covariance may take to make."""


@dataclass(frozen=True, eq=False)
class Variances:
    """What errors are made of.

    Attributes
    ----------
    problem : Problem
    point : Point
        Where it was minimised, evaluated.
    free : Free
    names : Names
    observations : Groups or None
        Rows that are one observation; None means that each row is one.
    frequencies : ndarray or None
        How often each observation was seen; None means once.
    rows : ndarray of int or None
        Rows of the input that the problem holds.
    """

    problem: Problem
    point: Point
    free: Free
    names: Names
    observations: Groups | None
    frequencies: Vector | None
    rows: npt.NDArray[np.integer] | None

    @property
    def n_observations(self) -> float:
        """The sum of the frequencies."""
        if self.frequencies is not None:
            return float(self.frequencies.sum())
        whole = self.problem.design.shape[0]
        return float(whole if self.observations is None else self.observations.count)

    @property
    def writable(self) -> bool:
        """Whether a whole covariance can be made."""
        return dense_fits(self.problem, len(self.names.names), WHOLE)

    @cached_property
    def dense(self) -> DenseErrors:
        """The Hessian, written out and factored."""
        return DenseErrors.of(self.problem, self.point, self.free, self.names)

    @cached_property
    def held(self) -> npt.NDArray[np.bool_]:
        """Which reported parameters an l1 penalty holds at zero, (q,)."""
        if self.problem.lasso is None:
            return np.zeros(len(self.names.names), dtype=bool)
        held = self.free.held.ravel()
        moved = np.asarray(abs(self.names.basis[~held]).sum(axis=0)).ravel()
        return np.asarray(moved == 0)

    @cached_property
    def gradient(self) -> Vector:
        """That of the mean objective at the point, along what is not held, (p,)."""
        g, lasso = self.point.gradient, self.problem.lasso
        return np.asarray(g if lasso is None else g + lasso.direction(self.point.x)).ravel()

    def distance(self) -> float:
        """Return how many standard errors the point is from the optimum, at most."""
        return self.dense.distance(self._slope)

    @property
    def _slope(self) -> Vector:
        """The gradient of the sum along the free directions, (r,)."""
        return np.asarray(self.problem.mass * (self.free.basis.T @ self.gradient))

    def covariance(self, kind: str, clusters: Any) -> Matrix:
        """Return the covariance of the reported parameters; see `Inference.covariance`."""
        found = self.clusters(kind, clusters)
        if not self.writable:
            count = len(self.names.names)
            raise InputError(
                f"a covariance of {count} parameters takes"
                f" {bytes_needed(self.problem, count) / 1e9:.1f} GB to make. Ask for"
                " standard_errors(which=[names]), or for all of them, block by block, with"
                " standard_errors()."
            )
        made = self._covariance(kind, found)
        self._spread(made, np.arange(len(made))).check(kind, self.names.names)
        return made.copy()

    def standard_errors(self, kind: str, clusters: Any, which: Any, budget: float) -> Vector:
        """Return standard errors of some parameters; see `Inference.standard_errors`."""
        found, count = self.clusters(kind, clusters), len(self.names.names)
        chosen = np.arange(count) if which is None else self.names.find(which)
        small = max(self.problem.size, count) <= FORM_LIMIT
        if dense_fits(self.problem, count, budget) and (which is None or small):
            spread = self._spread(self._covariance(kind, found), chosen)
        else:
            errors = IterativeErrors(self.problem, self.point, self.free, self.names, budget)
            correction = self._correction(kind, found)
            scatter = None
            if kind != "classical":
                scatter = self._scatter(found, np.eye(self.problem.columns))
            spread = errors.spread(chosen, scatter, self.gradient)
            spread = replace(spread, variance=correction * spread.variance)
        spread.check(kind, [self.names.names[i] for i in chosen])
        return spread.errors

    def _spread(self, covariance: Matrix, chosen: npt.NDArray[np.intp]) -> Spread:
        classical = np.diagonal(self._covariance("classical", None))
        step = self.dense.step(self._slope)
        return Spread(np.diagonal(covariance)[chosen], classical[chosen], step[chosen])

    def clusters(self, kind: str, clusters: Any) -> Groups | None:
        """Return the clusters of rows, checked; None for kinds without.

        Raises
        ------
        InputError
            If the kind is not known, or there are clusters where none belong, or as in
            `checked_clusters`.
        """
        check_choice("kind", kind, KINDS)
        if kind != "clustered":
            if clusters is not None:
                raise InputError(f"`clusters` go with kind='clustered'; got kind={kind!r}.")
            return None
        n = self.problem.design.shape[0]
        found = checked_clusters(clusters, n, self.observations, self.rows)
        if found.count <= self.free.size:
            warn(few_clusters(found.count, self.free.size), SoftunitWarning)
        return found

    @cached_property
    def _made(self) -> dict[str, Matrix]:
        return {}

    def _covariance(self, kind: str, clusters: Groups | None) -> Matrix:
        if kind in self._made:
            return self._made[kind]
        if kind == "classical":
            made = self.dense.classical()
        else:
            made = self._correction(kind, clusters) * self.dense.sandwich(self._filling(clusters))
        if clusters is None:
            self._made[kind] = made
        return made

    def _filling(self, clusters: Groups | None) -> Matrix:
        """Return the outer products of the scores along the free directions, (r, r)."""
        if not self.free.held.any():
            return self._scatter(clusters, self.free.classes).outer()
        return self.free.reduce(self._scatter(clusters, np.eye(self.problem.columns)).outer())

    def _scatter(self, clusters: Groups | None, classes: Matrix) -> Scatter:
        if clusters is not None:
            return Scatter(self.problem, self.point.x, classes, clusters, None)
        return Scatter(self.problem, self.point.x, classes, self.observations, self.frequencies)

    def _correction(self, kind: str, clusters: Groups | None) -> float:
        n, df = self.n_observations, self.free.size
        if kind not in ("HC1", "clustered"):
            return 1.0
        if n <= df:
            raise InputError(
                f"{n:g} observations are not more than {df} parameters: the correction of"
                f" kind={kind!r} is not defined. Take kind='robust', or drop columns."
            )
        if clusters is None:
            return n / (n - df)
        return clusters.count / (clusters.count - 1.0) * (n - 1.0) / (n - df)
