"""From a request to a fitted, certified and saved model: what `fit` and `demo` share."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from softunit.certificate import Certificate
from softunit.cli.exits import CONVERGED, NOT_CONVERGED
from softunit.cli.reading import Prepared, prepared
from softunit.cli.request import FitRequest
from softunit.cli.screen import Screen
from softunit.cli.wording import (
    as_options,
    certificate_as_options,
    is_about_classes,
    note_of,
)
from softunit.errors import SoftunitWarning
from softunit.estimators import SoftmaxClassifier
from softunit.model_file import SavedModel, Training, save_model
from softunit.report import (
    FitSummary,
    Labels,
    classifier_summary,
    regressor_summary,
    write_html,
)
from softunit.report.words import counted, sentence, version
from softunit.solution import Solution
from softunit.tables import CategoricalColumn
from softunit.tables.names import listed

_FIRST = "the objective is "
"""How what is said of every point begins; remarks of the fit come before it."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit that is done.

    Attributes
    ----------
    request : FitRequest
    estimator : the fitted classifier or regressor
    summary : FitSummary
    figures : dict
        What `--json` writes.
    """

    request: FitRequest
    estimator: Any
    summary: FitSummary
    figures: dict[str, Any]

    @property
    def status(self) -> int:
        """The exit status."""
        return CONVERGED if self.estimator.solution_.converged else NOT_CONVERGED


def run_fit(request: FitRequest, screen: Screen) -> Fitted:
    """Read, fit, certify, and write the model and the report.

    1. Check the settings.  2. Read and encode the table.  3. Fit.  4. Certify at full effort.
    5. Save.

    Parameters
    ----------
    request : FitRequest
        Its output paths have been checked.
    screen : Screen

    Raises
    ------
    InputError
        If anything about the file or the settings is wrong.
    """
    begin = time.perf_counter()
    estimator = request.estimator(verbose=0 if screen.quiet else 1)
    with screen.working(f"Reading {request.data}"):
        data = prepared(request)
    estimator.set_params(**data.settings)
    with noted() as notes:
        estimator.fit(data.X, data.y, **data.named)
        estimator.verbose = 0
        with screen.working("Proving how good the fit is"):
            full = estimator.certify(data.X, data.y, **data.named)
    estimator.certificate_ = certificate_as_options(_joined(estimator.certificate_, full))
    with screen.working("Measuring the fit"):
        summary = _summary(request, estimator, data, [*data.notes, *notes])
        _save(request, estimator, data, summary)
    figures = _figures(request, estimator, data, summary)
    return Fitted(
        request, estimator, summary, figures | {"total_seconds": time.perf_counter() - begin}
    )


def _joined(quick: Certificate, full: Certificate) -> Certificate:
    """Return the full certificate, with what only the fit itself can know.

    A least-norm answer knows of null directions that the Hessian at one point need not show, and
    leverage scores of the signs that were searched for.
    """
    known = {statement.text for statement in full.statements}
    remarks = itertools.takewhile(lambda s: not s.text.startswith(_FIRST), quick.statements)
    told = tuple(remark for remark in remarks if remark.text not in known)
    unique = quick.unique if quick.unique is False or full.unique is None else full.unique
    return dataclasses.replace(full, unique=unique, statements=(*told, *full.statements))


@contextlib.contextmanager
def noted() -> Iterator[list[str]]:
    """Yield a list that holds, after the block, what the block warned of, as sentences.

    Warnings that are not about the fit are passed on.
    """
    notes: list[str] = []
    ours = (ConvergenceWarning, SoftunitWarning)
    with warnings.catch_warnings(record=True) as caught:
        for category in ours:
            warnings.simplefilter("always", category)
        warnings.filterwarnings("always", ".*number of unique classes", UserWarning)
        yield notes
    for item in caught:
        text = sentence(note_of(str(item.message)))
        if not issubclass(item.category, ours) and not is_about_classes(str(item.message)):
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
        elif text not in notes:
            notes.append(text)


def _summary(
    request: FitRequest,
    estimator: Any,
    data: Prepared,
    notes: list[str],
) -> FitSummary:
    # The advice heads the summary; a note need not repeat it.
    advice = as_options(estimator.solution_.status.advice)
    labels = Labels(
        source=str(request.data),
        feature_names=data.encoding.feature_names,
        data=_data_rows(request, data),
        notes=tuple(note.replace(f" {advice}", "") for note in notes),
        repeat=request.command(),
        advice=advice,
    )
    weight = data.named.get("sample_weight")
    if isinstance(estimator, SoftmaxClassifier):
        return classifier_summary(estimator, data.X, data.y, labels=labels, sample_weight=weight)
    shift = [data.named["b"]] if "b" in data.named else []
    return regressor_summary(
        estimator,
        data.X,
        data.y / data.y.sum() if request.normalise else data.y,
        labels=labels,
        sample_weight=weight,
        fitted=estimator.predict(data.X, *shift),
    )


def _data_rows(request: FitRequest, data: Prepared) -> tuple[tuple[str, str], ...]:
    """Return what the report says about the table beyond its size."""
    texts = [c for c in data.encoding.columns if isinstance(c, CategoricalColumn)]
    rows = [("Target", data.target)]
    if request.matrix is not None:
        rows.append(("Outer matrix", f"{request.matrix}, {counted(len(data.y), 'output')}"))
    if texts:
        levels = sum(len(column.levels) for column in texts)
        numbers = len(data.encoding.columns) - len(texts)
        found = f"{counted(numbers, 'number')} and {counted(len(texts), 'text')} of {levels} levels"
        rows.append(("Encoded from", found))
    if request.weights is not None:
        rows.append(("Weights", request.weights))
    if request.weights_column is not None:
        rows.append(("w", request.weights_column))
    if request.offset is not None:
        rows.append(("Offset", request.offset))
    if request.shift is not None:
        rows.append(("Shift", request.shift))
    if request.drop:
        rows.append(("Left out", listed(request.drop, 5)))
    if request.impute is not None:
        rows.append(("Missing values", f"filled: {request.impute}"))
    return tuple(rows)


def _save(
    request: FitRequest,
    estimator: Any,
    data: Prepared,
    summary: FitSummary,
) -> None:
    """Write the model, which took the work, before the report, which tells of it."""
    if request.out is not None:
        model = SavedModel(
            estimator=estimator,
            encoding=data.encoding,
            problem=request.problem,
            target=data.target,
            training=Training.of(estimator, source=request.data.name, rows=data.X.shape[0]),
            weights=request.weights,
            offset=request.offset,
            score_weights=request.weights_column,
            shift=request.shift,
        )
        save_model(request.out, model)
    if request.report is not None:
        write_html(request.report, summary)


def _figures(
    request: FitRequest,
    estimator: Any,
    data: Prepared,
    summary: FitSummary,
) -> dict[str, Any]:
    """Return all that is printed, and a little more, by name."""
    solution, certificate = estimator.solution_, estimator.certificate_
    n, d = data.X.shape
    return {
        "command": "fit",
        "softunit": version(),
        "problem": request.problem,
        "source": str(request.data),
        "value": certificate.value,
        "gradient_norm": solution.gradient_norm,
        "gap_bound": certificate.gap_bound,
        "converged": solution.converged,
        "n_iter": int(solution.n_iter),
        "seconds": solution.seconds,
        "status": solution.status.name,
        "advice": as_options(solution.status.advice),
        "solver": solution.solver,
        "tol": solution.tol,
        "cost": solution.cost,
        "n": n,
        "d": d,
        "target": data.target,
        "classes": getattr(estimator, "classes_", None),
        "certificate": certificate.to_dict(),
        "statements": [str(statement) for statement in certificate.statements],
        "notes": summary.notes,
        "data": dict(summary.data),
        "settings": _settings(estimator),
        "measures": dict(summary.measures),
        "calibration_error": summary.calibration.error if summary.calibration else None,
        "runs": [_run(phase) for phase in getattr(estimator, "phases_", (solution,))],
        "coefficients": _coefficients(estimator, data),
        "largest_coefficients": summary.coefficients,
        "most_confused": summary.confused,
        "repeat": summary.repeat,
        "paths": {"model": request.out, "report": request.report},
    }


def _settings(estimator: Any) -> dict[str, Any]:
    """Return the settings by name, an array as what it is: its numbers came from a table."""
    settings = estimator.get_params(deep=False)
    return {
        name: f"array of shape {value.shape}" if hasattr(value, "shape") else value
        for name, value in settings.items()
    }


def _run(phase: Solution) -> dict[str, Any]:
    """Return what one phase of a fit did."""
    return {
        "solver": phase.solver,
        "n_iter": int(phase.n_iter),
        "value": phase.value,
        "seconds": phase.seconds,
        "status": phase.status.name,
    }


def _coefficients(estimator: Any, data: Prepared) -> dict[str, float] | None:
    """Return the x of a regression by the names of its columns."""
    if isinstance(estimator, SoftmaxClassifier):
        return None
    return dict(zip(data.encoding.feature_names, estimator.coef_.tolist(), strict=True))
