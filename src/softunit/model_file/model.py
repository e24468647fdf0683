"""What a model file holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias, get_args

from softunit.estimators import SoftmaxClassifier, SoftmaxRegressor
from softunit.tables import Encoding

FORMAT = 1
"""The version of the file format that this release writes and reads."""

ProblemKind: TypeAlias = Literal["classifier", "softmax"]
Estimator: TypeAlias = SoftmaxClassifier | SoftmaxRegressor

PROBLEMS: tuple[ProblemKind, ...] = get_args(ProblemKind)
ESTIMATORS: dict[str, type[SoftmaxClassifier] | type[SoftmaxRegressor]] = {
    "classifier": SoftmaxClassifier,
    "softmax": SoftmaxRegressor,
}


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
        estimator : SoftmaxClassifier or SoftmaxRegressor
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


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A fitted estimator, and how a table becomes its design.

    Attributes
    ----------
    estimator : SoftmaxClassifier or SoftmaxRegressor
        Fitted. A loaded one predicts and certifies; it has no `solution_` and no `certificate_`,
        since nothing that a file says about itself is taken on trust.
    encoding : Encoding
    problem : {"classifier", "softmax"}
    target : str
        Name of the column that is predicted.
    training : Training
    weights, offset : str or None
        Names of the columns with row weights and offsets.
    """

    estimator: Estimator
    encoding: Encoding
    problem: ProblemKind
    target: str
    training: Training
    weights: str | None = None
    offset: str | None = None


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
