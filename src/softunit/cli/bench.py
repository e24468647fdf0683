"""`softunit bench`: peers side by side on the same work, each judged outside the solver."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from softunit._files import replace_file
from softunit.bench import (
    AnyCase,
    CaseRun,
    Peer,
    Plan,
    Suite,
    about,
    any_suite,
    chosen_cases,
    chosen_peers,
    draw_growth,
    draw_profile,
    growths,
    ours_missed,
    peers_of,
    physical_cores,
    planned,
    profile,
    record,
    run_cases,
    solved,
)
from softunit.bench.scaling import SERIES
from softunit.bench.scaling import SUITE as STUDY
from softunit.cli import options
from softunit.cli.bench_attention import bench_attention
from softunit.cli.bench_screen import running, show_case, show_end, show_names
from softunit.cli.exits import CONVERGED, NOT_CONVERGED
from softunit.cli.outputs import check_outputs, write_json
from softunit.cli.screen import Screen
from softunit.errors import InputError, MissingExtraError
from softunit.report.words import version

SuiteName = Annotated[
    str,
    typer.Option(
        "--suite",
        metavar="NAME",
        help="quick, guard (minutes) or full (half an hour); regression-quick or regression.",
    ),
]
CaseNames = Annotated[
    list[str] | None,
    typer.Option("--cases", metavar="NAMES", help="Only these, with commas; repeatable."),
]
PeerNames = Annotated[
    list[str] | None,
    typer.Option("--peers", metavar="NAMES", help="Only these, with commas; repeatable."),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, help="Of every run. (default: physical cores)"),
]
Repeats = Annotated[
    int,
    typer.Option("--repeats", metavar="N", min=1, help="Fits of which the best time counts."),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Write the picture here (.svg)."),
]
Scaling = Annotated[
    bool,
    typer.Option("--scaling", help="Instead, time against rows, columns, classes, nonzeros."),
]
ListAll = Annotated[
    bool,
    typer.Option("--list", help="Print suites, cases and peers, and exit."),
]


bench = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@bench.callback()
def compare(
    context: typer.Context,
    suite: SuiteName = "quick",
    cases: CaseNames = None,
    peers: PeerNames = None,
    threads: Threads = None,
    repeats: Repeats = 3,
    json: options.JsonFile = None,
    plot: Plot = None,
    scaling: Scaling = False,
    list_all: ListAll = False,
    quiet: options.Quiet = False,
) -> int:
    """Time softunit and its peers side by side.

    The command attention measures units of attention instead: softunit bench attention --help.

    An answer counts if no entry of the gradient of the mean objective is above 1e-6 (for
    regressions: of the gradient relative to its terms at zero, above the case's bar), computed in
    float64 outside the solver; a run that misses is a failure, not a time. Exit status: 0 if ours
    met it on every case, 3 if not, 2 bad input.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return CONVERGED
    screen = Screen(quiet)
    if list_all:
        show_names(screen)
        return CONVERGED
    budgets, chosen, who = _planned(suite, _split(cases), _split(peers), scaling)
    _check_picture(plot)
    check_outputs({"--json": json, "--plot": plot}, {})
    plan = Plan(budgets, physical_cores() if threads is None else threads, repeats)
    runs = _run(plan, chosen, who, json, screen)
    show_end(plan, runs, screen)
    if plot is not None:
        _draw(plan, runs, plot)
    screen.files("Files", [("Figures", json), ("Picture", plot)])
    missed = ours_missed(runs)
    if missed:
        screen.advise(f"softunit missed the bar on {', '.join(missed)}.")
    return NOT_CONVERGED if missed else CONVERGED


bench.command("attention")(bench_attention)


def _refuse_options(context: typer.Context) -> None:
    """Refuse options that stand before a command: they would do nothing there."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            command = context.invoked_subcommand
            raise InputError(
                f"{parameter.opts[0]} before the word {command} is an option of softunit bench"
                f" alone; those of {command} stand behind it: softunit bench {command} --help."
            )


def _split(names: Iterable[str] | None) -> list[str]:
    """Return the names between commas."""
    return [part.strip() for name in names or () for part in name.split(",") if part.strip()]


def _planned(
    name: str, cases: list[str], peers: list[str], study: bool
) -> tuple[Suite, Sequence[AnyCase], list[Peer]]:
    """Return the budgets, the cases and the peers that were asked for."""
    if study and cases:
        raise InputError("--cases and --scaling cannot go together: the study has its own cases.")
    suite = STUDY if study else any_suite(name)
    if suite.kind == "regression":
        return suite, *planned(suite, cases, peers)
    drawn = [case for series in SERIES for case in series.cases]
    chosen = drawn if study else chosen_cases(cases or suite.cases)
    return suite, chosen, chosen_peers(peers or suite.peers)


def _check_picture(plot: Path | None) -> None:
    if plot is None:
        return
    if plot.suffix.lower() != ".svg":
        raise InputError(f"--plot must be a name that ends in .svg; got {str(plot)!r}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("the picture", "cli")


def _run(
    plan: Plan, cases: Sequence[AnyCase], peers: Sequence[Peer], json: Path | None, screen: Screen
) -> list[CaseRun]:
    """Run everything and show each case; what is measured is kept, even if interrupted."""
    begin, runs = time.perf_counter(), list[CaseRun]()
    machine = about(plan.threads, peers_of(plan.suite.kind).values())

    def keep(*, complete: bool) -> None:
        told = {"softunit": version(), "complete": complete}
        seconds = {"seconds": time.perf_counter() - begin}
        write_json(json, told | record(plan, machine, runs) | seconds)

    processor, threads = machine["processor"], plan.threads
    screen.say(f"{processor}, {threads} thread{'s' * (threads > 1)}", style="bold")
    complete = False
    with running(screen) as line:
        try:
            for run in run_cases(cases, peers, plan, line.watch):
                if not runs or run is not runs[-1]:
                    runs.append(run)
                if len(run.results) == len(peers):
                    line.pause()
                    show_case(run, screen)
                    keep(complete=False)
            complete = True
        finally:
            keep(complete=complete)
    return runs


def _draw(plan: Plan, runs: Sequence[CaseRun], plot: Path) -> None:
    with replace_file(plot) as temporary:
        if plan.suite is STUDY:
            draw_growth(temporary, [g for series in SERIES for g in growths(series, runs)])
        else:
            draw_profile(temporary, profile(runs), solved(runs), _bar(plan.suite))


def _bar(suite: Suite) -> str:
    """Return in words what an answer of a suite must meet."""
    if suite.kind == "regression":
        return "gradient within the bar of each case"
    return "largest gradient entry at most 1e-6"
