"""Leverage-score inversion: x from the leverage scores of diag(1/(A x - b)) A."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from softunit._checks import check_choice, check_count, check_positive, check_vector
from softunit._progress import Tick, progress
from softunit._typing import Matrix, Vector
from softunit.certificate import Certificate, at_optimum, certify
from softunit.designs import as_design
from softunit.errors import InputError, warn
from softunit.estimators._conditioning import conditioned
from softunit.estimators._continued import joined
from softunit.estimators._data import checked_x
from softunit.estimators._leverage_inversion import Inversion, Options
from softunit.estimators._leverage_parts import LEAST, check_size, check_sizes
from softunit.estimators._leverage_remarks import Remarks
from softunit.penalties import ScoreRidge
from softunit.problem import Problem
from softunit.run import Interrupt, check_interrupt, minimize
from softunit.solution import Solution, Status
from softunit.solvers import GradientRegularizedNewton, Newton
from softunit.units import LeverageScores

Fidelity: TypeAlias = Literal["auto", "paper"]

POLISH = 1e-4  # of tol: the last steps take x to the digits that the scores hold
POLISH_ITER = 1


class LeverageScoreInverter(BaseEstimator):
    """Recover x from leverage scores: sigma(x) = diag of the projection on diag(1/(A x - b)) A.

    ::

        1/2 |sigma(x) - sigma|^2 + 1/2 |diag(w) A x|^2

    Least squares in x from anywhere recovers almost nothing: the loss is flat near every s_i = 0,
    s = A x - b, and has a minimum in most sign patterns. So the fit goes in stages:

    1. The scores are made to sum to the rank of A.  2. They are a convex problem in
    t = -2 log |s|, solved by Newton's method: that gives |s| up to one factor.  3. Signs of s: as
    given; or those at a prior `x0`; or all equal; or by search, as real phase retrieval in the
    subspace of A and b. With them the factor and x follow from one linear solve.  4. The objective
    is polished by gradient-regularised Newton.

    What leverage scores cannot tell is named in a warning and in the certificate: b in the range of
    A, signs that are not settled, parts of A that share no column, rows without information.

    Parameters
    ----------
    w : float or array_like of shape (n,), default 0.0
        Weights of A x in the paper's regulariser. It pulls A x to zero: prefer none.
    signs : {"auto", "interior"} or array_like of shape (n,), default "auto"
        Signs of s. "interior" says that all are equal: x inside {A x > b} or {A x < b}.
    restarts : int, default 32
        Starts of the search for signs.
    fidelity : {"auto", "paper"}, default "auto"
        "paper" runs Newton's method on the objective itself from x0, without stages.
    tol : float, default 1e-10
        Largest entry of the gradient over the largest entry of |A|' |g_z(0)| at which the polish
        has converged.
    max_iter : int, default 200
        Of the convex stage, and of the polish.
    random_state : int, Generator or None, default 0
        For the starts of the search.
    verbose : int, default 0
        1 shows a progress line on work over two seconds, on a terminal.
    keyboard_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does during the polish: raise, or end the fit at the best point so far,
        certified, with a `ConvergenceWarning`. Before the polish it raises.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        x; where A has null directions the one of least norm.
    signs_ : ndarray of shape (n,)
        Signs of A x - b.
    misfit_ : float
        How far the stages before the polish were from exact: 0 for exact scores and right signs;
        nan with fidelity="paper".
    n_iter_ : int
        Newton steps of the convex stage and of the polish.
    n_features_in_ : int
        Columns of A.
    feature_names_in_ : ndarray of shape (d,)
        Only if A has names.
    solution_ : Solution
        Of the polish, x in the columns of A.
    certificate_ : Certificate

    Notes
    -----
    Source of the problem: Li, Song, Wang, Yin, Yu, arXiv 2404.13785; why these stages:
    docs/maths/leverage-scores. Everything is matrix-free in n: products in O(n d^2), memory a few
    arrays of the size of A, which is held dense.
    """

    def __init__(
        self,
        w: Any = 0.0,
        *,
        signs: Any = "auto",
        restarts: int = 32,
        fidelity: Fidelity = "auto",
        tol: float = 1e-10,
        max_iter: int = 200,
        random_state: Any = 0,
        verbose: int = 0,
        keyboard_interrupt: Interrupt = "raise",
    ) -> None:
        self.w = w
        self.signs = signs
        self.restarts = restarts
        self.fidelity = fidelity
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose
        self.keyboard_interrupt = keyboard_interrupt

    def fit(self, A: Any, sigma: Any, b: Any, x0: Any = None) -> Self:
        """Recover x, and certify it.

        Parameters
        ----------
        A : array_like, sparse matrix or frame of shape (n, d)
        sigma : array_like of shape (n,)
            Leverage scores, in (0, 1) with sum rank(A); others are fitted with a warning.
        b : array_like of shape (n,)
        x0 : array_like of shape (d,), default None
            A prior: its signs of A x - b are tried first. With fidelity="paper" the start, zero
            if None.

        Returns
        -------
        LeverageScoreInverter
            Itself, fitted. It warns with `ConvergenceWarning` where the polish has not converged,
            with `NotUniqueWarning` where other x have the same scores, and with `SoftunitWarning`
            where no x has the scores.

        Raises
        ------
        InputError
            If A, sigma, b, x0 or a parameter is wrong, or A x0 - b has a zero entry; the message
            says where.
        """
        rng = self._check_parameters()
        a = _dense(checked_x(self, A, reset=True))
        unit = _unit(a, b)
        problem = self._problem(a, unit, sigma)
        start = self._start(unit, x0)
        options = self._options(unit, start, rng)
        remarks = Remarks(unit, problem.target)
        remarks.look()
        inversion = Inversion(remarks, options, misfit=math.nan)
        with progress(self.verbose, self.tol) as tick:
            if self.fidelity == "auto":
                inversion = Inversion(remarks, dataclasses.replace(options, tick=tick))
                start = unit.span.solve(inversion.run())
            solution = self._polished(problem, start, tick)
        self._keep(problem, solution, inversion)
        return self

    def _check_parameters(self) -> np.random.Generator:
        check_count("restarts", self.restarts, least=1)
        check_choice("fidelity", self.fidelity, ("auto", "paper"))
        check_positive("tol", self.tol, zero=True)
        check_count("max_iter", self.max_iter)
        check_interrupt(self.keyboard_interrupt)
        if isinstance(self.signs, str):
            check_choice("signs", self.signs, ("auto", "interior"))
        try:
            return np.random.default_rng(self.random_state)
        except (TypeError, ValueError) as error:
            raise InputError(
                "`random_state` must be an integer >= 0, a numpy Generator or None; got"
                f" {self.random_state!r}."
            ) from error

    def _problem(self, a: Matrix, unit: LeverageScores, sigma: Any) -> Problem:
        """Return the objective in scaled columns."""
        n = len(a)
        try:
            w = np.asarray(self.w, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"`w` must be a number or one for each row; got {self.w!r}."
            ) from error
        w = check_vector("`w`", np.full(n, float(w)) if w.ndim == 0 else w, n)
        check_sizes(w, unit.shift, check_vector("the target scores sigma", sigma, n))
        design = conditioned(as_design(a), intercept=False, centre=False, ridge=0.0)
        return Problem(design, unit, sigma, ScoreRidge(w))

    def _start(self, unit: LeverageScores, x0: Any) -> Vector | None:
        """Return a checked x0; with fidelity="paper" zero where there is none."""
        d = unit.matrix.shape[1]
        if x0 is None and self.fidelity == "auto":
            return None
        x = np.zeros(d) if x0 is None else check_vector("`x0`", x0, d, rows="x")
        with np.errstate(over="ignore", invalid="ignore"):
            s = unit.matrix @ x - unit.shift
        check_size("s = A x0 - b", s, least=LEAST)
        zero = np.flatnonzero(s == 0)
        if len(zero):
            raise InputError(
                f"s = A x0 - b is zero in {len(zero)} of {len(s)} rows, the first is row {zero[0]}:"
                " leverage scores are not defined there. Give another `x0`."
            )
        return x

    def _options(
        self, unit: LeverageScores, x0: Vector | None, rng: np.random.Generator
    ) -> Options:
        prior = None if x0 is None else unit.matrix @ x0
        signs: Vector | None = None
        if isinstance(self.signs, str):
            if self.signs == "interior":
                signs = np.ones(len(unit.shift))
        else:
            signs = check_vector("`signs`", self.signs, len(unit.shift))
            wrong = np.flatnonzero(np.abs(signs) != 1)
            if len(wrong):
                raise InputError(
                    f"`signs` must hold 1 and -1; got {signs[wrong[0]]} in row {wrong[0]}."
                )
        return Options(signs, prior, self.restarts, self.max_iter, rng, lambda record: None)

    def _polished(self, problem: Problem, x0: Vector | None, tick: Tick) -> Solution:
        """Return the minimum from x0; where it is met, to the digits that the scores hold."""
        stages = self.fidelity == "auto"
        solver = GradientRegularizedNewton() if stages else Newton(kind="exact")

        def run(x: Vector, tol: float, max_iter: int) -> Solution:
            return minimize(
                problem,
                x,
                solver=solver,
                tol=tol,
                max_iter=max_iter,
                callback=lambda record, point: tick(record),
                keyboard_interrupt=self.keyboard_interrupt,
            )

        assert x0 is not None
        first = run(problem.design.from_input(x0), self.tol, self.max_iter)
        if not (stages and first.converged) or first.gradient_norm <= POLISH * self.tol:
            return first
        last = run(first.x, POLISH * self.tol, POLISH_ITER)
        if last.value > first.value or last.gradient_norm > self.tol:
            return first
        return joined(first, last)

    def _keep(self, problem: Problem, best: Solution, inversion: Inversion) -> None:
        """Set the fitted attributes, and warn where the fit is not what it seems."""
        unit = problem.unit
        assert isinstance(unit, LeverageScores)
        certificate = certify(problem, best.x, effort="quick")
        status = best.status
        if status is Status.ROUNDING and at_optimum(certificate):
            status = Status.PROVED
        null = unit.span.null
        x = problem.design.to_input(best.x)
        x = x - null @ (null.T @ x)
        remarks = inversion.remarks
        remarks.left_over(2 * unit.value(unit.matrix @ x, problem.target))
        # Without the stages nothing speaks for a minimum that was run into.
        unique = None if remarks.unique and self.fidelity == "paper" else remarks.unique
        self.certificate_ = dataclasses.replace(
            certificate,
            unique=unique,
            statements=(*(r.statement for r in remarks.found), *certificate.statements),
        )
        self.solution_ = dataclasses.replace(best, x=x, status=status)
        self.coef_ = x
        self.signs_ = np.where(unit.matrix @ x < unit.shift, -1.0, 1.0)
        self.misfit_ = inversion.misfit
        self.n_iter_ = max(1, best.n_iter + inversion.n_iter)
        for remark in remarks.found:
            if remark.warning is not None:
                warn(remark.text, remark.warning)
        if not self.solution_.converged:
            warn(self.solution_.message, ConvergenceWarning)

    def predict(self, A: Any, b: Any) -> Vector:
        """Return the leverage scores of diag(1/(A x - b)) A, shape (n,).

        Raises
        ------
        InputError
            If A x - b has a zero entry; the first row is named.
        """
        check_is_fitted(self)
        a = _dense(checked_x(self, A, reset=False))
        return LeverageScores(a, b).scores(a @ self.coef_)

    def score(self, A: Any, sigma: Any, b: Any) -> float:
        """Return R^2 of the predicted leverage scores, at most 1."""
        predicted = self.predict(A, b)
        target = check_vector("the target scores sigma", sigma, len(predicted))
        spread = float(((target - target.mean()) ** 2).sum())
        left = float(((target - predicted) ** 2).sum())
        return 1.0 - left / spread if spread > 0 else float(left == 0)

    def certify(self, A: Any, sigma: Any, b: Any) -> Certificate:
        """Return a full certificate of the fitted x on some data, as `fit` takes them."""
        check_is_fitted(self)
        a = _dense(checked_x(self, A, reset=False))
        unit = _unit(a, b)
        problem = self._problem(a, unit, sigma)
        full = certify(problem, problem.design.from_input(self.coef_))
        remarks = Remarks(unit, problem.target)
        remarks.look()
        told = (remark.statement for remark in remarks.found)
        unique = full.unique if remarks.unique else remarks.unique
        return dataclasses.replace(full, statements=(*told, *full.statements), unique=unique)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _dense(a: Any) -> Matrix:
    return np.asarray(a.toarray() if sparse.issparse(a) else a, dtype=np.float64)


def _unit(a: Matrix, b: Any) -> LeverageScores:
    """Return the unit, or raise `InputError` where A is zero or b has no size to work with."""
    if not a.any():
        raise InputError(
            f"A, of shape {a.shape}, is zero: all leverage scores are zero, whatever x is. Give a"
            " design with entries other than zero."
        )
    shift = check_vector("the shift b", b, len(a))
    check_size("the shift b", shift, least=LEAST)
    return LeverageScores(a, shift)
