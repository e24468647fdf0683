"""Wald and likelihood-ratio tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import chdtrc

from softunit._typing import Matrix, Vector
from softunit.errors import InputError
from softunit.inference.names import Names

if TYPE_CHECKING:
    from softunit.inference.inference import Inference

RANK = 1e-10  # of the largest eigenvalue of R V R', its diagonal scaled to one


@dataclass(frozen=True)
class WaldTest:
    """A test of linear restrictions on the parameters.

    Attributes
    ----------
    statistic : float
    df : int
        Restrictions that do not follow from each other.
    p_value : float
        From the chi-squared distribution.
    """

    statistic: float
    df: int
    p_value: float

    def __str__(self) -> str:
        return f"Wald test: chi2({self.df}) = {self.statistic:.4g}, p = {self.p_value:.3g}"


@dataclass(frozen=True)
class LikelihoodRatioTest:
    """A test of a restricted model against a full one.

    Attributes
    ----------
    statistic : float
        Twice the difference of the log-likelihoods.
    df : int
        The difference of the numbers of parameters.
    p_value : float
        From the chi-squared distribution.
    """

    statistic: float
    df: int
    p_value: float

    def __str__(self) -> str:
        return (
            f"Likelihood-ratio test: chi2({self.df}) = {self.statistic:.4g}, p = {self.p_value:.3g}"
        )


def wald(names: Names, coef: Vector, covariance: Matrix, R: Any, r: Any) -> WaldTest:
    """Return the test of R theta = r; see `Inference.wald_test`."""
    matrix = restrictions(names, R)
    wanted = np.zeros(len(matrix)) if r is None else np.asarray(r, dtype=np.float64)
    wanted = np.full(len(matrix), wanted) if wanted.ndim == 0 else wanted
    if wanted.shape != (len(matrix),) or not np.isfinite(wanted).all():
        raise InputError(
            f"`r` must hold {len(matrix)} finite numbers, one for each restriction; its shape is"
            f" {wanted.shape}."
        )
    off, spread = matrix @ coef - wanted, matrix @ covariance @ matrix.T
    own = np.diagonal(spread)
    scale = 1.0 / np.sqrt(np.where(own > 0, own, 1.0))
    values, vectors = np.linalg.eigh(spread * scale * scale[:, None])
    kept = values > RANK * max(values[-1], 1e-300)
    along = vectors.T @ (scale * off)
    size = float(np.abs(matrix).max() * np.abs(coef).max(initial=0.0) + np.abs(wanted).max())
    if (np.abs(along[~kept]) > 1e-6 * scale.max() * max(size, 1e-300)).any():
        raise InputError(
            "the restrictions contradict each other: some follow from the others (or are on"
            " parameters held at zero), but not with this `r`."
        )
    df = int(kept.sum())
    if not df:
        raise InputError("the restrictions are on parameters that are held at zero: drop them.")
    statistic = float((along[kept] ** 2 / values[kept]).sum())
    return WaldTest(statistic, df, float(chdtrc(df, statistic)))


def restrictions(names: Names, R: Any) -> Matrix:
    """Return restrictions as a matrix (m, q), from such, one row of it, or names.

    Raises
    ------
    InputError
        If a name is not known, or the shape is wrong.
    """
    named = isinstance(R, (str, tuple)) or (
        isinstance(R, list) and R and all(isinstance(one, (str, tuple)) for one in R)
    )
    if named and not (isinstance(R, tuple) and not isinstance(R[0], str)):
        return np.asarray(np.eye(len(names.names))[names.find(R)])
    try:
        matrix = np.atleast_2d(np.asarray(R, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(f"`R` must hold numbers, or names of parameters; {error}.") from error
    if matrix.ndim != 2 or matrix.shape[1] != len(names.names) or not len(matrix):
        raise InputError(
            f"`R` has shape {matrix.shape}, but there are {len(names.names)} parameters: it must be"
            f" (m, {len(names.names)})."
        )
    if not np.isfinite(matrix).all() or not matrix.any(axis=1).all():
        raise InputError("`R` must be finite, and no restriction may be all zeros.")
    return matrix


def likelihood_ratio_test(restricted: Inference, full: Inference) -> LikelihoodRatioTest:
    """Test a model against a larger one that contains it.

    ::

        2 (log-likelihood of full - of restricted),  chi-squared with df = the difference in
        parameters

    Parameters
    ----------
    restricted, full : Inference
        Of fits to the same observations without penalty; that the first is a special case of the
        second is for the caller to know.

    Returns
    -------
    LikelihoodRatioTest

    Raises
    ------
    InputError
        If they have not converged, are penalised, hold different numbers of observations, if the
        second has no more parameters than the first, or if it fits worse.

    Notes
    -----
    Source: S. S. Wilks (1938), "The large-sample distribution of the likelihood ratio". Weights
    count as frequencies; with clusters, shares or a wrong model its distribution is another.
    """
    for name, one in (("restricted", restricted), ("full", full)):
        if one.penalised:
            raise InputError(
                f"the {name} model is penalised: twice a difference of its log-likelihoods is not"
                " chi-squared. Fit without penalty (C=inf)."
            )
        if not one.converged:
            raise InputError(
                f"the {name} model is not at its optimum, so its likelihood is not the largest:"
                f" {one.problem_with_fit}"
            )
    n, m = restricted.n_observations, full.n_observations
    if not abs(n - m) <= 1e-9 * m:
        raise InputError(
            f"the models are of {n:g} and of {m:g} observations: both must be fitted to the same."
        )
    df = full.df - restricted.df
    if df <= 0:
        raise InputError(
            f"the restricted model has {restricted.df} parameters and the full one {full.df}: give"
            " the smaller one first."
        )
    gain = full.log_likelihood - restricted.log_likelihood
    if gain < -1e-6 * (1.0 + abs(full.log_likelihood)):
        raise InputError(
            f"the full model fits worse, by {-gain:.3g} in log-likelihood: the restricted one is no"
            " special case of it."
        )
    statistic = max(0.0, 2.0 * gain)
    return LikelihoodRatioTest(statistic, df, float(chdtrc(df, statistic)))
