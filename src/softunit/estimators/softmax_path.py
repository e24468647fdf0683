"""Coefficients of softmax regression along C, and where the first of them enters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from softunit._typing import Array, Matrix, Vector
from softunit.certificate import certify
from softunit.errors import InputError, warn
from softunit.estimators._data import (
    ClassTarget,
    checked_classes,
    checked_strengths,
    checked_x,
)
from softunit.estimators._fit_end import End
from softunit.estimators._objective import at_strength, class_problem
from softunit.estimators._row_weights import checked_row_weights
from softunit.estimators._sparsity import check_l1, entering_strength, next_minimum, spanned
from softunit.estimators.softmax_classifier import SoftmaxClassifier
from softunit.problem import Problem
from softunit.solvers import Solver
from softunit.sparse_path import Screened

__all__ = ["SoftmaxPath", "l1_min_c", "softmax_path"]


@dataclass(frozen=True)
class SoftmaxPath:
    """Softmax regressions at several values of C.

    Attributes
    ----------
    Cs : ndarray of shape (m,)
        In the order given.
    coefs : tuple of csr_array of shape (1, d) or (K, d)
        The coefficients at each C; what is zero is not stored.
    intercepts : ndarray of shape (m, 1) or (m, K)
        Zeros without an intercept.
    values : ndarray of shape (m,)
        The mean objective: divided by C * sum(s).
    gap_bounds : ndarray of shape (m,)
        How far each value is from its optimum at most.
    n_iter : ndarray of shape (m,)
        Iterations made.
    converged : ndarray of bool of shape (m,)
    n_screened : ndarray of shape (m,)
        Columns that the strong rule left out of the fit.
    n_recalled : ndarray of shape (m,)
        How many of these were taken back, because they were wanted after all.
    template : SoftmaxClassifier
        The settings, with C = 1; `classes_` and the names of the columns.
    """

    Cs: Vector
    coefs: tuple[Any, ...]
    intercepts: Matrix
    values: Vector
    gap_bounds: Vector
    n_iter: Array
    converged: npt.NDArray[np.bool_]
    n_screened: Array
    n_recalled: Array
    template: SoftmaxClassifier

    @property
    def classes(self) -> Array:
        """Labels in sorted order, shape (K,)."""
        return self.template.classes_

    @property
    def n_nonzero(self) -> Array:
        """Coefficients that are not zero at each C, shape (m,)."""
        return np.array([coef.nnz for coef in self.coefs])

    @property
    def n_columns(self) -> Array:
        """Columns with a coefficient that is not zero for some class, shape (m,)."""
        return np.array([len(np.unique(coef.indices)) for coef in self.coefs])

    def toarray(self) -> Array:
        """Return all coefficients as one dense array, (m, 1, d) or (m, K, d)."""
        return np.stack([coef.toarray() for coef in self.coefs])

    def classifier(self, index: int) -> SoftmaxClassifier:
        """Return the fit at one C as a classifier that predicts; it has no `certificate_`.

        Parameters
        ----------
        index : int
            In `Cs`.
        """
        model = SoftmaxClassifier(**self.template.get_params())
        model.C = float(self.Cs[index])
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(self.template, name):
                setattr(model, name, getattr(self.template, name))
        model.coef_ = self.coefs[index].toarray()
        model.intercept_ = self.intercepts[index].copy()
        model.n_iter_ = np.array([self.n_iter[index]], dtype=np.int32)
        return model


def softmax_path(
    X: Any,
    y: Any,
    *,
    Cs: Any = 20,
    l1_ratio: float = 1.0,
    grouped: bool = False,
    sample_weight: Any = None,
    offset: Any = None,
    class_weight: Any = None,
    fit_intercept: bool = True,
    solver: str | Solver[Any] = "auto",
    tol: float = 1e-6,
    max_iter: int = 200,
) -> SoftmaxPath:
    """Return softmax regressions along C, each begun at the last and each with its gap.

    The objective is that of `SoftmaxClassifier`::

        C * sum_i s_i loss_i + l1_ratio |W|_1 + (1 - l1_ratio)/2 |W|^2

    1. One design, scaled once, serves all.  2. C ascends from where all is zero, whatever order
    it was given in, and every fit starts at the last one's coefficients.  3. With l1, columns that
    the strong rule expects to stay at zero are left out, and taken back where it was wrong, so that
    each fit is that of all columns.  4. Every point is certified, on all columns.

    Parameters
    ----------
    X : array_like, sparse matrix or frame of shape (n, d)
        Contiguous floats are not copied.
    y : array_like of shape (n,) or (n, K)
        Labels of any type, or shares that sum to one in every row.
    Cs : int or array_like of shape (m,), default 20
        Values of C; a number stands for so many, evenly in log C, from where the first coefficient
        enters (`l1_min_c`) to 1e4 times that; without l1 from 1e-4 to 1e4.
    l1_ratio : float, default 1.0
        Share of l1 in the penalty, 0 to 1.
    grouped : bool, default False
        Whether l1 keeps or drops a column for all classes at once.
    sample_weight : float or array_like of shape (n,), default None
        Nonnegative row weights.
    offset : array_like of shape (n,) for two classes, else (n, K), default None
        Added to the scores.
    class_weight : dict, "balanced" or None, default None
        Weight of each class.
    fit_intercept : bool, default True
        Whether scores have an intercept; it carries no penalty.
    solver : str or Solver, default "auto"
        As in `SoftmaxClassifier`.
    tol : float, default 1e-6
        As in `SoftmaxClassifier`; for every fit.
    max_iter : int, default 200
        Of each fit.

    Returns
    -------
    SoftmaxPath
        One `ConvergenceWarning` tells of all fits that have not converged.

    Raises
    ------
    InputError
        If X, y, weights, offset or a parameter is wrong; the message says where.

    Notes
    -----
    Source of the warm path: J. Friedman, T. Hastie, R. Tibshirani (2010), "Regularization paths
    for generalized linear models via coordinate descent"; of the strong rule: R. Tibshirani and
    others (2012), "Strong rules for discarding predictors in lasso-type problems", arXiv 1011.2234.
    """
    template = SoftmaxClassifier(
        tol=tol,
        fit_intercept=fit_intercept,
        solver=solver,
        max_iter=max_iter,
        class_weight=class_weight,
        l1_ratio=l1_ratio,
        grouped=grouped,
    )
    template._check_parameters()
    strengths = checked_strengths(Cs)
    check_l1(l1_ratio, float(strengths.max()), solver)
    base, x, classes = _base(template, X, y, sample_weight, offset, float(strengths.max()))
    if l1_ratio > 0 and isinstance(Cs, (int, np.integer)):
        entry = entering_strength(base, l1_ratio=l1_ratio, grouped=grouped)
        strengths = spanned(entry, entry, len(strengths))
    walk = _Walk(template, base, classes, x.dtype)
    for index in np.argsort(strengths, kind="stable"):  # 2.
        walk.step(int(index), float(strengths[index]))
    return walk.path(strengths)


class _Walk:
    """One path on its way."""

    def __init__(
        self, template: SoftmaxClassifier, base: Problem, classes: ClassTarget, dtype: Any
    ) -> None:
        self.template, self.base, self.classes, self.dtype = template, base, classes, dtype
        self.x = np.zeros(base.shape)
        self.before: Problem | None = None
        self.found: dict[int, Screened] = {}
        self.gaps: dict[int, float] = {}
        self.fitted: dict[int, tuple[Any, Vector]] = {}

    def step(self, index: int, C: float) -> None:
        """Fit one C and keep what the path tells of it."""
        own = self.template
        base = self.before or self.base
        problem = at_strength(base, C, l1_ratio=own._ratio, grouped=bool(own.grouped))
        found = next_minimum(
            own._settings, problem, self.x, self.before, lambda record, point: None
        )
        end = End.of(problem, found.solution, self.classes, free=math.isinf(C), tol=own.tol)
        self.x, self.before = end.x, problem
        told = own._fitted(problem, self.x, self.dtype, self.classes)
        self.fitted[index] = (sparse.csr_array(told["coef_"]), told["intercept_"])
        certificate = certify(problem, self.x, effort="quick")
        self.found[index], self.gaps[index] = found, certificate.gap_bound  # 4.

    def path(self, strengths: Vector) -> SoftmaxPath:
        """Return what has been found, in the order of the values of C."""
        every = range(len(strengths))
        found = [self.found[index] for index in every]
        solutions = [one.solution for one in found]
        self.template.classes_ = self.classes.classes
        short = [index for index in every if not solutions[index].converged]
        if short:
            worst = max(short, key=lambda index: self.gaps[index])
            warn(
                f"{len(short)} of {len(strengths)} fits along C did not converge; the worst, C ="
                f" {strengths[worst]:.2g}, is at most {self.gaps[worst]:.1e} above its optimum."
                f" {solutions[worst].status.advice}",
                ConvergenceWarning,
            )
        return SoftmaxPath(
            Cs=strengths,
            coefs=tuple(self.fitted[index][0] for index in every),
            intercepts=np.stack([self.fitted[index][1] for index in every]),
            values=np.array([solution.value for solution in solutions]),
            gap_bounds=np.array([self.gaps[index] for index in every]),
            n_iter=np.array([solution.n_iter for solution in solutions], dtype=np.int32),
            converged=np.array([solution.converged for solution in solutions]),
            n_screened=np.array([one.screened for one in found]),
            n_recalled=np.array([one.recalled for one in found]),
            template=self.template,
        )


def l1_min_c(
    X: Any,
    y: Any,
    *,
    l1_ratio: float = 1.0,
    grouped: bool = False,
    sample_weight: Any = None,
    offset: Any = None,
    class_weight: Any = None,
    fit_intercept: bool = True,
) -> float:
    """Return the C at which the first coefficient leaves zero: up to it, all of them are zero.

    ::

        l1_ratio / max_jk |sum_i s_i a_ij (p_ik - y_ik)|

    with the probabilities p of intercepts alone; in groups the 2-norm over k takes the place of the
    absolute value.

    Parameters
    ----------
    X : array_like, sparse matrix or frame of shape (n, d)
    y : array_like of shape (n,) or (n, K)
        Labels of any type, or shares that sum to one in every row.
    l1_ratio : float, default 1.0
        Share of l1 in the penalty, above 0 and at most 1.
    grouped : bool, default False
        Whether l1 keeps or drops a column for all classes at once.
    sample_weight : float or array_like of shape (n,), default None
        Nonnegative row weights.
    offset : array_like of shape (n,) for two classes, else (n, K), default None
        Added to the scores.
    class_weight : dict, "balanced" or None, default None
        Weight of each class.
    fit_intercept : bool, default True
        Whether scores have an intercept.

    Returns
    -------
    float
        Infinite if no column tells the classes apart.

    Raises
    ------
    InputError
        If X, y, weights, offset or a parameter is wrong, or `l1_ratio` is zero.

    Notes
    -----
    `sklearn.svm.l1_min_c` is a bound for one class against the rest, with the intercept at zero;
    this is the value itself, for the multinomial and with the intercept at its optimum.
    """
    template = SoftmaxClassifier(
        fit_intercept=fit_intercept, class_weight=class_weight, l1_ratio=l1_ratio, grouped=grouped
    )
    template._check_parameters()
    if l1_ratio == 0:
        raise InputError("`l1_ratio` must be above 0: ridge alone leaves no coefficient at zero.")
    base, _, _ = _base(template, X, y, sample_weight, offset, 1.0)
    return entering_strength(base, l1_ratio=float(l1_ratio), grouped=bool(grouped))


def _base(
    template: SoftmaxClassifier, X: Any, y: Any, sample_weight: Any, offset: Any, C: float
) -> tuple[Problem, Any, ClassTarget]:
    """Return the ridge problem from which those with l1 derive, with the data as checked."""
    x = checked_x(template, X, reset=True)
    classes = checked_classes(y, x.shape[0])
    weights, classes = checked_row_weights(
        sample_weight, template.class_weight, classes, x.shape[0]
    )
    intercept = bool(template.fit_intercept)
    problem = class_problem(x, classes, weights, C=C, intercept=intercept, offset=offset)
    return problem, x, classes
