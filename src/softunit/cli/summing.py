"""What a fit is summed up in: the summary that is printed, and the figures of --json."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from softunit.cli.effects import Effects
from softunit.cli.errors import coefficient_names, estimator_separated
from softunit.cli.prepared import Prepared
from softunit.cli.request import FitRequest
from softunit.cli.wording import as_options
from softunit.estimators import ConditionalLogit, OrdinalClassifier, SoftmaxClassifier
from softunit.estimators._unit_regressor import UnitRegressor
from softunit.report import (
    ChoiceRows,
    Estimates,
    FitSummary,
    Labels,
    choice_summary,
    classifier_summary,
    ordinal_summary,
    regressor_summary,
)
from softunit.report.words import counted, version
from softunit.solution import Solution
from softunit.tables import CategoricalColumn, InteractedColumn
from softunit.tables.names import listed


def summary_of(
    request: FitRequest,
    estimator: Any,
    data: Prepared,
    table: Estimates | None,
    effects: Effects,
    notes: list[str],
) -> FitSummary:
    """Return the summary of a fit.

    Parameters
    ----------
    request : FitRequest
    estimator : the fitted estimator
    data : Prepared
    table : Estimates or None
        Coefficients with their errors.
    effects : Effects
    notes : list of str
        What was warned of.
    """
    # The advice heads the summary; a note need not repeat it.
    advice = _advice(estimator)
    labels = Labels(
        source=request.source,
        feature_names=data.encoding.feature_names,
        data=_data_rows(request, data),
        notes=tuple(note.replace(f" {advice}", "") for note in notes),
        repeat=request.command(),
        advice=advice,
        estimates=table,
        willingness=effects.willingness,
        elasticities=effects.elasticities,
        rows=data.rows,
    )
    weight = data.named.get("sample_weight")
    if isinstance(estimator, ConditionalLogit):
        named = dataclasses.replace(labels, feature_names=coefficient_names(estimator, data))
        return choice_summary(estimator, data.X, _choice_rows(estimator, data), labels=named)
    if isinstance(estimator, OrdinalClassifier):
        return ordinal_summary(estimator, data.X, data.y, labels=labels, sample_weight=weight)
    if isinstance(estimator, SoftmaxClassifier):
        return classifier_summary(estimator, data.X, data.y, labels=labels, sample_weight=weight)
    shift = [data.named["b"]] if "b" in data.named else []
    return regressor_summary(
        estimator,
        data.X,
        data.y / data.y.sum() if request.normalise else data.y,
        labels=labels,
        sample_weight=weight,
        fitted=estimator.predict(data.X, *shift),
    )


def _advice(estimator: Any) -> str:
    """Return what to do about how a fit ended, in the words of its problem."""
    known = isinstance(estimator, ConditionalLogit | OrdinalClassifier)
    if not known or not estimator_separated(estimator):
        return as_options(estimator.solution_.status.advice)
    what = "choices" if isinstance(estimator, ConditionalLogit) else "ordered classes"
    return (
        f"Columns tell {what} apart without error, all or some of them (the notes say which): the"
        " likelihood rises without end as their coefficients grow. Use a finite --C (ridge), or"
        " drop these columns."
    )


def _choice_rows(estimator: ConditionalLogit, data: Prepared) -> ChoiceRows:
    named = data.named
    given = {name: named[name] for name in ("alternatives", "offset") if name in named}
    return ChoiceRows(
        chosen=data.y,
        groups=named["groups"],
        probability=estimator.predict_proba(data.X, named["groups"], **given),
        alternatives=named.get("alternatives"),
        weights=named.get("sample_weight"),
    )


def _data_rows(request: FitRequest, data: Prepared) -> tuple[tuple[str, str], ...]:
    """Return what the report says about the table beyond its size."""
    plain = [c.column if isinstance(c, InteractedColumn) else c for c in data.encoding.columns]
    texts = [column for column in plain if isinstance(column, CategoricalColumn)]
    rows = [("Target", data.target)]
    if request.matrix is not None:
        rows.append(("Outer matrix", f"{request.matrix}, {counted(len(data.y), 'output')}"))
    if texts:
        levels = sum(len(column.levels) for column in texts)
        numbers = len(data.encoding.columns) - len(texts)
        found = f"{counted(numbers, 'number')} and {counted(len(texts), 'text')} of {levels} levels"
        rows.append(("Encoded from", found))
    rows += _choice_facts(request, data)
    if request.weights is not None:
        rows.append(("Weights", request.weights))
    if request.weights_column is not None:
        rows.append(("w", request.weights_column))
    if request.offset is not None:
        rows.append(("Offset", request.offset))
    if request.shift is not None:
        rows.append(("Shift", request.shift))
    if request.drop:
        rows.append(("Left out", listed(request.drop, 5)))
    if request.impute is not None:
        rows.append(("Missing values", f"filled: {request.impute}"))
    return tuple(rows)


def _choice_facts(request: FitRequest, data: Prepared) -> list[tuple[str, str]]:
    """Return how a table holds choices; nothing for other problems."""
    if data.choice is None:
        return []
    wide = data.choice.wide
    rows = [("Choice sets", data.choice.groups)]
    if wide is not None:
        one = wide.attributes and wide.column(wide.attributes[0], wide.alternatives[0])
        rows = [("Choice sets", f"one for each row{f', with columns as {one}' if one else ''}")]
    if "alternatives" in data.named:
        names = np.unique(data.named["alternatives"]).tolist()
        rows.append(("Alternatives", listed(names, 8)))
    if request.clusters is not None:
        rows.append(("Clusters", request.clusters))
    return rows


def figures_of(
    request: FitRequest,
    estimator: Any,
    data: Prepared,
    summary: FitSummary,
) -> dict[str, Any]:
    """Return all that is printed, and a little more, by name.

    Parameters
    ----------
    request : FitRequest
    estimator : the fitted estimator
    data : Prepared
    summary : FitSummary
    """
    solution, certificate = estimator.solution_, estimator.certificate_
    n, d = data.X.shape
    return {
        "command": "fit",
        "softunit": version(),
        "problem": request.problem,
        "source": request.source,
        "value": certificate.value,
        "gradient_norm": solution.gradient_norm,
        "gap_bound": certificate.gap_bound,
        "converged": solution.converged,
        "n_iter": int(solution.n_iter),
        "seconds": solution.seconds,
        "status": solution.status.name,
        "advice": summary.advice,
        "solver": solution.solver,
        "tol": solution.tol,
        "cost": solution.cost,
        "n": n,
        "rows": n if data.rows is None else data.rows,
        "d": d,
        "target": data.target,
        "classes": _classes(estimator),
        "certificate": certificate.to_dict(),
        "statements": [str(statement) for statement in certificate.statements],
        "notes": summary.notes,
        "data": dict(summary.data),
        "settings": _settings(estimator),
        "measures": dict(summary.measures),
        "calibration_error": summary.calibration.error if summary.calibration else None,
        "runs": [_run(phase) for phase in _phases(estimator)],
        "coefficients": _coefficients(estimator, data),
        "largest_coefficients": summary.coefficients,
        "most_confused": summary.confused,
        "estimates": summary.estimates and table_figures(summary.estimates),
        **_effect_figures(summary),
        "shares": summary.shares,
        "reliability_by_threshold": {each.about: each.error for each in summary.thresholds},
        "repeat": summary.repeat,
        "paths": {"model": request.out, "report": request.report},
        **_likelihood(estimator),
    }


def _effect_figures(summary: FitSummary) -> dict[str, Any]:
    """Return willingness to pay and elasticities as --json writes them; null without --price."""
    paid, elasticities = summary.willingness, summary.elasticities
    return {
        "willingness_to_pay": paid
        and {
            "price": paid.price,
            "kind": paid.name,
            "level": paid.level,
            "converged": paid.believed,
            "notes": paid.notes,
            "rows": paid.rows,
        },
        "elasticities": elasticities
        and {
            "column": elasticities.column,
            "alternatives": elasticities.alternatives,
            "table": elasticities.table,
            "converged": elasticities.believed,
        },
    }


def table_figures(table: Estimates) -> dict[str, Any]:
    """Return a table of coefficients as --json writes it.

    Parameters
    ----------
    table : Estimates
    """
    rows = [
        {name: value for name, value in vars(row).items() if name != "scale"} for row in table.rows
    ]
    return {
        "kind": table.name,
        "level": table.level,
        "converged": table.believed,
        "against": table.against,
        "facts": dict(table.facts),
        "notes": table.notes,
        "rows": rows,
    }


def _likelihood(estimator: Any) -> dict[str, Any]:
    """Return the measures of a model of choice or of ordered classes."""
    if not isinstance(estimator, ConditionalLogit | OrdinalClassifier):
        return {}
    names = ["log_likelihood", "null_log_likelihood", "aic", "bic", "mcfadden_r2"]
    if isinstance(estimator, ConditionalLogit):
        names += ["n_sets", "n_dropped"]
    else:
        names.append("n_crossed")
    return {name: getattr(estimator, f"{name}_") for name in names}


def _classes(estimator: Any) -> Any:
    """Return the labels of classes or alternatives; None where there are none."""
    if isinstance(estimator, ConditionalLogit):
        return estimator.alternatives_ if hasattr(estimator, "alternatives_") else None
    known = isinstance(estimator, SoftmaxClassifier | OrdinalClassifier)
    return estimator.classes_ if known else None


def _phases(estimator: Any) -> tuple[Solution, ...]:
    """Return the runs of a fit: regressions may have several."""
    several = isinstance(estimator, UnitRegressor)
    return tuple(estimator.phases_) if several else (estimator.solution_,)


def _settings(estimator: Any) -> dict[str, Any]:
    """Return the settings by name, an array as what it is: its numbers came from a table."""
    settings = estimator.get_params(deep=False)
    return {
        name: f"array of shape {value.shape}" if hasattr(value, "shape") else value
        for name, value in settings.items()
    }


def _run(phase: Solution) -> dict[str, Any]:
    """Return what one phase of a fit did."""
    return {
        "solver": phase.solver,
        "n_iter": int(phase.n_iter),
        "value": phase.value,
        "seconds": phase.seconds,
        "status": phase.status.name,
    }


def _coefficients(estimator: Any, data: Prepared) -> dict[str, Any] | None:
    """Return coefficients by the names of their columns; None for those of several classes."""
    if isinstance(estimator, SoftmaxClassifier):
        return None
    if isinstance(estimator, ConditionalLogit):
        names: tuple[str, ...] = coefficient_names(estimator, data)
        return dict(zip(names, estimator.coef_.tolist(), strict=True))
    coef = np.asarray(estimator.coef_)
    found = dict(zip(data.encoding.feature_names, coef.T.tolist(), strict=True))
    if not isinstance(estimator, OrdinalClassifier):
        return found
    return found | {"thresholds": np.asarray(estimator.thresholds_).tolist()}
