"""Ordered classes: proportional odds, and weights that differ between thresholds."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from softunit._checks import check_count, check_positive, check_weights
from softunit._progress import progress
from softunit._typing import Vector
from softunit.checkpoints import check_checkpoint, opened
from softunit.errors import InputError, NotUniqueWarning, SeparationWarning, warn
from softunit.estimators._data import checked_x
from softunit.estimators._ordinal_fit import End, OrdinalFit, Plan
from softunit.estimators._ordinal_model import OrdinalModel
from softunit.estimators._ordinal_path import PrestoPath, presto_path
from softunit.estimators._ordinal_target import OrderedTarget, check_weighed, ordered_target
from softunit.estimators._presto import Strengths
from softunit.run import Interrupt, check_interrupt
from softunit.solvers import Solver
from softunit.solvers.auto import check_solver

NAMED = 8  # columns that a warning lists


class OrdinalClassifier(OrdinalModel):
    """Regression for ordered classes that proves how good its fit is.

    Proportional odds (the ordered logit of statsmodels, `polr` of R)::

        P(y <= k | x) = sigma(threshold_k - x'beta),    k = 1 ... K - 1

    so that a positive coefficient favours higher classes. With `presto` each threshold has weights
    beta_k of its own, drawn towards those of its neighbour (PRESTO, which is proportional odds
    where all differences are zero). With log loss and row weights s the objective is::

        1 / sum(s) * [ sum_i s_i loss_i + 1 / (2 C) |beta|^2 ]
            + presto_first * sum_j |beta_j1| + presto * sum_j sum_{k >= 2} |beta_jk - beta_j,k-1|

    Parameters
    ----------
    C : float, default inf
        Inverse strength of the ridge on beta; with `presto`, on beta_1 and the differences.
    presto : float or None, default None
        None is proportional odds, and so is `numpy.inf`; 0 fits each threshold's weights freely.
        It stands beside the mean loss, so that more rows do not ask for another strength.
    presto_first : float or "same", default 0.0
        Strength on the weights of the first threshold. At 0, growing `presto` leads to
        proportional odds; "same" takes `presto`, as in the paper, and leads to no weights at all.
    order : array_like of shape (K,) or None, default None
        The labels from the lowest to the highest. None takes the order of numbers or that of an
        ordered categorical y; words are taken by the alphabet, with a warning.
    tol : float, default 1e-8
        Largest entry of the gradient (with l1, of the least subgradient) of the objective, in the
        input's columns, at which the fit has converged.
    solver : str or Solver, default "auto"
        As in `softunit.minimize`; "auto" takes Newton's method, with l1 `ProximalNewton`.
    max_iter : int, default 200
        Iterations after which the fit ends with a `ConvergenceWarning`.
    verbose : int, default 0
        1 shows a progress line on work over two seconds, on a terminal.
    keyboard_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does during the iterations: raise, or end the fit at the best point so far,
        certified, with a `ConvergenceWarning`.
    checkpoint : str, path-like or None, default None
        File from which a fit that was ended can go on; see docs/guides/checkpoints. `path`
        keeps none.
    every : float, default 30.0
        Seconds between two writings of it; 0 writes after each iteration.
    resume : bool, default False
        Whether to go on from the file, if it is there.

    Attributes
    ----------
    coef_ : ndarray of shape (d,), or (K - 1, d) with a finite `presto`
        beta, or beta_k for each threshold.
    thresholds_ : ndarray of shape (K - 1,)
        They rise strictly where all share beta.
    classes_ : ndarray of shape (K,)
        From the lowest to the highest.
    n_crossed_ : int
        Rows of X in which cumulative logits are out of order; 0 where all thresholds share beta.
    log_likelihood_, null_log_likelihood_ : float
        At the fit, and of thresholds alone.
    aic_, bic_, mcfadden_r2_ : float
        From these; with l1 a coefficient or difference counts where it is not zero, and the ridge
        is left out of account. The rows that count are sum(s).
    n_iter_ : int
        Iterations made.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Only if X has names.
    solution_ : Solution
        `solution_.x` holds beta and thresholds, (d + K - 1,); with a finite `presto` (d + 1, K - 1)
        with -beta_1 and the first threshold in the first column and in the others what is added.
    certificate_ : Certificate
        What is proved about the fit; all values are of the objective.

    Notes
    -----
    Sources: P. McCullagh (1980), "Regression models for ordinal data"; G. Faletto and J. Bien
    (2023), "Predicting rare events by shrinking towards proportional odds". Derivations:
    docs/maths/cumulative-logit. Without ridge and with collinear columns those coefficients that no
    penalty holds are of least norm. Whole weights count as repeated rows, zero as none. The data
    of the fit are kept by reference, for standard errors; a pickled model is without them.
    """

    def __init__(
        self,
        C: float = math.inf,
        *,
        presto: float | None = None,
        presto_first: float | str = 0.0,
        order: Any = None,
        tol: float = 1e-8,
        solver: str | Solver[Any] = "auto",
        max_iter: int = 200,
        verbose: int = 0,
        keyboard_interrupt: Interrupt = "raise",
        checkpoint: str | os.PathLike[str] | None = None,
        every: float = 30.0,
        resume: bool = False,
    ) -> None:
        self.C = C
        self.presto = presto
        self.presto_first = presto_first
        self.order = order
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.keyboard_interrupt = keyboard_interrupt
        self.checkpoint = checkpoint
        self.every = every
        self.resume = resume

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit and certify.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
            Contiguous floats are not copied.
        y : array_like of shape (n,)
            Labels of any type.
        sample_weight : float or array_like of shape (n,), default None
            Nonnegative row weights: how often each row was seen.

        Returns
        -------
        OrdinalClassifier
            Itself, fitted. A fit that has not converged warns with `ConvergenceWarning`, separable
            classes without penalty with `SeparationWarning`, collinear columns without one with
            `NotUniqueWarning`.

        Raises
        ------
        InputError
            If X, y, weights or a parameter is wrong, or thresholds collapse because a class has no
            row, or none with weight; the message says where.
        """
        plan = self._plan()
        x = checked_x(self, X, reset=True)
        target = ordered_target(y, x.shape[0], self.order)
        kept = opened(self.checkpoint, every=self.every, resume=self.resume)
        with progress(self.verbose, self.tol) as line, kept as file:
            fit = self._posed(replace(plan, checkpoint=file), x, target, sample_weight)
            solution = fit.solve(lambda record, point: line(record))
        fit = replace(fit, plan=plan)  # without the open file
        self._keep(fit, fit.end(solution, self._columns()))
        return self

    def _plan(self) -> Plan:
        check_positive("C", self.C, infinite=True)
        check_positive("tol", self.tol, zero=True)
        check_count("max_iter", self.max_iter)
        check_solver(self.solver)
        check_interrupt(self.keyboard_interrupt)
        check_checkpoint(self.checkpoint, self.every, self.resume)
        return Plan(
            self.C,
            self._strengths(),
            self.solver,
            self.tol,
            self.max_iter,
            self.keyboard_interrupt,
        )

    def _strengths(self) -> Strengths | None:
        same = isinstance(self.presto_first, str) and self.presto_first == "same"
        first = 0.0 if same else check_positive("presto_first", self.presto_first, zero=True)
        if self.presto is None:
            if first or same:
                raise InputError(
                    f"`presto_first` = {self.presto_first!r} has no part without `presto`; for l1"
                    " on coefficients that all thresholds share give presto=numpy.inf."
                )
            return None
        presto = check_positive("presto", self.presto, zero=True, infinite=True)
        if same and math.isinf(presto):
            raise InputError(
                "`presto` = inf and `presto_first` = 'same' would hold every coefficient at zero;"
                " give `presto_first` a number."
            )
        return Strengths(presto, presto if same else first)

    def _posed(self, plan: Plan, x: Any, target: OrderedTarget, sample_weight: Any) -> OrdinalFit:
        weights: Vector | None = None
        if sample_weight is not None:
            given, n = np.asarray(sample_weight), x.shape[0]
            weights = check_weights(np.full(n, given) if given.ndim == 0 else given, n)
        check_weighed(target, weights)
        return OrdinalFit.of(plan, x, target, weights)

    def _keep(self, fit: OrdinalFit, end: End) -> None:
        """Set the fitted attributes, and warn where the fit is not what it seems."""
        self.coef_, self.thresholds_ = fit.parts(end.x)
        self.classes_ = fit.target.classes
        self.solution_, self.certificate_ = end.solution, end.certificate
        self.n_iter_ = max(1, end.solution.n_iter)
        self.log_likelihood_ = fit.log_likelihood(end.x)
        self.null_log_likelihood_ = fit.null_log_likelihood()
        free = int(np.count_nonzero(end.x)) if fit.problem.lasso is not None else end.x.size
        self.aic_ = 2.0 * (free - self.log_likelihood_)
        self.bic_ = free * math.log(fit.problem.mass) - 2.0 * self.log_likelihood_
        self.mcfadden_r2_ = 1.0 - self.log_likelihood_ / self.null_log_likelihood_
        self.n_crossed_ = fit.crossed(end.x)
        self._fit = fit
        self._separated = end.separation
        if end.separation:
            warn(end.separation, SeparationWarning)
        elif end.certificate.unique is False:
            warn(_not_unique(end.collinear), NotUniqueWarning)
        if not (end.solution.converged or end.separation):
            warn(end.solution.message, ConvergenceWarning)

    def path(
        self, X: Any, y: Any, strengths: Any = 30, *, least: float = 1e-3, sample_weight: Any = None
    ) -> PrestoPath:
        """Return fits over a path of `presto`, from proportional odds downwards, each warm.

        `presto` itself is left out of account; `presto_first` is a number, or "same".

        Parameters
        ----------
        X, y
            As in `fit`.
        strengths : int or array_like of shape (m,), default 30
            How many, spread evenly on a logarithmic scale below the least one at which all
            penalised entries are zero; or the values themselves.
        least : float, default 1e-3
            The smallest of them, relative to the largest.
        sample_weight : float or array_like of shape (n,), default None
            As in `fit`.

        Returns
        -------
        PrestoPath
            From the strongest to the weakest; the model itself is not fitted. It warns with
            `SeparationWarning` where one score separates the classes and nothing holds it.

        Raises
        ------
        InputError
            As `fit`, and if a strength is negative or not finite.
        """
        tied = self.presto_first == "same"
        first = 0.0 if tied else check_positive("presto_first", self.presto_first, zero=True)
        twin = clone(self)  # the model stays as it is
        x = checked_x(twin, X, reset=True)
        target = ordered_target(y, x.shape[0], self.order)
        free = Plan(self.C, Strengths(0.0, first), self.solver, self.tol, self.max_iter)
        fit = self._posed(free, x, target, sample_weight)
        return presto_path(fit, strengths, least=least, tied=tied, names=twin._columns())


def _not_unique(columns: tuple[str, ...]) -> str:
    told = ", ".join(map(repr, columns[:NAMED]))
    more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    which = f"the columns {told}{more} are collinear" if columns else "columns of X are collinear"
    if len(columns) == 1:  # alone it can only be like the thresholds
        which = f"column {told} is constant"
    return (
        f"the optimum is not unique: {which}, so that some directions of the coefficients"
        " change no probability. Of the coefficients that no penalty holds those of least norm are"
        " returned; use a finite C, or drop columns."
    )
