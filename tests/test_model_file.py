"""A saved model is the model; a file that is anything else is refused with a sentence."""

from __future__ import annotations

import copy
import json
import math
import struct
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from softunit import SoftmaxClassifier, SoftmaxRegressor
from softunit.errors import FileError, InputError
from softunit.model_file import FORMAT, SavedModel, Training, load_model, save_model
from softunit.report.words import version
from softunit.solution import Solution, Status
from softunit.solvers import LBFGS
from softunit.tables import CategoricalColumn, Encoding, NumericColumn

ENCODING = Encoding(
    (NumericColumn("width", 1.5), CategoricalColumn("[red]\x1b", ("a", "b")), NumericColumn("z")),
    unknown="other",
)
LABELS = {
    "str": np.array(["a", "ü", "\x1b[31m"]),
    "int": np.array([-3, 0, 2**62]),
    "float": np.array([-1.0, 2.0, 2.0**50]),
    "bool": np.array([False, True]),
}


def classifier(rng, labels=LABELS["str"], dtype=np.float64, **settings):
    """Return a fitted model of four columns, and the data."""
    X = rng.standard_normal((60, 4)).astype(dtype)
    y = labels[np.arange(60) % len(labels)]
    estimator = SoftmaxClassifier(**settings).fit(X, y)
    training = Training.of(estimator, source="t.csv", rows=60)
    model = SavedModel(estimator, ENCODING, "classifier", "species", training, weights="w")
    return model, X, y


@pytest.fixture
def saved(tmp_path, rng):
    """The path of a whole model."""
    save_model(tmp_path / "m.safetensors", classifier(rng)[0])
    return tmp_path / "m.safetensors"


