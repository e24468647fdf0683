"""What separates, by name: the answer of the linear programmes as a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from softunit._numeric import as_columns
from softunit._typing import Array
from softunit.certificate import Certificate, certify
from softunit.problem import Problem
from softunit.separation.cone import Cone
from softunit.separation.finder import Found, found_in
from softunit.separation.programme import OutOfReachError
from softunit.separation.tally import Tally
from softunit.separation.words import separated, unchecked


@dataclass(frozen=True)
class Separation:
    """A direction of the coefficients along which the loss falls for ever.

    Attributes
    ----------
    complete : bool
        Whether it is shown to fall in every row: every outcome is told from every other without
        error. Else (quasi-complete separation) it falls in some and stays as it is in the others.
    certain : bool
        Whether no row's loss rises in exact arithmetic; if not, up to the rounding of the columns.
    columns : tuple of str
        Columns whose scores are enough to separate some rows; empty where not looked for.
    outcomes : tuple of str
        Classes, alternatives or thresholds told from all others without error.
    moved : tuple of str
        Classes whose coefficients grow, in these columns; empty where scores have one column.
    rows, n_rows : int
        Rows (choice sets) whose loss falls for ever, and all that have weight.
    direction : ndarray of the shape of x
        In the coordinates of the input's columns, intercept last.
    sentence : str
        All this in words, and what to do.
    """

    complete: bool
    certain: bool
    columns: tuple[str, ...]
    outcomes: tuple[str, ...]
    moved: tuple[str, ...]
    rows: int
    n_rows: int
    direction: Array = field(repr=False, compare=False)
    sentence: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Whether a problem's outcomes are separable.

    Attributes
    ----------
    separation : Separation or None
        None where none was found.
    checked : bool
        Whether that is an answer; False where it was left open.
    sentence : str
        The separation's, or why it was left open; empty where there is none.
    """

    separation: Separation | None
    checked: bool
    sentence: str = ""


def diagnose(
    problem: Problem,
    x: Array | None = None,
    *,
    names: Sequence[str] | None = None,
    outcomes: Sequence[object] | None = None,
) -> Separation | None:
    """Return what separates the outcomes of a problem, or None; `examine` says more.

    Parameters
    ----------
    problem, x, names, outcomes
        As in `examine`.
    """
    return examine(problem, x, names=names, outcomes=outcomes).separation


def examine(
    problem: Problem,
    x: Array | None = None,
    *,
    names: Sequence[str] | None = None,
    outcomes: Sequence[object] | None = None,
    certificate: Certificate | None = None,
    hint: Array | None = None,
) -> Diagnosis:
    """Return whether linear scores separate the outcomes, so that the loss has no minimiser.

    It has none if and only if there is a direction of the coefficients along which no row's loss
    rises and some row's falls: D w >= 0 and D w != 0, with the differences between observed and
    other outcomes as rows of D.

    1. A certificate that proves a minimiser settles it.  2. So does an x whose own scores put
    every row right.  3. Else linear programmes look for a direction, over few rows at first; rows
    that it overlooks enter.  4. What is found is checked on all rows, with a bound on rounding,
    and its zeros in exact arithmetic. Of more than 1,500 coefficients only those are looked at
    that separate some rows by themselves, and `hint`.

    Parameters
    ----------
    problem : Problem
        Its unit has a `recession`: Multinomial, GroupedSoftmax with log loss, CumulativeLogit.
    x : ndarray of the shape of x, or None, default None
        Where a fit has ended; it saves time.
    names : sequence of str or None, default None
        Of the input's columns, without intercept; None numbers them.
    outcomes : sequence or None, default None
        Names of the classes or levels; for `GroupedSoftmax` the alternative in each row.
    certificate : Certificate or None, default None
        Of the problem at x; None makes one.
    hint : ndarray of the shape of x or None, default None
        A direction that may separate, in the coordinates of the input's columns.

    Raises
    ------
    InputError
        If the unit has no `recession`.

    Notes
    -----
    Sources: A. Albert and J. A. Anderson (1984), "On the existence of maximum likelihood estimates
    in logistic regression models"; K. Konis (2007), "Linear programming algorithms for detecting
    separated data in binary logistic regression models", chapter 4. Ours, by rows that enter and
    an exact check: docs/maths/separation.
    """
    cone = Cone(problem)
    if problem.score_ridge.any() or cone.held.all():
        return Diagnosis(None, checked=True)
    if x is not None:
        if certificate is None:
            certificate = certify(problem, x)
        if _proves(problem, certificate):  # 1.
            return Diagnosis(None, checked=True)
    start = None if x is None else as_columns(problem.design.to_input(x))
    tally = Tally.of(cone, names, outcomes)
    try:
        found = found_in(cone, start, tally.constants, hint)  # 2. to 4.
    except OutOfReachError as reason:
        return Diagnosis(None, False, unchecked(str(reason)))
    if found is None:
        return Diagnosis(None, checked=True)
    separation = _named(cone, found, tally)
    return Diagnosis(separation, True, separation.sentence)


def _proves(problem: Problem, certificate: Certificate) -> bool:
    """Return whether a certificate proves that a minimiser exists.

    Only self-concordance bounds the gap of a mean over rows without ridge, and it proves one; other
    losses have a lower bound, and l1 a dual, so that a bound on the gap says nothing.
    """
    if certificate.unique:
        return True
    bounded = problem.unit.rowwise and problem.lasso is None
    return bool(bounded and np.isfinite(certificate.gap_bound))


def _named(cone: Cone, found: Found, tally: Tally) -> Separation:
    counts = tally.count(found.positive)
    problem = cone.problem
    separation = Separation(
        complete=counts.complete,
        certain=found.certain,
        columns=tally.columns_of(found.simplest),
        outcomes=counts.outcomes,
        moved=tally.moved_by(found.simplest),
        rows=counts.rows,
        n_rows=counts.n_rows,
        direction=found.direction.reshape(problem.shape),
    )
    return replace(separation, sentence=separated(separation, problem.unit.outcome))
