"""Models of choice and of ordered classes as files: what comes back, and what is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from softunit import ConditionalLogit, OrdinalClassifier, SoftmaxClassifier
from softunit.errors import FileError, InputError
from softunit.model_file import SavedErrors, SavedModel, Training, load_model, save_model
from softunit.model_file.choices import ChoiceTable
from softunit.tables import Encoding, NumericColumn, WideLayout

ENCODING = Encoding((NumericColumn("a"), NumericColumn("b")))
WIDE = WideLayout(("bus", "car", "walk"), ("a", "b"), availability="there")


def drawn(rng):
    """Return 60 sets of three alternatives, and what was chosen."""
    X, sets = rng.standard_normal((180, 2)), np.repeat(np.arange(60), 3)
    z = X @ [1.0, -0.5] + rng.gumbel(size=180)
    chosen = (z.reshape(60, 3) == z.reshape(60, 3).max(axis=1)[:, None]).ravel()
    return X, chosen, sets, np.tile(["bus", "car", "walk"], 60)


def choice(rng, *, wide=False, constants=True, **settings):
    X, chosen, sets, names = drawn(rng)
    estimator = ConditionalLogit(alternative_constants=constants, **settings)
    estimator.fit(X, chosen, sets, alternatives=names)
    found = estimator.inference()
    errors = SavedErrors(
        names=tuple(estimator.names_),
        estimates=found.coef,
        covariance=found.covariance(),
        log_likelihood=found.log_likelihood,
        null=found.null_log_likelihood,
        n_observations=60.0,
        df=found.df,
        notes=("a note",),
    )
    return SavedModel(
        estimator=estimator,
        encoding=ENCODING,
        problem="choice",
        target="chosen",
        training=Training.of(estimator, source="t.csv", rows=180),
        choice=ChoiceTable("trip", "mode", WIDE if wide else None),
        errors=errors,
    )


def ordinal(rng, **settings):
    X = rng.standard_normal((200, 2))
    y = np.array(["low", "mid", "high"])[
        np.digitize(X @ [1.0, 0.5] + rng.logistic(size=200), [-0.5, 1.0])
    ]
    estimator = OrdinalClassifier(order=("low", "mid", "high"), **settings).fit(X, y)
    training = Training.of(estimator, source="t.csv", rows=200)
    return SavedModel(estimator, ENCODING, "ordinal", "y", training), X


def rewrite(path: Path, change):
    """Change the header and the arrays of a file in place."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(json.loads(file.read(size))["__metadata__"]["softunit"])
    tensors = load_file(path)
    change(header, tensors)
    save_file(tensors, path, metadata={"softunit": json.dumps(header)})


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("constants", [False, True])
def test_choices_come_back(tmp_path, rng, wide, constants):
    model = choice(rng, wide=wide, constants=constants, reference="car")
    save_model(tmp_path / "m", model)
    again = load_model(tmp_path / "m")
    X, chosen, sets, names = drawn(rng)
    first = model.estimator.predict_proba(X, sets, alternatives=names)
    np.testing.assert_array_equal(again.estimator.predict_proba(X, sets, alternatives=names), first)
    assert again.estimator.names_[2:] == model.estimator.names_[2:]
    assert again.choice == model.choice
    one = again.estimator.certify(X, chosen, sets, alternatives=names)
    assert one.value == model.estimator.certify(X, chosen, sets, alternatives=names).value
    assert again.estimator.get_params() == model.estimator.get_params()


def test_errors_come_back(tmp_path, rng):
    model = choice(rng)
    save_model(tmp_path / "m", model)
    errors = load_model(tmp_path / "m").errors
    np.testing.assert_array_equal(errors.covariance, model.errors.covariance)
    np.testing.assert_array_equal(errors.standard_errors, model.estimator.standard_errors())
    for name in ("names", "log_likelihood", "null", "n_observations", "df", "notes", "against"):
        assert getattr(errors, name) == getattr(model.errors, name)


