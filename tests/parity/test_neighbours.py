"""SoftmaxClassifier among scikit-learn's tools, its callbacks, and exporters."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from softunit import SoftmaxClassifier, SoftmaxRegressor

X, Y = load_iris(return_X_y=True)


class Recorder:
    """A callback that counts its hooks and, after some iterations, asks to stop."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.calls = []
        self.scores = []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.calls.append("begin")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.calls.append("end")
        if fitted_estimator is None:
            return False
        self.scores.append(fitted_estimator.score(X, y))
        return len(self.scores) == self.stop_after

    def teardown(self, estimator, context):
        self.calls.append("teardown")


def test_clone_and_pickle():
    model = SoftmaxClassifier(C=0.3, solver="newton", class_weight="balanced").fit(X, Y)
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "coef_")
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))
    assert back.certificate_ == model.certificate_


def test_regressor_clones_and_pickles(rng):
    A = rng.normal(size=(30, 3))
    b = rng.dirichlet(np.ones(30))
    model = SoftmaxRegressor(w=0.01, ridge=0.1).fit(A, b)
    assert clone(model).get_params() == model.get_params()
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.predict(A), model.predict(A))


@pytest.mark.parametrize("y", [Y, (Y == 1).astype(int)], ids=["three", "two"])
def test_to_sklearn(y):
    model = SoftmaxClassifier().fit(X, y)
    twin = model.to_sklearn()
    assert type(twin) is LogisticRegression
    np.testing.assert_allclose(twin.predict_proba(X), model.predict_proba(X), rtol=1e-12)
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    twin.coef_[:] = 0
    assert model.coef_.any()


@pytest.mark.filterwarnings("ignore")  # of the exporter and what it imports
def test_onnx():
    exporter = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = SoftmaxClassifier().fit(X, Y)
    inputs = X.astype(np.float32)
    exported = exporter.to_onnx(model.to_sklearn(), inputs[:1], options={"zipmap": False})
    session = runtime.InferenceSession(
        exported.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    labels, probabilities = session.run(None, {session.get_inputs()[0].name: inputs})
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # of the exporter and what it imports
def test_skops():
    store = pytest.importorskip("skops.io")
    model = SoftmaxClassifier().fit(X, Y)
    back = store.loads(store.dumps(model.to_sklearn()), trusted=[])
    np.testing.assert_array_equal(back.predict_proba(X), model.to_sklearn().predict_proba(X))


def test_grid_search_and_pipeline():
    pipeline = make_pipeline(StandardScaler(), SoftmaxClassifier())
    search = GridSearchCV(pipeline, {"softmaxclassifier__C": [0.01, 1.0]}, cv=3).fit(X, Y)
    assert search.best_params_ == {"softmaxclassifier__C": 1.0}
    peer = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8)).fit(X, Y)
    assert (search.predict(X) == peer.predict(X)).all()


def test_callback_sees_each_iteration():
    pytest.importorskip("sklearn.callback")
    recorder = Recorder()
    model = SoftmaxClassifier().set_callbacks(recorder).fit(X, Y)
    steps = int(model.n_iter_[0])
    # One task for the fit, one for each iteration, and an empty one at the end.
    assert recorder.calls.count("begin") == recorder.calls.count("end") == steps + 2
    assert recorder.calls[0] == "setup"
    assert recorder.calls[-1] == "teardown"
    assert recorder.scores[-1] == model.score(X, Y)


@pytest.mark.parametrize("solver", ["auto", "lbfgs"])
def test_callback_stops_the_fit(solver):
    pytest.importorskip("sklearn.callback")
    model = SoftmaxClassifier(solver=solver).set_callbacks(Recorder(stop_after=2))
    with pytest.warns(UserWarning, match="callback asked to stop"):
        model.fit(X, Y)
    assert model.n_iter_[0] == 2
    assert model.solution_.status.name == "STOPPED"
    assert not model.solution_.converged


def test_progress_bar(capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    model = SoftmaxClassifier().set_callbacks(callback.ProgressBar()).fit(X, Y)
    assert model.solution_.converged
    assert "SoftmaxClassifier" in capsys.readouterr().out
