"""Which option belongs to which problem, and what each problem cannot do without."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from softunit.errors import InputError
from softunit.model_file import ProblemKind

_SCORES = ("--w", "--weights-column")
_FITTED = (*_SCORES, "--ridge", "--solver")
_KEPT = ("--checkpoint", "--every", "--resume")
_LIKELY = ("--C", "--clusters", "--errors", "--offset", "--solver", "--weights")

BELONGS: Mapping[ProblemKind, tuple[str, ...]] = MappingProxyType(
    {
        "classifier": (
            *_LIKELY,
            *_KEPT,
            "--class-weight",
            "--dask",
            "--grouped",
            "--l1-ratio",
            "--memory",
            "--no-intercept",
            "--reference",
        ),
        "choice": (
            *_LIKELY,
            *_KEPT,
            "--alternatives",
            "--availability",
            "--formula",
            "--groups",
            "--interact",
            "--no-intercept",
            "--pattern",
            "--price",
            "--reference",
            "--strict",
            "--wide",
        ),
        "ordinal": (
            *_KEPT,
            "--C",
            "--clusters",
            "--errors",
            "--order",
            "--presto",
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
        "choice": (
            "--groups",
            "name the column that says which rows are one choice set; where each row is a whole"
            " set, give --wide instead",
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
    if problem == "classifier" and "--reference" in given and "--errors" not in given:
        raise InputError(
            "--reference says what the errors of coefficients are against: give --errors too, or"
            " leave it out."
        )
    if "--formula" in given:
        _check_formula(given)
    if "--wide" in given:
        _check_wide(given)
        return
    for option in ("--availability", "--pattern"):
        if option in given:
            raise InputError(f"{option} says how --wide reads its columns: give both, or neither.")
    needed, what = _NEEDED.get(problem, ("", ""))
    if needed and needed not in given:
        raise InputError(f"--problem {problem} needs {needed}: {what}.")


def check_errors(kind: str | None, clusters: str | None) -> None:
    """Refuse clustered errors without clusters, and clusters without them.

    Parameters
    ----------
    kind : str or None
        What --errors was given.
    clusters : str or None
        What --clusters was given.

    Raises
    ------
    InputError
        If one is given without the other.
    """
    if kind == "clustered" and clusters is None:
        raise InputError(
            "--errors clustered needs --clusters: name the column that says which rows belong"
            " together."
        )
    if clusters is not None and kind != "clustered":
        raise InputError("--clusters goes with --errors clustered: give both, or neither.")


def check_rows(given: Mapping[str, object]) -> None:
    """Refuse what cannot be where rows do not live in memory, and half a checkpoint.

    Parameters
    ----------
    given : mapping of str to object
        Options with their values; None where one was not given.

    Raises
    ------
    InputError
        If two options contradict each other, or one misses another.
    """
    for option in ("--resume", "--every"):
        if given.get(option) is not None and given.get("--checkpoint") is None:
            raise InputError(
                f"{option} goes with --checkpoint: name the file that holds the state of the run"
                " too."
            )
    if given.get("--dask") is not None and given.get("--memory") is not None:
        raise InputError(
            "--memory leaves the rows on the disk of this machine, and --dask spreads them over"
            " the memory of workers: give one of them."
        )
    away = next((o for o in ("--memory", "--dask") if given.get(o) is not None), None)
    if away is not None and given.get("--clusters") is not None:
        raise InputError(
            f"--errors clustered needs all rows in memory: give --errors robust, or leave {away}"
            " out."
        )


def _check_formula(given: Collection[str]) -> None:
    for option in ("--drop", "--impute", "--interact", "--wide"):
        if option in given:
            raise InputError(
                f"--formula makes the columns of a long table by itself: leave {option} out, or"
                " the formula."
            )
    if "--out" in given:
        raise InputError(
            "a model of a formula cannot be saved, as the formula may run what it names: leave"
            " --out out, or name the columns with --interact and --drop in place of the formula."
        )


def _check_wide(given: Collection[str]) -> None:
    if "--groups" in given:
        raise InputError(
            "--wide says that each row is a whole choice set, and --groups that sets have several"
            " rows: give one of them."
        )


def _homes(option: str) -> tuple[str, ...]:
    """Return the problems that an option belongs to; none where it belongs to all."""
    return tuple(problem for problem, options in BELONGS.items() if option in options)
