"""Log-likelihoods of models that know nothing, or only how often each alternative is chosen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from softunit.estimators._choice_data import ChoiceSets
from softunit.estimators._choice_problem import Constants, choice_design, choice_problem
from softunit.problem import Problem
from softunit.run import minimize
from softunit.units import GroupedSoftmax

BITS = 50  # alternatives up to which float64 holds the sum of their powers of two exactly
NEWTON_WORK = 1e9  # n K^2 up to which constants alone are fitted by Newton's method
TOL = 1e-9


def equal_shares(sets: ChoiceSets) -> float:
    """Return the log-likelihood where all alternatives of a set are equally likely.

    It is - sum over sets of (weighted choices) * log(alternatives); with an offset, which is known
    and not fitted, the alternatives are as likely as it says.
    """
    if sets.offset is None:
        return -float(sets.totals @ np.log(sets.groups.sizes))
    return -GroupedSoftmax(sets.groups).value(sets.offset, sets.target, sets.weights)


def constants_alone(sets: ChoiceSets, constants: Constants, codes: npt.NDArray[np.int32]) -> float:
    """Return the log-likelihood of a model of constants only.

    Where every set offers every alternative once, and no offset tells them apart, the shares are
    those of all choices together; else it is fitted.
    """
    own = sets.target if sets.weights is None else sets.weights * sets.target
    totals = np.bincount(codes, weights=own, minlength=len(constants.names))
    if sets.offset is None and _all_alike(sets, codes, len(totals)):
        seen = totals[totals > 0]
        return float(seen @ np.log(seen / seen.sum()))
    problem = choice_problem(choice_design(None, constants, codes), sets, ridge=0.0)
    small = problem.design.shape[0] * problem.size**2 <= NEWTON_WORK
    found = minimize(problem, solver="newton" if small else "lbfgs", tol=TOL, max_iter=300)
    return -found.value


def _all_alike(sets: ChoiceSets, codes: npt.NDArray[np.int32], alternatives: int) -> bool:
    """Return whether each set holds each of the alternatives exactly once.

    K powers of two add up to 2^K - 1 only where they are all different.
    """
    if alternatives > BITS or (sets.groups.sizes != alternatives).any():
        return False
    return bool((sets.groups.sums(np.ldexp(1.0, codes)) == 2.0**alternatives - 1).all())


def log_likelihood(problem: Problem, value: float, x: npt.NDArray[np.float64]) -> float:
    """Return the log-likelihood at x from the objective there: the ridge taken out again."""
    return -(value - 0.5 * float(problem.ridge @ (x * x)))
