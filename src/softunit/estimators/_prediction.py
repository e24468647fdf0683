"""What a fitted softmax classifier answers for new rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self, TypeAlias

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from softunit._array_api import like, namespace, to_numpy
from softunit._typing import Array, Matrix
from softunit.errors import InputError
from softunit.estimators._data import checked_x
from softunit.units import Multinomial

Finish: TypeAlias = Callable[[Any], Array]
"""From the scores of some rows to what is told of each of them."""


class SoftmaxPrediction:
    """Scores, labels and probabilities from `coef_`, `intercept_` and `classes_`."""

    coef_: Any
    intercept_: Array
    classes_: Array

    def decision_function(self, X: Any, offset: Any = None) -> Array:
        """Return scores: (n,) for two classes, else (n, K).

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        offset : array_like of the shape of the scores, default None
            Added to the scores.
        """
        check_is_fitted(self)
        x = checked_x(self, X, reset=False)
        return scores_of(x, *self._here(), offset)

    def predict(self, X: Any, offset: Any = None) -> Array:
        """Return the label of the largest score in each row, shape (n,)."""
        told = partial(labels_of, classes=getattr(self, "classes_", None))
        return self._answer(X, offset, told, "predict")

    def predict_proba(self, X: Any, offset: Any = None) -> Matrix:
        """Return the probability of each class, shape (n, K), columns as in `classes_`."""
        return self._answer(X, offset, Multinomial.probabilities, "predict_proba")

    def predict_log_proba(self, X: Any, offset: Any = None) -> Matrix:
        """Return log probabilities, shape (n, K), finite where probabilities underflow."""
        return self._answer(X, offset, log_probabilities, "predict_log_proba")

    def _answer(self, X: Any, offset: Any, finish: Finish, method: str) -> Array:
        """Return what is made of the scores, row by row; the method's name is for messages."""
        return finish(self.decision_function(X, offset))

    def sparsify(self) -> Self:
        """Keep `coef_` as a CSR matrix, which pays when most entries are zero; return self."""
        check_is_fitted(self)
        self.coef_ = sparse.csr_matrix(self.coef_)
        return self

    def densify(self) -> Self:
        """Keep `coef_` as an array again, as `fit` leaves it; return self."""
        check_is_fitted(self)
        self.coef_ = self._dense_coef()
        return self

    def _dense_coef(self) -> Array:
        return self.coef_.toarray() if sparse.issparse(self.coef_) else to_numpy(self.coef_)

    def _here(self) -> tuple[Any, Array]:
        """Return coefficients and intercepts as NumPy arrays, or the former as CSR."""
        coef = self.coef_ if sparse.issparse(self.coef_) else to_numpy(self.coef_)
        return coef, to_numpy(self.intercept_)


def scores_of(x: Any, coef: Any, intercept: Array, offset: Any = None) -> Array:
    """Return x coef' + intercept + offset: (n,) for one row of coefficients, else (n, K)."""
    product = safe_sparse_dot(x, coef.T, dense_output=True)
    scores = np.asarray(product + intercept)
    return with_offset(scores[:, 0] if scores.shape[1] == 1 else scores, offset)


def with_offset(scores: Array, offset: Any) -> Array:
    """Return scores with an offset of their shape added, if there is one.

    Raises
    ------
    InputError
        If its shape is another one.
    """
    if offset is None:
        return scores
    added = np.asarray(offset, dtype=np.float64)
    if added.shape != scores.shape:
        raise InputError(f"the offset has shape {added.shape}, the scores {scores.shape}.")
    return scores + added


def labels_of(z: Any, classes: Any) -> Any:
    """Return the label of the largest score in each row; words always as a NumPy array.

    Parameters
    ----------
    z : array of any kind, of shape (n,) or (n, K)
    classes : ndarray of shape (K,)
    """
    xp = namespace(z)
    index = xp.astype(z > 0, xp.int64) if z.ndim == 1 else xp.argmax(z, axis=1)
    if isinstance(z, np.ndarray) or classes.dtype.kind not in "iufb":
        return np.asarray(classes[to_numpy(index)])
    return xp.take(like(classes, z), index)


def log_probabilities(z: Any) -> Any:
    """Return log probabilities, (n, K), for scores (n, K) or for two classes (n,).

    Parameters
    ----------
    z : array of any kind
    """
    xp = namespace(z)
    if z.ndim == 1:
        zero = xp.zeros_like(z)
        return -xp.stack([xp.logaddexp(zero, z), xp.logaddexp(zero, -z)], axis=1)
    z = z - xp.max(z, axis=1, keepdims=True)
    return z - xp.log(xp.sum(xp.exp(z), axis=1, keepdims=True))