def test_why_there_are_no_errors_comes_back(tmp_path, rng):
    model = dataclasses.replace(choice(rng), errors=None, no_errors="a column separates.")
    save_model(tmp_path / "m", model)
    assert load_model(tmp_path / "m").no_errors == "a column separates."
    rewrite(tmp_path / "m", lambda header, _: header.update(no_errors=3))
    with pytest.raises(FileError, match="`no_errors`"):
        load_model(tmp_path / "m")
    save_model(tmp_path / "n", dataclasses.replace(model, no_errors=""))
    assert load_model(tmp_path / "n").no_errors == ""


@pytest.mark.parametrize("presto", [None, 0.01, np.inf])
def test_ordered_classes_come_back(tmp_path, rng, presto):
    model, X = ordinal(rng, presto=presto)
    save_model(tmp_path / "m", model)
    again = load_model(tmp_path / "m").estimator
    assert again.classes_.tolist() == ["low", "mid", "high"]
    np.testing.assert_array_equal(again.predict_proba(X), model.estimator.predict_proba(X))
    assert again.presto == presto
    with pytest.raises(InputError, match="does not hold the data of the fit"):
        again.inference()


def test_elastic_nets_come_back(tmp_path, rng):
    X = rng.standard_normal((120, 2))
    y = (X[:, 0] + rng.normal(size=120) > 0).astype(int) + (X[:, 1] > 1)
    estimator = SoftmaxClassifier(C=0.5, l1_ratio=0.7, grouped=True).fit(X, y)
    training = Training.of(estimator, source="t", rows=120)
    save_model(tmp_path / "m", SavedModel(estimator, ENCODING, "classifier", "y", training))
    again = load_model(tmp_path / "m").estimator
    assert (again.l1_ratio, again.grouped) == (0.7, True)
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))


def test_a_model_of_choice_needs_its_table(tmp_path, rng):
    model = choice(rng)
    with pytest.raises(InputError, match="`choice` says how a table holds choices"):
        save_model(tmp_path / "m", dataclasses.replace(model, choice=None))
    assert not list(tmp_path.iterdir())


def put(*path, value):
    """Return a change that puts a value somewhere in the header."""

    def change(header, tensors):
        at = header
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value

    return change


def array(name, make):
    """Return a change of one array."""

    def change(header, tensors):
        tensors[name] = np.ascontiguousarray(make(tensors[name]))

    return change


def without(name):
    return lambda header, tensors: tensors.pop(name)


HOSTILE = [
    (put("choice", value=None), "`choice` does not go with the problem choice"),
    (put("choice", "groups", value=3), "`groups` must be a text"),
    (put("choice", "more", value=3), "`choice` has unknown keys 'more'"),
    (put("choice", "wide", "pattern", value="{name.__class__}_{alternative}"), "`wide` is wrong"),
    (put("choice", "wide", "pattern", value="{name:>999999999}{alternative}"), "`wide` is wrong"),
    (put("choice", "wide", "pattern", value="x"), "`wide` is wrong: The pattern 'x' must hold"),
    (put("choice", "wide", "alternatives", value=["car"]), "`alternatives` must be two or more"),
    (put("choice", "wide", "alternatives", value=["car", "car"]), "holds a text twice"),
    (put("choice", "wide", "shared", value=[1]), "`shared` must be a list of texts"),
    (put("classes", value=None), "`classes` must be an object"),
    (put("classes", "values", value=["bus", "car"]), "makes 2 columns, but `coef` has 3"),
    (put("classes", "values", value=["walk", "car", "bus"]), "must be sorted"),
    (put("classes", "values", value=[f"a{i}" for i in range(9)]), "too few for its constants"),
    (
        put("classes", value={"type": "float", "values": [1.0, 2.0, 10**400]}),
        "must hold labels of type float",
    ),
    (put("settings", "reference", value="tram"), "setting `reference` is no alternative: 'tram'"),
    (put("settings", "reference", value=["bus"]), "setting `reference` has a value"),
    (put("settings", "strict", value=1), "setting `strict` has a value"),
    (put("errors", value=None), "`errors` does not go with its arrays"),
    (put("errors", "names", value=["a"]), "`covariance` has shape"),
    (put("errors", "names", value=["a", "b", "c", ["d", "e", "f"]]), "a name must be a text"),
    (put("errors", "df", value=-1), "`df` must be a whole number"),
    (put("errors", "log_likelihood", value="0"), "`log_likelihood` must be a finite number"),
    (put("errors", "notes", value="n"), "`notes` must be a list"),
    (put("errors", "notes", value=[3]), "a note must be a text"),
    (array("covariance", lambda a: -a), "`covariance` is not one"),
    (array("covariance", lambda a: a + np.triu(np.ones_like(a), 1)), "`covariance` is not one"),
    (array("covariance", lambda a: a[:2]), "`covariance` has shape"),
    (array("covariance", lambda a: a * np.nan), "`covariance` holds 16 entries"),
    (array("estimates", lambda a: a[:2]), "`covariance` has shape"),
    (array("coef", lambda a: a[None]), "`coef` has shape"),
    (array("coef", lambda a: a.astype(np.int64)), "must be of type F32 or F64"),
    (without("covariance"), "must hold the arrays"),
]


