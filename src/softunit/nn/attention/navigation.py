"""Navigation of a query away from the keys that it has already found (arXiv 2410.02284)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from softunit.errors import InputError
from softunit.nn._checks import check_count, check_number


def navigate(q: Tensor, keys: Tensor, explored: Tensor, strength: float) -> Tensor:
    """Return the query pushed away from explored keys, of the shape (..., d) of q.

    q - strength * sum_{e explored} k_e: the scores of explored keys fall, and with them those of
    all keys that resemble them.

    Parameters
    ----------
    q : Tensor of shape (..., d)
        The last hidden state of a language model, say.
    keys : Tensor of shape (m, d)
        Rows of its output layer.
    explored : Tensor of int, shape (..., e)
        Places of the explored keys of each query; the leading axes are those of q.
    strength : float
        Zero or above. |q| over the norm of a key and the number of keys of a round would turn the
        query round at once; try a tenth to a third of that.

    Returns
    -------
    Tensor of shape (..., d)

    Raises
    ------
    InputError
        If shapes, dtypes or devices do not fit, a place is not one of the keys, or the strength is
        negative or not finite.

    Examples
    --------
    >>> import torch
    >>> navigate(torch.tensor([2.0, 1.0]), torch.eye(2), torch.tensor([0]), strength=0.5)
    tensor([1.5000, 1.0000])
    """
    strength = _check(q, keys, strength)
    _check_tensor("explored", explored, q)
    if explored.dtype != torch.int64 or explored.ndim < 1 or explored.shape[:-1] != q.shape[:-1]:
        raise InputError(
            f"`explored` must be int64 of shape {(*q.shape[:-1], 'e')}, as q of shape"
            f" {tuple(q.shape)}; got {explored.dtype} of shape {tuple(explored.shape)}."
        )
    if explored.numel() and not bool(((explored >= 0) & (explored < len(keys))).all()):
        raise InputError(
            f"`explored` must hold places from 0 to {len(keys) - 1}; got {int(explored.min())} to"
            f" {int(explored.max())}."
        )
    return q - strength * keys[explored].sum(-2)


def explore(q: Tensor, keys: Tensor, *, rounds: int, count: int, strength: float) -> Tensor:
    """Return the places of the keys that rounds of navigation find, of shape (..., rounds * count).

    1. Score all keys against the query, <q, k>, and take the `count` best that are still new.
    2. Push the query away from all taken so far: `navigate`.
    3. Go on for `rounds` rounds. A strength of zero gives the plain top rounds * count.

    Parameters
    ----------
    q : Tensor of shape (..., d)
    keys : Tensor of shape (m, d)
    rounds, count : int
        At least one each; rounds * count at most m.
    strength : float
        As in `navigate`.

    Returns
    -------
    Tensor of int64, shape (..., rounds * count)
        In the order in which they were found; none comes twice.

    Raises
    ------
    InputError
        As `navigate`, if there are fewer keys than are to be found, or if a score is nan or
        infinite, and so has no order.
    """
    strength = _check(q, keys, strength)
    rounds, count = check_count("rounds", rounds), check_count("count", count)
    if rounds * count > len(keys):
        raise InputError(
            f"{rounds} rounds of {count} need {rounds * count} keys; there are {len(keys)}."
        )
    found = torch.empty((*q.shape[:-1], 0), dtype=torch.int64, device=q.device)
    for _ in range(rounds):
        scores = navigate(q, keys, found, strength) @ keys.mT
        _check_order(scores)
        fresh = scores.scatter(-1, found, -math.inf).topk(count, -1).indices
        found = torch.cat((found, fresh), -1)
    return found


def _check_tensor(name: str, given: Any, q: Tensor) -> None:
    if not isinstance(given, Tensor):
        raise InputError(f"`{name}` must be a torch tensor; got {type(given).__name__}.")
    if given.device != q.device:
        raise InputError(f"`{name}` is on {given.device} and `q` on {q.device}: move one.")


def _check_order(scores: Tensor) -> None:
    """Refuse scores that are not finite: nan would come out as the best of all."""
    finite = torch.isfinite(scores)
    if not bool(finite.all()):
        raise InputError(
            f"{int((~finite).sum())} of {scores.numel()} scores <q, k> are nan or infinite, so the"
            " keys have no order: look for such numbers in `q` and `keys`, or scale them down."
        )


def _check(q: Tensor, keys: Tensor, strength: float) -> float:
    """Return the strength as a float, refusing what does not fit."""
    for name, given in (("q", q), ("keys", keys)):
        _check_tensor(name, given, q)
    if keys.ndim != 2 or q.ndim < 1 or q.shape[-1] != keys.shape[-1] or q.dtype != keys.dtype:
        raise InputError(
            "`q` must be (..., d) and `keys` (m, d) of the same dtype; got"
            f" {tuple(q.shape)} {q.dtype} and {tuple(keys.shape)} {keys.dtype}."
        )
    if not q.is_floating_point():
        raise InputError(f"`q` and `keys` must be of a floating dtype; got {q.dtype}.")
    return check_number("strength", strength, least=0)
