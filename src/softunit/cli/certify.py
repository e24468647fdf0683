"""`softunit certify`: what can be proved of saved coefficients on a table, computed afresh."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.certificate import Certificate, at_optimum
from softunit.cli import options, row_options
from softunit.cli.choice_reading import chosen_rows
from softunit.cli.exits import CONVERGED, NOT_CONVERGED
from softunit.cli.homes import Home, home_of, kept_on_disk
from softunit.cli.noting import noted
from softunit.cli.outputs import check_outputs, inputs_of, write_json
from softunit.cli.predict import ruled
from softunit.cli.prepared import named_columns
from softunit.cli.reading import ordered_labels, read_outer
from softunit.cli.screen import Screen
from softunit.cli.wording import certificate_as_options
from softunit.errors import InputError
from softunit.estimators import OrdinalClassifier, SoftmaxClassifier
from softunit.model_file import SavedModel, load_model
from softunit.report.words import certificate_figures, distance, mark, number, sentence, version
from softunit.tables import Table, read_numeric, read_tables, read_target
from softunit.tables.data_files import titled
from softunit.tables.label_tally import unknown_labels
from softunit.tables.names import listed, show
from softunit.tables.streams import Dataset


def certify(
    model: options.Model,
    data: options.Data,
    format: options.Format = None,
    unknown: options.UnknownNow = None,
    matrix: options.MatrixNow = None,
    memory: row_options.MemoryNow = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> int:
    """Certify a saved model on a table.

    The table must hold the target; nothing is taken on trust from the fit. Exit status: 0 if the
    gradient is within the tolerance of the model, 3 if not, 2 bad input.
    """
    inputs = {"MODEL": model, **inputs_of(data)} | ({"--matrix": matrix} if matrix else {})
    check_outputs({"--json": json}, inputs)
    screen = Screen(quiet)
    begin = time.perf_counter()
    saved = load_model(model)
    _check_matrix(saved, matrix)
    kind = format.value if format else None
    home = _home(saved, data, memory, kind)
    if home.note:
        screen.say(home.note)
    with screen.working(f"Reading {titled(data)}"):
        X, y, named = _read(saved, data, home, kind, unknown, matrix)
    with noted() as notes, screen.working("Certifying"):
        certificate = certificate_as_options(saved.estimator.certify(X, y, **named))
    tol = float(saved.estimator.tol)
    # A fit that rounding stopped, and a proof ended, is judged by that proof again.
    proved = saved.training.status == "PROVED" and at_optimum(certificate)
    good = certificate.gradient_norm <= tol or proved
    figures = {
        "command": "certify",
        "softunit": version(),
        "problem": saved.problem,
        "source": titled(data),
        "value": certificate.value,
        "gradient_norm": certificate.gradient_norm,
        "gap_bound": certificate.gap_bound,
        "converged": good,
        "n_iter": 0,
        "seconds": time.perf_counter() - begin,
        "tol": tol,
        "n": X.shape[0],
        "d": saved.estimator.n_features_in_,
        "rows_live": home.name,
        "memory_budget": home.budget,
        "target": saved.target,
        "fitted_to": saved.training.source,
        "certificate": certificate.to_dict(),
        "statements": [str(statement) for statement in certificate.statements],
        "notes": notes,
        "paths": {"model": model},
    }
    write_json(json, figures)
    _show(screen, figures, certificate, json)
    return CONVERGED if good else NOT_CONVERGED


def _home(saved: SavedModel, data: list[str], memory: str | None, format: str | None) -> Home:
    """Return where the rows live; those of classifiers may stay on disk."""
    streamed = saved.problem == "classifier"
    if memory is not None and not streamed:
        raise InputError(
            f"--memory certifies classifiers block by block; this model is of {saved.problem}:"
            " leave it out."
        )
    what = f"certifying a model of --problem {saved.problem}"
    return home_of(data, memory=memory, format=format, streamed=streamed, what=what)


def _read(
    saved: SavedModel,
    data: list[str],
    home: Home,
    format: str | None,
    unknown: Any,
    matrix: Path | None,
) -> tuple[Any, Any, dict[str, Any]]:
    """Return X, y, and what else the estimator takes from the tables."""
    encoding = ruled(saved.encoding, unknown)
    if not home.in_memory:
        from softunit.cli.streaming import known_rows

        dataset = Dataset.open(data, format=format, text=_texts(saved))
        return known_rows(dataset, saved, encoding, home)
    table = read_tables(data, format=format, text=_texts(saved))
    with table.told():
        table, y, named = _target(saved, table, matrix)
        return encoding.apply(table), y, named


def _texts(model: SavedModel) -> tuple[str, ...]:
    """Return the columns to read as text: those of the encoding, and labels that are text."""
    if _label_kind(model) == "U":
        return (*model.encoding.text_columns, model.target)
    return model.encoding.text_columns


def _label_kind(model: SavedModel) -> str:
    estimator = model.estimator
    if isinstance(estimator, SoftmaxClassifier | OrdinalClassifier):
        return str(estimator.classes_.dtype.kind)
    return ""


def _check_matrix(model: SavedModel, matrix: Path | None) -> None:
    """Refuse two layers without the table of their target, and that table for anything else."""
    if (matrix is not None) == (model.problem == "two-layer"):
        return
    if matrix is not None:
        raise InputError(
            f"--matrix belongs to models of --problem two-layer; this one is of {model.problem}:"
            " leave it out."
        )
    raise InputError(
        "a model of two layers is certified with --matrix: the table that holds the target"
        f" {show(model.target)} and the outer matrix, as at the fit."
    )


def _target(
    model: SavedModel, table: Table, matrix: Path | None
) -> tuple[Table, Array, dict[str, Any]]:
    """Return the table of the columns, y, and what else the estimator takes from the tables."""
    estimator = model.estimator
    if model.choice is not None:
        return chosen_rows(model, table)
    named = named_columns(table, model)
    if model.score_weights is not None:
        estimator.w = read_numeric(table, model.score_weights, role="w")
    if matrix is not None:
        _, y, estimator.matrix = read_outer(matrix, lambda outer: model.target, table)
    elif isinstance(estimator, OrdinalClassifier):
        y = ordered_labels(table, model.target, texts=_label_kind(model) == "U")
        _check_labels(model, y)
    elif isinstance(estimator, SoftmaxClassifier):
        y = read_target(table, model.target, kind="labels")
        _check_labels(model, y)
    else:
        y = read_target(table, model.target, kind="numeric")
    return table, y, named


def _check_labels(model: SavedModel, y: Array) -> None:
    """Refuse labels that are not the model's, before they meet its numbers."""
    classes = np.asarray(model.estimator.classes_)
    known, found = set(classes.tolist()), set(y.tolist())
    # To Python True is 1: labels must also be of one kind.
    kinds = {y.dtype.kind, classes.dtype.kind}
    strange = sorted(found if len(kinds) > 1 and kinds & {"U", "b"} else found - known)
    if strange:
        rows = np.flatnonzero(np.isin(y, np.array(strange, dtype=y.dtype)))
        raise InputError(
            unknown_labels(model.target, strange, len(rows), int(rows[0]), classes.tolist())
        )
    estimator = model.estimator
    balanced = isinstance(estimator, SoftmaxClassifier) and estimator.class_weight == "balanced"
    if balanced and found != known:
        raise InputError(
            f"Column {show(model.target)} lacks the classes {listed(sorted(known - found), 5)}: the"
            " model was fitted with --class-weight balanced, which needs rows of every class."
        )