def parts(path):
    """Return the tensors and the header of a model."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["softunit"])


def rewrite(path, tensors, header):
    """Write these parts over a model."""
    text = header if isinstance(header, str) else json.dumps(header)
    save_file(tensors, path, metadata={"softunit": text})


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", LABELS)
def test_a_classifier_comes_back_whole(kind, dtype, tmp_path, rng):
    model, X, y = classifier(rng, LABELS[kind], dtype, C=math.inf, tol=1e-4, fit_intercept=False)
    save_model(tmp_path / "m", model)
    loaded = load_model(tmp_path / "m")
    for name in ("coef_", "intercept_", "classes_", "n_iter_"):
        one, other = getattr(model.estimator, name), getattr(loaded.estimator, name)
        assert one.dtype.kind == other.dtype.kind
        np.testing.assert_array_equal(one, other)
    assert loaded.estimator.coef_.dtype == dtype
    assert loaded.estimator.get_params() == model.estimator.get_params()
    assert loaded.encoding == ENCODING
    assert (loaded.target, loaded.weights, loaded.offset) == ("species", "w", None)
    assert loaded.training == model.training
    np.testing.assert_array_equal(
        loaded.estimator.predict_proba(X), model.estimator.predict_proba(X)
    )
    assert loaded.estimator.certify(X, y) == model.estimator.certify(X, y)


def test_a_loaded_classifier_becomes_sklearns(saved, rng):
    X = rng.standard_normal((5, 4))
    estimator = load_model(saved).estimator
    np.testing.assert_allclose(estimator.to_sklearn().predict_proba(X), estimator.predict_proba(X))


def test_a_regression_comes_back_whole(tmp_path, rng):
    A = rng.standard_normal((30, 4))
    b = np.exp(A @ [0.5, -1.0, 0.2, 0.1])
    estimator = SoftmaxRegressor(w=0.01, ridge=1e-6).fit(A, b / b.sum())
    training = Training.of(estimator, source="t.csv", rows=30)
    save_model(tmp_path / "m", SavedModel(estimator, ENCODING, "softmax", "share", training))
    loaded = load_model(tmp_path / "m")
    assert loaded.problem == "softmax"
    np.testing.assert_array_equal(loaded.estimator.coef_, estimator.coef_)
    np.testing.assert_array_equal(loaded.estimator.predict(A), estimator.predict(A))
    assert loaded.estimator.certify(A, b / b.sum()) == estimator.certify(A, b / b.sum())


def test_two_savings_are_the_same_bytes(tmp_path, rng):
    model = classifier(rng)[0]
    for name in ("a", "b"):
        save_model(tmp_path / name, model)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_cannot_be_kept_is_refused(tmp_path, rng):
    model, X, y = classifier(rng, solver=LBFGS())
    with pytest.raises(InputError, match="`solver` = LBFGS"):
        save_model(tmp_path / "m", model)
    regressor = SoftmaxRegressor(w=np.full(60, 0.1)).fit(X, np.full(60, 1 / 60))
    with pytest.raises(InputError, match="`w` = array"):
        save_model(tmp_path / "m", SavedModel(regressor, ENCODING, "softmax", "y", model.training))
    with pytest.raises(InputError, match="the estimator is a SoftmaxClassifier"):
        save_model(
            tmp_path / "m", SavedModel(model.estimator, ENCODING, "softmax", "y", model.training)
        )
    good = SoftmaxClassifier().fit(X, y)
    good.coef_ = good.coef_ * np.nan
    with pytest.raises(InputError, match="`coef` holds 12 entries of NaN"):
        save_model(tmp_path / "m", SavedModel(good, ENCODING, "classifier", "y", model.training))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", [0, 4, 8, 60, -1, -40])
def test_truncated_files_are_refused(length, saved):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(FileError, match=r"m\.safetensors is not a model, or it is damaged"):
        load_model(saved)


@pytest.mark.parametrize("claim", [2**63, 2**40, 99_000_000])
def test_a_header_length_is_checked_before_memory_is_taken(claim, tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "m"
    path.write_bytes(struct.pack("<Q", claim) + b"{}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError, match="is not a model, or it is damaged"):
        load_model(path)
    # ru_maxrss is in kB on Linux and in bytes on macOS, where this is stricter than needed.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_files_that_are_no_files_are_refused(saved):
    with pytest.raises(FileError, match=r"is not there\. Did you mean 'm\.safetensors'"):
        load_model(saved.parent / "m.safetensor")
    with pytest.raises(FileError, match="is a folder"):
        load_model(saved.parent)
    with pytest.raises(FileError, match=r"cannot be read|is not there"):
        load_model("a\0b")


def test_another_safetensors_file_is_no_model(tmp_path):
    save_file({"coef": np.zeros(3)}, tmp_path / "m")
    with pytest.raises(FileError, match="without the one header 'softunit'"):
        load_model(tmp_path / "m")
    save_file({"coef": np.zeros(3)}, tmp_path / "m", metadata={"softunit": "{}", "more": "x"})
    with pytest.raises(FileError, match="without the one header 'softunit'"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "header is not JSON"),
        ("[" * 100_000, "header is not JSON"),
        ('{"format": NaN}', "NaN is not a number of JSON"),
        ('{"format": 1e999}', "1e999 is more than a float can hold"),
        ('{"format": 1, "format": 1}', "repeated"),
        ("[]", "must be an object"),
        ("{}", "format version None"),
        ('{"format": true}', "format version True"),
        ('{"format": 1}', "lacks 'classes'"),
    ],
)
def test_headers_that_are_none_are_refused(text, words, saved):
    tensors, _ = parts(saved)
    rewrite(saved, tensors, text)
    with pytest.raises(FileError, match=words):
        load_model(saved)


# A path into the header, the value put there, and what the sentence must hold.
WRONG = [
    ("format", FORMAT + 1, "format version 4, and this release reads 1, 2 and 3"),
    ("extra", 1, "unknown keys 'extra'"),
    ("softunit", 1, "`softunit` must be a text"),
    ("problem", "svm", "`problem` must be one of"),
    ("problem", [], "`problem` must be one of"),
    ("target", None, "`target` must be a text"),
    ("weights", 3, "`weights` must be a text"),
    ("offset", [], "`offset` must be a text"),
    ("classes", None, "`classes` must be an object"),
    ("classes.type", "complex", "`classes` has type 'complex'"),
    ("classes.type", {}, "`classes` has type"),
    ("classes.type", "int", "must hold labels of type int"),
    ("classes.values", ["a"], "at least two"),
    ("classes.values", ["b", "a", "c"], "must be sorted"),
    ("classes.values", ["a", "a", "b"], "must be sorted"),
    ("classes.values", ["a", "b"], "`intercept` has shape"),
    ("classes.values", ["a", "b", 1], "must hold labels of type str"),
    ("classes.values", ["a", "b", "c", "d"], "`intercept` has shape"),
    ("score_weights", "w", "`score_weights` does not go with the problem classifier"),
    ("settings", {}, "`settings` lacks"),
    ("settings.checkpoint", "/etc/passwd", "`settings` has unknown keys 'checkpoint'"),
    ("settings.C", -1, "`C` must be"),
    ("settings.C", "1", "`C` must be"),
    ("settings.C", True, "`C` has a value"),
    ("settings.tol", None, "`tol` must be"),
    ("settings.max_iter", 1.5, "`max_iter` must be"),
    ("settings.solver", "os.system", "solver"),
    ("settings.solver", None, "solver"),
    ("settings.solver", {"a": 1}, "solver"),
    ("settings.fit_intercept", 1, "`fit_intercept` has a value"),
    ("settings.class_weight", "x", "`class_weight` has a value"),
    ("settings.random_state", "x", "`random_state` has a value"),
    ("settings.verbose", True, "`verbose` has a value"),
    ("settings.more", 1, "`settings` has unknown keys"),
    ("encoding", [], "encoding must be a dict"),
    ("encoding.unknown", "x", "must be 'error' or 'other'"),
    ("encoding.columns", [], "must be a list"),
    ("encoding.columns", 1.5, "must be a list"),
    ("encoding.columns", {"count": 3}, "must be a list"),
    ("encoding.columns", [{"kind": "run", "first": 0, "count": 10**7}], "claims 10,000,000"),
    ("encoding.columns", [{"kind": "run", "first": 0, "count": 3}], "makes 3 columns"),
    ("training", None, "`training` must be an object"),
    ("training.status", "FINE", "`status` of the training"),
    ("training.status", [], "`status` of the training"),
    ("training.rows", -1, "`rows` must be"),
    ("training.rows", True, "`rows` must be"),
    ("training.n_iter", 1e3, "`n_iter` must be"),
    ("training.n_iter", 10**30, "`n_iter` must be"),
    ("training.n_iter", 2**31, "`n_iter` must be a whole number from 0 to 2147483647"),
    ("training.seconds", "1", "`seconds` must be"),
    ("training.value", 10**400, "`value` must be"),
    ("training.certificate", 1, "`certificate` must be"),
    ("training.source", 1, "`source` must be"),
    ("training.solver", 1, "`solver` must be"),
]


@pytest.mark.parametrize(("place", "value", "words"), WRONG)
def test_every_value_of_the_header_is_checked(place, value, words, saved):
    tensors, header = parts(saved)
    *path, last = place.split(".")
    spot = header
    for key in path:
        spot = spot[key]
    spot[last] = value
    rewrite(saved, tensors, header)
    with pytest.raises(FileError, match="is not a model to read") as caught:
        load_model(saved)
    assert words in str(caught.value)
    assert "m.safetensors" in str(caught.value)


def test_no_key_may_be_missing(saved):
    tensors, header = parts(saved)
    for inner in (None, "settings", "classes", "encoding", "training"):
        for key in header if inner is None else header[inner]:
            cut = copy.deepcopy(header)
            del (cut if inner is None else cut[inner])[key]
            rewrite(saved, tensors, cut)
            with pytest.raises(FileError, match=r"lacks|keys|format version"):
                load_model(saved)


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("coef", np.zeros((3, 5)), "but `coef` has 5"),
        ("coef", np.zeros((2, 4)), "does not go with its classes"),
        ("coef", np.zeros(12), "does not go with its classes"),
        ("coef", np.zeros((3, 0)), "`coef` is empty"),
        ("coef", np.full((3, 4), np.inf), "holds 12 entries"),
        ("coef", np.zeros((3, 4), dtype=np.int64), "must be of type F32 or F64"),
        ("coef", np.zeros((3, 4), dtype=np.float32), "`intercept` has shape"),
        ("intercept", np.zeros(2), "`intercept` has shape"),
        ("intercept", np.array([0, np.nan, 0]), "holds 1 entries"),
        ("more", np.zeros(2), "it holds 'coef', 'intercept', 'more'"),
    ],
)
def test_every_tensor_is_checked(name, tensor, words, saved):
    tensors, header = parts(saved)
    rewrite(saved, tensors | {name: tensor}, header)
    with pytest.raises(FileError, match="is not a model to read") as caught:
        load_model(saved)
    assert words in str(caught.value)


def test_a_regression_has_no_classes_and_no_intercept(tmp_path, rng):
    A, b = rng.standard_normal((30, 4)), np.full(30, 1 / 30)
    estimator = SoftmaxRegressor().fit(A, b)
    training = Training.of(estimator, source="t", rows=30)
    path = tmp_path / "m"
    save_model(path, SavedModel(estimator, ENCODING, "softmax", "share", training))
    tensors, header = parts(path)
    rewrite(path, tensors, header | {"classes": {}})
    with pytest.raises(FileError, match="`classes` must be null"):
        load_model(path)
    rewrite(path, tensors, header | {"settings": header["settings"] | {"w": "x"}})
    with pytest.raises(FileError, match="setting `w` must be a finite number"):
        load_model(path)
    rewrite(path, {"coef": np.zeros((1, 4))}, header)
    with pytest.raises(FileError, match="does not go with its classes"):
        load_model(path)


@pytest.mark.parametrize("status", list(Status))
def test_what_converged_means_is_said_once(status):
    run = Solution(np.zeros(1), 0.0, 1.0, status, 0, (), 0.0)
    assert Training("t", 1, status.name, "", 0, 0.0, 0.0, 1.0, {}).converged is run.converged


def test_a_source_tree_has_one_name_for_its_version(saved, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("softunit.model_file.header.version", missing)
    monkeypatch.setattr("softunit.report.words.installed_version", missing)
    save_model(saved, load_model(saved))
    assert parts(saved)[1]["softunit"] == version() == "(not installed)"
