"""What `softunit bench` prints: the peers of each case, and at the end ours beside the best."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from softunit.bench import (
    ALL_SUITES,
    SERIES,
    AnyCase,
    CaseRun,
    Kind,
    Plan,
    Ratio,
    Result,
    cases_of,
    figures,
    growths,
    peers_of,
    ratio_of,
    regression_figures,
)
from softunit.bench.scaling import SUITE as STUDY
from softunit.cli.screen import Screen
from softunit.report.words import number, plain

KINDS: dict[Kind, str] = {"classification": "", "regression": ", regression"}
"""Kinds of cases, and how their lists are headed."""


class RunningLine:
    """A line on a terminal that says which peer runs on which case."""

    def __init__(self, screen: Screen) -> None:
        shown = not screen.quiet and screen.err.is_terminal
        self._status = screen.err.status("") if shown else None

    def watch(self, case: AnyCase, peer: str) -> None:
        """Say what begins."""
        if self._status is not None:
            self._status.update(Text(f"{plain(case.name)}: {plain(peer)}"))
            self._status.start()

    def pause(self) -> None:
        """Give the line free."""
        if self._status is not None:
            self._status.stop()


@contextlib.contextmanager
def running(screen: Screen) -> Iterator[RunningLine]:
    """Give a line that goes away at the end."""
    line = RunningLine(screen)
    try:
        yield line
    finally:
        line.pause()


def show_names(screen: Screen) -> None:
    """Print the suites, the cases and the peers."""
    screen.section("Suites", [(s.name, f"{len(s.cases)} cases") for s in ALL_SUITES.values()])
    for kind, plural in KINDS.items():
        rows = [(case.name, _case(case)) for case in cases_of(kind).values()]
        screen.section(f"Cases{plural}", rows)
    for kind, plural in KINDS.items():
        rows = [
            (peer.name, peer.missing() or ("" if peer.standard else "only if named"))
            for peer in peers_of(kind).values()
        ]
        screen.section(f"Peers{plural}", rows)


def _case(case: AnyCase) -> str:
    ridge = f", ridge {case.ridge:.2g}" if case.ridge or case.kind == "classification" else ""
    return f"{case.shape}{ridge} ({', '.join(case.tags)})"


def show_case(run: CaseRun, screen: Screen) -> None:
    """Print what every peer did on one case; those that do not apply are left out."""
    best = min((r.seconds for r in run.results if r.seconds is not None), default=math.nan)
    unit = run.gradient_seconds
    title = f"{run.case.name}: {run.case.shape}"
    if unit is not None:
        title += f", one gradient {_seconds(unit)}"
    shown = [result for result in run.results if result.outcome != "skipped"]
    screen.section(title, [(result.peer, _did(result, best)) for result in shown])


def _did(result: Result, best: float) -> str:
    """Return one line on a result."""
    if result.seconds is None or result.gradient_equivalents is None:
        how = {
            "missed": f"missed: {_miss(result)}",
            "stopped": f"stopped after {result.budget:.2g} s",
            "failed": f"failed: {result.reason}",
        }
        return how[result.outcome]
    passes = "" if result.passes is None else f", {number(result.passes, 3)} passes"
    ratio = "the best" if result.seconds <= best else f"{result.seconds / best:.2g} x the best"
    cost = f"{number(round(result.gradient_equivalents), 3)} gradients"
    return f"{_seconds(result.seconds)}, {cost}{passes}, {ratio}"


def _miss(result: Result) -> str:
    if result.value is not None and math.isfinite(result.value) and result.gradient == math.inf:
        return f"value {result.value:.3g}, another optimum's"
    return f"gradient {_tiny(result.gradient)}"


def _tiny(gradient: float | None) -> str:
    return "not finite" if gradient is None or not math.isfinite(gradient) else f"{gradient:.1e}"


def _seconds(seconds: float) -> str:
    """Return a time in seconds or milliseconds, three digits."""
    if seconds < 0.1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.3g} s"


def show_end(plan: Plan, runs: Sequence[CaseRun], screen: Screen) -> None:
    """Print the table of all cases and the figures to judge by, or the slopes of the study."""
    if plan.suite is STUDY:
        _show_slopes(runs, screen)
        return
    ratios = [ratio for run in runs if (ratio := ratio_of(run.results)) is not None]
    if not ratios:
        return
    _show_table(ratios, screen)
    if plan.suite.kind == "regression":
        _show_regressions(runs, screen)
        return
    found = figures(runs)
    mean, bound = found["geometric_mean_large_dense"], found["geometric_mean_is_at_least"]
    rows = [
        ("Ratio, large dense cases", _times(mean, at_least=bound), "geometric mean"),
        ("Worst ratio", _times(found["worst_ratio"]), found["worst_case"] or ""),
        ("Worst ratio to any peer", _times(found["worst_ratio_any_peer"]), ""),
        ("Sparse text", _times(found["text_ratio"]), ""),
        ("Most gradients", _count(found["most_gradient_equivalents"]), "power law, n >= 100,000"),
        ("Most passes", _count(found["most_passes"]), "power law, n >= 100,000"),
    ]
    kept = [(label, f"{said}  {note}".strip()) for label, said, note in rows if said]
    screen.section("Best peer's time over ours", kept)


def _show_regressions(runs: Sequence[CaseRun], screen: Screen) -> None:
    found = regression_figures(runs)
    kinds = {"least_squares_ratio": "trf or lm", "lbfgs_ratio": "L-BFGS"}
    rows = [
        (case, f"{words} {_times(ratio, at_least=f'{key}: {case}' in found['at_least'])}")
        for key, words in kinds.items()
        for case, ratio in found[key].items()
    ]
    rows += [(case, f"{_count(g)} gradients") for case, g in found["gradient_equivalents"].items()]
    rows += [
        ("Geometric mean", _times(found["geometric_mean"])),
        ("Worst ratio", f"{_times(found['worst_ratio'])}  {found['worst_case'] or ''}".strip()),
    ]
    screen.section("Best peer's time over ours", [(label, said) for label, said in rows if said])


def _times(ratio: float | None, *, at_least: bool = False) -> str:
    if ratio is None:
        return ""
    if math.isinf(ratio):
        return "nobody else got there"
    return f"{'at least ' if at_least else ''}{ratio:.3g}"


def _count(value: float | None) -> str:
    return "" if value is None else number(round(value, 1), 3)


def _show_table(ratios: Sequence[Ratio], screen: Screen) -> None:
    """Print one line for each case: ours, the best of the others, and their ratio."""
    if screen.quiet:
        return
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("case", overflow="fold")
    for name in ("ours", "grads", "passes"):
        table.add_column(name, justify="right")
    table.add_column("best other", overflow="fold")
    for name in ("its time", "ratio"):
        table.add_column(name, justify="right")
    for ratio in ratios:
        table.add_row(*(Text(plain(cell)) for cell in _cells(ratio)))
    screen.out.print()
    screen.out.print(Text("All cases", style="bold underline"))
    screen.out.print(table)


def _cells(ratio: Ratio) -> tuple[str, ...]:
    ours, best, sign = ratio.ours, ratio.best, ">" if ratio.at_least else ""
    theirs = None if best is None else best.at_least
    return (
        ratio.case,
        ours.outcome if ours.seconds is None else _seconds(ours.seconds),
        _count(ours.gradient_equivalents) if ours.reached else "",
        _count(ours.passes),
        "none" if best is None else best.peer,
        "" if theirs is None else sign + _seconds(theirs),
        "" if math.isinf(ratio.ratio) else f"{sign}{ratio.ratio:.2g}",
    )


def _show_slopes(runs: Sequence[CaseRun], screen: Screen) -> None:
    for series in SERIES:
        rows = []
        for growth in growths(series, runs):
            times = [
                f"{number(size)}: {'-' if time is None else _seconds(time)}"
                for size, time in zip(series.sizes, growth.seconds, strict=True)
            ]
            since = f" from {number(series.slope_from)}" if series.slope_from else ""
            slope = "-" if math.isnan(growth.slope) else f"{growth.slope:.2f}"
            rows.append((growth.peer, f"slope {slope}{since}; {', '.join(times)}"))
        screen.section(f"Time against {series.name} ({series.fixed})", rows)
