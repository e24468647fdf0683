"""What tells one problem from another: its shapes, settings, target, and a look at its data."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from softunit._row_array import RowArray
from softunit._typing import Array
from softunit.checkpoints.trees import taken
from softunit.designs.base import Design
from softunit.errors import FileError
from softunit.problem import Problem

__all__ = ["difference", "digest", "fingerprint"]

ROWS, ENTRIES = 512, 1 << 20  # rows of the design that are looked at, and their entries at most
PIECE = 1 << 20  # entries hashed at once
SAMPLE = 4096  # entries of an array that lies elsewhere
ROUNDING = 1e-9  # relative: sums depend on the number of threads
ROUGH = 1e-5  # likewise on a device, where they may be in float32

FIGURES = {
    "mean": "the means of its columns differ",
    "variance": "the variances of its columns differ",
    "scaling": "the scaling of its columns differs",
    "ridge": "the strength of its ridge differs",
    "l1": "the strength of its l1 penalty differs",
}

HOMES = {"memory": "in memory", "device": "in memory", "disk": "on disk", "cluster": "on a cluster"}


def fingerprint(problem: Problem) -> dict[str, Any]:
    """Return what is known of a problem, as a tree.

    1. Shapes, penalties, where the rows live, and hashes of unit, target, row weights, offset and
    score ridge: each home hashes what is near there.  2. A hash of some
    rows of the stored design, where they are near.  3. What rounding may change, compared up to it:
    mean and variance of its columns, their scaling, and the strengths of penalties.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    dict
        With entries `facts` and `figures`.
    """
    design, lasso, ridge = problem.design.core, problem.lasso, problem.score_ridge
    n, d = problem.design.shape
    facts = {  # 1.
        "rows": n,
        "columns": d,
        "shape": list(problem.shape),
        "unit": type(problem.unit).__name__,
        "unit settings": digest(problem.unit),
        "penalties": [type(each).__name__ for each in problem.penalties],
        "grouped": bool(lasso is not None and lasso.group),
        "home": HOMES.get(design.home, design.home),
        "target": _of_rows(problem.target),
        "weights": _of_rows(problem.weights),
        "offset": _of_rows(problem.offset),
        "score ridge": digest(ridge) if ridge.strides[0] and ridge.any() else "",
        "entries": digest(_some_rows(design)),  # 2.
    }
    mean, variance = design.column_moments(problem.weights)  # 3.
    return {
        "facts": facts,
        "figures": {
            "mean": mean,
            "variance": variance,
            "ridge": problem.ridge,
            "l1": np.zeros(0) if lasso is None else np.ascontiguousarray(lasso.strength).ravel(),
            # Last: an estimator may choose it by all of these.
            "scaling": problem.design.to_input(np.ones(problem.shape[0])),
        },
    }


def _some_rows(design: Design) -> Array:
    """Return some rows, dense; none of a design on disk or a cluster: there each is far away."""
    n, d = design.shape
    if design.home not in ("memory", "device"):
        return np.zeros((0, d))
    most = max(1, min(n, ROWS, ENTRIES // max(1, d)))
    return design.rows(np.unique(np.random.default_rng(0).integers(0, n, most))).toarray()


def _of_rows(values: Any) -> str:
    """Return a hash of an array with an entry or a row for each row of the design."""
    if values is None:
        return ""
    if not isinstance(values, RowArray):
        return digest(np.asarray(values))
    # On the workers of a cluster: some entries, and what all add up to.
    index = np.unique(np.random.default_rng(0).integers(0, len(values), SAMPLE))
    return digest((np.asarray(values[index]), f"{values.sum():.9g}"))


def digest(value: Any) -> str:
    """Return a hash of numbers, texts, arrays, and of objects by their attributes.

    Parameters
    ----------
    value : object
        Functions count by their names.
    """
    sums = hashlib.sha256()
    _add(sums.update, value)
    return sums.hexdigest()


def _add(update: Callable[[Any], None], value: Any) -> None:
    if isinstance(value, np.ndarray) and value.dtype != object:
        update(f"{value.dtype.newbyteorder('<').str}{value.shape}".encode())
        step = max(1, PIECE // max(1, value[:1].size)) if value.ndim else 1
        for start in range(0, len(value) if value.ndim else 0, step):
            update(np.ascontiguousarray(value[start : start + step]).data.cast("B"))
    elif sparse.issparse(value):
        rows = sparse.csr_array(value)
        _add(update, (rows.shape, rows.data, rows.indices, rows.indptr))
    elif isinstance(value, np.ndarray | list | tuple):
        update(f"[{len(value)}".encode())
        for each in value:
            _add(update, each)
    elif isinstance(value, Mapping):
        _add(update, sorted((str(key), digest(each)) for key, each in value.items()))
    elif value is None or isinstance(value, bool | int | float | str | bytes | np.generic):
        update(f"{type(value).__name__}:{value!r}".encode())
    elif isinstance(value, type) or callable(value):
        update(getattr(value, "__qualname__", type(value).__qualname__).encode())
    else:
        update(type(value).__qualname__.encode())
        _add(update, _attributes(value))


def _attributes(value: Any) -> dict[str, Any]:
    """Return what an object was made with; what it has worked out since is left out."""
    if dataclasses.is_dataclass(value):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    made = {name for name, each in vars(type(value)).items() if isinstance(each, cached_property)}
    own = getattr(value, "__dict__", {})
    return {name: each for name, each in own.items() if name[:1] != "_" and name not in made}


def difference(then: Any, now: Mapping[str, Any], *, rough: bool = False) -> str:
    """Return a clause on what tells two problems apart; empty where nothing does.

    Parameters
    ----------
    then, now : dict
        Of `fingerprint`; the first comes from a file.
    rough : bool, default False
        Whether sums were taken on a device.

    Raises
    ------
    FileError
        If the first lacks something.
    """
    facts, figures = taken(then, "facts", dict), taken(then, "figures", dict)
    for name, value in now["facts"].items():
        if name == "home" and name not in facts:
            continue  # written before it was noted
        if name not in facts:
            raise FileError(f"it is damaged: its fingerprint lacks {name!r}")
        if facts[name] != value:
            return _told(name, facts[name], value)
    share = ROUGH if rough else ROUNDING
    size = np.sqrt(now["figures"]["mean"] ** 2 + np.abs(now["figures"]["variance"]))
    for name, value in now["figures"].items():
        before = taken(figures, name, np.ndarray)
        around = {"mean": size, "variance": size**2}.get(name, np.abs(value))
        if before.shape != value.shape or not (np.abs(before - value) <= share * around).all():
            return FIGURES[name]
    return ""


def _told(name: str, then: Any, now: Any) -> str:
    """Return the clause on a fact that differs."""
    if name in ("rows", "columns") and isinstance(then, int):
        noun = name if then != 1 else name[:-1]
        return f"it is of a problem with {then:,} {noun}, and this one has {now:,}"
    if name == "shape":
        return f"its x has shape {_listed(then)}, and here x has shape {_listed(now)}"
    if name == "unit":
        return f"its unit is {str(then)[:40]}, and here it is {now}"
    if name == "penalties":
        return f"its penalties are {_listed(then)}, and here they are {_listed(now)}"
    if name == "home":
        return f"its rows lived {str(then)[:40]}, and here they live {now}"
    label = {"weights": "row weights"}.get(name, name)
    if name in ("weights", "offset", "score ridge") and "" in (then, now):
        has, lacks = ("it", "this problem") if now == "" else ("this problem", "it")
        return f"{has} has {label}, and {lacks} has none"
    if name == "grouped":
        return "l1 takes groups in one of the problems, and single coefficients in the other"
    return f"its {label} {'differs' if name in ('target', 'offset', 'score ridge') else 'differ'}"


def _listed(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)[:40]
    return f"({', '.join(str(each)[:40] for each in value[:8])})"
