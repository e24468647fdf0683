"""What a fitted model of ordered classes answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from softunit._typing import Array, Matrix, Vector
from softunit.estimators._data import checked_x
from softunit.estimators._ordinal_target import known_codes
from softunit.units import CumulativeLogit


class OrdinalPrediction:
    """Probabilities and labels from `coef_`, `thresholds_` and `classes_`."""

    coef_: Array
    thresholds_: Vector
    classes_: Array

    def cumulative_logits(self, X: Any) -> Matrix:
        """Return threshold_k - x'beta, (n, K - 1), with beta_k of each threshold where it has one.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        """
        check_is_fitted(self)
        x = checked_x(self, X, reset=False)
        shared = safe_sparse_dot(x, self.coef_.T, dense_output=True)
        pulled = np.asarray(shared, dtype=np.float64)
        return self.thresholds_ - (pulled[:, None] if pulled.ndim == 1 else pulled)

    def predict_log_proba(self, X: Any) -> Matrix:
        """Return log probabilities, (n, K), finite where probabilities underflow.

        Cumulative logits that are out of order in a row, which separate weights for each threshold
        allow far from the data, are put in order first.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        """
        return CumulativeLogit.log_probabilities(self.cumulative_logits(X))

    def predict_proba(self, X: Any) -> Matrix:
        """Return the probability of each class, (n, K), columns as in `classes_`.

        That is the order of the classes. scikit-learn's scorers of probabilities take columns to be
        sorted by label: where the two differ, as for words, score a model of numbers.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each row, (n,).

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        """
        most = self.predict_log_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[most])

    def predict_median(self, X: Any) -> Array:
        """Return the lowest label that is reached with probability 1/2 or more, (n,).

        It has the least expected distance from the label, counted in classes.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        """
        below = (self.cumulative_logits(X) < 0).sum(axis=1)
        return np.asarray(self.classes_[below])

    def decision_function(self, X: Any) -> Array:
        """Return log probabilities, (n, K); for two classes the log odds of the higher, (n,).

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        """
        z = self.cumulative_logits(X)
        return -z[:, 0] if z.shape[1] == 1 else CumulativeLogit.log_probabilities(z)

    def log_likelihood(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the log-likelihood of labels.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        y : array_like of shape (n,)
        sample_weight : array_like of shape (n,) or None, default None
            How often each row was seen.
        """
        each = self.predict_log_proba(X)
        codes = known_codes(y, len(each), self.classes_)
        own = each[np.arange(len(each)), codes]
        return float(own.sum() if sample_weight is None else np.asarray(sample_weight) @ own)
