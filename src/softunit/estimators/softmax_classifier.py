"""Multinomial logistic regression with scikit-learn's objective and a certificate."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Self

import numpy as np

from softunit._checks import check_count, check_positive, check_switch
from softunit._progress import progress
from softunit.checkpoints import check_checkpoint, opened
from softunit.estimators._callbacks import CallbackSupportMixin, FitTasks, with_callbacks
from softunit.estimators._data import checked_classes
from softunit.estimators._homes import (
    brought,
    check_places,
    checked_design,
    dtype_for,
    in_kind_of,
)
from softunit.estimators._objective import without_constant
from softunit.estimators._softmax_model import SoftmaxModel
from softunit.estimators._sparsity import check_l1
from softunit.run import Interrupt, check_interrupt
from softunit.solvers import Solver
from softunit.solvers.auto import check_solver


class SoftmaxClassifier(CallbackSupportMixin, SoftmaxModel):
    """Softmax (multinomial logistic) regression that proves how good its fit is.

    The objective is scikit-learn's::

        C * sum_i s_i loss_i + l1_ratio |W|_1 + (1 - l1_ratio)/2 |W|^2

    with log loss, an unpenalised intercept, row weights s (times class weights) and, for two
    classes, one column of scores. It is solved in the mean form, divided by C * sum(s).

    Parameters
    ----------
    C : float, default 1.0
        Inverse strength of the penalty; `numpy.inf` means none.
    tol : float, default 1e-6
        Largest entry of the gradient of the mean objective, in the input's columns, at which the
        fit has converged; with l1 of the subgradient of least norm.
    fit_intercept : bool, default True
        Whether scores have an intercept; it carries no penalty.
    solver : str or Solver, default "auto"
        "auto", "newton", "newton-cholesky", "newton-cg", "sketched-newton", "lbfgs",
        "gradient-descent", "gradient-regularized-newton", "proximal-newton", or a solver of
        `softunit.solvers`. "auto" takes Newton's method on small problems, `SketchedNewton`
        beyond, and `ProximalNewton` with l1, which the others do not bear.
    max_iter : int, default 200
        Iterations after which the fit ends with a `ConvergenceWarning`.
    class_weight : dict, "balanced" or None, default None
        Weight of each class, as in scikit-learn; with shares it weighs the shares.
    warm_start : bool, default False
        Whether `fit` starts from the coefficients of the last fit.
    random_state : int, RandomState or None, default None
        Seed of solvers that sample rows; None gives the same answer every time.
    verbose : int, default 0
        1 shows a progress line on work over two seconds, on a terminal.
    keyboard_interrupt : {"raise", "return"}, default "raise"
        What Ctrl-C does during the iterations: raise, or end the fit at the best point so far,
        certified, with a `ConvergenceWarning`.
    l1_ratio : float, default 0.0
        Share of l1 in the penalty, 0 to 1: above zero coefficients can be zero exactly, and with 1
        there is no ridge.
    grouped : bool, default False
        Whether l1 takes, in place of |W|_1, the sum over columns j of |W_:j|, the 2-norm over the
        classes: a column is then kept or dropped for all classes at once.
    checkpoint : str, path-like or None, default None
        File to which the state of the fit is written now and then, so that a fit that was killed
        can go on from there; None writes none.
    every : float, default 30.0
        Seconds between two writings of the checkpoint; 0 writes after each iteration.
    resume : bool, default False
        Whether to go on from the checkpoint, if it is there. That of an unfinished fit is not
        overwritten without it.

    Attributes
    ----------
    coef_ : ndarray of shape (1, d) or (K, d)
        Coefficients W in the dtype of X, of rows in files or on a cluster in float64; with several
        classes they sum to zero over the classes, except with l1 and without groups. Of tensors
        they are tensors, as are `intercept_` and `n_iter_`, on the same device.
    intercept_ : ndarray of shape (1,) or (K,)
        They sum to zero over several classes; zeros without an intercept.
    classes_ : ndarray of shape (K,)
        Labels in sorted order; for shares the names of the columns, or 0 to K - 1.
    n_iter_ : ndarray of shape (1,)
        Iterations made.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (d,)
        Only if X has names.
    solution_ : Solution
        `solution_.x` holds coefficients and, last, intercepts: (d + 1,) or (d + 1, K).
    certificate_ : Certificate
        What is proved about the fit; all values are of the mean objective.

    Notes
    -----
    With solver="auto" the fit goes on below `tol` while the objective promises to fall by over tol
    of itself (tol / 10,000 where Newton's steps are cheap): where the optimal value is tiny, a
    small gradient can be far from it. Columns are centred and scaled inside, a change of
    variables. Without ridge and with collinear columns the coefficients of least norm are returned.
    With l1 a constant added to a column's coefficients over an even number of classes may change
    nothing; then one is chosen that makes a coefficient zero. `l1_min_c` gives the C at which the
    first coefficient enters, `softmax_path` the coefficients along C.

    X may live elsewhere than in memory: in files (`softunit.designs.ChunkedDesign`), on a cluster
    (a dask array or frame, `DaskDesign`), or as a tensor on a device. The objective, the tolerance
    and the certificate are the same. Labels of any kind become codes of a byte or two; row weights,
    and `class_weight`, take 8 bytes a row beside them. Without ridge, separation of more than ten
    million rows times classes is looked into in memory only. Tensors need no setting; under
    scikit-learn's `array_api_dispatch` its rules hold.
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        tol: float = 1e-6,
        fit_intercept: bool = True,
        solver: str | Solver[Any] = "auto",
        max_iter: int = 200,
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
        keyboard_interrupt: Interrupt = "raise",
        l1_ratio: float = 0.0,
        grouped: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        every: float = 30.0,
        resume: bool = False,
    ) -> None:
        self.C = C
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.keyboard_interrupt = keyboard_interrupt
        self.l1_ratio = l1_ratio
        self.grouped = grouped
        self.checkpoint = checkpoint
        self.every = every
        self.resume = resume

    @with_callbacks  # type: ignore[untyped-decorator, unused-ignore]
    def fit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> Self:
        """Fit and certify.

        Parameters
        ----------
        X : array_like, sparse matrix, frame, tensor, dask collection or Design, of shape (n, d)
            Contiguous floats are not copied, nor are tensors; what dask holds stays on its workers.
            scikit-learn's cross-validation and pipelines cut or change rows themselves: they take
            no design.
        y : array_like of shape (n,) or (n, K)
            Labels of any type, or, but for a dask X, shares that sum to one in every row. It may be
            a tensor, a memory map or, beside a dask X, a dask array or series; so may weights and
            offset.
        sample_weight : float or array_like of shape (n,), default None
            Nonnegative row weights.
        offset : array_like of shape (n,) for two classes, else (n, K), default None
            Added to the scores.

        Returns
        -------
        SoftmaxClassifier
            Itself, fitted. A fit that has not converged warns with `ConvergenceWarning`,
            separable classes without ridge with `SeparationWarning`, collinear columns without
            ridge with `NotUniqueWarning`, and an l1 penalty that leaves no coefficient with
            `AllZeroWarning`, which tells the C that lets the first one in.

        Raises
        ------
        InputError
            If X, y, weights, offset or a parameter is wrong; the message says where.
        FileError
            If the checkpoint cannot be written or gone on from.
        """
        self._check_parameters()
        start = self._coefficients() if self.warm_start and hasattr(self, "coef_") else None
        check_places(X, y=y, sample_weight=sample_weight, offset=offset)
        x_checked = checked_design(self, X, reset=True)
        classes = checked_classes(brought(x_checked, y, "y"), x_checked.shape[0], narrow=True)
        problem = self._problem(x_checked, classes, sample_weight, offset)
        dtype = dtype_for(x_checked)
        tasks = FitTasks(
            self,
            {"X": X, "y": y, "metadata": {"sample_weight": sample_weight}},
            lambda x: in_kind_of(X, self._fitted(problem, x, dtype, classes)),
            self.max_iter,
        )
        x0 = np.zeros(problem.shape)
        if start is not None and start.shape == x0.shape:
            # A constant across the classes changes nothing: leave it out from the beginning.
            start = start if problem.lasso else without_constant(start)
            x0 = problem.design.from_input(start)
        tasks.begin(x0)
        file = opened(self.checkpoint, every=self.every, resume=self.resume)
        with progress(self.verbose, self.tol) as line, file as kept:
            solution = replace(self._settings, checkpoint=kept).minimize(
                problem, x0, lambda record, point: bool(line(record)) | tasks(record, point)
            )
        self.n_iter_ = np.array([solution.n_iter], dtype=np.int32)
        problem.prepared.clear()  # samples have no part in a certificate
        self._keep(problem, solution, dtype, classes)
        own = {name: getattr(self, name) for name in ("coef_", "intercept_", "n_iter_")}
        for name, value in in_kind_of(X, own).items():
            setattr(self, name, value)
        tasks.end()
        return self

    def _check_parameters(self) -> None:
        check_positive("C", self.C, infinite=True)
        check_positive("tol", self.tol, zero=True)
        check_count("max_iter", self.max_iter)
        check_solver(self.solver)
        for name in ("fit_intercept", "warm_start", "grouped"):
            check_switch(name, getattr(self, name))
        check_interrupt(self.keyboard_interrupt)
        check_l1(self.l1_ratio, self.C, self.solver)
        check_checkpoint(self.checkpoint, self.every, self.resume)

    @property
    def _strength(self) -> float:
        return self.C

    @property
    def _ratio(self) -> float:
        return float(self.l1_ratio)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags
