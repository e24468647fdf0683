"""A bias that depends on how far a key is from a query, kept as one number for each distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from softunit.errors import InputError


@dataclass(frozen=True)
class RelativeBias:
    """What is added to score (i, j), by the distance j - i alone.

    Parameters
    ----------
    values : Tensor of shape (..., n + m - 1)
        The bias of distance j - i is ``values[..., j - i + n - 1]``: the first entry is for the
        last query and the first key. The leading axes broadcast with (batch, heads).

    Raises
    ------
    InputError
        If `values` is no tensor of a floating dtype with at least one axis.

    Notes
    -----
    Dense units spread it over blocks of rows; units with a feature map multiply with the Toeplitz
    matrix exp(b_{j-i}) by FFT, in O(n log n) time and without an n-by-m array.
    Source: 1.11 (arXiv 2106.12566).
    """

    values: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor):
            raise InputError(
                "`values` of a RelativeBias must be a torch tensor with one number for each"
                f" distance; got {type(self.values).__name__}."
            )
        if self.values.ndim == 0 or not self.values.dtype.is_floating_point:
            raise InputError(
                "`values` of a RelativeBias must be of a floating dtype, with one number for each"
                f" distance in its last axis; got shape {tuple(self.values.shape)} of"
                f" {self.values.dtype}."
            )

    def rows(self, start: int, stop: int, n: int, m: int) -> Tensor:
        """Return rows start to stop of the n-by-m bias, of shape (..., stop - start, m).

        Raises
        ------
        InputError
            If there are not n + m - 1 values.
        """
        have = self.values.shape[-1]
        if have != n + m - 1:
            raise InputError(
                f"A relative bias for {n} queries and {m} keys has n + m - 1 = {n + m - 1} values,"
                f" one for each distance; got {have}."
            )
        device = self.values.device
        i = torch.arange(start, stop, device=device)[:, None]
        return self.values[..., torch.arange(m, device=device) - i + (n - 1)]
