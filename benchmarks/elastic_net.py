"""Elastic-net fits beside scikit-learn's saga: python -m benchmarks.elastic_net.

Each fit is a process of its own with its threads pinned. The parent recomputes every objective in
float64 from the definition, and compares supports. saga is run at ever smaller tolerances; its time
is that of the first whose value is within `--bar` of the best value known, relative to it. With one
thread processor time is told, which other work on the machine does not change much.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softunit.bench import generators
from softunit.bench.judge import Task, gradient_of
from softunit.bench.machine import about, pinned

CHILD = """
import json, sys, time, warnings
import numpy as np
from benchmarks.elastic_net import Case, drawn
case, contender, C, tol, threads, out = json.loads(sys.argv[1])
clock = time.process_time if threads == 1 else time.perf_counter
case = Case(**case)
X, y = drawn(case)
warnings.simplefilter("ignore")
if contender == "softunit":
    from softunit import SoftmaxClassifier
    model = SoftmaxClassifier(
        C, l1_ratio=case.l1_ratio, tol=tol, fit_intercept=case.intercept, grouped=case.grouped
    )
else:
    from sklearn.linear_model import LogisticRegression
    model = LogisticRegression(
        C=C, l1_ratio=case.l1_ratio, solver="saga", tol=tol, max_iter=1_000_000,
        fit_intercept=case.intercept, random_state=0,
    )
small = np.linspace(0, len(y) - 1, 200).astype(int)
model.fit(X[small], y[small])  # what is loaded or compiled once is not timed
begin = clock()
model.fit(X, y)
seconds = clock() - begin
np.savez(out, W=model.coef_.T, b=model.intercept_)
said = {"seconds": seconds, "n_iter": int(np.max(model.n_iter_))}
if contender == "softunit":
    said |= {
        "converged": bool(model.solution_.converged),
        "gap_bound": model.certificate_.gap_bound,
    }
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Case:
    """A table and a penalty.

    Attributes
    ----------
    kind : {"dense", "sparse", "zipf"}
        Gaussian columns, correlated; random entries at a density; texts of Zipf words, TF-IDF.
    n, d, k : int
    factor : float
        C over the C at which the first coefficient enters.
    l1_ratio : float
    intercept, grouped : bool
    words : int
        Of a text; entries of a sparse row.
    seed : int
    """

    kind: str
    n: int
    d: int
    k: int
    factor: float
    l1_ratio: float = 1.0
    intercept: bool = True
    grouped: bool = False
    words: int = 100
    seed: int = 0


def drawn(case: Case) -> tuple[Any, np.ndarray]:
    """Return X and y of a case, the same in every process."""
    if case.kind == "zipf":
        return generators.text(case.n, case.d, case.k, case.words, case.seed)
    rng = np.random.default_rng(case.seed)
    if case.kind == "sparse":
        from scipy import sparse

        X = sparse.random_array(
            (case.n, case.d), density=case.words / case.d, format="csr", rng=rng
        )
    else:
        X = rng.standard_normal((case.n, case.d))
        X[:, 1:] += 0.5 * X[:, :-1]
    W = np.where(rng.random((case.d, case.k)) < 0.1, rng.standard_normal((case.d, case.k)), 0.0)
    Z = X @ W
    Z *= 3.0 / Z.std()
    return X, (Z + rng.gumbel(size=Z.shape)).argmax(axis=1)


def first_strength(case: Case, X: Any, y: np.ndarray) -> float:
    """Return the C at which the first coefficient leaves zero, from the definition."""
    counts = np.bincount(y, minlength=case.k)
    p = counts / len(y) if case.intercept else np.full(case.k, 1 / case.k)
    R = np.tile(p, (len(y), 1))
    R[np.arange(len(y)), y] -= 1
    G = X.T @ R
    G = G[:, 1:] if case.k == 2 else G
    size = np.sqrt((G**2).sum(axis=1)).max() if case.grouped else np.abs(G).max()
    return case.l1_ratio / float(size)


def objective(case: Case, task: Task, C: float, W: np.ndarray, b: np.ndarray) -> float:
    """Return the mean objective, all terms over C n."""
    strength = 1 / (C * task.n)
    sizes = np.sqrt((W**2).sum(axis=1)) if case.grouped else np.abs(W)
    value, _, _ = gradient_of(task, W, b)
    return value + strength * case.l1_ratio * float(sizes.sum())


