"""What is refused, what is warned of, and what errors mean after weights and penalties."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit.errors import InputError, NotUniqueWarning, SeparationWarning, SoftunitWarning
from softunit.inference import Facts, InferenceMethods, infer, likelihood_ratio_test
from softunit.inference.free import Free, lasso_curvature
from softunit.units import Multinomial
from tests.inference.fits import choice, chosen, direct, fitted, inferred, labelled

# Singular, separated, not converged --------------------------------------------------------------


def test_a_singular_information_names_the_columns(rng):
    pandas = pytest.importorskip("pandas")
    A, y = labelled(rng)
    frame = pandas.DataFrame(A, columns=["a", "b", "c", "d"])
    frame["twice b less d"] = 2 * frame["b"] - frame["d"]
    with pytest.warns(NotUniqueWarning, match="not unique"):
        model = fitted(frame, y)
    found = model.inference(frame, y)
    columns = r"singular: the columns 'b', 'd', 'twice b less d' are collinear"
    for ask in (found.standard_errors, found.covariance, found.summary, found.confidence_intervals):
        with pytest.raises(InputError, match=columns):
            ask()


def test_a_constant_column_beside_an_intercept_is_named(rng):
    A, y = labelled(rng)
    A[:, 2] = 5.0
    with pytest.warns(NotUniqueWarning, match="not unique"):
        model = fitted(A, y)
    with pytest.raises(InputError, match=r"singular: column 'x2' adds nothing to the scores"):
        model.inference(A, y).standard_errors("robust")


def test_a_column_constant_within_choice_sets_is_named(rng):
    A, b, labels = chosen(rng)
    A[:, 1] = rng.normal(size=labels.max() + 1)[labels]
    with pytest.raises(InputError, match=r"singular: column 'x1' adds nothing"):
        choice(A, b, labels).standard_errors()


def test_columns_next_to_collinear_are_named(rng):
    A, y = labelled(rng, K=2)
    A[:, 3] = A[:, 0] + 1e-7 * rng.normal(size=len(y))
    with pytest.raises(InputError, match=r"singular: the columns 'a0', 'a3' are collinear"):
        direct(A, y).standard_errors()


def test_collinear_columns_beyond_memory_are_named_too(rng, monkeypatch):
    from softunit.inference import variances

    A, y = labelled(rng)
    A = np.column_stack([A, A[:, 0] + A[:, 1]])
    with pytest.warns(NotUniqueWarning, match="not unique"):
        found = fitted(A, y).inference(A, y)
    monkeypatch.setattr(variances, "dense_fits", lambda *_: False)
    with pytest.raises(InputError, match=r"no standard errors for '1: x4'.*singular"):
        found.standard_errors(which=[("1", "x4")])
    assert np.isfinite(found.standard_errors(which=[("1", "x2")])).all()


def test_separable_classes_are_refused_with_the_diagnosis(rng):
    A, _ = labelled(rng)
    with pytest.warns(SeparationWarning, match="separa"):
        model = fitted(A, A[:, 0] > 0)
    with pytest.raises(InputError, match=r"no standard errors exist.*separa"):
        model.inference(A, A[:, 0] > 0)


def test_a_fit_that_has_not_converged_says_so(rng):
    A, y = labelled(rng)
    with pytest.warns(ConvergenceWarning, match="iteration limit"):
        model = fitted(A, y, max_iter=1, solver="newton")
    found = model.inference(A, y)
    assert not found.converged
    summary = found.summary()
    assert "iteration limit" in summary.warning
    assert set(summary.stars) == {""}
    with pytest.raises(InputError, match="the full model is not at its optimum"):
        likelihood_ratio_test(inferred(A[:, :2], y), found)
    with pytest.raises(InputError, match="the restricted model is not at its optimum"):
        likelihood_ratio_test(found, inferred(np.column_stack([A, A[:, 0] ** 2]), y))


@pytest.mark.parametrize(("off", "converged"), [(0.01, True), (0.2, False)])
def test_a_point_is_an_optimum_by_its_distance_in_standard_errors(rng, off, converged):
    A, y = labelled(rng, K=2)
    found = direct(A, y)
    covariance = found.covariance()
    x = found.coef + off * covariance[0] / np.sqrt(covariance[0, 0])
    moved = infer(su.Problem(A, Multinomial(2), y), x, found.names)
    assert moved.variances.distance() == pytest.approx(off, rel=0.05)
    assert moved.converged == converged


def test_other_data_than_those_of_the_fit_are_found_out(rng):
    A, y = labelled(rng, n=400)
    model = fitted(A[:200], y[:200])
    assert model.inference(A[:200], y[:200]).converged
    found = model.inference(A[200:], y[200:])
    assert not found.converged
    assert "standard errors away from the optimum of these data" in found.summary().warning


# Weights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["classical", "robust", "HC1", "clustered"])
def test_weights_count_repeats(rng, kind):
    A, y = labelled(rng)
    weights, clusters = rng.integers(0, 4, len(y)), rng.integers(0, 60, len(y))
    again = np.repeat(np.arange(len(y)), weights)
    given = {"kind": kind, "reference": 0}
    mine, theirs = dict(given), dict(given)
    if kind == "clustered":
        mine["clusters"], theirs["clusters"] = clusters, clusters[again]
    model = su.SoftmaxClassifier(C=np.inf, tol=1e-11).fit(A, y, weights)
    weighted = model.standard_errors(A, y, weights, **mine)
    np.testing.assert_allclose(
        weighted, model.standard_errors(A[again], y[again], **theirs), rtol=1e-8
    )
    note = "Weights count how often an observation was seen."
    assert note in model.summary(A, y, weights, **mine).notes


def test_weights_of_choice_sets_count_repeats(rng):
    A, b, labels = chosen(rng)
    weights = rng.integers(1, 4, labels.max() + 1)
    rows = [np.flatnonzero(labels == s) for s in range(labels.max() + 1)]
    copies = [r for r, w in zip(rows, weights, strict=True) for _ in range(w)]
    again = np.concatenate(copies)
    sets = np.repeat(np.arange(len(copies)), [len(r) for r in copies])
    weighted = choice(A, b, labels, weights=weights[labels].astype(float))
    repeated = choice(A[again], b[again], sets)
    assert weighted.n_observations == repeated.n_observations == weights.sum()
    for kind in ("classical", "robust", "HC1"):
        errors = repeated.standard_errors(kind)
        np.testing.assert_allclose(weighted.standard_errors(kind), errors, rtol=1e-8)
    uneven = rng.uniform(1, 2, len(b))
    with pytest.raises(InputError, match="weights differ within an observation, first in row"):
        choice(A, b, labels, weights=uneven)


def test_class_weights_leave_robust_errors_right(rng):
    A, y = labelled(rng, K=2)
    model = fitted(A, y, class_weight={0: 1.0, 1: 3.0})
    found = model.inference(A, y)
    assert found.n_observations == len(y)
    notes = found.summary().notes
    assert any("class weights. They are no frequencies" in note for note in notes)
    assert not any("Weights count how often" in note for note in notes)
    assert not {"AIC", "BIC"} & set(dict(found.summary().facts))
    with pytest.raises(InputError, match="the full model carries class weights: its likelihood"):
        likelihood_ratio_test(inferred(A[:, :2], y), found)
    # The sandwich by hand: weights c in the Hessian, squared in the outer products.
    X, c = np.column_stack([A, np.ones(len(y))]), np.where(y == 1, 3.0, 1.0)
    p = 1 / (1 + np.exp(-X @ found.coef))
    bread = np.linalg.inv(X.T @ ((c * p * (1 - p))[:, None] * X))
    filling = X.T @ (((c * (p - y)) ** 2)[:, None] * X)
    np.testing.assert_allclose(found.covariance("robust"), bread @ filling @ bread, rtol=1e-7)


def test_shares_come_with_a_remark_and_count_as_labels_where_they_are_such(rng):
    A, y = labelled(rng)
    labels = fitted(A, y).standard_errors(A, y, kind="robust")
    model = fitted(A, np.eye(3)[y])
    np.testing.assert_allclose(model.standard_errors(A, np.eye(3)[y], kind="robust"), labels)
    assert any("shares" in note for note in model.summary(A, np.eye(3)[y]).notes)


# Penalties ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["classical", "robust"])
def test_after_a_ridge_the_sandwich_has_the_penalised_hessian(rng, kind):
    A, y = labelled(rng, K=2)
    model = fitted(A, y, C=0.1)
    found = model.inference(A, y)
    X = np.column_stack([A, np.ones(len(y))])
    p = 1 / (1 + np.exp(-X @ found.coef))
    information = X.T @ ((p * (1 - p))[:, None] * X)
    bread = np.linalg.inv(information + np.diag([10.0] * 4 + [0.0]))
    scores = (p - y)[:, None] * X
    filling = information if kind == "classical" else scores.T @ scores
    np.testing.assert_allclose(found.covariance(kind), bread @ filling @ bread, rtol=1e-7)
    effective = np.trace(bread @ information)
    np.testing.assert_allclose(found.effective_parameters, effective, rtol=1e-9)
    assert found.aic == pytest.approx(2 * effective - 2 * found.log_likelihood)
    assert found.bic == pytest.approx(np.log(300) * effective - 2 * found.log_likelihood)
    assert "need not cover" in found.penalised
    assert found.penalised in found.summary(kind).notes
    with pytest.raises(InputError, match="the full model is penalised"):
        likelihood_ratio_test(inferred(A[:, :2], y), found)


def test_after_l1_the_errors_are_those_of_the_columns_kept(rng):
    A, y = labelled(rng, K=2, d=8, size=0.3)
    model = su.SoftmaxClassifier(C=0.03, l1_ratio=1.0, tol=1e-9).fit(A, y)
    kept = np.append(model.coef_[0] != 0, True)
    assert 1 < kept.sum() < 9
    found = model.inference(A, y)
    X = np.column_stack([A, np.ones(len(y))])[:, kept]
    p = 1 / (1 + np.exp(-X @ found.coef[kept]))
    expected = np.sqrt(np.diag(np.linalg.inv(X.T @ ((p * (1 - p))[:, None] * X))))
    errors = found.standard_errors()
    np.testing.assert_allclose(errors[kept], expected, rtol=1e-7)
    np.testing.assert_array_equal(errors[~kept], 0.0)
    assert found.df == kept.sum()
    summary = found.summary()
    assert "conditional on which were kept" in summary.notes[0]
    assert np.isnan(summary.p_value[~kept]).all()
    assert {s for s, k in zip(summary.stars, kept, strict=True) if not k} == {""}
    assert f"{(~kept).sum()} coefficients are held at zero by the penalty" in summary.notes[1]
    assert found.converged  # the gradient of what was kept is the penalty's, not zero
    held = f"x{np.flatnonzero(~kept)[0]}"
    with pytest.raises(InputError, match="the restrictions are on parameters that are held"):
        found.wald_test(held)
    with pytest.raises(InputError, match="the restrictions contradict each other"):
        found.wald_test(held, 1.0)


def test_a_coefficient_without_penalty_is_free_even_at_zero(rng):
    A, y = labelled(rng, K=2)
    penalty = su.penalties.ElasticNet(np.array([1.0, 1.0, 1.0, 0.0]))
    free = Free.of(su.Problem(A, Multinomial(2), y, penalty), np.zeros(4))
    np.testing.assert_array_equal(free.held, [True, True, True, False])


def test_the_curvature_of_a_penalty_on_rows_is_the_change_of_its_gradient(rng):
    A, y = labelled(rng)
    penalty = su.penalties.ElasticNet(0.3, group=True)
    x = rng.normal(size=(4, 3))
    x[2] = 0.0

    def gradient(flat):
        rows = flat.reshape(4, 3)
        sizes = np.linalg.norm(rows, axis=1, keepdims=True)
        return (0.3 * rows / np.where(sizes > 0, sizes, 1.0)).ravel()

    steps = 1e-6 * np.eye(12)
    expected = [(gradient(x.ravel() + s) - gradient(x.ravel() - s)) / 2e-6 for s in steps]
    found = lasso_curvature(su.Problem(A, Multinomial(3), y, penalty), x).toarray()
    moved = np.repeat(x.any(axis=1), 3)
    np.testing.assert_allclose(found[moved], np.array(expected)[moved], atol=1e-8)
    np.testing.assert_array_equal(found[~moved], 0.0)


# Clusters and other arguments ---------------------------------------------------------------------


def test_clusters_of_one_row_are_robust_errors_with_a_correction(rng):
    A, y = labelled(rng)
    found = inferred(A, y)
    n, df = len(y), found.df
    factor = n / (n - 1) * (n - 1) / (n - df)
    alone = found.covariance("clustered", [f"row {i}" for i in range(n)])
    np.testing.assert_allclose(alone, factor * found.covariance("robust"), rtol=1e-10)
    np.testing.assert_allclose(found.covariance("HC1"), alone, rtol=1e-10)


BAD_CLUSTERS = {
    "missing": (None, "needs `clusters`, one label for each row"),
    "short": (np.arange(5), "`clusters` holds 5 labels, but the data have 300 rows"),
    "matrix": (np.zeros((300, 2)), r"one label for each row; got shape \(300, 2\)"),
    "nan": (np.r_[np.arange(299.0), np.nan], "no label in 1 of 300 rows, first in row 299"),
    "no date": (np.array(["2020-01-01"] * 299 + ["NaT"], dtype="M8[D]"), "first in row 299"),
    "none": (np.array([None, *"ab" * 149, "a"], dtype=object), "first in row 0"),
    "one": (np.full(300, "all"), "one cluster only, 'all', in all 300 rows"),
    "mixed": (np.array([1, "a"] * 150, dtype=object), "types int, str side by side"),
}


@pytest.mark.parametrize("name", sorted(BAD_CLUSTERS))
def test_bad_clusters(rng, name):
    A, y = labelled(rng)
    clusters, message = BAD_CLUSTERS[name]
    with pytest.raises(InputError, match=message):
        inferred(A, y).standard_errors("clustered", clusters)


def test_clusters_that_split_a_choice_set_are_refused(rng):
    A, b, labels = chosen(rng)
    clusters = labels.copy()
    clusters[7] += 1
    with pytest.raises(InputError, match="`clusters` splits an observation"):
        choice(A, b, labels).standard_errors("clustered", clusters)


def test_clusters_of_the_whole_input_are_cut_to_the_rows_kept(rng):
    A, y = labelled(rng)
    kept, clusters = np.sort(rng.permutation(300)[:200]), rng.integers(0, 30, 300)
    cut = direct(A[kept], y[kept], facts=Facts(rows=kept))
    expected = cut.standard_errors("clustered", clusters[kept])
    np.testing.assert_array_equal(cut.standard_errors("clustered", clusters), expected)


@pytest.mark.parametrize("count", [6, 10])
def test_few_clusters_are_warned_of(rng, count):
    A, y = labelled(rng)
    clusters = np.arange(len(y)) % count
    with pytest.warns(SoftunitWarning, match=f"{count} clusters for 10 parameters"):
        summary = inferred(A, y).summary("clustered", clusters)
    assert any(f"{count} clusters for 10 parameters" in note for note in summary.notes)


def test_each_question_gets_its_own_answer(rng):
    A, y = labelled(rng)
    found, halves = inferred(A, y), rng.integers(0, 40, (2, len(y)))
    first, second = (found.covariance("clustered", half) for half in halves)
    assert not np.allclose(first, second, rtol=1e-3)
    np.testing.assert_array_equal(found.covariance("clustered", halves[0]), first)
    expected = found.standard_errors()
    found.covariance()[:] = 0.0  # a copy: the next question is not about it
    np.testing.assert_array_equal(found.standard_errors(), expected)


class Told(InferenceMethods):
    """An estimator that has been inferred from."""

    def __init__(self, found):
        self.found = found

    def inference(self):
        return self.found


def test_an_estimator_passes_every_question_on(rng):
    A, y = labelled(rng)
    found, clusters = inferred(A, y), rng.integers(0, 40, len(y))
    model, given = Told(found), ("clustered", clusters)
    same = np.testing.assert_array_equal
    same(model.covariance(*given), found.covariance(*given))
    some = {"which": ["x2"], "memory": "2GB"}
    same(model.standard_errors(*given, **some), found.standard_errors(*given, **some))
    same(model.confidence_intervals(0.8, *given), found.confidence_intervals(0.8, *given))
    assert model.wald_test("x1", 0.3, *given) == found.wald_test("x1", 0.3, *given)
    assert str(model.summary(*given, 0.8)) == str(found.summary(*given, 0.8))
    assert "80% from" in str(model.summary(*given, 0.8))


def test_a_correction_needs_more_observations_than_parameters(rng):
    A, y = labelled(rng, K=2)
    found = direct(A, y, weights=np.full(len(y), 0.01))
    assert np.isfinite(found.standard_errors("robust")).all()
    with pytest.raises(InputError, match="3 observations are not more than 4 parameters"):
        found.standard_errors("HC1")


def test_other_arguments_that_are_refused(rng):
    A, y = labelled(rng)
    found = inferred(A, y)
    with pytest.raises(InputError, match="`kind` must be 'classical' or"):
        found.covariance("HC4")
    with pytest.raises(InputError, match="`clusters` go with kind='clustered'"):
        found.covariance("robust", y)
    with pytest.raises(InputError, match="`level` must lie between 0 and 1"):
        found.confidence_intervals(95)
    with pytest.raises(InputError, match=r"no parameter 'intercep'\. Did you mean 'intercept'"):
        found.standard_errors(which="intercep")
    with pytest.raises(InputError, match="there is no parameter 10"):
        found.standard_errors(which=10)
    with pytest.raises(InputError, match=r"`R` has shape \(1, 3\), but there are 10 parameters"):
        found.wald_test([1.0, 0.0, 0.0])
    with pytest.raises(InputError, match="the restrictions contradict each other"):
        found.wald_test(np.eye(10)[[0, 0]], [0.0, 1.0])
    with pytest.raises(InputError, match="`reference` must be one of the classes"):
        fitted(A, y).inference(A, y, reference="none")
    with pytest.raises(InputError, match="give the smaller one first"):
        likelihood_ratio_test(found, inferred(A[:, :2], y))
    with pytest.raises(InputError, match="`r` must hold 2 finite numbers"):
        found.wald_test(np.eye(10)[:2], [0.0, 1.0, 2.0])
    with pytest.raises(InputError, match="`r` must hold 1 finite numbers"):
        found.wald_test(np.eye(10)[0], np.nan)
    for R in (np.zeros((1, 10)), np.full((1, 10), np.nan)):
        with pytest.raises(InputError, match="`R` must be finite, and no restriction may be all"):
            found.wald_test(R)
    with pytest.raises(InputError, match=r"the full model fits worse, by .* no special case of it"):
        likelihood_ratio_test(inferred(A[:, :2], y), inferred(rng.normal(size=(300, 3)), y))
    with pytest.raises(InputError, match="300 and of 299 observations"):
        likelihood_ratio_test(inferred(A[:, :2], y), inferred(A[1:], y[1:]))


def test_what_infer_refuses(rng):
    A, y = labelled(rng)
    problem = su.Problem(A, Multinomial(3), y)
    x = np.zeros((4, 3))
    with pytest.raises(InputError, match=r"x has shape \(3,\), but the problem's is \(4, 3\)"):
        infer(problem, np.zeros(3), [])
    with pytest.raises(InputError, match="`names` holds 1 names, but 12 parameters are reported"):
        infer(problem, x, ["a"])
    with pytest.raises(InputError, match="`names` holds 'a' twice"):
        infer(problem, x, ["a"] * 12)
    with pytest.raises(InputError, match=r"`basis` has shape \(2, 2\), but the problem has 12"):
        infer(problem, x, ["a", "b"], basis=np.eye(2))
    with pytest.raises(InputError, match=r"no standard errors exist.*It is separated\."):
        infer(problem, x, ["a"], facts=Facts(separated="It is separated."))
    held = su.Problem(A, Multinomial(3), y, su.penalties.ScoreRidge(1.0))
    with pytest.raises(InputError, match="not defined for a penalty on scores"):
        infer(held, x, ["a"])
