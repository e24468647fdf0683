"""Without PyTorch: the room says how to get it, and the rest of the package works."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKED = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Without())
import softunit as su
try:
    import {room}
except ImportError as error:
    assert type(error) is su.errors.MissingExtraError, type(error)
    print(error)
"""


@pytest.mark.parametrize("room", ["softunit.nn", "softunit.nn.attention"])
def test_without_torch_the_pip_line_is_said(room):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(room=room)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "softunit.nn (PyTorch) needs packages that are not installed: pip install 'softunit[nn]'\n"
    )
