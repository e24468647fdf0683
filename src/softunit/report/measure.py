"""How well a fit predicts the rows it was fitted to, measured block by block of rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from softunit._typing import Array, Matrix, Vector
from softunit.designs import Design
from softunit.designs.base import Terms
from softunit.errors import InputError
from softunit.report.summary import Bin, Calibration, Coefficient, Confused, Rows
from softunit.report.words import number, percent

BINS = 10
_DENSE = 2000  # classes up to which confusions are summed up as arrays
_BLOCK = 2**20  # entries of a block of probabilities: 8 MB of float64


@dataclass
class Tally:
    """Sums over the rows seen so far; no array here has an axis of rows.

    Attributes
    ----------
    n_classes : int
    confusion : sparse array of shape (K, K)
        True class (down) by predicted class (across); sparse because K may be thousands.
    bins : ndarray of shape (3, BINS)
        Rows, summed confidence, and summed hits in each bin of the confidence.
    rows : int
    log_loss : float
        Summed over the rows.
    """

    n_classes: int
    confusion: Any = field(init=False)
    bins: Matrix = field(default_factory=lambda: np.zeros((3, BINS)))
    rows: int = 0
    log_loss: float = 0.0

    def __post_init__(self) -> None:
        self.confusion = sparse.csr_array((self.n_classes, self.n_classes))

    def add(self, proba: Matrix, truth: Any) -> None:
        """Count one block: probabilities (m, K), and the true shares as a sparse (m, K) array."""
        rows = proba.shape[0]
        predicted = _one_hot(proba.argmax(axis=1), self.n_classes)
        self.confusion = self.confusion + truth.T @ predicted
        tiny = np.finfo(proba.dtype).tiny
        self.log_loss -= float(truth.multiply(np.log(np.maximum(proba, tiny))).sum())
        self.rows += rows
        # Two classes have one probability, and its whole range is worth seeing; with more, the
        # question is whether the confidence in the predicted class can be believed.
        if self.n_classes == 2:
            confidence, hits = proba[:, 1], truth[:, [1]].toarray()[:, 0]
        else:
            confidence, hits = proba.max(axis=1), truth.multiply(predicted).sum(axis=1)
        add_to_bins(self.bins, confidence, hits)

    @classmethod
    def of(cls, confusion: Matrix, bins: Matrix, rows: float, log_loss: float) -> Tally:
        """Return the tally of sums that were made elsewhere, the confusion as (K, K) array."""
        result = cls(len(confusion), np.array(bins), int(rows), float(log_loss))
        result.confusion = sparse.csr_array(confusion)
        return result

    @property
    def accuracy(self) -> float:
        """Share of the rows whose class of largest probability is the true one."""
        return float(self.confusion.diagonal().sum()) / self.rows

    @property
    def largest_class(self) -> float:
        """Share of the most frequent class: the accuracy of always predicting it."""
        return float(self.confusion.sum(axis=1).max()) / self.rows


def add_to_bins(bins: Matrix, confidence: Vector, hits: Vector) -> None:
    """Count rows, predicted probabilities and hits (n,) in ten equal bins, shape (3, BINS)."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    for total, weight in zip(bins, (np.ones(len(confidence)), confidence, hits), strict=True):
        total += np.bincount(place, weights=weight, minlength=BINS)


def _one_hot(codes: Array, n_classes: int) -> Any:
    """Return a sparse array of shape (m, K) with a one in column ``codes[i]`` of row i."""
    shape = (len(codes), n_classes)
    return sparse.csr_array((np.ones(len(codes)), (np.arange(len(codes)), codes)), shape=shape)


