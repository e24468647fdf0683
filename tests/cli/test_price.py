"""What coefficients of choices are worth, from the command line: --price."""

import re

import numpy as np
import pytest

from softunit.cli.effects import MOST_ALTERNATIVES
from softunit.estimators import ConditionalLogit
from softunit.tables import write_table
from tests.cli.choices import long_file, travel, wide_file
from tests.cli.commands import figures, refused, run

CHOICE = ("--problem", "choice", "--target", "choice", "--groups", "individual")
NAMED = (*CHOICE, "--alternatives", "mode", "--reference", "car", "--drop", "hinc")


@pytest.fixture
def long(tmp_path):
    return long_file(tmp_path / "long.csv")


def fitted():
    """Return the estimator of the same columns, and its table."""
    data = travel()
    X = np.column_stack([data["ttme"], data["gc"]])
    model = ConditionalLogit(reference="car")
    model.fit(X, data["choice"], data["individual"], alternatives=data["mode"])
    return model, X, data


@pytest.mark.parametrize("kind", ["classical", "robust"])
def test_willingness_to_pay_is_that_of_the_estimator(tmp_path, long, kind):
    out = tmp_path / "f.json"
    shown = run("fit", long, *NAMED, "--price", "gc", "--errors", kind, "--json", out).stdout
    model, _, _ = fitted()
    expected, found = model.willingness_to_pay("x1", kind), figures(out)["willingness_to_pay"]
    rows = found["rows"]
    assert (found["price"], found["kind"], found["converged"]) == ("gc", kind, True)
    assert [row["feature"] for row in rows] == [
        "ttme", "constant: air", "constant: bus", "constant: train",
    ]  # fmt: skip
    for key, values in (
        ("value", expected.values),
        ("error", expected.standard_errors),
        ("low", expected.confidence_intervals()[:, 0]),
        ("high", expected.confidence_intervals()[:, 1]),
    ):
        np.testing.assert_allclose([row[key] for row in rows], values, rtol=1e-6)
    assert "Willingness to pay, in units of gc" in shown
    assert f"Errors by the delta method; {kind}" in shown


def test_clustered_errors_are_those_of_the_clusters(tmp_path):
    pairs = (travel()["individual"] + 1) // 2
    path, out = long_file(tmp_path / "l.csv", pair=pairs), tmp_path / "f.json"
    run("fit", path, *NAMED, "--price", "gc", "--errors", "clustered", "--clusters", "pair",
        "--json", out)  # fmt: skip
    model, _, _ = fitted()
    expected = model.willingness_to_pay("x1", "clustered", pairs).standard_errors
    rows = figures(out)["willingness_to_pay"]["rows"]
    np.testing.assert_allclose([row["error"] for row in rows], expected, rtol=1e-6)


def test_elasticities_are_those_of_the_estimator(tmp_path, long):
    out = tmp_path / "f.json"
    shown = run("fit", long, *NAMED, "--price", "gc", "--json", out).stdout
    model, X, data = fitted()
    expected = model.elasticities(X, data["individual"], "x1", alternatives=data["mode"])
    found = figures(out)["elasticities"]
    assert found["alternatives"] == ["air", "bus", "car", "train"]
    np.testing.assert_allclose(found["table"], expected.table, rtol=1e-6)
    # What it costs to fly lowers the share of flights, and raises all others.
    table = np.array(found["table"])
    assert (np.diagonal(table) < 0).all()
    assert (table[~np.eye(4, dtype=bool)] > 0).all()
    assert "Elasticities by gc" in shown
    assert f"{expected.table[0, 0]:.4g}" in shown


def test_wide_and_long_tables_have_one_price(tmp_path, long):
    wide, a, b = wide_file(tmp_path / "wide.csv"), tmp_path / "a.json", tmp_path / "b.json"
    wish = ("--price", "gc", "--json")
    run("fit", long, *NAMED[:-2], "--interact", "hinc", *wish, a)
    run("fit", wide, "--problem", "choice", "--wide", "--target", "trip", "--reference", "car",
        *wish, b)  # fmt: skip
    one, other = figures(a), figures(b)
    worth = {row["feature"]: row["value"] for row in one["willingness_to_pay"]["rows"]}
    again = {row["feature"]: row["value"] for row in other["willingness_to_pay"]["rows"]}
    assert worth == pytest.approx(again, rel=1e-5)
    np.testing.assert_allclose(one["elasticities"]["table"], other["elasticities"]["table"], 1e-5)


def test_the_report_has_both_tables(tmp_path, long):
    page = tmp_path / "r.html"
    run("fit", long, *NAMED, "--price", "gc", "--report", page)
    text = page.read_text("utf-8")
    for heading in ("Willingness to pay", "Elasticities by alternative"):
        assert f">{heading}</h2>" in text
    assert "--price gc" in text  # the command that repeats the fit
    run("fit", long, *NAMED, "--report", page)
    assert "Willingness to pay" not in page.read_text("utf-8")


