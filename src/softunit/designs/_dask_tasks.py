"""What is done where the rows of a Dask design lie: functions of a module, sent to the workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from softunit._checks import check_finite_columns
from softunit._threads import NAME, blocks_on_threads
from softunit._typing import Array
from softunit.designs._dask_heap import freed_blocks_kept
from softunit.designs.base import Design, Terms
from softunit.designs.dense import DenseDesign
from softunit.designs.sparse import SparseDesign, checked_csr
from softunit.errors import FileError, InputError

Fold = Callable[[Any, Any], Any]
"""Puts two terms together; it does not matter which pairs are put together first."""

Nodes = Mapping[tuple[int, int], Terms]
"""(level, place) -> the terms of partitions place * 2^level and its neighbours, 2^level in all."""


@dataclass(frozen=True)
class Facts:
    """What is known of a partition once it has been read.

    Attributes
    ----------
    rows, columns : int
    dtype : str
    nbytes : int
        Of the stored entries.
    entries : int
        Stored entries.
    sparse : bool
    fault : str
        A sentence on what is wrong with it, or nothing.
    """

    rows: int
    columns: int = 0
    dtype: str = ""
    nbytes: int = 0
    entries: int = 0
    sparse: bool = False
    fault: str = ""


@dataclass(frozen=True)
class Same:
    """One row in the place of many that are the same, as weights of one: little to send.

    Attributes
    ----------
    row : ndarray
    rows : int
        How many there are.
    """

    row: Array
    rows: int

    @property
    def array(self) -> Array:
        """All rows, in the memory of one."""
        return np.broadcast_to(self.row, (self.rows, *self.row.shape))


@dataclass(frozen=True)
class Group:
    """Partitions that lie with one worker.

    Attributes
    ----------
    numbers : tuple of int
    threads : int
        Of the worker.
    """

    numbers: tuple[int, ...]
    threads: int = 1


@dataclass(frozen=True)
class Part:
    """One partition on the worker that keeps it; an empty or a faulty one has no design."""

    design: Design | None
    facts: Facts

    def __sizeof__(self) -> int:
        """Return the bytes of the entries: by them Dask tells what is dear to move."""
        return object.__sizeof__(self) + self.facts.nbytes


def part_of(number: int, names: Sequence[str] | None, *blocks: Any) -> Part:
    """Return partition `number` from its blocks of columns, checked.

    Parameters
    ----------
    number : int
    names : sequence of str or None
        Of the columns.
    *blocks : ndarray, scipy sparse or frame
    """
    parts = [_entries(block) for block in blocks]
    for place, part in enumerate(parts):
        if part.ndim != 2:
            return _faulty(f"partition {number} of A has {part.ndim} axes; it needs two.")
        if sparse.issparse(part):
            try:
                parts[place] = checked_csr(part, f"partition {number} of A")
            except InputError as error:
                return _faulty(str(error))
        if part.dtype.kind not in "fiub":
            return _faulty(
                f"partition {number} of A holds {part.dtype}, not numbers. Encode it first."
            )
    whole = parts[0]
    if len(parts) > 1:
        mixed = any(sparse.issparse(part) for part in parts)
        whole = sparse.hstack(parts, format="csr") if mixed else np.hstack(parts)
    if 0 in whole.shape:
        return Part(None, Facts(*whole.shape))
    try:
        check_finite_columns(whole, names, what=f"partition {number} of A")
    except InputError as error:
        return _faulty(str(error))
    design = SparseDesign(whole) if sparse.issparse(whole) else DenseDesign(whole)
    n, d = design.shape
    entries = round(n * design.row_entries)
    kind = isinstance(design, SparseDesign)
    return Part(design, Facts(n, d, str(design.dtype), design.nbytes, entries, kind))


def block_from(load: Callable[[], Any], number: int) -> Any:
    """Return what a loader gives, and say of which block it is what it raises."""
    try:
        return load()
    except (InputError, MemoryError):  # these say what they have to say
        raise
    except Exception as error:
        said = f"block {number} could not be read: {type(error).__name__}: {error}."
        if not isinstance(error, OSError):
            raise InputError(said) from error
        raise FileError(
            f"{said} Check that the files are there, and that every worker can reach them."
        ) from error


def facts_of(part: Part) -> Facts:
    """Return what is known of a partition."""
    return part.facts


def array_of(*blocks: Any) -> Array:
    """Return blocks of columns of labels, weights or offsets as one NumPy array.

    Missing numbers of a frame become NaN.
    """
    arrays = [np.asarray(_entries(block)) for block in blocks]
    return arrays[0] if len(arrays) == 1 else np.hstack(arrays)


def held(parts: Sequence[Any]) -> int:
    """Return how many things a worker was given: it keeps a copy of each."""
    return len(parts)


def shape_of(array: Array) -> tuple[tuple[int, ...], str]:
    """Return shape and dtype of a part of an array."""
    return array.shape, array.dtype.str


def cut(_: Part, starts: Sequence[int], stops: Sequence[int], *arrays: Array | Same) -> Array:
    """Return rows of some arrays as one; a partition among the arguments says where."""
    pieces = [_whole(a)[i:j] for a, i, j in zip(arrays, starts, stops, strict=True)]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def mapped(function: Callable[..., Array], *parts: Array | Same) -> Array:
    """Return function(parts) as an array with as many rows."""
    made: Array = np.asarray(function(*map(_whole, parts)))
    rows = len(_whole(parts[0]))
    if len(made) != rows:
        raise InputError(f"a mapped function made {len(made)} rows of {rows}.")
    return made


def taken(part: Part, index: npt.NDArray[np.integer], dtype: npt.DTypeLike) -> Any:
    """Return a copy of some rows of a partition: an array, or CSR."""
    design: Any = part.design
    stored = design.matrix if isinstance(design, SparseDesign) else design.array
    with np.errstate(over="ignore"):  # an infinite value is refused by every step
        return stored[index].astype(dtype, copy=False)


def rows_of(array: Array, index: npt.NDArray[np.integer]) -> Array:
    """Return a copy of some rows of a part of an array."""
    rows: Array = array[index]
    return rows


def reduced(
    function: Callable[..., Terms],
    group: Group,
    items: Sequence[tuple[Any, ...]],
    count: int,
    folds: Sequence[Fold] | None,
) -> Nodes:
    """Return function(*item) of some partitions, folded as far as neighbours are among them.

    Each of the worker's threads takes a partition at a time, and works on it alone.

    Parameters
    ----------
    function : callable
    group : Group
        Which partitions.
    items : sequence of tuple
        What the function is given for each.
    count : int
        Partitions of the whole design.
    folds : sequence of callable or None
        For each term; None adds.
    """
    nodes: Nodes = {}
    workers = min(group.threads, len(items))
    # By their name these threads are known as some among which blocks have been shared already.
    threads = ThreadPoolExecutor(workers, thread_name_prefix=NAME)
    with freed_blocks_kept(), blocks_on_threads(), threads as pool:
        made = pool.map(partial(called, function), items)
        for number, terms in zip(group.numbers, made, strict=True):
            nodes = merged([nodes, {(0, number): terms}], count, folds)
    return nodes


def called(function: Callable[..., Terms], item: tuple[Any, ...]) -> Terms:
    """Return the terms of function(*item), float32 arrays widened to be summed in float64."""
    return tuple(_widened(term) for term in function(*map(_whole, item)))


def on_chunk(function: Callable[..., Terms], part: Part, *arrays: Array | None) -> Terms:
    """Return function(design, arrays) of one partition."""
    return function(part.design, arrays)


def merged(several: Sequence[Nodes], count: int, folds: Sequence[Fold] | None) -> Nodes:
    """Return the nodes of several workers as one set, neighbours folded pair by pair.

    Which pairs are folded depends on the numbers of partitions alone, never on who keeps them: a
    sum is the same to the last bit on any number of workers.
    """
    nodes = {at: terms for some in several for at, terms in some.items()}
    level = 0
    while count > 1:
        for at in sorted(i for height, i in nodes if height == level and i % 2 == 0):
            if at + 1 == count:  # the last has no neighbour
                nodes[level + 1, at // 2] = nodes.pop((level, at))
            elif (level, at + 1) in nodes:
                left, right = nodes.pop((level, at)), nodes.pop((level, at + 1))
                nodes[level + 1, at // 2] = _folded(left, right, folds)
        level, count = level + 1, (count + 1) // 2
    return nodes


def _folded(left: Terms, right: Terms, folds: Sequence[Fold] | None) -> Terms:
    each: Sequence[Fold] = folds or (np.add,) * len(left)
    return tuple(fold(a, b) for fold, a, b in zip(each, left, right, strict=True))


def _widened(term: Any) -> Any:
    single = isinstance(term, np.ndarray) and term.dtype == np.float32
    return term.astype(np.float64) if single else term


def _whole(thing: Any) -> Any:
    return thing.array if isinstance(thing, Same) else thing


def _faulty(sentence: str) -> Part:
    return Part(None, Facts(0, fault=sentence))


def _entries(block: Any) -> Any:
    """Return a block as NumPy or SciPy has it; missing numbers of a frame become NaN."""
    if sparse.issparse(block):
        return block
    if hasattr(block, "to_numpy"):
        array = np.asarray(block.to_numpy())
        dtypes = getattr(block, "dtypes", None)
        kinds = [dtypes] if hasattr(dtypes, "kind") else list(dtypes if dtypes is not None else [])
        if array.dtype == object and all(getattr(t, "kind", "O") in "fiub" for t in kinds):
            array = np.asarray(block.to_numpy(dtype=np.float64, na_value=np.nan))
        return array
    return block.tocsr() if hasattr(block, "tocsr") else np.asarray(block)
