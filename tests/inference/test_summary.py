"""A summary as text, HTML, a rich table and a pandas frame."""

from __future__ import annotations

import io
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit.errors import InputError, MissingExtraError
from softunit.inference.tables import SHOWN, cells_wide
from tests.inference.fits import choice, chosen, direct, fitted, labelled

HOSTILE = "<script>alert('x')</script>[bold]\x1b[31m"


def table(rng, **settings):
    A, y = labelled(rng)
    return fitted(A, y).summary(A, y, **{"kind": "robust", "reference": 0, **settings})


def unconverged(rng):
    A, y = labelled(rng, size=3.0)
    with pytest.warns(ConvergenceWarning, match="iteration limit"):
        model = fitted(A, y, max_iter=1, solver="newton")
    return model.summary(A, y)


def as_rich_text(summary, width):
    console = pytest.importorskip("rich.console")
    out = io.StringIO()
    console.Console(file=out, width=width, color_system=None).print(summary)
    return out.getvalue()


def test_text_holds_every_number(rng):
    summary = table(rng)
    text = summary.to_text(100)
    assert text.splitlines()[0] == "Multinomial logit, robust standard errors (HC0)"
    assert "observations 300; parameters 10; log-likelihood" in text
    assert text.count("[1]") == text.count("[2]") == 1
    for i, name in enumerate(summary.names):
        expected = [summary.coef[i], summary.std_error[i]]
        found = [
            line.split()
            for line in text.splitlines()
            if line.startswith(name[1]) and f"{expected[0]:.4f}" in line
        ]
        assert len(found) == 1, name
        assert found[0][1:3] == [f"{v:.4f}" for v in expected]
        assert found[0][-1] == summary.stars[i] or not summary.stars[i]
    assert "* p < 0.05" in text


@pytest.mark.parametrize("width", [30, 40, 52, 64, 80, 200])
def test_text_fits_the_terminal(rng, monkeypatch, width):
    summary = table(rng)
    assert max(map(cells_wide, summary.to_text(width).splitlines())) <= width
    monkeypatch.setenv("COLUMNS", str(width))
    assert str(summary) == summary.to_text(width)
    assert f"{summary.coef[0]:.4f}" in str(summary)


def test_wide_letters_and_long_names_keep_the_columns_straight(rng):
    A, y = labelled(rng, d=2, K=2)
    names = ["\N{CJK UNIFIED IDEOGRAPH-4EF7}" * 40, "short"]
    lines = direct(A, y, names=names).summary().to_text(60).splitlines()
    own = [line for line in lines if line.startswith(("short", names[0][0]))]
    ends = [cells_wide(line.rstrip(" *")) for line in own]
    assert len(set(ends)) == 1
    assert "\N{HORIZONTAL ELLIPSIS}" in own[0]


def test_too_narrow_is_refused(rng):
    with pytest.raises(InputError, match="`width` must be at least 30 characters; got 12"):
        table(rng).to_text(12)


