"""The papers' softmax regression: x such that softmax(A x) comes close to b."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from softunit._checks import check_switch
from softunit._numeric import softmax
from softunit._progress import Tick
from softunit._typing import Vector
from softunit.errors import InputError, SoftunitWarning, warn
from softunit.estimators._data import checked_x
from softunit.estimators._objective import Settings
from softunit.estimators._softmax_phases import Phases
from softunit.estimators._unit_regressor import UnitRegressor
from softunit.problem import Problem
from softunit.run import Interrupt
from softunit.solution import Solution
from softunit.solvers import Solver
from softunit.units import SoftmaxSquares


class SoftmaxRegressor(UnitRegressor):
    """Softmax regression: one softmax over all rows, fitted to a distribution over them.

    ::

        1/2 |softmax(A x) - b|^2 + 1/2 |diag(w) A x|^2 + ridge/2 |x|^2

    The squared loss saturates and is not convex, so the fit goes in phases:

    1. Where log b is a combination of the columns of A plus a constant, a linear solve meets b.
    2. Else, from zero, minimise the convex cross-entropy between b and softmax(A x) by Newton's
    method; from there the objective, by gradient-regularised Newton on its exact curvature.
    3. Where b is not met, minimise the objective from zero as well and keep the better end.
    4. Settle flat directions by a few plain Newton steps.

    Parameters
    ----------
    w : float or array_like of shape (n,), default 0.0
        Weights of the scores in the regulariser. The papers' theory asks for w^2 >= 20, which
        makes the answer nearly trivial (softmax(A x) close to uniform): keep it small.
    ridge : float, default 0.0
        Strength of a ridge on x.
    tol : float, default 1e-10
        Largest entry of the gradient over the largest entry of |A|' |g_z(0)| at which the fit has
        converged.
    solver : str or Solver, default "auto"
        For the objective; "auto" is gradient-regularised Newton up to 2,000 columns.
    max_iter : int, default 200
        Of each phase.
    normalise : bool, default False
        Whether b is divided by its sum before anything else, as counts and amounts ask for. It
        must then be nonnegative.
    fidelity : {"auto", "paper"}, default "auto"
        "paper" runs the paper's algorithm as printed, its sign slip mended: full Newton steps from
        zero on a Hessian of rows sampled by leverage scores, no line search. It needs the paper's
        w; `solver` is not used.
    random_state : int, RandomState or None, default 0
        Draws the paper's samples.
    verbose : int, default 0
        1 shows a progress line on work over two seconds, on a terminal.
    keyboard_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does during the iterations: raise, or end the fit at the best point so far,
        certified, with a `ConvergenceWarning`.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        x. Where A has null directions (a constant column is one, unless w holds it) the one of
        least norm.
    n_iter_ : int
        Iterations of all phases.
    n_features_in_ : int
        Columns of A.
    feature_names_in_ : ndarray of shape (d,)
        Only if X has names.
    solution_ : Solution
        Of the phase that gave the answer, x in the columns of A.
    phases_ : tuple of Solution
        All phases, the answer last; their x is in centred and scaled columns.
    certificate_ : Certificate

    Notes
    -----
    Source: Deng, Li, Song, arXiv 2304.10411; why these phases: docs/maths/softmax-squares.
    """

    def __init__(
        self,
        w: Any = 0.0,
        *,
        ridge: float = 0.0,
        tol: float = 1e-10,
        solver: str | Solver[Any] = "auto",
        max_iter: int = 200,
        normalise: bool = False,
        fidelity: Literal["auto", "paper"] = "auto",
        random_state: Any = 0,
        verbose: int = 0,
        keyboard_interrupt: Interrupt = "raise",
    ) -> None:
        self.w = w
        self.ridge = ridge
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter
        self.normalise = normalise
        self.fidelity = fidelity
        self.random_state = random_state
        self.verbose = verbose
        self.keyboard_interrupt = keyboard_interrupt

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit and certify.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
            A, n >= 2.
        y : array_like of shape (n,)
            b. A distribution (nonnegative, sum one) can be met; anything else is accepted with a
            warning that says what part of it cannot.
        sample_weight : array_like of shape (n,), default None
            Outcome weights s: the loss becomes 1/2 sum_k s_k (softmax(A x) - b)_k^2.

        Returns
        -------
        SoftmaxRegressor
            Itself, fitted. It warns with `ConvergenceWarning` where it has not converged, and with
            `NotUniqueWarning` where null directions of A leave the optimum open.

        Raises
        ------
        InputError
            If A, b, the weights or a parameter is wrong; the message says where.
        """
        return super().fit(X, y, sample_weight)

    def predict(self, X: Any) -> Vector:
        """Return softmax(A x) over the rows given, shape (n,): it sums to one."""
        check_is_fitted(self)
        return softmax(np.asarray(checked_x(self, X, reset=False) @ self.coef_))

    @property
    def _blind(self) -> bool:
        return True

    def _unit(self, n: int) -> SoftmaxSquares:
        return SoftmaxSquares()

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_switch("normalise", self.normalise)

    def _phases(
        self, problem: Problem, settings: Settings, tick: Tick, seed: int
    ) -> tuple[Solution, ...]:
        return Phases(problem, settings, tick).run()

    def _checked_target(self, y: Any, n: int) -> Vector:
        if n < 2:
            raise InputError(
                f"one softmax over {n} row is always 1 (n_samples = 1): A needs at least two."
            )
        b = super()._checked_target(y, n)
        if self.normalise:
            b = _normalised(b)
        total, low = float(b.sum()), float(b.min())
        if low < 0 or abs(total - 1) > 1e-6:
            warn(
                f"the target b is not a distribution: its sum is {total:.6g} and its least entry"
                f" {low:.3g}. No softmax can meet it; at least {(1 - total) ** 2 / (2 * n):.3g} of"
                " the loss is irreducible. For counts or amounts set `normalise=True`: b is then"
                " divided by its sum.",
                SoftunitWarning,
            )
        return b


def _normalised(b: Vector) -> Vector:
    low, total = int(np.argmin(b)), float(b.sum())
    if b[low] < 0 or not 0 < total < np.inf:
        raise InputError(
            "`normalise` divides the target b by its sum, which asks for entries >= 0 that are not"
            f" all zero; the least is {b[low]:.6g} in row {low}, and the sum is {total:.6g}."
        )
    return np.asarray(b / total)
