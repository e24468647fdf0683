"""`softunit predict`: a saved model and a raw table in, a table of predictions out."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.cli import options
from softunit.cli.outputs import check_outputs, write_json
from softunit.cli.screen import Screen
from softunit.errors import InputError
from softunit.estimators import SoftmaxClassifier
from softunit.model_file import SavedModel, load_model
from softunit.report.words import counted, number, percent, version
from softunit.tables import Encoding, Table, check_table_path, read_numeric, read_table, write_table

_MOST_CLASSES = 10
_NEEDED = "which the model needs"
_OVER_ALL = {
    "softmax": "One softmax over all these rows: the predicted shares sum to one.",
    "rescaled": "One sum over all these rows: the predicted shares sum to one.",
    "two-layer": "One softmax over all these rows, and the outer matrix that the model holds.",
}
_STDOUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


@dataclass(frozen=True)
class _Form:
    """Formats of the two tables, None by extension; and the rule for levels, None as saved."""

    format: str | None = None
    out_format: str | None = None
    unknown: Any = None


def ruled(encoding: Encoding, unknown: Any) -> Encoding:
    """Return an encoding with another rule for levels never seen; None keeps its own.

    Parameters
    ----------
    encoding : Encoding
    unknown : {"error", "other"} or None
    """
    return encoding if unknown is None else dataclasses.replace(encoding, unknown=unknown)


def predict(
    model: options.Model,
    data: options.Data,
    out: options.TableFile,
    format: options.Format = None,
    out_format: options.OutFormat = None,
    unknown: options.UnknownNow = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> int:
    """Predict a table with a saved model.

    Writes the column prediction and, for classes, a column p(CLASS) of probabilities for each.
    With --out /dev/stdout --out-format csv they go to a pipe, and all else to stderr.
    """
    form = _Form(
        format=format.value if format else None,
        out_format=out_format.value if out_format else None,
        unknown=unknown.value if unknown else None,
    )
    check_outputs({"--out": out, "--json": json}, {"MODEL": model, "DATA": data})
    check_table_path(out, format=form.out_format)
    screen = Screen.aside(quiet) if str(out) in _STDOUT else Screen(quiet)
    figures = run_predict(model, data, out, screen, form)
    write_json(json, figures)
    show_prediction(figures, screen, json)
    return 0


def run_predict(
    model_path: Path, data: Path, out: Path, screen: Screen, form: _Form | None = None
) -> dict[str, Any]:
    """Predict and write; return what `--json` writes.

    Parameters
    ----------
    model_path, data, out : Path
        The output path has been checked.
    screen : Screen
    form : _Form or None, default None
        Formats and the rule for levels never seen.

    Raises
    ------
    InputError
        If the model cannot be trusted, or the table does not go with it.
    """
    begin = time.perf_counter()
    form = form or _Form()
    model = load_model(model_path)
    model = dataclasses.replace(model, encoding=ruled(model.encoding, form.unknown))
    with screen.working(f"Reading {data}"):
        table = read_table(data, format=form.format, text=model.encoding.text_columns)
        columns = predicted_columns(model, table)
    with screen.working(f"Writing {out}"):
        write_table(out, columns, format=form.out_format)
    training = model.training
    return {
        "command": "predict",
        "softunit": version(),
        "problem": model.problem,
        "value": training.value,
        "gradient_norm": training.gradient_norm,
        "gap_bound": training.certificate.get("gap_bound"),
        "converged": training.converged,
        "n_iter": training.n_iter,
        "seconds": training.seconds,
        "predict_seconds": time.perf_counter() - begin,
        "rows": table.n_rows,
        "predicted": len(columns["prediction"]),
        "target": model.target,
        "counts": _counts(model, columns["prediction"]),
        "fitted_to": training.source,
        "source": str(data),
        "paths": {"model": model_path, "predictions": out},
    }


def predicted_columns(model: SavedModel, table: Table) -> dict[str, Array]:
    """Return the columns of the table of predictions, each of shape (n,).

    Parameters
    ----------
    model : SavedModel
    table : Table

    Raises
    ------
    InputError
        If the table does not go with the model, or scores overflow.
    """
    X, estimator = model.encoding.apply(table), model.estimator
    if not isinstance(estimator, SoftmaxClassifier):
        shift = [] if model.shift is None else [read_numeric(table, model.shift, role=_NEEDED)]
        values = estimator.predict(X, *shift)
        _check_scores(values)
        return {"prediction": values}
    offset = None
    if model.offset is not None:
        offset = read_numeric(table, model.offset, role=_NEEDED)
    probabilities = estimator.predict_proba(X, offset)
    _check_scores(probabilities)
    columns = {"prediction": np.asarray(estimator.predict(X, offset))}
    for k, label in enumerate(estimator.classes_.tolist()):
        columns[f"p({label})"] = np.ascontiguousarray(probabilities[:, k])
    return columns


def _check_scores(values: Array) -> None:
    """Refuse what no probability came out of: scores beyond the largest float."""
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if len(bad):
        raise InputError(
            f"The scores of {len(bad):,} rows overflow, first in data row {bad[0] + 1}: its values"
            " are far outside of what the model was fitted to."
        )


def _counts(model: SavedModel, prediction: Array) -> dict[str, int]:
    """Return how many rows each class was predicted for, most first; empty for a regression."""
    if model.problem != "classifier":
        return {}
    labels, counts = np.unique(prediction, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(labels[i].item()): int(counts[i]) for i in order}


def show_prediction(figures: dict[str, Any], screen: Screen, json: Path | None = None) -> None:
    """Print what was predicted and where it lies.

    Parameters
    ----------
    figures : dict
        What `run_predict` returned.
    screen : Screen
    json : Path or None, default None
        Where the figures were written.
    """
    paths, counts, rows = figures["paths"], figures["counts"], figures["rows"]
    two_layer = figures["problem"] == "two-layer"
    found = counted(figures["predicted"], "output" if two_layer else "row")
    screen.say(f"Predicted {figures['target']} for {found}", style="bold")
    if not figures["converged"]:
        screen.say("Note: the fit of this model had not converged.", style="yellow")
    if figures["problem"] in _OVER_ALL:
        screen.say(_OVER_ALL[figures["problem"]])
    shown = list(counts.items())[:_MOST_CLASSES]
    lines = [(label, f"{number(count)} ({percent(count / rows)})") for label, count in shown]
    if len(counts) > len(shown):
        lines.append(("", f"and {len(counts) - len(shown)} more classes"))
    screen.section("Predicted classes", lines)
    files = {"Model": paths["model"], "Predictions": paths["predictions"], "Figures": json}
    screen.files("Files", files.items())
