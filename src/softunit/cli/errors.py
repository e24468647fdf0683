"""Standard errors of a fit: which are asked for, their table, and what a model file keeps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softunit.cli.prepared import Prepared
from softunit.cli.request import FitRequest
from softunit.cli.wording import as_options
from softunit.errors import InputError, NotConvergedError, SoftunitWarning, warn
from softunit.estimators import ConditionalLogit, OrdinalClassifier, SoftmaxClassifier
from softunit.inference import ErrorKind, Inference, Summary
from softunit.model_file import SavedErrors
from softunit.model_file.errors import MOST_ERRORS
from softunit.report import Estimates, estimates
from softunit.report.estimates import kind_in_words
from softunit.report.measure import deviations
from softunit.solution import Status

# How the inference begins where a diagnosis of the fit follows.
_NO_ESTIMATE = "no standard errors exist, as the estimate does not: "
# How estimators call the columns of an array: x0, x1, ...
_COLUMN = re.compile(r"(?<![\w.])x(\d+)(?!\w)")


@dataclass(frozen=True, eq=False)
class Errors:
    """What is known of the errors of a fit.

    Attributes
    ----------
    table : Estimates or None
        None where none were asked for, or there are none.
    saved : SavedErrors or None
        What a model file keeps of them.
    why : str
        Why there are none, or a model file has none, where they were asked for.
    """

    table: Estimates | None = None
    saved: SavedErrors | None = None
    why: str = ""


def errors_of(request: FitRequest, estimator: Any, data: Prepared) -> Errors:
    """Return the errors of a fit; where there are none, a warning says why.

    Models of choice and of ordered classes always have them, a classifier where it is asked.

    Parameters
    ----------
    request : FitRequest
    estimator : the fitted estimator
    data : Prepared
    """
    always = isinstance(estimator, ConditionalLogit | OrdinalClassifier)
    if not always and request.errors is None:
        return Errors()
    kind: ErrorKind = request.errors or "classical"
    clusters = data.clusters if kind == "clustered" else None
    try:
        found, against = _inference(request, estimator, data)
        summary = found.summary(kind, clusters)
        rename = _renamer(estimator, data)
        table = table_of(
            summary,
            kind,
            against=against,
            rename=rename,
            scales=_scales(data, rename),
            ended=not estimator.solution_.converged,
        )
        saved = _saved(found, table, rename)
        many = f"the covariance of more than {MOST_ERRORS:,} coefficients is not kept in files."
        return Errors(table, saved, "" if saved is not None else many)
    except (InputError, NotConvergedError) as error:
        said = as_options(renamed(str(error), estimator, data))
        if estimator_separated(estimator):
            # The diagnosis is a note of the fit already: it need not be told twice.
            warn("There are no standard errors, as there is no optimum.", SoftunitWarning)
            return Errors(why=said.removeprefix(_NO_ESTIMATE))
        warn(f"There are no standard errors: {said}", SoftunitWarning)
        return Errors(why=said)


def estimator_separated(estimator: Any) -> bool:
    """Return whether a fit found that no optimum exists.

    Parameters
    ----------
    estimator : the fitted estimator
    """
    return estimator.solution_.status is Status.SEPARABLE


def _inference(request: FitRequest, estimator: Any, data: Prepared) -> tuple[Inference, str]:
    """Return the inference, and the class that coefficients are against."""
    if not isinstance(estimator, SoftmaxClassifier):
        return estimator.inference(), ""
    labels = np.asarray(estimator.classes_).tolist()
    names = [str(label) for label in labels]
    first = names[0] if request.reference is None else request.reference
    label = labels[names.index(first)]  # the reading checked it
    return estimator.inference(data.X, data.y, reference=label, **data.named), first


def table_of(
    summary: Summary,
    kind: str,
    *,
    against: str = "",
    rename: Callable[[str], str] = str,
    scales: dict[str, float] | None = None,
    ended: bool = False,
) -> Estimates:
    """Return the table of coefficients that the report and the terminal show.

    Parameters
    ----------
    summary : Summary
        Of an inference.
    kind : str
        Of the errors.
    against : str, default ""
        The class that others are told apart from.
    rename : callable
        Takes the name of a column in the estimator, returns that in the table.
    scales : dict or None, default None
        The standard deviation of each column, by its name.
    ended : bool, default False
        Whether the end of the fit says already why the estimates are no optimum.
    """
    doubts = (summary.warning,) if summary.warning and not ended else ()
    names = [
        (name[0], rename(name[1])) if isinstance(name, tuple) else rename(name)
        for name in summary.names
    ]
    known = scales or {}
    return Estimates(
        rows=estimates(
            names,
            summary.coef,
            summary.std_error,
            believed=summary.converged,
            level=summary.level,
            scale_of=lambda name: known.get(name, 1.0),
        ),
        name=kind,
        kind=kind_in_words(kind),
        level=summary.level,
        believed=summary.converged,
        against=against,
        facts=tuple((label[:1].upper() + label[1:], value) for label, value in summary.facts),
        notes=tuple(as_options(rename(note)) for note in (*doubts, *summary.notes)),
        scaled=bool(known),
    )


def _saved(found: Inference, table: Estimates, rename: Callable[[str], str]) -> SavedErrors | None:
    """Return the classical covariance for a model file; None where it would be large."""
    if len(found.names) > MOST_ERRORS:
        return None
    null = found.null_log_likelihood
    names: Sequence[Any] = [
        (row.label, row.feature) if row.label else row.feature for row in table.rows
    ]
    return SavedErrors(
        names=tuple(names),
        estimates=np.asarray(found.coef, dtype=np.float64),
        covariance=found.covariance(),
        log_likelihood=float(found.log_likelihood),
        null=float(null) if np.isfinite(null) else None,
        n_observations=float(found.n_observations),
        df=int(found.df),
        against=table.against,
        warning=rename(found.problem_with_fit),
        notes=table.notes,
    )


def _scales(data: Prepared, rename: Callable[[str], str]) -> dict[str, float]:
    """Return the standard deviation of each column by its name; nothing where there is none."""
    spread = deviations(data.X)
    if spread is None:
        return {}
    names = data.encoding.feature_names
    return {name: float(size) or 1.0 for name, size in zip(names, spread, strict=True)}


def _renamer(estimator: Any, data: Prepared) -> Callable[[str], str]:
    return lambda text: renamed(text, estimator, data)


def renamed(text: str, estimator: Any, data: Prepared) -> str:
    """Return a text with the names of the table's columns for x0, x1, ...

    Parameters
    ----------
    text : str
        A sentence or a name of a model of choice or of classes; those of regressions have an x of
        their own, and stay.
    estimator : the fitted estimator
    data : Prepared
    """
    if not isinstance(estimator, SoftmaxClassifier | ConditionalLogit | OrdinalClassifier):
        return text
    if hasattr(estimator, "feature_names_in_"):  # it has said the names itself
        return text
    names = data.encoding.feature_names

    def name(found: re.Match[str]) -> str:
        place = int(found[1])
        return names[place] if place < len(names) else found[0]

    return _COLUMN.sub(name, text)


def coefficient_names(estimator: ConditionalLogit, data: Prepared) -> tuple[str, ...]:
    """Return the names of all coefficients, constants last.

    Parameters
    ----------
    estimator : ConditionalLogit
        Fitted.
    data : Prepared
    """
    known = data.encoding.feature_names
    return (*known, *estimator.names_[len(known) :])
