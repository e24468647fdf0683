"""Ratios, the performance profile, slopes and the record, from made-up times."""

from __future__ import annotations

import json
import math

import pytest

from softunit.bench import (
    CASES,
    SERIES,
    Case,
    Plan,
    Result,
    about,
    chosen_suite,
    draw_growth,
    draw_profile,
    figures,
    geometric_mean,
    growths,
    profile,
    ratio_of,
    record,
    slope,
    solved,
)
from softunit.bench.scaling import SUITE as STUDY
from softunit.bench.summary import is_rival, share_within
from tests.bench.stand_ins import SMALL, made_up

LARGE = CASES["power-1m-30-7"]


def test_a_ratio_is_the_best_of_the_others_over_ours():
    run = made_up(SMALL, softunit=2.0, sklearn_lbfgs=6.0, glum=1.0, softunit_newton=0.1)
    ratio = ratio_of(run.results)
    assert (ratio.ratio, ratio.best.peer, ratio.at_least) == (0.5, "glum", False)
    assert ratio_of(run.results, is_rival).ratio == 3.0


def test_a_peer_that_was_stopped_bounds_the_ratio():
    run = made_up(SMALL, softunit=2.0, cyanure=None)
    assert ratio_of(run.results).ratio == math.inf
    run.results.append(Result("small-one", "sklearn-saga", "stopped", budget=30.0, bound=20.0))
    ratio = ratio_of(run.results)
    assert (ratio.ratio, ratio.at_least) == (10.0, True)


def test_a_miss_of_ours_is_a_ratio_of_zero():
    ratio = ratio_of(made_up(SMALL, softunit=None, glum=1.0).results)
    assert ratio.ratio == 0.0
    assert ratio_of(made_up(SMALL, glum=1.0).results) is None
    assert ratio_of(made_up(SMALL, softunit=1.0).results) is None


def test_geometric_means():
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert geometric_mean([]) is None
    assert geometric_mean([0.0, 8.0]) == 0.0


def test_the_profile_holds_ratios_to_the_best_of_all():
    runs = [
        made_up(SMALL, softunit=1.0, glum=2.0),
        made_up(SMALL, softunit=4.0, glum=1.0),
        made_up(SMALL, softunit=3.0, glum=None),
        made_up(SMALL, softunit=None, glum=None),
    ]
    found = profile(runs)
    assert found == {"softunit": [1.0, 1.0, 4.0], "glum": [1.0, 2.0]}
    assert solved(runs) == 3
    assert share_within(found["softunit"], 3, 1.0) == pytest.approx(2 / 3)
    assert share_within(found["glum"], 3, 100.0) == pytest.approx(2 / 3)


def test_the_figures_are_those_of_the_kinds_of_cases():
    runs = [
        made_up(LARGE, softunit=1.0, sklearn_lbfgs=10.0, cyanure=20.0),
        made_up(CASES["sorted"], softunit=1.0, sklearn_lbfgs=40.0, glum=1.0),
        made_up(CASES["iris"], softunit=2.0, sklearn_lbfgs=1.0),
        made_up(CASES["text"], softunit=2.0, sklearn_lbfgs=6.0),
        made_up(SMALL, softunit=None),
    ]
    found = figures(runs)
    assert found["geometric_mean_large_dense"] == pytest.approx(20.0)
    assert found["large_dense_cases"] == 2
    assert (found["worst_ratio"], found["worst_case"]) == (0.5, "iris")
    assert found["text_ratio"] == 3.0
    assert (found["most_gradient_equivalents"], found["most_passes"]) == (2.0, 4.0)
    assert found["ours_missed"] == ["small-one"]


def test_nobody_else_there_is_no_ratio():
    found = figures([made_up(SMALL, softunit=1.0, cyanure=None)])
    assert (found["worst_ratio"], found["worst_ratio_any_peer"]) == (None, None)


def test_the_record_is_json_with_everything_in_it():
    runs = [made_up(SMALL, softunit=1.0, glum=None)]
    plan = Plan(chosen_suite("quick"), 1, 3)
    text = json.dumps(record(plan, about(1), runs), allow_nan=False)
    told = json.loads(text)
    assert told["format"] == "softunit-bench-1"
    assert (told["converged"], told["gradient_norm"], told["n_iter"]) == (True, 1e-7, 3)
    case = told["cases"][0]
    assert (case["name"], case["gradient_seconds"]) == ("small-one", 0.5)
    assert case["tags"] == ["dense", "tiny"]
    ours, glum = case["results"]
    assert (ours["peer"], ours["outcome"], ours["seconds"]) == ("softunit", "reached", 1.0)
    assert (glum["outcome"], glum["seconds"]) == ("missed", None)
    assert set(ours) == set(glum)


def test_what_is_not_finite_becomes_null():
    result = Result("a", "b", "missed", gradient=math.inf, value=math.nan)
    assert (result.to_dict()["gradient"], result.to_dict()["value"]) == (None, None)


def test_slopes_are_those_of_powers():
    sizes = [10, 100, 1_000, 10_000]
    assert slope(sizes, [3 * size**0.8 for size in sizes]) == pytest.approx(0.8)
    assert slope(sizes, [1.0, None, 1_000.0, 10_000.0], 1_000) == pytest.approx(1.0)
    assert math.isnan(slope(sizes, [1.0, None, None, None]))


def test_the_study_has_the_sizes_it_names():
    for series in SERIES:
        assert len(series.cases) == len(series.sizes)
    rows, columns, classes, words = SERIES
    assert tuple(case.n for case in rows.cases) == rows.sizes
    assert tuple(case.d for case in columns.cases) == columns.sizes
    assert tuple(case.k for case in classes.cases) == classes.sizes
    assert tuple(case.words for case in words.cases) == words.sizes
    assert len({case.name for series in SERIES for case in series.cases}) == 23


def study():
    """Return a made-up study of the rows, with one time missing."""
    cases = SERIES[0].cases
    return [made_up(case, softunit=case.n / 1e5, glum=case.n**2 / 1e8) for case in cases[:-1]]


def test_growth_is_told_for_each_peer():
    found = growths(SERIES[0], study())
    assert [growth.peer for growth in found] == ["softunit", "glum"]
    assert [growth.slope for growth in found] == pytest.approx([1.0, 2.0])
    assert found[0].seconds[-1] is None
    told = record(Plan(STUDY, 1, 1), about(1), study())
    assert told["scaling"][0]["slope"] == pytest.approx(1.0)


def test_pictures_are_the_same_bytes_twice(tmp_path):
    cases = [Case(f"c{i}", "iris", 150, 4, 3, 1.0) for i in range(4)]
    runs = [made_up(case, softunit=1.0, cyanure=1.5 + i) for i, case in enumerate(cases)]
    drawn = []
    for name in ("a", "b"):
        draw_profile(tmp_path / name, profile(runs), solved(runs))
        draw_growth(tmp_path / f"{name}2", growths(SERIES[0], study()))
        drawn.append([(tmp_path / name).read_text("utf-8"), (tmp_path / f"{name}2").read_text()])
    assert drawn[0] == drawn[1]
    assert "Performance profile, 4 cases" in drawn[0][0]
    assert "cyanure" in drawn[0][0]
    assert "slope 2.00" in drawn[0][1]
