"""What a pass over many machines costs, on paper: python -m benchmarks.communication.

One value and gradient of n rows with N nonzeros in all, d columns and K classes, held by W workers:

- compute: N / (W c r), for c cores a worker and r nonzeros a second on each of them;
- what must move: x to every worker and a gradient from it, m = 8 d K bytes each way;
- down: ceil(log2 W) (latency + m / bandwidth), as those that have x pass it on;
- up: ceil(log8 W) (latency + 8 m / bandwidth), as gradients are added up by eights;
- star: 2 (latency + W m / bandwidth), all of it through one port instead;
- tasks: 8/7 W t, one for each worker and one for each join, handed out one after the other.

`--measure` takes r from this machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy import sparse

import softunit as su

ARITY = 8  # gradients that one task adds up, as in `DaskDesign`

RATES = {"sparse": 1.5e7, "dense": 5e8}
"""Nonzeros a second on one core in a value and gradient at K = 10, as `--measure` found them."""


@dataclass(frozen=True)
class Case:
    """A problem spread over machines.

    Attributes
    ----------
    name : str
    nonzeros : float
        N, of all rows.
    d, k : int
        Columns and classes.
    rate : float
        r, nonzeros a second on a core.
    workers, cores : int
        W, and c of each.
    bandwidth : float
        Bytes a second of a port. 10 Gbit/s are 1.25e9.
    latency : float
        Seconds of a hop.
    task : float
        Seconds of the scheduler for a task.
    """

    name: str
    nonzeros: float
    d: int
    k: int
    rate: float
    workers: int = 1000
    cores: int = 16
    bandwidth: float = 1.25e9
    latency: float = 1e-4
    task: float = 1e-3

    @property
    def message(self) -> float:
        """m: bytes of x, and of a gradient."""
        return 8.0 * self.d * self.k

    @property
    def work(self) -> float:
        """Seconds of a pass on the cores of one worker."""
        return self.nonzeros / (self.cores * self.rate)

    def compute(self, workers: int) -> float:
        """Return the seconds in which the workers do their part."""
        return self.work / workers

    def down(self, workers: int) -> float:
        """Return the seconds until every worker has x, each that has it passing it on."""
        return _hops(workers, 2) * (self.latency + self.message / self.bandwidth)

    def up(self, workers: int) -> float:
        """Return the seconds of adding gradients up by eights."""
        return _hops(workers, ARITY) * (self.latency + ARITY * self.message / self.bandwidth)

    def tree(self, workers: int) -> float:
        """Return the seconds of moving x down and gradients up."""
        return self.down(workers) + self.up(workers)

    def star(self, workers: int) -> float:
        """Return the seconds of the same through one port."""
        return 2 * (self.latency + workers * self.message / self.bandwidth)

    def tasks(self, workers: int) -> float:
        """Return the seconds of a scheduler that hands out one task after the other."""
        return ARITY / (ARITY - 1) * workers * self.task

    def passing(self, workers: int) -> float:
        """Return the seconds of a pass: compute, down, up and tasks, none of them overlapping."""
        return self.compute(workers) + self.tree(workers) + self.tasks(workers)

    def even(self) -> int:
        """Return the fewest workers whose messages take longer than their compute."""
        few, many = 1, 2
        while self.tree(many) <= self.compute(many):
            few, many = many, 2 * many
        while many - few > 1:
            middle = (few + many) // 2
            late = self.tree(middle) > self.compute(middle)
            few, many = (few, middle) if late else (middle, many)
        return many

    def best(self) -> int:
        """Return how many workers make a pass shortest."""
        return min(range(1, 20_001), key=self.passing)


def _hops(workers: int, fold: int) -> int:
    """Return how often `fold` must be multiplied by itself to come to that many workers."""
    hops, reached = 0, 1
    while reached < workers:
        hops, reached = hops + 1, reached * fold
    return hops


CASES = (
    Case("wide", 1e12, 1_000_000, 10, RATES["sparse"]),
    Case("narrow", 1e12, 1_000, 10, RATES["dense"]),
)


def told(seconds: float) -> str:
    """Return a time in words of two digits."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= size:
            return f"{float(f'{seconds / size:.2g}'):,g} {unit}"
    return "0 s"


def rows(cases: tuple[Case, ...]) -> list[str]:
    """Return the table, one column for each case."""

    def line(name: str, parts: list[str]) -> str:
        return f"| {name} | {' | '.join(parts)} |"

    wanted = [
        ("columns d", lambda c: f"{c.d:,}"),
        ("nonzeros a second on a core, r", lambda c: f"{c.rate:.1e}"),
        ("x, and a gradient, m", lambda c: f"{c.message / 1e6:g} MB"),
        ("compute, N / (W c r)", lambda c: told(c.compute(c.workers))),
        ("down, log2(W) (l + m/B)", lambda c: told(c.down(c.workers))),
        ("up, log8(W) (l + 8 m/B)", lambda c: told(c.up(c.workers))),
        ("star instead, 2 (l + W m/B)", lambda c: told(c.star(c.workers))),
        ("tasks, 8/7 W t", lambda c: told(c.tasks(c.workers))),
        ("a pass: compute, down, up and tasks", lambda c: told(c.passing(c.workers))),
        ("a pass on one worker", lambda c: told(c.work)),
        ("times faster on 1,000 than on one", lambda c: f"{c.work / c.passing(c.workers):.0f}"),
        ("down and up take longer than compute from W =", lambda c: f"{c.even():,}"),
        ("shortest pass at W =", lambda c: f"{c.best():,}"),
        ("that pass", lambda c: told(c.passing(c.best()))),
    ]
    head = [line("", [c.name for c in cases]), f"|{'---|' * (len(cases) + 1)}"]
    return head + [line(name, [make(case) for case in cases]) for name, make in wanted]


def measured(kind: str, nonzeros: int = 20_000_000, seed: int = 0) -> float:
    """Return nonzeros a second in a value and gradient on this machine, K = 10.

    Rows of 50 nonzeros among 1,000,000 columns, by Zipf's law, or of 1,000 dense columns.
    """
    rng = np.random.default_rng(seed)
    if kind == "dense":
        A = rng.standard_normal((nonzeros // 1000, 1000))
    else:
        d = 1_000_000
        columns = np.minimum((np.exp(rng.random(nonzeros) * np.log(d)) - 1).astype(np.int64), d - 1)
        ends = np.arange(0, nonzeros + 1, 50)
        A = sparse.csr_array((rng.standard_normal(nonzeros), columns, ends), (len(ends) - 1, d))
    problem = su.Problem(A, su.units.Multinomial(), rng.integers(10, size=A.shape[0]))
    seconds = []
    for _ in range(3):
        x = 0.01 * rng.standard_normal((A.shape[1], 10))
        begin = perf_counter()
        problem.evaluate(x)
        seconds.append(perf_counter() - begin)
    return nonzeros / min(seconds)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.communication", description=__doc__.partition(":")[0]
    )
    parser.add_argument("--measure", action="store_true", help="measure r here; pin to one core")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps({kind: measured(kind) for kind in RATES}))
        return 0
    print("\n".join(rows(CASES)))
    if given.json:
        given.json.write_text(json.dumps([vars(case) for case in CASES], indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
