"""The log loss of rowwise softmax on arrays of any library and device, by the array API standard.

The same formulas as in `Multinomial`, which says what they are; arrays of NumPy take its own way,
which works in place.
"""

from __future__ import annotations

from typing import Any

import array_api_compat as compat

from softunit._array_api import column_sums, has_float64, like, matching, namespace


def value(z: Any, target: Any, weights: Any = None) -> float:
    """Return the weighted sum of log losses for scores (n,) or (n, K)."""
    xp = namespace(z)
    if z.ndim == 1:
        losses = _softplus(z, xp.exp(-xp.abs(z))) - _second(target, z) * z
        return _total(losses, weights)
    shifted = z - xp.max(z, axis=1, keepdims=True)
    own = _own_scores(shifted, _labels(target, z))
    return _total(xp.log(xp.sum(xp.exp(shifted), axis=1)) - own, weights)


def value_gradient(z: Any, target: Any, weights: Any = None) -> tuple[float, Any]:
    """Return the loss and s * (P - Y), of the shape of z."""
    if z.ndim == 1:
        return _two_classes(z, _second(target, z), weights)
    xp, target = namespace(z), _labels(target, z)
    p = z - xp.max(z, axis=1, keepdims=True)
    own = _own_scores(p, target)
    p = xp.exp(p)
    sums = xp.sum(p, axis=1)
    loss = _total(xp.log(sums) - own, weights)
    s: Any = 1.0 if weights is None else matching(weights, z)
    p *= (s / sums)[:, None]
    shares = target if target.ndim == 2 else xp.astype(_is_own(target, z), z.dtype)
    p -= shares if weights is None else shares * s[:, None]
    return loss, p


def probabilities(z: Any) -> Any:
    """Return P, shape (n, K), for scores (n, K) or for two classes (n,)."""
    xp = namespace(z)
    if z.ndim == 1:
        second = logistic(z)
        return xp.stack([logistic(-z), second], axis=1)
    p = xp.exp(z - xp.max(z, axis=1, keepdims=True))
    p /= xp.sum(p, axis=1, keepdims=True)
    return p


def logistic(z: Any) -> Any:
    """Return 1 / (1 + exp(-z)) entrywise, from an exponential that does not overflow."""
    xp = namespace(z)
    small = xp.exp(-xp.abs(z))
    return xp.where(z >= 0, xp.ones_like(z), small) / (1.0 + small)


def _two_classes(z: Any, y: Any, weights: Any) -> tuple[float, Any]:
    xp = namespace(z)
    small = xp.exp(-xp.abs(z))
    loss = _total(_softplus(z, small) - y * z, weights)
    gradient = xp.where(z >= 0, xp.ones_like(z), small) / (1.0 + small) - y
    return loss, gradient if weights is None else gradient * matching(weights, z)


def _softplus(z: Any, small: Any) -> Any:
    """Return log(1 + exp(z)) from small = exp(-|z|)."""
    xp = namespace(z)
    return xp.where(z > 0, z, xp.zeros_like(z)) + xp.log1p(small)


def _labels(target: Any, z: Any) -> Any:
    """Return the target beside z: labels as whole numbers, shares in the dtype of z."""
    return matching(target, z) if target.ndim == 2 else like(target, z)


def _second(target: Any, z: Any) -> Any:
    """Return the share of the second class, (n,), in the dtype of z."""
    xp, y = namespace(z), like(target, z)
    return xp.astype(y[:, 1] if y.ndim == 2 else y, z.dtype)


def _own_scores(z: Any, target: Any) -> Any:
    """Return sum_k Y_ik z_ik, shape (n,)."""
    xp = namespace(z)
    if target.ndim == 2:
        return xp.sum(target * z, axis=1)
    return xp.take_along_axis(z, _index(target, xp)[:, None], axis=1)[:, 0]


def _is_own(target: Any, z: Any) -> Any:
    """Return whether a class is the observed one, (n, K)."""
    xp = namespace(z)
    classes = xp.arange(z.shape[1], dtype=target.dtype, device=compat.device(z))
    return target[:, None] == classes[None, :]


def _index(labels: Any, xp: Any) -> Any:
    """Return labels in a dtype that indexes."""
    whole = xp.isdtype(labels.dtype, "signed integer") and labels.dtype != xp.int8
    return labels if whole else xp.astype(labels, xp.int64)


def _total(losses: Any, weights: Any) -> float:
    if weights is not None:
        xp = namespace(losses)
        wide = xp.astype(losses, xp.float64, copy=False) if has_float64(losses) else losses
        losses = wide * matching(weights, wide)
    return float(column_sums(losses))