def _show(
    screen: Screen, figures: dict[str, Any], certificate: Certificate, json: Path | None
) -> None:
    """Print the verdict, the figures and the sentences."""
    good = figures["converged"]
    norm, tol = number(certificate.gradient_norm, 3), number(figures["tol"], 2)
    if good:
        rest = f"{distance(certificate)} Computed afresh from these rows."
    else:
        rest = (
            f"The largest gradient entry is {norm}, above the tolerance {tol}: on these rows the"
            " saved coefficients are not the optimum. Fit again, or certify on the table that the"
            " model was fitted to."
        )
    headline = "Certified" if good else "Not the optimum"
    title = f"{figures['paths']['model']} on {figures['source']}"
    screen.verdict(title, headline, rest, good=good)
    rows = [
        ("Objective", number(certificate.value, 8)),
        ("Largest gradient entry", f"{norm} (tolerance {tol})"),
        *((figure.label, figure.value) for figure in certificate_figures(certificate)),
        ("Rows", number(figures["n"])),
        ("Fitted to", figures["fitted_to"]),
    ]
    screen.section("Figures", rows)
    if stayed := kept_on_disk(figures["memory_budget"]):
        screen.say(stayed)
    screen.section("Certificate", [(mark(s), sentence(s.text)) for s in certificate.statements])
    screen.section("Notes", [("note", note) for note in figures["notes"]])
    screen.files("Files", [("Figures", json)])
    if not good:
        screen.advise(f"not certified. {rest}")
