"""What a fitted softmax classifier answers for new rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from softunit._typing import Array, Matrix
from softunit.errors import InputError
from softunit.estimators._data import checked_x
from softunit.units import Multinomial


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
        product = safe_sparse_dot(x, self.coef_.T, dense_output=True)
        scores = np.asarray(product + self.intercept_)
        scores = scores[:, 0] if scores.shape[1] == 1 else scores
        if offset is None:
            return scores
        added = np.asarray(offset, dtype=np.float64)
        if added.shape != scores.shape:
            raise InputError(f"the offset has shape {added.shape}, the scores {scores.shape}.")
        return scores + added

    def predict(self, X: Any, offset: Any = None) -> Array:
        """Return the label of the largest score in each row, shape (n,)."""
        scores = self.decision_function(X, offset)
        index = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return np.asarray(self.classes_[index])

    def predict_proba(self, X: Any, offset: Any = None) -> Matrix:
        """Return the probability of each class, shape (n, K), columns as in `classes_`."""
        return Multinomial.probabilities(self.decision_function(X, offset))

    def predict_log_proba(self, X: Any, offset: Any = None) -> Matrix:
        """Return log probabilities, shape (n, K), finite where probabilities underflow."""
        z = self.decision_function(X, offset)
        if z.ndim == 1:
            return -np.stack([np.logaddexp(0, z), np.logaddexp(0, -z)], axis=1)
        z = z - z.max(axis=1, keepdims=True)
        return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))

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
        return np.asarray(self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_)
