"""What every sketch offers: a draw, its products, and the distortion that it promises."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from softunit._checks import check_count, check_positive, check_weights
from softunit._typing import Array, Matrix, Vector
from softunit.designs import DenseDesign, Design, SparseDesign, as_design
from softunit.designs.base import BLOCK_ENTRIES
from softunit.errors import InputError
from softunit.sketches.bounds import least_rows

Index = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Distortion:
    """What a sketch S with m rows promises for A with n rows and d columns.

    With probability at least 1 - delta, for all x at once::

        (1 - eps) |A x|^2  <=  |S A x|^2  <=  (1 + eps) |A x|^2

    Attributes
    ----------
    eps : float
        From one on, the lower half says nothing; infinity promises nothing at all.
    delta : float
    rows, n, d : int
        m, n and d.
    source : str
        Where the bound comes from, and what it asks for.
    """

    eps: float
    delta: float
    rows: int
    n: int
    d: int
    source: str

    @property
    def statement(self) -> str:
        """The promise as a sentence."""
        if math.isinf(self.eps):
            return f"Nothing is promised for {self.rows} rows. {self.source}"
        promise = (
            f"With probability {1 - self.delta:.4g}, |S A x|^2 is within a factor"
            f" 1 +- {self.eps:.4g} of |A x|^2 for all x ({self.rows} rows for {self.n}, {self.d}"
            " columns)."
        )
        vacuous = " An eps of one or more bounds |S A x| from above only." if self.eps >= 1 else ""
        return f"{promise}{vacuous} {self.source}"


@dataclass(frozen=True, eq=False)
class Drawn(ABC):
    """One drawn sketch S: a fixed linear map from n rows to m, the same for A and for b."""

    n: int

    def apply(self, a: Any, *, weights: npt.ArrayLike | None = None) -> Array:
        """Return S diag(sqrt(weights)) a: (m, d), or (m,) for one column.

        Parameters
        ----------
        a : array_like of shape (n,) or (n, d), scipy sparse, frame, or Design
            A sparse matrix stays sparse, and no design is copied whole.
        weights : array_like of shape (n,) or None, default None
            Row weights; None means one.

        Raises
        ------
        InputError
            If a has other than n rows, or holds NaN or infinity; if a weight is negative.
        """
        column = isinstance(a, np.ndarray) and a.ndim == 1
        design = as_design(a[:, None] if column else a)
        if design.shape[0] != self.n:
            raise InputError(
                f"the sketch was drawn for {self.n} rows, but A has {design.shape[0]}: draw"
                " another for it."
            )
        root = None if weights is None else np.sqrt(check_weights(weights, self.n))
        image = self._whole(design, root)
        return image[:, 0] if column else image

    def _whole(self, design: Design, root: Vector | None) -> Matrix:
        """Return S diag(root) A; a wrapped sparse design through its stored entries."""
        core = stored(design)
        if core is design:
            return self._image(design, root)
        ones = DenseDesign(np.ones((self.n, 1)))
        total = self._image(ones, root)[:, 0]
        return np.asarray(design.from_core(self._image(core, root).T, total).T)

    @abstractmethod
    def _image(self, design: Design, root: Vector | None) -> Matrix:
        """Return S diag(root) A, (m, d), in one pass over blocks of rows."""


def stored(design: Design) -> Design:
    """Return the stored entries of a wrapped sparse design; a dense one as it is.

    Blocks of a dense design are centred and scaled as they are read, which keeps the digits of
    columns far from zero; those of a sparse one would fill in.
    """
    return design.core if isinstance(design.core, SparseDesign) else design


def rows_of_blocks(design: Design, rows: int) -> int:
    """Return how many rows a block has, for images of some rows: they must earn their addition."""
    n, d = design.shape
    entries = design.row_entries
    return min(n, max(64, int(max(BLOCK_ENTRIES, rows * d) / entries)))


@dataclass(frozen=True)
class Sketch(ABC):
    """A random linear map from n rows to m, or a sample of m rows, with a stated distortion.

    `draw` fixes the random numbers; what it returns applies the same S to A and to b. `apply` does
    both at once. Settings are frozen, and random numbers come from the generator passed in.
    """

    m: int
    dense: ClassVar[bool] = False
    """Whether every row of S is dense, as the entrywise guarantee of arXiv 2302.00248 asks."""
    oblivious: ClassVar[bool] = True
    """Whether S is drawn without a look at A, so that its promise holds for [A, b] as well."""
    source: ClassVar[str]
    """Where the distortion comes from, as a sentence."""

    def __post_init__(self) -> None:
        check_count("m", self.m, least=1)

    @abstractmethod
    def draw(self, a: Any, rng: np.random.Generator) -> Drawn:
        """Return S, drawn for a design or array of shape (n, d)."""

    def apply(self, a: Any, rng: np.random.Generator) -> Matrix:
        """Return S A for a newly drawn S, shape (m, d); row samples may return fewer rows."""
        design = as_design(a)
        return np.asarray(self.draw(design, rng).apply(design))

    def distortion(self, n: int, d: int, *, delta: float = 0.05) -> Distortion:
        """Return the distortion that is promised for A of shape (n, d).

        Parameters
        ----------
        n, d : int
            Rows and columns of A; a smaller rank than d only helps.
        delta : float, default 0.05
            Probability with which the promise may fail.

        Raises
        ------
        InputError
            If n or d is below one, or delta is not in (0, 1).
        """
        _check_sizes(n, d, delta)
        return Distortion(self._eps(n, d, delta), delta, self.m, n, d, self.source)

    def rows_needed(self, n: int, d: int, *, eps: float, delta: float = 0.05) -> int:
        """Return the least m for which a sketch of this kind promises eps.

        Parameters
        ----------
        n, d : int
            Rows and columns of A.
        eps : float
            Distortion wished for, above zero.
        delta : float, default 0.05
            Probability with which the promise may fail.

        Raises
        ------
        InputError
            If a size is below one, eps is not above zero, or delta is not in (0, 1).
        """
        _check_sizes(n, d, delta)
        check_eps(eps)
        return self.resized(least_rows(lambda m: self.resized(m)._eps(n, d, delta), eps)).m

    def resized(self, m: int) -> Self:
        """Return the same sketch with m rows."""
        return replace(self, m=m)

    @abstractmethod
    def _eps(self, n: int, d: int, delta: float) -> float:
        """Return the eps promised with probability 1 - delta; infinity where there is none."""

    def residual_eps(self, n: int, d: int, *, delta: float = 0.05) -> float:
        """Return eps: |A x' - b| <= (1 + eps) min |A x - b| for x' = argmin |S (A x - b)|.

        The smaller of two bounds. With a distortion e of the d + 1 columns [A, b], 1 + eps =
        sqrt((1 + e) / (1 - e)). With a distortion e of A alone, and E |U' S'S r|^2 <= c |r|^2 / m
        for the residual r and an orthonormal basis U of the range, 1 + eps = sqrt(1 + q^2) with
        q = sqrt(c / (m delta / 2)) / (1 - e); each half may fail with probability delta / 2.

        Parameters
        ----------
        n, d : int
            Rows and columns of A.
        delta : float, default 0.05
            Probability with which the promise may fail.
        """
        _check_sizes(n, d, delta)
        both = self._eps(n, d + 1, delta) if self.oblivious else math.inf
        first = math.sqrt((1 + both) / (1 - both)) - 1 if both < 1 else math.inf
        alone = self._eps(n, d, delta / 2)
        second = math.inf
        if alone < 1:
            q = math.sqrt(2 * self._cross(n, d) / (self.m * delta)) / (1 - alone)
            second = math.expm1(0.5 * math.log1p(q * q))
        return min(first, second)

    def entry_eps(self, n: int, d: int, *, delta: float = 0.05) -> float:
        """Return eps: |x' - x*|_inf <= (eps / sqrt(d)) |A x* - b| |A^+|; infinity unless `dense`.

        Parameters
        ----------
        n, d : int
            Rows and columns of A.
        delta : float, default 0.05
            Probability with which the promise may fail.
        """
        _check_sizes(n, d, delta)
        return math.inf

    def _cross(self, n: int, d: int) -> float:
        """Return c with E |U' S'S r|^2 <= c |r|^2 / m for r orthogonal to U, orthonormal (n, d)."""
        return float(d)


def check_eps(eps: float) -> None:
    """Raise `InputError` unless eps is a number above zero."""
    check_positive("eps", eps)


def check_delta(delta: object) -> None:
    """Raise `InputError` unless delta is a number in (0, 1)."""
    if not isinstance(delta, (int, float, np.integer, np.floating)) or not 0 < delta < 1:
        raise InputError(f"`delta` must be in (0, 1); got {delta!r}.")


def check_generator(rng: object) -> None:
    """Raise `InputError` unless rng is a numpy Generator."""
    if not isinstance(rng, np.random.Generator):
        raise InputError(
            f"`rng` must be a numpy Generator; got {rng!r}. np.random.default_rng(seed) makes one."
        )


def _check_sizes(n: int, d: int, delta: float) -> None:
    check_count("n", n, least=1)
    check_count("d", d, least=1)
    check_delta(delta)
