"""What leverage scores leave open, said in sentences: for warnings and for the certificate."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from softunit._typing import Vector
from softunit.errors import NotUniqueWarning, SoftunitWarning
from softunit.estimators._leverage_parts import Part, parts_of
from softunit.estimators._leverage_signs import MET, Closed, in_range
from softunit.estimators._leverage_stages import Sizes
from softunit.proofs import Statement
from softunit.units import LeverageScores

SUM = 1e-6  # |sum sigma - rank| over the rank from which it is said
OUTSIDE = 1e-9  # how far scores may lie outside [0, 1] by rounding
SHOWN = 5  # rows named in one sentence
SAME = 1e-6  # of |z|: answers closer than that are one answer
NEAR = 10.0  # times the best misfit: other signs within are named
DOUBTFUL = 0.1  # of the scores' spread left over: such an answer may be worth nothing
RANK = 1e-9  # of rows of an orthonormal basis


@dataclass(frozen=True)
class Remark:
    """Something about the data or the answer that must not stay hidden.

    Attributes
    ----------
    text : str
    proved : bool or None, default None
        As in `Statement`.
    warning : type of SoftunitWarning or None, default None
        Which warning goes with it.
    """

    text: str
    proved: bool | None = None
    warning: type[SoftunitWarning] | None = None

    @property
    def statement(self) -> Statement:
        """The remark as a sentence of a certificate."""
        return Statement(self.text, self.proved)


@dataclass
class Remarks:
    """What is said of one inversion, and what it means for the answer being the only one.

    Attributes
    ----------
    unit : LeverageScores
    sigma : ndarray of shape (n,)
    parts : tuple of Part
        Of A.
    found : list of Remark
    unique : bool or None
        False once something leaves the answer open; None where only a search for signs stands
        behind it.
    """

    unit: LeverageScores
    sigma: Vector
    parts: tuple[Part, ...] = ()
    found: list[Remark] = field(default_factory=list)
    unique: bool | None = True

    def look(self) -> None:
        """Find the parts of A, and say what scores, A and b leave open by themselves."""
        self._scores()
        self._rows_of_zeros()
        self.parts = parts_of(self.unit.span)
        silent = [part.rows for part in self.parts if part.silent]
        if silent:
            self.doubt(
                f"{listed(np.sort(np.concatenate(silent)))} cannot but have leverage score 1,"
                " whatever x: the scores say nothing of A x there, and it is left at a prior `x0`,"
                " or at 0."
            )
        if len(self.parts) > 1:
            self.note(
                f"A splits into {len(self.parts)} parts that share no column after a change of"
                " columns. Leverage scores do not see the scale of s in any of them: each part is"
                " solved by itself, and its scale follows from b."
            )
        for part in self.parts:
            if not part.silent:
                self._part(part)

    def _scores(self) -> None:
        rank, total = self.unit.span.rank, float(self.sigma.sum())
        if self.unit.span.null.shape[1]:
            self.doubt(
                f"A has rank {rank}, less than its {len(self.unit.span.null)} columns: directions"
                " of x that move no score are unknown. The x of least norm is returned."
            )
        if abs(total - rank) > SUM * rank:
            self.warn(
                f"the leverage scores sum to {total:.6g}, but A has rank {rank}, which is what they"
                " must sum to. Their logits are moved by one constant for the first stages; the"
                " polish fits them as given."
            )
        outside = np.flatnonzero((self.sigma < -OUTSIDE) | (self.sigma > 1 + OUTSIDE))
        if len(outside):
            self.warn(
                f"{len(outside)} leverage scores lie outside [0, 1], the first is"
                f" {self.sigma[outside[0]]:.6g} in row {outside[0]}: no projection has them. All"
                " are cut to an interval inside for the first stages; the polish fits them as"
                " given."
            )

    def _rows_of_zeros(self) -> None:
        zero = np.flatnonzero(~self.unit.span.basis.any(axis=1))
        if not len(zero):
            return
        text = f"zero in A: {listed(zero)}. Their scores are 0 whatever x, and say nothing."
        loud = zero[np.abs(self.sigma[zero]) > SUM]
        if len(loud):
            self.warn(
                f"{text} Yet sigma is {self.sigma[loud[0]]:.6g} in row {loud[0]}: no x has that."
            )
        else:
            self.note(text)

    def _part(self, part: Part) -> None:
        """Say what rows and b of one part leave open."""
        m, rank, where = len(part.rows), part.rank, self.where(part)
        ray = in_range(part, self.unit.shift[part.rows])
        if ray:
            self.doubt(
                f"b lies in the range of A{where}: the scores are the same along rays from the x"
                f" with A x = b, and only the direction of x from there is known (rank {rank - 1}"
                f" of {rank}). The point returned has |A x - b| = |b|, or is the nearest on its ray"
                " to a prior `x0`."
            )
        if m - 1 < rank + (not ray):
            self.doubt(
                f"{m} leverage scores of sum {rank} have {m - 1} degrees of freedom for {rank}"
                f" unknowns{where}: every choice of signs of s has its own x that meets them."
            )

    def where(self, part: Part) -> str:
        """Return words for a part, empty where A has one only."""
        return f" in the part of {listed(part.rows)}" if len(self.parts) > 1 else ""

    def few_rows(self, part: Part, width: int) -> None:
        """Say that rows are too few to settle signs in a subspace of some width."""
        self.doubt(
            f"{len(part.rows)} rows are fewer than the {2 * width - 1} that settle signs of s in"
            f" general{self.where(part)}: other signs, and other x, may meet the scores as well."
            " Give a prior `x0`, or `signs`."
        )

    def wrong_signs(self, part: Part, closed: Closed) -> None:
        """Say that given signs do not fit."""
        self.warn(
            f"the given signs of s = A x - b do not fit the scores{self.where(part)}: the misfit is"
            f" {closed.misfit:.2g} (0 for exact data and the right signs)."
        )

    def signs(self, part: Part, closed: Closed, others: list[Closed], how: str) -> None:
        """Say which signs were found, how well they fit, and what else would."""
        where, negative = self.where(part), int((closed.signs < 0).sum())
        self.note(
            f"the signs of s = A x - b were not given{where}. Taken: {how}, {negative} of"
            f" {len(closed.signs)} negative, with misfit {closed.misfit:.1e} (0 for exact data and"
            " the right signs).",
            proved=False,
        )
        size = SAME * float(np.linalg.norm(closed.z))
        near = max(NEAR * closed.misfit, MET)
        others = [other for other in others if np.linalg.norm(other.z - closed.z) > size]
        rivals = [other for other in others if other.misfit <= near]
        if rivals and closed.misfit <= MET:
            self.doubt(
                f"at least {len(rivals)} other sets of signs meet the scores as well{where}: the x"
                " of one of them is returned. Give a prior `x0`, or `signs`."
            )
        elif rivals:
            self.note(
                f"{len(rivals)} other sets of signs come near{where}, with misfits from"
                f" {rivals[0].misfit:.1e}."
            )

    def unattainable(self, part: Part, sigma: Vector, sizes: Sizes) -> None:
        """Say that the convex stage has no minimum, and which rows ask for too much, if seen."""
        order = np.argsort(-sizes.t)
        rows = order[: int(np.argmax(-np.diff(sizes.t[order]))) + 1]
        rank = int(np.linalg.matrix_rank(part.basis[rows], tol=RANK))
        total, why = float(sigma[rows].sum()), ""
        if total > rank * (1 - SUM):
            why = (
                f" {listed(part.rows[np.sort(rows)]).capitalize()} ask for {total:.6g} together,"
                f" and scores of rows of rank {rank} sum to less than that."
            )
        self.warn(
            "the convex stage did not reach the leverage scores (Newton decrement"
            f" {sizes.decrement:.1e} after {sizes.n_iter} steps): no x has them, or an entry of"
            f" A x - b is next to 0.{why} The answer fits them as well as the polish could from"
            " there."
        )

    def left_over(self, left: float) -> None:
        """Say that an answer leaves much of the scores unexplained, if it does.

        Parameters
        ----------
        left : float
            The sum of squared residuals.
        """
        spread = float(((self.sigma - self.sigma.mean()) ** 2).sum())
        if left > DOUBTFUL * spread + 1e-20 * len(self.sigma):
            share = f"{left / spread:.2g} of" if spread > 0 else f"{left:.2g}, more than"
            self.warn(
                f"the answer leaves {share} the squared spread of the leverage scores"
                " unexplained. They are noisy or of another A or b, or the fit ended in a wrong"
                " minimum: x may be far off. A prior `x0` near x would help."
            )

    def note(self, text: str, *, proved: bool | None = None) -> None:
        """Add a sentence without a warning.

        Parameters
        ----------
        text : str
        proved : bool or None, default None
        """
        self.found.append(Remark(text, proved))

    def warn(self, text: str) -> None:
        """Add a sentence with a warning."""
        self.found.append(Remark(text, None, SoftunitWarning))

    def doubt(self, text: str) -> None:
        """Add a sentence with a warning that the answer is not the only one."""
        self.unique = False
        self.found.append(Remark(text, False, NotUniqueWarning))


def listed(rows: npt.NDArray[np.integer]) -> str:
    """Return "row 3", or "rows 1, 2, 3, 4, 5 and 7 more"."""
    names = ", ".join(str(int(i)) for i in rows[:SHOWN])
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"row{'s' if len(rows) > 1 else ''} {names}{more}"
