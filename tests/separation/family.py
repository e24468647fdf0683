"""Six hundred data sets whose separation is known from how they were made.

A set that is separated comes with the reason: scores were drawn first and outcomes put on the
right side of them, or a column was made that no row with some outcome has. A set that is not
comes with one too: 0 is an interior point of the cone of the differences between observed and
other outcomes, often by one row alone that lies inside by a hair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from softunit.designs import ScaledDesign, as_design
from softunit.estimators._ordinal_problem import Long
from softunit.problem import Problem
from softunit.separation.tally import INTERCEPT
from softunit.units import CumulativeLogit, GroupedSoftmax, Multinomial, Unit
from softunit.units._ordered_terms import OrderedTerms

Rng = np.random.Generator


@dataclass(frozen=True)
class Data:
    """Columns, a unit, a target and weights, as a fit would be given them."""

    a: np.ndarray
    unit: Unit
    target: np.ndarray
    weights: np.ndarray | None = None
    complete: bool | None = None  # where it is separated: completely; None if not known
    guilty: int | None = None  # a column that alone separates

    @property
    def names(self) -> list[str]:
        columns = [f"x{j}" for j in range(self.a.shape[1])]
        proportional = isinstance(self.unit, OrderedTerms)
        return columns + [INTERCEPT] * (int(self.target.max()) if proportional else 0)

    def problem(self, form: str = "dense") -> Problem:
        a = sparse.csr_matrix(self.a) if form == "sparse" else self.a
        design = as_design(a)
        if isinstance(self.unit, OrderedTerms):  # proportional odds, in long form
            k = int(self.target.max()) + 1
            long = Long.of(self.target, k)
            weights = None if self.weights is None else self.weights[long.observation]
            return Problem(long.design(design, k), self.unit, long.terms, weights=weights)
        if self.unit.rowwise:
            design = ScaledDesign(design, intercept=True)
        return Problem(design, self.unit, self.target, weights=self.weights)


# Separated ------------------------------------------------------------------------------------


def complete_classes(rng: Rng) -> Data:
    """Each row has the class of its largest score, by a margin."""
    k, d = int(rng.integers(2, 6)), int(rng.integers(2, 7))
    a = rng.standard_normal((40 * k, d))
    z = a @ rng.standard_normal((d, k))
    top = np.sort(z, axis=1)
    a, z = a[top[:, -1] - top[:, -2] > 0.1], z[top[:, -1] - top[:, -2] > 0.1]
    y = np.unique(z.argmax(axis=1), return_inverse=True)[1]
    return Data(a, Multinomial(max(2, int(y.max()) + 1)), y, complete=True)


def one_class_apart(rng: Rng) -> Data:
    """A hyperplane separates class 0; the others are drawn by lot."""
    k, d = int(rng.integers(3, 6)), int(rng.integers(2, 6))
    a = rng.standard_normal((40 * k, d))
    side = a @ rng.standard_normal(d)
    a, side = a[np.abs(side) > 0.05], side[np.abs(side) > 0.05]
    y = np.where(side > 0, 0, rng.integers(1, k, len(side)))
    return Data(a, Multinomial(k), y, complete=False)


def dummy_never_in_class(rng: Rng) -> Data:
    """A column of ones and zeros is zero in all rows of one class."""
    k, d = int(rng.integers(2, 6)), int(rng.integers(2, 7))
    a = rng.standard_normal((50 * k, d))
    y = rng.integers(0, k, len(a))
    j, never = int(rng.integers(d)), int(rng.integers(k))
    a[:, j] = (rng.random(len(a)) < 0.3) & (y != never)
    return Data(a, Multinomial(k), y, complete=False, guilty=j)


def boundary(rng: Rng) -> Data:
    """One column is never negative in class 1, never positive in class 0, and often zero."""
    d = int(rng.integers(1, 6))
    a = rng.standard_normal((120, d))
    j = int(rng.integers(d))
    a[:, j] = rng.integers(-2, 3, len(a))
    y = np.where(a[:, j] == 0, rng.integers(0, 2, len(a)), a[:, j] > 0)
    return Data(a, Multinomial(2), y.astype(int), complete=False, guilty=j)


def combination(rng: Rng) -> Data:
    """A combination of columns, with rounding, is an indicator that one class never has."""
    k, d = int(rng.integers(2, 5)), int(rng.integers(3, 7))
    a = rng.standard_normal((60 * k, d))
    if rng.random() < 0.5:
        a = rng.integers(-4, 5, a.shape).astype(float)
    y = rng.integers(0, k, len(a))
    mix = rng.integers(-2, 3, d - 1) if rng.random() < 0.5 else rng.standard_normal(d - 1)
    a[:, -1] = a[:, :-1] @ mix + ((rng.random(len(a)) < 0.3) & (y != 0))
    return Data(a, Multinomial(k), y, complete=False)


def certain_shares(rng: Rng) -> Data:
    """Shares of classes, some split; a column is zero wherever one class has a share."""
    k, d = int(rng.integers(2, 5)), int(rng.integers(2, 5))
    shares = np.eye(k)[rng.integers(0, k, 80)]
    split = rng.random(80) < 0.3
    shares[split] = rng.dirichlet(np.ones(k), int(split.sum()))
    a = rng.standard_normal((80, d))
    a[:, 0] = (rng.random(80) < 0.5) & (shares[:, 0] == 0)
    return Data(a, Multinomial(k), shares, complete=False, guilty=0)


def ordered(rng: Rng) -> Data:
    """Levels follow one score; some data are mixed where it is zero."""
    k, d = int(rng.integers(3, 6)), int(rng.integers(1, 5))
    a = rng.standard_normal((40 * k, d))
    z = a @ rng.standard_normal(d)
    cuts = np.quantile(z, np.arange(1, k) / k)
    kept = np.abs(z[:, None] - cuts).min(axis=1) > 1e-3
    y = (z[:, None] > cuts).sum(axis=1)
    differences = bool(rng.random() < 0.5)
    unit = OrderedTerms() if rng.random() < 0.5 else CumulativeLogit(k, differences=differences)
    return Data(a[kept], unit, y[kept], complete=True)


def ordered_dummy(rng: Rng) -> Data:
    """A dummy is one in the highest level only."""
    k, d = int(rng.integers(3, 6)), int(rng.integers(2, 5))
    a = rng.standard_normal((40 * k, d))
    y = rng.integers(0, k, len(a))
    a[:, 0] = (rng.random(len(a)) < 0.5) & (y == k - 1)
    unit = OrderedTerms() if rng.random() < 0.5 else CumulativeLogit(k)
    return Data(a, unit, y, complete=False, guilty=0)


def choices(rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ragged choice sets: columns, groups and a choice by lot in each."""
    sizes = rng.integers(2, 6, int(rng.integers(40, 90)))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    b = np.zeros(len(groups))
    b[starts + rng.integers(0, sizes)] = 1.0
    return rng.standard_normal((len(groups), int(rng.integers(2, 6)))), groups, b


