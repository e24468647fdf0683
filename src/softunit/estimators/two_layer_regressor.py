"""The papers' two-layer regression: x such that phi(C softmax(A x)) comes close to b."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_is_fitted

from softunit._checks import check_count
from softunit._progress import Tick
from softunit._typing import Vector
from softunit.certificate import Statement
from softunit.errors import InputError, NotUniqueWarning, SoftunitWarning, warn
from softunit.estimators._data import checked_x
from softunit.estimators._descents import Descents
from softunit.estimators._objective import Settings
from softunit.estimators._two_layer_facts import dead_outputs, statements
from softunit.estimators._two_layer_phases import TwoLayerPhases, open_directions
from softunit.estimators._unit_regressor import UnitRegressor
from softunit.problem import Problem
from softunit.run import Interrupt
from softunit.solution import Solution
from softunit.solvers import Solver
from softunit.units import TwoLayerSquares


class TwoLayerRegressor(UnitRegressor):
    """Two-layer regression: a softmax over all rows, a matrix, and a function of each output.

    ::

        1/2 |phi(C softmax(A x)) - b|^2 + 1/2 |diag(w) A x|^2 + ridge/2 |x|^2

    b has one entry for each row of C, and C one column for each row of A. The loss is bounded and
    not convex, so the fit goes in phases:

    1. The point of the convex hull of C's columns nearest to phi^-1(b) says which softmax(A x) to
    come close to, by the convex cross-entropy.
    2. From there the objective, by gradient-regularised Newton on its exact curvature.
    3. Where b is not met, the same from zero and from random points; the best end counts.
    4. Settle flat directions by a few plain Newton steps; where b is met by many x, move to one
    of locally least norm.

    Parameters
    ----------
    matrix : array_like or sparse matrix of shape (m, n), default None
        C; it must be given.
    outer : str, default "tanh"
        phi: identity, relu, softplus, tanh, sigmoid, exp, cosh or sinh.
    w : float or array_like of shape (n,), default 0.0
        Weights of the scores in the regulariser. The papers' theory asks for so much of it that
        the answer is nearly trivial (softmax(A x) close to uniform): keep it small.
    ridge : float, default 0.0
        Strength of a ridge on x.
    tol : float, default 1e-10
        Largest entry of the gradient over that of its terms at x = 0, summed without cancellation,
        at which the fit has converged.
    solver : str or Solver, default "auto"
        For the objective; "auto" is gradient-regularised Newton up to 2,000 columns.
    max_iter : int, default 200
        Of each phase.
    restarts : int, default 10
        Random starts tried at most; none once b is met, or once six ends agree on the best.
    fidelity : {"auto", "paper"}, default "auto"
        "paper" runs the paper's algorithm: full Newton steps from zero on a Hessian of rows sampled
        by leverage scores, no line search and no phases. It needs the paper's w; `solver` and
        `restarts` are not used.
    random_state : int, RandomState or None, default 0
        Draws the random starts and the paper's samples.
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
        It names a target that is out of reach (and what of the loss is irreducible), outputs in
        the dead zone of relu, and directions of x that a target which is met leaves open.

    Notes
    -----
    Source: Li, Song, Wang, Yin, arXiv 2311.15390; why these phases: docs/maths/two-layer.
    """

    def __init__(
        self,
        matrix: Any = None,
        outer: str = "tanh",
        w: Any = 0.0,
        *,
        ridge: float = 0.0,
        tol: float = 1e-10,
        solver: str | Solver[Any] = "auto",
        max_iter: int = 200,
        restarts: int = 10,
        fidelity: Literal["auto", "paper"] = "auto",
        random_state: Any = 0,
        verbose: int = 0,
        keyboard_interrupt: Interrupt = "raise",
    ) -> None:
        self.matrix = matrix
        self.outer = outer
        self.w = w
        self.ridge = ridge
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter
        self.restarts = restarts
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
        y : array_like of shape (m,)
            b, one entry for each row of the matrix.
        sample_weight : None, default None
            Refused: the residuals belong to rows of the matrix, not to rows of A.

        Returns
        -------
        TwoLayerRegressor
            Itself, fitted. It warns with `ConvergenceWarning` where it has not converged, with
            `NotUniqueWarning` where A or the target leave directions of x open, and with
            `SoftunitWarning` where it has ended in the dead zone of relu.

        Raises
        ------
        InputError
            If A, the matrix, b or a parameter is wrong; the message says where.
        """
        return super().fit(X, y, sample_weight)

    def predict(self, X: Any) -> Vector:
        """Return phi(C softmax(A x)), shape (m,), for as many rows as the matrix has columns."""
        check_is_fitted(self)
        a = checked_x(self, X, reset=False)
        unit = self._unit(a.shape[0])
        unit.check(np.zeros(unit.matrix.shape[0]), a.shape[0])
        return unit.output(np.asarray(a @ self.coef_))

    @property
    def _blind(self) -> bool:
        return True

    def _unit(self, n: int) -> TwoLayerSquares:
        if self.matrix is None:
            raise InputError(
                "`matrix` must be given: the second layer C of shape (m, n), one column for each"
                f" of the {n} rows of A."
            )
        return TwoLayerSquares(self.outer, self.matrix)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_count("restarts", self.restarts)

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> tuple[Any, Vector, Vector | None]:
        if sample_weight is not None:
            raise InputError(
                "TwoLayerRegressor takes no `sample_weight`: its residuals belong to rows of the"
                " matrix, not to rows of A."
            )
        return super()._checked(X, y, sample_weight, reset=reset)

    def _checked_target(self, y: Any, n: int) -> Vector:
        if n < 2:
            raise InputError(
                f"one softmax over {n} row is always 1 (n_samples = 1): A needs at least two."
            )
        if y is None:
            raise InputError("requires y to be passed, but the target y is None")
        return np.ravel(self._unit(n).check(column_or_1d(y, warn=True), n))

    def _phases(
        self, problem: Problem, settings: Settings, tick: Tick, seed: int
    ) -> tuple[Solution, ...]:
        descents, rng = Descents(problem, settings, tick), np.random.default_rng(seed)
        return TwoLayerPhases(descents, self.restarts, rng).run()

    def _notes(self, problem: Problem, x: Vector) -> tuple[Statement, ...]:
        return statements(problem, problem.design.from_input(x))

    def _keep(self, problem: Problem, best: Solution) -> None:
        super()._keep(problem, best)
        if self.certificate_.unique is not False and open_directions(problem, best.x):
            self.certificate_ = dataclasses.replace(self.certificate_, unique=False)
            warn(str(self.certificate_.statements[0]), NotUniqueWarning)
        dead = dead_outputs(problem, best.x)
        if dead:
            warn(
                f"{dead} of {problem.target.size} outputs ended in the dead zone of relu, where the"
                " gradient is zero, though their target is positive. Raise `restarts`, or use"
                " outer='softplus'.",
                SoftunitWarning,
            )
