"""Tables of coefficients and errors, forest plots, shares, reliability by threshold."""

from __future__ import annotations

import dataclasses
import io
import math
import re

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import norm

from softunit._groups import Groups
from softunit.report import (
    ChoiceRows,
    Estimates,
    EstimatesText,
    Share,
    estimates,
    render_html,
    summary_table,
)
from softunit.report.choice import choice_shares, hits, threshold_calibrations
from softunit.report.estimates import chance, forest, kind_in_words, stars
from softunit.report.estimates_text import MOST_ROWS
from softunit.report.objectives import choice_objective, classifier_objective, ordinal_objective
from tests.report.stand_ins import HOSTILE_FEATURES, Classifier, certificate, classified, solution

NAMES = ("time", "cost", "constant: bus")
COEF, ERRORS = np.array([-2.0, 0.5, 0.03]), np.array([0.5, 0.25, 0.0])


def table(*, believed=True, names=NAMES, **more):
    rows = estimates(names, COEF, ERRORS, believed=believed)
    return Estimates(rows, kind_in_words("classical"), believed=believed, **more)


def printed(made: Estimates, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), markup=False, highlight=False)
    console.print(EstimatesText(made))
    return console.file.getvalue()


def test_z_p_interval_and_stars():
    time, cost, held = table().rows
    assert (time.z, cost.z) == (-4.0, 2.0)
    assert time.p == pytest.approx(2 * norm.sf(4.0))
    assert (cost.low, cost.high) == pytest.approx((0.5 - 1.959964 * 0.25, 0.5 + 1.959964 * 0.25))
    assert [row.stars for row in (time, cost, held)] == ["***", "*", ""]
    assert math.isnan(held.z)
    narrow = estimates(NAMES, COEF, ERRORS, believed=True, level=0.5)[0]
    assert narrow.high - narrow.low == pytest.approx(2 * 0.6744898 * 0.5)


def test_no_stars_without_convergence():
    assert {row.stars for row in table(believed=False).rows} == {""}
    assert "no stars" in printed(table(believed=False), 80)
    assert "*" not in printed(table(believed=False), 80)
    assert "p < 0.001" in printed(table(), 80)


@pytest.mark.parametrize(
    ("p", "sign"), [(0.0, "***"), (0.001, "**"), (0.01, "*"), (0.05, ""), (math.nan, "")]
)
def test_stars_begin_below_their_bound(p, sign):
    assert stars(p) == sign


def test_chances_are_never_zero():
    assert (chance(1e-9), chance(0.0312), chance(1.0)) == ("<0.001", "0.031", "1.000")
    assert chance(math.nan) == "\N{EN DASH}"


