"""Leverage-score inversion: planted points, what scores cannot tell, noise, and bad input."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import block_diag
from scipy.special import expit, logit
from sklearn.base import clone

import softunit as su
from softunit.errors import InputError, NotUniqueWarning, SoftunitWarning
from softunit.units import LeverageScores

SEEDS = range(50)


def planted(rng: np.random.Generator, *, n: int = 80, d: int = 5):
    """A, the leverage scores of a planted x, b of any sign, and x."""
    a, x, b = rng.standard_normal((n, d)), rng.standard_normal(d), 2 * rng.standard_normal(n)
    return a, LeverageScores(a, b).scores(a @ x), b, x


def interior(rng: np.random.Generator, *, n: int = 80, d: int = 5):
    """The same with all entries of A x - b positive."""
    a, x = rng.standard_normal((n, d)), rng.standard_normal(d)
    b = a @ x - np.exp(0.6 * rng.standard_normal(n))
    return a, LeverageScores(a, b).scores(a @ x), b, x


def error(model: su.LeverageScoreInverter, x: np.ndarray) -> float:
    return float(np.linalg.norm(model.coef_ - x) / np.linalg.norm(x))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_planted_point_comes_back_without_any_start(seed):
    a, sigma, b, x = planted(np.random.default_rng(seed))
    model = su.LeverageScoreInverter().fit(a, sigma, b)
    assert error(model, x) <= 1e-8
    assert model.solution_.converged
    assert model.misfit_ <= 1e-7
    np.testing.assert_array_equal(model.signs_, np.sign(a @ x - b))
    np.testing.assert_array_equal(model.solution_.x, model.coef_)


@pytest.mark.parametrize("seed", SEEDS)
def test_inside_a_polytope_signs_are_known_and_the_answer_is_the_only_one(seed):
    a, sigma, b, x = interior(np.random.default_rng(seed), n=30, d=12)
    model = su.LeverageScoreInverter(signs="interior").fit(a, sigma, b)
    assert error(model, x) <= 1e-8
    assert model.certificate_.unique is True


@pytest.mark.parametrize("seed", SEEDS)
def test_a_prior_tells_signs_where_rows_are_few(seed):
    rng = np.random.default_rng(seed)
    a, sigma, b, x = planted(rng, n=12)
    x0 = x + 0.05 * rng.standard_normal(5)
    model = su.LeverageScoreInverter().fit(a, sigma, b, x0=x0)
    assert error(model, x) <= 1e-8


@pytest.mark.parametrize(("n", "d"), [(11, 5), (26, 12), (60, 20)])
def test_signs_are_found_with_little_more_than_two_rows_for_each_unknown(n, d, rng):
    a, sigma, b, x = planted(rng, n=n, d=d)
    assert error(su.LeverageScoreInverter().fit(a, sigma, b), x) <= 1e-8


def said(a, sigma, b, **settings) -> str:
    """Return all that a fit warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        su.LeverageScoreInverter(**settings).fit(a, sigma, b)
    return "\n".join(str(warning.message) for warning in caught)


def test_the_direct_method_needs_a_start(rng):
    a, sigma, b, x = planted(rng)
    near = x + 1e-3 * rng.standard_normal(5)
    paper = su.LeverageScoreInverter(fidelity="paper")
    assert error(paper.fit(a, sigma, b, x0=near), x) <= 1e-8
    assert paper.certificate_.unique is None
    assert np.isnan(paper.misfit_)
    with pytest.warns(SoftunitWarning, match="the fit ended in a wrong minimum"):
        paper.fit(a, sigma, b)
    assert error(paper, x) > 0.1


def test_given_signs_settle_the_answer_either_way_round(rng):
    a, sigma, b, x = planted(rng)
    for signs in (np.sign(a @ x - b), -np.sign(a @ x - b)):
        model = su.LeverageScoreInverter(signs=signs).fit(a, sigma, b)
        assert error(model, x) <= 1e-8
        assert model.certificate_.unique is True


def test_wrong_signs_are_said_to_be_wrong(rng):
    a, sigma, b, _ = planted(rng)
    with pytest.warns(SoftunitWarning, match="given signs of s = A x - b do not fit"):
        model = su.LeverageScoreInverter(signs="interior").fit(a, sigma, b)
    assert model.certificate_.unique is None


def test_the_signs_that_were_found_stand_in_the_certificate(rng):
    a, sigma, b, x = planted(rng)
    model = su.LeverageScoreInverter().fit(a, sigma, b)
    negative = int((a @ x < b).sum())
    assert f"{negative} of 80 negative" in str(model.certificate_)
    assert model.certificate_.unique is None
    assert model.certificate_.gap_bound < 1e-20


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array], ids=["csr", "csc-array"])
def test_sparse_designs_give_the_same(form, rng):
    a, _, b, x = planted(rng)
    a[np.abs(a) < 0.5] = 0.0
    sigma = LeverageScores(a, b).scores(a @ x)
    model = su.LeverageScoreInverter().fit(form(a), sigma, b)
    assert error(model, x) <= 1e-8
    np.testing.assert_allclose(model.predict(form(a), b), sigma, atol=1e-10)


