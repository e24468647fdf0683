"""What a fitted softmax classifier answers for rows that do not live in memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import array_api_compat as compat
import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from softunit._array_api import described, is_elsewhere, like, matching, namespace, to_numpy
from softunit._checks import check_finite_columns
from softunit._row_array import Terms, as_array
from softunit._typing import Array
from softunit.designs import Design
from softunit.errors import InputError
from softunit.estimators._data import ClassTarget, is_dask
from softunit.estimators._homes import brought, check_columns, checked_design, names_of, tensor_of
from softunit.estimators._labels import codes_of
from softunit.estimators._prediction import (
    Finish,
    SoftmaxPrediction,
    labels_of,
    scores_of,
    with_offset,
)

Model = tuple[Any, Array]
"""Coefficients, an array or CSR matrix of shape (1, d) or (K, d), and intercepts."""


class HomePrediction(SoftmaxPrediction):
    """Answers in the kind of X: tensors for tensors, lazy dask arrays for dask, else NumPy.

    A design, as `ChunkedDesign`, is answered block by block.
    """

    def decision_function(self, X: Any, offset: Any = None) -> Array:
        """Return scores: (n,) for two classes, else (n, K), in the kind of X.

        Parameters
        ----------
        X : array_like, sparse matrix, frame, tensor, dask collection or Design, of shape (n, d)
            Tensors are answered by tensors on their device, dask collections by lazy dask arrays,
            designs by NumPy arrays, block by block.
        offset : array_like of the shape of the scores, default None
            Added to the scores; for a dask X a dask array.
        """
        return self._answer(X, offset, _as_they_are, "decision_function")

    def _answer(self, X: Any, offset: Any, finish: Finish, method: str) -> Array:
        check_is_fitted(self)
        self._check_same_place(X, method)
        if is_dask(X):
            lazy: Array = self._lazily(X, offset, finish)
            return lazy
        x = checked_design(self, X, reset=False)
        tensor = tensor_of(X)
        if tensor is not None:
            return finish(_tensor_scores(tensor, self._here(), offset))
        if not isinstance(x, Design):
            return finish(scores_of(x, *self._here(), brought(x, offset, "offset")))
        return _by_blocks(x, self._here(), brought(x, offset, "offset"), finish)

    def _check_same_place(self, X: Any, method: str) -> None:
        """Raise where scikit-learn's rules for the array API ask for one kind of array."""
        if not get_config()["array_api_dispatch"] or sparse.issparse(self.coef_):
            return
        fitted, given = self.coef_, tensor_of(X)
        if given is None and not is_elsewhere(fitted):
            return
        same = given is not None and is_elsewhere(fitted) and namespace(given) is namespace(fitted)
        if not same or compat.device(given) != compat.device(fitted):
            raise InputError(
                f"{type(self).__name__}.{method}() must use the same namespace and device as fit"
                f" under array_api_dispatch: `coef_` is {described(fitted)}, X is {described(X)}."
                " Move X there, or predict without array_api_dispatch."
            )

    def _lazily(self, x: Any, offset: Any, finish: Finish) -> Any:
        """Return a dask array that answers each partition of a dask array or frame."""
        if x.ndim != 2:
            raise InputError(f"X must have two axes, rows and columns; got {x.ndim}.")
        check_columns(self, int(x.shape[1]), names_of(None, x), reset=False)
        rows = x.to_dask_array() if hasattr(x, "to_dask_array") else x
        if offset is not None and np.isnan(rows.shape[0]):
            rows = rows.compute_chunk_sizes()  # to cut the offset where the rows are cut
        rows = rows.rechunk({1: -1})
        answer = partial(_block_answer, model=self._here(), finish=finish)
        like_this = answer(np.zeros((1, rows.shape[1]), dtype=_width(rows.dtype)))
        added = () if offset is None else (_chunked_as(rows, offset),)
        shape: dict[str, Any] = {"drop_axis": 1}
        if like_this.ndim == 2:
            shape = {"chunks": (rows.chunks[0], (like_this.shape[1],))}
        return rows.map_blocks(answer, *added, dtype=like_this.dtype, meta=like_this[:0], **shape)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows whose label is predicted; for shares, that of the largest.

        Parameters
        ----------
        X : array_like, sparse matrix, frame, tensor, dask collection or Design, of shape (n, d)
        y : array_like of shape (n,) or (n, K), in memory or beside X
        sample_weight : float or array_like of shape (n,), default None
        """
        check_is_fitted(self)
        self._check_same_place(X, "score")
        x = checked_design(self, X, reset=False)
        if isinstance(x, Design) and x.home != "device":
            return self._scored(x, y, sample_weight)
        labels, weights = numpy_labels(y, self.classes_), sample_weight
        weights = to_numpy(weights) if is_elsewhere(weights) else weights
        return float(accuracy_score(labels, to_numpy(self.predict(X)), sample_weight=weights))

    def _scored(self, x: Design, y: Any, sample_weight: Any) -> float:
        """Return the share of right predictions, counted where the rows live."""
        classes = self.classes_
        if isinstance(y, ClassTarget) and y.target.ndim == 1:
            classes, y = codes_of(classes, y.classes), y.target
        elif not is_dask(y):
            y = numpy_labels(y, classes)
        labels = as_array(brought(x, y, "y"))
        weights = brought(x, sample_weight, "sample_weight")
        weights = None if weights is None or np.ndim(weights) == 0 else as_array(weights)
        for name, value in (("y", labels), ("sample_weight", weights)):
            if value is not None and len(value) != x.shape[0]:
                raise InputError(f"X has {x.shape[0]} rows, but {name} has {len(value)}.")
        right = partial(_right, model=self._here(), classes=classes)
        found, total = x.reduce(right, (labels, weights))
        return float(found / total)


def _as_they_are(scores: Array) -> Array:
    return scores


def _tensor_scores(x: Any, model: Model, offset: Any) -> Any:
    """Return the scores of a tensor's rows, of its kind, (n,) or (n, K)."""
    xp = namespace(x)
    coef, intercept = (model[0].toarray() if sparse.issparse(model[0]) else model[0]), model[1]
    if not xp.isdtype(x.dtype, "real floating"):
        x = xp.astype(x, like(coef, x).dtype)
    scores = x @ matching(np.ascontiguousarray(coef.T), x) + matching(intercept, x)
    scores = scores[:, 0] if scores.shape[1] == 1 else scores
    if offset is None:
        return scores
    added = matching(offset if is_elsewhere(offset) else np.asarray(offset, float), scores)
    if added.shape != scores.shape:
        raise InputError(
            f"the offset has shape {tuple(added.shape)}, the scores {tuple(scores.shape)}."
        )
    return scores + added


