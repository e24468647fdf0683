"""What a fit was asked for, checked before any file is read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Self

from softunit.cli.problems import BELONGS, check_belonging, check_errors, check_rows
from softunit.errors import InputError
from softunit.model_file import ProblemKind
from softunit.model_file.model import ESTIMATORS
from softunit.model_file.settings import check_settings
from softunit.tables import Table
from softunit.tables.data_files import shortened, titled
from softunit.tables.names import listed, show


@dataclass(frozen=True)
class FitRequest:
    """The options of `softunit fit`; None stands for the default of the estimator.

    Attributes
    ----------
    data : tuple of str
        Files, folders, globs, URLs.
    target : str or None
    problem : str
    C, ridge, w, tol : float or None
    class_weight : str or None
    solver : str
    max_iter : int
    no_intercept, no_gauge, normalise, interior : bool
    restarts : int or None
    fidelity, unit, outer : str or None
    weights, offset, weights_column, shift, groups, clusters : str or None
        Names of columns.
    alternatives : str or None
        The column that names them; for wide tables their names, with commas between.
    reference : str or None
        The class or alternative that others are told apart from.
    interact : tuple of str
        Columns with a coefficient for each alternative.
    wide, strict, grouped : bool
    formula : str or None
        What makes the columns of a model of choice.
    pattern, availability : str or None
        As `tables.wide_layout` takes them.
    price : str or None
        The column whose units willingness to pay is in.
    order : str or None
        Ordered classes from the lowest, with commas between.
    presto, l1_ratio : float or None
    errors : str or None
        Kind of the standard errors.
    matrix : Path or None
    drop : tuple of str
    impute, unknown, format : str or None
        As `tables.fit_encoding` and `tables.read_table` take them.
    report, out : Path or None
    memory, dask : str or None
        Where the rows live, if not in memory.
    checkpoint : Path or None
    every : float or None
    resume : bool
    """

    data: tuple[str, ...]
    target: str | None = None
    problem: ProblemKind = "classifier"
    C: float | None = None
    ridge: float | None = None
    w: float | None = None
    tol: float | None = None
    class_weight: str | None = None
    solver: str = "auto"
    max_iter: int = 200
    no_intercept: bool = False
    no_gauge: bool = False
    normalise: bool = False
    interior: bool = False
    restarts: int | None = None
    fidelity: str | None = None
    unit: str | None = None
    outer: str | None = None
    weights: str | None = None
    offset: str | None = None
    weights_column: str | None = None
    shift: str | None = None
    groups: str | None = None
    alternatives: str | None = None
    reference: str | None = None
    interact: tuple[str, ...] = ()
    formula: str | None = None
    wide: bool = False
    pattern: str | None = None
    availability: str | None = None
    strict: bool = False
    price: str | None = None
    order: str | None = None
    presto: float | None = None
    l1_ratio: float | None = None
    grouped: bool = False
    errors: Any = None
    clusters: str | None = None
    matrix: Path | None = None
    drop: tuple[str, ...] = ()
    impute: Any = None
    unknown: Any = "error"
    format: str | None = None
    report: Path | None = None
    out: Path | None = None
    memory: str | None = None
    dask: str | None = None
    checkpoint: Path | None = None
    every: float | None = None
    resume: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Return the request that a command's options make.

        Parameters
        ----------
        options : mapping of str to object
            By the names of the attributes; names of choices may be members of an enumeration.
        """
        plain = {
            name: value.value if isinstance(value, Enum) else value
            for name, value in options.items()
        }
        several = {name: tuple(plain.get(name) or ()) for name in ("data", "drop", "interact")}
        return cls(**(plain | several))

    @property
    def source(self) -> str:
        """What sentences call the data."""
        return titled(self.data)

    def roles(self) -> dict[str, str]:
        """Return the columns that are neither features nor target, by the part they play."""
        named = {
            "weights": self.weights,
            "offset": self.offset,
            "w": self.weights_column,
            "shift": self.shift,
            "choice sets": self.groups,
            "alternatives": None if self.wide else self.alternatives,
            "clusters": self.clusters,
        }
        return {role: name for role, name in named.items() if name is not None}

    def estimator(self, *, verbose: int = 0) -> Any:
        """Return the estimator, its settings checked; what columns hold is not yet in them.

        Parameters
        ----------
        verbose : int, default 0

        Raises
        ------
        InputError
            If a setting is wrong, or belongs to another problem.
        """
        self._check_options()
        given = _PARAMETERS.get(self.problem, _of_regression)(self)
        settings: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        if self.tol is not None:
            settings["tol"] = self.tol
        if "--solver" in BELONGS[self.problem]:
            settings["solver"] = self.solver
        if self.no_gauge:
            settings["gauge"] = None
        if self.checkpoint is not None:
            settings["checkpoint"], settings["resume"] = str(self.checkpoint), self.resume
        if self.checkpoint is not None and self.every is not None:
            settings["every"] = self.every
        kind = ESTIMATORS[self.problem]
        estimator = kind(max_iter=self.max_iter, verbose=verbose, **settings)
        check_settings(estimator)
        return estimator

    def _check_options(self) -> None:
        """Refuse options of other problems, and columns with two roles."""
        given = self._options() | {"--drop": self.drop or None}
        check_belonging([name for name, value in given.items() if value is not None], self.problem)
        check_errors(self.errors, self.clusters)
        check_rows(given)
        if self.fidelity == "paper" and self.solver != "auto":
            raise InputError(
                "--fidelity paper runs the paper's own algorithm: leave --solver out, or the"
                " fidelity."
            )
        # The target of two layers is a column of another table.
        target = [] if self.target is None or self.matrix is not None else [self.target]
        roles = [*target, *self.roles().values()]
        twice = [name for name in roles if roles.count(name) > 1]
        if twice:
            raise InputError(
                f"Column {show(twice[0])} has two roles: the target and the columns that other"
                " options name must be different ones."
            )

    def target_of(self, table: Table) -> str:
        """Return the name of the target: the one given, or the one that the file carries."""
        if self.target is not None:
            return self.target
        if table.target is not None:
            return table.names[-1]
        raise InputError(
            f"--target is missing: name the column to predict. The columns of {table.source} are"
            f" {listed(table.names)}."
        )

    def command(self) -> str:
        """Return the command line that asks for this fit."""
        words = ["softunit", "fit", *shortened(self.data)]
        for option, value in self._options().items():
            if value is True:
                words.append(option)
            elif isinstance(value, tuple):
                words += [word for item in value for word in (option, item)]
            elif value is not None:
                text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
                words += [option, text]
        for name in self.drop:
            words += ["--drop", name]
        return shlex.join(words)

    def _options(self) -> dict[str, object]:
        """Return the value of each option, None where it says what holds anyway."""
        return {
            "--target": self.target,
            "--problem": None if self.problem == "classifier" else self.problem,
            "--groups": self.groups,
            "--alternatives": self.alternatives,
            "--reference": self.reference,
            "--formula": self.formula,
            "--wide": self.wide or None,
            "--pattern": self.pattern,
            "--availability": self.availability,
            "--strict": self.strict or None,
            "--price": self.price,
            "--order": self.order,
            "--presto": self.presto,
            "--C": self.C,
            "--l1-ratio": self.l1_ratio,
            "--grouped": self.grouped or None,
            "--errors": self.errors,
            "--clusters": self.clusters,
            "--interact": self.interact or None,
            "--ridge": self.ridge,
            "--w": self.w,
            "--weights-column": self.weights_column,
            "--unit": self.unit,
            "--no-gauge": self.no_gauge or None,
            "--normalise": self.normalise or None,
            "--outer": self.outer,
            "--matrix": self.matrix,
            "--shift": self.shift,
            "--interior": self.interior or None,
            "--restarts": self.restarts,
            "--fidelity": self.fidelity,
            "--tol": self.tol,
            "--class-weight": self.class_weight,
            "--solver": None if self.solver == "auto" else self.solver,
            "--max-iter": None if self.max_iter == 200 else self.max_iter,
            "--weights": self.weights,
            "--offset": self.offset,
            "--impute": self.impute,
            "--unknown": None if self.unknown == "error" else self.unknown,
            "--format": self.format,
            "--report": self.report,
            "--out": self.out,
            "--no-intercept": self.no_intercept or None,
            "--memory": self.memory,
            "--dask": self.dask,
            "--checkpoint": self.checkpoint,
            "--every": self.every,
            "--resume": self.resume or None,
        }


