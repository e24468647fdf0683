"""Whether the data are still those that an inference is of."""

from __future__ import annotations

import numpy as np

from softunit._typing import Array
from softunit.errors import InputError
from softunit.problem import Problem

SAME = 1e-10  # relative, of a log-likelihood; coarser for a design in float32


def unchanged_log_likelihood(problem: Problem, x: Array, then: float) -> float:
    """Return the log-likelihood of the data as they are now, which costs a pass over the rows.

    Data are kept by reference: an array that is written to after the fit is another one, while what
    was evaluated then still tells of an optimum.

    Parameters
    ----------
    problem : Problem
    x : ndarray of the shape of x
    then : float
        What it was when x was last evaluated.

    Raises
    ------
    InputError
        If it is another now.
    """
    now = -problem.mass * problem.by_rows.total_value(x)
    allowed = max(SAME, 100.0 * float(np.finfo(problem.design.dtype).eps))
    if not abs(now - then) <= allowed * (problem.mass + abs(then)):
        raise InputError(
            f"the data have changed since the fit: its log-likelihood on them was {then:.10g}, and"
            f" is {now:.10g} now. They are kept by reference, so do not write to an array that a"
            " model was fitted to; fit again."
        )
    return now