def complete_choices(rng: Rng) -> Data:
    """In each choice set the row of the largest score is chosen."""
    a, groups, b = choices(rng)
    z = a @ rng.standard_normal(a.shape[1])
    b[:] = 0
    for g in range(groups[-1] + 1):
        rows = np.flatnonzero(groups == g)
        b[rows[z[rows].argmax()]] = 1.0
    return Data(a, GroupedSoftmax(groups), b, complete=True)


def never_chosen(rng: Rng) -> Data:
    """A dummy marks rows that are never chosen; now and then two rows of a set are."""
    a, groups, b = choices(rng)
    b[rng.random(len(b)) < 0.1] += 0.5
    j = int(rng.integers(a.shape[1]))
    a[:, j] = (rng.random(len(b)) < 0.3) & (b == 0)
    order = rng.permutation(len(b))
    return Data(a[order], GroupedSoftmax(groups[order]), b[order], complete=False, guilty=j)


SEPARATED: tuple[Callable[[Rng], Data], ...] = (
    boundary,
    certain_shares,
    combination,
    complete_choices,
    complete_classes,
    dummy_never_in_class,
    never_chosen,
    one_class_apart,
    ordered,
    ordered_dummy,
)


# Not separated --------------------------------------------------------------------------------


def hair(rng: Rng) -> float:
    """Return how far inside the row lies that alone keeps a set from being separated."""
    return float(10.0 ** rng.uniform(-7, -1))


def inside(points: np.ndarray, rng: Rng) -> np.ndarray:
    """Return a point inside the hull of some points, by a hair from the side of the first d."""
    d = points.shape[1]
    share = np.full(len(points), hair(rng) / len(points))
    share[:d] += rng.dirichlet(np.full(d, 5.0)) * (1 - share.sum())
    return share @ points


def one_row_inside(rng: Rng) -> Data:
    """Classes lie far apart but for one row of each that lies inside the hull of the one before."""
    k, d = int(rng.integers(2, 6)), int(rng.integers(1, 6))
    a, y = [], []
    for c in range(k):
        cloud = rng.standard_normal((d + 12, d)) + 8.0 * c
        a.append(cloud if c == 0 else np.vstack([cloud, inside(a[-1][: d + 12], rng)]))
        y.append(np.full(len(a[-1]), c))
    order = rng.permutation(sum(map(len, y)))
    return Data(np.vstack(a)[order], Multinomial(k), np.concatenate(y)[order])


def one_ordered_row_inside(rng: Rng) -> Data:
    """Levels follow a score but for one row of the second inside the first.

    That is enough where all thresholds share their coefficients.
    """
    k, d = int(rng.integers(3, 6)), int(rng.integers(1, 5))
    a = [rng.standard_normal((d + 12, d)) + 8.0 * c for c in range(k)]
    a[1] = np.vstack([a[1], inside(a[0], rng)])
    y = np.concatenate([np.full(len(rows), c) for c, rows in enumerate(a)])
    return Data(np.vstack(a), OrderedTerms(), y)


