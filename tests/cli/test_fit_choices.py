"""Choices and ordered classes from the command line: numbers, tables, files, refusals."""

import re

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.discrete.conditional_models import ConditionalLogit as Reference
from statsmodels.miscmodels.ordinal_model import OrderedModel

from softunit._groups import Groups
from softunit.cli.choice_prediction import most_probable
from softunit.model_file import load_model
from softunit.tables import read_table, write_table
from tests.cli.choices import long_file, opinions, travel, wide_file
from tests.cli.commands import figures, refused, run, table

CHOICE = ("--problem", "choice", "--target", "choice", "--groups", "individual")
NAMED = (*CHOICE, "--alternatives", "mode", "--reference", "car")


def rows(path):
    """Return the rows of the table of errors by name."""
    return {(row["label"], row["feature"]): row for row in figures(path)["estimates"]["rows"]}


@pytest.fixture
def long(tmp_path):
    return long_file(tmp_path / "long.csv")


def reference():
    """Return statsmodels' fit of the same columns."""
    data = travel()
    modes = [(data["mode"] == mode).astype(float) for mode in ("air", "bus", "train")]
    X = np.column_stack([data["ttme"], data["gc"], *modes])
    return Reference(data["choice"], X, groups=data["individual"]).fit(
        disp=0, method="newton", tol=1e-13
    )


def test_travel_modes_agree_with_statsmodels(tmp_path, long):
    out = tmp_path / "f.json"
    shown = run("fit", long, *NAMED, "--drop", "hinc", "--json", out).stdout
    expected, found = reference(), figures(out)
    estimates = list(rows(out).values())
    np.testing.assert_allclose([r["value"] for r in estimates], expected.params, rtol=1e-6)
    np.testing.assert_allclose([r["error"] for r in estimates], expected.bse, rtol=1e-5)
    np.testing.assert_allclose([r["p"] for r in estimates], expected.pvalues, rtol=1e-3)
    assert found["log_likelihood"] == pytest.approx(expected.llf, abs=1e-8)
    # Greene, Econometric Analysis: the table of this data set without income.
    assert found["coefficients"]["gc"] == pytest.approx(-0.01578, abs=5e-6)
    assert found["aic"] == pytest.approx(2 * 5 - 2 * expected.llf)
    assert found["n_sets"] == 210
    for text in ("constant: air", "McFadden R2", "Chosen, and predicted", "<0.001 ***"):
        assert text in shown


def test_shares_with_constants_are_those_observed(tmp_path, long):
    out = tmp_path / "f.json"
    run("fit", long, *NAMED, "--drop", "hinc", "--json", out)
    shares = {share["name"]: share for share in figures(out)["shares"]}
    assert shares["air"]["observed"] == pytest.approx(58 / 210)
    for share in shares.values():
        assert share["predicted"] == pytest.approx(share["observed"], abs=1e-7)
        assert share["offered"] == 1.0


def test_wide_and_long_are_one_model(tmp_path, long):
    wide, a, b = wide_file(tmp_path / "wide.csv"), tmp_path / "a.json", tmp_path / "b.json"
    run("fit", long, *NAMED, "--interact", "hinc", "--json", a)
    run("fit", wide, "--problem", "choice", "--wide", "--target", "trip", "--reference", "car",
        "--json", b)  # fmt: skip
    one, other = rows(a), rows(b)
    assert {"hinc:air", "hinc:train", "hinc:bus"} <= {name for _, name in one}
    assert set(one) == set(other)
    for name, row in one.items():
        assert other[name]["value"] == pytest.approx(row["value"], rel=1e-6)
        assert other[name]["error"] == pytest.approx(row["error"], rel=1e-6)


def test_the_target_may_name_the_chosen_alternative(tmp_path):
    data = travel()
    named = np.repeat(data["mode"][data["choice"] == 1], 4)
    path = long_file(tmp_path / "n.csv", choice=named)
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    run("fit", path, *NAMED, "--drop", "hinc", "--json", a)
    run("fit", long_file(tmp_path / "l.csv"), *NAMED, "--drop", "hinc", "--json", b)
    assert figures(a)["coefficients"] == pytest.approx(figures(b)["coefficients"])


