"""Conditional logits beside statsmodels and xlogit: python -m benchmarks.choice.

Each fit is a process of its own with its threads pinned; it draws the same choice sets, fits, and
makes classical standard errors (ours robust and clustered ones as well). The parent recomputes
every log-likelihood in float64 from the definition; who falls short of the best by more than
`--bar` of it has not reached it, and its time does not count. A contender that takes longer than
`--limit` seconds is left out of larger sizes.

A gradient-equivalent is the time of A' (softmax(A x) - y) in plain NumPy, in the same process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softunit.bench.machine import about, pinned

CONTENDERS = ("softunit", "statsmodels", "xlogit")

CHILD = """
import json, sys, time, warnings
import numpy as np
from benchmarks.choice import Case, drawn, gradient_seconds
case, contender, out = json.loads(sys.argv[1])
case = Case(**case)
A, y, sets = drawn(case)
warnings.simplefilter("ignore")

def softunit(A, y, sets, laps):
    from softunit import ConditionalLogit
    model = ConditionalLogit().fit(A, y, sets)
    laps["fit"] = time.perf_counter()
    errors = model.standard_errors()
    laps["classical"] = time.perf_counter()
    model.standard_errors("robust")
    laps["robust"] = time.perf_counter()
    model.standard_errors("clustered", sets // 20)
    laps["clustered"] = time.perf_counter()
    more = {"n_iter": model.n_iter_, "gap_bound": model.certificate_.gap_bound}
    return model.coef_, errors, more | {"converged": model.solution_.converged}

def statsmodels(A, y, sets, laps):
    from statsmodels.discrete.conditional_models import ConditionalLogit
    found = ConditionalLogit(y, A, groups=sets).fit(disp=False)
    laps["fit"] = time.perf_counter()
    errors = found.bse
    laps["classical"] = time.perf_counter()
    return found.params, errors, {}

def xlogit(A, y, sets, laps):
    from xlogit import MultinomialLogit
    names = [f"x{j}" for j in range(A.shape[1])]
    model = MultinomialLogit()
    alternative = np.tile(np.arange(case.alternatives), len(y) // case.alternatives)
    model.fit(A, y, varnames=names, alts=alternative, ids=sets, verbose=0)
    laps["fit"] = laps["classical"] = time.perf_counter()  # its fit makes the errors
    more = {"n_iter": int(model.total_iter), "converged": bool(model.convergence)}
    return model.coeff_, model.stderr, more

run = {"softunit": softunit, "statsmodels": statsmodels, "xlogit": xlogit}[contender]
few = 200 * case.alternatives
run(A[:few], y[:few], sets[:few], {})  # what is loaded or compiled once is not timed
laps = {"": time.perf_counter()}
coef, errors, more = run(A, y, sets, laps)
at, names = list(laps.values()), list(laps)
spent = {name: b - a for name, a, b in zip(names[1:], at, at[1:])}
np.savez(out, coef=coef, errors=errors)
print(json.dumps({"laps": spent, "gradient": gradient_seconds(A, y, coef, case), **more}))
"""


@dataclass(frozen=True)
class Case:
    """Choice sets of one size, drawn from a conditional logit.

    Attributes
    ----------
    sets, alternatives, columns : int
    seed : int
    """

    sets: int
    alternatives: int
    columns: int
    seed: int = 0


def drawn(case: Case) -> tuple[Any, Any, Any]:
    """Return A (n, d), y (n,) of zeros and ones, and the set of each row."""
    rng = np.random.default_rng(case.seed)
    n = case.sets * case.alternatives
    a = rng.standard_normal((n, case.columns))
    x = rng.standard_normal(case.columns) / np.sqrt(case.columns)
    z = a @ x
    z += rng.gumbel(size=n)
    best = z.reshape(case.sets, case.alternatives).argmax(axis=1)
    y = np.zeros(n)
    y[best + case.alternatives * np.arange(case.sets)] = 1.0
    return a, y, np.repeat(np.arange(case.sets), case.alternatives)


def shares(z: Any, case: Case) -> Any:
    """Return the softmax within each set, (sets, alternatives), and the log of its sums."""
    table = z.reshape(case.sets, case.alternatives)
    top = table.max(axis=1, keepdims=True)
    e = np.exp(table - top)
    total = e.sum(axis=1, keepdims=True)
    return e / total, (top + np.log(total))[:, 0]


def gradient_seconds(a: Any, y: Any, x: Any, case: Case, times: int = 5) -> float:
    """Return the median time of one gradient in plain NumPy."""
    import time

    spent = []
    for _ in range(times):
        begin = time.perf_counter()
        p, _ = shares(a @ x, case)
        a.T @ (p.ravel() - y)
        spent.append(time.perf_counter() - begin)
    return float(np.median(spent))


def log_likelihood(case: Case, coef: npt.NDArray[np.float64]) -> float:
    """Return the log-likelihood in float64, from the definition."""
    a, y, _ = drawn(case)
    z = a @ coef
    return float(y @ z - shares(z, case)[1].sum())


def measured(case: Case, contender: str, given: argparse.Namespace) -> dict[str, Any] | None:
    """Return what a child said of its fit, with its peak memory; None beyond the limit."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.npz"
        job = json.dumps([asdict(case), contender, str(out)])
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, job],
            stdout=subprocess.PIPE,
            text=True,
            env=pinned(given.threads),
        ) as child:
            clock = threading.Timer(given.limit + 60, child.kill)  # data are drawn meanwhile
            clock.start()
            assert child.stdout is not None
            said = child.stdout.read()
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            clock.cancel()
        if child.returncode == -9:
            return None
        if child.returncode:
            raise RuntimeError(f"{contender} ended with status {child.returncode}.")
        with np.load(out) as found:
            coef, errors = found["coef"], found["errors"]
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        **json.loads(said),
        "contender": contender,
        **asdict(case),
        "peak": usage.ru_maxrss * unit,
        "log_likelihood": log_likelihood(case, coef),
        "coef": coef.tolist(),
        "errors": errors.tolist(),
    }


