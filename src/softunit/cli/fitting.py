"""From a request to a fitted, certified and saved model: what `fit` and `demo` share."""

from __future__ import annotations

import dataclasses
import itertools
import time
from dataclasses import dataclass
from typing import Any

from softunit.certificate import Certificate
from softunit.cli.effects import check_price, effects_of
from softunit.cli.errors import Errors, errors_of, renamed
from softunit.cli.exits import CONVERGED, NOT_CONVERGED
from softunit.cli.homes import Home, cluster_of, file_name, home_of
from softunit.cli.noting import noted
from softunit.cli.prepared import Prepared
from softunit.cli.problems import belongs
from softunit.cli.reading import prepared
from softunit.cli.request import FitRequest
from softunit.cli.screen import Screen
from softunit.cli.summing import figures_of, summary_of
from softunit.cli.wording import certificate_as_options
from softunit.model_file import SavedModel, Training, save_model
from softunit.report import FitSummary, write_html
from softunit.tables.data_files import find_files


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
    if request.dask is not None:
        find_files(request.data, format=request.format)  # before a cluster is started for them
    with cluster_of(request.dask) as cluster:
        home = cluster or _home(request)
        if home.note:
            screen.say(home.note)
        fitted = _fitted(request, estimator, home, screen)
    spent = {"total_seconds": time.perf_counter() - begin}
    return dataclasses.replace(fitted, figures=fitted.figures | spent)


def _home(request: FitRequest) -> Home:
    """Return where on this machine the rows live."""
    streamed = belongs("--memory", request.problem) and request.clusters is None
    what = f"--problem {request.problem}{' with --clusters' if request.clusters else ''}"
    return home_of(
        request.data, memory=request.memory, format=request.format, streamed=streamed, what=what
    )


def _fitted(request: FitRequest, estimator: Any, home: Home, screen: Screen) -> Fitted:
    """Do steps 2 to 5."""
    with screen.working(f"Reading {request.source}"):
        data = prepared(request, home)
    check_price(request, data)
    estimator.set_params(**data.settings)
    with noted() as notes:
        estimator.fit(data.X, data.y, **data.named)
        estimator.verbose = 0
        fitting = data.X.passes if home.name == "disk" else 0.0
        certificate = estimator.certificate_
        if home.in_memory:  # elsewhere it would read all rows again, many times
            with screen.working("Proving how good the fit is"):
                full = estimator.certify(data.X, data.y, **data.named)
            certificate = _joined(certificate, full)
    estimator.certificate_ = certificate_as_options(certificate)
    with screen.working("Measuring the fit"), noted() as doubts:
        errors = errors_of(request, estimator, data)
        effects = effects_of(request, estimator, data, errors.table)
    told = [renamed(note, estimator, data) for note in (*data.notes, *notes, *doubts)]
    with screen.working("Measuring the fit"):
        summary = summary_of(request, estimator, data, errors.table, effects, told)
        # One more for the encoding, which was learned before there was a design.
        reads = 1 + data.X.passes if home.name == "disk" else None
        where = home.told(fitting, reads or 0.0)
        summary = dataclasses.replace(summary, data=(*summary.data, *where))
        _save(request, estimator, data, summary, errors)
    figures = figures_of(request, estimator, data, summary)
    more = {"rows_live": home.name, "memory_budget": home.budget, "reads": reads}
    return Fitted(request, estimator, summary, figures | more)


def _joined(quick: Certificate, full: Certificate) -> Certificate:
    """Return the full certificate, with what only the fit itself can know.

    A least-norm answer knows of null directions that the Hessian at one point need not show, and
    leverage scores of the signs that were searched for.
    """
    known = {statement.text for statement in full.statements}
    remarks = itertools.takewhile(lambda s: not s.opens, quick.statements)
    told = tuple(remark for remark in remarks if remark.text not in known)
    unique = quick.unique if quick.unique is False or full.unique is None else full.unique
    return dataclasses.replace(full, unique=unique, statements=(*told, *full.statements))


def _save(
    request: FitRequest,
    estimator: Any,
    data: Prepared,
    summary: FitSummary,
    errors: Errors,
) -> None:
    """Write the model, which took the work, before the report, which tells of it."""
    if request.out is not None:
        model = SavedModel(
            estimator=estimator,
            encoding=data.encoding,
            problem=request.problem,
            target=data.target,
            training=Training.of(estimator, source=file_name(request.data), rows=data.X.shape[0]),
            weights=request.weights,
            offset=request.offset,
            score_weights=request.weights_column,
            shift=request.shift,
            choice=data.choice,
            errors=errors.saved,
            no_errors=errors.why,
        )
        save_model(request.out, model)
    if request.report is not None:
        write_html(request.report, summary)
