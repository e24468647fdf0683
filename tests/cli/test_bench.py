"""`softunit bench` runs peers side by side, and keeps what it measured."""

from __future__ import annotations

import json

import pytest

from softunit.bench import CASES, PEERS, SERIES, CaseRun, Result
from tests.cli.commands import figures, refused, run


def test_two_peers_on_one_case_end_to_end(tmp_path):
    json_file, picture = tmp_path / "b.json", tmp_path / "b.svg"
    result = run(
        "bench", "--cases", "iris", "--peers", "sklearn-newton-cholesky,softunit",
        "--threads", 1, "--repeats", 1, "--json", json_file, "--plot", picture,
    )  # fmt: skip
    found = figures(json_file)
    assert found["complete"] is True
    assert found["converged"] is True
    assert found["machine"]["threads"] == 1
    names = [one["peer"] for one in found["cases"][0]["results"]]
    assert names == ["softunit", "sklearn-newton-cholesky"]
    assert all(one["gradient"] <= 1e-6 for one in found["cases"][0]["results"])
    assert found["summary"]["worst_case"] == "iris"
    assert "<svg" in picture.read_text("utf-8")
    for words in ("iris: 150 x 4, 3 classes", "passes", "All cases", "Worst ratio", str(picture)):
        assert words in result.stdout
    assert max(map(len, result.stdout.splitlines()[:-3])) <= 80


def made_up(outcome="reached"):
    """Yield one made-up result as a run does."""
    case = CaseRun(CASES["iris"], 0.1)
    seconds = 1.0 if outcome == "reached" else None
    case.results.append(Result("iris", "softunit", outcome, seconds, seconds, gradient=1e-7))
    return case


def test_every_end_is_shown(monkeypatch):
    def ends(cases, peers, plan, watch):
        one = made_up()
        one.results += [
            Result("iris", "cyanure", "missed", gradient=0.01),
            Result("iris", "glum", "stopped", budget=6.0, bound=5.0),
            Result("iris", "torch-lbfgs", "failed", reason="ValueError: \x1b[31m no"),
            Result("iris", "statsmodels", "skipped", reason="it has no ridge"),
        ]
        yield one

    monkeypatch.setattr("softunit.cli.bench.run_cases", ends)
    monkeypatch.setattr("softunit.cli.bench.chosen_peers", lambda names: names[:5])
    said = run("bench").stdout
    for words in ("the best", "missed: gradient 1.0e-02", "stopped after 6 s", "\\x1b[31m", ">5 s"):
        assert words in said
    assert "statsmodels" not in said


def test_ctrl_c_keeps_what_was_measured(tmp_path, monkeypatch):
    def interrupted(cases, peers, plan, watch):
        yield made_up()
        raise KeyboardInterrupt

    monkeypatch.setattr("softunit.cli.bench.run_cases", interrupted)
    run("bench", "--json", tmp_path / "b.json", status=130)
    found = json.loads((tmp_path / "b.json").read_text("utf-8"))
    assert found["complete"] is False
    assert found["cases"][0]["results"][0]["outcome"] == "reached"


def test_a_miss_of_ours_is_status_3(monkeypatch, tmp_path):
    monkeypatch.setattr("softunit.cli.bench.run_cases", lambda *args: iter([made_up("missed")]))
    result = run("bench", "--quiet", "--json", tmp_path / "b.json", status=3)
    assert result.stdout == ""
    assert result.stderr == "softunit: softunit missed the bar on iris.\n"
    assert figures(tmp_path / "b.json")["converged"] is False


def test_the_scaling_study_prints_slopes(monkeypatch, tmp_path):
    def studied(cases, peers, plan, watch):
        assert len(cases) == sum(len(series.cases) for series in SERIES)
        for case in cases:
            one = CaseRun(case, 0.1)
            one.results.append(Result(case.name, "softunit", "reached", case.n / 1e5, 2.0))
            yield one

    monkeypatch.setattr("softunit.cli.bench.run_cases", studied)
    files = ["--json", tmp_path / "b.json", "--plot", tmp_path / "b.svg"]
    result = run("bench", "--scaling", "--peers", "softunit", *files)
    assert "Time against rows (30 columns, 5 classes)" in result.stdout
    assert "slope 1.00 from 100,000" in result.stdout
    slopes = {one["series"]: one["slope"] for one in figures(tmp_path / "b.json")["scaling"]}
    assert slopes["rows"] == pytest.approx(1.0)
    assert slopes["columns"] == pytest.approx(0.0, abs=1e-9)


def test_list_names_everything():
    said = run("bench", "--list").stdout
    for name in (*CASES, *PEERS, "quick", "guard", "full"):
        assert name in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--cases", "irs"], "There is no case 'irs'. Did you mean 'iris'?"),
        (["--peers", "sklern-saga"], "There is no peer 'sklern-saga'. Did you mean 'sklearn-saga'"),
        (["--suite", "ful"], "There is no suite 'ful'. Did you mean 'full'?"),
        (["--threads", "0"], "Invalid value for '--threads'"),
        (["--repeats", "0"], "Invalid value for '--repeats'"),
        (["--scaling", "--cases", "iris"], "--cases and --scaling cannot go together"),
        (["--plot", "b.png"], "--plot must be a name that ends in .svg; got 'b.png'."),
        (["--json", "no/b.json"], "does not exist"),
    ],
)
def test_bad_input_is_one_sentence(args, words):
    assert words in refused("bench", *args)


def test_a_picture_needs_its_package(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = refused("bench", "--plot", tmp_path / "b.svg")
    assert said.endswith(
        "the picture needs packages that are not installed: pip install 'softunit[cli]'"
    )
