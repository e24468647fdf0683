"""One fit of a choice model: its problem, where it ended, and what is to be said of it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from softunit._checks import near_names
from softunit._progress import Tick
from softunit._typing import Array, Vector
from softunit.certificate import Certificate, at_optimum, certify
from softunit.checkpoints import Checkpoint
from softunit.errors import InputError, NotUniqueWarning, SeparationWarning, warn
from softunit.estimators._choice_data import ChoiceSets
from softunit.estimators._choice_labels import alternative_codes
from softunit.estimators._choice_nulls import equal_shares, log_likelihood
from softunit.estimators._choice_problem import (
    Constants,
    choice_design,
    choice_problem,
)
from softunit.estimators._choice_start import sampled_start
from softunit.estimators._conditioning import NullSpace
from softunit.estimators._continued import joined
from softunit.inference import Facts, Inference, infer
from softunit.problem import Problem
from softunit.run import Interrupt, minimize
from softunit.separation import examine
from softunit.solution import Solution, Status
from softunit.solvers import Newton, Solver

HEARD, NAMED = 1e-6, 8  # least part of a column in a direction, and columns a sentence names
WIDE, SPARSE = 200, 0.1  # columns, and share of entries stored, where no Hessian is formed to step
STEPS = 20  # by the Hessian of a sample, before that of all rows is formed
MODEL = "Conditional logit"


def chosen_constants(
    alternatives: Any, reference: Any, n: int
) -> tuple[Constants, npt.NDArray[np.int32]]:
    """Return the alternatives with their reference, and the number of each row's.

    Raises
    ------
    InputError
        If there is one alternative only, or the reference is not among them.
    """
    names, codes = alternative_codes(alternatives, n)
    if len(names) < 2:
        raise InputError(
            f"`alternatives` holds one name only, {names.tolist()[0]!r}: there is nothing to choose"
            " between."
        )
    if reference is None:
        return Constants(names, 0), codes
    known = names.tolist()
    if reference not in known:
        hint = near_names(str(reference), map(str, known))
        raise InputError(
            f"`reference` {reference!r} is not among the alternatives"
            f" {', '.join(map(repr, known))}.{hint}"
        )
    return Constants(names, known.index(reference)), codes


@dataclass(frozen=True)
class Settings:
    """What `minimize` is told: see there."""

    solver: str | Solver[Any]
    tol: float
    max_iter: int
    keyboard_interrupt: Interrupt
    checkpoint: Checkpoint | None = None


@dataclass(eq=False)
class ChoiceFit:
    """Choice sets with a problem, and once it is minimised what came of it.

    Attributes
    ----------
    problem : Problem
        In scaled columns.
    sets : ChoiceSets
    constants : Constants or None
    codes : ndarray of int or None
        The number of each row's alternative, where it is known.
    solution : Solution
        In the input's columns.
    certificate : Certificate
    df : int
        Coefficients that can be told apart.
    separated : str
        Why no optimum exists; empty if one does as far as known.
    not_unique, open : str
        Which coefficients cannot be told apart, and why it is not known whether an optimum exists.
    """

    problem: Problem
    sets: ChoiceSets
    constants: Constants | None = None
    codes: npt.NDArray[np.int32] | None = None
    solution: Solution = field(init=False)
    certificate: Certificate = field(init=False)
    log_likelihood: float = field(init=False, default=math.nan)
    df: int = field(init=False, default=0)
    separated: str = field(init=False, default="")
    not_unique: str = field(init=False, default="")
    open: str = field(init=False, default="")

    @classmethod
    def of(
        cls,
        x: Any,
        sets: ChoiceSets,
        constants: Constants | None,
        codes: npt.NDArray[np.int32] | None,
        *,
        C: float,
    ) -> Self:
        """Pose the problem of some columns and constants.

        Raises
        ------
        InputError
            If C is so small that the ridge overflows.
        """
        free = 0 if constants is None else len(constants.kept)
        ridge = 0.0 if math.isinf(C) else 1.0 / max(C, 1e-310)
        if not math.isfinite(ridge):
            raise InputError(f"C = {C} is too small: 1 / C overflows.")
        design = choice_design(x, constants, codes)
        return cls(choice_problem(design, sets, ridge=ridge, free=free), sets, constants, codes)

    @property
    def mass(self) -> float:
        """The sum of the weights of the sets."""
        weights = self.sets.weights
        if weights is None:
            return float(self.sets.groups.count)
        return float(weights[self.sets.groups.first_rows].sum())

    @property
    def null_log_likelihood(self) -> float:
        """Where all alternatives of a set are equally likely."""
        return equal_shares(self.sets)

    @property
    def mcfadden_r2(self) -> float:
        """One less the log-likelihood over that of equal shares."""
        return 1 - self.log_likelihood / self.null_log_likelihood

    def minimize(self, settings: Settings, tick: Tick, names: tuple[str, ...]) -> None:
        """Minimise, and look at the end: what is proved there, and whether it is an optimum at all.

        Of coefficients with the same scores those of least norm are taken.
        """
        problem = self.problem
        found = self._found(settings, tick)
        x = self._unique(found.x, names)
        certificate = certify(self.problem, x)
        point = problem.evaluate(x)
        self.log_likelihood = log_likelihood(problem, point.value, x)
        status = found.status
        if status is Status.ROUNDING and at_optimum(certificate):
            status = Status.PROVED
        unique = False if self.not_unique else certificate.unique
        self.certificate = dataclasses.replace(certificate, unique=unique)
        self.solution = dataclasses.replace(
            found, x=problem.design.to_input(x), value=point.value, status=status
        )
        self._look_for_separation(x, names)

    def _found(self, settings: Settings, tick: Tick) -> Solution:
        """Return the minimum, from where some of the sets have theirs if there are many."""
        problem, told = self.problem, vars(settings)

        def run(x: Vector | None, **changes: Any) -> Solution:
            return minimize(problem, x, callback=lambda r, _: tick(r), **(told | changes))

        auto = settings.solver == "auto"
        if auto and _is_sparse_and_wide(problem):
            return run(None, solver=Newton(kind="exact", linear="cg"))
        start = sampled_start(problem) if auto else None
        if start is None:
            return run(None)
        x, solver = start
        first = run(x, solver=solver, max_iter=min(STEPS, settings.max_iter))
        left = settings.max_iter - first.n_iter
        if first.converged or first.status is Status.INTERRUPTED or not left:
            return first
        return joined(first, run(first.x, max_iter=left))

    def _unique(self, x: Vector, names: tuple[str, ...]) -> Vector:
        """Return the point of least norm among those that score like x, and note which columns."""
        null = NullSpace.of(self.problem) if not self.problem.ridge.any() else None
        basis = None if null is None else null.basis
        self.df = len(x) - (0 if basis is None else basis.shape[1])
        if null is None or basis is None or not null.found:
            return x
        self.not_unique = _not_unique(basis, names)
        return np.asarray(null.least_norm(x))

    def _look_for_separation(self, x: Vector, names: tuple[str, ...]) -> None:
        """Note why no optimum exists, where none is proved to and a direction says so."""
        if self.certificate.unique or (self.problem.ridge > 0).all():
            return
        found = examine(
            self.problem,
            x,
            names=names,
            outcomes=self._alternatives(),
            certificate=self.certificate,
            hint=self._never_chosen(),
        )
        if found.separation is not None:
            self.separated = found.sentence
            self.solution = dataclasses.replace(self.solution, status=Status.SEPARABLE)
        elif not found.checked:
            self.open = found.sentence

    def _alternatives(self) -> list[Any] | None:
        """Return the name of each row's alternative, where it is known."""
        if self.constants is None or self.codes is None:
            return None
        named: list[Any] = self.constants.names[self.codes].tolist()
        return named

    def _never_chosen(self) -> Vector | None:
        """Return the direction in which alternatives grow that are always chosen, others shrink.

        Others are those never chosen; None where the constants of the alternatives are not known.
        """
        if self.constants is None or self.codes is None:
            return None
        sets, count = self.sets, len(self.constants.names)
        own = sets.target if sets.weights is None else sets.weights * sets.target
        weight = sets.groups.spread(sets.totals)
        made = np.bincount(self.codes, weights=own, minlength=count)
        offered = np.bincount(self.codes, weights=weight, minlength=count)
        sign = (made == offered).astype(np.float64) - (made == 0)
        sign[offered == 0] = 0.0
        constants = np.delete(sign - sign[self.constants.reference], self.constants.reference)
        return np.concatenate([np.zeros(self.problem.design.shape[1] - len(constants)), constants])

    def warn(self) -> None:
        """Warn of whatever a user would want to know before the coefficients are used."""
        if self.separated:
            warn(self.separated, SeparationWarning)
        elif self.not_unique:
            warn(self.not_unique, NotUniqueWarning)
        elif self.open:
            warn(self.open, SeparationWarning)
        if not self.solution.converged and not self.separated:
            warn(self.solution.message, ConvergenceWarning)

    def infer(
        self, coef: Vector, names: tuple[str, ...], solution: Solution, separated: str
    ) -> Inference:
        """Return what these sets say of each coefficient."""
        facts = Facts(
            model=MODEL,
            converged=solution.converged,
            message="" if solution.converged else solution.message,
            separated=separated,
            null_log_likelihood=self.null_log_likelihood,
            rows=self.sets.kept,
        )
        x = self.problem.design.from_input(coef)
        return infer(self.problem, x, names, observations=self.sets.groups, facts=facts)


