"""SOFT: a Gaussian kernel of queries and keys in place of softmax, through a few landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from softunit.errors import InputError, SoftunitWarning, warn
from softunit.nn._checks import check_count, check_number
from softunit.nn.attention._dropout import thinned
from softunit.nn.attention._landmarks import segment_means
from softunit.nn.attention._newton_inverse import (
    Start,
    newton_inverse,
    proven_residual,
    residual,
    times_inverse,
)
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._row_blocks import HELD, in_row_blocks
from softunit.nn.attention._scores import shown
from softunit.nn.attention._unit import AttentionUnit

AUTO_LANDMARKS = 49
"""As many as the paper takes: the means of a seven by seven grid of patches."""
CONVERGED = {torch.float64: 1e-5, torch.float32: 3e-3}
"""Residuals I - A X that one step of refinement, which squares them, takes to 1e-10 and 1e-5."""


@dataclass(frozen=True)
class Soft(AttentionUnit):
    """Weights from a Gaussian kernel of queries and keys, normalised on both sides.

    The kernel is S_ij = exp(-scale / 2 |q_i - k_j|^2). With r_i and c_j the sums of the rows and
    columns of S, w_ij = S_ij / sqrt(r_i c_j). The efficient form replaces S by its Nystroem
    approximation through l landmarks p::

        S ~ C_q (A + ridge I)^-1 C_k',  C_q = kernel(q, p), C_k = kernel(k, p), A = kernel(p, p)

    in O(n l) time and memory, with the inverse by Newton's iteration, one step of refinement and
    its gradient in closed form. Landmarks are means of runs of the keys that the mask shows.

    Parameters
    ----------
    landmarks : int, "auto" or None, default "auto"
        How many: "auto" is 49, or m where there are fewer keys. None is the exact kernel, by
        blocks of rows, in O(n m) time.
    normalisation : {"symmetric", "rows", "none"}, default "symmetric"
        Divide by sqrt(r_i c_j), by r_i, or by nothing.
    ridge : float, default 0.005
        Added to the diagonal of A, whose own is one. Landmarks near each other make A singular;
        with l landmarks the condition of A + ridge I is at most 1 + l / ridge. A smaller ridge
        comes nearer to S and needs more iterations.
    iterations : int, default 20
        Of Newton's iteration. From "identity" 20 are enough for any keys where
        l / ridge <= 90,000. Otherwise the residual is looked at, and a warning says if it is too
        large; in a compiled graph nobody looks.
    start : {"identity", "matrix"}, default "identity"
        See `newton_inverse`: "matrix" is the paper's.
    floor : float, default 1e-6
        The least that approximate sums of rows and columns are taken for: they can be negative.
    padding : {"keys", "both"}, default "keys"
        What a mask of keys hides. "keys": as if those keys had not been given; queries all count
        in the sums of columns. "both": where n = m, also the query of that token, as for padded
        tokens of self-attention, whose content then moves nothing but their own outputs.

    Raises
    ------
    InputError
        If a setting is out of its range.

    Notes
    -----
    A query that is far from all keys gets weights of less than one in sum: the kernel says that
    it has nothing to attend to. Weights of the approximate form can be slightly negative.

    Landmarks are means over all keys, and sums of columns go over all queries: neither is causal.
    `causal=True` is taken by ``Soft(landmarks=None, normalisation="rows")`` or ``"none"``. Masks
    and biases of keys alone are taken by all forms, those with a row for each query and
    `RelativeBias` by the exact kernel only. A bias multiplies the kernel by exp(bias).

    Source: 1.2 (arXiv 2207.03341), where q = k; here landmarks are those of the keys.
    """

    name: ClassVar[str] = "soft"

    landmarks: int | Literal["auto"] | None = "auto"
    normalisation: Literal["symmetric", "rows", "none"] = "symmetric"
    ridge: float = 0.005
    iterations: int = 20
    start: Start = "identity"
    floor: float = 1e-6
    padding: Literal["keys", "both"] = "keys"

    def __post_init__(self) -> None:
        object.__setattr__(self, "landmarks", _count_of(self.landmarks))
        object.__setattr__(self, "iterations", check_count("iterations", self.iterations))
        object.__setattr__(self, "ridge", check_number("ridge", self.ridge, least=0.0))
        object.__setattr__(self, "floor", check_number("floor", self.floor, above=0.0))
        _check_words(self)

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Whether time grows like n: with landmarks."""
        return self.landmarks is not None

    @property
    def sums_to_one(self) -> bool:  # type: ignore[override]
        """Whether weights sum to one: those of the exact kernel divided by its rows."""
        return self.landmarks is None and self.normalisation == "rows"

    def check(self, q: Tensor, k: Tensor, pattern: Pattern) -> None:
        """Refuse more landmarks than keys, and patterns that the form cannot keep."""
        m = pattern.m
        if isinstance(self.landmarks, int) and self.landmarks > m:
            raise InputError(
                f"The unit 'soft' has {self.landmarks} landmarks for {m} keys, and a landmark is"
                f" the mean of at least one: take at most {m}, landmarks='auto' (at most"
                f" {AUTO_LANDMARKS}), or landmarks=None for the exact kernel."
            )
        if pattern.offset is not None and self.landmarks is not None:
            raise InputError(
                "The unit 'soft' with landmarks cannot be causal: landmarks are means over all"
                " keys, so that every query would see later ones. Take Soft(landmarks=None,"
                " normalisation='rows'), in time n m."
            )
        if pattern.offset is not None and self.normalisation == "symmetric":
            raise InputError(
                "The unit 'soft' with normalisation='symmetric' cannot be causal: the sum of a"
                " column goes over later queries. Take normalisation='rows' or 'none'."
            )
        if self.landmarks is not None and (pattern.dense or pattern.relative is not None):
            raise InputError(
                "The unit 'soft' with landmarks takes masks and biases of keys alone, as (batch,"
                " 1, 1, m): one that tells queries apart is no part of the factors C_q A^-1 C_k'."
                " Take Soft(landmarks=None), in time n m, or a bias of keys."
            )

    def reference_weights(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return the weights from the n-by-m kernel: (batch, heads, n, m).

        The exact kernel by differences, the approximate one with ``torch.linalg.solve``.
        """
        if self.landmarks is None:
            apart = (q[..., :, None, :] - k[..., None, :, :]).square().sum(-1)
            logs = _shown(-0.5 * scale * apart, pattern, 0, pattern.n)
            columns = self._columns(logs, pattern, 0, pattern.n)
            return self._exact_weights(logs, columns, pattern.visible())
        cq, a, ck = self._factors(q, k, pattern, scale)
        kernel: Tensor = torch.linalg.solve(a, cq.mT).mT @ ck.mT
        logs = self._key_logs(pattern, q.dtype)
        if self.normalisation == "none":
            return kernel * logs.exp()
        rows = (kernel * logs.exp()).sum(-1, keepdim=True)
        if self.normalisation == "rows":
            return kernel * logs.exp() / rows.clamp(min=self.floor)
        counted = self._counted(pattern)
        columns = (kernel if counted is None else kernel * counted).sum(-2, keepdim=True)
        both = rows.clamp(min=self.floor) * columns.clamp(min=self.floor)
        return kernel * (0.5 * logs).exp() / both.sqrt()

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the output through landmarks, or by blocks of rows: (batch, heads, n, e)."""
        if self.landmarks is None:
            return self._exact(q, k, v, pattern, scale, dropout)
        cq, a, ck = self._factors(q, k, pattern, scale)
        left = times_inverse(cq, a, self._inverse(a))
        values = thinned(v, dropout)
        logs = self._key_logs(pattern, q.dtype).mT
        if self.normalisation == "symmetric":
            counted = self._counted(pattern)
            total = (left if counted is None else left * counted).sum(-2).unsqueeze(-1)
            scaled = (0.5 * logs).exp() * (ck @ total).clamp(min=self.floor).rsqrt()
        else:
            scaled = logs.exp()
        out = left @ (ck.mT @ (values * scaled))
        if self.normalisation == "none":
            return out
        rows = (left @ (ck * logs.exp()).sum(-2).unsqueeze(-1)).clamp(min=self.floor)
        power = -0.5 if self.normalisation == "symmetric" else -1.0
        return out * rows.pow(power)

    def _factors(
        self, q: Tensor, k: Tensor, pattern: Pattern, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return C_q (n, l), A + ridge I (l, l) and C_k (m, l).

        The rows of C_k for keys that are not seen are zeros, and so are the columns of landmarks
        that there are not; these have a one on the diagonal of A.
        """
        assert self.landmarks is not None
        count = self.landmarks if isinstance(self.landmarks, int) else AUTO_LANDMARKS
        marks, there = segment_means(k, pattern.keys, min(count, pattern.m))
        cq, a, ck = (_log_kernel(x, marks, scale).exp() for x in (q, marks, k))
        eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
        if pattern.keys is not None and there is not None:
            cq, ck = cq * there.mT, ck * there.mT * pattern.keys.mT
            a = a * there * there.mT + eye * (1.0 - there)
        return cq, a + self.ridge * eye, ck

    def _inverse(self, a: Tensor) -> Tensor:
        """Return the inverse of A + ridge I; warn where the iterations were too few for it."""
        x = newton_inverse(a, self.iterations, self.start)
        if self.start == "identity":
            most = a.shape[-1] + self.ridge
            if proven_residual(self.ridge, most, self.iterations) <= CONVERGED[torch.float64]:
                return x
        if not (torch.compiler.is_compiling() or a.is_meta):
            left = float(residual(a, x))
            if not left <= CONVERGED[a.dtype]:
                warn(
                    f"The unit 'soft' left |I - A X| = {left:.2g} after {self.iterations} Newton"
                    f" iterations from {self.start!r} for {a.shape[-1]} landmarks, above"
                    f" {CONVERGED[a.dtype]:g}: the weights are not those of the kernel. Take more"
                    f" iterations, a ridge above {self.ridge:g}, or start='identity'.",
                    SoftunitWarning,
                )
        return x

    def _key_logs(self, pattern: Pattern, dtype: torch.dtype) -> Tensor:
        """Return the bias of keys less its maximum, which normalising takes out: (..., 1, m)."""
        logs = torch.zeros(1, 1, 1, pattern.m, dtype=dtype, device=pattern.device)
        if pattern.bias is not None:
            logs = pattern.bias.to(dtype)
        if pattern.keys is not None:
            logs = logs.masked_fill(~pattern.keys, float("-inf"))
        if self.normalisation == "none":
            return logs
        return logs - logs.amax(-1, keepdim=True).clamp(min=_nothing(logs))

    def _counted(self, pattern: Pattern) -> Tensor | None:
        """Return which queries count in the sums of columns: bool (..., n, 1), or None for all."""
        if self.padding == "keys" or pattern.keys is None or pattern.n != pattern.m:
            return None
        return pattern.keys.mT

    # The exact kernel, in logarithms ----------------------------------------------------------

    def _exact(
        self, q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, scale: float, dropout: float
    ) -> Tensor:
        """Return the output of the exact kernel; logarithms of columns travel beside the keys."""
        if self.normalisation == "symmetric":
            k = torch.cat([k, self._column_logs(q, k, pattern, scale)], -1)

        def weigh(q: Tensor, k: Tensor, pattern: Pattern) -> Tensor:
            keys, columns = k[..., : q.shape[-1]], k[..., q.shape[-1] :].mT
            logs = _shown(_log_kernel(q, keys, scale), pattern, 0, pattern.n)
            return self._exact_weights(logs, columns, pattern.visible())

        return in_row_blocks(weigh, q, k, v, pattern, dropout)

    def _exact_weights(self, logs: Tensor, columns: Tensor, seen: Tensor | None) -> Tensor:
        """Return the weights from logarithms of the kernel and of the sums of its columns."""
        if self.normalisation == "rows":
            weights = torch.softmax(shown(logs, seen), -1)
        elif self.normalisation == "none":
            weights = torch.exp(logs)
        else:
            rows = torch.logsumexp(logs, -1, keepdim=True)
            # Halves apart: the sum of two logarithms as low as a number goes is below all.
            weights = torch.exp(logs - 0.5 * rows - 0.5 * columns)
        return weights if seen is None else weights.masked_fill(~seen, 0.0)

    def _columns(self, logs: Tensor, pattern: Pattern, start: int, stop: int) -> Tensor:
        """Return logarithms of the sums of columns over rows start to stop: (..., 1, m)."""
        counted = self._counted(pattern)
        if counted is not None:
            logs = logs.masked_fill(~counted[..., start:stop, :], _nothing(logs))
        return torch.logsumexp(logs, -2, keepdim=True)

    def _column_logs(self, q: Tensor, k: Tensor, pattern: Pattern, scale: float) -> Tensor:
        """Return logarithms of the sums of columns, (batch, heads, m, 1), by blocks of rows."""
        many = q.shape[0] * q.shape[1] * pattern.m
        anew = torch.is_grad_enabled() and many * pattern.n > HELD

        def block(q: Tensor, k: Tensor, start: int, stop: int) -> Tensor:
            logs = _shown(_log_kernel(q, k, scale), pattern, start, stop)
            return self._columns(logs, pattern, start, stop)

        total: Tensor | None = None
        height = max(1, HELD // many)
        for start in range(0, pattern.n, height):
            stop = min(start + height, pattern.n)
            rows = q[..., start:stop, :]
            part = (
                checkpoint(block, rows, k, start, stop, use_reentrant=False)
                if anew
                else block(rows, k, start, stop)
            )
            total = part if total is None else torch.logaddexp(total, part)
        assert total is not None
        return total.mT


def _log_kernel(x: Tensor, y: Tensor, scale: float) -> Tensor:
    """Return - scale / 2 |x_i - y_j|^2, never above zero."""
    squares = 0.5 * (x.square().sum(-1, keepdim=True) + y.square().sum(-1, keepdim=True).mT)
    return scale * (x @ y.mT - squares).clamp(max=0.0)


def _shown(logs: Tensor, pattern: Pattern, start: int, stop: int) -> Tensor:
    """Return logarithms of rows start to stop with their bias, `_nothing` where none is seen."""
    added, seen = pattern.added(start, stop), pattern.visible(start, stop)
    if added is not None:
        logs = (logs + added.to(logs.dtype)).clamp(min=_nothing(logs))
    return logs if seen is None else logs.masked_fill(~seen, _nothing(logs))


def _nothing(logs: Tensor) -> float:
    """Return a logarithm of nothing that stays finite in sums and in their gradients.

    No bias can be below it. Beside one that is as low, it goes unnoticed in a sum by rounding.
    """
    return torch.finfo(logs.dtype).min


def _count_of(landmarks: object) -> int | str | None:
    if landmarks is None or (isinstance(landmarks, str) and landmarks == "auto"):
        return landmarks
    try:
        return check_count("landmarks", landmarks)
    except InputError:
        raise InputError(
            f"`landmarks` must be an integer of at least 1, 'auto' or None; got {landmarks!r}."
        ) from None


def _check_words(unit: Soft) -> None:
    words = {
        "normalisation": ("symmetric", "rows", "none"),
        "start": ("identity", "matrix"),
        "padding": ("keys", "both"),
    }
    for name, known in words.items():
        word = getattr(unit, name)
        if not (isinstance(word, str) and word in known):
            raise InputError(
                f"`{name}` must be one of {', '.join(map(repr, known))}; got {word!r}."
            )
