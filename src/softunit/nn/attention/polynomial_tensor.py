"""Tensor attention with a polynomial in place of exp: near linear time for bounded entries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from softunit.errors import InputError
from softunit.nn._checks import check_count, check_number
from softunit.nn.attention._dropout import thinned
from softunit.nn.attention._kernel_weights import largest
from softunit.nn.attention._monomials import count_monomials, monomials
from softunit.nn.attention._pair_sums import past_pairs
from softunit.nn.attention._pair_unit import Pair, PairUnit, pair_pattern, pair_scores
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._states import Parts, check_state

HELD = 1 << 22
"""Features of a call that are kept for the gradient: more are made anew, a part at a time."""
State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class PolynomialTensor(PairUnit):
    """Tensor attention with weights p(s) / sum p(s), p(s) = sum_{t <= degree} s^t / t!.

    The polynomial of a score s = scale <q_i, k1_j * k2_l> is a sum of r = C(d + degree, degree)
    products of monomials of q_i, k1_j and k2_l, so the sums over j and l separate::

        out_i ~ sum_a c_a q_i^a (sum_j k1_j^a v1_j) * (sum_l k2_l^a v2_l)

    in O(n r e) time, with a running sum where it is causal: near linear in n, for small d.

    Parameters
    ----------
    degree : int, default 4
        Of the polynomial. Even ones are above zero everywhere, so that weights are. Odd ones fall
        below zero for scores under some negative number, and are refused where the bound allows
        such scores.
    bound : float, default 1.0
        The largest entry of q and k, in magnitude. Scores are then at most scale d bound^3, and
        `error` says what the polynomial loses there. Entries beyond it are refused with a sentence;
        in a compiled graph, which cannot look, they make the whole output nan.
    most_features : int, default 100000
        Largest r that is tried: at degree 4, d = 37 has 101,270.

    Raises
    ------
    InputError
        If a setting is out of its range.

    Notes
    -----
    The default scale is 1 / d, as that of `TensorAttention`, so that scores are at most bound^3.

    Masks and biases of keys are taken, and `causal`. Those with a row for each query and
    `RelativeBias` are refused: each query would need r e sums of its own. Where biases of keys
    differ by more than 80 (float32), a causal query that sees only the small ones gets zeros.
    Masked keys may be of any size; queries of padded tokens must be within the bound like others.

    Source: 2.26 (arXiv 2310.04064).
    """

    name: ClassVar[str] = "tensor_polynomial"
    linear: ClassVar[bool] = True

    degree: int = 4
    bound: float = 1.0
    most_features: int = 100_000

    def __post_init__(self) -> None:
        for name in ("degree", "most_features"):
            object.__setattr__(self, name, check_count(name, getattr(self, name)))
        object.__setattr__(self, "bound", check_number("bound", self.bound, above=0.0))

    def error(self, d: int, scale: float | None = None) -> float:
        """Return the largest |p(s) - exp(s)| / exp(s) for entries within the bound.

        With e for it, weights differ from those of `TensorAttention` by a factor between
        (1 - e) / (1 + e) and (1 + e) / (1 - e).

        Parameters
        ----------
        d : int
            Width of queries and keys.
        scale : float, optional
            Of the scores; by default 1 / d.
        """
        most = self._most(d, self.default_scale(d) if scale is None else scale)
        # p(s) / exp(s) is monotone on either side of zero, where it is one.
        return max(abs(self._exp(s) * math.exp(-s) - 1.0) for s in (most, -most))

    def check(self, q: Tensor, k: Pair, pattern: Pattern) -> None:
        """Refuse patterns with rows, too many features, and entries beyond the bound."""
        if pattern.dense or pattern.relative is not None:
            raise InputError(
                "The unit 'tensor_polynomial' takes masks and biases of keys alone, as (batch, 1,"
                " 1, m), and `causal`: with one for each query, or by distance, each query would"
                " need its own sums over keys. Take unit='tensor', in time n m^2."
            )
        d = q.shape[-1]
        features = count_monomials(d, self.degree)
        if features > self.most_features:
            raise InputError(
                f"The unit 'tensor_polynomial' has C(d + degree, degree) = {features:,} features"
                f" for d = {d} and degree = {self.degree}, above most_features ="
                f" {self.most_features:,}: take a smaller degree, more heads of a smaller width, or"
                " unit='tensor'."
            )
        if not (torch.compiler.is_compiling() or q.is_meta):
            self._check_entries(q, k, pattern)

    def pair_weights(self, q: Tensor, k: Pair, pattern: Pattern, scale: float) -> Tensor:
        """Return all weights by their plain definition: (batch, heads, n, m, m)."""
        self._check_degree(q.shape[-1], scale)
        scores = pair_scores(q, _seen(k, pattern), scale)
        term = weights = torch.ones_like(scores)
        for power in range(1, self.degree + 1):
            term = term * scores / power
            weights = weights + term
        added, seen = pair_pattern(pattern)
        if added is not None:
            added = added.to(weights.dtype)
            weights = weights * torch.exp(added)
        if seen is not None:
            weights = weights.masked_fill(~seen, 0.0)
        return _divided(weights, weights.sum((-2, -1), keepdim=True))

    def forward(
        self, q: Tensor, k: Pair, v: Pair, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the output through sums of monomials: (batch, heads, n, e)."""
        self._check_degree(q.shape[-1], scale)
        k = _seen(k, pattern)
        shares = _shares(pattern, q.dtype)
        values = _with_one(thinned(v[0], dropout), shares), _with_one(v[1], shares)
        sums: Tensor | None = None
        count = count_monomials(q.shape[-1], self.degree)
        tokens = q.shape[0] * q.shape[1] * max(pattern.n, pattern.m)
        width = max(1, HELD // tokens)
        anew = torch.is_grad_enabled() and count > width
        for start in range(0, count, width):
            part = slice(start, min(start + width, count))
            some = self._part(q, k, values, (pattern.offset, scale, part), anew)
            sums = some if sums is None else sums + some
        assert sums is not None
        return self._guarded(_divided(sums[..., :-1], sums[..., -1:]), (q, *k))

    def step(
        self, q: Tensor, k: Pair, v: Pair, state: State | None, scale: float
    ) -> tuple[Tensor, State]:
        """Return the outputs for the next tokens, and the sums k1^a v1 and k2^a v2 after them."""
        self._check_degree(q.shape[-1], scale)
        part = slice(0, count_monomials(q.shape[-1], self.degree))
        shape = (*q.shape[:2], part.stop, v[0].shape[-1] + 1)

        def parts(state: State) -> Parts:
            return {f"number {i}": (given, shape) for i, given in enumerate(state)}

        check_state(self.name, state, tuple, parts, v[0])
        rows = monomials(q, self.degree, part, scale)
        first, second = (monomials(x, self.degree, part) for x in k)
        values = (_with_one(v[0], None), _with_one(v[1], None))
        sums = past_pairs(rows, (first, second), values, 0, state)
        after = (first.mT @ values[0], second.mT @ values[1])
        if state is not None:
            after = (after[0] + state[0], after[1] + state[1])
        return self._guarded(_divided(sums[..., :-1], sums[..., -1:]), (q, *k)), after

    def _part(
        self, q: Tensor, k: Pair, v: Pair, rest: tuple[int | None, float, slice], anew: bool
    ) -> Tensor:
        """Return the part of some monomials in the output and in its divisor: (..., n, e + 1)."""
        offset, scale, part = rest

        def sums(q: Tensor, k1: Tensor, k2: Tensor, v1: Tensor, v2: Tensor) -> Tensor:
            rows = monomials(q, self.degree, part, scale)
            first, second = (monomials(x, self.degree, part) for x in (k1, k2))
            if offset is not None:
                return past_pairs(rows, (first, second), (v1, v2), offset)
            mixed: Tensor = rows @ ((first.mT @ v1) * (second.mT @ v2))
            return mixed

        if not anew:
            return sums(q, *k, *v)
        found: Tensor = checkpoint(sums, q, *k, *v, use_reentrant=False)
        return found

    def _exp(self, s: float) -> float:
        return sum(s**t / math.factorial(t) for t in range(self.degree + 1))

    def _most(self, d: int, scale: float) -> float:
        """Return the largest score that the bound allows."""
        return scale * d * self.bound**3

    def _check_degree(self, d: int, scale: float) -> None:
        most = self._most(d, scale)
        if self.degree % 2 and self._exp(-most) <= 0:
            raise InputError(
                f"The polynomial of degree {self.degree} is not above zero at {-most:.4g}, and"
                f" entries within {self.bound:g} allow scores of that at d = {d} and scale ="
                f" {scale:.4g}: take an even degree, which is above zero everywhere, or a smaller"
                " bound."
            )

    def _guarded(self, out: Tensor, given: tuple[Tensor, ...]) -> Tensor:
        """Return the output; in a compiled graph nan if an entry is beyond the bound."""
        if not torch.compiler.is_compiling():
            return out
        sizes = torch.stack([x.detach().abs().amax() for x in given])
        return torch.where((sizes <= self.bound).all(), out, float("nan"))

    def _check_entries(self, q: Tensor, k: Pair, pattern: Pattern) -> None:
        names = ("q", "the first of k", "the second of k")
        for name, x in zip(names, (q, *_seen(k, pattern)), strict=True):
            size = x.detach().abs()
            if bool(size.amax() <= self.bound):
                continue
            at = size.argmax()
            place = tuple(int(i) for i in torch.unravel_index(at, x.shape))
            worst = float(x.detach()[place])
            n, m = pattern.n, pattern.m
            raise InputError(
                f"The unit 'tensor_polynomial' needs entries of q and k within bound ="
                f" {self.bound:g}; {name} has {worst:.4g} at {place} (batch, head,"
                " token, entry). Scale or clip them; where they are made inside a module, give it"
                f" unit=PolynomialTensor(bound=...) with a bound above that: `error({q.shape[-1]})`"
                " of the unit says what the polynomial loses there, and a higher degree loses less."
                " The exact form, unit='tensor', has no bound and costs"
                f" n m^2 = {n * m * m:,} scores of pairs for each head, where this one has"
                f" {count_monomials(q.shape[-1], self.degree):,} features of {n + 2 * m:,} tokens."
            )


def _seen(k: Pair, pattern: Pattern) -> Pair:
    """Return the keys, zeros for those that no query sees."""
    if pattern.keys is None:
        return k
    first, second = (x.masked_fill(~pattern.keys.mT, 0.0) for x in k)
    return first, second


def _shares(pattern: Pattern, dtype: torch.dtype) -> Tensor | None:
    """Return what keys are multiplied by, (..., m, 1): exp(bias - its maximum), 0 if unseen."""
    shares = None
    if pattern.bias is not None:
        logs = pattern.bias.to(dtype)
        if pattern.keys is not None:
            logs = logs.masked_fill(~pattern.keys, float("-inf"))
        shares = torch.exp(logs - largest(logs, -1)).mT
    if pattern.keys is not None:
        seen = pattern.keys.mT.to(dtype)
        shares = seen if shares is None else shares * seen
    return shares


def _with_one(v: Tensor, shares: Tensor | None) -> Tensor:
    """Return [v, 1], each row times its share: (..., m, e + 1)."""
    one = torch.nn.functional.pad(v, (0, 1), value=1.0)
    return one if shares is None else one * shares


def _divided(above: Tensor, below: Tensor) -> Tensor:
    """Return above / below, zeros where below is zero: for queries that see nothing."""
    none = below == 0
    return (above / below.masked_fill(none, 1.0)).masked_fill(none, 0.0)
