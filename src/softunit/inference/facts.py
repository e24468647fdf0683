"""What inference must be told of a fit, beside the problem and where it ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softunit._typing import Vector


@dataclass(frozen=True, eq=False)
class Facts:
    """What an estimator knows of its fit.

    Parameters
    ----------
    model : str, default "Model"
        What it is called at the top of a table.
    converged : bool, default True
        Whether the fit reached its optimum: tables show no stars where it did not.
    message : str, default ""
        Why not.
    separated : str, default ""
        The diagnosis of separable data: inference is refused with it.
    null_log_likelihood : float or None, default None
        Of the model that McFadden's R2 compares with: intercepts alone, or equal shares.
    rows : ndarray of int or None, default None
        Rows of the input that the problem holds, in its order, where some were dropped: clusters
        given for all rows of the input are cut to them.
    frequencies : ndarray of shape (n,) or None, default None
        How often each row was seen, where the problem's weights are not that but hold class
        weights too; for rows that are observations.
    remarks : tuple of str, default ()
        Sentences for the foot of every table.
    """

    model: str = "Model"
    converged: bool = True
    message: str = ""
    separated: str = ""
    null_log_likelihood: float | None = None
    rows: npt.NDArray[np.integer] | None = None
    frequencies: Vector | None = None
    remarks: tuple[str, ...] = ()
