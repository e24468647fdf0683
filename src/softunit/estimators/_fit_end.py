"""Where a classifier's fit ends, after a look at what the absence of ridge leaves open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softunit._numeric import EPS
from softunit._typing import Array
from softunit.certificate import Certificate, certify
from softunit.estimators._conditioning import least_norm_point
from softunit.estimators._data import ClassTarget
from softunit.estimators._objective import without_gauge
from softunit.problem import FORM_LIMIT, Problem
from softunit.separation import Diagnosis, examine
from softunit.solution import Solution, Status

PAIRS = 10_000_000
"""Rows times classes up to which separation is looked into where rows are not in memory."""


@dataclass(frozen=True)
class End:
    """The point that a fit takes from a run.

    Attributes
    ----------
    x : ndarray of shape (d,) or (d, K)
        In the scaled columns; its constants across the classes are those of `without_gauge`.
    status : Status
    separation : str
        A sentence on the classes that are separable where there is no ridge; mostly empty.
    collinear : bool
        Whether other points score like x where there is no ridge; x has the least norm.
    certificate : Certificate or None
        Of x, where it has been made.
    unsettled : str
        A sentence on why it is not known whether the classes are separable; mostly empty.
    """

    x: Array
    status: Status
    separation: str = ""
    collinear: bool = False
    certificate: Certificate | None = None
    unsettled: str = ""

    @classmethod
    def of(
        cls,
        problem: Problem,
        solution: Solution,
        classes: ClassTarget,
        *,
        free: bool,
        tol: float,
        names: Sequence[str] | None = None,
    ) -> End:
        """Return where a run ended, after a look at what the absence of ridge leaves open.

        Parameters
        ----------
        problem : Problem
        solution : Solution
        classes : ClassTarget
        free : bool
            Whether C is infinite.
        tol : float
        names : sequence of str or None, default None
            Of the columns.
        """
        x = without_gauge(problem, solution.x)
        if not free:
            return cls(x, solution.status)
        certificate = certify(problem, x)
        found = _separated(problem, x, classes, certificate, names)
        if found.separation is not None:
            return cls(x, Status.SEPARABLE, found.sentence, certificate=certificate)
        if problem.design.home != "memory" and problem.shape[0] > FORM_LIMIT:
            # The least-squares problems that tell the least norm take hundreds of passes there.
            return cls(x, solution.status, certificate=certificate, unsettled=found.sentence)
        moved, null = least_norm_point(problem, x, tol)
        if np.abs(moved - x).max() > 64 * EPS * np.abs(x).max():
            return cls(np.asarray(moved), solution.status, "", null, unsettled=found.sentence)
        return cls(x, solution.status, "", null, certificate, found.sentence)


def _separated(
    problem: Problem,
    x: Array,
    classes: ClassTarget,
    certificate: Certificate,
    names: Sequence[str] | None,
) -> Diagnosis:
    """Return whether the classes are separable, or why that is left open."""
    if certificate.unique or math.isfinite(certificate.gap_bound):
        return Diagnosis(None, checked=True)  # a mean of log losses that has a minimiser
    home, n = problem.design.home, problem.design.shape[0]
    if home != "memory" and n * classes.n_classes > PAIRS:
        return Diagnosis(
            None,
            False,
            f"whether the classes are separable was not looked into, as the {n} rows are not in"
            " memory, and no bound on the distance to the optimum is proved. Use a finite C, or"
            " fit a sample of the rows in memory first.",
        )
    told = classes.classes.tolist()
    return examine(problem, x, names=names, outcomes=told, certificate=certificate)