def one_row_inside_each_level(rng: Rng) -> Data:
    """The same of every level and the one before: each threshold has coefficients of its own."""
    data = one_row_inside(rng)
    k = data.unit.n_classes
    return Data(data.a, CumulativeLogit(k, differences=bool(rng.random() < 0.5)), data.target)


def by_lot(rng: Rng) -> Data:
    """Classes by lot, and every row once in each of two classes that make a ring."""
    k, d = int(rng.integers(2, 6)), int(rng.integers(1, 6))
    a = rng.standard_normal((30, d))
    y = rng.integers(0, k, 30)
    ring = np.repeat(np.arange(k), d + 2)
    extra = rng.standard_normal((len(ring), d))
    rows, labels = np.vstack([a, extra, extra]), np.concatenate([y, ring, (ring + 1) % k])
    return Data(rows, Multinomial(k), labels)


def rare_dummy(rng: Rng) -> Data:
    """A dummy is in all classes, but in one of them, or in each, in a single row."""
    data = by_lot(rng)
    a, y, k = data.a, data.target, data.unit.n_classes
    column = (rng.random(len(y)) < 0.2).astype(float)
    # A row with it and a row without it stand in every class with the same other columns.
    base = rng.standard_normal(a.shape[1])
    twins = np.column_stack([np.tile(base, (2 * k, 1)), np.repeat([0.0, 1.0], k)])
    a = np.vstack([np.column_stack([a, column]), twins])
    return Data(a, data.unit, np.concatenate([y, np.tile(np.arange(k), 2)]))


def one_choice_against(rng: Rng) -> Data:
    """All choices agree with a score but one, which is less by a hair than one that does."""
    d = int(rng.integers(1, 6))
    forms = rng.standard_normal((d + 15, d)) + 4.0
    forms = np.vstack([forms, -inside(forms, rng) * rng.uniform(0.1, 10)])
    rows = rng.standard_normal(forms.shape)
    # Half of every form is a power of two: the differences are what they were but for rounding.
    a = np.vstack([rows + forms / 2, rows - forms / 2])
    groups = np.tile(np.arange(len(forms)), 2)
    return Data(a, GroupedSoftmax(groups), np.repeat([1.0, 0.0], len(forms)))


def mixed_shares(rng: Rng) -> Data:
    """Shares that are all positive in enough rows; the others are certain."""
    k, d = int(rng.integers(2, 5)), int(rng.integers(1, 5))
    a = rng.standard_normal((40, d))
    shares = np.eye(k)[(a[:, 0] > 0).astype(int)]
    shares[: d + 1] = rng.dirichlet(np.full(k, 3.0), d + 1)
    return Data(a, Multinomial(k), shares)


OVERLAPPING: tuple[Callable[[Rng], Data], ...] = (
    by_lot,
    mixed_shares,
    one_choice_against,
    one_ordered_row_inside,
    one_row_inside,
    one_row_inside_each_level,
    rare_dummy,
)


# Changes that leave it as it is ---------------------------------------------------------------


def scaled(data: Data, rng: Rng) -> Data:
    """Columns of sizes from 1e-6 to 1e6."""
    return Data(**{**vars(data), "a": data.a * 10.0 ** rng.uniform(-6, 6, data.a.shape[1])})


def shifted(data: Data, rng: Rng) -> Data:
    """Columns far from zero, by a constant that an intercept or a choice set does not see."""
    whole = np.round(rng.uniform(-1e3, 1e3, data.a.shape[1]))
    return Data(**{**vars(data), "a": np.round(data.a * 2**20) / 2**20 + whole})


def weightless(data: Data, rng: Rng) -> Data:
    """Rows of weight zero that say the opposite, or anything."""
    n = len(data.a)
    more = data.a[rng.integers(0, n, 20)] * rng.choice([-1.0, 1.0], (20, 1))
    target = np.concatenate([data.target, data.target[rng.integers(0, n, 20)]])
    unit = data.unit
    if isinstance(unit, GroupedSoftmax):
        groups = np.asarray(unit.groups)
        unit = GroupedSoftmax(np.concatenate([groups, groups.max() + 1 + np.arange(20) // 5]))
        target[n::5] = 1.0  # something is chosen in each
    weights = np.concatenate([rng.uniform(0.5, 2.0, n), np.zeros(20)])
    changed = {"a": np.vstack([data.a, more]), "unit": unit, "target": target, "weights": weights}
    return Data(**{**vars(data), **changed})


def as_it_is(data: Data, rng: Rng) -> Data:
    return data


CHANGES = (as_it_is, scaled, weightless)


def drawn(makers: tuple[Callable[[Rng], Data], ...], number: int) -> tuple[Data, str, str]:
    """Return a set of the family by its number, the form of its columns, and how it was made."""
    rng = np.random.default_rng([len(makers), number])
    maker, change = makers[number % len(makers)], CHANGES[number // len(makers) % len(CHANGES)]
    form = "sparse" if rng.random() < 0.25 else "dense"
    return change(maker(rng), rng), form, f"{number}: {maker.__name__}, {change.__name__}, {form}"
