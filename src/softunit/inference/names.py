"""The names of reported parameters, and how these follow from those of the input's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._checks import near_names
from softunit.errors import InputError

Name: TypeAlias = str | tuple[str, str]
"""Of a parameter: one string, or the class and the column."""


@dataclass(frozen=True)
class Names:
    """Names of q reported parameters R' theta of p parameters theta.

    Attributes
    ----------
    names : tuple of str or of (class, column)
    basis : sparse matrix of shape (p, q)
        R.
    """

    names: tuple[Name, ...]
    basis: Any

    @classmethod
    def of(cls, names: Sequence[Name], basis: Any, size: int) -> Names:
        """Check names and basis for p = size parameters; a basis of None is the identity.

        Raises
        ------
        InputError
            If there are not p rows of the basis, or not a name for each of its columns, or a name
            occurs twice.
        """
        matrix = sparse.eye_array(size, format="csr") if basis is None else sparse.csr_array(basis)
        if matrix.shape[0] != size:
            raise InputError(
                f"`basis` has shape {matrix.shape}, but the problem has {size} parameters: it must"
                f" be ({size}, q)."
            )
        told = tuple((str(n[0]), str(n[1])) if isinstance(n, tuple) else str(n) for n in names)
        if len(told) != matrix.shape[1]:
            raise InputError(
                f"`names` holds {len(told)} names, but {matrix.shape[1]} parameters are reported."
            )
        if len(set(told)) < len(told):
            twice = next(name for i, name in enumerate(told) if name in told[:i])
            raise InputError(f"`names` holds {label(twice)!r} twice: each needs one of its own.")
        return cls(told, matrix)

    def find(self, which: Any) -> npt.NDArray[np.intp]:
        """Return the positions of some parameters.

        Parameters
        ----------
        which : int, str, (class, column), or a list of these
            The name of a column stands for that column in every class, and that of a class for
            all its columns.

        Raises
        ------
        InputError
            If one is not known; near names are told.
        """
        single = isinstance(which, (str, int, np.integer)) or which in self.names
        wanted = [which] if single else list(which)
        found = [position for one in wanted for position in self._positions(one)]
        if not found:
            raise InputError("no parameter is chosen: name at least one.")
        return np.array(found, dtype=np.intp)

    def _positions(self, one: Any) -> list[int]:
        if isinstance(one, (int, np.integer)) and not isinstance(one, bool):
            if not -len(self.names) <= one < len(self.names):
                raise InputError(f"there is no parameter {one}: there are {len(self.names)}.")
            return [int(one) % len(self.names)]
        key = tuple(map(str, one)) if isinstance(one, tuple) else str(one)
        found = [i for i, n in enumerate(self.names) if n == key or (n != one and key in _parts(n))]
        if found:
            return found
        every = sorted({part for name in self.names for part in (*_parts(name), label(name))})
        told = label(key)  # type: ignore[arg-type]
        raise InputError(
            f"there is no parameter {told!r}.{near_names(told, every)} Take a name, a (class,"
            f" column) pair, or a number below {len(self.names)}."
        )


def _parts(name: Name) -> tuple[str, ...]:
    return name if isinstance(name, tuple) else ()


def label(name: Name) -> str:
    """Return a name as one string."""
    return name if isinstance(name, str) else ": ".join(name)


def involved(names: Names, entries: npt.NDArray[np.bool_]) -> list[str]:
    """Return the columns whose parameters see some entries of x, in order, each once.

    Parameters
    ----------
    names : Names
    entries : ndarray of bool, shape (p,)
    """
    seen = np.asarray(abs(names.basis[entries]).sum(axis=0)).ravel() > 0
    told = [name if isinstance(name, str) else name[1] for name in names.names]
    return list(dict.fromkeys(name for name, one in zip(told, seen, strict=True) if one))
