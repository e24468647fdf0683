"""The command with its subcommands, its start and its ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from softunit.cli.bench import bench
from softunit.cli.certify import certify
from softunit.cli.claims import claims
from softunit.cli.demo import demo
from softunit.cli.exits import (
    PIPE_CLOSED,
    UsageError,
    close_output,
    output_failed,
    said,
    usage_sentence,
)
from softunit.cli.fit import HELP, fit
from softunit.cli.panels import PanelledCommand
from softunit.cli.predict import predict
from softunit.cli.screen import complain
from softunit.cli.show import show as show_model
from softunit.errors import InputError
from softunit.report.words import version
from softunit.tables.names import listed, near, show

# "\b" keeps the lines of a paragraph as they are.
_HELP = """Fit a softmax model to a table, and prove how good the fit is.

\b
softunit demo
softunit fit table.csv --target y --out m.safetensors
softunit predict m.safetensors new.csv --out p.csv
"""


class Commands(TyperGroup):
    """The group of commands; whatever goes wrong in one ends in a sentence and a status."""

    def main(
        self,
        args: Any = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; exit with its status if `standalone_mode`."""
        try:
            status = super().main(
                args, prog_name, complete_var, False, windows_expand_args, **extra
            )
        except UsageError as error:
            complain(usage_sentence(error))
            status = 2
        if not standalone_mode:
            return status
        sys.exit(status if isinstance(status, int) else 0)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that `args` begins with, or refuse it with near names."""
        name, names = args[0], list(self.commands)
        if name not in self.commands and not name.startswith("-"):
            raise InputError(
                f"There is no command {show(name)}.{near(name, names)} The commands are"
                f" {listed(names)}."
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for and return its exit status."""
        return said(lambda: super(Commands, self).invoke(ctx))


app = typer.Typer(
    name="softunit",
    cls=Commands,
    help=_HELP,
    add_completion=False,
    rich_markup_mode=None,
    invoke_without_command=True,
    pretty_exceptions_enable=False,  # a fault of ours keeps Python's own traceback
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def start(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Answer to a bare `softunit` and to `--version`."""
    if show_version:
        typer.echo(f"softunit {version()}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit()


app.command(cls=PanelledCommand, help=HELP)(fit)
for command in (predict, certify, show_model, demo):
    app.command()(command)
app.add_typer(bench, name="bench", cls=Commands)
app.add_typer(claims, name="claims", cls=Commands)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    args : sequence of str or None, default None
        What follows the word softunit; None takes it from `sys.argv`.

    Returns
    -------
    int
        0 done and converged, 2 bad input, 3 not converged, 130 after Ctrl-C, 141 where nobody
        reads the output any more.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show a letter shows its code; that is no reason to stop.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=args, prog_name="softunit")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    except BrokenPipeError:
        close_output()
        return PIPE_CLOSED
    except OSError as error:
        return output_failed(error)
    # What help and version have printed is still to be flushed; a fault must not wait for the exit.
    flushed = said(lambda: 0)
    return int(status or flushed)
