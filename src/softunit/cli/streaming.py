"""Datasets turned into what an estimator takes, their rows left where they live."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from softunit._typing import Array
from softunit.cli.homes import Home
from softunit.cli.prepared import Prepared
from softunit.cli.reading import check_reference, one_class
from softunit.cli.request import FitRequest
from softunit.designs._memory import CHUNK_MOST, Budget
from softunit.errors import InputError
from softunit.estimators._data import ClassTarget
from softunit.model_file import SavedModel
from softunit.tables import Encoding, with_contrasts
from softunit.tables.encoded_source import EncodedSource, row_bytes
from softunit.tables.names import show
from softunit.tables.scanning import Scan, scan, scan_known
from softunit.tables.streams import Dataset

_PARTITION = 64 << 20  # bytes of the rows that lie together on a worker, about
_PARTITIONS = 8  # at least so many where the rows allow it


def prepared_rows(request: FitRequest, home: Home) -> Prepared:
    """Learn the encoding of a dataset in one pass, and leave its rows on disk or on workers.

    Parameters
    ----------
    request : FitRequest
    home : Home

    Raises
    ------
    InputError
        If a file, a column or a value is not as a classifier needs it.
    """
    dataset = Dataset.open(request.data, format=request.format)
    target = request.target_of(dataset.head())
    found = scan(
        dataset,
        target=target,
        drop=request.drop,
        roles=request.roles(),
        impute=request.impute,
        unknown=request.unknown,
    )
    if request.errors is not None:
        # Columns of all levels sum to one, as an intercept does: no error could be told.
        found = dataclasses.replace(found, encoding=with_contrasts(found.encoding))
    check_labels(found.classes, found.n_rows, target)
    check_reference(request.reference, found.classes)
    y = class_target(found)
    named = named_values(found)
    if "offset" in named and y.n_classes > 2:
        raise InputError(
            f"--offset is for two classes, but column {target!r} has {y.n_classes}: leave it out."
        )
    return Prepared(
        X=design_of(found, home),
        y=y,
        encoding=found.encoding,
        target=target,
        named=named,
        notes=found.notes,
    )


def check_labels(classes: Array, rows: int, target: str) -> None:
    """Refuse fractions and a single class: what a classifier in memory refuses too.

    Parameters
    ----------
    classes : ndarray of shape (K,)
    rows : int
        How many there are.
    target : str

    Raises
    ------
    InputError
        Naming the label.
    """
    if classes.dtype.kind == "f":
        strange = classes[(classes != np.rint(classes)) | (np.abs(classes) > 2**53)]
        if strange.size:
            raise InputError(
                f"Target {show(target)} holds {strange[0]:g}: classes must be texts or whole"
                " numbers. For a regression give another --problem, such as softmax or exp, or"
                " write the classes as texts."
            )
    if len(classes) < 2:
        raise InputError(one_class(classes[0].item(), rows, target))


def class_target(found: Scan) -> ClassTarget:
    """Return labels and codes as estimators take them.

    Parameters
    ----------
    found : Scan
    """
    return ClassTarget(found.classes, found.codes)


def named_values(found: Scan) -> dict[str, Any]:
    """Return weights and offset by the names that `fit` has for them.

    Parameters
    ----------
    found : Scan
    """
    names = {"weights": "sample_weight", "offset": "offset"}
    return {names[role]: values for role, values in found.values.items()}


def design_of(found: Scan, home: Home, *, seen: bool = True) -> Any:
    """Return the design of the encoded rows where they live.

    Parameters
    ----------
    found : Scan
    home : Home
    seen : bool, default True
        As `EncodedSource` takes it.
    """
    width = row_bytes(found.encoding)
    if home.client is not None:
        from softunit.designs.dask import DaskDesign

        source = EncodedSource(found, max(1, CHUNK_MOST // width), seen=seen)
        rows = max(1, min(_PARTITION // width, found.n_rows // _PARTITIONS))
        return DaskDesign.from_blocks(source.loaders(rows), names=source.names, client=home.client)
    from softunit.designs import ChunkedDesign

    assert home.budget is not None
    source = EncodedSource(found, Budget(home.budget).chunk_rows(width), seen=seen)
    return ChunkedDesign(source, memory=home.budget)


def known_rows(
    dataset: Dataset, saved: SavedModel, encoding: Encoding, home: Home
) -> tuple[Any, ClassTarget, dict[str, Any]]:
    """Return design, labels and named columns of a dataset for a model that is fitted already.

    Parameters
    ----------
    dataset : Dataset
    saved : SavedModel
        Of a classifier.
    encoding : Encoding
        Of the model, with the rule for levels never seen.
    home : Home

    Raises
    ------
    InputError
        If a file, a column or a value does not go with the model.
    """
    roles = {"weights": saved.weights, "offset": saved.offset}
    found = scan_known(
        dataset,
        encoding,
        target=saved.target,
        classes=np.asarray(saved.estimator.classes_),
        roles={role: name for role, name in roles.items() if name is not None},
    )
    return design_of(found, home, seen=False), class_target(found), named_values(found)
