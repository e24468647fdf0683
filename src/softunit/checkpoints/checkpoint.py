"""A file that a run, or the runs of a fit, are resumed from."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from softunit._checks import check_positive, check_switch
from softunit._files import check_writable, remove_leftovers
from softunit.checkpoints.files import read_file, write_file
from softunit.checkpoints.fingerprint import fingerprint
from softunit.checkpoints.part import Part
from softunit.errors import CheckpointWarning, FileError, InputError, warn
from softunit.problem import Problem
from softunit.solution import Status
from softunit.solvers.base import Solver

__all__ = ["Checkpoint", "check_checkpoint", "opened"]

SHARE = 20  # times as long as a writing took is what at least lies between two
UNFINISHED = (Status.INTERRUPTED, Status.STOPPED)


class Checkpoint:
    """Where the runs of one fit stand, in memory and in a file.

    The file is written to a temporary name beside it, flushed and renamed, so that there is a whole
    one at any time. Where a writing fails, the run goes on.

    Parameters
    ----------
    path : str or path-like
    every : float
        Seconds from the end of one writing to the next, 0 for one after each iteration.
    resume : bool
        Whether to go on from the file, if it is there.

    Raises
    ------
    FileError
        If the file cannot be resumed from, belongs to an unfinished fit that is not to be resumed,
        is none of softunit's, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], every: float, resume: bool) -> None:
        self.path, self.every = Path(path), float(every)
        check_checkpoint(path, every, resume)
        remove_leftovers(path)
        self._parts: list[Any] = []
        self._known = self._number = 0
        self._fingerprints: list[tuple[Problem, dict[str, Any]]] = []
        self._pending = False
        self._failure = ""
        self._written = "none was written"
        if self.path.exists():
            self._open(resume)
        self._next = time.perf_counter() + self.every

    def _open(self, resume: bool) -> None:
        if not resume and self.path.stat().st_size == 0:
            return
        try:
            tree = read_file(self.path)
            finished, parts = self._contents(tree)
        except FileError as error:
            if resume:
                raise
            raise FileError(
                f"{self.path} is there and would be overwritten, though it is no finished"
                " checkpoint, or it is damaged. Remove it, or choose another name."
            ) from error
        if not resume and not finished:
            raise FileError(
                f"{self.path} is the checkpoint of a fit that has not finished. Go on from it with"
                " `resume`, remove it, or choose another name."
            )
        if resume:
            self._parts, self._known = parts, len(parts)

    def _contents(self, tree: dict[str, Any]) -> tuple[bool, list[Any]]:
        """Return whether the fit has ended, and its runs."""
        finished, parts = tree.get("finished"), tree.get("parts")
        if not (isinstance(finished, bool) and isinstance(parts, list)) or not all(
            isinstance(part, dict) for part in parts
        ):
            raise FileError(f"{self.path} cannot be resumed from: it is damaged: it has no runs.")
        return finished, parts

    def part(self, problem: Problem, solver: Solver[Any], tol: float, max_iter: int) -> Part:
        """Return the next run, as far as the file tells of it.

        Runs are told apart by their order: a fit that is resumed makes the same ones again.

        Parameters
        ----------
        problem : Problem
        solver : Solver
        tol : float
        max_iter : int

        Raises
        ------
        FileError
            If the file is of another problem or solver, or damaged.
        """
        place, self._number = self._number, self._number + 1
        if 0 < place <= len(self._parts):
            self._parts[place - 1].pop("state", None)  # as large as a solver's memory
        part = Part(self, place, problem, solver, tol)
        if place < self._known:
            try:
                stands = part.recall(self._parts[place], max_iter)
            except FileError as error:
                raise FileError(
                    f"{self.path} cannot be resumed from: {str(error).rstrip('.')}."
                ) from error
            if not stands:  # what followed is to be made again
                del self._parts[place + 1 :]
                self._known = place
        return part

    def fingerprint(self, problem: Problem) -> dict[str, Any]:
        """Return the fingerprint of a problem, made once."""
        for known, made in self._fingerprints:
            if known is problem:
                return made
        made = fingerprint(problem)
        self._fingerprints = [*self._fingerprints[-1:], (problem, made)]
        return made

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return time.perf_counter() >= self._next

    def hold(self, place: int, tree: dict[str, Any]) -> None:
        """Note where the run of a place stands; those after it no longer count."""
        self._parts[place:] = [tree]
        self._pending = True

    def write(self, *, finished: bool = False) -> None:
        """Write what is noted; where that fails, warn once and go on.

        Parameters
        ----------
        finished : bool, default False
            Whether the fit has ended.
        """
        begin = time.perf_counter()
        before, self._failure = self._failure, ""
        try:
            write_file(self.path, {"finished": finished, "parts": self._parts})
        except (OSError, FileError) as error:
            told = getattr(error.__cause__ or error, "strerror", None) or str(error)
            self._failure = told.rstrip(".")
            if not (before or finished):
                warn(
                    f"the checkpoint {self.path} could not be written: {self._failure}. The run"
                    f" goes on; {self._written}.",
                    CheckpointWarning,
                )
        else:
            self._pending = False
            last = self._parts[-1]["history"][-1]
            self._written = f"the last one was written at iteration {int(last[0])}"
        end = time.perf_counter()
        self._next = end + max(self.every, SHARE * (end - begin)) if self.every > 0 else end

    def finish(self) -> None:
        """Write the end of the fit; warn where that fails, as the file then tells of less."""
        if not self._parts:
            return
        ended = self._parts[-1].get("ended")
        self.write(finished=ended is not None and Status[ended["status"]] not in UNFINISHED)
        self._parts, self._fingerprints = [], []  # as large as solvers' memories
        if self._failure:
            warn(
                f"the fit has ended, but its checkpoint {self.path} could not be written:"
                f" {self._failure}; {self._written}.",
                CheckpointWarning,
            )

    def leave(self) -> None:
        """Write what has not been written yet, before an error ends the fit."""
        if self._pending:
            self.write()


