"""Attention as a module: a unit and its settings, without projections."""

from __future__ import annotations

from torch import Tensor

from softunit.nn._checks import check_number
from softunit.nn.attention._inputs import Causal, check_dropout
from softunit.nn.attention._learned import HoldsUnit
from softunit.nn.attention._module_inputs import check_causal
from softunit.nn.attention._relative import RelativeBias
from softunit.nn.attention._unit import AttentionUnit, Many
from softunit.nn.attention.functional import attend


class Attention(HoldsUnit):
    """The function `attend` as a module: what stays from call to call is said once.

    Parameters
    ----------
    unit : str or AttentionUnit, default "softmax"
        A name of `UNITS`, or a unit with settings of its own; those that are a
        ``torch.nn.Parameter`` become parameters of the module, as ``unit_<setting>``.
    causal : bool or {"top-left", "bottom-right"}, default False
        Which keys come before a query, as in `attend`.
    scale : float, default None
        Of the scores; None is the unit's own, mostly 1 / sqrt(d).
    dropout : float, default 0.0
        Share of weights dropped in training, in [0, 1).

    Raises
    ------
    InputError
        If there is no such unit, or a setting is out of its range.
    """

    def __init__(
        self,
        unit: str | AttentionUnit = "softmax",
        *,
        causal: Causal = False,
        scale: float | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        check_causal(causal)
        self.unit = unit
        self.causal: Causal = causal
        self.scale = None if scale is None else check_number("scale", scale, above=0.0)
        self.dropout = dropout

    def extra_repr(self) -> str:
        """Return the settings, as they stand in the text of a model."""
        return f"unit={self.unit!r}, causal={self.causal!r}"

    def forward(
        self,
        q: Tensor,
        k: Many,
        v: Many,
        mask: Tensor | None = None,
        bias: Tensor | RelativeBias | None = None,
    ) -> Tensor:
        """Return the mixed values, of shape (batch, heads, n, e).

        Parameters
        ----------
        q : Tensor of shape (batch, heads, n, d)
            Queries.
        k : Tensor of shape (batch, heads, m, d)
            Keys.
        v : Tensor of shape (batch, heads, m, e)
            Values.
        mask : Tensor, default None
            Bool, True where a query sees a key, as in `attend`.
        bias : Tensor or RelativeBias, default None
            Added to the scores, as in `attend`.

        Returns
        -------
        Tensor of shape (batch, heads, n, e)
            Of the dtype of q.

        Raises
        ------
        InputError
            As `attend`.
        """
        return attend(
            q, k, v, unit=self.unit, mask=mask, causal=self.causal, bias=bias, scale=self.scale,
            dropout=self.dropout if self.training else 0.0,
        )  # fmt: skip
