"""From Dask collections to partitions on workers, each checked where it is read."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from typing import Any

import numpy as np

from softunit.designs._dask_parts import Parts
from softunit.designs._dask_places import Place
from softunit.designs._dask_tasks import Facts, facts_of, part_of
from softunit.errors import InputError, MissingExtraError

DASK = ("dask", "dask_expr")  # packages that collections come from


def is_dask(value: Any) -> bool:
    """Return whether a value is a dask array, series or frame; nothing is imported to tell."""
    kind = type(value)  # not the value: a Delayed has any attribute that it is asked for
    return kind.__module__.partition(".")[0] in DASK and hasattr(kind, "to_delayed")


def wanted_dask() -> None:
    """Raise `MissingExtraError` unless dask is installed."""
    if find_spec("dask") is None:
        raise MissingExtraError("DaskDesign", "dask")


def columns_of(source: Any) -> tuple[str, ...] | None:
    """Return the names of a frame's columns, None for an array.

    Raises
    ------
    InputError
        If a column does not hold numbers, where all such columns are named, or has the name of
        another.
    """
    if not hasattr(source, "columns"):
        return None
    bad = [
        str(name)
        for name, dtype in zip(source.columns, source.dtypes, strict=True)
        if getattr(dtype, "kind", "O") not in "fiub"
    ]
    if bad:
        raise InputError(
            f"{'columns' if len(bad) > 1 else 'column'} {', '.join(map(repr, bad))} of A"
            f" {'do' if len(bad) > 1 else 'does'} not hold numbers. Encode text and categories"
            " first (dask_ml, or the command line), or leave these columns out."
        )
    names = tuple(str(name) for name in source.columns)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InputError(f"A has the column {twice[0]!r} more than once: give each its own name.")
    return names


def delayed_blocks(source: Any, what: str) -> list[list[Any]]:
    """Return for each partition of the rows its blocks of columns, as delayed tasks.

    Parameters
    ----------
    source : dask array, series or frame
    what : str
        How messages call it.

    Raises
    ------
    InputError
        If it has more than two axes, or (as A) does not hold numbers in two.
    """
    axes = getattr(source, "ndim", 2)
    if axes > 2 or axes < 1 or (what == "A" and axes != 2):
        raise InputError(f"{what} must have shape (n, d); this dask array has {axes} axes.")
    dtype = getattr(source, "dtype", None)
    if what == "A" and dtype is not None and dtype.kind not in "fiub":
        raise InputError(f"A must hold numbers; this dask array holds {dtype}. Encode it first.")
    blocks = np.asarray(source.to_delayed(), dtype=object)
    return [list(row) for row in blocks.reshape(len(blocks), -1)]


def read(
    blocks: list[list[Any]], names: tuple[str, ...] | None, place: Place
) -> tuple[Parts, list[Facts]]:
    """Return the partitions, kept where they were read, and what is known of each.

    Raises
    ------
    InputError
        If there is no row, an entry is not a finite number, or partitions disagree.
    """
    from dask.delayed import delayed

    label = None if names is None else list(names)
    tasks = [delayed(part_of, pure=False)(number, label, *row) for number, row in enumerate(blocks)]
    kept = place.keep(tasks)
    facts = place.fetch([delayed(facts_of, pure=False)(part) for part in kept])
    full = [i for i, found in enumerate(facts) if found.rows > 0 or found.fault]
    _check(facts, full)
    parts = Parts(place, [kept[i] for i in full], tuple(facts[i].rows for i in full))
    return parts, [facts[i] for i in full]


def _check(facts: list[Facts], full: list[int]) -> None:
    if not full:
        raise InputError(
            f"A has no rows: its {len(facts)} partitions are all empty. Check the filter or the"
            " files that it was made from."
        )
    start, first = 0, facts[full[0]]
    for number in full:
        found = facts[number]
        if found.fault:
            raise InputError(f"{found.fault} The partition begins with row {start} of A.")
        start += found.rows
        for said, mine, other in (
            ("columns", found.columns, first.columns),
            ("dtype", found.dtype, first.dtype),
            ("kind", _kind(found), _kind(first)),
        ):
            if mine != other:
                raise InputError(
                    f"partitions of A disagree: partition {number} has {said} {mine}, partition"
                    f" {full[0]} has {other}. Bring them into one form first (astype, map_blocks)."
                )
    if first.columns == 0:
        raise InputError("A must have shape (n, d) with n, d >= 1; it has no columns.")


def _kind(facts: Facts) -> str:
    return "sparse" if facts.sparse else "dense"