def test_alternatives_without_names_have_no_elasticities(tmp_path, long):
    out = tmp_path / "f.json"
    shown = run("fit", long, *CHOICE, "--drop", "hinc", "--drop", "mode", "--price", "gc",
                "--json", out).stdout  # fmt: skip
    assert [r["feature"] for r in figures(out)["willingness_to_pay"]["rows"]] == ["ttme"]
    assert figures(out)["elasticities"] is None
    assert "Elasticities" not in shown


def test_a_fit_that_stops_early_says_so_on_every_table(tmp_path, long):
    out, page = tmp_path / "f.json", tmp_path / "r.html"
    shown = run("fit", long, *NAMED, "--price", "gc", "--max-iter", 1, "--json", out, "--report",
                page, status=3).stdout  # fmt: skip
    assert shown.count("these are not its estimates yet") == 3
    assert page.read_text("utf-8").count("these are not its estimates yet") == 3
    paid = figures(out)["willingness_to_pay"]
    assert paid["converged"] is False
    assert {(row["low"], row["high"]) for row in paid["rows"]} == {(None, None)}
    assert figures(out)["elasticities"]["converged"] is False


def test_a_price_that_may_be_zero_is_not_trusted(tmp_path, rng):
    path, out = long_file(tmp_path / "l.csv", noise=rng.normal(size=840)), tmp_path / "f.json"
    shown = run("fit", path, *NAMED, "--price", "noise", "--json", out).stdout
    errors = {row["feature"]: row for row in figures(out)["estimates"]["rows"]}
    assert abs(errors["noise"]["z"]) < 2
    assert "do not trust these intervals" in figures(out)["willingness_to_pay"]["notes"][0]
    assert "standard errors away from zero" in " ".join(shown.split())
    run("fit", path, *NAMED, "--price", "gc", "--json", out)
    assert figures(out)["willingness_to_pay"]["notes"] == []


def test_separated_choices_have_neither(tmp_path):
    data = travel()
    path, out = long_file(tmp_path / "l.csv", gc=data["gc"] + 1e3 * data["choice"]), tmp_path / "f"
    shown = run("fit", path, *NAMED, "--price", "gc", "--json", out, status=3).stdout
    assert figures(out)["willingness_to_pay"] is None
    assert figures(out)["elasticities"] is None
    assert "no willingness to pay" in " ".join(shown.split())


def test_columns_that_cannot_be_told_apart_have_no_willingness_to_pay(tmp_path):
    path, out = long_file(tmp_path / "l.csv", twice=2 * travel()["gc"]), tmp_path / "f.json"
    run("fit", path, *NAMED, "--price", "ttme", "--json", out)
    assert figures(out)["willingness_to_pay"] is None
    assert any("no willingness to pay, as there are no" in note for note in figures(out)["notes"])


def test_many_alternatives_have_no_table(tmp_path, rng):
    sets, size = 300, 4
    count = MOST_ALTERNATIVES + 1
    names = np.concatenate([rng.permutation(count)[:size] for _ in range(sets)])
    chosen = np.zeros((sets, size), dtype=int)
    chosen[np.arange(sets), rng.integers(size, size=sets)] = 1
    path, out = tmp_path / "m.csv", tmp_path / "f.json"
    cost = rng.normal(size=sets * size)
    columns = {"individual": np.repeat(np.arange(sets), size), "mode": names, "cost": cost}
    write_table(path, columns | {"choice": chosen.ravel(), "time": rng.normal(size=sets * size)})
    run("fit", path, *CHOICE, "--alternatives", "mode", "--no-intercept", "--price", "cost",
        "--json", out)  # fmt: skip
    assert figures(out)["elasticities"] is None
    assert any("at most 100" in note for note in figures(out)["notes"])


@pytest.mark.parametrize("width", [60, 100])
def test_the_tables_fit_the_terminal(tmp_path, long, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = run("fit", long, *NAMED, "--price", "gc").stdout
    part = shown[shown.index("Willingness") : shown.index("Certificate")]
    assert max(map(len, part.splitlines())) <= width
    interval = "$" if width < 80 else r"   -\d+\.\d+ to -\d\.\d+$"
    assert re.search(r"^ttme +-6\.\d+ +\d\.\d+" + interval, part, re.MULTILINE)
    assert re.search(r"^ +air +bus +car +train$", part, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((*NAMED, "--price", "cost"), "--price names 'cost', which is no column.*'ttme', 'gc'"),
        ((*NAMED, "--price", "gcc"), "Did you mean 'gc'"),
        ((*NAMED, "--interact", "gc", "--price", "gc"), "--interact, or give one of 'gc:car'"),
        (("--target", "mode", "--price", "gc"), "--price belongs to --problem choice"),
    ],
)
def test_refuses_with_a_sentence(long, options, sentence):
    assert re.search(sentence, refused("fit", long, *options))
