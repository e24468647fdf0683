"""The cases: tables of known size, condition and ridge, and the suites made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from scipy import sparse

from softunit._checks import check_known
from softunit.bench import generators
from softunit.bench.generators import Generated
from softunit.bench.judge import BAR, AnyTask, Task
from softunit.errors import InputError

Family = Literal[
    "breast-cancer", "breast-cancer-raw", "digits", "few-shot", "iris", "one-hot", "power-law",
    "sorted", "text",
]  # fmt: skip

LEVELS = (2, 3, 5, 8, 12, 20, 50, 100, 300, 1_000, 1_500)
"""Levels of the factors of the one-hot case: 3,000 columns, most of them rare."""

LARGE = 10_000_000
"""Entries of a dense design from which a case is tagged large."""

TINY = 100_000
"""Entries of a dense design up to which a case is tagged tiny."""


Kind = Literal["classification", "regression"]


class AnyCase(Protocol):
    """What the harness asks of a case, whatever it is that is fitted."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def family(self) -> str:
        """What draws it."""

    @property
    def n(self) -> int:
        """Rows."""

    @property
    def ridge(self) -> float:
        """Strength of the ridge."""

    @property
    def bar(self) -> float:
        """What the judge's gradient must come down to."""

    @property
    def kind(self) -> Kind:
        """Who can fit it."""

    @property
    def tags(self) -> tuple[str, ...]:
        """What kind of case it is."""

    @property
    def shape(self) -> str:
        """Its size in words."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the tags as plain values."""

    def task(self, threads: int = 1) -> AnyTask:
        """Draw the table."""

    def warmer(self, task: Any) -> AnyTask:
        """Return a small task of the same kind, to be fitted first."""


