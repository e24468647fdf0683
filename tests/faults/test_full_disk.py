"""A disk that fills: every output is refused with a sentence, and what was there stays whole."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.faults.actions import WRITERS
from tests.faults.client import Runner


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Runner, str]]:
    """A runner that sees a disk of one page in a folder, which nobody else sees."""
    folder = str(tmp_path_factory.mktemp("disk"))
    mount = 'mount -t tmpfs -o size=4k none "$0" && exec "$@"'
    before = ("unshare", "--map-root-user", "--mount", "sh", "-c", mount, folder)
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare to mount a small disk with")
    tried = subprocess.run([*before, "true"], capture_output=True, timeout=30, check=False)
    if tried.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {tried.stderr.decode().strip()}")
    made = Runner(*before)
    yield made, folder
    made.close()


def test_a_small_disk(small_disk):
    runner, folder = small_disk
    told = runner("write_all", folder=folder)
    assert told.end == "done", told
    assert set(told.value["said"]) == set(WRITERS)
    assert told.value["left"] == ["full"]
    for name, sentence in told.value["said"].items():
        assert f"{folder}/{name} cannot be written: " in sentence
        assert "No space left on device" in sentence
        assert sentence.endswith(".")


def test_a_fit_goes_on_where_its_checkpoint_cannot_be_written(small_disk):
    runner, folder = small_disk
    right = runner("fit", solver="lbfgs")
    told = runner("fit", solver="lbfgs", checkpoint=f"{folder}/run.ckpt")
    assert told.end == "done", told
    assert told.value == right.value


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_largest_file(name, runner, tmp_path):
    folder = str(tmp_path)
    assert runner("write", folder=folder, name=name, version=0).end == "done"
    size = (tmp_path / name).stat().st_size
    told = runner("write", folder=folder, name=name, version=1, limits={"file": size // 2})
    assert told.refused, told
    assert "cannot be written" in told.message
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert runner("read", folder=folder, name=name).value == 0
