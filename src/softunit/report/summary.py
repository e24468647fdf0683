"""What a report says about a fit, as plain data: the page and the terminal print the same facts."""

from __future__ import annotations

from dataclasses import dataclass, field

from softunit._typing import Array, Vector
from softunit.certificate import Certificate
from softunit.report.effects import ElasticityTable, Willingness
from softunit.report.estimates import Estimates
from softunit.solution import Solution

Rows = tuple[tuple[str, str], ...]
"""Label and value, both as text."""


@dataclass(frozen=True)
class Labels:
    """What the builders of a summary cannot read off an estimator.

    Attributes
    ----------
    title : str
        Headline; empty for the name of the estimator and the source.
    source : str
        Where the data came from, usually the name of a file.
    feature_names : tuple of str or None
        Names of the columns that were fitted; None for the estimator's ``feature_names_in_``, or
        numbers.
    objective : str
        The formula in plain text; empty for the estimator's usual one.
    data : tuple of (label, value)
        Rows added to the description of the data, such as missing values filled.
    notes : tuple of str
        Warnings, as sentences.
    repeat : str
        The command or call that repeats the fit.
    advice : str
        What to do if the run did not converge, where the caller has better words than the status.
    estimates : Estimates or None
        Coefficients with errors, where they were asked for.
    willingness : Willingness or None
        Rates of exchange of a model of choice, where they were asked for.
    elasticities : ElasticityTable or None
        The same.
    rows : int or None
        Rows of the file, where X has others: a wide table of choices is unfolded.
    """

    title: str = ""
    source: str = ""
    feature_names: tuple[str, ...] | None = None
    objective: str = ""
    data: Rows = ()
    notes: tuple[str, ...] = ()
    repeat: str = ""
    advice: str = ""
    estimates: Estimates | None = None
    willingness: Willingness | None = None
    elasticities: ElasticityTable | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: mean confidence, observed frequency, rows."""

    confidence: float
    observed: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """How far predicted probabilities can be believed.

    Attributes
    ----------
    bins : tuple of Bin
        Ten equal bins of the probability, in order; the observed frequency of an empty one is nan.
    error : float
        Expected calibration error: the mean over rows of |observed - confidence| of their bins.
    about : str
        Which probability is meant.
    """

    bins: tuple[Bin, ...]
    error: float
    about: str


@dataclass(frozen=True)
class Coefficient:
    """One coefficient: its column, its class ("" if there is only one), and how much it matters.

    `effect` is the coefficient times the standard deviation of its column where that is known,
    and the coefficient itself elsewhere; `FitSummary.effect` says which.
    """

    feature: str
    label: str
    value: float
    effect: float


@dataclass(frozen=True)
class Confused:
    """Two classes that are taken for each other: rows of `truth` predicted as `predicted`."""

    truth: str
    predicted: str
    count: float
    share: float


@dataclass(frozen=True, eq=False)
class Scatter:
    """Target against fitted value, thinned: two arrays of shape (m,), and the rows in all."""

    target: Vector
    fitted: Vector
    rows: int


@dataclass(frozen=True)
class Share:
    """How often one alternative was chosen, and how often the model says it would be.

    Attributes
    ----------
    name : str
    offered : float
        The share of the choices that offered it.
    observed, predicted : float
        Shares of all choices.
    """

    name: str
    offered: float
    observed: float
    predicted: float


@dataclass(frozen=True, eq=False)
class FitSummary:
    """Everything a report says about one fit, as plain data.

    Attributes
    ----------
    title, objective, repeat, advice : str
    scale : str
        What the objective's value is measured in, such as "mean over the rows".
    data, settings, measures : tuple of (label, value)
        The data; the settings of the estimator; how well the fitted rows are predicted.
    solution : Solution
    certificate : Certificate
    classes : tuple of str
        Empty for regressors.
    confusion : ndarray of shape (K, K) or None
        Rows counted by true class (down) and predicted class (across); None for many classes.
    confused : tuple of Confused
        The pairs of classes most often taken for each other, the most frequent first.
    calibration : Calibration or None
    coefficients : tuple of Coefficient
        The ones of largest effect, the largest first.
    n_coefficients : int
        How many there are in all.
    effect : str
        What `Coefficient.effect` is.
    fit : Scatter or None
        Regressors only.
    estimates : Estimates or None
        Coefficients with errors, where they were asked for: they come before the certificate then.
    willingness : Willingness or None
        Models of choice only, where it was asked for.
    elasticities : ElasticityTable or None
        The same.
    shares : tuple of Share
        Models of choice only.
    thresholds : tuple of Calibration
        Ordinal models only: one for each threshold.
    runs : tuple of (label, value)
        The runs that led to the answer, the answer last; empty where it was one.
    notes : tuple of str
        Warnings, as sentences.
    """

    title: str
    objective: str
    solution: Solution
    certificate: Certificate
    scale: str = ""
    data: Rows = ()
    settings: Rows = ()
    measures: Rows = ()
    classes: tuple[str, ...] = ()
    confusion: Array | None = None
    confused: tuple[Confused, ...] = ()
    calibration: Calibration | None = None
    coefficients: tuple[Coefficient, ...] = ()
    n_coefficients: int = 0
    effect: str = "the coefficient itself"
    fit: Scatter | None = None
    estimates: Estimates | None = None
    willingness: Willingness | None = None
    elasticities: ElasticityTable | None = None
    shares: tuple[Share, ...] = ()
    thresholds: tuple[Calibration, ...] = ()
    runs: Rows = ()
    notes: tuple[str, ...] = field(default=())
    repeat: str = ""
    advice: str = ""
