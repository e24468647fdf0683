"""Arrays of PyTorch, CuPy and others, told apart, moved and added up by the array API standard.

None of these libraries is imported here: arrays bring their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import array_api_compat as compat
import numpy as np

from softunit._typing import Array
from softunit.errors import InputError

LOOKED_AT = 1 << 22  # entries whose sum tells whether all are finite

# What looks like such an array and is handled elsewhere, or by `numpy.asarray`.
OTHERS = (
    compat.is_dask_array,
    compat.is_jax_array,
    compat.is_ndonnx_array,
    compat.is_pydata_sparse_array,
)


def is_elsewhere(a: Any) -> bool:
    """Return whether `a` is an array of the standard that is not NumPy's: a tensor, say."""
    if isinstance(a, (np.ndarray, np.generic)) or not compat.is_array_api_obj(a):
        return False
    return not any(is_other(a) for is_other in OTHERS)


def namespace(a: Any) -> Any:
    """Return the functions of the standard for the library that `a` comes from."""
    return compat.array_namespace(a)


def to_numpy(a: Any) -> Array:
    """Return an array of any kind and device as a NumPy array; one of NumPy as it is."""
    if not is_elsewhere(a):
        return np.asarray(a)
    if compat.is_torch_array(a):
        return np.asarray(a.detach().cpu().numpy())
    if compat.is_cupy_array(a):
        return np.asarray(a.get())
    home = namespace(a).__array_namespace_info__().default_device()
    return np.asarray(a if compat.device(a) == home else compat.to_device(a, home))


def like(a: Any, reference: Any) -> Any:
    """Return an array in the kind and on the device of another; its dtype stays, where it can.

    Integers become the widest that the device has, and float64 becomes float32 where the device
    has no float64. None stays None.

    Parameters
    ----------
    a : array of any kind, or None
    reference : array of any kind
    """
    if a is None:
        return None
    if not is_elsewhere(reference):
        return to_numpy(a)
    xp, device = namespace(reference), compat.device(reference)
    if is_elsewhere(a):
        if namespace(a) is xp:
            return a if compat.device(a) == device else compat.to_device(a, device)
        a = to_numpy(a)
    return moved(a, xp, device)


def matching(a: Any, reference: Any) -> Any:
    """Return `like(a, reference)`, real numbers in the dtype of the reference: fit to be added.

    For a reference of NumPy, whose dtypes mix by themselves, an array of NumPy stays as it is.
    """
    a = like(a, reference)
    if a is None or not is_elsewhere(reference) or a.dtype == reference.dtype:
        return a
    xp = namespace(reference)
    if xp.isdtype(reference.dtype, "real floating") and xp.isdtype(a.dtype, "real floating"):
        return xp.astype(a, reference.dtype)
    return a


def moved(a: Array, xp: Any, device: Any) -> Any:
    """Return a NumPy array as one of another library, on a device, as `like` does."""
    a = np.asarray(a)
    known = dtypes_of(xp, device)
    if a.dtype.kind in "iu":
        a = a.astype(np.int64 if "int64" in known else np.int32, copy=False)
    elif a.dtype.kind == "f":
        wide = a.dtype.itemsize > 4 and "float64" in known
        with np.errstate(over="ignore"):
            a = a.astype(np.float64 if wide else np.float32, copy=False)
    if not a.flags.writeable or min(a.strides, default=0) < 0:
        a = a.copy()  # PyTorch takes neither
    return xp.asarray(a, device=device)


_DTYPES: dict[tuple[str, str], frozenset[str]] = {}  # asked once for each device


def dtypes_of(xp: Any, device: Any) -> frozenset[str]:
    """Return the names of the dtypes that a device has."""
    key = xp.__name__, str(device)
    if key not in _DTYPES:
        _DTYPES[key] = frozenset(xp.__array_namespace_info__().dtypes(device=device))
    return _DTYPES[key]


def seen_by_numpy(a: Any) -> bool:
    """Return whether NumPy can see the entries of an array without a copy, as float32 or float64.

    It can where a PyTorch tensor is in the memory of this machine.
    """
    if not compat.is_torch_array(a) or a.device.type != "cpu" or a.is_sparse:
        return False
    xp = namespace(a)
    return bool(a.dtype in (xp.float32, xp.float64))


