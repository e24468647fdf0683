"""Names for the array types that cross the rooms of the package."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Vector: TypeAlias = npt.NDArray[np.float64]
"""One column of float64: (n,) in score space, (d,) in parameter space."""

Matrix: TypeAlias = npt.NDArray[np.float64]
"""Two axes of float64: (n, K), (d, K) or (d, d)."""

Array: TypeAlias = npt.NDArray[Any]
"""An array whose shape or dtype depends on the input: (n,) or (n, K), labels or shares."""

Kind: TypeAlias = Literal["exact", "gauss_newton"]
"""Which second derivative: the true one, or its positive semidefinite part."""
