"""Discrete choice: what makes one alternative of a set be taken, with standard errors."""

from __future__ import annotations

import math
import os
from typing import Any, Self

import numpy as np

from softunit._checks import check_count, check_positive, check_switch
from softunit._progress import progress
from softunit._typing import Vector
from softunit.checkpoints import check_checkpoint, opened
from softunit.errors import InputError
from softunit.estimators._choice_fit import ChoiceFit, Settings, chosen_constants
from softunit.estimators._choice_model import ChoiceModel
from softunit.estimators._choice_nulls import constants_alone
from softunit.estimators._data import checked_x
from softunit.estimators._formulas import Columns
from softunit.run import Interrupt, check_interrupt
from softunit.solvers import Solver
from softunit.solvers.auto import check_solver

NO_ALTERNATIVES = (
    "`reference` is {!r}, but `fit` was told no alternatives, so there are no constants: pass"
    " `alternatives`, the name of each row's, or leave `reference` at None. In a formula write"
    " C(mode, contr.treatment(base='car'))."
)


class ConditionalLogit(ChoiceModel):
    """McFadden's conditional logit: choices among sets of alternatives, by their attributes.

    With rows i of set g, scores z = X b (plus constants and offset), weights s and y_i what was
    chosen, it maximises::

        log-likelihood = sum_g s_g [ sum_i y_i z_i - (sum_i y_i) log sum_i exp(z_i) ]

    less |b|^2 / (2 C) where C is finite. Sets may be of any size and their rows in any order; an
    alternative that was not on offer has no row. A set in which y adds up to k tells of k choices
    among the same alternatives (not, as in matched case-control studies, of one choice of k of
    them). What is the same for all alternatives of a set cancels: there is no intercept.

    Parameters
    ----------
    C : float, default inf
        Inverse strength of a ridge, C * sum of losses + 1/2 |b|^2; constants carry none.
    tol : float, default 1e-8
        Largest entry of the gradient, relative to the largest at b = 0 without cancellation, at
        which the fit has converged.
    solver : str or Solver, default "auto"
        "auto", "newton", "newton-cholesky", "newton-cg", "lbfgs", "gradient-descent", or a solver
        of `softunit.solvers`. "auto" takes Newton's method.
    max_iter : int, default 200
        Iterations after which the fit ends with a `ConvergenceWarning`.
    alternative_constants : bool, default True
        Whether each alternative but the reference has a constant, where `fit` is told the
        alternatives.
    reference : object, default None
        The alternative without a constant; None takes the first in sorted order. Refused where
        `fit` is told no alternatives.
    strict : bool, default False
        Whether sets that teach nothing, without a choice or with one alternative, are refused; else
        they are left out, counted, with a warning.
    verbose : int, default 0
        1 shows a progress line on work over two seconds, on a terminal.
    keyboard_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does during the iterations: raise, or end the fit at the best point so far,
        certified, with a `ConvergenceWarning`.
    checkpoint : str, path-like or None, default None
        File from which a fit that was ended can go on; see docs/guides/checkpoints.
    every : float, default 30.0
        Seconds between two writings of it; 0 writes after each iteration.
    resume : bool, default False
        Whether to go on from the file, if it is there.

    Attributes
    ----------
    coef_ : ndarray of shape (d + K - 1,)
        Coefficients of the columns and, last, constants of the alternatives but the reference.
    names_ : tuple of str
        Their names.
    constants_ : ndarray of shape (K,)
        Constants of all alternatives, zero for the reference; only if they are fitted.
    alternatives_ : ndarray of shape (K,)
        Alternatives in sorted order; only if `fit` was told them.
    log_likelihood_ : float
        At the fitted coefficients, the ridge left out.
    null_log_likelihood_ : float
        Where the alternatives of a set are equally likely, or as the offset says.
    constants_log_likelihood_ : float
        Of constants alone; only if they are fitted.
    mcfadden_r2_ : float
        1 - log_likelihood_ / null_log_likelihood_.
    aic_, bic_ : float
        2 k - 2 log L and k log n - 2 log L, with k coefficients that can be told and n the sum of
        the weights of the sets.
    n_sets_ : int
        Sets of positive weight.
    n_dropped_ : int
        Sets that taught nothing.
    n_iter_ : int
    n_features_in_ : int
        Columns of X, without constants.
    feature_names_in_ : ndarray of shape (d,)
        Only if X has names.
    solution_ : Solution
        Of minus the log-likelihood, plus the ridge.
    certificate_ : Certificate

    Notes
    -----
    A set is one independent observation: robust errors sum the scores of its rows, `clusters` tell
    which sets belong together. Nothing is formed of the size rows by rows, or sets by alternatives,
    and a dense X is not copied unless sets are left out or rows are not available.

    Source: D. McFadden (1974), "Conditional logit analysis of qualitative choice behavior"; the
    derivatives are in docs/maths/grouped-softmax.

    Examples
    --------
    >>> import numpy as np
    >>> from softunit import ConditionalLogit
    >>> price = np.array([[1.0], [2.0], [2.0], [1.0], [3.0], [1.0], [2.0], [1.5]])
    >>> trip = [1, 1, 2, 2, 3, 3, 4, 4]
    >>> chosen = [1, 0, 1, 0, 0, 1, 0, 1]
    >>> model = ConditionalLogit().fit(price, chosen, trip)
    >>> bool(model.coef_[0] < 0)  # dearer is chosen less
    True
    >>> model.predict_proba([[1.0], [1.0]], [9, 9])
    array([0.5, 0.5])
    """

    def __init__(
        self,
        *,
        C: float = math.inf,
        tol: float = 1e-8,
        solver: str | Solver[Any] = "auto",
        max_iter: int = 200,
        alternative_constants: bool = True,
        reference: Any = None,
        strict: bool = False,
        verbose: int = 0,
        keyboard_interrupt: Interrupt = "raise",
        checkpoint: str | os.PathLike[str] | None = None,
        every: float = 30.0,
        resume: bool = False,
    ) -> None:
        self.C = C
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter
        self.alternative_constants = alternative_constants
        self.reference = reference
        self.strict = strict
        self.verbose = verbose
        self.keyboard_interrupt = keyboard_interrupt
        self.checkpoint = checkpoint
        self.every = every
        self.resume = resume

    def fit(
        self,
        X: Any,
        y: Any,
        groups: Any,
        *,
        alternatives: Any = None,
        available: Any = None,
        sample_weight: Any = None,
        offset: Any = None,
    ) -> Self:
        """Fit and certify.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
            A row for each alternative of each set.
        y : array_like of shape (n,)
            What was chosen: true and false, how often, or shares, which sum to one in each set.
        groups : array_like of shape (n,)
            Set of each row; equal labels belong together, in any order.
        alternatives : array_like of shape (n,), default None
            Name of each row's alternative, for constants and tables of elasticities.
        available : array_like of bool, shape (n,), default None
            Rows that could not be chosen are left out.
        sample_weight : array_like of shape (n,), default None
            How much a set counts, the same on each of its rows.
        offset : array_like of shape (n,), default None
            Added to the scores; -inf says that a row is not available.

        Returns
        -------
        ConditionalLogit
            Itself, fitted. It warns of sets that are left out; with `ConvergenceWarning` where it
            has not converged, with `SeparationWarning` where choices are told without error, so
            that no finite optimum exists, and with `NotUniqueWarning` where columns cannot be told
            apart, or are constant within every set.

        Raises
        ------
        InputError
            If the data or a parameter are wrong; the message says where.
        """
        self._columns: Columns | None = None
        return self._fit(
            X,
            y,
            groups,
            alternatives=alternatives,
            available=available,
            sample_weight=sample_weight,
            offset=offset,
        )

    @classmethod
    def from_formula(
        cls,
        formula: str,
        data: Any,
        groups: Any,
        *,
        alternatives: Any = None,
        available: Any = None,
        sample_weight: Any = None,
        offset: Any = None,
        **params: Any,
    ) -> Self:
        """Return a model fitted to the columns that a formula makes from a frame.

        Prediction takes frames with the columns that the formula names, and names of columns for
        groups and the like. An intercept, and what is the same for all alternatives of a set,
        cancel and are left out; `C(mode):income` has a coefficient for each mode but the first.

        Parameters
        ----------
        formula : str
            As "chosen ~ cost + time + C(mode) + C(mode):income", read by formulaic.
        data : frame of n rows
        groups, alternatives, available, sample_weight, offset : str or array_like of shape (n,)
            As in `fit`, or names of columns. Alternatives add constants: leave them to the formula,
            or to `alternatives`.
        **params
            Of `ConditionalLogit`.

        Returns
        -------
        ConditionalLogit

        Raises
        ------
        MissingExtraError
            If formulaic is not installed.
        InputError
            If the formula cannot be read or names an absent column (near names are given), or as
            `fit`.
        """
        model = cls(**params)
        model._columns = columns = Columns.learn(formula, data, groups)
        if not columns.target:
            raise InputError(
                f"the formula {formula!r} has no left-hand side: name the column of choices, as in"
                f" 'chosen ~ {formula.strip('~ ')}'."
            )
        return model._fit(
            data,
            columns.target,
            groups,
            alternatives=alternatives,
            available=available,
            sample_weight=sample_weight,
            offset=offset,
        )

    def _fit(self, X: Any, y: Any, groups: Any, *, alternatives: Any, **more: Any) -> Self:
        self._check_parameters()
        x = checked_x(self, X if self._columns is None else self._columns.of(X), reset=True)
        sets = self._sets(X, y, groups, x.shape[0], strict=bool(self.strict), **more)
        named = self._named(alternatives, X)
        if named is None and self.reference is not None:
            raise InputError(NO_ALTERNATIVES.format(self.reference))
        told = None if named is None else chosen_constants(named, self.reference, x.shape[0])
        for name in ("alternatives_", "constants_", "constants_log_likelihood_"):
            self.__dict__.pop(name, None)
        self._constants = told[0] if told is not None and self.alternative_constants else None
        codes = None if told is None or self._constants is None else sets.of_rows(told[1])
        if told is not None:
            self.alternatives_ = told[0].names
        fit = ChoiceFit.of(sets.of_rows(x), sets, self._constants, codes, C=self.C)
        kept = opened(self.checkpoint, every=self.every, resume=self.resume)
        with progress(self.verbose, self.tol) as line, kept as file:
            settings = Settings(self.solver, self.tol, self.max_iter, self.keyboard_interrupt, file)
            fit.minimize(settings, line, self.names_)
        self._keep(fit, x.dtype)
        if self._constants is not None and codes is not None:
            self.constants_log_likelihood_ = constants_alone(sets, self._constants, codes)
            self.constants_ = np.insert(self.coef_[x.shape[1] :], self._constants.reference, 0.0)
        fit.warn()
        return self

    def _keep(self, fit: ChoiceFit, dtype: Any) -> None:
        """Set the fitted attributes."""
        self.solution_, self.certificate_ = fit.solution, fit.certificate
        self.coef_: Vector = self.solution_.x
        self.n_iter_ = self.solution_.n_iter
        self.log_likelihood_ = fit.log_likelihood
        self.null_log_likelihood_ = fit.null_log_likelihood
        self.mcfadden_r2_ = fit.mcfadden_r2
        self.n_sets_, self.n_dropped_ = fit.sets.n_sets, fit.sets.n_dropped
        k, value = fit.df, self.log_likelihood_
        self.aic_ = 2 * k - 2 * value
        self.bic_ = k * math.log(fit.mass) - 2 * value
        self._separated = fit.separated
        self._own, self._inference = fit, None

    def _check_parameters(self) -> None:
        check_positive("C", self.C, infinite=True)
        check_positive("tol", self.tol, zero=True)
        check_count("max_iter", self.max_iter)
        check_solver(self.solver)
        for name in ("alternative_constants", "strict"):
            check_switch(name, getattr(self, name))
        check_interrupt(self.keyboard_interrupt)
        check_checkpoint(self.checkpoint, self.every, self.resume)