class Tags(HTMLParser):
    """The tags of a page, and where it would fetch something."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.fetched = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [v for name, v in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_names_from_data_are_escaped_everywhere(rng):
    A, y = labelled(rng, d=2, K=2)
    summary = direct(A, y, names=[HOSTILE, "b"]).summary()
    for page in (summary.to_html(), summary._repr_html_()):
        read = Tags(page)
        assert "script" not in read.tags
        assert not read.fetched
        assert not read.open
        assert "&lt;script&gt;" in page
    for text in (summary.to_text(120), as_rich_text(summary, 120)):
        assert "\x1b" not in text
        assert "[bold]" in text


def test_html_holds_the_numbers(rng):
    summary = table(rng)
    page = summary.to_html()
    assert page.startswith("<!doctype html>")
    for value in np.concatenate([summary.coef, summary.std_error, summary.lower]):
        assert f"<td>{value:.4f}</td>" in page
    assert Tags(page).tags.count("tr") == 1 + 2 + 10


def test_frame_holds_plain_numbers(rng):
    pytest.importorskip("pandas")
    summary = table(rng)
    frame = summary.frame()
    assert list(frame.columns) == [
        "coef", "std_error", "z", "p_value", "lower", "upper", "stars", "converged"
    ]  # fmt: skip
    assert frame.index.names == ["class", "column"]
    np.testing.assert_array_equal(frame["std_error"], summary.std_error)
    np.testing.assert_allclose(frame.loc[("2", "x1"), "coef"], summary.coef[6])
    np.testing.assert_array_equal(frame["p_value"], summary.p_value)
    assert frame["converged"].all()
    assert frame.attrs["converged"] is True
    assert frame.attrs["title"] == summary.title
    A, b, labels = chosen(rng)
    assert list(choice(A, b, labels).summary().frame().index) == ["x0", "x1", "x2"]


def test_a_frame_without_pandas_says_what_to_install(rng, monkeypatch):
    summary = table(rng)
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'softunit\[formula\]'"):
        summary.frame()


def test_a_rich_table_holds_the_numbers(rng):
    summary = table(rng)
    text = as_rich_text(summary, 120)
    assert summary.title in text
    assert all(f"{value:.4f}" in text for value in summary.coef)


TITLES_AT = {
    30: [],
    40: [],
    52: ["p"],
    60: ["z", "p"],
    80: ["z", "p", "95% from", "to"],
    100: ["z", "p", "95% from", "to"],
}


@pytest.mark.parametrize("width", sorted(TITLES_AT))
def test_a_narrow_rich_table_keeps_names_and_drops_what_text_drops(rng, width):
    A, y = labelled(rng, d=2, K=2)
    summary = direct(A, y, names=["income", "b"]).summary()
    lines = as_rich_text(summary, width).splitlines()
    assert max(map(cells_wide, lines)) <= width
    own = [line for line in lines if "income" in line]
    assert len(own) == 1
    assert f"{summary.coef[0]:.4f}" in own[0]
    assert f"{summary.std_error[0]:.4f}" in own[0]
    assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(lines)
    head = next(line for line in lines if "std err" in line)
    assert [title for title in TITLES_AT[100] if f" {title} " in head] == TITLES_AT[width]


def test_a_long_name_is_folded_by_a_narrow_rich_table(rng):
    A, y = labelled(rng, d=2, K=2)
    name, rule = "household_income_in_thousands_of_dollars", "\N{BOX DRAWINGS LIGHT VERTICAL}"
    text = as_rich_text(direct(A, y, names=[name, "b"]).summary(), 60)
    cells = [line.split(rule)[1] for line in text.splitlines() if line.startswith(rule)]
    assert name in "".join(cell.strip() for cell in cells)


def test_text_needs_no_rich(rng, monkeypatch):
    summary = table(rng)
    for name in ("rich", "rich.console", "rich.table", "rich.text"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    assert summary.title in str(summary)


def test_without_convergence_no_stars_and_a_first_line_on_every_rendering(rng):
    summary = unconverged(rng)
    assert not summary.converged
    assert (summary.p_value < 0.01).any()
    renderings = {
        "text": summary.to_text(90),
        "rich": as_rich_text(summary, 300),
        "html": summary.to_html(),
        "notebook": summary._repr_html_(),
    }
    for name, text in renderings.items():
        assert "*" not in text, name
        assert "NOT CONVERGED" in text, name
        assert text.index("NOT CONVERGED") < text.rindex(summary.title), name
    assert renderings["text"].startswith("NOT CONVERGED, so no stars")
    pytest.importorskip("pandas")
    frame = summary.frame()
    assert set(frame["stars"]) == {""}
    assert frame.attrs["warning"].startswith("NOT CONVERGED")
    # Attributes do not survive a merge or a file: the columns alone must tell.
    assert not frame["converged"].any()
    assert frame["p_value"].isna().all()


def test_long_tables_are_cut_and_say_so(rng):
    A = rng.normal(size=(600, SHOWN + 20))
    y = np.arange(600) % 2
    model = su.SoftmaxClassifier(C=1.0).fit(A, y)
    summary = model.summary(A, y)
    text = summary.to_text(100)
    assert "21 parameters more are in frame()." in text
    assert len(summary.coef) == SHOWN + 21
    assert Tags(summary.to_html()).tags.count("tr") == 1 + 1 + SHOWN


def test_stars_begin_at_five_in_a_hundred(rng):
    p = np.array([0.0009, 0.0011, 0.009, 0.011, 0.049, 0.051, np.nan])
    summary = replace(table(rng), p_value=p)
    assert summary.stars == ("***", "**", "**", "*", "*", "", "")


def test_a_column_called_intercept_stands_beside_the_intercept(rng):
    pandas = pytest.importorskip("pandas")
    A, y = labelled(rng, d=2, K=2)
    frame = pandas.DataFrame(A, columns=["intercept", "size"])
    names = fitted(frame, y).summary(frame, y).names
    assert [column for _, column in names] == ["intercept", "size", "(intercept)"]


def test_measures_that_a_penalty_bends_are_not_shown(rng):
    A, y = labelled(rng)
    shown = [dict(fitted(A, y, C=C).summary(A, y).facts) for C in (np.inf, 1.0)]
    assert [{"AIC", "BIC"} <= set(facts) for facts in shown] == [True, False]
