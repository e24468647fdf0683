"""What a paper asks of the regulariser, and the constants that it promises."""

from __future__ import annotations

import math
from dataclasses import dataclass

from softunit._typing import Vector


@dataclass(frozen=True)
class Theory:
    """A paper's condition on w and its Lipschitz constant of the Hessian.

    Where w_i^2 >= w_squared_i + l / sigma_min(A)^2 the Hessian is at least l, and where |A| and |x|
    are at most R it is Lipschitz with log constant `radius_factor` R^2 + `log_rows` log n.

    Attributes
    ----------
    source : str
        The paper, or who quotes it.
    w_squared : ndarray of shape (n,)
    radius_factor, log_rows : float
    least_radius : float, default 0.0
        The smallest R that the theorem admits.
    note : str, default ""
        A sentence on what is not as printed.
    """

    source: str
    w_squared: Vector
    radius_factor: float
    log_rows: float
    least_radius: float = 0.0
    note: str = ""

    def log10_lipschitz(self, radius: float, rows: int) -> float:
        """Return the decimal logarithm of the Lipschitz constant: it seldom fits a float."""
        return (self.radius_factor * radius**2 + self.log_rows * math.log(rows)) / math.log(10)