def test_conjugate_gradients_end_where_the_formed_matrix_does(rng, monkeypatch):
    a, sigma, b, x = planted(rng, n=200)
    formed = su.LeverageScoreInverter().fit(a, sigma, b)
    monkeypatch.setattr("softunit.estimators._leverage_stages.DENSE", 0)
    free = su.LeverageScoreInverter().fit(a, sigma, b)
    np.testing.assert_allclose(free.coef_, formed.coef_, atol=1e-10)
    assert error(free, x) <= 1e-8


def test_columns_of_any_size_make_no_difference(rng):
    a, sigma, b, x = planted(rng)
    scale = np.array([1e8, 1e-8, 1.0, 1e4, 1e-4])
    model = su.LeverageScoreInverter().fit(a * scale, sigma, b)
    np.testing.assert_allclose(model.coef_ * scale, x, rtol=1e-8)


def test_entries_of_s_may_differ_by_many_orders(rng):
    a, _, b, x = planted(rng)
    b[3], b[9] = a[3] @ x - 1e-7, a[9] @ x + 1e-9
    sigma = LeverageScores(a, b).scores(a @ x)
    assert error(su.LeverageScoreInverter().fit(a, sigma, b), x) <= 1e-8


# What leverage scores cannot tell ----------------------------------------------------------------


@pytest.mark.parametrize("zero", [False, True], ids=["b-in-range", "b-zero"])
def test_b_in_the_range_leaves_a_ray(zero, rng):
    a, x, base = rng.standard_normal((40, 4)), rng.standard_normal(4), rng.standard_normal(4)
    base *= not zero
    sigma = LeverageScores(a, a @ base).scores(a @ x)
    with pytest.warns(NotUniqueWarning, match=r"b lies in the range of A.*rank 3 of 4"):
        model = su.LeverageScoreInverter().fit(a, sigma, a @ base)
    away, true = model.coef_ - base, x - base
    cosine = abs(away @ true) / np.linalg.norm(away) / np.linalg.norm(true)
    assert cosine == pytest.approx(1.0, abs=1e-10)
    assert model.certificate_.unique is False
    size = np.linalg.norm(a @ base) or np.sqrt(40)
    assert np.linalg.norm(a @ away) == pytest.approx(size, rel=1e-10)
    with pytest.warns(NotUniqueWarning, match="b lies in the range"):
        model.fit(a, sigma, a @ base, x0=x)
    assert error(model, x) <= 1e-8
    beside = x + 1e-3 * rng.standard_normal(4)
    with pytest.warns(NotUniqueWarning, match="b lies in the range"):
        model.fit(a, sigma, a @ base, x0=beside)
    assert np.linalg.norm(model.coef_ - x) <= 2 * np.linalg.norm(beside - x)


def test_parts_that_share_no_column_are_solved_one_by_one(rng):
    blocks = block_diag(rng.standard_normal((30, 3)), rng.standard_normal((40, 2)))
    a, x, b = blocks @ rng.standard_normal((5, 5)), rng.standard_normal(5), rng.standard_normal(70)
    sigma = LeverageScores(a, b).scores(a @ x)
    model = su.LeverageScoreInverter().fit(a, sigma, b)
    assert error(model, x) <= 1e-8
    assert "A splits into 2 parts" in str(model.certificate_)


def test_rows_that_say_nothing_are_named(rng):
    a, _, b, x = planted(rng)
    a[[7, 33]] = 0.0
    sigma = LeverageScores(a, b).scores(a @ x)
    model = su.LeverageScoreInverter().fit(a, sigma, b)
    assert error(model, x) <= 1e-8
    assert "zero in A: rows 7, 33" in str(model.certificate_)
    sigma[7] = 0.1
    assert "Yet sigma is 0.1 in row 7: no x has that" in said(a, sigma, b)


def test_a_row_with_a_column_of_its_own_says_nothing(rng):
    a, sigma, b, x = planted(rng)
    wide = block_diag(a, np.ones((1, 1)))
    with pytest.warns(NotUniqueWarning, match="row 80 cannot but have leverage score 1"):
        model = su.LeverageScoreInverter().fit(wide, np.append(sigma, 1.0), np.append(b, 3.0))
    np.testing.assert_allclose(model.coef_, np.append(x, 0.0), atol=1e-8)
    assert model.certificate_.unique is False


