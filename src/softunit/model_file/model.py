"""What a model file holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias, get_args

from softunit._typing import Vector
from softunit.estimators import (
    ConditionalLogit,
    HyperbolicRegressor,
    LeverageScoreInverter,
    OrdinalClassifier,
    RescaledRegressor,
    SoftmaxClassifier,
    SoftmaxRegressor,
    TwoLayerRegressor,
)
from softunit.model_file.choices import ChoiceTable
from softunit.model_file.errors import SavedErrors
from softunit.solution import Solution, Status
from softunit.tables import Encoding

FORMAT = 3
"""The version of the file format that this release writes; it reads this one, 1 and 2."""

ProblemKind: TypeAlias = Literal[
    "classifier",
    "choice",
    "ordinal",
    "softmax",
    "exp",
    "cosh",
    "sinh",
    "rescaled",
    "two-layer",
    "leverage",
]
Regressor: TypeAlias = (
    SoftmaxRegressor
    | HyperbolicRegressor
    | RescaledRegressor
    | TwoLayerRegressor
    | LeverageScoreInverter
)
Estimator: TypeAlias = SoftmaxClassifier | ConditionalLogit | OrdinalClassifier | Regressor

PROBLEMS: tuple[ProblemKind, ...] = get_args(ProblemKind)
ESTIMATORS: dict[ProblemKind, type[Any]] = {
    "classifier": SoftmaxClassifier,
    "choice": ConditionalLogit,
    "ordinal": OrdinalClassifier,
    "softmax": SoftmaxRegressor,
    "exp": HyperbolicRegressor,
    "cosh": HyperbolicRegressor,
    "sinh": HyperbolicRegressor,
    "rescaled": RescaledRegressor,
    "two-layer": TwoLayerRegressor,
    "leverage": LeverageScoreInverter,
}
"""The class of the estimator of each problem; of exp, cosh and sinh it is one."""


@dataclass(frozen=True)
class Training:
    """How the fit of a saved model ended.

    Attributes
    ----------
    source : str
        Name of the file that it was fitted to.
    rows : int
    status : str
        Name of the `Status`, such as "CONVERGED".
    solver : str
    n_iter : int
    seconds : float
    value, gradient_norm : float or None
        None where they were not finite.
    certificate : dict
        What `Certificate.to_dict` returns.
    """

    source: str
    rows: int
    status: str
    solver: str
    n_iter: int
    seconds: float
    value: float | None
    gradient_norm: float | None
    certificate: dict[str, Any] = field(repr=False)

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached, or what can be reached in its place."""
        return self.status in ("CONVERGED", "PROVED")

    @classmethod
    def of(cls, estimator: Estimator, *, source: str, rows: int) -> Self:
        """Return the facts of a fitted estimator.

        Parameters
        ----------
        estimator : a fitted estimator
        source : str
            Name of the file that it was fitted to.
        rows : int
        """
        solution = estimator.solution_
        return cls(
            source=source,
            rows=rows,
            status=solution.status.name,
            solver=solution.solver,
            n_iter=int(solution.n_iter),
            seconds=float(solution.seconds),
            value=_finite(solution.value),
            gradient_norm=_finite(solution.gradient_norm),
            certificate=estimator.certificate_.to_dict(),
        )

    def solution(self, x: Vector) -> Solution:
        """Return the end of the fit as far as the file tells of it: without history and cost.

        Parameters
        ----------
        x : ndarray of shape (d,)
        """
        return Solution(
            x=x,
            value=math.nan if self.value is None else self.value,
            gradient_norm=math.nan if self.gradient_norm is None else self.gradient_norm,
            status=Status[self.status],
            n_iter=self.n_iter,
            history=(),
            seconds=self.seconds,
            solver=self.solver,
        )


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A fitted estimator, and how a table becomes its design.

    Attributes
    ----------
    estimator : a fitted classifier or regressor
        A loaded one predicts and certifies; it has no `certificate_`, since nothing that a file
        says about itself is taken on trust. The `solution_` of a regressor is what the file says
        of its fit; `certify` takes nothing but x from it.
    encoding : Encoding
    problem : str
        "classifier", "choice", "ordinal", "softmax", "exp", "cosh", "sinh", "rescaled",
        "two-layer" or "leverage".
    target : str
        Name of the column that is predicted; for two layers a column of the outer matrix's table.
    training : Training
    weights, offset : str or None
        Names of the columns with row weights and offsets.
    score_weights : str or None
        Name of the column with the w of a regulariser, one for each row. A loaded estimator has
        w = None then, which its `certify` refuses: w must be read and set.
    shift : str or None
        Name of the column with the b of leverage scores.
    choice : ChoiceTable or None
        How a table holds choices.
    errors : SavedErrors or None
        The classical errors of the coefficients, where they were computed.
    no_errors : str
        Why there are none, where they were asked for; empty where they were not, or there are.
    """

    estimator: Estimator
    encoding: Encoding
    problem: ProblemKind
    target: str
    training: Training
    weights: str | None = None
    offset: str | None = None
    score_weights: str | None = None
    shift: str | None = None
    choice: ChoiceTable | None = None
    errors: SavedErrors | None = None
    no_errors: str = ""


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
