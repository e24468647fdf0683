"""The command as a person meets it: in a process of its own, in a terminal of any width."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from softunit.cli import main
from tests.cli.commands import refused, table

SOFTUNIT = [sys.executable, "-m", "softunit"]

# Hides a package from the imports of the program that follows.
HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
from softunit.__main__ import main
sys.exit(main())
"""

# A fit that says when it has begun, and does not end.
ENDLESS = """
import sys, time
import softunit
from softunit.__main__ import main
def fit(self, X, y):
    print("fitting", flush=True)
    time.sleep(600)
softunit.SoftmaxClassifier.fit = fit
sys.exit(main())
"""


# Ctrl-C as soon as the command line is imported.
INTERRUPTED = """
import os, signal, sys
from softunit.__main__ import main
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("softunit.cli"):
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.exit(main())
"""


def call(*args: object, columns: int = 80, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [*SOFTUNIT, *map(str, args)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"COLUMNS": str(columns)} | environment,
        timeout=120,
    )


def test_a_bare_command_shows_how_to_start():
    done = call(columns=60)
    assert done.returncode == 0
    for word in ("softunit demo", "softunit fit table.csv", "fit ", "predict ", "certify "):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 60
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["fit", "predict", "certify", "demo"])
def test_help_fits_sixty_columns(command):
    done = call(command, "--help", columns=60)
    assert done.returncode == 0
    assert "--json FILE" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 60


def test_version():
    done = call("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("softunit ")


def test_fit_in_a_process(tmp_path, rng):
    data = table(tmp_path / "t.csv", rng)
    done = call("fit", data, "--target", "species", columns=60, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 60
    assert done.stderr == ""


def test_refusals_in_a_process(tmp_path, rng):
    done = call("fit", table(tmp_path / "t.csv", rng), "--target", "spec\x1b[31mies")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("softunit: There is no column")
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_commands_have_near_names():
    said = refused("fti")
    assert said.startswith("softunit: There is no command 'fti'. Did you mean 'fit'?")


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_missing_packages_get_the_pip_line(package):
    done = subprocess.run(
        [sys.executable, "-c", HIDE.format(name=package)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "softunit: the command line needs packages that are not installed:"
        " pip install 'softunit[cli]'\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="pipes and signals are others there")
def test_nobody_reading_is_no_error(tmp_path, rng):
    data = table(tmp_path / "t.csv", rng)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*SOFTUNIT, "fit", str(data), "--target", "species"], stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert done.returncode == 141
    assert done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("what", ["fit", "--help", "--version", "predict --help"])
def test_a_full_disk_behind_stdout_is_one_sentence(what, tmp_path, rng):
    more = [str(table(tmp_path / "t.csv", rng)), "--target", "species"] if what == "fit" else []
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*SOFTUNIT, *what.split(), *more], stdout=full, stderr=-1, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("softunit: the output could not be written: No space left")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_behind_stderr_leaves_the_status():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*SOFTUNIT, "fit", "no.csv", "--target", "y"], stdout=-1, stderr=full)
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.skipif(os.name == "nt", reason="pipes and signals are others there")
def test_ctrl_c_during_the_imports_is_quiet():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, ""), done.stderr
    assert done.stderr == "softunit: interrupted. Nothing was begun.\n"


@pytest.mark.skipif(os.name == "nt", reason="pipes and signals are others there")
def test_ctrl_c_is_status_130_and_keeps_the_old_model(tmp_path, rng):
    data, model = table(tmp_path / "t.csv", rng), tmp_path / "m.safetensors"
    model.write_bytes(b"old")
    args = [sys.executable, "-c", ENDLESS, "fit", data, "--target", "species", "--out", model]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"fitting\n"
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b""), error
    assert error.startswith(b"softunit: interrupted.")
    assert error.count(b"\n") == 1
    assert model.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "m.safetensors"}


def test_main_returns_the_status(capsys):
    assert main(["--version"]) == 0
    assert main(["fit"]) == 2
    assert "Missing argument" in capsys.readouterr().err


def test_a_narrow_terminal_loses_no_letter(tmp_path, rng):
    rows = np.column_stack([rng.standard_normal((40, 2)), np.full(40, 1 / 40)])
    data = tmp_path / "k.csv"
    np.savetxt(data, rows, delimiter=",", header="a,b,share", comments="")
    arguments = ("fit", data, "--problem", "softmax", "--target", "share")
    done = call(*arguments, columns=50)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 50
    letters = "".join(done.stdout.split())
    for whole in ("(loss plus penalty)", "(GradientRegularizedNewton)", "(passes over all rows)"):
        assert whole.replace(" ", "") in letters
