"""What a peer is: a way to fit, the tolerance it begins with, and what it refuses."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.bench.judge import BAR

MAX_ITER = 100_000
"""Iterations that no peer may run out of: the clock and the judge end a run."""


@dataclass(frozen=True)
class Answer:
    """Where a peer ended.

    Attributes
    ----------
    W : ndarray of shape (d, columns)
    b : ndarray of shape (columns,)
        Zeros without an intercept.
    n_iter : int or None
    passes : float or None
        Passes over all rows, samples counted by their share, where the peer tells.
    """

    W: Array
    b: Array
    n_iter: int | None = None
    passes: float | None = None


def prepares_nothing(task: Any) -> None:
    """Do nothing before the clock starts."""


def takes_all(task: Any) -> str:
    """Return no reason to refuse a task."""
    return ""


@dataclass(frozen=True)
class Peer:
    """Who runs.

    Attributes
    ----------
    name : str
    fit : callable (task, tol) -> Answer
        Only this is timed.
    package : str
        What is imported.
    distribution : str
        What pip installs.
    first_tol : float
        The loosest tolerance that may meet `BAR`, for other bars in proportion; it is tightened by
        ten where it does not.
    refuses : callable (task) -> str
        Why a task is not for this peer; empty where it is.
    standard : bool
        Whether it runs where nobody chose the peers.
    prepare : callable (task) -> None
        What it may do with a task before it is timed: compile, but not fit.
    """

    name: str
    fit: Callable[[Any, float], Answer]
    package: str
    distribution: str
    first_tol: float = BAR
    refuses: Callable[[Any], str] = takes_all
    standard: bool = True
    prepare: Callable[[Any], None] = prepares_nothing

    @property
    def is_ours(self) -> bool:
        """Whether it is this package."""
        return self.package == "softunit"

    def missing(self) -> str:
        """Return the pip line where the package is not installed, else an empty string."""
        if importlib.util.find_spec(self.package) is not None:
            return ""
        return f"not installed: pip install {self.distribution}"

    def version(self) -> str:
        """Return the version of the package, or an empty string where there is none."""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return ""


def from_model(model: Any, *, n_iter: Any = None, passes: float | None = None) -> Answer:
    """Return the answer of a fitted classifier with scikit-learn's attributes.

    Parameters
    ----------
    model : object
        With `coef_` (columns, d) and `intercept_` (columns,) or 0.
    n_iter : int or array_like, default None
        Taken from the model if None.
    passes : float, default None
    """
    W = np.atleast_2d(np.asarray(model.coef_)).T
    b = np.zeros(W.shape[1]) + np.ravel(model.intercept_)
    found = model.n_iter_ if n_iter is None else n_iter
    return Answer(W, b, int(np.max(found)), passes)
