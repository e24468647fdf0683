"""`softunit bench attention`: units of attention side by side, with their peers."""

from __future__ import annotations

import json as json_text
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softunit.cli import options
from softunit.cli.bench_attention_screen import (
    AttentionLine,
    say_how_to_go_on,
    show_names,
    show_row,
    show_table,
)
from softunit.cli.exits import CONVERGED, NOT_CONVERGED
from softunit.cli.outputs import check_installed, check_outputs, write_json
from softunit.cli.screen import Screen
from softunit.errors import FileError, InputError
from softunit.report.words import version
from softunit.tables.names import near

if TYPE_CHECKING:
    from softunit.bench.attention import Plan, Row

QUICK: dict[str, Any] = {"lengths": (512, 1024, 2048), "steps": 20, "seconds": 0.5}
"""What --quick sets where nothing else is said."""

Names = Annotated[
    list[str] | None,
    typer.Option("--units", metavar="NAMES", help="Only these, with commas. (default: all)"),
]
PeerNames = Annotated[
    list[str] | None,
    typer.Option("--peers", metavar="NAMES", help="Only these; none for none. (default: all)"),
]
Lengths = Annotated[
    str | None,
    typer.Option("--lengths", metavar="N,N,...", help="Tokens. (default: 1024 to 16384)"),
]
Heads = Annotated[int, typer.Option("--heads", metavar="N", help="Heads of the tensors.")]
Width = Annotated[int, typer.Option("--width", metavar="N", help="Width d of each head.")]
BatchSize = Annotated[int, typer.Option("--batch", metavar="N", help="Sequences of a call.")]
Threads = Annotated[int, typer.Option("--threads", metavar="N", help="Of every run.")]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda or cuda:N.")]
Dtype = Annotated[
    str, typer.Option("--dtype", metavar="NAME", help="float32, float64, bfloat16, float16.")
]
Causal = Annotated[bool, typer.Option("--causal", help="Costs and measures of causal calls.")]
Compile = Annotated[bool, typer.Option("--compile", help="Time what torch.compile makes.")]
Steps = Annotated[
    int | None, typer.Option("--steps", metavar="N", help="Of each training. (default: 200)")
]
NoTraining = Annotated[bool, typer.Option("--no-training", help="Costs and measures only.")]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget-seconds",
        metavar="S",
        help="A unit ends at the length where one run would take longer. (default: 10)",
    ),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="Lengths to 2048, 20 steps, 0.5 s a run: minutes.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of all random numbers.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Keep what the --json FILE of a broken run holds.")
]
Page = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write the HTML page here.")
]
Pictures = Annotated[
    Path | None, typer.Option("--pictures", metavar="DIR", help="Write the pictures here, as SVG.")
]
ListAll = Annotated[bool, typer.Option("--list", help="Print units and peers, and exit.")]


def bench_attention(
    units: Names = None,
    peers: PeerNames = None,
    lengths: Lengths = None,
    heads: Heads = 4,
    width: Width = 64,
    batch: BatchSize = 1,
    threads: Threads = 1,
    device: Device = "cpu",
    dtype: Dtype = "float32",
    causal: Causal = False,
    compiled: Compile = False,
    steps: Steps = None,
    no_training: NoTraining = False,
    budget_seconds: Budget = None,
    quick: Quick = False,
    seed: Seed = 0,
    resume: Resume = False,
    json: options.JsonFile = None,
    report: Page = None,
    pictures: Pictures = None,
    list_all: ListAll = False,
    quiet: options.Quiet = False,
) -> int:
    """Measure units of attention and their peers.

    Time and peak memory against length, error to the plain definition, row sums, entropy, a
    Lipschitz estimate, and two small trainings, each unit in a process of its own. Exit status: 0,
    3 if a unit misses its definition by more than 1e-5 (float32) or 1e-10 (float64) or something
    fails, 2 bad input. Times depend on what else the machine does meanwhile.
    """
    check_torch()
    from softunit.bench.attention import Plan, check_device, faults

    screen = Screen(quiet)
    if list_all:
        show_names(screen)
        return CONVERGED
    plan = Plan(
        units=_units(units),
        peers=_peers(peers),
        heads=heads,
        width=width,
        batch=batch,
        threads=threads,
        device=device,
        dtype=dtype,
        causal=causal,
        compiled=compiled,
        seed=seed,
        **_sizes(lengths, steps, no_training, budget_seconds, quick),
    )
    check_device(plan)
    check_outputs({"--json": json, "--report": report}, {})
    _check_pictures(pictures)
    check_installed({"--report": report or pictures})
    rows = _rows(plan, json, resume)
    _run(plan, rows, _Kept(plan, json, report), screen)
    show_table(plan, rows, screen)
    drawn = _draw(pictures, rows)
    screen.files("Files", [("Figures", json), ("Page", report), *(("Picture", p) for p in drawn)])
    found = faults(rows)
    for sentence in found:
        screen.say(sentence, style="bold yellow")
    if found:
        screen.advise(" ".join(found))
    return NOT_CONVERGED if found else CONVERGED


