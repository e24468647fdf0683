"""`softunit predict`: a saved model and a raw table in, a table of predictions out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softunit._typing import Array
from softunit.cli import options, row_options
from softunit.cli.block_prediction import ROWWISE, Predicted, predict_blocks
from softunit.cli.homes import home_of, kept_on_disk
from softunit.cli.outputs import check_outputs, inputs_of, write_json
from softunit.cli.prediction_columns import counts_of, predicted_columns
from softunit.cli.screen import Screen
from softunit.errors import InputError
from softunit.model_file import SavedModel, load_model
from softunit.report.words import counted, number, percent, version
from softunit.tables import Encoding, check_table_path, read_tables, write_table
from softunit.tables.data_files import titled

_MOST_CLASSES = 10
_OVER_ALL = {
    "softmax": "One softmax over all these rows: the predicted shares sum to one.",
    "rescaled": "One sum over all these rows: the predicted shares sum to one.",
    "two-layer": "One softmax over all these rows, and the outer matrix that the model holds.",
}
_STDOUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


@dataclass(frozen=True)
class _Form:
    """Formats of both tables, None by extension; the rule for levels, None as saved; --memory."""

    format: str | None = None
    out_format: str | None = None
    unknown: Any = None
    memory: str | None = None


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
    memory: row_options.MemoryNow = None,
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
        memory=memory,
    )
    check_outputs({"--out": out, "--json": json}, {"MODEL": model, **inputs_of(data)})
    check_table_path(out, format=form.out_format)
    screen = Screen.aside(quiet) if str(out) in _STDOUT else Screen(quiet)
    figures = run_predict(model, data, out, screen, form)
    write_json(json, figures)
    show_prediction(figures, screen, json)
    return 0


def run_predict(
    model_path: Path, data: Sequence[str], out: Path, screen: Screen, form: _Form | None = None
) -> dict[str, Any]:
    """Predict and write; return what `--json` writes.

    Parameters
    ----------
    model_path : Path
    data : sequence of str
    out : Path
        It has been checked.
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
    home = home_of(
        data,
        memory=form.memory,
        format=form.format,
        streamed=model.problem in ROWWISE and str(out) not in _STDOUT,
        what=f"a prediction of --problem {model.problem}",
    )
    if home.note:
        screen.say(home.note)
    if home.in_memory:
        found = _predict_table(model, data, out, screen, form)
    else:
        _check_rowwise(model)
        with screen.working(f"Predicting {titled(data)}"):
            found = predict_blocks(
                model, data, out, home, format=form.format, out_format=form.out_format
            )
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
        "rows": found.rows,
        "predicted": found.predicted,
        "target": model.target,
        "counts": found.counts,
        "rows_live": home.name,
        "memory_budget": home.budget,
        "fitted_to": training.source,
        "source": titled(data),
        "paths": {"model": model_path, "predictions": out},
    }


def _predict_table(
    model: SavedModel, data: Sequence[str], out: Path, screen: Screen, form: _Form
) -> Predicted:
    """Predict all rows at once."""
    with screen.working(f"Reading {titled(data)}"):
        table = read_tables(data, format=form.format, text=model.encoding.text_columns)
        with table.told():
            columns = predicted_columns(model, table)
    with screen.working(f"Writing {out}"):
        write_table(out, columns, format=form.out_format)
    return Predicted(table.n_rows, _predicted(model, columns), counts_of(model, columns))


def _check_rowwise(model: SavedModel) -> None:
    if model.problem not in ROWWISE:
        raise InputError(
            f"--memory predicts block by block, but a prediction of --problem {model.problem} looks"
            " at all rows together: leave it out."
        )


def _predicted(model: SavedModel, columns: dict[str, Array]) -> int:
    """Return for how many rows, or choice sets, something was predicted."""
    prediction = columns["prediction"]
    return int(prediction.sum()) if "set" in columns and model.choice else len(prediction)


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
    if stayed := kept_on_disk(figures["memory_budget"]):
        screen.say(stayed)
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
