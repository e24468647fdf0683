"""Who runs: ours and scikit-learn's, each made to try for the same accuracy."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sklearn.linear_model import LogisticRegression

from benchmarks.work import REACHED, Work, judged
from softunit import SoftmaxClassifier

MAX_ITER = 10_000
TOL = REACHED / 2  # for both: each compares it with the largest entry of the mean gradient


def softunit(solver: str) -> Callable[[float], Any]:
    """Return C -> our classifier with a solver."""
    return lambda C: SoftmaxClassifier(C=C, solver=solver, tol=TOL, max_iter=MAX_ITER)


def scikit_learn(solver: str) -> Callable[[float], Any]:
    """Return C -> their classifier with a solver."""
    return lambda C: LogisticRegression(C=C, solver=solver, tol=TOL, max_iter=MAX_ITER)


PEERS: dict[str, Callable[[float], Any]] = {
    **{f"softunit {solver}": softunit(solver) for solver in ("auto", "newton", "lbfgs")},
    **{
        f"scikit-learn {solver}": scikit_learn(solver)
        for solver in ("lbfgs", "newton-cg", "newton-cholesky")
    },
}


@dataclass(frozen=True)
class Result:
    """One peer on one piece of work."""

    work: str
    n: int
    d: int
    classes: int
    C: float
    condition: float | None
    peer: str
    reached: bool
    gradient: float
    value: float
    seconds: float
    gradient_equivalents: float
    n_iter: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; a run that missed has no time."""
        out = asdict(self)
        if not self.reached:
            out["seconds"] = out["gradient_equivalents"] = None
        return out


def measured(work: Work, peer: str, gradient_seconds: float, repeats: int) -> Result:
    """Fit, judge, and return the best time of some repeats."""
    seconds = []
    for _ in range(repeats):
        model = PEERS[peer](work.C)
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the judge says whether it got there
            model.fit(work.X, work.y)
        seconds.append(time.perf_counter() - begin)
    value, gradient = judged(work, model.coef_, model.intercept_)
    return Result(
        work=work.name,
        n=work.X.shape[0],
        d=work.X.shape[1],
        classes=len(model.classes_),
        C=work.C,
        condition=work.condition,
        peer=peer,
        reached=gradient <= REACHED,
        gradient=gradient,
        value=value,
        seconds=min(seconds),
        gradient_equivalents=min(seconds) / gradient_seconds,
        n_iter=int(model.n_iter_.max()),
    )
