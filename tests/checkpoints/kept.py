"""What tests share: every version of a checkpoint that a run writes, and runs that end early."""

from __future__ import annotations

import shutil
from pathlib import Path

import softunit as su
from softunit.checkpoints import checkpoint as module


class EndedError(Exception):
    """What ends a run early in a test."""


class Versions:
    """Copies of a checkpoint, one for each time that it was written.

    Parameters
    ----------
    monkeypatch : pytest.MonkeyPatch
    folder : Path
        Where the copies go.
    """

    def __init__(self, monkeypatch, folder: Path) -> None:
        self.files: list[Path] = []
        self._folder, self._write = folder / "versions", module.write_file
        self._folder.mkdir()
        monkeypatch.setattr(module, "write_file", self._kept)

    def _kept(self, path, tree) -> None:
        self._write(path, tree)
        self.files.append(self._folder / str(len(self.files)))
        shutil.copyfile(path, self.files[-1])


def ended_at(iteration: int):
    """Return a callback that raises at an iteration."""

    def callback(record, point) -> None:
        if record.iteration == iteration:
            raise EndedError("ended")

    return callback


def same_run(one: su.Solution, other: su.Solution) -> bool:
    """Whether two runs took the very same steps, to the last bit."""

    def told(solution):
        return [(r.iteration, r.value, r.gradient_norm, r.share) for r in solution.history]

    same_end = (one.x == other.x).all() and one.status is other.status
    return bool(same_end and told(one) == told(other))
