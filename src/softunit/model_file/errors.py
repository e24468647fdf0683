"""The errors of a model's coefficients, kept with it: no data are needed to show them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit._typing import Array, Matrix, Vector
from softunit.errors import FileError
from softunit.model_file import checks
from softunit.tables.names import show

MOST_ERRORS = 2000
"""Parameters up to which their covariance is kept."""

TENSORS = ("estimates", "covariance")

_KEYS = ("against", "df", "log_likelihood", "n_observations", "names", "notes", "null", "warning")
# Symmetric up to rounding; what is not was not written by this package.
_SYMMETRIC = 1e-8


@dataclass(frozen=True, eq=False)
class SavedErrors:
    """The classical covariance of the reported parameters, and what a table says beside it.

    Attributes
    ----------
    names : tuple of str or of (class, column)
    estimates : ndarray of shape (q,)
    covariance : ndarray of shape (q, q)
    log_likelihood : float
    null : float or None
        The log-likelihood without a model.
    n_observations : float
    df : int
    against : str
        The class that the others are told apart from; empty where there is none.
    warning : str
        Why the estimates are no optimum; empty where they are.
    notes : tuple of str
        What the errors mean after a penalty, and the like.
    """

    names: tuple[Any, ...]
    estimates: Vector
    covariance: Matrix
    log_likelihood: float
    null: float | None
    n_observations: float
    df: int
    against: str = ""
    warning: str = ""
    notes: tuple[str, ...] = ()

    @property
    def standard_errors(self) -> Vector:
        """The square roots of the diagonal, shape (q,)."""
        return np.sqrt(np.diagonal(self.covariance))


def encode_errors(errors: SavedErrors | None) -> dict[str, Any] | None:
    """Return all but the arrays as texts, numbers and lists.

    Parameters
    ----------
    errors : SavedErrors or None
    """
    if errors is None:
        return None
    return {
        "names": [list(name) if isinstance(name, tuple) else name for name in errors.names],
        "log_likelihood": errors.log_likelihood,
        "null": errors.null,
        "n_observations": errors.n_observations,
        "df": errors.df,
        "against": errors.against,
        "warning": errors.warning,
        "notes": list(errors.notes),
    }


def error_tensors(errors: SavedErrors | None) -> dict[str, Array]:
    """Return the arrays by name.

    Parameters
    ----------
    errors : SavedErrors or None
    """
    if errors is None:
        return {}
    arrays = (errors.estimates, errors.covariance)
    return {
        name: np.ascontiguousarray(array, dtype=np.float64)
        for name, array in zip(TENSORS, arrays, strict=True)
    }


def decode_errors(data: Any, tensors: Mapping[str, Array]) -> SavedErrors | None:
    """Return what was saved, every value checked.

    Parameters
    ----------
    data : object
        As the header has it.
    tensors : mapping of str to ndarray

    Raises
    ------
    FileError
        If header and arrays disagree, or the covariance is none.
    """
    if (data is not None) != (TENSORS[0] in tensors):
        raise FileError("`errors` does not go with its arrays")
    if data is None:
        return None
    checks.mapping(data, _KEYS, "`errors`")
    estimates, covariance = (tensors[name] for name in TENSORS)
    names = data["names"]
    q = len(names) if isinstance(names, list) else -1
    if estimates.shape != (q,) or covariance.shape != (q, q) or not 0 < q <= MOST_ERRORS:
        raise FileError(
            f"`covariance` has shape {covariance.shape}, which does not go with its names"
        )
    variances = np.diagonal(covariance)
    reach = _SYMMETRIC * np.sqrt(np.outer(np.abs(variances), np.abs(variances)))
    if (variances < 0).any() or (np.abs(covariance - covariance.T) > reach).any():
        raise FileError("`covariance` is not one: it must be symmetric, its diagonal not negative")
    notes = data["notes"]
    if not isinstance(notes, list):
        raise FileError(f"`notes` must be a list; got {show(notes)}")
    return SavedErrors(
        names=tuple(_name(name) for name in names),
        estimates=estimates,
        covariance=covariance,
        log_likelihood=checks.number(data["log_likelihood"], "`log_likelihood`"),
        null=checks.number_or_none(data["null"], "`null`"),
        n_observations=checks.number(data["n_observations"], "`n_observations`"),
        df=checks.count(data["df"], "`df`"),
        against=checks.text(data["against"], "`against`"),
        warning=checks.text(data["warning"], "`warning`"),
        notes=tuple(checks.text(note, "a note") for note in notes),
    )


def _name(value: Any) -> Any:
    """Return a name, or a class and a column."""
    if isinstance(value, list) and len(value) == 2:
        return tuple(checks.text(part, "a name") for part in value)
    return checks.text(value, "a name")
