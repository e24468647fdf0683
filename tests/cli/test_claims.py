"""`softunit claims` lists what papers claim, measures it, and writes a page."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time

import pytest

from softunit.claims import CLAIMS
from softunit.cli.claims_screen import MeasuringLine
from softunit.cli.screen import Screen, _Console
from tests.claims.stand_ins import BREAKS, FAILS, HOLDS, INTERRUPTED, THREE
from tests.cli.commands import figures, refused, run


@pytest.fixture
def stand_ins(monkeypatch, tmp_path):
    monkeypatch.setattr("softunit.claims.CLAIMS", THREE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list_has_every_claim(tmp_path):
    said = run("claims", "--json", tmp_path / "c.json").stdout
    words = " ".join(said.split())
    for claim in CLAIMS:
        assert claim.title in words
        assert claim.sentence in words
        assert claim.paper in words
    assert max(map(len, said.splitlines()[:-3])) <= 80
    found = figures(tmp_path / "c.json")
    assert [one["id"] for one in found["claims"]] == [claim.id for claim in CLAIMS]
    assert found["claims"][0]["sentence"] == CLAIMS[0].sentence


def test_a_real_claim_end_to_end(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = run("claims", "run", "1.12", "--share", 0.1, "--json", "c.json", "--strict").stdout
    assert "1.12 Gradient-Normalized Smoothness" in said
    assert "The claim holds." in said
    assert "≤ 200  holds" in said
    found = figures(tmp_path / "c.json")
    assert found["complete"] is True
    assert found["converged"] is True
    assert found["share"] == 0.1
    assert "numpy" in found["versions"]
    assert "A quick look, not the full size" in (tmp_path / "claims.html").read_text("utf-8")


def test_every_verdict_is_shown_and_none_is_an_error(stand_ins):
    result = run("claims", "run", "--all", "--json", "c.json")
    for words in (
        "0.4 Softmax regression: holds", "1.5 Singular: could not be measured", "fails",
        "largest gap over 20 seeds", "≤ 1e-6", "≥ 0.9", "note A note.", "undefined",
        "ValueError: the matrix", "\\x1b[31m", "[red]x[/red]", "All claims",
        "1 of 3 claims holds; 1.12 fails; 1.5 could not be measured.", "claims.html", "c.json",
    ):  # fmt: skip
        assert words in result.stdout, words
    assert "\x1b" not in result.stdout
    assert result.stderr == ""
    found = figures(stand_ins / "c.json")
    assert [claim["id"] for claim in found["claims"]] == ["0.4", "1.5", "1.12"]
    assert found["value"] == 1
    assert found["claims"][2]["findings"][1]["value"] is None, "NaN has no place in JSON"
    page = (stand_ins / "claims.html").read_text("utf-8")
    assert "<script>" not in page
    assert "softunit claims run --all --seed 0" in page


@pytest.mark.parametrize("width", [40, 60, 120])
def test_a_narrow_terminal_shows_all_numbers(stand_ins, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    said = run("claims", "run", "0.4", "1.12", "--no-report").stdout
    assert max(map(len, said.splitlines())) <= width
    for words in ("≤ 1e-6", "0.97", "≥ 0.9", "0.6", "≤ 0.4"):
        assert words in said
    listed = run("claims").stdout
    assert max(map(len, listed.splitlines())) <= width


def test_claims_run_in_the_order_asked_for(stand_ins):
    run("claims", "run", "1.12", "0.4", "--json", "c.json", "--no-report")
    found = figures(stand_ins / "c.json")
    assert [claim["id"] for claim in found["claims"]] == ["1.12", "0.4"]
    assert not (stand_ins / "claims.html").exists()


def test_the_page_goes_where_it_is_told(stand_ins):
    said = run("claims", "run", "0.4", "--seed", 7, "--share", 0.5, "--report", "p.html").stdout
    assert "p.html" in said
    page = (stand_ins / "p.html").read_text("utf-8")
    assert "softunit claims run 0.4 --seed 7 --share 0.5" in page
    assert not (stand_ins / "claims.html").exists()


def test_a_quick_look_is_said_loudly(stand_ins):
    said = run("claims", "run", "0.4", "--share", 0.1).stdout
    assert said.count("A QUICK LOOK, NOT THE FULL SIZE: 10.0% of it.") == 2
    assert "QUICK" not in run("claims", "run", "0.4").stdout


def test_the_seed_reaches_the_claims(stand_ins):
    values = []
    for seed in (1, 2, 1):
        run("claims", "run", "0.4", "--seed", seed, "--json", "c.json", "--no-report")
        values.append(figures(stand_ins / "c.json")["claims"][0]["findings"][0]["value"])
    assert values[0] == values[2] != values[1]


@pytest.mark.parametrize(
    ("ids", "status"), [(["0.4"], 0), (["1.12"], 3), (["0.4", "1.5"], 3), (["--all"], 3)]
)
def test_strict_is_status_3_where_one_does_not_hold(stand_ins, ids, status):
    run("claims", "run", *ids, "--strict", status=status)
    assert (stand_ins / "claims.html").exists()


def test_quiet_says_only_what_does_not_hold(stand_ins):
    result = run("claims", "run", "--all", "--quiet")
    assert result.stdout == ""
    assert result.stderr == "softunit: 1.5, 1.12 do not hold.\n"
    assert run("claims", "run", "1.12", "-q").stderr == "softunit: 1.12 does not hold.\n"
    result = run("claims", "run", "0.4", "-q")
    assert result.stdout == result.stderr == ""


def test_ctrl_c_keeps_what_was_measured(stand_ins, monkeypatch):
    monkeypatch.setattr("softunit.claims.CLAIMS", (HOLDS, INTERRUPTED, FAILS))
    result = run("claims", "run", "--all", "--json", "c.json", status=130)
    assert "0.4 Softmax regression: holds" in result.stdout
    found = json.loads((stand_ins / "c.json").read_text("utf-8"))
    assert found["complete"] is False
    assert [claim["id"] for claim in found["claims"]] == ["0.4"]
    assert "Interrupted" in (stand_ins / "claims.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run", "1.21"], "There is no claim '1.21'. Did you mean '1.12'"),
        (["run", "0.4", "x"], "There is no claim 'x'. The claims are 0.4, 1.5, 1.12."),
        (["run"], "Which claims? Name them, as softunit claims run 0.4, or give --all"),
        (["run", "--all", "0.4"], "--all and '0.4' cannot go together"),
        (["run", "0.4", "--report", "p.html", "--no-report"], "--report and --no-report cannot"),
        (["run", "0.4", "--report", "no/p.html"], "the folder"),
        (["run", "0.4", "--report", "."], "it is a folder"),
        (["run", "0.4", "--json", "claims.html"], "are the same file"),
        (["run", "0.4", "--json", "no/c.json"], "does not exist"),
        (["run", "0.4", "--share", "0"], "Invalid value for '--share'"),
        (["run", "0.4", "--share", "1.1"], "Invalid value for '--share'"),
        (["run", "0.4", "--seed", "-1"], "Invalid value for '--seed'"),
        (["--json", "c.json", "run", "0.4"], "--json and --quiet go behind `run`"),
        (["--json", "no/c.json"], "does not exist"),
        (["rnu"], "There is no command 'rnu'. Did you mean 'run'?"),
    ],
    ids=range(15),
)
def test_bad_input_is_one_sentence(stand_ins, args, words):
    assert words in refused("claims", *args)
    assert list(stand_ins.iterdir()) == []


def test_paths_are_checked_before_any_work(stand_ins, monkeypatch):
    worked = []
    monkeypatch.setattr("softunit.claims.measure_all", lambda *args: worked.append(args) or ())
    refused("claims", "run", "0.4", "--report", "no/p.html")
    assert worked == []
    run("claims", "run", "0.4", "--report", "p.html")
    assert len(worked) == 1


def test_the_page_needs_its_packages(stand_ins, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = refused("claims", "run", "0.4")
    assert said.endswith("not installed: pip install 'softunit[cli]'")
    run("claims", "run", "0.4", "--no-report")


def test_a_terminal_shows_what_is_measured():
    stream = io.StringIO()
    terminal = _Console(file=stream, force_terminal=True, width=70, markup=False)
    line = MeasuringLine(Screen(err=terminal), total=3)
    line.watch(HOLDS, "")
    line.watch(HOLDS, "the gap \x1b[2J")
    line.watch(BREAKS, "")
    time.sleep(0.2)  # the line is drawn by a thread of its own
    line.pause()
    said = stream.getvalue()
    assert "1.5 (2 of 3): Singular" in said
    assert "\x1b[2J" not in said


def test_no_terminal_no_line():
    stream = io.StringIO()
    line = MeasuringLine(Screen(err=_Console(file=stream, width=70)), total=1)
    line.watch(HOLDS, "the gap")
    line.pause()
    assert stream.getvalue() == ""


def test_other_commands_do_not_wait_for_the_claims():
    program = "import sys, softunit.cli; print([m for m in sys.modules if 'softunit.claims' in m])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
