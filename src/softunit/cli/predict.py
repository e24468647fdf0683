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
from softunit.cli.choice_prediction import check_probabilities, choice_predictions
from softunit.cli.outputs import check_outputs, write_json
from softunit.cli.screen import Screen
from softunit.estimators import OrdinalClassifier, SoftmaxClassifier
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

    Writes the column prediction and, for classes, a column p(CLASS) of probabilities for each. Of
    choices in a long table: each row's set, alternative, probability, and whether it is the one
    predicted.
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
        "predicted": _predicted(model, columns),
        "target": model.target,
        "counts": _counts(model, columns),
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
    if model.choice is not None:
        return choice_predictions(model, table)
    X, estimator = model.encoding.apply(table), model.estimator
    if isinstance(estimator, OrdinalClassifier):
        return _class_columns(estimator, np.asarray(estimator.predict_proba(X)))
    if not isinstance(estimator, SoftmaxClassifier):
        shift = [] if model.shift is None else [read_numeric(table, model.shift, role=_NEEDED)]
        values = estimator.predict(X, *shift)
        check_probabilities(values)
        return {"prediction": values}
    offset = None
    if model.offset is not None:
        offset = read_numeric(table, model.offset, role=_NEEDED)
    return _class_columns(estimator, np.asarray(estimator.predict_proba(X, offset)))


def _class_columns(estimator: Any, probabilities: Array) -> dict[str, Array]:
    """Return the most probable class of each row, and the probability of each class."""
    check_probabilities(probabilities)
    classes = np.asarray(estimator.classes_)
    columns = {"prediction": classes[probabilities.argmax(axis=1)]}
    for k, label in enumerate(classes.tolist()):
        columns[f"p({label})"] = np.ascontiguousarray(probabilities[:, k])
    return columns


def _predicted(model: SavedModel, columns: dict[str, Array]) -> int:
    """Return for how many rows, or choice sets, something was predicted."""
    prediction = columns["prediction"]
    return int(prediction.sum()) if "set" in columns and model.choice else len(prediction)


def _counts(model: SavedModel, columns: dict[str, Array]) -> dict[str, int]:
    """Return how often each class or alternative was predicted, most first; else nothing."""
    prediction = columns["prediction"]
    if model.choice is not None and model.choice.wide is None:
        if "alternative" not in columns:
            return {}
        prediction = columns["alternative"][prediction]
    elif model.choice is None and model.problem not in ("classifier", "ordinal"):
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
    paths, counts = figures["paths"], figures["counts"]
    two_layer = figures["problem"] == "two-layer"
    choice = figures["problem"] == "choice"
    things = "choice set" if choice else "output" if two_layer else "row"
    found = counted(figures["predicted"], things)
    screen.say(f"Predicted {figures['target']} for {found}", style="bold")
    if not figures["converged"]:
        screen.say("Note: the fit of this model had not converged.", style="yellow")
    if figures["problem"] in _OVER_ALL:
        screen.say(_OVER_ALL[figures["problem"]])
    shown = list(counts.items())[:_MOST_CLASSES]
    lines = [
        (label, f"{number(count)} ({percent(count / figures['predicted'])})")
        for label, count in shown
    ]
    if len(counts) > len(shown):
        lines.append(("", f"and {len(counts) - len(shown)} more"))
    screen.section("Predicted alternatives" if choice else "Predicted classes", lines)
    files = {"Model": paths["model"], "Predictions": paths["predictions"], "Figures": json}
    screen.files("Files", files.items())