def blocks(X: Any, width: int = 1) -> Iterator[tuple[slice, Any]]:
    """Yield (rows, block) over an array, a sparse array or a frame.

    A block has about 2**20 numbers, where a row counts as what X stores of it, or as `width`
    numbers if that is more.
    """
    if sparse.issparse(X):
        X = X.tocsr()
        stored = X.nnz // max(X.shape[0], 1)
    else:
        stored = X.shape[1]
    table = X.iloc if hasattr(X, "iloc") else X
    height = max(1, _BLOCK // max(width, stored, 1))
    for start in range(0, X.shape[0], height):
        rows = slice(start, min(start + height, X.shape[0]))
        yield rows, table[rows]


def tally(estimator: Any, X: Any, y: Any) -> Tally:
    """Return how a fitted classifier predicts the rows of X, never all probabilities at once.

    Parameters
    ----------
    estimator : fitted classifier
    X : array, sparse array, frame or Design of shape (n, d)
        A design is gone through once, where its rows live.
    y : array of shape (n,) or (n, K)
        Labels or shares; with a design its `target` holds the codes of the classes.
    """
    classes = np.asarray(estimator.classes_)
    if isinstance(X, Design):
        return _tally_where_rows_live(estimator, X, y.target, len(classes))
    truth = np.asarray(y)
    if truth.ndim == 1:
        truth = codes_of(truth, classes)
    result = Tally(len(classes))
    for rows, block in blocks(X, len(classes)):
        part = truth[rows]
        shares = sparse.csr_array(part) if part.ndim == 2 else _one_hot(part, len(classes))
        result.add(np.asarray(estimator.predict_proba(block)), shares)
    return result


def _tally_where_rows_live(estimator: Any, X: Design, codes: Any, k: int) -> Tally:
    """Return the tally of a design and the codes of its rows; a cluster makes it on its workers."""
    if k <= _DENSE:
        chunk = partial(_tallied, estimator=estimator, k=k)
        return Tally.of(*X.reduce(chunk, (X.beside(codes),)))
    result = Tally(k)
    for rows, part in X.chunks():
        _add_chunk(result, estimator, part, np.asarray(codes[rows]))
    return result


def _tallied(chunk: Design, arrays: tuple[Any, ...], *, estimator: Any, k: int) -> Terms:
    """Return what a `Tally` sums up of the rows of a chunk, as arrays."""
    result = Tally(k)
    _add_chunk(result, estimator, chunk, np.asarray(arrays[0]))
    return result.confusion.toarray(), result.bins, float(result.rows), result.log_loss


def _add_chunk(result: Tally, estimator: Any, chunk: Design, codes: Array) -> None:
    height = max(64, _BLOCK // max(result.n_classes, chunk.shape[1]))
    for rows, block in chunk.blocks(height):
        shares = _one_hot(codes[rows], result.n_classes)
        result.add(np.asarray(estimator.predict_proba(block)), shares)


def codes_of(labels: Array, classes: Array) -> Array:
    """Return the place of each label in the classes, shape (n,)."""
    order = np.argsort(classes, kind="stable")
    codes = order[np.minimum(np.searchsorted(classes[order], labels), len(classes) - 1)]
    strange = np.flatnonzero(classes[codes] != labels)
    if strange.size:
        raise InputError(
            f"`y` must hold classes that were fitted; got {labels[strange[0]]!r} in row"
            f" {strange[0]}, and {strange.size} such rows in all."
        )
    return np.asarray(codes)


def calibration(tally: Tally, about: str) -> Calibration:
    """Return the reliability diagram of a tally."""
    return calibrated(tally.bins, about)


def calibrated(counts: Matrix, about: str) -> Calibration:
    """Return the reliability diagram of bins of shape (3, BINS): rows, probabilities, hits."""
    bins = []
    error, rows = 0.0, counts[0].sum()
    for count, confidence, hits in counts.T:
        if count == 0:
            bins.append(Bin(float("nan"), float("nan"), 0))
            continue
        bins.append(Bin(float(confidence / count), float(hits / count), int(count)))
        error += abs(confidence - hits) / rows
    return Calibration(tuple(bins), float(error), about)


def confused_pairs(confusion: Any, names: tuple[str, ...], most: int) -> tuple[Confused, ...]:
    """Return the pairs of classes most often taken for each other, the most frequent first."""
    entries = sparse.coo_array(confusion)
    totals = np.asarray(confusion.sum(axis=1)).ravel()
    truth, predicted = entries.coords
    wrong = np.flatnonzero((truth != predicted) & (entries.data > 0))
    # Ties in the order of the classes, so that the page does not depend on storage order.
    order = wrong[np.lexsort((predicted[wrong], truth[wrong], -entries.data[wrong]))][:most]
    return tuple(
        Confused(
            names[truth[i]],
            names[predicted[i]],
            float(entries.data[i]),
            float(entries.data[i] / totals[truth[i]]),
        )
        for i in order
    )


def regression_measures(target: Vector, fitted: Vector) -> Rows:
    """Return how far fitted values of shape (m,) are from their target, as label and value."""
    residual = target - fitted
    spread = float(np.sum((target - target.mean()) ** 2))
    explained = percent(1.0 - float(residual @ residual) / spread) if spread > 0.0 else "undefined"
    return (
        ("Root mean squared residual", number(float(np.sqrt(np.mean(residual**2))))),
        ("Largest residual", number(float(np.abs(residual).max()))),
        ("Variance explained", explained),
    )


def deviations(X: Any) -> Vector | None:
    """Return the standard deviation of each column, shape (d,); None if a column is not a number.

    Blocks of rows, so that X is never copied whole; a design knows them, mostly from its fit.
    """
    if isinstance(X, Design):
        return np.sqrt(np.asarray(X.column_moments()[1], dtype=np.float64))
    scaler = StandardScaler(with_mean=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for _, block in blocks(X):
                scaler.partial_fit(block)
    except (TypeError, ValueError):
        return None
    spread: Vector = np.sqrt(np.asarray(scaler.var_, dtype=np.float64))
    return spread if bool(np.isfinite(spread).all()) else None


def largest_coefficients(
    coef: Matrix,
    spread: Vector | None,
    features: tuple[str, ...],
    labels: tuple[str, ...],
    most: int,
) -> tuple[Coefficient, ...]:
    """Return the coefficients of largest effect, the largest first.

    Parameters
    ----------
    coef : ndarray of shape (K, d)
    spread : ndarray of shape (d,) or None
        Standard deviations of the columns; None to rank by the coefficients themselves.
    features : tuple of d str
    labels : tuple of K str
    most : int
    """
    effect = coef if spread is None else coef * spread
    # A stable sort: equal effects keep the order of the columns.
    order = np.argsort(-np.abs(effect), axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(order, coef.shape)
    return tuple(
        Coefficient(features[j], labels[k], float(coef[k, j]), float(effect[k, j]))
        for k, j in zip(rows, columns, strict=True)
    )
