"""`softunit bench attention` measures units side by side, and keeps what it measured."""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("torch", reason="units of attention are written for PyTorch")

from softunit.bench.attention import PARTS, Row
from softunit.cli.bench_attention_words import told
from softunit.nn.attention import UNITS
from softunit.nn.workbench import PEERS
from tests.cli.commands import figures, refused, run

ERROR = {"output": 1e-7, "gradient": 2e-7, "output_double": 1e-15, "gradient_double": 1e-15}
ROWS = {"least_sum": 1.0, "most_sum": 1.0, "entropy": 0.9, "effective_keys": 150.0, "negative": 0.0}


LENGTHS = (1024, 2048, 4096, 8192)


def made_up(row, error=ERROR):
    """Fill a row as a worker does."""
    grown = [{"n": n, "forward": n / 1e6, "both": n / 5e5} for n in LENGTHS]
    held = [{"n": n, "forward": 1000 * n, "both": 2000 * n} for n in LENGTHS]
    big = {"n": 2048, "numbers": 5000, "scores": 10000, "power": 1.0, "operation": "mm"}
    loss = {"causal": True, "losses": [3.0, 2.5], "loss": 2.4, "accuracy": 0.3, "seconds": 1.0,
            "parameters": 1000, "stopped": ""}  # fmt: skip
    row.parts.update(
        times={"linear": True, "points": grown, "stopped": "", "note": "Made up."},
        memory={"points": held, "stopped": "No more.", "largest": big},
        measures={"error": error, "rows": ROWS, "rows_n": 256, "lipschitz": 2.5, "lipschitz_n": 64},
        text=loss,
        recall=loss | {"causal": False, "stopped": "the end"},
        hidden={"refused": "It <b>cannot</b>."},
    )
    for part in PARTS:
        row.parts[part]["complete"] = True
    return row


@pytest.fixture
def measured(monkeypatch):
    """Runs whose figures are made up."""

    def runs(plan, rows, parts, watch):
        for row in rows:
            watch(row, "times", {"points": [{"n": 64}]})
            yield made_up(row)

    monkeypatch.setattr("softunit.bench.attention.run_rows", runs)


def test_a_small_run_end_to_end(tmp_path):
    json_file, page = tmp_path / "a.json", tmp_path / "a.html"
    result = run(
        "bench", "attention", "--units", "stablemax", "--peers", "fla-linear", "--lengths", "64,32",
        "--heads", 1, "--width", 8, "--no-training", "--json", json_file, "--report", page,
    )  # fmt: skip
    found = figures(json_file)
    assert found["complete"] is True
    assert found["converged"] is True
    assert found["plan"]["lengths"] == [32, 64]
    assert [row["name"] for row in found["rows"]] == ["stablemax", "fla-linear"]
    assert [point["n"] for point in found["rows"][0]["times"]["points"]] == [32, 64]
    text = page.read_text("utf-8")
    assert text.count("data:image/svg+xml") == 2
    assert "<script" not in text
    for words in ("stablemax", "Slope of time", "Row sums", "All units and peers", str(page)):
        assert words in result.stdout
    assert max(map(len, result.stdout.splitlines()[:-3])) <= 80


@pytest.mark.usefixtures("measured")
def test_the_page_and_the_screen_show_every_figure(tmp_path):
    page = tmp_path / "a.html"
    said = run("bench", "attention", "--units", "softmax,soft", "--report", page).stdout
    for words in ("1,024: 2.05 ms", "slope", "5,000 numbers at n = 2,048", "Made up.", "No more.",
                  "loss 2.400", "seeing both sides; the end", "What the papers say"):  # fmt: skip
        assert words in said
    text = page.read_text("utf-8")
    for words in ("It &lt;b&gt;cannot", "2,048 to 8,192; bar 1.15 met", "Hidden characters".lower(),
                  "2.0e-07", "torch-sdpa", "1.2 Softmax-free"):  # fmt: skip
        assert words in text
    assert text.count("data:image/svg+xml") == 4


def test_an_error_above_the_bar_is_status_3(monkeypatch, tmp_path):
    def runs(plan, rows, parts, watch):
        for row in rows:
            yield made_up(row, ERROR | {"gradient": 1e-3})

    monkeypatch.setattr("softunit.bench.attention.run_rows", runs)
    args = ["bench", "attention", "--units", "softmax", "--peers", "none", "--quiet"]
    result = run(*args, "--json", tmp_path / "a.json", status=3)
    assert result.stdout == ""
    assert "softmax: the gradient in float32 is 1.0e-03 away" in result.stderr
    assert figures(tmp_path / "a.json")["converged"] is False


