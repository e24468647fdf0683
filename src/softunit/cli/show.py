"""`softunit show`: what a saved model holds, with the errors of its coefficients."""

from __future__ import annotations

import numpy as np

from softunit.cli import options
from softunit.cli.outputs import check_outputs, write_json
from softunit.cli.screen import Screen
from softunit.cli.summing import table_figures
from softunit.model_file import SavedErrors, SavedModel, load_model
from softunit.report import Estimates, EstimatesText, estimates
from softunit.report.estimates import kind_in_words
from softunit.report.words import number, version


def show(model: options.Model, json: options.JsonFile = None, quiet: options.Quiet = False) -> int:
    """Show a saved model.

    What it was fitted to, and its coefficients with their classical errors where it holds them:
    models of choices and of ordered classes do, classifiers if they were fitted with --errors.
    """
    check_outputs({"--json": json}, {"MODEL": model})
    screen, saved = Screen(quiet), load_model(model)
    training = saved.training
    table = None if saved.errors is None else saved_table(saved.errors)
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
        "paths": {"model": model},
    }
    write_json(json, figures)
    _print(screen, saved, table)
    screen.files("Files", [("Figures", json)])
    return 0


def saved_table(errors: SavedErrors) -> Estimates:
    """Return the table of coefficients of a saved model.

    Parameters
    ----------
    errors : SavedErrors
    """
    return Estimates(
        rows=estimates(
            errors.names, errors.estimates, errors.standard_errors, believed=not errors.warning
        ),
        kind=kind_in_words("classical"),
        believed=not errors.warning,
        against=errors.against,
        facts=_facts(errors),
        notes=errors.notes,
    )


def _facts(errors: SavedErrors) -> tuple[tuple[str, str], ...]:
    rows = (
        ("Observations", number(errors.n_observations)),
        ("Parameters", number(errors.df)),
        ("Log-likelihood", number(errors.log_likelihood, 8)),
    )
    if errors.null is None or errors.null == 0:
        return rows
    return (
        *rows,
        ("Null log-likelihood", number(errors.null, 8)),
        ("McFadden R2", number(1 - errors.log_likelihood / errors.null)),
    )


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
        screen.say()
        screen.say("It holds no errors: fit with --errors to keep them.", style="dim")
    elif not screen.quiet:
        screen.out.print()
        screen.out.print(EstimatesText(table))
