"""Gaussian naive Bayes on features: the generative sibling of a softmax head."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from softunit._checks import check_choice, check_positive, check_vector, check_weights
from softunit._typing import Array, Matrix, Vector
from softunit.errors import InputError
from softunit.estimators._class_moments import BLOCK, ClassMoments
from softunit.estimators._data import ClassTarget, checked_classes, checked_x, known_classes
from softunit.estimators._prediction import SoftmaxPrediction, with_offset


def _is_linear(head: Any) -> bool:
    return bool(head.variance == "shared")


class NaiveBayesHead(SoftmaxPrediction, ClassifierMixin, BaseEstimator):
    """Gaussian naive Bayes: within a class, columns are independent and normal.

    With m_kj the mean of column j in class k, v_kj its variance and pi_k the prior::

        score_k(x) = log pi_k - 1/2 sum_j [ log v_kj + (x_j - m_kj)^2 / v_kj ]
        P(k | x)   = softmax(score(x))_k

    Where the classes share one variance for each column, x_j^2 drops out: the scores are linear
    in x, and the head is a softmax unit whose coefficients (m_k - m) / v are counted, not
    minimised. It nears its best with far fewer rows than `SoftmaxClassifier`, which in turn ends
    better where columns are not independent.

    Parameters
    ----------
    variance : {"shared", "per-class"}, default "shared"
        Whether a column has one variance, that about the class means, or one for each class.
    smoothing : float, default 1e-9
        Added to all variances, in units of the largest variance of a column. With a few rows for
        each class take 0.1 and more: a variance of few rows is hardly known.
    priors : array_like of shape (K,) or None, default None
        Probabilities of the classes, in sorted order; None takes their share of the weights.

    Attributes
    ----------
    coef_ : ndarray of shape (1, d) or (K, d)
        Coefficients of the scores, in the dtype of X; only with shared variances.
    intercept_ : ndarray of shape (1,) or (K,)
        Likewise.
    classes_ : ndarray of shape (K,)
        Labels in sorted order.
    class_count_ : ndarray of shape (K,)
        Weight of each class.
    class_prior_ : ndarray of shape (K,)
    mean_ : ndarray of shape (K, d)
    variance_ : ndarray of shape (d,) or (K, d)
        With what smoothing adds.
    smoothing_ : float
        What smoothing adds.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (d,)
        Only if X has names.

    Notes
    -----
    One pass over the rows in blocks; no copy of X is made, and sparse X stays sparse. Source:
    Zheng, Wu, Bao, Cao, Li, Zhu (2023), "Revisiting discriminative vs. generative classifiers";
    per-class variances are those of scikit-learn's `GaussianNB`.
    """

    def __init__(
        self,
        variance: Literal["shared", "per-class"] = "shared",
        *,
        smoothing: float = 1e-9,
        priors: Any = None,
    ) -> None:
        self.variance = variance
        self.smoothing = smoothing
        self.priors = priors

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to all rows at once.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        y : array_like of shape (n,)
            Labels of any type.
        sample_weight : float or array_like of shape (n,), default None
            Nonnegative row weights: a row of weight two counts as two rows.

        Returns
        -------
        NaiveBayesHead
            Itself, fitted.

        Raises
        ------
        InputError
            If X, y, weights or a parameter is wrong, or a column has no variance and smoothing
            adds none.
        """
        x = self._checked(X, reset=True)
        return self._start(_labels(y, x.shape[0]), x, sample_weight)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Take further rows in, as if all had come at once.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        y : array_like of shape (n,)
            Labels among the classes.
        classes : array_like of shape (K,), default None
            All labels there are. Asked for on the first call, and not needed on later ones.
        sample_weight : float or array_like of shape (n,), default None

        Returns
        -------
        NaiveBayesHead
            Itself. A class of which no row has come yet has probability zero.

        Raises
        ------
        InputError
            As `fit`, and if the classes are missing on the first call or others later.
        """
        known = None if classes is None else np.unique(column_or_1d(np.asarray(classes)))
        first = not hasattr(self, "_moments")
        x = self._checked(X, reset=first)
        if first:
            if known is None or len(known) < 2:
                raise InputError(
                    "the first call of `partial_fit` needs `classes`, all labels there are, at"
                    f" least two; got {classes!r}."
                )
            return self._start(known_classes(_column(y), x.shape[0], known), x, sample_weight)
        if known is not None and not np.array_equal(known, self.classes_):
            raise InputError(
                f"`classes` = {known.tolist()} differ from those of the first call,"
                f" {self.classes_.tolist()}."
            )
        target = known_classes(_column(y), x.shape[0], self.classes_)
        return self._take(target, x, sample_weight, self._moments)

    def decision_function(self, X: Any, offset: Any = None) -> Array:
        """Return scores: (n,) for two classes, else (n, K), up to a constant in each row.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        offset : array_like of the shape of the scores, default None
            Added to the scores.
        """
        check_is_fitted(self)
        if self.variance == "shared":
            return super().decision_function(X, offset)
        scores = self._quadratic(checked_x(self, X, reset=False))
        scores = scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores
        return with_offset(scores, offset)

    @available_if(_is_linear)
    def sparsify(self) -> Self:
        """Keep `coef_` as a CSR matrix and return self; only with shared variances."""
        return super().sparsify()

    @available_if(_is_linear)
    def densify(self) -> Self:
        """Keep `coef_` as an array again and return self; only with shared variances."""
        return super().densify()

    def _checked(self, X: Any, *, reset: bool) -> Any:
        check_choice("variance", self.variance, ("shared", "per-class"))
        check_positive("smoothing", self.smoothing, zero=True)
        return checked_x(self, X, reset=reset)

    def _start(self, target: ClassTarget, x: Any, sample_weight: Any) -> Self:
        self.classes_ = target.classes
        none = ClassMoments.none(target.n_classes, x.shape[1])
        return self._take(target, x, sample_weight, none)

    def _take(self, target: ClassTarget, x: Any, sample_weight: Any, before: ClassMoments) -> Self:
        weights: Vector | None = None
        if sample_weight is not None:
            given = np.asarray(sample_weight)
            n = x.shape[0]
            weights = check_weights(np.full(n, given) if given.ndim == 0 else given, n)
        new = ClassMoments.of(x, target.target, weights, target.n_classes)
        self._settle(before.merged(new), x.dtype)
        return self

    def _settle(self, moments: ClassMoments, dtype: Any) -> None:
        """Set all that follows from the moments."""
        weight = moments.weight
        mean, variance = moments.together()
        prior = self._prior(weight)
        smoothing = float(self.smoothing * variance.max())
        if self.variance == "shared":
            own = moments.squares.sum(axis=0) / weight.sum() + smoothing
        else:
            own = moments.squares / np.where(weight > 0, weight, 1.0)[:, None] + smoothing
            own[weight == 0] = 1.0  # its prior rules it out
        self._refuse_silent(own)
        self._moments, self._centre = moments, mean
        self.class_count_, self.class_prior_ = weight, prior
        self.mean_, self.variance_, self.smoothing_ = moments.mean, own, smoothing
        for name in ("coef_", "intercept_"):
            self.__dict__.pop(name, None)
        if self.variance == "shared":
            self.coef_, self.intercept_ = (part.astype(dtype) for part in self._linear())

    def _prior(self, weight: Vector) -> Vector:
        if self.priors is None:
            return np.asarray(weight / weight.sum())
        prior = check_vector("`priors`", self.priors, len(weight), rows="the list of classes")
        if prior.min() < 0 or abs(prior.sum() - 1) > 1e-6:
            raise InputError(
                "`priors` must be probabilities that sum to one; the least is"
                f" {prior.min():.6g} and their sum {prior.sum():.6g}."
            )
        unseen = np.flatnonzero((weight == 0) & (prior > 0))
        if len(unseen):
            raise InputError(
                f"`priors` gives class {self.classes_.tolist()[unseen[0]]!r} a probability of"
                f" {prior[unseen[0]]:.6g}, but no row of it has any weight."
            )
        return np.asarray(prior / prior.sum())

    def _refuse_silent(self, variance: Array) -> None:
        if (variance > 0).all():
            return
        *which, column = (int(i) for i in np.argwhere(~(variance > 0))[0])
        names = getattr(self, "feature_names_in_", None)
        said = column if names is None else repr(names[column])
        where = f" in class {self.classes_.tolist()[which[0]]!r}" if which else ""
        raise InputError(
            f"column {said} of X has no variance{where}, and `smoothing` = {self.smoothing} adds"
            " none: drop the column, or raise `smoothing` (where all columns are constant there is"
            " nothing to fit)."
        )

    def _linear(self) -> tuple[Matrix, Vector]:
        """Return coefficients and intercepts of the scores for shared variances."""
        # About the mean of all rows, so that common offsets of columns do not cost digits.
        apart = np.where(self.class_count_[:, None] > 0, self.mean_ - self._centre, 0.0)
        coef = apart / self.variance_
        at_centre = self._log_prior() - 0.5 * (apart * coef).sum(axis=1)
        intercept = at_centre - coef @ self._centre
        if len(coef) > 2:
            return coef, intercept
        return coef[1:] - coef[:1], intercept[1:] - intercept[:1]

    def _quadratic(self, x: Any) -> Matrix:
        """Return log pi_k + log density of the class, (n, K), for variances of each class."""
        n, d = x.shape
        size = max(1, BLOCK // max(1, d))
        precision = 1.0 / self.variance_
        constant = self._log_prior() - 0.5 * np.log(2 * np.pi * self.variance_).sum(axis=1)
        scores = np.empty((n, len(constant)))
        for first in range(0, n, size):
            rows = slice(first, first + size)
            block = x[rows].toarray() if sparse.issparse(x) else x[rows]
            for k, mean in enumerate(self.mean_):
                scores[rows, k] = constant[k] - 0.5 * ((block - mean) ** 2 @ precision[k])
        return scores

    def _log_prior(self) -> Vector:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.class_prior_))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _column(y: Any) -> Any:
    if y is None:
        raise InputError("requires y to be passed, but the target y is None")
    shape = np.asarray(y).shape
    if len(shape) == 2 and shape[1] >= 2:
        raise InputError(
            f"y has shape {shape}, but naive Bayes counts labels, shape ({shape[0]},): for shares"
            " of classes use SoftmaxClassifier."
        )
    return column_or_1d(y, warn=True)


def _labels(y: Any, n: int) -> ClassTarget:
    return checked_classes(_column(y), n)
