"""The regression cases: a planted table and a bar, and the suites made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from softunit.bench.cases import Kind, Suite, short_count
from softunit.bench.regression.tables import planted
from softunit.bench.regression.task import RegressionTask

Family = Literal["cosh", "exp", "leverage", "sinh", "softmax", "two-layer"]

DIGITS = (6, 8, 10)
"""Bars are 10 to the minus these, of the largest gradient entry relative to its terms at zero."""

ILL = 1e6
"""Condition of A'A of the ill-conditioned tables; that of the others is 100."""


@dataclass(frozen=True)
class RegressionCase:
    """A planted table and the gradient that counts as an answer.

    Attributes
    ----------
    name : str
    family : str
    n, d : int
    bar : float
        Largest entry of the gradient over that of |A|' |g_z(0)|.
    noisy : bool
        Whether no x meets the target.
    condition : float
        Of A'A.
    ridge : float
    seed : int
    """

    name: str
    family: Family
    n: int
    d: int
    bar: float = 1e-8
    noisy: bool = True
    condition: float = 100.0
    ridge: float = 0.0
    seed: int = 0

    @property
    def kind(self) -> Kind:
        """Regressors fit it."""
        return "regression"

    @property
    def tags(self) -> tuple[str, ...]:
        """The family, exact or noisy, and ill-conditioned where it is."""
        ill = ("ill-conditioned",) if self.condition >= ILL else ()
        return ("noisy" if self.noisy else "exact", *ill)

    @property
    def shape(self) -> str:
        """Family, rows, columns and bar in words."""
        return f"{self.family}, {self.n:,} x {self.d:,}, to {self.bar:.0e}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, kind and tags as plain values."""
        return {**dataclasses.asdict(self), "kind": self.kind, "tags": list(self.tags)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RegressionCase:
        """Return the case that `to_dict` described."""
        names = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})

    def task(self, threads: int = 1) -> RegressionTask:
        """Draw the table.

        Parameters
        ----------
        threads : int, default 1
            What a peer is told to use.
        """
        size, noisy = (self.n, self.d), self.noisy
        drawn = planted(self.family, size, self.condition, noisy=noisy, seed=self.seed)
        return RegressionTask(
            self.family,
            drawn.A,
            drawn.loss,
            drawn.target,
            self.ridge,
            drawn.start,
            drawn.x,
            self.bar,
            threads,
        )

    def warmer(self, task: RegressionTask) -> RegressionTask:
        """Return a table of 60 rows and three columns of the same family."""
        small = dataclasses.replace(self, n=60, d=3, condition=10.0)
        return small.task(task.threads)


def table(
    family: Family, n: int, d: int, *kinds: str, digits: tuple[int, ...] = (8,)
) -> tuple[RegressionCase, ...]:
    """Return a table's cases, one for each bar, named by family, size, kinds and bar.

    Parameters
    ----------
    family : str
    n, d : int
    *kinds : {"exact", "ill"}
        No noise; ill-conditioned.
    digits : tuple of int, default (8,)
        Bars are 10 to the minus these.
    """
    stem = "-".join([family, short_count(n), str(d), *kinds])
    condition = ILL if "ill" in kinds else 100.0
    return tuple(
        RegressionCase(f"{stem}-e{m}", family, n, d, 10.0**-m, "exact" not in kinds, condition)
        for m in digits
    )


_QUICK = (
    *table("softmax", 2_000, 10, digits=DIGITS),
    *table("softmax", 2_000, 10, "exact"),
    *table("exp", 2_000, 10),
    *table("cosh", 2_000, 10),
    *table("sinh", 2_000, 10),
    *table("two-layer", 500, 6),
    *table("leverage", 400, 5),
)

# In the order in which they are run: what a run out of time leaves out comes last.
_FULL = (
    *table("softmax", 100_000, 100, digits=DIGITS),
    *table("softmax", 500_000, 200, digits=DIGITS),
    *table("softmax", 10_000, 100, digits=DIGITS),
    *table("exp", 100_000, 50, digits=DIGITS),
    *table("cosh", 100_000, 50, digits=DIGITS),
    *table("sinh", 100_000, 50, digits=DIGITS),
    *table("two-layer", 20_000, 20, digits=DIGITS),
    *table("leverage", 20_000, 20, digits=DIGITS),
    *table("softmax", 100_000, 100, "exact"),
    *table("softmax", 100_000, 100, "ill"),
    *table("softmax", 10_000, 10),
    *table("softmax", 10_000, 500),
    *table("softmax", 100_000, 10),
    *table("softmax", 100_000, 500),
    *table("softmax", 1_000_000, 10),
    *table("softmax", 1_000_000, 100),
    *table("exp", 10_000, 20, "exact"),
    *table("exp", 100_000, 50, "ill"),
    *table("exp", 1_000_000, 20),
    *table("sinh", 1_000_000, 20),
    *table("cosh", 10_000, 20, "exact"),
    *table("two-layer", 2_000, 10, "exact"),
    *table("two-layer", 100_000, 20),
    *table("leverage", 2_000, 10, "exact"),
    *table("leverage", 100_000, 50),
    *table("softmax", 1_000_000, 500),
)

REGRESSION_CASES: dict[str, RegressionCase] = {case.name: case for case in (*_QUICK, *_FULL)}
"""Every regression case by its name."""

_STRONG = (
    "softunit", "softunit-minimize", "scipy-lbfgs", "scipy-trust-ncg", "scipy-trf",
    "scipy-trf-lsmr", "scipy-lm", "torch-lbfgs", "optimistix-lbfgs",
)  # fmt: skip


def _names(cases: tuple[RegressionCase, ...]) -> tuple[str, ...]:
    return tuple(case.name for case in cases)


REGRESSION_SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "regression-quick", _names(_QUICK), 2.0, 20.0, 5.0, 240.0, _STRONG, kind="regression"
        ),
        Suite("regression", _names(_FULL), 10.0, 20.0, 120.0, 7_200.0, _STRONG, kind="regression"),
    )
}
"""Regression suites by name."""