def test_predictions_of_long_and_wide_tables_agree(tmp_path, long):
    wide = wide_file(tmp_path / "wide.csv")
    m, w, p, q = (tmp_path / name for name in ("m", "w", "p.csv", "q.csv"))
    run("fit", long, *NAMED, "--interact", "hinc", "--out", m, "-q")
    run("fit", wide, "--problem", "choice", "--wide", "--target", "trip", "--reference", "car",
        "--out", w, "-q")  # fmt: skip
    shown = run("predict", m, long, "--out", p).stdout
    assert "210 choice sets" in shown
    assert "Predicted alternatives" in shown
    # New sets come without a choice.
    fresh = wide_file(tmp_path / "fresh.csv", trip=None)
    run("predict", w, fresh, "--out", q)
    rows_of, sets = read_table(p), read_table(q)
    assert rows_of.names == ("set", "alternative", "prediction", "probability")
    chances = np.asarray(rows_of.column("probability").to_numpy())
    np.testing.assert_allclose(chances.reshape(-1, 4).sum(axis=1), 1.0)
    np.testing.assert_allclose(sets.column("p(train)").to_numpy(), chances[1::4], atol=1e-7)
    best = np.array(rows_of.column("alternative").to_pylist())[
        np.array(rows_of.column("prediction").to_pylist())
    ]
    assert best.tolist() == sets.column("prediction").to_pylist()


def test_what_is_not_offered_is_not_predicted(tmp_path):
    wide = wide_file(tmp_path / "wide.csv")
    run("fit", wide, "--problem", "choice", "--wide", "--target", "trip", "--out", tmp_path / "w",
        "-q")  # fmt: skip
    some = travel()
    gone = {f"{n}_air": some[n][some["mode"] == "air"].astype(object) for n in ("ttme", "gc")}
    for column in gone.values():
        column[:5] = None
    few = tmp_path / "few.csv"
    text = wide_file(few).read_text().splitlines()
    head = text[0].replace('"', "").split(",")
    places = [head.index("ttme_air"), head.index("gc_air")]
    for line in range(1, 6):
        cells = text[line].split(",")
        for place in places:
            cells[place] = ""
        text[line] = ",".join(cells)
    few.write_text("\n".join(text) + "\n")
    run("predict", tmp_path / "w", few, "--out", tmp_path / "p.csv")
    air = read_table(tmp_path / "p.csv").column("p(air)").to_numpy()
    assert (air[:5] == 0).all()
    assert (air[5:] > 0).all()