def has_float64(a: Any) -> bool:
    """Return whether the device of an array has float64."""
    return not is_elsewhere(a) or "float64" in dtypes_of(namespace(a), compat.device(a))


def column_sums(g: Any) -> Any:
    """Return the sum over the first axis, in float64 where the device has it, of g's kind."""
    if isinstance(g, np.ndarray):
        return g.sum(axis=0, dtype=np.float64)
    xp = namespace(g)
    return xp.sum(g, axis=0, dtype=xp.float64 if has_float64(g) else xp.float32)


def widened(term: Any) -> Any:
    """Return a term of a sum in float64: an array of its kind where the device has that.

    Elsewhere it comes as a NumPy array. What is no array stays as it is.
    """
    if isinstance(term, np.ndarray):
        return np.asarray(term, dtype=np.float64)
    if not is_elsewhere(term):
        return term
    if not has_float64(term):
        return to_numpy(term).astype(np.float64)
    xp = namespace(term)
    return xp.astype(term, xp.float64, copy=False)


def added(total: Any, term: Any) -> Any:
    """Return total + term, in the place of the total where it is an array."""
    if not is_elsewhere(total):
        term = to_numpy(term) if is_elsewhere(term) else term
    total += term
    return total


def described(a: Any) -> str:
    """Return where an array is, as users call it: "a torch tensor on cuda:0"."""
    if not is_elsewhere(a):
        return "a NumPy array"
    library = type(a).__module__.partition(".")[0]
    kind = "tensor" if library == "torch" else "array"
    article = "an" if library[0] in "aeiou" else "a"
    return f"{article} {library} {kind} on {compat.device(a)}"


def check_together(first: tuple[str, Any], *others: tuple[str, Any]) -> None:
    """Raise `InputError` where named arrays lie on different devices or in different libraries.

    NumPy arrays and lists beside a tensor are fine: they are moved. So is what is None.

    Parameters
    ----------
    first : tuple of (str, array)
        The name and the array that the others must go with.
    *others : tuple of (str, array)

    Raises
    ------
    InputError
        With the names of both arrays and where they are.
    """
    name, a = first
    for other, b in others:
        if not (is_elsewhere(a) and is_elsewhere(b)):
            continue
        if namespace(a) is not namespace(b) or compat.device(a) != compat.device(b):
            raise InputError(
                f"{name} is {described(a)}, but {other} is {described(b)}: move one of them, so"
                " that both are in the same place."
            )


def check_finite(a: Any, names: Sequence[str] | None = None, *, what: str = "A") -> None:
    """Raise `InputError` naming the column, the count and the first row of NaN or infinity.

    One sum for each block of rows is taken on the device; only a block that fails is looked at.

    Parameters
    ----------
    a : array of the standard, of shape (n, d)
    names : sequence of str or None, default None
        Of the columns.
    what : str, default "A"
        What it is called.

    Raises
    ------
    InputError
    """
    xp = namespace(a)
    if not xp.isdtype(a.dtype, "real floating"):
        return
    n, d = (int(size) for size in a.shape)
    size = max(64, LOOKED_AT // d)
    first, bad = np.full(d, -1), np.zeros(d, dtype=np.int64)
    for start in range(0, n, size):
        block = a[start : min(start + size, n), :]
        # One sum tells the usual case: a finite sum has finite terms.
        with np.errstate(over="ignore", invalid="ignore"):
            if bool(xp.isfinite(xp.sum(block))):
                continue
        mask = to_numpy(~xp.isfinite(block))
        new = mask.any(axis=0) & (first < 0)
        first[new] = start + mask[:, new].argmax(axis=0)
        bad += mask.sum(axis=0)
    if bad.any():
        column = int(np.argmax(bad > 0))
        label = f"column {column}" if names is None else f"column {names[column]!r}"
        raise InputError(
            f"{label} of {what} holds NaN or infinity in {bad[column]} of {n} rows, first in row"
            f" {first[column]}. Fill or drop these rows."
        )


def itemsize(a: Any) -> int:
    """Return the bytes of an entry."""
    size = getattr(a, "itemsize", None)
    if size is not None:
        return int(size)
    xp = namespace(a)
    info = xp.finfo if xp.isdtype(a.dtype, "real floating") else xp.iinfo
    return int(info(a.dtype).bits) // 8