def _is_sparse_and_wide(problem: Problem) -> bool:
    """Return whether products with the Hessian are far cheaper than the Hessian."""
    d = problem.design.shape[1]
    return d > WIDE and problem.design.row_entries < SPARSE * d


def _not_unique(basis: Array, names: tuple[str, ...]) -> str:
    """Return the sentence on columns that no choice tells apart."""
    # The part of each column that lies in the null space: all of it, where it is alone.
    part = np.linalg.norm(basis, axis=1)
    alone = np.flatnonzero(part > 1 - HEARD).tolist()
    others = np.flatnonzero((part > HEARD) & (part <= 1 - HEARD)).tolist()
    said = []
    if alone:
        verb = "is" if len(alone) == 1 else "are"
        said.append(f"{_listed(alone, names)} {verb} constant within every choice set")
    if others:
        said.append(f"{_listed(others, names)} are collinear within the choice sets")
    return (
        f"the optimum is not unique: {' and '.join(said)}, so some coefficients move no"
        " probability. Those of least norm are returned; drop columns, or set a finite C."
    )


def _listed(found: list[int], names: tuple[str, ...]) -> str:
    told = ", ".join(repr(names[j]) for j in found[:NAMED])
    return f"{told} and {len(found) - NAMED} more" if len(found) > NAMED else told
