"""What a fit was asked for, checked before any file is read."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softunit.errors import InputError
from softunit.estimators import SoftmaxClassifier, SoftmaxRegressor
from softunit.model_file import ProblemKind
from softunit.tables import Table
from softunit.tables.names import listed, show


@dataclass(frozen=True)
class FitRequest:
    """The options of `softunit fit`; None stands for the default of the estimator.

    Attributes
    ----------
    data : Path
    target : str or None
    problem : {"classifier", "softmax"}
    C, ridge, w, tol : float or None
    class_weight : str or None
    solver : str
    max_iter : int
    intercept : bool
    weights, offset : str or None
        Names of columns.
    drop : tuple of str
    impute, unknown, format : str or None
        As `tables.fit_encoding` and `tables.read_table` take them.
    report, out : Path or None
    """

    data: Path
    target: str | None = None
    problem: ProblemKind = "classifier"
    C: float | None = None
    ridge: float | None = None
    w: float | None = None
    tol: float | None = None
    class_weight: str | None = None
    solver: str = "auto"
    max_iter: int = 200
    intercept: bool = True
    weights: str | None = None
    offset: str | None = None
    drop: tuple[str, ...] = ()
    impute: Any = None
    unknown: Any = "error"
    format: str | None = None
    report: Path | None = None
    out: Path | None = None

    def roles(self) -> dict[str, str]:
        """Return the columns that are neither features nor target, by the part they play."""
        named = {"weights": self.weights, "offset": self.offset}
        return {role: name for role, name in named.items() if name is not None}

    def estimator(self, *, verbose: int = 0) -> SoftmaxClassifier | SoftmaxRegressor:
        """Return the estimator, its settings checked.

        Parameters
        ----------
        verbose : int, default 0

        Raises
        ------
        InputError
            If a setting is wrong, or belongs to the other problem.
        """
        self._check_options()
        shared: dict[str, Any] = {
            "solver": self.solver,
            "max_iter": self.max_iter,
            "verbose": verbose,
        }
        given = {"C": self.C, "ridge": self.ridge, "w": self.w, "tol": self.tol}
        shared |= {name: value for name, value in given.items() if value is not None}
        estimator: SoftmaxClassifier | SoftmaxRegressor
        if self.problem == "softmax":
            estimator = SoftmaxRegressor(**shared)
        else:
            estimator = SoftmaxClassifier(
                **shared, fit_intercept=self.intercept, class_weight=self.class_weight
            )
        estimator._check_parameters()
        return estimator

    def _check_options(self) -> None:
        """Refuse options of the other problem, and columns with two roles."""
        belongs: dict[ProblemKind, dict[str, bool]] = {
            "classifier": {
                "--C": self.C is not None,
                "--class-weight": self.class_weight is not None,
                "--no-intercept": not self.intercept,
                "--offset": self.offset is not None,
            },
            "softmax": {"--ridge": self.ridge is not None, "--w": self.w is not None},
        }
        for problem, options in belongs.items():
            wrong = [name for name, given in options.items() if given]
            if problem != self.problem and wrong:
                raise InputError(
                    f"{wrong[0]} belongs to --problem {problem}, not to {self.problem}: leave it"
                    " out."
                )
        roles = [name for name in (self.target, self.weights, self.offset) if name is not None]
        twice = [name for name in roles if roles.count(name) > 1]
        if twice:
            raise InputError(
                f"Column {show(twice[0])} has two roles: --target, --weights and --offset must name"
                " different columns."
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
        options: dict[str, object] = {
            "--target": self.target,
            "--problem": None if self.problem == "classifier" else self.problem,
            "--C": self.C,
            "--ridge": self.ridge,
            "--w": self.w,
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
        }
        words = ["softunit", "fit", str(self.data)]
        for option, value in options.items():
            if value is not None:
                words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
        for name in self.drop:
            words += ["--drop", name]
        return shlex.join(words if self.intercept else [*words, "--no-intercept"])
