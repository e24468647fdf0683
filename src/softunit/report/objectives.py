"""What was made as small as possible, as one line of plain text."""

from __future__ import annotations

from typing import Any

import numpy as np

from softunit.report.words import number

SCORES = "leverage scores of diag(1/(A x - b)) A"


def classifier_objective(settings: dict[str, Any]) -> str:
    """Return the objective of a classifier with these settings."""
    C = settings.get("C", 1.0)
    if np.isposinf(C):
        return "mean over i of s_i loss_i, without penalty (C is infinite)"
    penalty = _elastic_net(settings.get("l1_ratio", 0.0), bool(settings.get("grouped", False)))
    return f"C · Σ s_i loss_i + {penalty}, C = {number(C)}; values are divided by C · Σ s_i"


def _elastic_net(l1_ratio: float | None, grouped: bool) -> str:
    """Return the penalty of a classifier: ridge, l1, or some of both."""
    if not l1_ratio:
        return "1/2 |W|²"
    norm = "Σ_j |W_j|" if grouped else "|W|₁"
    lasso = norm if l1_ratio == 1 else f"{number(l1_ratio)} {norm}"
    ridge = "" if l1_ratio == 1 else f" + {number(1 - l1_ratio)}/2 |W|²"
    where = " (W_j: all classes of column j)" if grouped else ""
    return f"{lasso}{ridge}{where}"


def choice_objective(settings: dict[str, Any]) -> str:
    """Return the objective of a model of choice with these settings."""
    loss = "Σ_i w_i (m_i log Σ_j exp(z_ij) - Σ_j y_ij z_ij)"
    C = settings.get("C", np.inf)
    where = "sets i, rows j, z = A x, m_i = Σ_j y_ij"
    if np.isposinf(C):
        return f"{loss}: minus the log-likelihood; {where}"
    return f"{loss} + 1/(2 C) |x|², C = {number(C)}, constants free; {where}"


def ordinal_objective(settings: dict[str, Any]) -> str:
    """Return the objective of a model of ordered classes with these settings."""
    loss = "-log(sigma(z_i,y) - sigma(z_i,y-1))"
    parts = [f"mean over i of s_i {loss}"]
    C, presto = settings.get("C", np.inf), settings.get("presto")
    if not np.isposinf(C):
        parts.append(f"1/(2 C Σ s_i) |x|², C = {number(C)}")
    if presto and not np.isposinf(presto):
        parts.append(f"{number(presto)} Σ_k |x_k - x_(k-1)|₁")
    return " + ".join(parts) + "; z_ik = logit P(y_i at most k)"


def regressor_objective(kind: str, settings: dict[str, Any], *, weighted: bool = False) -> str:
    """Return the objective of a regressor: the loss, and the penalties that are not zero.

    Parameters
    ----------
    kind : str
        Name of the estimator's class; one that is not known counts as a softmax regressor.
    settings : dict
    weighted : bool, default False
        Whether the squared residuals have weights s.
    """
    residual, where = _residual(kind, settings)
    loss = f"1/2 Σ s_i ({residual})_i²" if weighted else f"1/2 |{residual}|²"
    return " + ".join([loss, *_penalties(settings)]) + (f", {where}" if where else "")


def _residual(kind: str, settings: dict[str, Any]) -> tuple[str, str]:
    """Return what is squared, and what its letters mean."""
    unit = settings.get("unit", "exp")
    if kind == "HyperbolicRegressor":
        return f"{unit}(A x) - b", ""
    if kind == "RescaledRegressor":
        free = settings.get("gauge") is None
        return "u - <u, 1> b" if free else "u / <u, 1> - b", f"u = {unit}(A x)"
    if kind == "TwoLayerRegressor":
        return f"{settings['outer']}(C softmax(A x)) - b", ""
    if kind == "LeverageScoreInverter":
        return "sigma(x) - sigma", f"sigma(x) = {SCORES}"
    return "softmax(A x) - b", ""


def _penalties(settings: dict[str, Any]) -> list[str]:
    w, ridge = settings.get("w"), settings.get("ridge")
    found = []
    if w is not None and np.ndim(w) > 0:
        found.append("1/2 |diag(w) A x|²")
    elif w:
        found.append(f"1/2 |{number(float(w))} A x|²")
    if ridge:
        found.append(f"{number(float(ridge))}/2 |x|²")
    return found
