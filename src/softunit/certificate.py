"""What is proved about a point, and what is only estimated."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from softunit._checks import check_positive
from softunit.errors import InputError
from softunit.problem import FORM_LIMIT, Problem
from softunit.proofs import Proofs, Statement
from softunit.theory import LocalTheory, local_theory

__all__ = ["Certificate", "Effort", "Statement", "at_optimum", "certify"]

FORM_WORK = 5e10
"""n p^2 up to which a certificate forms the Hessian of n rows and p parameters."""

QUICK_LIMIT, QUICK_WORK = 300, 1e9
"""The same, and the parameters, for a quick certificate: a small part of any fit."""

QUICK_COUPLED = 2e8
"""And where one column of scores couples all rows: such fits take a few dozen passes in all."""


Effort: TypeAlias = Literal["quick", "full"]

LEAST, LARGEST = 1e-100, 1e100  # lengths whose squares float64 holds

AT_OPTIMUM = 1e-12  # of one plus the value: a smaller gap bound is as good as none


@dataclass(frozen=True)
class Certificate:
    """What is known about a point of a problem.

    "Proved" means: a theorem with this problem's own constants, evaluated in float64, with what
    rounding may do to value, gradient and Hessian added. "Estimated" means that it rests on a
    number that could be off (a rank, an iterative solve). A "note" says what is not known.

    Attributes
    ----------
    value : float
        The objective at the point.
    gradient_norm : float
        What is compared with `tol`; see `softunit.minimize`.
    gradient_norm_2 : float
        Euclidean norm of the gradient in the coordinates of the input's columns; with an l1
        penalty of the subgradient of least norm.
    gap_bound : float
        value - infimum is at most this; inf where nothing is known.
    local_gap_bound : float
        The same to the local minimiser whose existence nearby is proved; equal to `gap_bound` for
        convex problems, inf where none is proved.
    strong_convexity : float
        The constant that the bound rests on; 0 where none is known.
    newton_decrement : float
        sqrt(g' H^-1 g): half its square is the decrease Newton's model promises; nan where not
        computed or the Hessian is not positive definite.
    unique : bool or None
        Whether the optimum is unique (scores up to a constant); None where not known.
    statements : tuple of Statement
    theory : LocalTheory or None
        The papers' local theory beside what was measured; None where it does not apply or the
        effort was "quick".
    """

    value: float
    gradient_norm: float
    gradient_norm_2: float
    gap_bound: float
    local_gap_bound: float
    strong_convexity: float
    newton_decrement: float
    unique: bool | None
    statements: tuple[Statement, ...]
    theory: LocalTheory | None = None

    def to_dict(self) -> dict[str, object]:
        """Return plain numbers, strings and lists; nan and infinity become None."""
        out: dict[str, object] = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                value = {name: _plain(number) for name, number in vars(value).items()}
            out[item.name] = _plain(value)
        out["statements"] = [{"text": s.text, "proved": s.proved} for s in self.statements]
        return out

    def __str__(self) -> str:
        return "\n".join(str(statement) for statement in self.statements)


def _plain(value: object) -> object:
    """Return None for a number that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def at_optimum(certificate: Certificate) -> bool:
    """Return whether the value is proved to be at its optimum up to rounding."""
    return certificate.gap_bound <= AT_OPTIMUM * (1 + abs(certificate.value))


def certify(
    problem: Problem,
    x: npt.ArrayLike,
    *,
    effort: Effort = "full",
    radius: float | None = None,
    start: npt.ArrayLike | None = None,
    eps: float = 1e-8,
) -> Certificate:
    """Return what can be said about a point: how far it is from the optimum, and why.

    1. Value and gradient.  2. Where ridge holds all but a few parameters, minimise over the free
    ones and use gap <= |grad|^2 / (2 mu).  3. Where the Hessian can be formed, its eigenvalues give
    the Newton decrement and a gap bound by self-concordance (convex) or by the Lipschitz constant
    of the Hessian (near a local minimum). With an l1 penalty a duality gap takes the place of 2
    and 3.  4. The smallest bound counts.  5. With full effort, for
    one column of scores: the papers' condition on w, their Lipschitz constant and region of
    convergence, and beside them those measured at the point (`Certificate.theory`).

    Parameters
    ----------
    problem : Problem
    x : array_like of the shape of x
    effort : {"quick", "full"}, default "full"
        "quick" forms the Hessian only for a few hundred parameters, "full" up to 2,000 (and n p^2
        up to 5e10, a second or two), with the Newton decrement by conjugate gradients beyond.
    radius : float or None, default None
        R, the papers' bound on |A| and |x|; None takes what they are.
    start : array_like of the shape of x, or None, default None
        x0 from which the papers' theory predicts the number of iterations; None means zero.
    eps : float, default 1e-8
        Distance to the optimum at which that prediction ends.

    Returns
    -------
    Certificate

    Raises
    ------
    InputError
        If x or start has the wrong shape or holds NaN or infinity, or a number is not positive.
    """
    if not isinstance(problem, Problem):
        raise InputError(f"`problem` must be a softunit Problem; got {type(problem).__name__}.")
    if effort not in ("quick", "full"):
        raise InputError(f"`effort` must be 'quick' or 'full'; got {effort!r}.")
    for name, number in (("radius", radius), ("eps", eps)):
        if number is not None and not LEAST <= check_positive(name, number) <= LARGEST:
            raise InputError(f"`{name}` must lie in {LEAST:g} to {LARGEST:g}; got {number!r}.")
    begin = None if start is None else _checked(problem, start, "`start`")
    point = problem.evaluate(_checked(problem, x))
    draft = Proofs(problem, point)
    draft.describe()
    if problem.lasso is not None:
        draft.dual_bound(effort)
        return _finished(draft)
    from_below = problem.unit.relative or not problem.unit.rowwise
    if from_below:
        draft.global_bound()
    elif draft.bounds.convex:
        draft.ridge_bound()
    quick = QUICK_WORK if problem.unit.rowwise else QUICK_COUPLED
    limit, work = (FORM_LIMIT, FORM_WORK) if effort == "full" else (QUICK_LIMIT, quick)
    if problem.size <= limit and problem.design.shape[0] * problem.size**2 <= work:
        draft.spectral_bounds()
    else:
        draft.beyond_spectrum(effort)
    if from_below:
        _say_floor(draft)
    certificate = _finished(draft)
    if effort == "quick" or draft.hessian is None or len(problem.shape) > 1:
        return certificate
    if not problem.unit.has_local_theory:
        return certificate
    if not np.abs(point.x).max(initial=0.0) < LARGEST or not math.isfinite(point.value):
        return certificate  # lengths of such points leave float64
    theory = local_theory(problem, point, draft.hessian, radius=radius, start=begin, eps=eps)
    told = (Statement(text, proved) for text, proved in theory.sentences())
    *facts, last = certificate.statements
    return dataclasses.replace(certificate, theory=theory, statements=(*facts, *told, last))


def _checked(problem: Problem, x: npt.ArrayLike, name: str = "x") -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold numbers; got {type(x).__name__} ({error}).") from error
    if array.shape != problem.shape:
        raise InputError(f"{name} has shape {array.shape}, but the problem's is {problem.shape}.")
    if not np.isfinite(array).all():
        raise InputError(
            f"{name} holds {int((~np.isfinite(array)).sum())} entries of NaN or infinity."
        )
    return array


def _say_floor(proofs: Proofs) -> None:
    """State the bound by the infimum of the loss, where no other has come nearer."""
    lower = proofs.bounds.lower + 0.0  # no minus before a zero
    floor = max(0.0, proofs.point.value - lower)
    if math.isfinite(floor) and floor + proofs.rounding <= proofs.gap:
        proofs.say(
            f"no point has a smaller loss than {lower:.4g}, so the value is within {floor:.2e} of"
            " the global optimum."
        )


def _finished(proofs: Proofs) -> Certificate:
    """Return the certificate, the bound stated last."""
    if math.isfinite(proofs.gap):
        proofs.say(
            f"the value is at most {proofs.gap:.2e} above the optimum (rounding of the value"
            " included).",
            proved=proofs.gap_proved,
        )
    else:
        proofs.say("no bound on the gap is known here.", proved=None)
    problem, point = proofs.problem, proofs.point
    to_input = problem.least_subgradient(point)
    return Certificate(
        value=point.value,
        gradient_norm=float(np.abs(to_input).max()) / problem.gradient_scale,
        gradient_norm_2=float(np.linalg.norm(to_input)),
        gap_bound=proofs.gap,
        local_gap_bound=proofs.gap if proofs.bounds.convex else min(proofs.local, proofs.gap),
        strong_convexity=proofs.convexity,
        newton_decrement=proofs.decrement,
        unique=proofs.unique,
        statements=tuple(proofs.statements),
    )
