"""Which option belongs to which problem, and what each problem cannot do without."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from softunit.errors import InputError
from softunit.model_file import ProblemKind

_SCORES = ("--w", "--weights-column")
_FITTED = (*_SCORES, "--ridge", "--solver")

BELONGS: Mapping[ProblemKind, tuple[str, ...]] = MappingProxyType(
    {
        "classifier": (
            "--C",
            "--class-weight",
            "--no-intercept",
            "--offset",
            "--solver",
            "--weights",
        ),
        "softmax": (*_FITTED, "--fidelity", "--normalise", "--weights"),
        "exp": (*_FITTED, "--fidelity", "--weights"),
        "cosh": (*_FITTED, "--fidelity", "--restarts", "--weights"),
        "sinh": (*_FITTED, "--fidelity", "--weights"),
        "rescaled": (*_FITTED, "--fidelity", "--no-gauge", "--restarts", "--unit", "--weights"),
        "two-layer": (*_FITTED, "--fidelity", "--matrix", "--outer", "--restarts"),
        "leverage": (*_SCORES, "--fidelity", "--interior", "--restarts", "--shift"),
    }
)
"""The options of some problems only; all others belong to every problem."""

_NEEDED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "two-layer": (
            "--matrix",
            "name the table of the outer matrix, with one row for each output: its target, and one"
            " number for each row of DATA",
        ),
        "leverage": ("--shift", "name the column with the b of diag(1/(A x - b)) A"),
    }
)


def belongs(option: str, problem: ProblemKind) -> bool:
    """Return whether an option is one of a problem.

    Parameters
    ----------
    option : str
    problem : str
    """
    return option in BELONGS[problem] or not _homes(option)


def check_belonging(given: Collection[str], problem: ProblemKind) -> None:
    """Refuse options of other problems, and a problem without what it needs.

    Parameters
    ----------
    given : collection of str
        The options that were given.
    problem : str

    Raises
    ------
    InputError
        If one does not belong, two contradict each other, or a needed one is missing.
    """
    for option in given:
        if not belongs(option, problem):
            *others, last = _homes(option)
            homes = f"{', '.join(others)} or {last}" if others else last
            raise InputError(
                f"{option} belongs to --problem {homes}, not to {problem}: leave it out."
            )
    if all(option in given for option in _SCORES):
        raise InputError(
            "--w is one number for all rows, and --weights-column one for each row: give one of"
            " them."
        )
    needed, what = _NEEDED.get(problem, ("", ""))
    if needed and needed not in given:
        raise InputError(f"--problem {problem} needs {needed}: {what}.")


def _homes(option: str) -> tuple[str, ...]:
    """Return the problems that an option belongs to; none where it belongs to all."""
    return tuple(problem for problem, options in BELONGS.items() if option in options)