@contextmanager
def opened(
    path: str | os.PathLike[str] | None, *, every: float = 30.0, resume: bool = False
) -> Iterator[Checkpoint | None]:
    """Open a checkpoint for the runs of one fit; the end of the block is the end of the fit.

    Where the block raises, also on Ctrl-C, the last state is written and the fit stays unfinished.

    Parameters
    ----------
    path : str, path-like or None
        None gives None: no checkpoint is kept.
    every : float, default 30.0
        Seconds from the end of one writing to the next, 0 for one after each iteration.
    resume : bool, default False
        Whether to go on from the file; where there is none the fit starts at the beginning.

    Yields
    ------
    Checkpoint or None

    Raises
    ------
    FileError
        If the file cannot be resumed from, belongs to an unfinished fit that is not to be resumed,
        is none of softunit's, or cannot be written.
    """
    check_checkpoint(path, every, resume)
    if path is None:
        yield None
        return
    kept = Checkpoint(path, every, resume)
    try:
        yield kept
    except BaseException:
        kept.leave()
        raise
    kept.finish()


def check_checkpoint(path: object, every: object, resume: object) -> None:
    """Check what a fit is told of its checkpoint, and that the file can be written.

    Parameters
    ----------
    path, every, resume : object
        As in `opened`.

    Raises
    ------
    InputError
        If one is not what it should be, or there is no file to resume from.
    FileError
        If the path cannot be written, or is no plain file.
    """
    check_positive("every", every, zero=True)
    check_switch("resume", resume)
    if path is None:
        if resume:
            raise InputError("`resume` needs the `checkpoint` to go on from; got none.")
        return
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"`checkpoint` must be a path; got {type(path).__name__}.")
    check_writable(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(f"{path} cannot be a checkpoint: it is no plain file.")
