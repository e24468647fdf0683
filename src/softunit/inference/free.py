"""The directions of x along which the data may move an estimate, and how reports see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import helmert

from softunit._typing import Array, Matrix, Vector
from softunit.designs import Design, ScaledDesign
from softunit.errors import InputError
from softunit.problem import FORM_LIMIT, Problem

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Free:
    """x = E u for the parameters u that are estimated.

    Two kinds of direction are left out: constants across the classes, which change no probability,
    and entries that an l1 penalty holds at zero. The columns of E are orthonormal.

    Attributes
    ----------
    basis : sparse matrix of shape (p, r)
        E, for x flattened row-major.
    classes : ndarray of shape (K, m)
        What every row of x has in common: E = I kron `classes` where `held` is empty.
    held : ndarray of bool, shape (p,)
        Entries held at zero.
    """

    basis: Any
    classes: Matrix
    held: Mask

    @classmethod
    def of(cls, problem: Problem, x: Array) -> Free:
        """Return the free directions of a problem at its optimum x, (d,) or (d, K)."""
        d, k = problem.shape[0], problem.columns
        held = np.zeros((d, k), dtype=bool)
        if problem.lasso is not None:
            held |= (problem.lasso.sizes(x).reshape(d, -1) == 0) & np.broadcast_to(
                problem.lasso.strength.reshape(d, -1) > 0, (d, k)
            )
        blind = problem.unit.rowwise and problem.unit.shift_invariant and k > 1
        classes = helmert(k).T if blind else np.eye(k)
        if held.any():
            own = np.eye(k)
            rows = [classes if not h.any() else own[:, ~h] for h in held]
            basis = sparse.block_diag(rows, format="csr")
        else:
            basis = sparse.kron(sparse.eye_array(d), classes, format="csr")
        return cls(basis, classes, held.ravel())

    @property
    def size(self) -> int:
        """How many parameters are estimated."""
        return int(self.basis.shape[1])

    def project(self, v: Array) -> Array:
        """Return E E' v for v of shape (p,) or (p, m)."""
        return np.asarray(self.basis @ (self.basis.T @ v))

    def reduce(self, matrix: Matrix) -> Matrix:
        """Return E' M E, (r, r), for a symmetric M (p, p)."""
        return np.asarray(self.basis.T @ (self.basis.T @ matrix).T)

    def input_map(self, design: Design) -> Matrix:
        """Return T E, (p, r): from u to the coefficients of the input's columns."""
        dense = self.basis.toarray()
        d = design.shape[1]
        return np.asarray(design.to_input(dense.reshape(d, -1)).reshape(dense.shape))


def transposed_to_input(design: Design, v: Array) -> Array:
    """Return T' v for v of shape (d, m), where T is the design's `to_input`.

    Raises
    ------
    InputError
        If the design's `to_input` is of an unknown kind and too large to be written out.
    """
    if isinstance(design, ScaledDesign):
        inner = design.inner.shape[1]
        total = v[inner] if design.intercept else np.zeros(v.shape[1:])
        return design.from_core(v[:inner], total)
    d = design.shape[1]
    if type(design).to_input is Design.to_input:
        return v
    if d > FORM_LIMIT:
        raise InputError(
            f"{type(design).__name__} has {d} columns and changes coordinates in a way of its own:"
            " errors by conjugate gradients are for plain and scaled designs, beyond"
            f" {FORM_LIMIT} columns."
        )
    return np.asarray(design.to_input(np.eye(d)).T @ v)


def ridge_entries(problem: Problem) -> Vector:
    """Return the quadratic part of the penalties for each entry of x flattened, (p,)."""
    return np.repeat(problem.ridge, problem.columns)


def lasso_curvature(problem: Problem, x: Array) -> Any:
    """Return the second derivative of an l1 penalty on rows of x, sparse (p, p); None for others.

    Of s |x_j| it is s / |x_j| (I - x_j x_j' / |x_j|^2) where x_j is not zero.
    """
    lasso = problem.lasso
    if lasso is None or not lasso.group or x.ndim == 1:
        return None
    blocks = []
    for row, size, strength in zip(x, lasso.sizes(x)[:, 0], lasso.strength[:, 0], strict=True):
        own = np.zeros((len(row), len(row)))
        if size > 0:
            own = strength / size * (np.eye(len(row)) - np.outer(row, row) / size**2)
        blocks.append(own)
    return sparse.block_diag(blocks, format="csr")
