"""From a request to a fitted, certified and saved model: what `fit` and `demo` share."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from softunit._typing import Array
from softunit.cli.exits import CONVERGED, NOT_CONVERGED
from softunit.cli.request import FitRequest
from softunit.cli.screen import Screen
from softunit.cli.wording import as_options, is_about_classes, note_of
from softunit.errors import InputError, SoftunitWarning
from softunit.estimators import SoftmaxClassifier, SoftmaxRegressor
from softunit.model_file import SavedModel, Training, save_model
from softunit.report import (
    FitSummary,
    Labels,
    classifier_summary,
    regressor_summary,
    write_html,
)
from softunit.report.words import counted, sentence, version
from softunit.tables import (
    CategoricalColumn,
    Encoding,
    fit_encoding,
    notes_on_numbers,
    read_numeric,
    read_table,
    read_target,
    read_weights,
)
from softunit.tables.names import listed, show


@dataclass(frozen=True, eq=False)
class Prepared:
    """A table turned into what an estimator takes.

    Attributes
    ----------
    X, y : arrays of shape (n, d) and (n,)
    named : dict
        Row weights and offset, by the names that `fit` has for them.
    encoding : Encoding
    target : str
    notes : tuple of str
        What is odd about the table, as sentences.
    """

    X: Any
    y: Any
    named: dict[str, Any]
    encoding: Encoding
    target: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit that is done.

    Attributes
    ----------
    request : FitRequest
    estimator : SoftmaxClassifier or SoftmaxRegressor
    summary : FitSummary
    figures : dict
        What `--json` writes.
    """

    request: FitRequest
    estimator: SoftmaxClassifier | SoftmaxRegressor
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
        data = _prepared(request)
    with noted() as notes:
        estimator.fit(data.X, data.y, **data.named)
        estimator.verbose = 0
        with screen.working("Proving how good the fit is"):
            full = estimator.certify(data.X, data.y, **data.named)
    # Least-norm answers know of null directions that the Hessian at one point need not show.
    not_unique = estimator.certificate_.unique is False
    estimator.certificate_ = dataclasses.replace(full, unique=False) if not_unique else full
    with screen.working("Measuring the fit"):
        summary = _summary(request, estimator, data, [*data.notes, *notes])
        _save(request, estimator, data, summary)
    figures = _figures(request, estimator, data, summary)
    return Fitted(
        request, estimator, summary, figures | {"total_seconds": time.perf_counter() - begin}
    )


def _prepared(request: FitRequest) -> Prepared:
    """Read the table and encode it; the table itself is let go."""
    table = read_table(request.data, format=request.format)
    target = request.target_of(table)
    kind = "numeric" if request.problem == "softmax" else "labels"
    y = read_target(table, target, kind=kind)  # type: ignore[arg-type]
    if request.problem == "classifier":
        _check_labels(y, target)
    encoding = fit_encoding(
        table,
        target=target,
        drop=request.drop,
        roles=request.roles(),
        impute=request.impute,
        unknown=request.unknown,
    )
    named = {}
    if request.weights is not None:
        named["sample_weight"] = read_weights(table, request.weights)
    if request.offset is not None:
        named["offset"] = read_numeric(table, request.offset, role="offset")
        classes = len(set(y.tolist()))
        if classes > 2:
            raise InputError(
                f"--offset is for two classes, but column {target!r} has {classes}: leave it out."
            )
    notes = notes_on_numbers(table, encoding)
    return Prepared(encoding.apply(table), y, named, encoding, target, notes)


def _check_labels(y: Array, target: str) -> None:
    """Refuse fractions: scikit-learn's conventions take them for a quantity, never for classes."""
    if y.dtype.kind != "f":
        return
    strange = y[(y != np.rint(y)) | (np.abs(y) > 2**53)]
    if strange.size:
        raise InputError(
            f"Target {show(target)} holds {strange[0]:g}, and {strange.size:,} such rows in all:"
            " classes must be texts or whole numbers. For a regression use --problem softmax, or"
            " write the classes as texts."
        )


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
    estimator: SoftmaxClassifier | SoftmaxRegressor,
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
    if isinstance(estimator, SoftmaxRegressor):
        return regressor_summary(estimator, data.X, data.y, labels=labels)
    weight = data.named.get("sample_weight")
    return classifier_summary(estimator, data.X, data.y, labels=labels, sample_weight=weight)


def _data_rows(request: FitRequest, data: Prepared) -> tuple[tuple[str, str], ...]:
    """Return what the report says about the table beyond its size."""
    texts = [c for c in data.encoding.columns if isinstance(c, CategoricalColumn)]
    rows = [("Target", data.target)]
    if texts:
        levels = sum(len(column.levels) for column in texts)
        numbers = len(data.encoding.columns) - len(texts)
        found = f"{counted(numbers, 'number')} and {counted(len(texts), 'text')} of {levels} levels"
        rows.append(("Encoded from", found))
    if request.weights is not None:
        rows.append(("Weights", request.weights))
    if request.offset is not None:
        rows.append(("Offset", request.offset))
    if request.drop:
        rows.append(("Left out", listed(request.drop, 5)))
    if request.impute is not None:
        rows.append(("Missing values", f"filled: {request.impute}"))
    return tuple(rows)


def _save(
    request: FitRequest,
    estimator: SoftmaxClassifier | SoftmaxRegressor,
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
        )
        save_model(request.out, model)
    if request.report is not None:
        write_html(request.report, summary)


def _figures(
    request: FitRequest,
    estimator: SoftmaxClassifier | SoftmaxRegressor,
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
        "settings": estimator.get_params(deep=False),
        "measures": dict(summary.measures),
        "calibration_error": summary.calibration.error if summary.calibration else None,
        "largest_coefficients": summary.coefficients,
        "most_confused": summary.confused,
        "repeat": summary.repeat,
        "paths": {"model": request.out, "report": request.report},
    }
