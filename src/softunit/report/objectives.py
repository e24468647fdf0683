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
    return f"C · Σ s_i loss_i + 1/2 |W|², C = {number(C)}; values are divided by C · Σ s_i"


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