@pytest.mark.parametrize(("change", "words"), HOSTILE, ids=[words for _, words in HOSTILE])
def test_hostile_models_of_choice_are_refused(tmp_path, rng, change, words):
    path = tmp_path / "m"
    save_model(path, choice(rng, wide=True))
    rewrite(path, change)
    with pytest.raises(FileError, match=f"m is not a model to read: .*{words}"):
        load_model(path)


ORDERED = [
    (array("thresholds", lambda a: a[::-1]), "`thresholds` must hold 2 rising numbers"),
    (array("thresholds", lambda a: a[:1]), "`thresholds` must hold 2 rising numbers"),
    (put("classes", "values", value=["low", "mid", "low"]), "must be sorted, different"),
    (put("classes", "values", value=["low", "mid"]), "`thresholds` must hold 1 rising"),
    (put("settings", "presto", value=-1.0), "a setting is wrong: .*presto"),
    (put("settings", "presto", value="x"), "a setting is wrong: .*presto"),
    (put("choice", value={}), "`choice` does not go with the problem ordinal"),
    (array("coef", lambda a: np.zeros((3, 2))), "`coef` has shape"),
    (array("coef", lambda a: np.zeros(3)), "makes 2 columns, but `coef` has 3"),
    (without("thresholds"), "must hold the arrays"),
]


@pytest.mark.parametrize(("change", "words"), ORDERED)
def test_hostile_ordered_models_are_refused(tmp_path, rng, change, words):
    path = tmp_path / "m"
    save_model(path, ordinal(rng)[0])
    rewrite(path, change)
    with pytest.raises(FileError, match=f"m is not a model to read: .*{words}"):
        load_model(path)


def test_constants_come_back_with_the_zero_of_the_reference(tmp_path, rng):
    model = choice(rng, reference="car")
    save_model(tmp_path / "m", model)
    again = load_model(tmp_path / "m").estimator
    assert again.constants_[1] == 0.0
    np.testing.assert_array_equal(again.constants_, model.estimator.constants_)


def test_thresholds_with_weights_of_their_own_may_cross(tmp_path, rng):
    path = tmp_path / "m"
    save_model(path, ordinal(rng, presto=0.01)[0])
    rewrite(path, array("thresholds", lambda a: a[::-1]))
    first, second = load_model(path).estimator.thresholds_
    assert first > second


def test_a_few_names_must_not_make_millions_of_columns(tmp_path, rng):
    path = tmp_path / "m"
    save_model(path, choice(rng, wide=True))
    names = [f"a{i}" for i in range(400_000)]  # for each of three alternatives
    rewrite(path, put("choice", "wide", "attributes", value=names))
    with pytest.raises(FileError, match="`wide` claims more than a million columns"):
        load_model(path)