def canonical(case: Case, W: np.ndarray) -> np.ndarray:
    """Return W with each row moved, where l1 leaves that open, to its least norm.

    A constant added to a row of W over all classes changes no score. It changes no |W|_1 either as
    long as as many entries are positive as negative.
    """
    if case.grouped or case.l1_ratio < 1 or case.k == 2:
        return W
    ordered = np.sort(W, axis=1)
    low, high = ordered[:, (case.k - 1) // 2], ordered[:, case.k // 2]
    return W - np.clip(W.mean(axis=1), low, high)[:, None]


def fitted(case: Case, contender: str, C: float, tol: float, given: Any) -> dict[str, Any] | None:
    """Return what a child said of its fit, with W and b; None where it ran out of time."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "fit.npz"
        told = json.dumps([vars(case), contender, C, tol, given.threads, str(out)])
        command = [sys.executable, "-c", CHILD, told]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                env=pinned(given.threads),
                timeout=given.limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        if done.returncode:
            raise RuntimeError(f"{contender} failed:\n{done.stderr}")
        with np.load(out) as found:
            return {**json.loads(done.stdout), "tol": tol, "W": found["W"], "b": found["b"]}


def compared(case: Case, given: argparse.Namespace) -> dict[str, Any]:
    """Return times, values and supports of both on one case."""
    X, y = drawn(case)
    C = case.factor * first_strength(case, X, y)
    ridge = (1 - case.l1_ratio) / (C * case.n)
    task = Task(X, y, case.k, ridge, case.intercept, given.threads)
    ours = fitted(case, "softunit", C, given.tol, given)
    peers: list[dict[str, Any]] = []
    for exponent in () if case.grouped else range(3, 3 + given.ladder):
        peer = fitted(case, "saga", C, 10.0**-exponent, given)
        if peer is None:
            break
        peers.append(peer)
    fits = ([] if ours is None else [ours]) + peers
    for fit in fits:
        fit["value"] = objective(case, task, C, fit["W"], fit["b"])
    best = min(fit["value"] for fit in fits)
    for fit in fits:
        fit["above"] = (fit["value"] - best) / best
    there = next((peer for peer in peers if peer["above"] <= given.bar), None)
    out = {"case": vars(case), "C": C, "best": best, "ours": ours, "saga": peers}
    if ours is not None:
        out["nonzero"] = int(np.count_nonzero(ours["W"]))
        if peers:
            out["supports"] = supports(case, ours["W"], peers[-1]["W"])
    slowest = max((peer["seconds"] for peer in peers), default=math.nan)
    out["peer_seconds"] = slowest if there is None else there["seconds"]
    out["peer_there"] = there is not None
    return out


def supports(case: Case, ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Return how many entries only one of two solutions has, and how large those are."""
    a, b = canonical(case, ours), canonical(case, theirs)
    bar = 1e-9 * np.abs(a).max(initial=1e-300)
    differ = (np.abs(a) > bar) != (np.abs(b) > bar)
    largest = float(np.maximum(np.abs(a), np.abs(b))[differ].max(initial=0.0))
    return {"differ": int(differ.sum()), "largest": largest, "scale": float(np.abs(a).max())}


def line(result: dict[str, Any]) -> str:
    """Return one row of the table."""
    case, ours = result["case"], result["ours"]
    name = f"{case['kind']} {case['n']}x{case['d']} K={case['k']} C={case['factor']:g}C0"
    name += f" l1_ratio={case['l1_ratio']:g}" + " grouped" * case["grouped"]
    if ours is None:
        return f"{name:<58} ours: out of time"
    said = (
        f"{name:<58} {ours['seconds']:8.2f} s {ours['above']:8.1e} nonzero {result['nonzero']:6d}"
    )
    if not result["saga"]:
        return said
    sign = "" if result["peer_there"] else "> "
    times = result["peer_seconds"] / ours["seconds"]
    last = result["saga"][-1]
    return (
        f"{said} | saga {sign}{result['peer_seconds']:8.2f} s (last {last['above']:8.1e}),"
        f" {sign}{times:6.1f} times | supports differ in {result['supports']['differ']}"
        f" (largest {result['supports']['largest']:.1e} of {result['supports']['scale']:.1e})"
    )


def plain(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without its coefficients."""

    def bare(fit: dict[str, Any] | None) -> dict[str, Any] | None:
        return fit and {name: value for name, value in fit.items() if name not in "Wb"}

    fits = {"ours": bare(result["ours"]), "saga": [bare(peer) for peer in result["saga"]]}
    return {**result, **fits}


def cases(given: argparse.Namespace) -> list[Case]:
    """Return the cases that were asked for."""
    sizes = {"dense": given.dense, "sparse": given.sparse, "zipf": given.zipf}
    found = []
    for kind in given.kinds:
        n, d, k = sizes[kind]
        for factor in given.factors:
            for ratio in given.l1_ratios:
                found.append(
                    Case(kind, n, d, k, factor, ratio, grouped=given.grouped, words=given.words)
                )
    return found


def main() -> int:
    """Print a line for each case; return 1 where ours is not the best up to the bar."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.elastic_net", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--kinds", nargs="+", default=["dense", "sparse", "zipf"])
    parser.add_argument("--dense", nargs=3, type=int, default=(20_000, 500, 10))
    parser.add_argument("--sparse", nargs=3, type=int, default=(20_000, 5_000, 5))
    parser.add_argument("--zipf", nargs=3, type=int, default=(11_000, 30_000, 20))
    parser.add_argument("--words", type=int, default=100, help="entries of a sparse row")
    parser.add_argument("--factors", nargs="+", type=float, default=[10.0])
    parser.add_argument("--l1-ratios", nargs="+", type=float, default=[1.0])
    parser.add_argument("--grouped", action="store_true")
    parser.add_argument("--tol", type=float, default=1e-6, help="ours")
    parser.add_argument("--ladder", type=int, default=6, help="tolerances of saga, from 1e-3")
    parser.add_argument("--bar", type=float, default=1e-8)
    parser.add_argument("--limit", type=float, default=900.0, help="seconds of one fit")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = []
    for case in cases(given):
        results.append(compared(case, given))
        print(line(results[-1]), flush=True)
    if given.json:
        told = {"machine": about(given.threads), "results": [plain(r) for r in results]}
        given.json.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return int(any(r["ours"] is None or r["ours"]["above"] > given.bar for r in results))


if __name__ == "__main__":
    sys.exit(main())
