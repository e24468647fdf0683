"""Wald and likelihood-ratio tests."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from softunit._typing import Matrix, Vector
from softunit.errors import InputError
from softunit.inference.names import Names

if TYPE_CHECKING:
    from softunit.inference.inference import Inference
    from softunit.inference.variances import ErrorKind

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
    warning : str, default ""
        Why the estimates are no optimum, so that the test means nothing; empty where they are one.
    """

    statistic: float
    df: int
    p_value: float
    warning: str = ""

    @property
    def converged(self) -> bool:
        """Whether the estimates are an optimum."""
        return not self.warning

    def __str__(self) -> str:
        told = f"Wald test: chi2({self.df}) = {self.statistic:.4g}, p = {self.p_value:.3g}"
        return f"{self.warning}\n{told}" if self.warning else told


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


def wald(found: Inference, R: Any, r: Any, kind: ErrorKind, clusters: Any) -> WaldTest:
    """Return the test of R theta = r; see `Inference.wald_test`."""
    matrix = restrictions(found.variances.names, R)
    wanted = np.zeros(len(matrix)) if r is None else np.asarray(r, dtype=np.float64)
    wanted = np.full(len(matrix), wanted) if wanted.ndim == 0 else wanted
    if wanted.shape != (len(matrix),) or not np.isfinite(wanted).all():
        raise InputError(
            f"`r` must hold {len(matrix)} finite numbers, one for each restriction; its shape is"
            f" {wanted.shape}."
        )
    covariance = found.covariance(kind, clusters)
    off, size = matrix @ found.coef - wanted, np.abs(matrix).max() * np.abs(found.coef).max()
    # Which restrictions follow from others is no matter of the kind of errors.
    plain = covariance if kind == "classical" else found.covariance()
    values, along, scale = _along(matrix @ plain @ matrix.T, off)
    follows = ~_counted(values)
    if (np.abs(along[follows]) > 1e-6 * scale * max(size + np.abs(wanted).max(), 1e-300)).any():
        raise InputError(
            "the restrictions contradict each other: some follow from the others (or are on"
            " parameters held at zero), but not with this `r`."
        )
    df = int((~follows).sum())
    if not df:
        raise InputError("the restrictions are on parameters that are held at zero: drop them.")
    values, along, _ = _along(matrix @ covariance @ matrix.T, off)
    told = _counted(values)
    _check_rank(found, df, int(told.sum()), clusters)
    statistic = float((along[told] ** 2 / values[told]).sum())
    why = found.problem_with_fit
    warning = why and f"NOT CONVERGED, so no test to be trusted. {why}"
    return WaldTest(statistic, df, float(chdtrc(df, statistic)), warning)


def _along(spread: Matrix, off: Vector) -> tuple[Vector, Vector, float]:
    """Return eigenvalues of a covariance scaled to a unit diagonal, `off` along them, the scale."""
    own = np.diagonal(spread)
    scale = 1.0 / np.sqrt(np.where(own > 0, own, 1.0))
    values, vectors = np.linalg.eigh(spread * scale * scale[:, None])
    return values, vectors.T @ (scale * off), float(scale.max())


def _counted(values: Vector) -> npt.NDArray[np.bool_]:
    return np.asarray(values > RANK * max(values[-1], 1e-300))


def _check_rank(found: Inference, df: int, rank: int, clusters: Any) -> None:
    """Refuse a test of more restrictions than the scores spread along."""
    why = "too few observations have residuals that do not vanish"
    if clusters is not None:
        count = len(set(np.asarray(clusters).tolist()))
        why = f"there are {count} clusters"
        if not found.penalised:
            rank = min(rank, count - 1)
            why += ", whose scores sum to zero at the optimum"
    if rank < df:
        raise InputError(
            f"a joint test of {df} restrictions is not defined here: their covariance has rank"
            f" {rank}, as {why}. Test at most {rank} at once,"
            f" take {'finer clusters' if clusters is not None else 'fewer columns'}, or"
            " kind='classical'."
        )


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


def likelihood_ratio_test(restricted: Any, full: Any) -> LikelihoodRatioTest:
    """Test a model against a larger one that contains it.

    ::

        2 (log-likelihood of full - of restricted),  chi-squared with df = the difference in
        parameters

    Parameters
    ----------
    restricted, full : Inference, or fitted ConditionalLogit or OrdinalClassifier
        Of fits to the same observations without penalty; that the first is a special case of the
        second is for the caller to know. A `SoftmaxClassifier` does not keep its data: give
        model.inference(X, y).

    Returns
    -------
    LikelihoodRatioTest

    Raises
    ------
    InputError
        If they are neither, have not converged, are penalised, carry class weights, hold different
        numbers of observations, if the second has no more parameters than the first, or if it fits
        worse.

    Notes
    -----
    Source: S. S. Wilks (1938), "The large-sample distribution of the likelihood ratio". Weights
    count as frequencies; with clusters, shares or a wrong model its distribution is another.
    """
    restricted, full = _inference_of("restricted", restricted), _inference_of("full", full)
    for name, one in (("restricted", restricted), ("full", full)):
        if one.penalised:
            raise InputError(
                f"the {name} model is penalised: twice a difference of its log-likelihoods is not"
                " chi-squared. Fit without penalty (C=inf)."
            )
        if not one.likely:
            raise InputError(
                f"the {name} model carries class weights: its likelihood is not that of the data."
                " Fit without them, or take a Wald test with robust errors."
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


def _inference_of(name: str, model: Any) -> Inference:
    """Return the inference of a model that keeps its data, or one as it is."""
    from softunit.inference.inference import Inference

    if isinstance(model, Inference):
        return model
    ask = getattr(model, "inference", None)
    if ask is None:
        raise InputError(
            f"`{name}` must be an Inference, as model.inference(...) returns it, or a fitted model;"
            f" got {type(model).__name__}."
        )
    needs = [
        one.name
        for one in inspect.signature(ask).parameters.values()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    if needs:
        raise InputError(
            f"`{name}` is a {type(model).__name__}, which does not keep its data: give"
            f" model.inference({', '.join(needs)}) with those of the fit."
        )
    found: Inference = ask()
    return found
