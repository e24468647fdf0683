"""Tables of willingness to pay and of elasticities, in the terminal and on the page."""

import dataclasses
import io
import re

import numpy as np
import pytest
from rich.console import Console

from softunit.report import Willingness, elasticity_table, render_html, summary_table, worths
from softunit.report.effects_text import MOST_ALTERNATIVES, ElasticitiesText, WillingnessText
from softunit.report.estimates_text import MOST_ROWS
from tests.report.stand_ins import elastic, estimated, paid


def printed(made, width):
    console = Console(width=width, file=io.StringIO(), markup=False, highlight=False)
    console.print(made)
    return console.file.getvalue()


def worth(count=2, **more):
    values = np.linspace(-8.7, 0.5, count)
    ends = np.column_stack([values - 2.0, values + 2.0])
    rows = worths([f"c{i}" for i in range(count)], values, np.full(count, 1.02), ends)
    return Willingness("gc", "classical", rows, **more)


def test_each_row_has_its_worth_error_and_interval():
    text = printed(WillingnessText(worth(level=0.9)), 100)
    assert re.search(r"^c0 +-8\.700 +1\.020   -10\.70 to -6\.700$", text, re.MULTILINE)
    assert re.search(r"^c1 +0\.5000 +1\.020   -1\.500 to 2\.500$", text, re.MULTILINE)
    assert "90% interval" in text
    narrow = printed(WillingnessText(worth()), 60)
    assert re.search(r"^c0 +-8\.700 +1\.020\n  -10\.70 to -6\.700$", narrow, re.MULTILINE)


def test_without_convergence_there_is_no_interval():
    made = worth()
    rows = tuple(dataclasses.replace(row, low=np.nan, high=np.nan) for row in made.rows)
    for width in (60, 100):
        doubted = dataclasses.replace(made, rows=rows, believed=False)
        text = printed(WillingnessText(doubted), width)
        assert "these are not its estimates yet." in text
        assert "interval" not in text
        assert not re.search(r"\d to ", text)
        assert "undefined" not in text


def test_long_tables_are_cut_and_say_so():
    text = printed(WillingnessText(worth(MOST_ROWS + 7)), 100)
    assert "and 7 more: --json and --report have all." in text
    assert f"c{MOST_ROWS}" not in text
    names = [f"a{i}" for i in range(MOST_ALTERNATIVES + 3)]
    table = elasticity_table("gc", names, np.ones((len(names), len(names))))
    text = printed(ElasticitiesText(table), 100)
    assert "and 3 more alternatives: --json and --report have all." in text
    assert f"a{MOST_ALTERNATIVES}" not in text


def test_columns_that_do_not_fit_stand_below():
    names = [f"mode{i}" for i in range(8)]
    values = np.arange(64.0).reshape(8, 8) + 0.5
    text = printed(ElasticitiesText(elasticity_table("gc", names, values)), 60)
    heads = [line.split() for line in text.splitlines() if line.startswith(" ")]
    assert heads == [names[:5], names[5:]]
    rows = [line.split() for line in text.splitlines() if line.startswith("mode3")]
    assert [float(v) for row in rows for v in row[1:]] == values[3].tolist()


@pytest.mark.parametrize("width", [60, 79, 80, 120])
def test_hostile_names_keep_to_the_width(width):
    names = [row.feature for row in paid().rows] * 3
    for made in (WillingnessText(paid()), ElasticitiesText(elastic(names))):
        text = printed(made, width)
        assert max(map(len, text.splitlines())) <= width
        assert "\x1b[31m" not in text


def test_the_page_shows_both_and_escapes_names():
    page = render_html(estimated())
    assert page.index('id="estimates"') < page.index('id="willingness"')
    assert page.index('id="willingness"') < page.index('id="elasticities"')
    assert page.index('id="elasticities"') < page.index('id="certificate"')
    assert "<script" not in page
    assert "\N{EN DASH}" in page[page.index('id="elasticities"') : page.index('id="certificate"')]
    assert "not converged" not in page[page.index('id="willingness"') : page.index('id="cert')]
    doubted = render_html(estimated(believed=False))
    assert doubted.count("these are not its estimates yet") == 3


def test_the_terminal_shows_both_before_the_certificate():
    text = printed(summary_table(estimated()), 100)
    places = [text.index(name) for name in ("Willingness", "Elasticities by", "\nCertificate")]
    assert places == sorted(places)
