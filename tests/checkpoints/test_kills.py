"""A process that is killed, and one that is asked to end, leave a whole checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from softunit.checkpoints.files import read_file
from tests.checkpoints.kept import same_run
from tests.checkpoints.killed import run

ROOT = Path(__file__).parents[2]
PROGRAM = (
    "import sys; from tests.checkpoints.killed import run; run(sys.argv[1], every=0, tells=True)"
)
ASKED = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); "


def ended(program: str, path: Path, iteration: int, number: signal.Signals) -> int:
    """Start a fit, send it a signal after an iteration, and return its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            if int(line) >= iteration:
                process.send_signal(number)
                break
        lines.read()
    return process.wait(timeout=60)


def test_killed_and_killed_again(tmp_path):
    """Each process goes on from where the last was killed, wherever in an iteration that was."""
    path, reached = tmp_path / "run.ckpt", -1
    for iteration in (1, 12, 40):
        assert ended(PROGRAM, path, iteration, signal.SIGKILL) == -signal.SIGKILL
        found = int(read_file(path)["parts"][0]["history"][-1][0])
        assert found >= max(iteration, reached), "a kill took back what had been written"
        reached = found
    last = run(str(path))
    assert same_run(run(None), last)
    assert os.listdir(tmp_path) == ["run.ckpt"]


def test_asked_to_end_it_writes_where_it_stands(tmp_path):
    path = tmp_path / "run.ckpt"
    assert ended(ASKED + PROGRAM, path, 5, signal.SIGTERM) == 143
    tree = read_file(path)
    assert not tree["finished"]
    assert tree["parts"][0]["history"][-1][0] >= 5
    assert same_run(run(None), run(str(path)))


def test_interrupted_it_writes_where_it_stands(tmp_path):
    path = tmp_path / "run.ckpt"
    assert ended(PROGRAM, path, 4, signal.SIGINT) != 0
    assert not read_file(path)["finished"]
    assert same_run(run(None), run(str(path)))