def rows(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one record for each contender and size, printed as they come."""
    found: list[dict[str, Any]] = []
    out: set[str] = set()
    for sets in given.sets:
        case = Case(sets, given.alternatives, given.columns)
        for contender in given.contenders:
            if contender in out:
                continue
            runs = [measured(case, contender, given) for _ in range(given.repeat)]
            done = [r for r in runs if r is not None]
            if not done:
                print(f"{sets:>9} sets  {contender:12} over {given.limit} seconds", flush=True)
                out.add(contender)
                continue
            best = min(done, key=lambda r: sum(r["laps"].values()))
            if sum(best["laps"].values()) > given.limit:
                out.add(contender)
            found.append(best)
            print(line(best), flush=True)
    return found


def line(record: dict[str, Any]) -> str:
    """Return one line of the table."""
    laps = record["laps"]
    asked = laps["fit"] + laps.get("classical", 0.0)
    ours = sum(laps.values())
    return (
        f"{record['sets']:>9} sets  {record['contender']:12} fit {laps['fit']:9.3f} s, with errors"
        f" {asked:9.3f} s, all {ours / record['gradient']:7.1f} gradients"
        f"  peak {record['peak'] / 1e6:8.0f} MB  log-likelihood {record['log_likelihood']:.6f}"
    )


def verdicts(found: list[dict[str, Any]], bar: float) -> list[dict[str, Any]]:
    """Return, for each size and other contender, how many times faster ours is."""
    out = []
    for sets in sorted({record["sets"] for record in found}):
        here = {r["contender"]: r for r in found if r["sets"] == sets}
        best = max(r["log_likelihood"] for r in here.values())
        mine = here.pop("softunit", None)
        for name, other in here.items():
            reached = best - other["log_likelihood"] <= bar * abs(best)
            own = mine is not None and best - mine["log_likelihood"] <= bar * abs(best)
            times = None
            if mine is not None and own and reached:
                both = [r["laps"]["fit"] + r["laps"]["classical"] for r in (other, mine)]
                times = both[0] / both[1]
            out.append({"sets": sets, "other": name, "reached": reached, "times": times})
    return out


def main() -> int:
    """Print the table and how many times faster ours is; return 1 where it falls short."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.choice", description="Conditional logits side by side."
    )
    parser.add_argument("--sets", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--alternatives", type=int, default=5)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1, help="the fastest counts")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds (default 300)")
    parser.add_argument("--bar", type=float, default=1e-8, help="of the log-likelihood")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    found = rows(given)
    judged = verdicts(found, given.bar)
    for verdict in judged:
        told = f"{verdict['times']:.1f} times" if verdict["times"] else "not reached"
        print(f"{verdict['sets']:>9} sets  softunit against {verdict['other']:12} {told}")
    if given.json is not None:
        told = {"machine": about(given.threads), "records": found, "verdicts": judged}
        given.json.write_text(json.dumps(told, indent=2))
    return int(any(v["times"] is not None and v["times"] < 1 for v in judged))


if __name__ == "__main__":
    sys.exit(main())
