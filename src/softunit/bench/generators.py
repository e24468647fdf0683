"""Tables to fit, drawn from a seed: the same numbers on every machine, up to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from softunit._typing import Array, Matrix, Vector

_BLOCK = 1 << 22  # entries drawn in one go, so that a large table needs no second one

Generated = tuple[Any, Array]
"""A design, dense or sparse, of shape (n, d), and classes 0 to K - 1 of shape (n,)."""


def power_law(n: int, d: int, k: int, condition: float, seed: int) -> Generated:
    """Return n rows of d rotated Gaussian columns and k classes drawn from a softmax of them.

    The spectrum of A'A falls as a power from 1 to 1/condition. Scores have standard deviation 3.

    Parameters
    ----------
    n, d, k : int
    condition : float
        Of A'A.
    seed : int
    """
    rng = np.random.default_rng(seed)
    X = rotated_columns(n, d, condition, rng)
    scores = X @ rng.standard_normal((d, k))
    scores *= 3 / scores.std()
    return X, _drawn_classes(scores, rng)


def rotated_columns(n: int, d: int, condition: float, rng: np.random.Generator) -> Matrix:
    """Return n rows of d rotated Gaussian columns, (n, d).

    The spectrum of A'A falls as a power from 1 to 1/condition.

    Parameters
    ----------
    n, d : int
    condition : float
        Of A'A.
    rng : Generator
    """
    rotation, _ = np.linalg.qr(rng.standard_normal((d, d)))
    mix = np.logspace(0, -np.log10(condition) / 2, d)[:, None] * rotation
    X = np.empty((n, d))
    step = max(1, _BLOCK // d)
    for start in range(0, n, step):
        rows = X[start : start + step]
        # Drawn in blocks, the numbers are those of one draw.
        np.matmul(rng.standard_normal(rows.shape), mix, out=rows)
    return X


def sorted_rows(n: int, d: int, k: int, condition: float, seed: int) -> Generated:
    """Return a power-law table whose rows are sorted by class.

    Parameters
    ----------
    n, d, k : int
    condition : float
    seed : int
    """
    X, y = power_law(n, d, k, condition, seed)
    order = np.argsort(y, kind="stable")
    return X[order], y[order]


def _drawn_classes(scores: Matrix, rng: np.random.Generator) -> Array:
    """Return a class for each row, drawn from the softmax of its scores (n, K)."""
    n, k = scores.shape
    y = np.empty(n, dtype=np.int64)
    step = max(1, _BLOCK // k)
    for start in range(0, n, step):
        block = scores[start : start + step]
        y[start : start + step] = (block + rng.gumbel(size=block.shape)).argmax(axis=1)
    return y


def few_shot(per_class: int, d: int, k: int, seed: int) -> Generated:
    """Return `per_class` rows around each of k centres in d columns, of length about one.

    Parameters
    ----------
    per_class, d, k : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    y = np.tile(np.arange(k), per_class)
    centres = rng.standard_normal((k, d))
    X = 0.4 * centres[y] + rng.standard_normal((len(y), d))
    return X / np.sqrt(d), y


def text(n: int, d: int, k: int, words: int, seed: int) -> Generated:
    """Return tf-idf of n texts over d words as CSR, with a topic for each class.

    1. Word frequencies fall as a power of the rank. 2. A quarter of the words of a text come from
    its class, which has the same frequencies over words in an order of its own. 3. Counts become
    (1 + log count) times the logarithm of n over the rows with the word; rows have length one.

    Parameters
    ----------
    n, d, k : int
    words : int
        Mean number of words drawn for a text; with repeats, it has somewhat fewer nonzeros.
    seed : int
    """
    rng = np.random.default_rng(seed)
    shares = 1.0 / (np.arange(d) + 20.0)
    edges = np.cumsum(shares) / shares.sum()
    y = _drawn_classes(np.tile(-0.5 * np.log1p(np.arange(k)), (n, 1)), rng)
    lengths = np.maximum(1, (words * rng.lognormal(-0.08, 0.4, n)).astype(np.int64))
    row = np.repeat(np.arange(n), lengths)
    word = np.searchsorted(edges, rng.random(len(row))).clip(0, d - 1)
    orders = np.stack([rng.permutation(d) for _ in range(k)])
    topical = rng.random(len(row)) < 0.25
    word[topical] = orders[y[row[topical]], word[topical]]
    counts = sparse.csr_matrix((np.ones(len(row)), (row, word)), shape=(n, d))
    counts.sum_duplicates()
    seen = np.bincount(counts.indices, minlength=d)
    counts.data = (1 + np.log(counts.data)) * np.log((1 + n) / (1 + seen))[counts.indices]
    norms = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1))).ravel()
    counts.data /= np.repeat(np.where(norms > 0, norms, 1.0), np.diff(counts.indptr))
    return counts, y


def one_hot(n: int, levels: tuple[int, ...], k: int, seed: int) -> Generated:
    """Return one-hot columns of several factors as CSR; most levels of a long factor are rare.

    Parameters
    ----------
    n : int
    levels : tuple of int
        Levels of each factor; d is their sum.
    k : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(levels)[:-1]])
    columns = np.stack([start + _ranks(n, m, rng) for start, m in zip(starts, levels, strict=True)])
    indices = columns.T.ravel()
    indptr = np.arange(0, len(indices) + 1, len(levels))
    X = sparse.csr_matrix((np.ones(len(indices)), indices, indptr), shape=(n, sum(levels)))
    effects = rng.standard_normal((sum(levels), k))
    return X, _drawn_classes(np.asarray(X @ effects), rng)


def _ranks(n: int, levels: int, rng: np.random.Generator) -> Array:
    """Return n ranks from 0 to levels - 1, rank r about as often as 1 / (r + 1)."""
    shares: Vector = 1.0 / np.arange(1, levels + 1)
    edges = np.cumsum(shares) / shares.sum()
    found: Array = np.searchsorted(edges, rng.random(n)).clip(0, levels - 1)
    return found
