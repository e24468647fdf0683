"""`softunit fit`: a table in; a fitted model, its certificate and its report out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from softunit.cli import choice_options, choices, options, row_options
from softunit.cli.exits import INTERRUPTED
from softunit.cli.fitting import Fitted, run_fit
from softunit.cli.outputs import check_installed, check_outputs, inputs_of, write_json
from softunit.cli.request import FitRequest
from softunit.cli.screen import Screen, complain
from softunit.cli.wording import as_options

# "\b" keeps the lines of a paragraph as they are.
HELP = """Fit a model to a table and certify it.

\b
classifier       the class of each row
choice           which alternative of a set is chosen
ordinal          ordered classes
softmax          shares of all rows: softmax(A x)
rescaled         the same of exp, cosh or sinh
exp, cosh, sinh  a curve of one score in each row
two-layer        outputs phi(C softmax(A x)) of a matrix C
leverage         x from leverage scores

Exit status: 0 converged, 3 not converged, 2 bad input.
"""


def fit(
    data: options.Data,
    target: options.Target = None,
    problem: options.Problem = choices.ProblemName.classifier,
    weights: options.Weights = None,
    drop: options.Drop = None,
    impute: options.Impute = None,
    unknown: options.Unknown = choices.UnknownName.error,
    format: options.Format = None,
    offset: options.Offset = None,
    C: options.InverseRidge = None,
    class_weight: options.ClassWeight = None,
    no_intercept: options.NoIntercept = False,
    l1_ratio: choice_options.L1Ratio = None,
    grouped: choice_options.Grouped = False,
    reference: choice_options.Reference = None,
    groups: choice_options.ChoiceSets = None,
    alternatives: choice_options.Alternatives = None,
    interact: choice_options.Interact = None,
    formula: choice_options.Formula = None,
    wide: choice_options.Wide = False,
    pattern: choice_options.Pattern = None,
    availability: choice_options.Availability = None,
    strict: choice_options.Strict = False,
    price: choice_options.Price = None,
    order: choice_options.Order = None,
    presto: choice_options.Presto = None,
    errors: choice_options.Errors = None,
    clusters: choice_options.ErrorClusters = None,
    ridge: options.RidgeStrength = None,
    w: options.ScoreWeight = None,
    weights_column: options.ScoreWeights = None,
    fidelity: options.Fidelity = None,
    restarts: options.Restarts = None,
    normalise: options.Normalise = False,
    unit: options.Unit = None,
    no_gauge: options.NoGauge = False,
    matrix: options.Matrix = None,
    outer: options.Outer = None,
    shift: options.Shift = None,
    interior: options.Interior = False,
    tol: options.Tolerance = None,
    solver: options.SolverName = "auto",
    max_iter: options.MaxIter = 200,
    memory: row_options.Memory = None,
    dask: row_options.Dask = None,
    checkpoint: row_options.Checkpoint = None,
    every: row_options.Every = None,
    resume: row_options.Resume = False,
    out: options.ModelFile = None,
    report: options.ReportFile = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> int:
    """Fit a model to a table and certify it; return the exit status."""
    given = {name: value for name, value in locals().items() if name not in ("json", "quiet")}
    return _fit(given, Screen(quiet), json)


def _fit(given: dict[str, Any], screen: Screen, json: Path | None) -> int:
    """Check the outputs, fit, write and print; return the exit status."""
    names = {name: f"--{name}" for name in ("out", "report", "checkpoint")}
    outputs = {option: given[name] for name, option in names.items()} | {"--json": json}
    check_installed(outputs)
    matrix = given["matrix"]
    check_outputs(outputs, inputs_of(given["data"]) | ({"--matrix": matrix} if matrix else {}))
    request = FitRequest.of(given)
    if request.resume and request.checkpoint is not None and not request.checkpoint.exists():
        # Said by a quiet command too: a name that was mistyped loses what was to be gone on from.
        complain(
            f"note: {request.checkpoint} is not there, so there is nothing to resume: the fit"
            " begins at the start and keeps its state there."
        )
    try:
        fitted = run_fit(request, screen)
    except KeyboardInterrupt:
        if request.checkpoint is None or not request.checkpoint.exists():
            raise
        complain(interrupted(request.checkpoint, resume=request.resume))
        return INTERRUPTED
    write_json(json, fitted.figures)
    show_fit(fitted, screen, json)
    return fitted.status


def interrupted(checkpoint: Path, *, resume: bool) -> str:
    """Return how an interrupted fit goes on.

    Parameters
    ----------
    checkpoint : Path
        Where its state lies.
    resume : bool
        Whether it had been taken up before.
    """
    how = "Give the same command again" if resume else "Give the same command with --resume"
    return f"interrupted. The run is kept in {checkpoint}. {how} to go on from there."


def show_fit(fitted: Fitted, screen: Screen, json: Path | None = None) -> None:
    """Print the summary and the paths; a quiet command says only what to do if not converged.

    Parameters
    ----------
    fitted : Fitted
    screen : Screen
    json : Path or None, default None
        Where the figures were written.
    """
    screen.summary(fitted.summary)
    paths = {"Model": fitted.request.out, "Report": fitted.request.report, "Figures": json}
    screen.files("Files", paths.items())
    if not fitted.estimator.solution_.converged:
        # The fit's own warnings say it best: they name the gap, or the classes that separate.
        reasons = fitted.summary.notes or (as_options(fitted.estimator.solution_.message),)
        screen.advise(f"not converged. {' '.join(reasons)}")