def test_null_directions_get_the_least_norm(rng):
    a, sigma, b, x = planted(rng)
    wide = np.column_stack([a, a[:, 0] - a[:, 1]])
    with pytest.warns(NotUniqueWarning, match="A has rank 5, less than its 6 columns"):
        model = su.LeverageScoreInverter().fit(wide, sigma, b)
    np.testing.assert_allclose(wide @ model.coef_, a @ x, atol=1e-8)
    assert abs(model.coef_ @ np.array([1.0, -1.0, 0.0, 0.0, 0.0, -1.0])) <= 1e-10


@pytest.mark.parametrize(
    ("n", "sentence"),
    [
        (6, "6 leverage scores of sum 5 have 5 degrees of freedom"),
        (9, "9 rows are fewer than the 11 that settle signs"),
    ],
)
def test_too_few_rows_are_said_to_be_too_few(n, sentence, rng):
    a, sigma, b, _ = planted(rng, n=n)
    assert sentence in said(a, sigma, b)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotUniqueWarning)
        model = su.LeverageScoreInverter().fit(a, sigma, b)
    assert model.certificate_.unique is False
    np.testing.assert_allclose(model.predict(a, b), sigma, atol=1e-8)


def test_other_signs_that_meet_the_scores_are_counted(rng):
    a, sigma, b, _ = planted(rng, n=6)
    assert "other sets of signs meet the scores as well" in said(a, sigma, b)


# Scores that no x has ---------------------------------------------------------------------------


def test_noise_on_logits_costs_no_more_than_its_size(rng):
    a, sigma, b, x = planted(rng, n=100)
    noisy = expit(logit(sigma) + 0.01 * rng.standard_normal(100))
    with pytest.warns(SoftunitWarning, match="sum to .* but A has rank 5"):
        model = su.LeverageScoreInverter().fit(a, noisy, b)
    assert model.solution_.converged
    assert 1e-6 < error(model, x) <= 1e-2


