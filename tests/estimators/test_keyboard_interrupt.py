"""Ctrl-C: it raises, or ends the work at the best point so far with its certificate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit.designs import DenseDesign
from softunit.errors import InputError, NotConvergedError
from softunit.estimators._descents import interrupted
from softunit.solution import Status

X, Y = load_iris(return_X_y=True)
CONVERGENCE = "An interrupt .Ctrl-C. ended the run before the tolerance"


class Interrupting(DenseDesign):
    """A design that is interrupted once, after so many products."""

    def __init__(self, array, after: int) -> None:
        super().__init__(array)
        self.left = after

    def matvec(self, x):
        self.left -= 1
        if self.left == -1:
            raise KeyboardInterrupt("Ctrl-C")
        return super().matvec(x)

    def blocks(self, rows=None):
        yield slice(0, self.shape[0]), self


def problem(after: int = 10**6) -> su.Problem:
    ridge = su.penalties.Ridge(1e-4)
    return su.Problem(Interrupting(X, after), su.units.Multinomial(3), Y, ridge)


def at(iteration: int):
    """Return a callback that is interrupted in an iteration."""

    def callback(record, point):
        if record.iteration == iteration:
            raise KeyboardInterrupt("Ctrl-C")

    return callback


@pytest.mark.parametrize("iteration", [0, 1, 4])
def test_a_run_returns_its_last_point(iteration):
    end = su.minimize(problem(), callback=at(iteration), keyboard_interrupt="return", tol=1e-10)
    whole = su.minimize(problem(), max_iter=iteration, tol=1e-10)
    assert end.status is Status.INTERRUPTED
    assert not end.converged
    assert end.n_iter == iteration
    assert len(end.history) == iteration + 1
    np.testing.assert_array_equal(end.x, whole.x)
    assert end.value == whole.value
    with pytest.raises(NotConvergedError, match=CONVERGENCE):
        end.raise_if_failed()


def test_a_run_raises_by_itself():
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        su.minimize(problem(), callback=at(2))
    with pytest.raises(InputError, match="`keyboard_interrupt` must be 'raise' or 'return'; got 1"):
        su.minimize(problem(), keyboard_interrupt=1)


@pytest.mark.parametrize("solver", ["newton", "lbfgs", "gradient-descent", "newton-cg"])
@pytest.mark.parametrize("after", [3, 7, 12])
def test_an_interrupt_within_a_product_leaves_a_whole_point(solver, after):
    interrupted = problem(after)
    end = su.minimize(interrupted, solver=solver, keyboard_interrupt="return", tol=1e-12)
    assert end.status is Status.INTERRUPTED
    assert problem().value(end.x) == pytest.approx(end.value, rel=1e-12)
    assert end.value <= math.log(3) * (1 + 1e-12)


def test_before_the_first_point_there_is_nothing_to_return():
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        su.minimize(problem(0), keyboard_interrupt="return")


def interrupted_at(monkeypatch, iteration: int, fits: int = 0) -> None:
    """Let Ctrl-C come in an iteration of the fit after so many others."""
    seen = {"fits": -1, "done": False}
    original = su.run._Run.record

    def record(self, number, *told):
        stop = original(self, number, *told)
        seen["fits"] += number == 0
        if seen["fits"] >= fits and number == iteration and not seen["done"]:
            seen["done"] = True
            raise KeyboardInterrupt("Ctrl-C")
        return stop

    monkeypatch.setattr("softunit.run._Run.record", record)


def test_the_classifier_returns_a_certified_point(monkeypatch):
    interrupted_at(monkeypatch, 2)
    with pytest.warns(ConvergenceWarning, match=CONVERGENCE) as caught:
        model = su.SoftmaxClassifier(keyboard_interrupt="return").fit(X, Y)
    assert "The value is at most" in str(caught[0].message)
    assert model.solution_.status is Status.INTERRUPTED
    assert model.n_iter_.tolist() == [2]
    best = su.SoftmaxClassifier(tol=1e-10).fit(X, Y).certificate_.value
    assert best < model.certificate_.value <= best + model.certificate_.gap_bound


def test_the_classifier_raises_by_itself(monkeypatch):
    interrupted_at(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        su.SoftmaxClassifier().fit(X, Y)
    with pytest.raises(InputError, match="`keyboard_interrupt` must be"):
        su.SoftmaxClassifier(keyboard_interrupt="ignore").fit(X, Y)


def regression(rng):
    a = rng.standard_normal((40, 5))
    b = rng.dirichlet(np.full(40, 0.3))
    return a, b


@pytest.mark.parametrize("fits", [0, 1, 2])
def test_the_regressor_returns_the_best_of_its_phases(fits, monkeypatch, rng):
    a, b = regression(rng)
    whole = su.SoftmaxRegressor(ridge=1e-3).fit(a, b)
    assert len(whole.phases_) == 3
    interrupted_at(monkeypatch, 1, fits)
    model = su.SoftmaxRegressor(ridge=1e-3, keyboard_interrupt="return")
    if fits == 2:  # the first descent had ended: that is the best
        model.fit(a, b)
        assert model.solution_.converged
    else:
        with pytest.warns(ConvergenceWarning, match=CONVERGENCE):
            model.fit(a, b)
        assert model.solution_.status is Status.INTERRUPTED
        assert len(model.phases_) == 2
    assert model.solution_.value >= whole.solution_.value * (1 - 1e-12)
    assert np.isfinite(model.certificate_.value)


def test_the_regressor_raises_by_itself(monkeypatch, rng):
    interrupted_at(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        su.SoftmaxRegressor(ridge=1e-3).fit(*regression(rng))
    assert not interrupted(su.minimize(problem(), max_iter=1))


def test_a_search_chooses_among_what_is_scored(monkeypatch):
    Cs = [1e-3, 1e-1, 10.0]
    whole = su.SoftmaxClassifierCV(Cs, cv=3, scoring="neg_log_loss").fit(X, Y)
    interrupted_at(monkeypatch, 1, fits=7)
    sentence = "The search was interrupted .Ctrl-C. after 2 of 3 values of C"
    with pytest.warns(ConvergenceWarning, match=sentence):
        model = su.SoftmaxClassifierCV(
            Cs, cv=3, scoring="neg_log_loss", keyboard_interrupt="return"
        ).fit(X, Y)
    assert model.C_ == 0.1
    np.testing.assert_allclose(model.scores_[:, :2], whole.scores_[:, :2])
    assert np.isnan(model.scores_[:, 2]).all()
    assert model.solution_.status is Status.INTERRUPTED
    # The mean of the folds is close to the optimum on all rows, and the certificate says how close.
    best = su.SoftmaxClassifier(0.1, tol=1e-10).fit(X, Y).certificate_.value
    gap = model.certificate_.value - best
    assert 0 < gap <= model.certificate_.gap_bound
    assert gap < 0.05 * best


def test_a_search_interrupted_in_its_last_fit(monkeypatch):
    interrupted_at(monkeypatch, 1, fits=6)
    model = su.SoftmaxClassifierCV(
        [0.1, 10.0], cv=3, scoring="neg_log_loss", keyboard_interrupt="return"
    )
    with pytest.warns(ConvergenceWarning, match=CONVERGENCE):
        model.fit(X, Y)
    assert np.isfinite(model.scores_).all()
    assert model.solution_.n_iter == 1


@pytest.mark.parametrize("keyboard_interrupt", ["raise", "return"])
def test_a_search_without_a_score_raises(keyboard_interrupt, monkeypatch):
    interrupted_at(monkeypatch, 1, fits=2)
    model = su.SoftmaxClassifierCV([0.1, 10.0], cv=3, keyboard_interrupt=keyboard_interrupt)
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        model.fit(X, Y)


def test_means_over_folds_after_an_interrupt(monkeypatch):
    interrupted_at(monkeypatch, 1, fits=4)
    model = su.SoftmaxClassifierCV([0.1, 10.0], cv=3, refit=False, keyboard_interrupt="return")
    with pytest.warns(ConvergenceWarning, match="after 1 of 2 values of C"):
        model.fit(X, Y)
    assert pytest.approx(0.1) == model.C_
