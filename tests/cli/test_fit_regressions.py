"""`softunit fit`, `predict` and `certify` on every regression, from planted tables."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from softunit.model_file import load_model
from softunit.tables import read_numeric, read_table, write_table
from tests.cli.commands import EVIL, figures, refused, run
from tests.cli.regressions import NAMES, PLANTED, PROBLEMS, planted


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_planted_x_comes_back_and_predicts(problem, tmp_path, rng):
    case = planted(tmp_path, problem, rng)
    model, json, out = tmp_path / "m.st", tmp_path / "f.json", tmp_path / "p.csv"
    result = run(*case.fit, "--out", model, "--json", json)
    found = figures(json)
    assert found["problem"] == problem
    assert found["coefficients"] == pytest.approx(dict(zip(NAMES, PLANTED, strict=True)), abs=1e-8)
    assert found["converged"] is True
    assert found["gradient_norm"] <= found["tol"] == 1e-10
    assert 0 <= found["gap_bound"] < 1e-15
    assert found["n_iter"] >= 0
    assert found["runs"][-1]["n_iter"] == found["n_iter"]
    assert "Converged." in result.stdout
    np.testing.assert_array_equal(
        load_model(model).estimator.coef_, [found["coefficients"][name] for name in NAMES]
    )
    run("predict", model, case.data, "--out", out, "--json", json)
    assert figures(json)["predicted"] == len(case.target)
    prediction = read_numeric(read_table(out), "prediction")
    np.testing.assert_allclose(prediction, case.target, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_saved_regression_is_certified_afresh(problem, tmp_path, rng):
    case, json = planted(tmp_path, problem, rng), tmp_path / "f.json"
    run(*case.fit, "--w", 0.01, "--out", tmp_path / "m.st", "--json", json)
    fit = figures(json)
    result = run("certify", tmp_path / "m.st", case.data, *case.certify, "--json", json)
    assert "Certified." in result.stdout
    assert figures(json)["value"] == pytest.approx(fit["value"], rel=1e-9)
    assert figures(json)["gap_bound"] == pytest.approx(fit["gap_bound"], rel=1e-6)
    other = planted(tmp_path, problem, np.random.default_rng(3))
    args = ("certify", tmp_path / "m.st", other.data, *other.certify, "--json", json)
    assert "Not the optimum." in run(*args, status=3).stdout
    assert figures(json)["converged"] is False


@pytest.mark.parametrize("problem", PROBLEMS)
def test_repeating_the_command_repeats_the_fit(problem, tmp_path, rng):
    case, json = planted(tmp_path, problem, rng), tmp_path / "f.json"
    more = {
        "softmax": ("--normalise", "--ridge", 1e-7),
        "rescaled": ("--restarts", 2, "--no-gauge"),
        "two-layer": ("--outer", "sigmoid", "--restarts", 1, "--ridge", 0.123456789012),
        "leverage": ("--restarts", 3, "--w", 0.001),
    }.get(problem, ("--solver", "lbfgs", "--max-iter", 3000, "--tol", 1e-7))
    run(*case.fit, *more, "--json", json)
    first = figures(json)
    run(*shlex.split(first["repeat"])[1:], "--json", json)
    assert figures(json)["value"] == first["value"]
    assert figures(json)["settings"] == first["settings"]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_w_may_stand_in_a_column(problem, tmp_path, rng):
    case, json = planted(tmp_path, problem, rng), tmp_path / "f.json"
    table = read_table(case.data)
    columns = {name: read_numeric(table, name) for name in table.names}
    write_table(case.data, columns | {"own": np.full(table.n_rows, 0.03)})
    run(*case.fit, "--drop", "own", "--w", 0.03, "--json", json)
    number = figures(json)
    model = tmp_path / "m.st"
    run(*case.fit, "--weights-column", "own", "--out", model, "--json", json)
    column = figures(json)
    assert column["coefficients"] == pytest.approx(number["coefficients"], rel=1e-6)
    assert column["settings"]["w"] == f"array of shape ({table.n_rows},)"
    assert load_model(model).score_weights == "own"
    run("certify", model, case.data, *case.certify, "--json", json)
    assert figures(json)["value"] == pytest.approx(column["value"], rel=1e-9)
    run("predict", model, planted(tmp_path, problem, rng).data, "--out", tmp_path / "p.csv")
    assert "no column 'own'" in refused("certify", model, case.data, *case.certify)


@pytest.mark.parametrize("problem", ["exp", "cosh", "sinh"])
def test_row_weights_are_those_of_repeated_rows(problem, tmp_path, rng):
    case, json = planted(tmp_path, problem, rng), tmp_path / "f.json"
    table = read_table(case.data)
    columns = {name: read_numeric(table, name) for name in table.names}
    columns["target"] = columns["target"] + 0.1 * rng.standard_normal(table.n_rows)
    times = rng.integers(1, 4, table.n_rows)
    write_table(case.data, columns | {"times": times})
    run(*case.fit, "--weights", "times", "--json", json)
    weighted = figures(json)
    assert weighted["data"]["Weights"] == "times"
    write_table(case.data, {name: np.repeat(column, times) for name, column in columns.items()})
    run(*case.fit, "--json", json)
    assert weighted["coefficients"] == pytest.approx(figures(json)["coefficients"], rel=1e-7)


def test_amounts_are_normalised(tmp_path, rng):
    case, json = planted(tmp_path, "softmax", rng), tmp_path / "f.json"
    table = read_table(case.data)
    columns = {name: read_numeric(table, name) for name in table.names}
    write_table(case.data, columns | {"target": 1000 * columns["target"]})
    run(*case.fit, "--normalise", "--out", tmp_path / "m.st", "--json", json)
    assert figures(json)["coefficients"] == pytest.approx(dict(zip(NAMES, PLANTED, strict=True)))
    assert figures(json)["measures"]["Variance explained"] == "100.0%"
    assert figures(json)["notes"] == []
    run("certify", tmp_path / "m.st", case.data)


def test_the_paper_runs_with_its_own_w(tmp_path, rng):
    case, json = planted(tmp_path, "exp", rng), tmp_path / "f.json"
    run(*case.fit, "--fidelity", "paper", "--w", 20, "--json", json)
    assert figures(json)["settings"]["fidelity"] == "paper"
    assert max(map(abs, figures(json)["coefficients"].values())) < 0.05  # nearly trivial
    said = refused(*case.fit, "--fidelity", "paper", "--solver", "newton")
    assert "leave --solver out" in said


@pytest.mark.parametrize("name", ["outer.npz", "outer.svm", "outer.parquet"])
def test_the_outer_matrix_may_be_any_table(name, tmp_path, rng):
    case = planted(tmp_path, "two-layer", rng)
    table = read_table(case.outer)
    C = np.column_stack([read_numeric(table, column) for column in table.names[1:]])
    path, json = tmp_path / name, tmp_path / "f.json"
    if name.endswith("npz"):
        np.savez(path, X=C, y=case.target)
    elif name.endswith("svm"):
        C[:, -1] = 0.0  # a last column of zeros is not in the file
        C[rng.random(C.shape) < 0.3] = 0.0
        y = np.tanh(C @ np.full(40, 1 / 40))
        lines = [
            " ".join([repr(float(b)), *(f"{j + 1}:{v!r}" for j, v in enumerate(row.tolist()) if v)])
            for b, row in zip(y, C, strict=True)
        ]
        path.write_text("\n".join(lines) + "\n")
    else:
        names = [f"t{i}" for i in range(40)]
        write_table(path, dict(zip(names, C.T, strict=True)) | {"target": case.target})
    target = ("--target", "target") if name.endswith("parquet") else ()
    model = tmp_path / "m.st"
    args = ("fit", case.data, "--problem", "two-layer", "--matrix", path, *target)
    run(*args, "--out", model, "--json", json)
    expected = 0 * PLANTED if name.endswith("svm") else PLANTED
    assert list(figures(json)["coefficients"].values()) == pytest.approx(expected, abs=1e-7)
    run("certify", model, case.data, "--matrix", path)
    run("predict", model, case.data, "--out", tmp_path / "p.csv")


SENTENCES = {
    "softmax --C 2": "--C belongs to --problem classifier, choice or ordinal, not to softmax",
    "softmax --restarts 2": "--restarts belongs to --problem cosh, rescaled, two-layer or leverage",
    "exp --normalise": "--normalise belongs to --problem softmax, not to exp",
    "exp --unit cosh": "--unit belongs to --problem rescaled, not to exp",
    "exp --restarts 3": "--restarts belongs to",
    "exp --w 1 --weights-column d": "--w is one number for all rows, and --weights-column one for",
    "exp --w abc": "--w",
    "exp --w nan": "--w must hold finite numbers; got nan",
    "cosh --restarts -1": "--restarts must be",
    "sinh --shift d": "--shift belongs to --problem leverage, not to sinh",
    "sinh --weights-column nothing": "no column 'nothing'",
    "sinh --weights d --weights-column d": "'d' has two roles",
    "rescaled --fidelity paper": "--fidelity paper minimises the paper's objective",
    "rescaled --outer tanh": "--outer belongs to --problem two-layer, not to rescaled",
    "two-layer --weights a": "--weights belongs to",
    "two-layer --outer sin": "--outer",
    "leverage --solver newton": "--solver belongs to",
    "leverage --ridge 1": "--ridge belongs to",
    "leverage --weights d": "--weights belongs to",
    "leverage --fidelity print": "--fidelity",
}


@pytest.mark.parametrize("options", SENTENCES)
def test_refuses_with_a_sentence(options, tmp_path, rng):
    problem, *more = options.split()
    assert SENTENCES[options] in refused(*planted(tmp_path, problem, rng).fit, *more)


def test_what_a_problem_needs_is_asked_for(tmp_path, rng):
    layers, scores = planted(tmp_path, "two-layer", rng), planted(tmp_path, "leverage", rng)
    args = ("--problem", "two-layer", "--target", "target")
    assert "two-layer needs --matrix: name the table" in refused("fit", layers.data, *args)
    args = ("--problem", "leverage", "--target", "target")
    assert "leverage needs --shift: name the column" in refused("fit", scores.data, *args)
    said = refused("fit", scores.data, *args, "--shift", "target")
    assert "'target' has two roles" in said


def test_an_outer_matrix_of_another_shape_is_refused(tmp_path, rng):
    case = planted(tmp_path, "two-layer", rng)
    table = read_table(case.outer)
    columns = {name: read_numeric(table, name) for name in table.names}
    args = ("fit", case.data, "--problem", "two-layer", "--matrix", tmp_path / "o.csv")
    write_table(tmp_path / "o.csv", {name: columns[name] for name in table.names[:-1]})
    said = refused(*args, "--target", "target")
    assert "has 39 columns beside its target 'target', but" in said
    assert "has 40 rows" in said
    write_table(tmp_path / "o.csv", columns | {"t3": np.array(["x"] * 8)})
    assert "'t3' must hold numbers" in refused(*args, "--target", "target")
    write_table(tmp_path / "o.csv", columns)
    assert "no column 'out'" in refused(*args, "--target", "out")
    assert "--target is missing" in refused(*args)
    said = refused(*args, "--target", "target", "--json", tmp_path / "o.csv")
    assert "--json and --matrix are the same file" in said


def test_two_layers_are_certified_with_their_target(tmp_path, rng):
    case, other = planted(tmp_path, "two-layer", rng), planted(tmp_path, "exp", rng)
    run(*case.fit, "--out", tmp_path / "m.st")
    said = refused("certify", tmp_path / "m.st", case.data)
    assert "certified with --matrix: the table that holds the target 'target'" in said
    run(*other.fit, "--out", tmp_path / "e.st")
    said = refused("certify", tmp_path / "e.st", other.data, *case.certify)
    assert "--matrix belongs to models of --problem two-layer; this one is of exp" in said


def test_two_layers_predict_as_many_tokens_as_they_know(tmp_path, rng):
    case, other = planted(tmp_path, "two-layer", rng), planted(tmp_path, "exp", rng, 30)
    run(*case.fit, "--out", tmp_path / "m.st")
    said = refused("predict", tmp_path / "m.st", other.data, "--out", tmp_path / "p.csv")
    assert "the outer matrix has shape (8, 40), but A has 30 rows" in said


def test_leverage_scores_need_their_shift_again(tmp_path, rng):
    case, other = planted(tmp_path, "leverage", rng), planted(tmp_path, "exp", rng)
    run(*case.fit, "--out", tmp_path / "m.st")
    said = refused("predict", tmp_path / "m.st", other.data, "--out", tmp_path / "p.csv")
    assert "no column 'shift'" in said
    assert "which the model needs" in said


def test_one_sign_may_be_given(tmp_path, rng):
    case, json = planted(tmp_path, "leverage", rng), tmp_path / "f.json"
    A = np.column_stack([read_numeric(read_table(case.data), name) for name in NAMES])
    shift = A @ PLANTED - rng.uniform(0.5, 2, 40)
    scores = np.sum(np.linalg.qr(A / (A @ PLANTED - shift)[:, None])[0] ** 2, axis=1)
    table = dict(zip(NAMES, A.T, strict=True))
    write_table(case.data, table | {"shift": shift, "target": scores})
    run(*case.fit, "--interior", "--json", json)
    assert figures(json)["coefficients"] == pytest.approx(dict(zip(NAMES, PLANTED, strict=True)))
    assert figures(json)["measures"]["A x below b"] in ("in 0 of 40 rows", "in 40 of 40 rows")
    assert figures(json)["settings"]["signs"] == "interior"


def test_what_the_fit_alone_knows_stays_in_the_certificate(tmp_path, rng):
    case, json = planted(tmp_path, "leverage", rng), tmp_path / "f.json"
    run(*case.fit, "--json", json)
    said = " ".join(figures(json)["statements"])
    assert "signs of s = A x - b were not given" in said
    case = planted(tmp_path, "cosh", rng)
    run(*case.fit, "--json", json)
    said = " ".join(figures(json)["statements"])
    assert said.count("does not see the sign of A x") == 1
    assert figures(json)["certificate"]["unique"] is False


def test_not_converged_is_status_three_with_advice(tmp_path, rng):
    case, json = planted(tmp_path, "exp", rng), tmp_path / "f.json"
    slow = ("--solver", "gradient-descent", "--max-iter", 1, "--w", 0.1)
    result = run(*case.fit, *slow, "--json", json, status=3)
    assert "Raise --max-iter" in " ".join(result.stdout.split())
    assert (figures(json)["converged"], figures(json)["status"]) == (False, "MAX_ITER")
    assert "not converged" in run(*case.fit, *slow, "--quiet", status=3).stderr


@pytest.mark.parametrize("problem", PROBLEMS)
def test_names_stay_text_in_the_report(problem, tmp_path, rng):
    case, report = planted(tmp_path, problem, rng), tmp_path / "r.html"
    table = read_table(case.data)
    renamed = dict(zip(NAMES, EVIL, strict=True))
    columns = {renamed.get(name, name): read_numeric(table, name) for name in table.names}
    write_table(tmp_path / "t.parquet", columns)
    args = ("fit", tmp_path / "t.parquet", *case.fit[2:])
    result = run(*args, "--report", report)
    page = report.read_text("utf-8")
    assert "\x1b" not in result.stdout + page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Target against fitted value" in page
    assert "Objective, made as small as possible" in page


def test_what_the_data_leave_open_is_said_in_options(tmp_path, rng):
    A = rng.standard_normal((40, 2))
    z = A @ [0.5, -0.3]
    share = np.exp(z) / np.exp(z).sum()
    table, json = {"a": A[:, 0], "d": A[:, 1]}, tmp_path / "f.json"

    def notes(*options: object, **columns: np.ndarray) -> str:
        write_table(tmp_path / "t.csv", table | columns)
        run("fit", tmp_path / "t.csv", *options, "--json", json)
        said = figures(json)
        everything = " ".join([*said["notes"], *said["statements"], said["advice"]])
        assert "`" not in everything
        return everything

    softmax = ("--problem", "softmax", "--target", "b")
    assert "a small --ridge makes it unique" in notes(*softmax, one=np.ones(40), b=share)
    free = ("--problem", "rescaled", "--target", "b", "--no-gauge", "--unit", "sinh")
    assert "Leave --no-gauge out: that holds" in notes(*free, b=share)
    few = ("--problem", "leverage", "--target", "b", "--shift", "s", "--impute", "mean")
    assert "b lies in the range of A" in notes(*few, b=np.full(40, 0.05), s=z)


def test_a_zero_of_the_shift_is_named_by_its_row(tmp_path, rng):
    case = planted(tmp_path, "leverage", rng)
    table = read_table(case.data)
    columns = {name: read_numeric(table, name) for name in table.names}
    columns["shift"] = np.where(np.arange(40) == 6, 0.0, columns["shift"])
    write_table(case.data, columns)
    said = refused(*case.fit, "--fidelity", "paper")
    assert "is zero in 1 of 40 rows, the first is data row 7:" in said
    assert "Leave --fidelity paper out" in said
    columns["shift"][2] = np.nan
    write_table(case.data, columns)
    assert "'shift' has 1 missing value, in data row 3" in refused(*case.fit)


def test_help_has_a_panel_for_each_kind_of_option():
    shown = run("fit", "--help").stdout
    panels = [
        "Arguments:", "Options:", "The table:", "Classes and choices:", "Choices:",
        "Ordered classes:", "Standard errors:", "Regressions:", "Some regressions:", "The run:",
        "Files:",
    ]  # fmt: skip
    places = [shown.index(f"\n{panel}") for panel in panels]
    assert places == sorted(places)
    assert places[8] < shown.index("--matrix FILE") < places[9]
    for problem in PROBLEMS:
        assert problem in shown[: places[0]]
