"""Saved regressions are the regressions, whatever their problem; old files still load."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from softunit import (
    HyperbolicRegressor,
    LeverageScoreInverter,
    RescaledRegressor,
    SoftmaxRegressor,
    TwoLayerRegressor,
)
from softunit.errors import FileError, InputError
from softunit.model_file import SavedModel, Training, load_model, save_model
from tests.test_model_file import ENCODING, classifier, parts, rewrite


def regression(problem, rng):
    """Return a fitted model of a regression, and what its `certify` takes."""
    A = rng.standard_normal((30, 4))
    z = A @ [0.5, -1.0, 0.2, 0.1]
    given = {"shift": "b"} if problem == "leverage" else {}
    if problem.startswith("two-layer"):
        C = rng.standard_normal((7, 30))
        if problem.endswith("sparse"):
            C = sparse.csc_array(np.where(C > 0.5, C, 0.0))
        estimator = TwoLayerRegressor(C, "softplus", ridge=1e-3, restarts=2)
        data = (A, np.ones(7))
    elif problem == "leverage":
        estimator, b = LeverageScoreInverter(signs="interior"), z - 1 - rng.random(30)
        data = (A, np.sum(np.linalg.qr(A / (z - b)[:, None])[0] ** 2, axis=1), b)
    elif problem.startswith("rescaled"):
        gauge = None if problem.endswith("free") else "normaliser"
        estimator = RescaledRegressor("cosh", gauge, ridge=1e-6, restarts=1)
        data = (A, np.cosh(z) / np.cosh(z).sum())
    else:
        estimator, data = HyperbolicRegressor(problem, w=0.01), (A, getattr(np, problem)(z))
    estimator.fit(*data)
    kind = problem.removesuffix(" sparse").removesuffix(" free")
    training = Training.of(estimator, source="t.csv", rows=30)
    return SavedModel(estimator, ENCODING, kind, "share", training, **given), data


KINDS = (
    "exp", "cosh", "sinh", "rescaled", "rescaled free", "two-layer", "two-layer sparse", "leverage",
)  # fmt: skip


@pytest.mark.parametrize("problem", KINDS)
def test_every_regression_comes_back_whole(problem, tmp_path, rng):
    model, data = regression(problem, rng)
    save_model(tmp_path / "m", model)
    loaded = load_model(tmp_path / "m")
    assert (loaded.problem, loaded.shift) == (model.problem, model.shift)
    new, old = (m.estimator.get_params() for m in (loaded, model))
    if problem.startswith("two-layer"):
        new["matrix"], old["matrix"] = (
            p["matrix"].toarray() if sparse.issparse(p["matrix"]) else p["matrix"]
            for p in (new, old)
        )
        np.testing.assert_array_equal(new.pop("matrix"), old.pop("matrix"))
    assert new == old
    np.testing.assert_array_equal(loaded.estimator.coef_, model.estimator.coef_)
    arguments = (data[0], data[2]) if problem == "leverage" else (data[0],)
    np.testing.assert_array_equal(
        loaded.estimator.predict(*arguments), model.estimator.predict(*arguments)
    )
    again, first = loaded.estimator.certify(*data), model.estimator.certify(*data)
    assert again.value == pytest.approx(first.value, rel=1e-9, abs=1e-25)
    assert again.gap_bound == pytest.approx(first.gap_bound, rel=1e-6)


def test_w_of_a_column_is_asked_for_again(tmp_path, rng):
    A, w = rng.standard_normal((30, 4)), np.full(30, 0.1)
    b = np.exp(A @ [0.5, -1.0, 0.2, 0.1])
    estimator = HyperbolicRegressor(w=w).fit(A, b)
    training = Training.of(estimator, source="t", rows=30)
    model = SavedModel(estimator, ENCODING, "exp", "b", training, score_weights="own")
    save_model(tmp_path / "m", model)
    loaded = load_model(tmp_path / "m")
    assert (loaded.score_weights, loaded.estimator.w) == ("own", None)
    np.testing.assert_array_equal(loaded.estimator.predict(A), estimator.predict(A))
    with pytest.raises(InputError, match="`w` must hold finite numbers; got None"):
        loaded.estimator.certify(A, b)
    loaded.estimator.set_params(w=w)
    assert loaded.estimator.certify(A, b).value == pytest.approx(estimator.solution_.value)


# Which model, a path into its header, the value put there, and what the sentence must hold.
WRONG_REGRESSIONS = [
    ("exp", "settings.unit", "cosh", "its problem is exp, but its setting `unit` 'cosh'"),
    ("exp", "settings.unit", 3, "`unit` has a value"),
    ("exp", "settings.w", "x", "setting `w` must be a finite number"),
    ("exp", "settings.w", None, "setting `w` must be a finite number"),
    ("exp", "settings.restarts", "x", "`restarts` must be"),
    ("exp", "settings.fidelity", "print", "`fidelity`"),
    ("exp", "shift", "b", "`shift` does not go with the problem exp"),
    ("exp", "score_weights", 3, "`score_weights` must be a text"),
    ("exp", "problem", "leverage", "`shift` does not go with the problem leverage"),
    ("exp", "problem", "softmax", "`settings` "),
    ("exp", "problem", "two-layer", "must hold the arrays"),
    ("rescaled", "settings.gauge", "x", "`gauge` must be"),
    ("rescaled", "settings.gauge", 1, "`gauge` has a value"),
    ("two-layer", "settings.outer", "eval", "a setting is wrong"),
    ("two-layer", "settings.matrix", [[1]], "unknown keys 'matrix'"),
    ("leverage", "shift", None, "`shift` does not go with the problem leverage"),
    ("leverage", "settings.signs", [1, -1], "`signs` has a value"),
    ("leverage", "settings.random_state", "x", "`random_state` has a value"),
]


@pytest.mark.parametrize(("problem", "place", "value", "words"), WRONG_REGRESSIONS)
def test_every_value_of_a_regression_is_checked(problem, place, value, words, tmp_path, rng):
    path = tmp_path / "m"
    save_model(path, regression(problem, rng)[0])
    tensors, header = parts(path)
    *keys, last = place.split(".")
    spot = header
    for key in keys:
        spot = spot[key]
    spot[last] = value
    rewrite(path, tensors, header)
    with pytest.raises(FileError, match="is not a model to read") as caught:
        load_model(path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("matrix_indptr", lambda a: a[::-1].copy(), "make no sparse matrix"),
        ("matrix_indptr", lambda a: a[:-1], "make no sparse matrix"),
        ("matrix_indices", lambda a: a + 1000, "make no sparse matrix"),
        ("matrix_indices", lambda a: a - 1000, "make no sparse matrix"),
        ("matrix_indices", lambda a: a.astype(float), "`matrix_indices` must be of type I64"),
        ("matrix_data", lambda a: a[:-1], "make no sparse matrix"),
        ("matrix_data", lambda a: a * np.nan, "entries of NaN or infinity"),
        ("matrix_shape", lambda a: a[:1], "`matrix_shape` must hold two whole numbers"),
        ("matrix_shape", lambda a: -a, "`matrix_shape` must hold two whole numbers"),
        ("matrix", lambda a: np.ones((7, 30)), "must hold the arrays 'coef', 'matrix' or 'coef'"),
    ],
)
def test_every_array_of_a_sparse_matrix_is_checked(name, change, words, tmp_path, rng):
    path = tmp_path / "m"
    save_model(path, regression("two-layer sparse", rng)[0])
    tensors, header = parts(path)
    rewrite(path, tensors | {name: change(tensors.get(name))}, header)
    with pytest.raises(FileError, match="is not a model to read") as caught:
        load_model(path)
    assert words in str(caught.value)


def test_a_model_goes_with_its_problem(tmp_path, rng):
    model, _ = regression("exp", rng)
    wrong = {
        "the estimator's unit is 'exp'": {"problem": "cosh"},
        "`shift` names the column": {"shift": "b"},
        "the estimator is a HyperbolicRegressor": {"problem": "leverage", "shift": "b"},
    }
    for words, change in wrong.items():
        with pytest.raises(InputError, match=words):
            save_model(tmp_path / "m", dataclasses.replace(model, **change))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("problem", ["classifier", "softmax"])
def test_files_of_format_1_are_read(problem, tmp_path, rng):
    path = tmp_path / "m"
    if problem == "classifier":
        save_model(path, classifier(rng)[0])
    else:
        A = rng.standard_normal((30, 4))
        estimator = SoftmaxRegressor().fit(A, np.full(30, 1 / 30))
        training = Training.of(estimator, source="t", rows=30)
        save_model(path, SavedModel(estimator, ENCODING, "softmax", "share", training))
    tensors, header = parts(path)
    first = load_model(path)
    for key in ("choice", "errors", "no_errors", "score_weights", "shift"):
        del header[key]
    for setting in ("normalise", "l1_ratio", "grouped"):
        header["settings"].pop(setting, None)
    rewrite(path, tensors, header | {"format": 1})
    old = load_model(path)
    np.testing.assert_array_equal(old.estimator.coef_, first.estimator.coef_)
    assert old.estimator.get_params() == first.estimator.get_params()
    assert (old.score_weights, old.shift) == (None, None)
    rewrite(path, tensors, header | {"format": 1, "shift": None})
    with pytest.raises(FileError, match="unknown keys 'shift'"):
        load_model(path)
    rewrite(path, tensors, header | {"format": 1, "problem": "exp"})
    with pytest.raises(FileError, match=r"`problem` must be one of|must hold the arrays"):
        load_model(path)


def test_files_of_format_2_are_read(tmp_path, rng):
    path = tmp_path / "m"
    save_model(path, classifier(rng)[0])
    tensors, header = parts(path)
    first = load_model(path)
    for key in ("choice", "errors", "no_errors"):
        del header[key]
    for setting in ("l1_ratio", "grouped"):
        del header["settings"][setting]
    rewrite(path, tensors, header | {"format": 2})
    old = load_model(path)
    np.testing.assert_array_equal(old.estimator.coef_, first.estimator.coef_)
    assert old.estimator.get_params() == first.estimator.get_params()
    assert (old.choice, old.errors) == (None, None)
    rewrite(path, tensors, header | {"format": 2, "errors": None})
    with pytest.raises(FileError, match="unknown keys 'errors'"):
        load_model(path)
    rewrite(path, tensors, header | {"format": 2, "problem": "choice"})
    with pytest.raises(FileError, match=r"`problem` must be one of|must hold the arrays"):
        load_model(path)