def check_torch() -> None:
    """Raise `MissingExtraError`, with the line that installs it, if PyTorch is not there."""
    import softunit.nn  # noqa: F401


def _check_pictures(folder: Path | None) -> None:
    if folder is not None and not folder.is_dir():
        raise FileError(f"--pictures {folder} is no folder: make it first, or give another.")


def _draw(folder: Path | None, rows: Sequence[Row]) -> list[Path]:
    if folder is None:
        return []
    from softunit.cli.bench_attention_page import write_pictures

    return write_pictures(folder, rows)


def _split(names: Sequence[str] | None) -> list[str]:
    return [part.strip() for name in names or () for part in name.split(",") if part.strip()]


def _units(given: Sequence[str] | None) -> tuple[str, ...]:
    from softunit.nn.workbench import unit_contender, unit_names

    names = tuple(dict.fromkeys(_split(given))) if given else unit_names()
    for name in names:
        try:
            unit_contender(name)
        except InputError as error:
            raise InputError(
                f"There is no unit {name!r}.{near(name, unit_names())} The units are"
                f" {', '.join(unit_names())}."
            ) from error
    if not names:
        raise InputError("--units names no unit: give one, or leave it out for all.")
    return names


def _peers(given: Sequence[str] | None) -> tuple[str, ...]:
    from softunit.nn.workbench import PEERS

    names = dict.fromkeys(_split(given) if given is not None else PEERS)
    if set(names) == {"none"}:
        return ()
    for name in names:
        if name not in PEERS:
            raise InputError(
                f"There is no peer {name!r}.{near(name, PEERS)} The peers are {', '.join(PEERS)}."
            )
    return tuple(names)


def _sizes(
    lengths: str | None, steps: int | None, no_training: bool, seconds: float | None, quick: bool
) -> dict[str, Any]:
    """Return lengths, steps and the budget; --quick sets those that were not given."""
    if no_training and steps is not None:
        raise InputError("--no-training and --steps cannot go together: leave one out.")
    found = dict(QUICK) if quick else {}
    if lengths is not None:
        found["lengths"] = _whole_numbers(lengths)
    if steps is not None:
        found["steps"] = steps
    if no_training:
        found["steps"] = 0
    if seconds is not None:
        found["seconds"] = seconds
    return found


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise InputError(
            f"--lengths must be whole numbers with commas, as 1024,2048,4096; got {text!r}."
        ) from None


def _rows(plan: Plan, json: Path | None, resume: bool) -> list[Row]:
    from softunit.bench.attention import Row, resumed

    if not resume:
        return [Row(kind, name) for kind, name in plan.names]
    if json is None:
        raise InputError("--resume reads what a broken run left: name its file with --json FILE.")
    try:
        told = json_text.loads(json.read_text("utf-8"))
    except FileNotFoundError:
        return [Row(kind, name) for kind, name in plan.names]
    except (OSError, ValueError) as error:
        raise FileError(f"--resume cannot read {json}: {error}.") from error
    if not isinstance(told, dict):
        raise FileError(f"--resume: {json} is no record of softunit bench attention.")
    return resumed(plan, told)


class _Kept:
    """Where the figures and the page of a run go.

    Parameters
    ----------
    plan : Plan
    json, page : Path or None
    """

    def __init__(self, plan: Plan, json: Path | None, page: Path | None) -> None:
        self.plan, self.json, self.page, self.begin = plan, json, page, time.perf_counter()

    def write(self, rows: Sequence[Row], *, complete: bool, last: bool = True) -> None:
        """Write both, as far as they were asked for; the page at the last alone."""
        from softunit.bench import about
        from softunit.bench.attention import record
        from softunit.nn.workbench import versions

        machine = about(self.plan.threads, ())
        machine["versions"] |= versions()
        told = {
            "softunit": version(),
            "complete": complete,
            **record(self.plan, machine, rows),
            "seconds": time.perf_counter() - self.begin,
        }
        write_json(self.json, told)
        if self.page is not None and last:
            from softunit.cli.bench_attention_page import write_page

            write_page(self.page, told, rows)


def _run(plan: Plan, rows: list[Row], kept: _Kept, screen: Screen) -> None:
    """Measure everything and show each; what is measured is kept, even if interrupted."""
    from softunit.bench.attention import parts_of, run_rows

    complete = False
    line = AttentionLine(screen, len(rows))
    try:
        for row in run_rows(plan, rows, parts_of(plan), line.watch):
            line.pause()
            show_row(row, screen)
            kept.write(rows, complete=False, last=False)
        complete = True
    except KeyboardInterrupt:
        line.pause()
        say_how_to_go_on(kept.json)
        raise
    finally:
        line.pause()
        kept.write(rows, complete=complete)
