"""Errors, intervals and tests of the parameters of a fitted model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from softunit._checks import check_positive
from softunit._typing import Matrix, Vector
from softunit.errors import InputError
from softunit.inference.facts import Facts
from softunit.inference.hypotheses import WaldTest, wald
from softunit.inference.memory import as_bytes
from softunit.inference.names import Name
from softunit.inference.summary import Summary, summarize
from softunit.inference.unchanged import unchanged_log_likelihood
from softunit.inference.variances import ErrorKind, Variances

FAR = 0.05
"""Standard errors between a point and the optimum from which on it counts as not converged."""


@dataclass(frozen=True, eq=False)
class Inference:
    """What the data say of each parameter of a fitted model, made by `infer`.

    Attributes
    ----------
    names : tuple of str or of (class, column)
        Of the reported parameters.
    coef : ndarray of shape (q,)
        Their estimates, in the input's coordinates.
    log_likelihood : float
    penalised : str
        What errors mean after a penalty; empty without one.
    facts : Facts
        What else is known of the fit.
    variances : Variances
        What errors are made of.
    """

    names: tuple[Name, ...]
    coef: Vector
    log_likelihood: float
    penalised: str
    facts: Facts
    variances: Variances

    # Whether to believe any of it ------------------------------------------------------------

    @cached_property
    def problem_with_fit(self) -> str:
        """Why the estimates are no optimum of these data, as a sentence; empty if they are."""
        if not self.facts.converged:
            return self.facts.message or "The fit has not converged."
        if not self.variances.writable:
            return ""
        far = self.variances.distance()
        if far <= FAR:
            return ""
        return (
            f"The estimates are up to {far:.2g} standard errors away from the optimum of these"
            " data: they were fitted to others, or with too large a tolerance."
        )

    @property
    def converged(self) -> bool:
        """Whether the estimates are the optimum of these data, as far as can be told."""
        return not self.problem_with_fit

    def _check_data(self) -> None:
        unchanged_log_likelihood(
            self.variances.problem, self.variances.point.x, self.log_likelihood
        )

    # Errors ----------------------------------------------------------------------------------

    def covariance(self, kind: ErrorKind = "classical", clusters: Any = None) -> Matrix:
        """Return the covariance of the reported parameters, shape (q, q).

        Parameters
        ----------
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
            "classical" trusts the model: the inverse information. "robust", which is "HC0", trusts
            that observations are independent: the sandwich of White (1982). "HC1" multiplies it by
            n / (n - df); fit(cov_type="HC1") of statsmodels' discrete models leaves that out.
            "clustered" trusts that clusters are independent: the sandwich with
            scores summed within clusters, times G / (G - 1) * (n - 1) / (n - df) for G clusters.
        clusters : array_like of shape (n,) or None, default None
            Label of each row's cluster, of any type; only with kind="clustered".

        Returns
        -------
        ndarray of shape (q, q)
            Rows of zeros belong to parameters that an l1 penalty holds at zero.

        Raises
        ------
        InputError
            If the information matrix is singular (the columns are named), robust or clustered
            scores vanish (likewise), p^2 floats take more than 1 GB, kind or clusters are wrong,
            or the data have been written to since the fit.
        """
        self._check_data()
        return self.variances.covariance(kind, clusters)

    def standard_errors(
        self,
        kind: ErrorKind = "classical",
        clusters: Any = None,
        *,
        which: Any = None,
        memory: str | float = "1GB",
    ) -> Vector:
        """Return the standard errors of all parameters, or of some.

        Up to 2,000 parameters, and beyond where p^2 floats fit in `memory`, from one factorisation.
        Else each is the solution of a linear system by preconditioned conjugate gradients, which
        never writes the Hessian out: exact to about nine digits, some dozens of passes over the
        rows for each block of parameters that fits in `memory`.

        Parameters
        ----------
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
            As in `covariance`.
        clusters : array_like of shape (n,) or None, default None
            As in `covariance`.
        which : int, str, (class, column), list of these, or None, default None
            Parameters wanted, by name or number; the name of a column means all its classes. None
            means all.
        memory : str or float, default "1GB"
            What may be held at once beside the data, as "500MB", or a number of bytes.

        Returns
        -------
        ndarray of shape (q,), or of as many as are wanted
            Zero for parameters that an l1 penalty holds at zero.

        Raises
        ------
        InputError
            If the information matrix is singular (or so nearly that conjugate gradients do not
            settle), robust or clustered scores vanish, a name is not known, `memory` does not hold
            even one system, kind or clusters are wrong, or the data have been written to since the
            fit.
        """
        self._check_data()
        return self.variances.standard_errors(kind, clusters, which, as_bytes(memory))

    def confidence_intervals(
        self, level: float = 0.95, kind: ErrorKind = "classical", clusters: Any = None
    ) -> Matrix:
        """Return the ends of normal intervals, coef -/+ z * standard error, shape (q, 2).

        Parameters
        ----------
        level : float, default 0.95
            In (0, 1).
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
            As in `covariance`.
        clusters : array_like of shape (n,) or None, default None
            As in `covariance`.

        Raises
        ------
        InputError
            As `standard_errors`, and if the level is not in (0, 1).
        """
        reach = normal_quantile(level) * self.standard_errors(kind, clusters)
        return np.stack([self.coef - reach, self.coef + reach], axis=1)

    # Tests and measures ----------------------------------------------------------------------

    def wald_test(
        self, R: Any, r: Any = None, kind: ErrorKind = "classical", clusters: Any = None
    ) -> WaldTest:
        """Test whether R theta = r, by (R theta - r)' (R V R')^-1 (R theta - r).

        Parameters
        ----------
        R : array_like of shape (m, q) or (q,), or names
            Restrictions; names of parameters (or of a column, for all its classes) test that all
            of them are r.
        r : float or array_like of shape (m,), default None
            None means zero.
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
            As in `covariance`.
        clusters : array_like of shape (n,) or None, default None
            As in `covariance`.

        Returns
        -------
        WaldTest
            With as many degrees of freedom as there are restrictions that do not follow from
            others. Of a fit that has not converged it says so when it is printed.

        Raises
        ------
        InputError
            As `covariance`, and if restrictions contradict each other, have the wrong shape, or are
            more than clusters can tell apart.
        """
        return wald(self, R, r, kind, clusters)

    def summary(
        self, kind: ErrorKind = "classical", clusters: Any = None, level: float = 0.95
    ) -> Summary:
        """Return a table of the parameters: text, HTML, or a pandas frame.

        Parameters
        ----------
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
            As in `covariance`.
        clusters : array_like of shape (n,) or None, default None
            As in `covariance`.
        level : float, default 0.95
            Of the intervals.

        Raises
        ------
        InputError
            As `standard_errors`, and if the level is not in (0, 1).
        """
        reach = normal_quantile(level)
        errors = self.standard_errors(kind, clusters)
        count = None if kind != "clustered" else len(set(np.asarray(clusters).tolist()))
        return summarize(self, errors, kind, count, (level, reach))

    @property
    def n_observations(self) -> float:
        """The sum of the weights: they count how often an observation was seen."""
        return self.variances.n_observations

    @property
    def df(self) -> int:
        """How many parameters were estimated.

        Directions along which the likelihood moves, less those that an l1 penalty holds at zero.
        """
        return self.variances.free.size

    @property
    def null_log_likelihood(self) -> float:
        """That of the model which `mcfadden_r2` compares with; nan where none was given."""
        null = self.facts.null_log_likelihood
        return math.nan if null is None else float(null)

    @property
    def weighted(self) -> bool:
        """Whether observations were seen more or less often than once."""
        frequencies = self.variances.frequencies
        return frequencies is not None and bool((frequencies != 1).any())

    @property
    def held(self) -> npt.NDArray[np.bool_]:
        """Which parameters an l1 penalty holds at zero, (q,): they have no test."""
        return self.variances.held

    @property
    def likely(self) -> bool:
        """Whether the estimates are of largest likelihood: no penalty, no class weights."""
        return not self.penalised and self.facts.frequencies is None

    @property
    def effective_parameters(self) -> float:
        """The trace of B^-1 I: `df` without penalty, less with one (Gray 1992)."""
        if not self.penalised:
            return float(self.df)
        return self.variances.dense.effective_parameters()

    @property
    def aic(self) -> float:
        """2 * effective parameters - 2 * log-likelihood."""
        return 2.0 * self.effective_parameters - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        """log(n) * effective parameters - 2 * log-likelihood."""
        return math.log(self.n_observations) * self.effective_parameters - 2.0 * self.log_likelihood

    @property
    def mcfadden_r2(self) -> float:
        """1 - log-likelihood / null log-likelihood (McFadden 1974); nan without a null model."""
        if not self.null_log_likelihood < 0:
            return math.nan
        return 1.0 - self.log_likelihood / self.null_log_likelihood


def normal_quantile(level: float) -> float:
    """Return z with P(|Z| <= z) = level for a standard normal Z.

    Raises
    ------
    InputError
        If the level is not in (0, 1).
    """
    if not check_positive("level", level) < 1:
        raise InputError(f"`level` must lie between 0 and 1, as 0.95; got {level!r}.")
    return float(-ndtri((1 - level) / 2))
