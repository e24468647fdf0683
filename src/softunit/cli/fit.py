"""`softunit fit`: a table in; a fitted model, its certificate and its report out."""

from __future__ import annotations

from pathlib import Path

from softunit.cli import options
from softunit.cli.fitting import Fitted, run_fit
from softunit.cli.outputs import check_installed, check_outputs, write_json
from softunit.cli.request import FitRequest
from softunit.cli.screen import Screen
from softunit.cli.wording import as_options


def fit(
    data: options.Data,
    target: options.Target = None,
    weights: options.Weights = None,
    offset: options.Offset = None,
    drop: options.Drop = None,
    impute: options.Impute = None,
    unknown: options.Unknown = options.UnknownName.error,
    format: options.Format = None,
    problem: options.Problem = options.ProblemName.classifier,
    C: options.InverseRidge = None,
    class_weight: options.ClassWeight = None,
    no_intercept: options.NoIntercept = False,
    ridge: options.RidgeStrength = None,
    w: options.ScoreWeight = None,
    tol: options.Tolerance = None,
    solver: options.SolverName = "auto",
    max_iter: options.MaxIter = 200,
    out: options.ModelFile = None,
    report: options.ReportFile = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> int:
    """Fit a model to a table and certify it.

    Exit status: 0 converged, 3 not converged, 2 bad input.
    """
    outputs = {"--out": out, "--report": report, "--json": json}
    check_installed(outputs)
    check_outputs(outputs, {"DATA": data})
    screen = Screen(quiet)
    request = FitRequest(
        data=data,
        target=target,
        problem=problem.value,
        C=C,
        ridge=ridge,
        w=w,
        tol=tol,
        class_weight=class_weight.value if class_weight else None,
        solver=solver,
        max_iter=max_iter,
        intercept=not no_intercept,
        weights=weights,
        offset=offset,
        drop=tuple(drop or ()),
        impute=impute.value if impute else None,
        unknown=unknown.value,
        format=format.value if format else None,
        report=report,
        out=out,
    )
    fitted = run_fit(request, screen)
    write_json(json, fitted.figures)
    show_fit(fitted, screen, json)
    return fitted.status


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
