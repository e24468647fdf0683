"""Fits of several runs are resumed from any writing of their checkpoint, to the same answer."""

from __future__ import annotations

import gc
import shutil
import weakref

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit.checkpoints import Checkpoint
from softunit.checkpoints.files import read_file
from softunit.errors import FileError, InputError
from softunit.solvers import Newton
from tests.checkpoints.kept import EndedError, Versions


def choices(seed: int, sets: int, columns: int = 3):
    """Rows of three alternatives for each of some sets, and what was chosen."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((3 * sets, columns))
    scores = (x @ rng.standard_normal(columns) + rng.gumbel(size=3 * sets)).reshape(sets, 3)
    y = np.zeros((sets, 3))
    y[np.arange(sets), scores.argmax(axis=1)] = 1
    return x, y.ravel(), np.repeat(np.arange(sets), 3)


def ordered(seed: int):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((300, 4))
    return x, np.digitize(x @ [1.0, -1.0, 0.5, 0.0] + rng.logistic(size=300), [-1.0, 0.5, 2.0])


def labelled(seed: int, noise: float = 1.0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((400, 5))
    return x, (x @ rng.standard_normal((5, 3)) + noise * rng.gumbel(size=(400, 3))).argmax(axis=1)


# With the least number of runs that they are made of.
FITS = {
    "classifier": (su.SoftmaxClassifier(C=10.0, tol=1e-6), labelled(1), 1),
    "classifier far from settled": (
        su.SoftmaxClassifier(C=1e8, tol=1e-2, max_iter=500),
        labelled(2, 0.2),
        2,
    ),
    "classifier by l1": (su.SoftmaxClassifier(C=50.0, l1_ratio=0.7, tol=3e-2), labelled(3), 2),
    "classifier by sketches": (
        su.SoftmaxClassifier(C=10.0, tol=1e-9, solver="sketched-newton", random_state=3),
        labelled(4),
        1,
    ),
    "logit": (su.ConditionalLogit(C=50.0), choices(5, 200), 1),
    "logit from a sample": (su.ConditionalLogit(tol=1e-13), choices(6, 1_500), 2),
    "ordered": (su.OrdinalClassifier(C=10.0), ordered(7), 1),
    "ordered by presto": (su.OrdinalClassifier(C=10.0, presto=0.02), ordered(8), 2),
}


@pytest.mark.parametrize(("model", "data", "runs"), FITS.values(), ids=FITS)
def test_resumed_from_each_writing(model, data, runs, monkeypatch, tmp_path):
    if runs == 2 and isinstance(model, su.ConditionalLogit):
        monkeypatch.setattr("softunit.estimators._choice_start.SAMPLED_WORK", 1e3)
        monkeypatch.setattr("softunit.estimators._choice_start.LEAST", 20)
        monkeypatch.setattr("softunit.estimators._choice_fit.STEPS", 3)
    whole = clone(model).fit(*data)
    path = tmp_path / "fit.ckpt"
    with monkeypatch.context() as patch:
        versions = Versions(patch, tmp_path)
        told = clone(model).set_params(checkpoint=path, every=0).fit(*data)
    np.testing.assert_array_equal(told.coef_, whole.coef_)
    trees = [read_file(file) for file in versions.files]
    assert len(trees[-1]["parts"]) >= runs
    assert [tree["finished"] for tree in trees] == [False] * (len(trees) - 1) + [True]
    for file in versions.files:
        shutil.copyfile(file, path)
        again = clone(model).set_params(checkpoint=path, every=30, resume=True).fit(*data)
        np.testing.assert_allclose(again.coef_, whole.coef_, rtol=0, atol=1e-11)
        assert again.solution_.status is whole.solution_.status
        assert again.n_iter_ == whole.n_iter_


def test_a_fault_in_the_second_run_is_gone_on_from(monkeypatch, tmp_path):
    model, data, _ = FITS["ordered by presto"]
    whole, path = clone(model).fit(*data), tmp_path / "fit.ckpt"
    step, calls = type(whole.solution_), []

    def faulty(self, problem, state):
        calls.append(step)
        if len(calls) == 2:
            raise EndedError("ended")
        return newton(self, problem, state)

    newton = su.solvers.ProximalNewton.step
    with monkeypatch.context() as patch:
        patch.setattr(su.solvers.ProximalNewton, "step", faulty)
        with pytest.raises(EndedError, match="ended"):
            clone(model).set_params(checkpoint=path).fit(*data)
    tree = read_file(path)
    assert [("ended" in part) for part in tree["parts"]] == [True, False]
    assert "state" not in tree["parts"][0], "as large as a solver's memory, and of no more use"
    again = clone(model).set_params(checkpoint=path, resume=True).fit(*data)
    np.testing.assert_allclose(again.coef_, whole.coef_, rtol=0, atol=1e-11)


def test_a_fault_after_the_runs_loses_none_of_them(monkeypatch, tmp_path):
    (x, y), path = labelled(9), tmp_path / "fit.ckpt"
    model = su.SoftmaxClassifier(checkpoint=path, max_iter=500)

    def faulty(self, problem, state):
        raise AssertionError("a step was made")

    model.fit(x, y)
    with monkeypatch.context() as patch:
        patch.setattr(Newton, "step", faulty)
        again = clone(model).set_params(resume=True).fit(x, y)
    np.testing.assert_array_equal(again.coef_, model.coef_)


def test_a_fit_that_was_ended_by_its_limit_goes_on(tmp_path):
    (x, y), path = labelled(10), tmp_path / "fit.ckpt"
    model = su.SoftmaxClassifier(checkpoint=path, solver="lbfgs", max_iter=3)
    with pytest.warns(ConvergenceWarning, match="after 3 iterations"):
        model.fit(x, y)
    again = clone(model).set_params(resume=True, max_iter=200).fit(x, y)
    whole = su.SoftmaxClassifier(solver="lbfgs").fit(x, y)
    np.testing.assert_allclose(again.coef_, whole.coef_, rtol=0, atol=1e-12)
    assert again.n_iter_ == whole.n_iter_


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (each[0], each[1])
        for name, each in FITS.items()
        if name in ("classifier", "logit", "ordered")
    ],
    ids=["classifier", "logit", "ordered"],
)
def test_what_is_told_is_checked(model, data, tmp_path):
    with pytest.raises(InputError, match="`resume` needs the `checkpoint`"):
        clone(model).set_params(resume=True).fit(*data)
    with pytest.raises(FileError, match="cannot be written: it is a folder"):
        clone(model).set_params(checkpoint=tmp_path).fit(*data)
    path = tmp_path / "fit.ckpt"
    clone(model).set_params(checkpoint=path).fit(*data)
    other = (data[0] + 1.5 * data[0][:, :1], *data[1:])
    with pytest.raises(FileError, match="it is the checkpoint of another problem"):
        clone(model).set_params(checkpoint=path, resume=True).fit(*other)


def test_a_fitted_model_does_not_hold_on_to_the_file(monkeypatch, tmp_path):
    kept, made = [], Checkpoint.__init__

    def watched(self, *args):
        kept.append(weakref.ref(self))
        made(self, *args)

    monkeypatch.setattr(Checkpoint, "__init__", watched)
    models = []
    for name in ("classifier", "logit", "ordered by presto"):
        model, data, _ = FITS[name]
        path = tmp_path / f"{len(kept)}.ckpt"
        models.append(clone(model).set_params(checkpoint=path).fit(*data))
    gc.collect()
    assert len(kept) == 3
    assert [each() for each in kept] == [None, None, None]
