"""The table of a model's parameters, as a pandas frame, text or HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from softunit._typing import Vector
from softunit.errors import InputError
from softunit.inference.clusters import few_clusters
from softunit.inference.frames import pandas_for
from softunit.inference.names import Name, label
from softunit.inference.tables import as_html, as_rich, as_text

if TYPE_CHECKING:
    from softunit.inference.inference import Inference

STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))

TITLES = {
    "classical": "classical standard errors",
    "robust": "robust standard errors (HC0)",
    "HC0": "robust standard errors (HC0)",
    "HC1": "robust standard errors (HC1)",
    "clustered": "clustered standard errors",
}


@dataclass(frozen=True, eq=False)
class Summary:
    """Estimates with errors, tests and intervals, and what to know before they are used.

    Printed, it is a table that fits the terminal; a notebook shows HTML; `frame` gives numbers.

    Attributes
    ----------
    title : str
    warning : str
        Why the estimates are no optimum, and stars are missing; empty where they are one.
    facts : tuple of (str, str)
        Observations, log-likelihood and the like.
    names : tuple of str or of (class, column)
    coef, std_error, z, p_value, lower, upper : ndarray of shape (q,)
        z and p_value are nan for parameters that are held at zero.
    held : ndarray of bool, shape (q,)
        Which parameters a penalty holds at zero: they have no test.
    level : float
        Of the intervals lower to upper.
    notes : tuple of str
        What errors mean after a penalty, with weights, with few clusters.
    """

    title: str
    warning: str
    facts: tuple[tuple[str, str], ...]
    names: tuple[Name, ...]
    coef: Vector
    std_error: Vector
    z: Vector
    p_value: Vector
    lower: Vector
    upper: Vector
    held: npt.NDArray[np.bool_]
    level: float
    notes: tuple[str, ...]

    @property
    def converged(self) -> bool:
        """Whether the estimates are an optimum; without that there are no stars."""
        return not self.warning

    @property
    def stars(self) -> tuple[str, ...]:
        """Stars of each parameter: *** below 0.001, ** 0.01, * 0.05; none if not converged."""
        return tuple("" if self.warning else _stars(p) for p in self.p_value)

    def frame(self) -> Any:
        """Return a pandas frame, one row for each parameter.

        Its index holds names, or (class, column); its columns are coef, std_error, z, p_value,
        lower, upper, stars and converged. Its `attrs` hold title, converged, warning, level, notes
        and the measures of the fit. Where the fit has not converged, p_value is nan and stars are
        empty: a number in a frame travels without the warning that stands above a table.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        pd = pandas_for("Summary.frame")
        columns = ("coef", "std_error", "z", "p_value", "lower", "upper", "stars")
        paired = all(isinstance(name, tuple) for name in self.names)
        if paired:
            index = pd.MultiIndex.from_tuples(self.names, names=["class", "column"])
        else:
            index = pd.Index([label(name) for name in self.names], name="parameter")
        frame = pd.DataFrame({name: getattr(self, name) for name in columns}, index=index)
        frame["converged"] = self.converged
        if not self.converged:
            frame["p_value"] = np.nan
        frame.attrs.update(
            title=self.title,
            converged=self.converged,
            warning=self.warning,
            level=self.level,
            notes=list(self.notes),
            **dict(self.facts),
        )
        return frame

    def to_text(self, width: int | None = None) -> str:
        """Return a table of at most so many characters a line.

        Where that is too narrow for all columns, intervals are left out first, then z, and at last
        names are cut.

        Parameters
        ----------
        width : int or None, default None
            At least 30; None takes the terminal's, or 80.

        Raises
        ------
        InputError
            If it is less than 30.
        """
        if width is not None and width < 30:
            raise InputError(f"`width` must be at least 30 characters; got {width!r}.")
        return as_text(self, width)

    def to_html(self) -> str:
        """Return a page of its own, names escaped, that needs no other file."""
        return as_html(self, page=True)

    def __str__(self) -> str:
        return as_text(self, None)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        yield as_rich(self, options.max_width)

    def _repr_html_(self) -> str:
        return as_html(self, page=False)


def summarize(
    found: Inference, errors: Vector, kind: str, clusters: int | None, level: tuple[float, float]
) -> Summary:
    """Return the summary of an inference.

    Parameters
    ----------
    found : Inference
    errors : ndarray of shape (q,)
        Standard errors.
    kind : str
        Of the errors.
    clusters : int or None
        How many clusters there are, for clustered ones.
    level : (float, float)
        Of the intervals, and the normal quantile that belongs to it.
    """
    held = found.held
    z = np.divide(found.coef, errors, out=np.full(len(errors), np.nan), where=~held)
    warning = found.problem_with_fit
    return Summary(
        title=f"{found.facts.model}, {TITLES[kind]}",
        warning=warning and f"NOT CONVERGED, so no stars, and no test to be trusted. {warning}",
        facts=_facts(found, clusters),
        names=found.names,
        coef=found.coef,
        std_error=errors,
        z=z,
        p_value=2 * ndtr(-np.abs(z)),
        lower=found.coef - level[1] * errors,
        upper=found.coef + level[1] * errors,
        held=held,
        level=level[0],
        notes=_notes(found, clusters),
    )


def _facts(found: Inference, clusters: int | None) -> tuple[tuple[str, str], ...]:
    facts = [("observations", f"{found.n_observations:,.10g}"), ("parameters", f"{found.df:,}")]
    if clusters is not None:
        facts.append(("clusters", f"{clusters:,}"))
    facts.append(("log-likelihood", f"{found.log_likelihood:,.4f}"))
    if not math.isnan(found.null_log_likelihood):
        facts.append(("null log-likelihood", f"{found.null_log_likelihood:,.4f}"))
        facts.append(("McFadden R2", f"{found.mcfadden_r2:.4f}"))
    if found.likely:
        facts += [("AIC", f"{found.aic:,.4f}"), ("BIC", f"{found.bic:,.4f}")]
    return tuple(facts)


def _notes(found: Inference, clusters: int | None) -> tuple[str, ...]:
    notes = [found.penalised] if found.penalised else []
    if clusters is not None and clusters <= found.df:
        notes.append(few_clusters(clusters, found.df))
    held = int(found.held.sum())
    if held:
        notes.append(
            f"{held} coefficient{'s are' if held > 1 else ' is'} held at zero by the penalty, and"
            f" {'have' if held > 1 else 'has'} no test."
        )
    if found.weighted:
        notes.append("Weights count how often an observation was seen.")
    return (*notes, *found.facts.remarks)


def _stars(p: float) -> str:
    return next((stars for limit, stars in STARS if p < limit), "")
