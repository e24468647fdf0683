"""Separators of chosen tokens of least Frobenius or nuclear norm, each with its duality gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from softunit._typing import Array, Matrix, Vector

END = 1e-8
"""Weight of the barrier at which the nuclear norm's path ends."""


@dataclass(frozen=True)
class Separator:
    """The W of least norm with <(x_chosen - x_t) z', W> >= 1 for all other tokens t.

    Attributes
    ----------
    W : ndarray of shape (d, d)
        Scaled so that its smallest margin is one.
    norm : float
        Its Frobenius or nuclear norm.
    gap : float
        How far that norm is above a dual value at most, as a share of it: proved, not estimated.
    """

    W: Matrix
    norm: float
    gap: float


def constraints(tokens: Array, queries: Matrix, chosen: Vector) -> Array:
    """Return (x_chosen - x_t) z' for every token t that was not chosen, (n (T - 1), d, d).

    Parameters
    ----------
    tokens : ndarray of shape (n, T, d)
    queries : ndarray of shape (n, d)
    chosen : ndarray of int, shape (n,)
    """
    n, T = tokens.shape[:2]
    best = tokens[np.arange(n), chosen][:, None]
    rows = (best - tokens)[..., None] * queries[:, None, None, :]
    return np.asarray(rows[np.arange(T) != chosen[:, None]])


def frobenius(rows: Array) -> Separator:
    """Return the separator of least Frobenius norm, a least-distance problem solved by NNLS.

    min |w| with M w >= 1 has w = -r / r_last, where r is the residual of min |(M', 1') u - e_last|
    over u >= 0 (Lawson and Hanson, chapter 23); u over -r_last solves the dual.

    Parameters
    ----------
    rows : ndarray of shape (m, d, d)
        From `constraints`; there must be a separator.
    """
    M = rows.reshape(len(rows), -1)
    stacked = np.vstack((M.T, np.ones(len(M))))
    last = np.zeros(len(stacked))
    last[-1] = 1.0
    u, _ = nnls(stacked, last)
    r = stacked @ u - last
    w, u = -r[:-1] / r[-1], -u / r[-1]
    w = w / (M @ w).min()
    norm = float(np.linalg.norm(w))
    # |w| >= sum(u) / |M'u| for every u >= 0 and every feasible w.
    return Separator(
        w.reshape(rows.shape[1:]), norm, norm * float(np.linalg.norm(M.T @ u) / u.sum()) - 1.0
    )


def nuclear(rows: Array) -> Separator:
    """Return the separator of least nuclear norm, by a barrier method on its dual.

    The dual is max sum(u) with u >= 0 and the largest singular value of M = sum_k u_k rows_k at
    most one.

    1. Maximise sum(u) + t (sum log u_k + log det [[I, M], [M', I]]) by damped Newton steps.
    2. W = 2 t (I - M M')^-1 M then has margins 1 + t / u_k: it is feasible, and near the least.
    3. Divide t by ten and go on from there, until it is `END`.

    Parameters
    ----------
    rows : ndarray of shape (m, d, d)
        From `constraints`; there must be a separator.
    """
    m, d = rows.shape[:2]
    whole = np.zeros((m, 2 * d, 2 * d))
    whole[:, :d, d:], whole[:, d:, :d] = rows, rows.transpose(0, 2, 1)
    u = np.full(m, 0.5 / np.linalg.norm(rows.sum(axis=0), 2))
    t = float(u.sum()) / m
    while t > END:
        t = max(t / 10, END)
        u, inverse = _centred(whole, u, t)
    W = -2 * t * inverse[:d, d:]
    W = W / np.einsum("kij,ij->k", rows, W).min()
    norm = float(np.linalg.norm(W, "nuc"))
    # A norm of M a rounding above one would make the bound none.
    dual = u.sum() / max(1.0, np.linalg.norm(np.tensordot(u, rows, 1), 2))
    return Separator(W, norm, norm / float(dual) - 1.0)


def _centred(whole: Array, u: Vector, t: float) -> tuple[Vector, Matrix]:
    """Return the maximiser of step 1 and the inverse of its block matrix.

    The objective over t is self-concordant: steps of 1 / (1 + decrement) stay inside and converge.
    """
    for _ in range(200):
        inverse = np.linalg.inv(np.eye(whole.shape[1]) + np.tensordot(u, whole, 1))
        products = inverse @ whole
        slope = 1 / t + 1 / u + np.trace(products, axis1=1, axis2=2)
        curvature = np.diag(u**-2) + np.einsum("kij,lji->kl", products, products)
        step = np.linalg.solve(curvature, slope)
        decrement = float(np.sqrt(max(slope @ step, 0.0)))
        if decrement < 1e-6:
            break
        u = u + step / (1 + decrement if decrement > 0.25 else 1.0)
    return u, inverse
