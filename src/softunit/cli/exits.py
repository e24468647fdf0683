"""How a command ends: the exit status, and the sentence that goes with it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from softunit.cli.screen import complain
from softunit.errors import SoftunitError

CONVERGED = 0
BAD_INPUT = 2
NOT_CONVERGED = 3
INTERRUPTED = 130
PIPE_CLOSED = 141

# typer brings its own copy of click or the package, depending on its version.
UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def said(run: Callable[[], Any]) -> Any:
    """Run a command and return its status; what went wrong is said in one sentence.

    A mistake of the program itself is none of these: it keeps its traceback.
    """
    try:
        status = run()
        sys.stdout.flush()
    except SoftunitError as error:
        complain(str(error))
        return BAD_INPUT
    except MemoryError as error:
        complain(_memory_sentence(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        complain("interrupted. Files that were complete are kept; no file was left half written.")
        return INTERRUPTED
    except BrokenPipeError:
        close_output()
        return PIPE_CLOSED
    except OSError as error:
        return output_failed(error)
    return status


def output_failed(error: OSError) -> int:
    """Say that nothing more can be printed, and return the status for it."""
    close_output()
    where = f" ({error.filename})" if error.filename else ""
    complain(
        f"the output could not be written: {error.strerror or error}{where}. Files that were"
        " complete are kept."
    )
    return BAD_INPUT


def usage_sentence(error: Exception) -> str:
    """Return what is wrong with the command line itself, and where its help is."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "softunit"
    text = " ".join(str(message).split()).rstrip(".")
    return f"{text}{'' if text.endswith('?') else '.'} See {path} --help."


def _memory_sentence(error: MemoryError) -> str:
    detail = f" ({str(error).rstrip('.')})" if str(error) else ""
    return (
        f"not enough memory{detail}. Leave the rows on disk (--memory, for classifiers), use fewer"
        " rows or columns, drop text columns of many levels, or use a machine with more memory."
    )


def close_output() -> None:
    """Point the output at nothing, so that Python does not complain when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