def test_ctrl_c_keeps_what_was_measured_and_the_rest_is_resumed(tmp_path, monkeypatch):
    left = []

    def interrupted(plan, rows, parts, watch):
        yield made_up(rows[0])
        raise KeyboardInterrupt

    def rest(plan, rows, parts, watch):
        left.extend(row.name for row in rows if not row.parts)
        for row in rows:
            yield made_up(row)

    args = ["bench", "attention", "--units", "softmax,sigmoid", "--peers", "none"]
    args += ["--json", tmp_path / "a.json", "--report", tmp_path / "a.html"]
    monkeypatch.setattr("softunit.bench.attention.run_rows", interrupted)
    broken = run(*args, status=130)
    found = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert found["complete"] is False
    assert f"the same command with --resume --json {tmp_path / 'a.json'} goes on" in broken.stderr
    assert "Interrupted" in (tmp_path / "a.html").read_text("utf-8")
    monkeypatch.setattr("softunit.bench.attention.run_rows", rest)
    run(*args, "--resume")
    assert left == ["sigmoid"]
    assert figures(tmp_path / "a.json")["complete"] is True
    said = refused(*args, "--resume", "--heads", 2)
    assert "measured with heads 4; now it is 2" in said


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], {"lengths": [1024, 2048, 4096, 8192, 16384], "steps": 200, "seconds": 10.0}),
        (["--quick"], {"lengths": [512, 1024, 2048], "steps": 20, "seconds": 0.5}),
        (["--quick", "--steps", 7, "--budget-seconds", 3], {"steps": 7, "seconds": 3.0}),
        (["--no-training", "--causal", "--compile"], {"steps": 0, "causal": True}),
    ],
)
def test_options_become_the_plan(args, expected, tmp_path):
    run("bench", "attention", *args, "--json", tmp_path / "a.json")
    plan = figures(tmp_path / "a.json")["plan"]
    assert {key: plan[key] for key in expected} == expected
    assert set(UNITS) <= set(plan["units"])
    assert plan["peers"] == list(PEERS)


@pytest.mark.usefixtures("measured")
def test_pictures_are_written_as_files(tmp_path):
    args = ["bench", "attention", "--units", "softmax", "--peers", "none"]
    said = run(*args, "--pictures", tmp_path).stdout
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"attention-{part}.svg" for part in ("memory", "recall", "text", "times")]
    assert "attention-times.svg" in said
    assert "softmax" in (tmp_path / "attention-times.svg").read_text("utf-8")
    assert "is no folder" in refused(*args, "--pictures", tmp_path / "none")


@pytest.mark.usefixtures("measured")
def test_a_narrow_terminal_gets_tables_side_under_side(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    said = run("bench", "attention", "--peers", "none").stdout
    table = said[said.index("All units and peers") :].splitlines()
    assert sum(line.startswith("softplus_reweighted ") for line in table) >= 2
    assert max(map(len, table[: table.index("")])) <= 60


@pytest.mark.usefixtures("measured")
def test_a_unit_without_columns_of_its_own_is_told_below_the_table(tmp_path):
    page = tmp_path / "a.html"
    args = ["--units", "softmax", "--lengths", 16384, "--peers", "none", "--report", page]
    run("bench", "attention", *args)
    assert "softmax: 8.19 ms at n = 4,096, 16.4 ms at n = 8,192." in page.read_text("utf-8")


def test_one_reason_for_several_parts_is_said_once():
    row = Row("unit", "a", {"text": {"skipped": "why"}, "recall": {"skipped": "why"}})
    assert told(row) == [("Text, Recall", "not trained: why")]


def test_list_names_everything():
    said = run("bench", "attention", "--list").stdout
    for name in (*UNITS, *PEERS, "kernelized+rpe"):
        assert name in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--units", "sotfmax"], "There is no unit 'sotfmax'. Did you mean 'softmax'"),
        (["--units", ","], "--units names no unit"),
        (["--peers", "torch-sdp"], "There is no peer 'torch-sdp'. Did you mean 'torch-sdpa'"),
        (["--lengths", "1k"], "must be whole numbers with commas, as 1024,2048,4096; got '1k'"),
        (["--lengths", "0,5"], "above zero that grow; got 0, 5"),
        (["--heads", "0"], "must be at least one; got 0"),
        (["--device", "tpu"], "must be 'cpu', 'cuda' or 'cuda:N'; got 'tpu'"),
        (["--dtype", "int8"], "got 'int8'"),
        (["--budget-seconds", "0"], "must be above zero; got 0.0"),
        (["--no-training", "--steps", "3"], "--no-training and --steps cannot go together"),
        (["--resume"], "name its file with --json FILE"),
        (["--json", "no/a.json"], "does not exist"),
        (["--width", "x"], "Invalid value for '--width'"),
    ],
)
def test_bad_input_is_one_sentence(args, words):
    assert words in refused("bench", "attention", *args)


def test_a_broken_record_is_not_resumed(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{", encoding="utf-8")
    assert "--resume cannot read" in refused("bench", "attention", "--resume", "--json", path)
    path.write_text("[]", encoding="utf-8")
    assert "is no record of" in refused("bench", "attention", "--resume", "--json", path)


def test_options_before_the_word_are_refused():
    said = refused("bench", "--threads", 2, "attention")
    assert said.startswith("softunit: --threads before the word attention")
    assert "Did you mean 'attention'?" in refused("bench", "atention")


def test_without_pytorch_the_line_that_installs_it_is_said(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("softunit.nn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("softunit.nn", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'softunit[nn]'" in refused("bench", "attention")
