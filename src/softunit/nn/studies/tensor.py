"""Tensor attention: the polynomial form beside the exact one, and a task of triples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from softunit.nn.attention import PolynomialTensor, attend, reference
from softunit.nn.studies.one_thread import least_seconds, one_thread

RATE = 0.03


@dataclass(frozen=True)
class Nearness:
    """The polynomial form beside the cubic-time result.

    Parameters
    ----------
    error : float
        Largest difference of an output.
    array : int
        Numbers in the largest array that the polynomial form made.
    """

    error: float
    array: int


class _Largest(TorchDispatchMode):
    """Notes the numbers in the largest tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for made in out if isinstance(out, tuple | list) else (out,):
            if isinstance(made, Tensor):
                self.most = max(self.most, made.numel())
        return out


def _uniform(rng: np.random.Generator, bound: float, *shape: int) -> Tensor:
    return torch.from_numpy(rng.uniform(-bound, bound, shape))


def nearness(n: int, d: int, degree: int, bound: float, rng: np.random.Generator) -> Nearness:
    """Return how near the polynomial form is to the plain definition, all entries within a bound.

    Parameters
    ----------
    n, d : int
        Tokens, and the width of queries, keys and values.
    degree : int
        Of the polynomial.
    bound : float
        Entries are uniform between -bound and bound.
    rng : Generator
        What they are drawn from.
    """
    q, k1, k2, v1, v2 = (_uniform(rng, bound, 1, 1, n, d) for _ in range(5))
    exact = reference(q, (k1, k2), (v1, v2), unit="tensor")
    with _Largest() as seen:
        near = attend(q, (k1, k2), (v1, v2), unit=PolynomialTensor(degree=degree, bound=bound))
    return Nearness(float((near - exact).abs().max()), seen.most)


def times(
    lengths: Sequence[int], unit: str, d: int, rounds: int, rng: np.random.Generator
) -> list[float]:
    """Return the least seconds of a unit for each length, in float32.

    Parameters
    ----------
    lengths : sequence of int
        Numbers of tokens.
    unit : str
        "tensor" or "tensor_polynomial".
    d : int
        Width of queries, keys and values of one head.
    rounds : int
        Of which the least counts.
    rng : Generator
        What tokens are drawn from.
    """

    def call(n: int) -> Callable[[], Tensor]:
        q, k1, k2, v1, v2 = (_uniform(rng, 1.0, 1, 1, n, d).float() for _ in range(5))
        return lambda: attend(q, (k1, k2), (v1, v2), unit=unit)

    return least_seconds([call(n) for n in lengths], rounds)


# Triples whose sum is zero --------------------------------------------------------------------


@dataclass(frozen=True)
class Triples:
    """Whether two of the tokens sum to zero with the query, modulo an odd number.

    The tokens are q' + r and q' - r for distances r from 1 to (modulus - 1) / 2, with 2 q' = -q:
    two of them complete the triple if they are at one distance on either side. In a positive row
    one distance comes with both sides, in a negative row all distances differ. Every token is as
    likely in both kinds of rows: no single token tells them apart, and no sum over tokens does.

    Parameters
    ----------
    modulus : int, default 17
        Odd.
    tokens : int, default 4
        At most (modulus - 1) / 2.
    """

    modulus: int = 17
    tokens: int = 4

    def rows(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (count,), tokens (count, tokens) and which rows have a triple (count,).

        Parameters
        ----------
        count : int
            Number of rows.
        rng : Generator
            What they are drawn from.
        """
        half, middle = (self.modulus - 1) // 2, (self.modulus + 1) // 2
        query = rng.integers(self.modulus, size=count)
        there = rng.random(count) < 0.5
        distance = rng.random((count, half)).argsort(-1)[:, : self.tokens] + 1
        side = rng.choice([-1, 1], size=(count, self.tokens))
        distance[there, 1], side[there, 1] = distance[there, 0], -side[there, 0]
        token = (-middle * query[:, None] + side * distance) % self.modulus
        query_rows, token_rows, answers = map(torch.from_numpy, (query, token, there))
        return query_rows, token_rows, answers


class Detector(nn.Module):
    """One layer of attention and a linear readout, with a table of vectors for each role.

    Parameters
    ----------
    task : Triples
        What it reads.
    pairs : bool
        Attention to pairs of tokens, unit "tensor"; otherwise softmax attention to tokens, with
        twice the width, which has as many numbers for keys and values and more for queries.
    rng : Generator
        What it begins with.
    """

    WIDTH, VALUES, START, SCALE = 128, 8, 0.2, 0.125

    def __init__(self, task: Triples, pairs: bool, rng: np.random.Generator) -> None:
        super().__init__()
        self.pairs, wide = pairs, 1 if pairs else 2
        # One token more: it is in all rows, and takes the weight where there is no triple.
        self.begin, size = task.modulus, task.modulus + 1
        widths = {"q": wide * self.WIDTH, "k": 2 * self.WIDTH, "v": 2 * self.VALUES}
        self.tables = nn.ParameterDict(
            {
                name: nn.Parameter(
                    torch.tensor(self.START * rng.standard_normal((size, width)), dtype=torch.float)
                )
                for name, width in widths.items()
            }
        )
        readout = self.START * rng.standard_normal(wide * self.VALUES + 1)
        self.readout = nn.Parameter(torch.tensor(readout, dtype=torch.float))

    def forward(self, query: Tensor, token: Tensor) -> Tensor:
        """Return how likely each row has a triple, as log odds of shape (rows,)."""
        token = nn.functional.pad(token, (1, 0), value=self.begin)
        q, k, v = (
            self.tables[name][at].unflatten(0, (-1, 1))
            for name, at in (("q", query[:, None]), ("k", token), ("v", token))
        )
        if self.pairs:
            (k1, k2), (v1, v2) = k.chunk(2, -1), v.chunk(2, -1)
            out = attend(q, (k1, k2), (v1, v2), unit="tensor", scale=self.SCALE)
        else:
            out = attend(q, k, v)
        return out.flatten(1) @ self.readout[:-1] + self.readout[-1]


@dataclass(frozen=True)
class Learned:
    """How a detector learned.

    Parameters
    ----------
    steps : tuple of int
        After which it was tested.
    percent : tuple of float
        Rows that it told rightly then, of rows that it had not seen.
    """

    steps: tuple[int, ...]
    percent: tuple[float, ...]


@one_thread()
def learned(task: Triples, pairs: bool, steps: int, rng: np.random.Generator) -> Learned:
    """Train a detector on new rows in every step, with Adam.

    Parameters
    ----------
    task : Triples
        What it learns.
    pairs : bool
        As for `Detector`.
    steps : int
        Of 256 rows each; the rate falls linearly from `RATE` to zero.
    rng : Generator
        What the start and all rows are drawn from.
    """
    model = Detector(task, pairs, rng)
    adam = torch.optim.Adam(model.parameters(), lr=RATE)
    at, percent = [], []
    for step in range(steps):
        adam.param_groups[0]["lr"] = RATE * (1 - step / steps)
        query, token, there = task.rows(256, rng)
        adam.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(query, token), there.float())
        loss.backward()
        adam.step()
        if (step + 1) % max(1, steps // 10) == 0:
            at.append(step + 1)
            percent.append(_percent(model, task, rng))
    return Learned(tuple(at), tuple(percent))


def _percent(model: Detector, task: Triples, rng: np.random.Generator) -> float:
    query, token, there = task.rows(4096, rng)
    with torch.no_grad():
        right = (model(query, token) > 0) == there
    return 100.0 * float(right.double().mean())
