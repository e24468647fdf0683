"""What a saved model says of the rows of a table, as columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.cli.choice_prediction import check_probabilities, choice_predictions
from softunit.estimators import OrdinalClassifier, SoftmaxClassifier
from softunit.model_file import SavedModel
from softunit.tables import Table, read_numeric

_NEEDED = "which the model needs"


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


def counts_of(model: SavedModel, columns: dict[str, Array]) -> dict[str, int]:
    """Return how often each class or alternative was predicted, most first; else nothing.

    Parameters
    ----------
    model : SavedModel
    columns : dict of str to ndarray
        What `predicted_columns` returned.
    """
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
