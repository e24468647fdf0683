"""What a design says of the one that it wraps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit._typing import Matrix
from softunit.curvature import Curvature, WeightedRows
from softunit.designs.base import Design, Home, Terms


class WrapperDesign(Design):
    """A design of the same rows as another, which holds them.

    Subclasses change columns or variables; `around` tells how.
    """

    inner: Design

    @abstractmethod
    def around(self, chunk: Design) -> Design:
        """Return the same wrapper around some rows of the wrapped design."""

    @property
    def nbytes(self) -> int:
        """Bytes of the wrapped design."""
        return self.inner.nbytes

    @property
    def row_entries(self) -> float:
        """Stored entries in a row of the wrapped design, on average."""
        return self.inner.row_entries

    @property
    def home(self) -> Home:
        """Where the rows of the wrapped design live."""
        return self.inner.home

    @property
    def sample_limit(self) -> int | None:
        """Rows that the wrapped design lets be gathered."""
        return self.inner.sample_limit

    @property
    def block_entries(self) -> int:
        """Entries of a block that suits the wrapped design."""
        return self.inner.block_entries

    def chunks(self) -> Iterator[tuple[slice, Design]]:
        """Yield the same wrapper around the chunks of the wrapped design."""
        for rows, chunk in self.inner.chunks():
            yield rows, self if chunk is self.inner else self.around(chunk)

    def at_hand(self, size: int) -> tuple[npt.NDArray[np.integer], Design] | None:
        """Return the same wrapper around rows that another pass has gathered."""
        found = self.inner.at_hand(size)
        return None if found is None else (found[0], self.around(found[1]))

    def beside(self, array: Any, name: str = "the array") -> Any:
        """Return an array of the rows where the wrapped design keeps it."""
        return self.inner.beside(array, name)

    def gram(self, curvature: Curvature) -> Matrix:
        """Return A' C A; where a pass is dear, in one."""
        far = self.home in ("disk", "cluster")
        if far and isinstance(curvature, WeightedRows) and curvature.centre is None:
            return np.asarray(self.reduce(_gram_of_chunk, (curvature.weights,))[0])
        return super().gram(curvature)

    def placed(self, array: Any) -> Any:
        """Return an array where the wrapped design makes its products."""
        return self.inner.placed(array)


def _gram_of_chunk(chunk: Design, arrays: tuple[Any, ...]) -> Terms:
    return (chunk.weighted_gram(arrays[0]),)