@pytest.mark.parametrize("kind", ["long", "wide"])
def test_a_saved_model_of_choice_is_certified(tmp_path, kind):
    if kind == "long":
        path, options = long_file(tmp_path / "l.csv"), NAMED
        options = (*options, "--drop", "hinc")
    else:
        path = wide_file(tmp_path / "w.csv")
        options = ("--problem", "choice", "--wide", "--target", "trip")
    run("fit", path, *options, "--out", tmp_path / "m", "-q")
    out = tmp_path / "c.json"
    assert "Certified." in run("certify", tmp_path / "m", path, "--json", out).stdout
    assert figures(out)["converged"] is True
    half = tmp_path / "half.csv"
    lines = path.read_text().splitlines(keepends=True)
    half.write_text("".join(lines[: 1 + (len(lines) - 1) // 2]))
    run("certify", tmp_path / "m", half, status=3)


def test_errors_of_other_kinds(tmp_path, long):
    found = {}
    for kind in ("classical", "robust", "HC1"):
        out = tmp_path / f"{kind}.json"
        run("fit", long, *NAMED, "--drop", "hinc", "--errors", kind, "--json", out, "-q")
        found[kind] = np.array([row["error"] for row in rows(out).values()])
    assert (found["HC1"] > found["robust"]).all()
    np.testing.assert_allclose(found["HC1"] / found["robust"], np.sqrt(210 / 205))
    assert not np.allclose(found["robust"], found["classical"], rtol=1e-3)


def test_clusters_of_pairs_of_travellers(tmp_path):
    pairs = (travel()["individual"] + 1) // 2
    path, out = long_file(tmp_path / "l.csv", pair=pairs), tmp_path / "f.json"
    run("fit", path, *NAMED, "--drop", "hinc", "--errors", "clustered", "--clusters", "pair",
        "--json", out)  # fmt: skip
    assert figures(out)["estimates"]["kind"] == "clustered"
    assert figures(out)["estimates"]["facts"]["Clusters"] == "105"


def test_a_fit_that_stops_early_has_no_stars(tmp_path, long):
    out = tmp_path / "f.json"
    saved = tmp_path / "m"
    shown = run("fit", long, *NAMED, "--drop", "hinc", "--max-iter", 1, "--json", out, "--out",
                saved, status=3)  # fmt: skip
    assert "no stars" in shown.stdout
    assert "***" not in shown.stdout
    assert {row["stars"] for row in rows(out).values()} == {""}
    assert figures(out)["estimates"]["converged"] is False
    # The notes say once where it stopped, and so does the saved model.
    assert " ".join(shown.stdout.split()).count("largest gradient entry") == 1
    seen = " ".join(run("show", saved).stdout.split())
    assert seen.count("largest gradient entry") == 1
    assert "no stars" in seen


def test_sets_without_a_choice_are_left_out_or_refused(tmp_path):
    choice = travel()["choice"].copy()
    choice[:4] = 0
    path, out = long_file(tmp_path / "l.csv", choice=choice), tmp_path / "f.json"
    shown = run("fit", path, *NAMED, "--drop", "hinc", "--json", out).stdout
    assert figures(out)["n_dropped"] == 1
    assert figures(out)["n_sets"] == 209
    assert "Sets left out" in shown
    said = refused("fit", path, *NAMED, "--drop", "hinc", "--strict")
    assert said.endswith("Drop them, or leave --strict out.")


def test_the_table_fits_in_sixty_columns(tmp_path, long, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    shown = run("fit", long, *NAMED, "--interact", "hinc").stdout
    part = shown[shown.index("Coefficients and their errors") : shown.index("McFadden")]
    assert max(map(len, part.splitlines())) <= 60
    assert re.search(r"^ttme +-0\.\d+ +0\.\d+ +-\d\.\d\d +<0\.001 \*\*\*$", part, re.MULTILINE)
    assert re.search(r"^  -0\.\d+ to -0\.\d+$", part, re.MULTILINE)
    monkeypatch.setenv("COLUMNS", "100")
    assert "95% interval\n" in run("fit", long, *NAMED, "--interact", "hinc").stdout


def test_coefficients_come_before_the_certificate(tmp_path, long):
    page = tmp_path / "r.html"
    shown = run("fit", long, *NAMED, "--drop", "hinc", "--report", page).stdout
    ordinal = ("--problem", "ordinal", "--target", "answer", "--order", "low,mid,high")
    for text in (shown, run("fit", opinions(tmp_path / "o.csv"), *ordinal).stdout):
        assert text.index("Coefficients and their errors") < text.index("\nCertificate\n")
        assert text.index("McFadden R2") < text.index("\nCertificate\n")
        assert text.index("\nCertificate\n") < text.index("\nData\n")
    html = page.read_text("utf-8")
    assert html.index('<h2 id="estimates">') < html.index('<h2 id="certificate">')


def test_rows_of_a_wide_table_are_those_of_the_file(tmp_path):
    path, out = wide_file(tmp_path / "w.csv"), tmp_path / "f.json"
    shown = run("fit", path, "--problem", "choice", "--wide", "--target", "trip", "--json", out)
    assert re.search(r"^Rows +210 *$", shown.stdout, re.MULTILINE)
    assert re.search(r"^Unfolded into +840 rows", shown.stdout, re.MULTILINE)
    assert (figures(out)["rows"], figures(out)["n"]) == (210, 840)


@pytest.mark.parametrize("where", ["shared", "attribute"])
def test_a_level_never_seen_is_in_a_row_of_the_wide_file(tmp_path, where):
    rng = np.random.default_rng(3)
    names = ["kind"] if where == "shared" else [f"kind_{mode}" for mode in ("air", "bus", "car")]
    names += ["kind_train"] if where == "attribute" else []
    kinds = {name: rng.choice(["old", "new"], size=210) for name in names}
    m = tmp_path / "m"
    run("fit", wide_file(tmp_path / "w.csv", **kinds), "--problem", "choice", "--wide",
        "--target", "trip", "--out", m, "-q")  # fmt: skip
    odd = kinds | {names[-1]: np.where(np.arange(210) == 6, "odd", kinds[names[-1]])}
    said = refused("predict", m, wide_file(tmp_path / "o.csv", **odd), "--out", tmp_path / "p.csv")
    assert "'odd', never seen when the model was fitted (1 row, in data row 7)" in said


def test_separated_choices_are_told_in_their_own_words_and_once(tmp_path):
    data = travel()
    path = long_file(tmp_path / "l.csv", gc=data["gc"] + 1000 * data["choice"])
    m, out = tmp_path / "m", tmp_path / "f.json"
    shown = run("fit", path, *NAMED, "--drop", "hinc", "--out", m, "--json", out, status=3).stdout
    told = " ".join(shown.split())
    assert "No optimum exists. Columns tell choices apart without error" in told
    assert "classes" not in told
    assert told.count("linear scores of column 'gc'") == 1
    assert told.count("standard errors") == 1
    assert "There are no standard errors, as there is no optimum." in told
    assert "Columns tell choices apart" in figures(out)["advice"]
    # The saved model has coefficients, and the reason why there are no errors.
    seen = run("show", m, "--json", out).stdout
    assert re.search(r"^gc +-?\d", seen, re.MULTILINE)
    assert re.search(r"^constant: air +-?\d", seen, re.MULTILINE)
    assert "fit with --errors" not in seen
    assert "It holds no errors. Perfectly separable: linear scores of column 'gc'" in (
        " ".join(seen.split())
    )
    names = [row["feature"] for row in figures(out)["coefficients"]]
    assert names == ["ttme", "gc", "constant: air", "constant: bus", "constant: train"]
    assert figures(out)["no_errors"].startswith("perfectly separable")


def test_separated_ordered_classes_name_their_thresholds(tmp_path, rng):
    path, m, out = tmp_path / "o.csv", tmp_path / "m", tmp_path / "f.json"
    answer = np.repeat(["low", "mid", "high"], 20)
    write_table(path, {"age": np.arange(60.0), "b": rng.normal(size=60), "answer": answer})
    fit = ("fit", path, "--problem", "ordinal", "--target", "answer", "--order", "low,mid,high")
    shown = run(*fit, "--presto", 0, "--out", m, "--json", out, status=3).stdout
    assert "Columns tell ordered classes apart" in " ".join(shown.split())
    # What belongs to a threshold is not called by a class.
    labels = {row["label"] for row in figures(out)["largest_coefficients"]}
    assert labels == {"low|mid", "mid|high"}
    assert re.search(r"^age \(low\|mid\)", shown, re.MULTILINE)
    run("show", m, "--json", out)
    assert [(row["label"], row["feature"]) for row in figures(out)["coefficients"]] == [
        (label, name) for label in ("low|mid", "mid|high") for name in ("age", "b", "threshold")
    ]
    run(*fit, "--json", out, "--out", m, status=3)
    assert {row["label"] for row in figures(out)["largest_coefficients"]} == {""}
    run("show", m, "--json", out)
    features = [row["feature"] for row in figures(out)["coefficients"]]
    assert features == ["age", "b", "low|mid", "mid|high"]


def test_show_prints_the_likelihood_as_the_fit_does(tmp_path, long):
    fit = ("fit", long, *NAMED, "--drop", "hinc", "--out", tmp_path / "m")
    for options, last in (((), "BIC"), (("--C", "10"), "McFadden R2")):
        shown, seen = run(*fit, *options).stdout, run("show", tmp_path / "m").stdout
        lines = [
            re.search(rf"^Observations +210\n(.*\n)*?{last} +[\d.-]+", text, re.MULTILINE)
            for text in (re.sub(" +\n", "\n", each) for each in (shown, seen))
        ]
        assert lines[0][0] == lines[1][0]
    assert "AIC" not in seen


def test_show_says_why_a_singular_fit_has_no_errors(tmp_path):
    path, m = long_file(tmp_path / "l.csv", twice=2 * travel()["gc"]), tmp_path / "m"
    run("fit", path, *NAMED, "--drop", "hinc", "--out", m, "-q")
    told = " ".join(run("show", m).stdout.split())
    assert "It holds no errors. The information matrix is singular" in told
    assert "'gc'" in told


def test_show_of_classes_without_errors_lists_their_coefficients(tmp_path, rng):
    m, out = tmp_path / "m", tmp_path / "f.json"
    run("fit", table(tmp_path / "t.csv", rng), "--target", "species", "--out", m, "-q")
    seen = run("show", m, "--json", out).stdout
    assert "fit with --errors to keep them" in seen
    found = {(row["label"], row["feature"]): row["value"] for row in figures(out)["coefficients"]}
    model = load_model(m).estimator
    assert found["virginica", "height"] == model.coef_[2, 1]
    assert found["setosa", "intercept"] == model.intercept_[0]
    assert len(found) == model.coef_.size + 3


REFUSED = [
    (("--problem", "choice", "--target", "choice"), "needs --groups.*give --wide instead"),
    ((*CHOICE, "--wide"), "--wide says that each row is a whole choice set"),
    ((*CHOICE, "--pattern", "{name}"), "--pattern says how --wide reads"),
    ((*CHOICE,), "'hinc' holds is the same for all alternatives.*--interact 'hinc'"),
    ((*CHOICE, "--interact", "hinc"), "--interact needs --alternatives"),
    ((*NAMED, "--interact", "income"), "no column 'income'.*Its columns are 'ttme', 'gc', 'hinc'"),
    ((*NAMED[:-1], "cra", "--drop", "hinc"), "'cra', which is no alternative.*mean 'car'"),
    ((*CHOICE, "--errors", "clustered"), "--errors clustered needs --clusters"),
    ((*CHOICE, "--clusters", "mode"), "--clusters goes with --errors clustered"),
    ((*CHOICE, "--class-weight", "balanced"), "belongs to --problem classifier, not to choice"),
    ((*CHOICE, "--presto", "1"), "--presto belongs to --problem ordinal"),
    (("--problem", "choice", "--target", "choice", "--groups", "indvidual"),
     "no column 'indvidual'.*Did you mean 'individual'"),
    (("--problem", "choice", "--target", "mode", "--groups", "individual"),
     "'mode' holds text.*--alternatives.*--wide"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "sentence"), REFUSED)
def test_refuses_with_a_sentence(long, options, sentence):
    assert re.search(sentence, refused("fit", long, *options))


def test_ordered_classes_agree_with_statsmodels(tmp_path):
    path, out = opinions(tmp_path / "o.csv"), tmp_path / "f.json"
    shown = run("fit", path, "--problem", "ordinal", "--target", "answer", "--order",
                "low,mid,high", "--drop", "house", "--json", out).stdout  # fmt: skip
    data = read_table(path)
    south = np.array(data.column("town").to_pylist()) == "south"
    X = np.column_stack([data.column("age").to_numpy(), south])
    y = [("low", "mid", "high").index(each) for each in data.column("answer").to_pylist()]
    expected = OrderedModel(y, X, distr="logit").fit(disp=0, gtol=1e-10, method="bfgs")
    found = rows(out)
    assert [name for _, name in found] == ["age", "town=south", "low|mid", "mid|high"]
    for name, value, error in zip(
        ("age", "town=south"), expected.params[:2], expected.bse[:2], strict=True
    ):
        assert found["", name]["value"] == pytest.approx(value, rel=1e-5)
        assert found["", name]["error"] == pytest.approx(error, rel=1e-4)
    assert found["", "low|mid"]["value"] == pytest.approx(expected.params[2], rel=1e-5)
    assert figures(out)["log_likelihood"] == pytest.approx(expected.llf, abs=1e-6)
    assert "Worst calibrated threshold" in shown
    assert len(figures(out)["reliability_by_threshold"]) == 2


def test_ordered_classes_are_predicted_certified_and_clustered(tmp_path):
    path, m, out = opinions(tmp_path / "o.csv"), tmp_path / "m", tmp_path / "p.csv"
    fit = ("fit", path, "--problem", "ordinal", "--target", "answer", "--order", "low,mid,high")
    run(*fit, "--out", m, "--errors", "clustered", "--clusters", "house", "-q")
    run("predict", m, path, "--out", out)
    found = read_table(out)
    assert found.names == ("prediction", "p(low)", "p(mid)", "p(high)")
    assert set(found.column("prediction").to_pylist()) <= {"low", "mid", "high"}
    assert "Certified." in run("certify", m, path).stdout
    assert load_model(m).estimator.classes_.tolist() == ["low", "mid", "high"]


def test_orders_that_do_not_fit(tmp_path):
    fit = ("fit", opinions(tmp_path / "o.csv"), "--problem", "ordinal", "--target", "answer")
    assert re.search("'mid' .*--order does not name.*Did you mean 'midd'",
                     refused(*fit, "--order", "low,midd,high"))  # fmt: skip
    assert re.search("--order names 'top'.*in no row", refused(*fit, "--order", "low,mid,high,top"))


def test_words_without_an_order_are_noted(tmp_path):
    shown = run("fit", opinions(tmp_path / "o.csv"), "--problem", "ordinal", "--target", "answer")
    assert "--order" in shown.stdout


def test_presto_has_weights_for_each_threshold(tmp_path):
    path, m, out = opinions(tmp_path / "o.csv"), tmp_path / "m", tmp_path / "f.json"
    fit = ("fit", path, "--problem", "ordinal", "--target", "answer", "--order", "low,mid,high")
    run(*fit, "--presto", 0.001, "--drop", "house", "--out", m, "--json", out, "-q")
    assert {label for label, _ in rows(out)} == {"low|mid", "mid|high"}
    assert load_model(m).estimator.coef_.shape == (2, 2)
    run("predict", m, path, "--out", tmp_path / "p.csv")
    run(*fit, "--presto", "inf", "--drop", "house", "--out", m, "-q")
    assert load_model(m).estimator.coef_.shape == (2,)


def test_classes_have_errors_against_a_reference(tmp_path, rng):
    path, out, m = table(tmp_path / "t.csv", rng), tmp_path / "f.json", tmp_path / "m"
    shown = run("fit", path, "--target", "species", "--drop", "weight", "--C", "inf", "--errors",
                "classical", "--json", out, "--out", m).stdout  # fmt: skip
    data = read_table(path)
    colour = np.array(data.column("colour").to_pylist())
    X = np.column_stack(
        [
            data.column("width").to_numpy(),
            data.column("height").to_numpy(),
            colour == "green",
            colour == "red",
            np.ones(len(colour)),
        ]
    ).astype(float)
    names = sorted(set(data.column("species").to_pylist()))
    y = [names.index(each) for each in data.column("species").to_pylist()]
    expected = sm.MNLogit(y, X).fit(disp=0, maxiter=200, tol=1e-12)
    found = rows(out)
    assert found["virginica", "height"]["value"] == pytest.approx(expected.params[1, 1], rel=1e-4)
    assert found["versicolor", "width"]["error"] == pytest.approx(expected.bse[0, 0], rel=1e-4)
    assert "versicolor against setosa" in shown
    assert found.keys() >= {("virginica", "colour=red"), ("virginica", "intercept")}
    named = run("show", m).stdout
    assert "versicolor against setosa" in named
    assert refused("fit", path, "--target", "species", "--groups", "colour")


def test_a_classifier_without_errors_shows_none(tmp_path, rng):
    path = table(tmp_path / "t.csv", rng)
    shown = run("fit", path, "--target", "species", "--out", tmp_path / "m").stdout
    assert "Coefficients of largest effect" in shown
    assert "Coefficients and their errors" not in shown
    assert "It holds no errors" in run("show", tmp_path / "m").stdout


def test_l1_makes_coefficients_zero_and_says_what_errors_mean(tmp_path, rng):
    path, out = table(tmp_path / "t.csv", rng), tmp_path / "f.json"
    run("fit", path, "--target", "species", "--l1-ratio", 1, "--C", 0.05, "--errors", "classical",
        "--json", out)  # fmt: skip
    found = figures(out)
    held = [row for row in found["estimates"]["rows"] if row["error"] == 0]
    assert found["settings"]["l1_ratio"] == 1.0
    assert any("l1" in note for note in found["estimates"]["notes"])
    assert all(row["stars"] == "" and row["z"] is None for row in held)


def test_show_repeats_the_errors_of_the_fit(tmp_path, long):
    m, a, b = tmp_path / "m", tmp_path / "a.json", tmp_path / "b.json"
    run("fit", long, *NAMED, "--drop", "hinc", "--out", m, "--json", a, "-q")
    shown = run("show", m, "--json", b).stdout
    assert "ConditionalLogit of choice" in shown
    one, other = rows(a), rows(b)
    assert one.keys() == other.keys()
    for name, row in one.items():
        assert other[name]["stars"] == row["stars"]
        for part in ("value", "error", "z", "p", "low", "high"):
            assert other[name][part] == pytest.approx(row[part], rel=1e-12)


def test_reports_hold_the_tables(tmp_path, long):
    page = tmp_path / "r.html"
    run("fit", long, *NAMED, "--interact", "hinc", "--report", page, "-q")
    text = page.read_text("utf-8")
    for part in ("Coefficients and their errors", "hinc:air", "Chosen, and predicted", "forest"):
        assert part in text
    run("fit", opinions(tmp_path / "o.csv"), "--problem", "ordinal", "--target", "answer",
        "--order", "low,mid,high", "--report", page, "-q")  # fmt: skip
    assert "Reliability by threshold" in page.read_text("utf-8")


def test_separated_choices_are_said_and_have_no_errors(tmp_path):
    choice = travel()["choice"]
    path, out = long_file(tmp_path / "l.csv", tells=2.0 * choice + 0.1), tmp_path / "f.json"
    shown = run("fit", path, *NAMED, "--drop", "hinc", "--json", out, status=3).stdout
    assert "tells" in shown
    assert figures(out)["estimates"] is None
    assert any("no standard errors" in note for note in figures(out)["notes"])


def test_a_formula_makes_the_columns(tmp_path, long):
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    formula = "choice ~ ttme + gc + C(mode, Treatment('car')):hinc"
    run("fit", long, "--problem", "choice", "--groups", "individual", "--alternatives", "mode",
        "--reference", "car", "--formula", formula, "--json", a)  # fmt: skip
    run("fit", long, *NAMED, "--interact", "hinc", "--json", b)
    assert figures(a)["log_likelihood"] == pytest.approx(figures(b)["log_likelihood"], abs=1e-7)
    assert figures(a)["target"] == "choice"
    assert rows(a)["", "gc"]["error"] == pytest.approx(rows(b)["", "gc"]["error"], rel=1e-6)


BAD_FORMULAS = [
    (("choice ~ tme",), "'tme'.*no such column.*Did you mean 'ttme'"),
    (("choice ~ ttme +",), "cannot be read"),
    (("~ ttme",), "--target is missing.*left of the formula"),
    (("choice ~ ttme", "--target", "gc"), "--target names 'gc', and the formula 'choice'"),
    (("choice ~ ttme", "--drop", "gc"), "leave --drop out"),
    (("choice ~ ttme", "--out", "m"), "cannot be saved"),
]


@pytest.mark.parametrize(("options", "sentence"), BAD_FORMULAS)
def test_formulas_that_do_not_fit(long, options, sentence):
    fit = ("fit", long, "--problem", "choice", "--groups", "individual", "--formula")
    assert re.search(sentence, refused(*fit, *options))


def test_references_of_a_classifier_are_checked(tmp_path, rng):
    fit = ("fit", table(tmp_path / "t.csv", rng), "--target", "species", "--reference")
    assert "give --errors too" in refused(*fit, "setosa")
    sentence = refused(*fit, "setsoa", "--errors", "classical")
    assert re.search("'setsoa', which is no class.*Did you mean 'setosa'", sentence)
    out = tmp_path / "f.json"
    run(*fit, "virginica", "--errors", "robust", "--json", out)
    assert {label for label, _ in rows(out)} == {"setosa", "versicolor"}
    assert any("--C inf" in note for note in figures(out)["estimates"]["notes"])


def test_weights_and_offsets_of_choices_are_read_again(tmp_path):
    data = travel()
    more = {"w": 1.0 + data["individual"] % 3, "o": np.round(np.sin(np.arange(840.0)), 3)}
    path, m, out = long_file(tmp_path / "l.csv", **more), tmp_path / "m", tmp_path / "p.csv"
    fit = ("fit", path, *NAMED, "--drop", "hinc", "--weights", "w", "--offset", "o", "--out", m)
    run(*fit, "-q")
    assert "Certified." in run("certify", m, path).stdout
    run("predict", m, path, "--out", out)
    X = np.column_stack([data["ttme"], data["gc"]])
    expected = load_model(m).estimator.predict_proba(
        X, data["individual"], alternatives=data["mode"], offset=more["o"]
    )
    found = read_table(out).column("probability").to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_of_equally_probable_alternatives_the_first_is_predicted():
    chances = np.array([0.5, 0.4, 0.4, 0.2, 0.5])
    found = most_probable(chances, Groups([7, 2, 2, 2, 7]))
    assert found.tolist() == [True, True, False, False, False]


def test_a_wide_row_that_offers_nothing_is_refused(tmp_path):
    wide, m, path = wide_file(tmp_path / "w.csv"), tmp_path / "m", tmp_path / "n.csv"
    run("fit", wide, "--problem", "choice", "--wide", "--target", "trip", "--out", m, "-q")
    head, first, second, *rest = wide.read_text().splitlines()
    names = [name.strip('"') for name in head.split(",")]
    cells = ["" if "_" in n else c for n, c in zip(names, second.split(","), strict=True)]
    path.write_text("\n".join([head, first, ",".join(cells), *rest]) + "\n")
    said = refused("predict", m, path, "--out", tmp_path / "p.csv")
    assert "1 rows of" in said
    assert "offer no alternative, first data row 2: leave them out" in said


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_choices_whose_scores_overflow_are_refused(tmp_path):
    small = travel()["ttme"] / 1000
    path, m, huge = long_file(tmp_path / "l.csv", ttme=small), tmp_path / "m", small.copy()
    run("fit", path, *NAMED, "--drop", "hinc", "--out", m, "-q")
    huge[5] = -1.7e308
    far = long_file(tmp_path / "far.csv", ttme=huge)
    said = refused("predict", m, far, "--out", tmp_path / "p.csv")
    assert re.search("The scores of 4 rows overflow, first in data row 5", said)


def test_show_does_not_believe_a_fit_that_stopped_early(tmp_path, long):
    m, out = tmp_path / "m", tmp_path / "f.json"
    run("fit", long, *NAMED, "--drop", "hinc", "--max-iter", 1, "--out", m, "-q", status=3)
    shown = run("show", m, "--json", out).stdout
    assert "had not converged" in shown
    assert "no stars" in shown
    assert "***" not in shown
    assert {row["stars"] for row in rows(out).values()} == {""}


def test_show_tells_how_well_choices_are_explained(tmp_path, long):
    m, a = tmp_path / "m", tmp_path / "a.json"
    run("fit", long, *NAMED, "--drop", "hinc", "--out", m, "--json", a, "-q")
    told = figures(a)["estimates"]["facts"]["McFadden R2"]
    assert re.search(rf"McFadden R2 +{re.escape(told)}", run("show", m).stdout)


def test_more_errors_than_a_file_may_hold_are_left_out(tmp_path, long, monkeypatch):
    monkeypatch.setattr("softunit.cli.errors.MOST_ERRORS", 4)
    shown = run("fit", long, *NAMED, "--drop", "hinc", "--out", tmp_path / "m").stdout
    assert "Coefficients and their errors" in shown
    assert load_model(tmp_path / "m").errors is None


def test_fills_of_a_wide_table_serve_new_sets(tmp_path):
    data = travel()
    gaps = data["ttme"][data["mode"] == "bus"].astype(object)
    gaps[:3] = None
    wide, m, out = wide_file(tmp_path / "w.csv"), tmp_path / "m", tmp_path / "p.csv"
    run("fit", wide, "--problem", "choice", "--wide", "--target", "trip", "--impute", "median",
        "--out", m, "-q")  # fmt: skip
    few = wide_file(tmp_path / "few.csv", trip=None, ttme_bus=gaps)
    run("predict", m, few, "--out", out)
    assert (read_table(out).column("p(bus)").to_numpy() > 0).all()