@dataclass(frozen=True)
class Case:
    """A table to fit, named by what draws it.

    Attributes
    ----------
    name : str
    family : str
        The generator.
    n, d, k : int
        Rows, columns, classes.
    ridge : float
        Of the mean objective, so that C = 1 / (ridge n); 0 for none.
    condition : float or None
        Of A'A; None where nobody chose it.
    intercept : bool
    dtype : str
        Of the design: "float64" or "float32".
    words : int
        Words drawn for each row of a text.
    seed : int
    """

    name: str
    family: Family
    n: int
    d: int
    k: int
    ridge: float
    condition: float | None = None
    intercept: bool = False
    dtype: str = "float64"
    words: int = 0
    seed: int = 0

    @property
    def kind(self) -> Kind:
        """Classifiers fit it."""
        return "classification"

    @property
    def bar(self) -> float:
        """What the largest entry of the gradient of the mean objective must come down to."""
        return BAR

    @property
    def is_sparse(self) -> bool:
        """Whether the design is a sparse matrix."""
        return self.family in ("one-hot", "text")

    @property
    def tags(self) -> tuple[str, ...]:
        """What kind of case it is: dense or sparse, tiny or large where it is one."""
        if self.is_sparse:
            return ("sparse",)
        entries = self.n * self.d
        size = ["large"] if entries >= LARGE else ["tiny"] if entries <= TINY else []
        return ("dense", *size)

    @property
    def shape(self) -> str:
        """Rows, columns and classes in words."""
        return f"{self.n:,} x {self.d:,}, {self.k} classes"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the tags as plain values."""
        return {**dataclasses.asdict(self), "tags": list(self.tags)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Case:
        """Return the case that `to_dict` described."""
        names = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})

    def task(self, threads: int = 1) -> Task:
        """Draw the table.

        Parameters
        ----------
        threads : int, default 1
            What a peer is told to use.
        """
        X, y = _drawn(self)
        X = X.astype(self.dtype, copy=False) if sparse.issparse(X) else np.asarray(X, self.dtype)
        found = len(np.unique(y))
        if X.shape != (self.n, self.d) or found != self.k:
            raise InputError(
                f"Case {self.name!r} must be {self.shape}; got {X.shape[0]:,} x {X.shape[1]:,},"
                f" {found} classes."
            )
        return Task(X, y, self.k, self.ridge, self.intercept, threads)

    def warmer(self, task: Task) -> Task:
        """Return a table of 60 rows with the classes, the intercept and the type of a task."""
        small = power(60, 3, min(task.k, 3), 1e-2, 10.0).task(task.threads)
        X = small.X.astype(task.X.dtype)
        X = type(task.X)(X) if task.is_sparse else X
        return Task(X, small.y, small.k, small.ridge, task.intercept, task.threads)


def _drawn(case: Case) -> Generated:
    n, d, k, seed = case.n, case.d, case.k, case.seed
    match case.family:
        case "power-law":
            return generators.power_law(n, d, k, case.condition or 1.0, seed)
        case "sorted":
            return generators.sorted_rows(n, d, k, case.condition or 1.0, seed)
        case "few-shot":
            return generators.few_shot(n // k, d, k, seed)
        case "text":
            return generators.text(n, d, k, case.words, seed)
        case "one-hot":
            return generators.one_hot(n, LEVELS, k, seed)
        case _:
            return _loaded(case.family)


def _loaded(name: str) -> Generated:
    """Return one of the tables that scikit-learn brings along."""
    from sklearn.datasets import load_breast_cancer, load_digits, load_iris
    from sklearn.preprocessing import scale

    loaders = {"digits": load_digits, "iris": load_iris}
    X, y = loaders.get(name, load_breast_cancer)(return_X_y=True)
    return (scale(X) if name == "breast-cancer" else X), y.astype(np.int64)


def power(n: int, d: int, k: int, ridge: float, condition: float) -> Case:
    """Return a power-law case, without intercept, named by its size."""
    name = f"power-{short_count(n)}-{short_count(d)}-{k}"
    return Case(name, "power-law", n, d, k, ridge, condition)


def short_count(count: int) -> str:
    """Return 200k for 200,000, 1m for a million, and other counts in digits."""
    for size, sign in ((1_000_000, "m"), (1_000, "k")):
        if count >= size and count % (size // 10) == 0:
            return f"{count / size:g}{sign}"
    return str(count)


# In the order in which they are run: what a run out of time leaves out comes last.
_ALL = (
    # The five by which the solvers were designed.
    power(200_000, 200, 10, 1e-5, 1e4),
    power(1_000_000, 30, 7, 1e-6, 1e3),
    power(100_000, 100, 3, 1e-8, 1e6),
    power(20_000, 2_000, 10, 1e-4, 1e4),
    Case("probe", "power-law", 50_000, 768, 100, 1e-4, 1e3),
    # Where shortcuts break.
    Case("text", "text", 20_000, 50_000, 20, 1e-5, intercept=True, words=130),
    Case("one-hot", "one-hot", 50_000, sum(LEVELS), 4, 1e-5, intercept=True),
    Case("few-shot", "few-shot", 500, 768, 100, 1e-3, intercept=True),
    Case("sorted", "sorted", 200_000, 50, 5, 1e-5, 1e3, intercept=True),
    Case("float32", "power-law", 200_000, 100, 10, 1e-4, 1e2, dtype="float32"),
    # Small: what people fit most often.
    Case("digits-c1", "digits", 1_797, 64, 10, 1 / 1_797, intercept=True),
    Case("digits-c100", "digits", 1_797, 64, 10, 1 / 179_700, intercept=True),
    Case("iris", "iris", 150, 4, 3, 1 / 150, intercept=True),
    Case("breast-cancer", "breast-cancer", 569, 30, 2, 1 / 569, intercept=True),
    Case("breast-cancer-raw", "breast-cancer-raw", 569, 30, 2, 1 / 569, intercept=True),
    Case("small", "power-law", 2_000, 20, 3, 1e-3, 1e2, intercept=True),
    Case("small-no-ridge", "power-law", 5_000, 12, 4, 0.0, 1e2, intercept=True),
    Case("text-small", "text", 4_000, 5_000, 5, 1e-4, intercept=True, words=60),
    # Two classes, many classes, and every condition and ridge that people meet.
    Case("two-200k-50", "power-law", 200_000, 50, 2, 1e-6, 1e4),
    Case("two-20k-100", "power-law", 20_000, 100, 2, 1e-4, 1e3, intercept=True),
    power(300_000, 40, 20, 1e-5, 1e3),
    power(20_000, 50, 500, 1e-4, 1e2),
    power(10_000, 500, 5, 1e-6, 1e5),
    power(100_000, 30, 5, 1e-6, 1e6),
    power(20_000, 50, 5, 1e-2, 1e2),
)

CASES: dict[str, Case] = {case.name: case for case in _ALL}


@dataclass(frozen=True)
class Suite:
    """Cases that are run together, and how long a peer may try.

    Attributes
    ----------
    name : str
    cases : tuple of str
    floor, factor, cap : float
        A peer is stopped after `factor` times what ours took, but never before `floor` nor after
        `cap` seconds.
    limit : float
        Seconds after which only ours is run, so that the suite ends.
    peers : tuple of str
        Who runs where nobody chose; empty for the standard ones.
    kind : str
        Of its cases.
    """

    name: str
    cases: tuple[str, ...]
    floor: float
    factor: float
    cap: float
    limit: float
    peers: tuple[str, ...] = ()
    kind: Kind = "classification"


_QUICK = ("digits-c1", "iris", "breast-cancer", "small")
_STRONG = (
    "softunit", "sklearn-lbfgs", "sklearn-newton-cg", "sklearn-newton-cholesky", "cyanure", "glum",
)  # fmt: skip
_GUARD = (
    "digits-c1", "digits-c100", "iris", "breast-cancer", "small", "power-1m-30-7",
    "power-100k-100-3", "power-10k-500-5", "power-20k-50-500", "two-200k-50", "few-shot",
    "text-small", "one-hot",
)  # fmt: skip

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("quick", _QUICK, 2.0, 20.0, 5.0, 60.0, _STRONG),
        Suite("guard", _GUARD, 2.0, 10.0, 6.0, 230.0, _STRONG),
        Suite("full", tuple(CASES), 4.0, 12.0, 20.0, 1_560.0),
    )
}


def chosen_cases(names: Iterable[str]) -> list[Case]:
    """Return the cases of these names; an unknown one is an `InputError` with near names."""
    names = list(names)
    for name in names:
        check_known("case", name, CASES)
    return [CASES[name] for name in dict.fromkeys(names)]


def chosen_suite(name: str) -> Suite:
    """Return the suite of this name; an unknown one is an `InputError` with near names."""
    check_known("suite", name, SUITES)
    return SUITES[name]