@pytest.mark.parametrize("seed", range(5))
def test_three_decimals_are_enough(seed):
    a, sigma, b, x = planted(np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the leverage scores sum to")
        model = su.LeverageScoreInverter().fit(a, np.round(sigma, 3), b)
    assert error(model, x) <= 1e-2


def test_rows_that_ask_for_more_than_their_rank_are_named(rng):
    a, _, b, _ = planted(rng)
    a[:3, 1:] = 0.0
    sigma = np.full(80, 3.2 / 77)
    sigma[:3] = 0.6
    assert "Rows 0, 1, 2 ask for 1.8 together, and scores of rows of rank 1" in said(a, sigma, b)


def test_scores_that_no_projection_has_are_named(rng):
    a, sigma, b, _ = planted(rng)
    sigma[3], sigma[4] = 1.2, -0.1
    sentence = "2 leverage scores lie outside [0, 1], the first is 1.2 in row 3"
    assert sentence in said(a, sigma, b, restarts=4)


def test_scores_of_nothing_are_not_passed_off_as_met(rng):
    a, _, b, _ = planted(rng)
    with pytest.warns(SoftunitWarning, match="x may be far off"):
        model = su.LeverageScoreInverter().fit(a, np.full(80, 1 / 16), b)
    assert model.solution_.value > 1e-3
    assert model.score(a, sigma=np.linspace(0, 1, 80), b=b) < 0.5


# The interface ----------------------------------------------------------------------------------


def test_it_predicts_scores_and_certifies(rng):
    a, sigma, b, _ = planted(rng)
    model = clone(su.LeverageScoreInverter(restarts=8)).fit(a, sigma, b)
    np.testing.assert_allclose(model.predict(a, b), sigma, atol=1e-12)
    assert model.score(a, sigma, b) == pytest.approx(1.0)
    assert model.certify(a, sigma, b).gap_bound < 1e-20
    assert model.get_params()["restarts"] == 8
    with pytest.raises(InputError, match="is zero in 1 of 80 rows, the first is row 6"):
        model.predict(a, np.where(np.arange(80) == 6, a @ model.coef_, b))


def test_the_regulariser_pulls_to_zero(rng):
    a, sigma, b, x = planted(rng)
    pulled = su.LeverageScoreInverter(w=0.01).fit(a, sigma, b)
    assert np.linalg.norm(a @ pulled.coef_) < np.linalg.norm(a @ x)
    assert error(pulled, x) > 1e-6


def test_one_seed_gives_one_answer(rng):
    a, sigma, b, _ = planted(rng, n=30, d=10)
    first = su.LeverageScoreInverter(random_state=3).fit(a, sigma, b).coef_
    again = su.LeverageScoreInverter(random_state=np.random.default_rng(3)).fit(a, sigma, b).coef_
    np.testing.assert_array_equal(first, again)


def test_too_few_iterations_warn(rng):
    a, sigma, b, _ = planted(rng)
    messages = said(a, sigma, b, max_iter=0)
    assert "the convex stage did not reach" in messages
    assert "Raise `max_iter`" in messages


def test_twenty_thousand_rows_stay_far_below_two_gigabytes():
    program = """
import json, resource, sys
from pathlib import Path
import numpy as np
import softunit as su
rng = np.random.default_rng(0)
a, x, b = rng.standard_normal((20000, 20)), rng.standard_normal(20), rng.standard_normal(20000)
sigma = su.units.LeverageScores(a, b).scores(a @ x)
model = su.LeverageScoreInverter().fit(a, sigma, b)
status = Path("/proc/self/status")
if status.exists():  # there ru_maxrss begins with what the process that started this one held
    peak = 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
print(json.dumps([peak, float(np.linalg.norm(model.coef_ - x) / np.linalg.norm(x))]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    peak, miss = json.loads(done.stdout)
    assert peak < 1e9
    assert miss <= 1e-8


@pytest.mark.parametrize(
    ("settings", "change", "sentence"),
    [
        ({}, {"sigma": np.ones(3)}, r"target scores sigma has shape \(3,\)"),
        ({}, {"sigma": np.full(80, np.nan)}, "NaN or infinity in 80 of 80"),
        ({}, {"b": np.ones(3)}, r"the shift b has shape \(3,\)"),
        ({}, {"x0": np.ones(3)}, r"`x0` has shape \(3,\)"),
        ({}, {"b": np.zeros(80), "x0": np.zeros(5)}, "s = A x0 - b is zero in 80 of 80 rows"),
        ({"fidelity": "paper"}, {"b": np.zeros(80)}, "the first is row 0"),
        ({"fidelity": "print"}, {}, "`fidelity` must be 'auto' or 'paper'"),
        ({"signs": "known"}, {}, "`signs` must be 'auto' or 'interior'"),
        ({"signs": np.full(80, 2)}, {}, r"`signs` must hold 1 and -1; got 2\.0 in row 0"),
        ({"signs": np.ones(4)}, {}, r"`signs` has shape \(4,\)"),
        ({"w": np.ones(2)}, {}, r"`w` has shape \(2,\)"),
        ({"w": "none"}, {}, "`w` must be a number or one for each row"),
        ({"restarts": 0}, {}, "`restarts` must be an integer >= 1"),
        ({"tol": -1.0}, {}, "`tol` must be a finite number >= 0"),
        ({"random_state": "x"}, {}, "`random_state` must be an integer"),
    ],
)
def test_bad_input_gets_a_sentence(settings, change, sentence, rng):
    a, sigma, b, _ = planted(rng)
    data = {"A": a, "sigma": sigma, "b": b} | change
    with pytest.raises(InputError, match=sentence):
        su.LeverageScoreInverter(**settings).fit(**data)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"a": 0.0}, r"A, of shape \(80, 5\), is zero"),
        ({"b": 1e300}, r"the shift b is .*e\+300 in row \d+, the largest entry, above 1e\+100"),
        ({"b": 1e-160}, r"the shift b is .*e-1\d\d in row \d+, the largest entry, below 1e-100"),
        ({"w": 1e200}, r"`w` is 1e\+200 in row 0, the largest entry, above 1e\+50"),
        ({"w": 1e40, "b": 1e90}, r"the pull w\^2 b of the weights is"),
        ({"sigma": 1e200}, r"the target score sigma is .* Leverage scores lie in \[0, 1\]"),
        ({"x0": 1e160}, r"s = A x0 - b is .*e\+160 in row"),
    ],
    ids=["zero", "large-b", "small-b", "w", "w-and-b", "sigma", "x0"],
)
def test_sizes_that_leave_float64_are_refused(change, sentence, rng):
    a, sigma, b, x = planted(rng)
    scaled = [given * change.get(name, 1.0) for name, given in (("a", a), ("sigma", sigma))]
    x0 = x * change["x0"] if "x0" in change else None
    with pytest.raises(InputError, match=sentence):
        su.LeverageScoreInverter(change.get("w", 0.0)).fit(*scaled, b * change.get("b", 1.0), x0)


@pytest.mark.parametrize("fidelity", ["auto", "paper"])
@pytest.mark.parametrize("size", [1e-90, 1e90])
def test_sizes_that_are_accepted_raise_no_warning_of_numpy(fidelity, size, rng):
    a, sigma, b, x = interior(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SoftunitWarning)
        warnings.simplefilter("error", RuntimeWarning)
        model = su.LeverageScoreInverter(fidelity=fidelity)
        model.fit(a, sigma, size * b, x0=size * (x + 1e-3))
    assert error(model, size * x) <= 1e-6
