"""`softunit show`: what a saved model holds, with the errors of its coefficients."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from softunit.cli import options
from softunit.cli.outputs import check_outputs, write_json
from softunit.cli.screen import Screen
from softunit.cli.summing import table_figures
from softunit.cli.wording import as_options
from softunit.estimators import ConditionalLogit, OrdinalClassifier, SoftmaxClassifier
from softunit.model_file import SavedErrors, SavedModel, load_model
from softunit.report import Estimates, EstimatesText, estimates
from softunit.report.estimates import kind_in_words
from softunit.report.estimates_text import MOST_ROWS
from softunit.report.words import aligned, number, sentence, version


def show(model: options.Model, json: options.JsonFile = None, quiet: options.Quiet = False) -> int:
    """Show a saved model.

    What it was fitted to, and its coefficients with their classical errors where it holds them:
    models of choices and of ordered classes do, classifiers if they were fitted with --errors.
    Where there are no errors, it says why.
    """
    check_outputs({"--json": json}, {"MODEL": model})
    screen, saved = Screen(quiet), load_model(model)
    training = saved.training
    table = None if saved.errors is None else saved_table(saved)
    figures = {
        "command": "show",
        "softunit": version(),
        "problem": saved.problem,
        "value": training.value,
        "gradient_norm": training.gradient_norm,
        "gap_bound": training.certificate.get("gap_bound"),
        "converged": training.converged,
        "n_iter": training.n_iter,
        "seconds": training.seconds,
        "status": training.status,
        "solver": training.solver,
        "target": saved.target,
        "fitted_to": training.source,
        "rows": training.rows,
        "estimates": None if table is None else table_figures(table),
        "no_errors": saved.no_errors or None,
        "coefficients": saved_coefficients(saved),
        "paths": {"model": model},
    }
    write_json(json, figures)
    _print(screen, saved, table)
    screen.files("Files", [("Figures", json)])
    return 0


def saved_coefficients(saved: SavedModel) -> list[dict[str, Any]]:
    """Return the coefficients of a saved model by class and column, constants and thresholds last.

    Parameters
    ----------
    saved : SavedModel

    Returns
    -------
    list of dict
        With `label` (the class or threshold, empty where there is one of each column), `feature`
        and `value`.
    """
    estimator: Any = saved.estimator
    coef = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    names, labels = list(saved.encoding.feature_names), [""] * len(coef)
    last: list[tuple[str, str, float]] = []
    if isinstance(estimator, ConditionalLogit):
        names += estimator.names_[len(names) :]
    elif isinstance(estimator, OrdinalClassifier):
        pairs = itertools.pairwise(map(str, np.asarray(estimator.classes_).tolist()))
        between = ["|".join(pair) for pair in pairs]
        own = len(coef) == len(between) and np.ndim(estimator.coef_) > 1
        labels = between if own else labels
        places = [(each, "threshold") if own else ("", each) for each in between]
        last = [(*p, v) for p, v in zip(places, estimator.thresholds_.tolist(), strict=True)]
    elif isinstance(estimator, SoftmaxClassifier):
        classes = [str(label) for label in np.asarray(estimator.classes_).tolist()]
        labels = classes[-1:] if len(coef) == 1 else classes
        constants = np.asarray(estimator.intercept_, dtype=np.float64).tolist()
        last = [(each, "intercept", v) for each, v in zip(labels, constants, strict=True)]
    rows = [
        (label, name, value)
        for label, row in zip(labels, coef.tolist(), strict=True)
        for name, value in zip(names, row, strict=True)
    ]
    order = {label: place for place, label in enumerate(labels)}
    rows = sorted([*rows, *last], key=lambda row: order[row[0]])
    return [{"label": label, "feature": name, "value": value} for label, name, value in rows]


def saved_table(saved: SavedModel) -> Estimates:
    """Return the table of coefficients of a saved model that holds errors.

    Parameters
    ----------
    saved : SavedModel
    """
    errors = saved.errors
    assert errors is not None
    return Estimates(
        rows=estimates(
            errors.names, errors.estimates, errors.standard_errors, believed=not errors.warning
        ),
        kind=kind_in_words("classical"),
        believed=not errors.warning,
        against=errors.against,
        facts=_facts(errors, penalised=_penalised(saved.estimator)),
        notes=(as_options(errors.warning), *errors.notes) if errors.warning else errors.notes,
    )


def _facts(errors: SavedErrors, *, penalised: bool) -> tuple[tuple[str, str], ...]:
    """Return what stands below the table, in the form of `fit`."""
    found, null = errors.log_likelihood, errors.null
    rows = [
        ("Observations", f"{errors.n_observations:,.10g}"),
        ("Parameters", f"{errors.df:,}"),
        ("Log-likelihood", f"{found:,.4f}"),
    ]
    if null is not None and null != 0:
        rows.append(("Null log-likelihood", f"{null:,.4f}"))
        rows.append(("McFadden R2", f"{1 - found / null:.4f}"))
    if not penalised and errors.n_observations > 0:
        rows.append(("AIC", f"{2 * errors.df - 2 * found:,.4f}"))
        rows.append(("BIC", f"{math.log(errors.n_observations) * errors.df - 2 * found:,.4f}"))
    return tuple(rows)


def _penalised(estimator: Any) -> bool:
    """Return whether penalties or class weights moved the coefficients: there is no AIC then."""
    presto = getattr(estimator, "presto", None)
    free = presto is None or presto == 0 or math.isinf(presto)
    weighted = getattr(estimator, "class_weight", None) is not None
    return math.isfinite(estimator.C) or not free or weighted


def _print(screen: Screen, saved: SavedModel, table: Estimates | None) -> None:
    training = saved.training
    screen.say(f"{type(saved.estimator).__name__} of {saved.target}", style="bold")
    if not training.converged:
        screen.say("Note: the fit of this model had not converged.", style="yellow")
    rows_are = "rows" if saved.choice is None else "alternatives in all"
    rows = [
        ("Fitted to", f"{training.source}, {number(training.rows)} {rows_are}"),
        ("Solver", f"{training.solver}, {number(training.n_iter)} iterations"),
        ("Columns", number(len(saved.encoding.feature_names))),
        ("Coefficients", number(int(np.asarray(saved.estimator.coef_).size))),
    ]
    if training.value is not None:
        rows.append(("Objective", number(training.value, 8)))
    screen.section("Model", rows)
    if table is None:
        _print_coefficients(screen, saved)
    elif not screen.quiet:
        screen.out.print()
        screen.out.print(EstimatesText(table))


def _print_coefficients(screen: Screen, saved: SavedModel) -> None:
    """Print the coefficients of a model without errors, and why it has none."""
    rows = saved_coefficients(saved)
    screen.section(
        "Coefficients",
        [
            (
                f"{row['label']}: {row['feature']}" if row["label"] else row["feature"],
                aligned(value),
            )
            for row in rows[:MOST_ROWS]
            for value in [row["value"]]
        ],
    )
    if len(rows) > MOST_ROWS:
        screen.say(f"and {number(len(rows) - MOST_ROWS)} more: --json has all.", style="dim")
    screen.say()
    if saved.no_errors:
        screen.say(f"It holds no errors. {sentence(saved.no_errors)}", style="dim")
    elif saved.problem in ("classifier", "choice", "ordinal"):
        screen.say("It holds no errors: fit with --errors to keep them.", style="dim")