@pytest.mark.parametrize("width", [60, 79, 80, 120])
def test_the_table_keeps_to_the_width(width):
    names = [("a class of a long name" * 4, name) for name in HOSTILE_FEATURES[1:]]
    made = table(names=names, against="other")
    text = printed(made, width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b[31m" not in text
    assert ("95% interval" in text.splitlines()[1]) == (width >= 80)
    assert len(re.findall(r"\d to -?\d", text)) == 2


def test_classes_are_headed_by_their_name():
    text = printed(table(names=[("b", "x"), ("b", "y"), ("c", "x")], against="a"), 80)
    assert text.index("b against a") < text.index("c against a")


def test_forests_hold_zero_and_cut_what_is_wide():
    rows = estimates([str(i) for i in range(5)], np.array([1, 2, 1.5, 1, 300.0]),
                     np.array([0.1, 0.2, 0.1, 0.2, 1.0]), believed=True)  # fmt: skip
    found = forest(rows)
    assert found.low <= 0.0 < found.high < 10
    assert 0 <= found.zero < 10
    for whisker in found.whiskers[:4]:
        assert whisker.left < whisker.dot < whisker.right
        assert not whisker.opens_right
    assert found.whiskers[4].dot is None
    assert found.whiskers[4].opens_right


def test_forests_are_scaled():
    rows = estimates(["a", "b"], np.array([1.0, 0.01]), np.array([0.1, 0.001]), believed=True,
                     scale_of={"a": 1.0, "b": 100.0}.__getitem__)  # fmt: skip
    one, other = forest(rows).whiskers
    assert one == other


def test_forests_of_nothing_but_zero():
    rows = estimates(["a"], np.zeros(1), np.zeros(1), believed=True)
    assert forest(rows).low < 0 < forest(rows).high


def page(**changes):
    return render_html(dataclasses.replace(classified(["no", "yes"]), **changes))


def test_the_page_pairs_rows_with_their_whiskers():
    names = [("b", "x"), ("c", "x"), ("b", "y")]  # classes by turns
    made = table(names=names)
    text = page(estimates=made)
    zero, values = forest(made.rows), {}
    for found in re.finditer(r'title="(\w)">.*?--at:([\d.]+)%"></i>', text):
        values.setdefault(found[1], []).append(float(found[2]))
    dots = [whisker.dot for whisker in zero.whiskers]
    assert values["x"] == [dots[0], dots[1]]
    assert values["y"] == [dots[2]]


def test_the_page_escapes_names_and_says_what_is_missing():
    text = page(estimates=table(names=HOSTILE_FEATURES[:3], believed=False, notes=("A <b>.",)))
    assert "<script>" not in text
    assert "A &lt;b&gt;." in text
    assert "not its estimates yet, so no stars" in text
    assert "p &lt; 0.001" not in text


def test_the_page_shows_shares_and_thresholds():
    summary = classified(["no", "yes"])
    text = page(
        shares=(Share("<i>bus", 1.0, 0.25, 0.3), Share("car", 0.5, 0.5, 0.45)),
        thresholds=(summary.calibration, summary.calibration),
    )
    assert "&lt;i&gt;bus" in text
    assert "--share:1.0" in text
    assert text.count('id="threshold-0-title"') == text.count('id="threshold-1-title"') == 1


def test_the_terminal_shows_shares_and_the_worst_threshold():
    summary = classified(["no", "yes"])
    worse = dataclasses.replace(summary.calibration, error=0.5, about="probability of at most b")
    summary = dataclasses.replace(
        summary,
        thresholds=(summary.calibration, worse),
        shares=(Share("bus", 1.0, 0.25, 0.3),),
        estimates=table(),
    )
    console = Console(width=70, file=io.StringIO(), markup=False)
    console.print(summary_table(summary))
    text = console.file.getvalue()
    assert "25.0%, and 30.0%" in text
    assert "50 points, probability of at most b" in text
    assert text.index("Coefficients and their errors") < text.index("Chosen, and predicted")


SETS = Groups([1, 1, 2, 2, 3, 3])
ROWS = ChoiceRows(
    chosen=np.array([1.0, 0, 0, 1, 0, 1]),
    groups=[1, 1, 2, 2, 3, 3],
    probability=np.array([0.9, 0.1, 0.6, 0.4, 0.5, 0.5]),
    alternatives=np.array(["a", "b", "a", "c", "a", "b"]),
)


def test_shares_count_what_is_offered_chosen_and_predicted():
    a, b, c = choice_shares(ROWS, SETS)
    assert (a.name, a.offered, a.observed) == ("a", 1.0, pytest.approx(1 / 3))
    assert a.predicted == pytest.approx((0.9 + 0.6 + 0.5) / 3)
    assert (b.offered, c.offered) == pytest.approx((2 / 3, 1 / 3))
    weighted = dataclasses.replace(ROWS, weights=np.array([2.0, 2, 1, 1, 1, 1]))
    assert choice_shares(weighted, SETS)[0].observed == pytest.approx(2 / 4)
    assert choice_shares(dataclasses.replace(ROWS, alternatives=None), SETS) == ()


def test_ties_count_as_half_a_hit():
    assert hits(ROWS, SETS) == pytest.approx((1 + 0 + 0.5) / 3)


def test_thresholds_are_calibrated_in_the_order_of_the_classes():
    rng = np.random.default_rng(3)
    classes = np.array(["low", "mid", "high"])
    model = Classifier(rng.normal(size=(3, 2)), classes, solution(), certificate())
    X = rng.normal(size=(4000, 2))
    proba = model.predict_proba(X)
    y = classes[[rng.choice(3, p=row) for row in proba]]
    found = threshold_calibrations(model, X, y)
    assert [each.about for each in found] == [
        "probability of at most low",
        "probability of at most mid",
    ]
    assert all(each.error < 0.03 for each in found)
    assert sum(bin_.count for bin_ in found[0].bins) == 4000
    wrong = threshold_calibrations(model, X, rng.permutation(y))
    assert all(each.error > 0.1 for each in wrong)


def test_objectives_say_what_was_minimised():
    assert "|W|₁, C = 2" in classifier_objective({"C": 2.0, "l1_ratio": 1.0})
    mixed = classifier_objective({"C": 2.0, "l1_ratio": 0.25, "grouped": True})
    assert "0.25 Σ_j |W_j| + 0.75/2 |W|²" in mixed
    assert "1/2 |W|²" in classifier_objective({"C": 2.0, "l1_ratio": 0.0, "grouped": False})
    assert "C = 3" in choice_objective({"C": 3.0})
    assert "minus the log-likelihood" in choice_objective({"C": np.inf})
    assert "0.5 Σ_k |x_k - x_(k-1)|₁" in ordinal_objective({"C": np.inf, "presto": 0.5})
    assert "Σ_k" not in ordinal_objective({"C": np.inf, "presto": np.inf})


def test_hits_count_by_weight():
    weighted = dataclasses.replace(ROWS, weights=np.array([3.0, 3, 1, 1, 1, 1]))
    assert hits(weighted, SETS) == pytest.approx((3 + 0 + 0.5) / 5)


def test_shares_predicted_count_by_weight():
    weighted = dataclasses.replace(ROWS, weights=np.array([2.0, 2, 1, 1, 1, 1]))
    predicted = [share.predicted for share in choice_shares(weighted, SETS)]
    assert predicted == pytest.approx([(2 * 0.9 + 0.6 + 0.5) / 4, (2 * 0.1 + 0.5) / 4, 0.4 / 4])


def test_thresholds_of_many_classes_are_spread_evenly():
    rng = np.random.default_rng(4)
    classes = np.arange(12)
    model = Classifier(rng.normal(size=(12, 2)), classes, solution(), certificate())
    found = threshold_calibrations(model, rng.normal(size=(50, 2)), rng.integers(0, 12, 50))
    told = [each.about for each in found]
    assert told == [f"probability of at most {k}" for k in (0, 2, 4, 6, 8, 10)]


def test_long_tables_are_cut_and_say_so():
    q = MOST_ROWS + 7
    names = [("b", f"x{i}") for i in range(q - 10)] + [("c", f"x{i}") for i in range(10)]
    rows = estimates(names, np.ones(q), np.ones(q), believed=True)
    text = printed(Estimates(rows, kind_in_words("classical")), 80)
    assert len(re.findall(r"^x\d+ ", text, re.MULTILINE)) == MOST_ROWS
    assert "and 7 more" in text


def test_zero_lies_right_of_intervals_below_it_and_wide_ones_open_to_the_left():
    rows = estimates([str(i) for i in range(4)], np.array([-1.0, -2, -1, -300]),
                     np.array([0.1, 0.2, 0.1, 1.0]), believed=True)  # fmt: skip
    found = forest(rows)
    assert found.whiskers[3].opens_left
    assert not any(w.opens_left or w.opens_right for w in found.whiskers[:3])
    assert found.zero > max(w.right for w in found.whiskers[:3])
