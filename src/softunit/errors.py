"""What softunit raises and warns.

::

    SoftunitError
    ├── InputError (also ValueError)        data, a parameter or a shape is wrong
    │   ├── FileError                       a file cannot be read, written or trusted
    │   └── NeedsError                      a solver was given a problem without what it needs
    ├── NotConvergedError (RuntimeError)    raised only by Solution.raise_if_failed
    └── MissingExtraError (ImportError)     an optional part is not installed
    SoftunitWarning (UserWarning)
    ├── SeparationWarning                   the classes are separable: no finite optimum
    ├── NotUniqueWarning                    the optimum is not unique: the least-norm one is given
    ├── AllZeroWarning                      an l1 penalty leaves no coefficient
    └── CheckpointWarning                   a checkpoint could not be written: the run goes on
"""

from __future__ import annotations

import sys
import warnings

BEHIND = (__name__.partition(".")[0], "sklearn")  # packages whose lines tell a user nothing


class SoftunitError(Exception):
    """Root of everything that softunit raises on purpose."""


class InputError(SoftunitError, ValueError):
    """Data, a parameter or a shape is wrong; the message says what, where and what to do."""


class FileError(InputError):
    """A file cannot be read, written or trusted."""


class NeedsError(InputError):
    """A solver needs something that the problem does not offer."""


class NotConvergedError(SoftunitError, RuntimeError):
    """A run ended without reaching its tolerance."""


class MissingExtraError(SoftunitError, ImportError):
    """An optional part is not installed; the message holds the pip line."""

    def __init__(self, part: str, extra: str) -> None:
        super().__init__(
            f"{part} needs packages that are not installed: pip install 'softunit[{extra}]'"
        )


class SoftunitWarning(UserWarning):
    """Root of softunit's warnings."""


class SeparationWarning(SoftunitWarning):
    """The classes are separable: without ridge no finite optimum exists."""


class NotUniqueWarning(SoftunitWarning):
    """More than one point attains the optimum; the one of least norm is returned."""


class AllZeroWarning(SoftunitWarning):
    """An l1 penalty is so strong that every coefficient is zero."""


class CheckpointWarning(SoftunitWarning):
    """A checkpoint could not be written; the run goes on, and the old file is whole."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line that led here, outside this package and scikit-learn's wrappers."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_behind(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_behind(module: str) -> bool:
    return module.partition(".")[0] in BEHIND