def _by_blocks(x: Design, model: Model, offset: Any, finish: Finish) -> Array:
    """Return what is made of the scores of a design's rows, block by block."""
    coef, intercept = model
    dtype = np.result_type(x.dtype, coef.dtype)
    one = len(intercept) == 1
    first = finish(np.zeros(1 if one else (1, len(intercept)), dtype=dtype))
    out = np.empty((x.shape[0], *first.shape[1:]), dtype=first.dtype)

    def part(block: tuple[slice, Design]) -> Terms:
        scores = _block_scores(block[1], model).astype(dtype, copy=False)
        added = None if offset is None else np.asarray(offset[block[0]], dtype=np.float64)
        out[block[0]] = finish(with_offset(scores, added))
        return (0.0,)

    if offset is not None and np.shape(offset) != (x.shape[0], *(() if one else (len(intercept),))):
        raise InputError(
            f"the offset has shape {np.shape(offset)}, but X has {x.shape[0]} rows and"
            f" {len(intercept)} columns of scores."
        )
    x.over_blocks(part, _block_rows(x, model))
    return out


def _block_scores(block: Design, model: Model) -> Array:
    coef, intercept = model
    dense = coef.toarray() if sparse.issparse(coef) else coef
    scores = block.matvec(np.ascontiguousarray(dense.T, dtype=np.float64)) + intercept
    return scores[:, 0] if scores.shape[1] == 1 else scores


def _block_rows(x: Design, model: Model) -> int:
    """Return how many rows to answer at once: their scores may be wider than they are."""
    return max(64, int(x.block_entries / (x.row_entries + 3 * len(model[1]))))


def _right(chunk: Design, arrays: tuple[Any, ...], *, model: Model, classes: Array) -> Terms:
    """Return the weight of the rows of a chunk whose label is predicted, and of all."""
    labels, weights = arrays

    def part(block: tuple[slice, Design]) -> Terms:
        told = labels_of(_block_scores(block[1], model), classes)
        right = np.asarray(labels[block[0]]).ravel() == told
        if weights is None:
            return float(right.sum()), float(len(right))
        own = np.asarray(weights[block[0]], dtype=np.float64)
        return float(own @ right), float(own.sum())

    return chunk.over_blocks(part, _block_rows(chunk, model))


def _block_answer(
    block: Any,
    *offset: Any,
    model: Model,
    finish: Finish,
    block_info: Mapping[Any, Any] | None = None,
) -> Array:
    """Return the answer for a block of rows of a dask array, on a worker; dask says which it is."""
    x = block.tocsr() if sparse.issparse(block) else np.asarray(block)
    x = x.astype(_width(x.dtype), copy=False)
    check_finite_columns(x, what=_which(block_info))
    scores = scores_of(x, *model)
    added = None if not offset else np.asarray(offset[0]).reshape(scores.shape)
    return np.asarray(finish(with_offset(scores, added)))


def _which(block_info: Mapping[Any, Any] | None) -> str:
    """Return what a message calls a block: by its number and, where it is known, its first row."""
    if not block_info:
        return "a block of X"
    start = block_info[0]["array-location"][0][0]
    first = "" if np.isnan(start) else f", which begins with row {int(start)}"
    return f"block {block_info[0]['chunk-location'][0]} of X{first},"


def _width(dtype: Any) -> Any:
    return dtype if dtype in (np.float32, np.float64) else np.dtype(np.float64)


def _chunked_as(rows: Any, offset: Any) -> Any:
    """Return a dask offset with two axes, in one block for each block of rows."""
    if not is_dask(offset):
        raise InputError("with a dask X the offset must be a dask array, chunked like its rows.")
    wide = offset if offset.ndim == 2 else offset[:, None]
    return wide.rechunk({0: rows.chunks[0], 1: -1})


def numpy_labels(y: Any, classes: Array) -> Any:
    """Return y as scikit-learn's metrics take it: for shares the label of the largest of each row.

    Parameters
    ----------
    y : array_like, tensor or ClassTarget
    classes : ndarray of shape (K,)
    """
    if isinstance(y, ClassTarget):
        return classes[y.target] if y.target.ndim == 1 else classes[y.target.argmax(axis=1)]
    y = to_numpy(y) if is_elsewhere(y) or is_dask(y) else y
    shares = np.asarray(y)
    return classes[shares.argmax(axis=1)] if shares.ndim == 2 and shares.shape[1] >= 2 else y
