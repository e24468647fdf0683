"""A vocabulary of clustered keys with correct ones in its tail, and what a query finds there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from softunit.errors import InputError
from softunit.nn.attention.navigation import explore

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Vocabulary:
    """Keys in clusters, a query, and which keys answer it.

    Attributes
    ----------
    keys : ndarray of shape (m, d)
    cluster : ndarray of int, shape (m,)
    correct : ndarray of bool, shape (m,)
    query : ndarray of shape (d,)
    """

    keys: Array
    cluster: np.ndarray[Any, np.dtype[np.intp]]
    correct: np.ndarray[Any, np.dtype[np.bool_]]
    query: Array

    def ranked(self, count: int, *, rounds: int = 1, strength: float = 0.0) -> Array:
        """Return the places of `count` keys by rounds of `explore`, (count,), best first.

        Parameters
        ----------
        count : int
            All candidates together; the rounds must divide it.
        rounds : int, default 1
        strength : float, default 0.0
            With zero: the plain top.

        Raises
        ------
        InputError
            If the rounds do not divide the count, or `explore` refuses.
        """
        if rounds < 1 or count % rounds:
            raise InputError(f"`rounds` must divide the {count} candidates; got {rounds!r}.")
        q, keys = torch.as_tensor(self.query), torch.as_tensor(self.keys)
        places = explore(q, keys, rounds=rounds, count=count // rounds, strength=strength)
        return np.asarray(places.numpy())

    def company(self, first: int = 10, last: int = 100) -> float:
        """Return how often ranks first to last share the top key's cluster, over chance.

        Parameters
        ----------
        first, last : int, default 10 and 100
            Ranks from one on, both included.
        """
        ranked = self.cluster[self.ranked(last)]
        peers = int((self.cluster == ranked[0]).sum()) - 1
        return float((ranked[first - 1 :] == ranked[0]).mean() * (len(self.cluster) - 1) / peers)


def drawn(
    rng: np.random.Generator,
    *,
    keys: int = 2000,
    clusters: int = 40,
    dimension: int = 32,
    correct: int = 60,
    lean: float = 1.5,
) -> Vocabulary:
    """Return a vocabulary with a query that leans on one cluster, and answers all over.

    A key is its cluster's centre, a unit vector, plus noise of norm about 0.6. Correct keys have
    0.5 to 1 times a common direction r as well, three of them in the first cluster and the others
    anywhere else. The query is r + lean * (the first centre): few of the answers are at its top.

    Parameters
    ----------
    rng : numpy.random.Generator
    keys, clusters : int, default 2000 and 40
        The clusters are of one size.
    dimension : int, default 32
    correct : int, default 60
    lean : float, default 1.5
        With zero the query asks for r alone, and similarity has nothing to spoil.

    Raises
    ------
    InputError
        If the clusters do not divide the keys, or there are fewer than four correct keys or more
        than the other clusters hold.
    """
    if clusters < 2 or keys % clusters or not 4 <= correct <= keys - keys // clusters:
        raise InputError(
            "`clusters` must be at least 2 and divide `keys`, with 4 to keys - keys / clusters"
            f" `correct` ones; got {keys} keys, {clusters} clusters and {correct} correct."
        )
    size = keys // clusters
    centres, direction = (_unit(rng.standard_normal((n, dimension))) for n in (clusters, 1))
    cluster = np.repeat(np.arange(clusters), size)
    table = centres[cluster] + 0.6 / math.sqrt(dimension) * rng.standard_normal((keys, dimension))
    right = np.concatenate(
        (
            rng.choice(size, min(3, size), replace=False),
            size + rng.choice(keys - size, correct - min(3, size), replace=False),
        )
    )
    table[right] += rng.uniform(0.5, 1.0, (correct, 1)) * direction
    answers = np.zeros(keys, dtype=bool)
    answers[right] = True
    return Vocabulary(table, cluster, answers, direction[0] + lean * centres[0])


def _unit(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))
