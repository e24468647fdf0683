"""The options that say where the rows of a table live, and that keep a run for later."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softunit.cli.options import RUN

Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Leave the rows on disk and use no more than this, such as 2GB. (default: all in"
        " memory, unless they take more than half of what is free)",
        rich_help_panel=RUN,
    ),
]
MemoryNow = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Read the rows block by block and use no more than this, such as 2GB. (default: all in"
        " memory, unless they take more than half of what is free)",
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Spread the rows over a Dask cluster: tcp://host:port, or local.",
        rich_help_panel=RUN,
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="FILE",
        help="Keep the state of the run here, so that it can be taken up again.",
        rich_help_panel=RUN,
    ),
]
Every = Annotated[
    float | None,
    typer.Option(
        "--every",
        metavar="SECONDS",
        help="Between two checkpoints; 0 for each iteration. (default 30)",
        rich_help_panel=RUN,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on where the checkpoint ends.", rich_help_panel=RUN),
]