def listed_names(text: str | None) -> tuple[str, ...] | None:
    """Return the names in a text with commas between them; None where there is no text.

    Parameters
    ----------
    text : str or None
    """
    if text is None:
        return None
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def _of_classifier(request: FitRequest) -> dict[str, Any]:
    return {
        "C": request.C,
        "class_weight": request.class_weight,
        "fit_intercept": False if request.no_intercept else None,
        "l1_ratio": request.l1_ratio,
        "grouped": request.grouped or None,
    }


def _of_choice(request: FitRequest) -> dict[str, Any]:
    named = request.wide or request.alternatives is not None
    return {
        "C": request.C,
        "alternative_constants": named and not request.no_intercept,
        "strict": request.strict or None,
    }


def _of_ordinal(request: FitRequest) -> dict[str, Any]:
    return {"C": request.C, "presto": request.presto}


def _of_regression(request: FitRequest) -> dict[str, Any]:
    curve = request.problem in ("exp", "cosh", "sinh")
    return {
        "ridge": request.ridge,
        "w": request.w,
        "restarts": request.restarts,
        "fidelity": request.fidelity,
        "unit": request.problem if curve else request.unit,
        "outer": request.outer,
        "normalise": request.normalise or None,
        "signs": "interior" if request.interior else None,
    }


_PARAMETERS = {"classifier": _of_classifier, "choice": _of_choice, "ordinal": _of_ordinal}
"""The settings of an estimator by what was asked for; of all others they are a regression's."""
