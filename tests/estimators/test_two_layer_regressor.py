"""Two-layer regression: planted points, targets out of reach, dead zones and open directions."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import softunit as su
from softunit.errors import InputError, NotUniqueWarning, SoftunitWarning
from softunit.estimators import _two_layer_phases
from softunit.estimators._simplex import nearest_in_hull, on_simplex
from softunit.solution import Status
from softunit.solvers import GradientRegularizedNewton, Newton
from softunit.units import TwoLayerSquares

DOCS = Path(__file__).parents[2] / "docs"
OUTERS = ["identity", "relu", "softplus", "tanh", "sigmoid", "exp", "sinh"]


def planted(
    rng: np.random.Generator, outer: str = "tanh", *, n: int = 100, d: int = 5, m: int = 20
):
    a, x, c = rng.standard_normal((n, d)), rng.standard_normal(d), rng.standard_normal((m, n))
    return a, c, TwoLayerSquares(outer, c).output(a @ x), x


def said(model: su.TwoLayerRegressor) -> str:
    return str(model.certificate_)


@pytest.mark.parametrize("outer", OUTERS)
def test_planted_points_come_back_over_50_seeds(outer):
    for seed in range(50):
        a, c, b, x = planted(np.random.default_rng(seed), outer)
        model = su.TwoLayerRegressor(c, outer).fit(a, b)
        np.testing.assert_allclose(model.coef_, x, atol=1e-8, err_msg=f"seed {seed}")
        assert model.solution_.converged


@pytest.mark.parametrize(("n", "d", "m"), [(50, 4, 10), (200, 10, 40), (30, 5, 60)])
def test_planted_points_come_back_at_other_sizes(n, d, m):
    for seed in range(15):
        a, c, b, x = planted(np.random.default_rng(seed), n=n, d=d, m=m)
        np.testing.assert_allclose(su.TwoLayerRegressor(c).fit(a, b).coef_, x, atol=1e-8)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array], ids=["matrix", "array"])
def test_sparse_designs_and_matrices_give_the_same(form, rng):
    a, c, b, x = planted(rng)
    dense = su.TwoLayerRegressor(c).fit(a, b)
    model = su.TwoLayerRegressor(form(c)).fit(sparse.csr_matrix(a), b)
    np.testing.assert_allclose(model.coef_, x, atol=1e-8)
    np.testing.assert_allclose(model.predict(sparse.csr_matrix(a)), dense.predict(a), atol=1e-10)
    assert model.score(a, b) == pytest.approx(1.0, abs=1e-12)


def test_noise_ends_at_a_local_minimum_and_better_than_the_planted_point(rng):
    a, c, b, x = planted(rng, m=40)
    noisy = np.clip(b + 0.02 * rng.standard_normal(40), -0.99, 0.99)
    model = su.TwoLayerRegressor(c).fit(a, noisy)
    assert model.solution_.converged
    assert model.solution_.value <= TwoLayerSquares("tanh", c).value(a @ x, noisy)
    assert np.linalg.norm(model.coef_ - x) <= 0.2 * np.linalg.norm(x)


def test_fewer_outputs_than_columns_leave_directions_open(rng):
    a, c, b, x = planted(rng, d=8, m=3)
    with pytest.warns(NotUniqueWarning, match="5 of 8 directions of x leave the 3 outputs"):
        model = su.TwoLayerRegressor(c).fit(a, b)
    assert model.certificate_.unique is False
    assert "5 of 8 directions" in str(model.certify(a, b))
    np.testing.assert_allclose(model.predict(a), b, atol=1e-9)
    assert np.linalg.norm(model.coef_) <= np.linalg.norm(x)
    # Of locally least norm: x has no part along the directions that are open.
    f = np.exp(a @ model.coef_ - (a @ model.coef_).max())
    f /= f.sum()
    jacobian = (c * f) @ (a - f @ a)
    along = model.coef_ - np.linalg.pinv(jacobian) @ (jacobian @ model.coef_)
    assert np.linalg.norm(along) <= 1e-6 * np.linalg.norm(model.coef_)


def test_shrinking_ends_early_no_worse_than_it_began(rng, monkeypatch):
    a, c, b, _ = planted(rng, d=8, m=3)
    norms = []
    for most in (0, 8, 300):
        monkeypatch.setattr(_two_layer_phases, "SHRINK_ITER", most)
        with pytest.warns(NotUniqueWarning, match="leave the 3 outputs unchanged"):
            norms.append(float(np.linalg.norm(su.TwoLayerRegressor(c).fit(a, b).coef_)))
    assert norms[0] > norms[1] > norms[2]


def test_shrinking_never_gives_up_the_target(rng, monkeypatch):
    a, c, b, _ = planted(rng, d=8, m=3)
    monkeypatch.setattr(_two_layer_phases, "RESTORE_ITER", 0)
    monkeypatch.setattr(_two_layer_phases, "MET", 1e-2)
    with pytest.warns(NotUniqueWarning, match="leave the 3 outputs unchanged"):
        model = su.TwoLayerRegressor(c).fit(a, b)
    assert model.solution_.gradient_norm <= 1e-10
    np.testing.assert_allclose(model.predict(a), b, atol=1e-8)


def test_a_ridge_singles_one_out(rng):
    a, c, b, _ = planted(rng, d=8, m=3)
    model = su.TwoLayerRegressor(c, ridge=1e-2).fit(a, b)
    assert model.solution_.converged
    assert "directions of x" not in said(model)


def test_a_constant_column_gets_a_coefficient_of_zero(rng):
    a, c, b, x = planted(rng)
    with pytest.warns(NotUniqueWarning, match="moves no score"):
        model = su.TwoLayerRegressor(c).fit(np.column_stack([a, np.full(100, 3.0)]), b)
    np.testing.assert_allclose(model.coef_, np.append(x, 0.0), atol=1e-8)


@pytest.mark.parametrize(("outer", "beyond"), [("tanh", 1.2), ("sigmoid", 1.0), ("softplus", -0.5)])
def test_a_target_that_phi_cannot_attain_is_named(outer, beyond, rng):
    a, c, b, _ = planted(rng, outer)
    b[7] = beyond
    model = su.TwoLayerRegressor(c, outer, ridge=1e-4).fit(a, b)
    low, high = c[7].min(), c[7].max()
    ends = TwoLayerSquares(outer, np.array([[low, high]]))
    least = 0.5 * min((ends.output(z)[0] - beyond) ** 2 for z in 1e3 * np.eye(2))
    assert f"entry 7 is {beyond:g}, but {outer}(C softmax(z)) lies between" in said(model)
    assert f"At least {least:.3g} of the loss is irreducible" in said(model)
    assert model.solution_.value >= least


def test_a_target_outside_the_hull_is_named(rng):
    corners = rng.standard_normal((6, 3))
    a, c = rng.standard_normal((50, 4)), corners @ rng.dirichlet(np.ones(3), size=50).T
    b = c.mean(axis=1)
    normal = np.linalg.svd((corners - corners[:, :1]).T)[2][-1]  # the hull lies in a plane
    model = su.TwoLayerRegressor(c, "identity", ridge=1e-4).fit(a, b + 0.01 * normal)
    assert "phi of the convex hull of C's columns: at least 5e-05 of the loss" in said(model)
    inside = su.TwoLayerRegressor(c, "identity", ridge=1e-4).fit(a, b)
    assert "convex hull" not in said(inside)


def test_relu_comes_out_of_a_dead_start(rng):
    # At x = 0 every output is dead: the gradient is zero, and only another start gets away.
    a, c, _, x = planted(rng, "relu", n=40, d=3, m=12)
    c -= c.mean(axis=1, keepdims=True) + 0.05
    unit = TwoLayerSquares("relu", c)
    b = unit.output(a @ x)
    assert not unit.gradient(np.zeros(40), b).any()
    assert (b > 0).sum() >= 3
    np.testing.assert_allclose(su.TwoLayerRegressor(c, "relu").fit(a, b).coef_, x, atol=1e-8)


def test_an_end_in_the_dead_zone_is_said(rng):
    # Two rows that only x -> -infinity and x -> infinity favour, and outputs that need both.
    a = np.array([[-1.0], [0.0], [1.0]])
    c = np.array([[1.0, -9.0, -9.0], [-9.0, -9.0, 1.0]])
    with pytest.warns(SoftunitWarning, match="1 of 2 outputs ended in the dead zone"):
        model = su.TwoLayerRegressor(c, "relu", ridge=1e-3).fit(a, np.array([0.5, 0.5]))
    assert "1 of 2 outputs lie in the dead zone of relu" in said(model)


def test_an_end_at_infinity_is_said():
    a, c = np.eye(4)[:, :2], np.array([[1.0, 0.0, 0.0, 0.0]])
    model = su.TwoLayerRegressor(c, "identity", restarts=0).fit(a, np.array([1.5]))
    assert "has all its weight on 1 of 4 rows" in said(model)


def test_the_regulariser_of_the_theory_makes_the_scores_small(rng):
    a, c, b, _ = planted(rng)
    model = su.TwoLayerRegressor(c, w=np.full(100, 10.0)).fit(a, b)
    assert np.abs(a @ model.coef_).max() <= 0.2
    assert model.certificate_.local_gap_bound < 1e-11


def test_the_papers_algorithm_comes_to_the_same_end(rng):
    a, c, b, _ = planted(rng, n=3000, d=3)
    ours = su.TwoLayerRegressor(c, w=2.0).fit(a, b)
    paper = su.TwoLayerRegressor(c, w=2.0, fidelity="paper").fit(a, b)
    assert paper.solution_.solver == "PaperNewton"
    assert len(paper.phases_) == 1
    np.testing.assert_allclose(paper.coef_, ours.coef_, rtol=1e-6, atol=1e-12)


def test_the_papers_algorithm_says_where_it_does_not_go_on(rng):
    a, c, b, _ = planted(rng, n=100, d=8, m=3)  # no w: the Hessian is singular
    with pytest.warns(ConvergenceWarning, match="PaperNewton stopped"):
        su.TwoLayerRegressor(c, fidelity="paper").fit(a, b)


@pytest.mark.parametrize(
    ("solver", "calls"),
    [(Newton, 1), (GradientRegularizedNewton, 1), (GradientRegularizedNewton, 3)],
)
def test_an_interrupt_ends_it_at_the_best_point_so_far(solver, calls, rng, monkeypatch):
    a, c, b, _ = planted(rng)
    right, left = solver.step, [calls]

    def step(self, problem, state):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt("Ctrl-C")
        return right(self, problem, state)

    monkeypatch.setattr(solver, "step", step)
    model = su.TwoLayerRegressor(c, ridge=1e-3, keyboard_interrupt="return")
    with pytest.warns(ConvergenceWarning, match="An interrupt"):
        model.fit(a, b)
    assert model.solution_.status is Status.INTERRUPTED
    assert len(model.phases_) == 2
    assert np.isfinite(model.certificate_.value)


def test_relu_without_a_positive_target_wants_every_output_dead(rng):
    a, c, _, _ = planted(rng, "relu")
    model = su.TwoLayerRegressor(c - 0.5, "relu", ridge=1e-6).fit(a, -np.ones(20))
    assert not (model.predict(a) > 0.5).any()
    assert "20 of 20 entries of the target are out of reach" in said(model)


def test_restarts_are_reproducible_and_parameters_survive_a_clone(rng):
    a, c, b, _ = planted(rng, d=6, m=8)
    b = np.clip(b + 0.2 * rng.standard_normal(8), -0.9, 0.9)
    model = su.TwoLayerRegressor(c, ridge=1e-3, random_state=3)
    np.testing.assert_array_equal(model.fit(a, b).coef_, clone(model).fit(a, b).coef_)


def test_no_restart_is_made_where_none_is_allowed(rng):
    a, c, b, _ = planted(rng, m=40)
    b = np.clip(b + 0.3 * rng.standard_normal(40), -0.9, 0.9)
    model = su.TwoLayerRegressor(c, ridge=1e-3, restarts=0).fit(a, b)
    assert len(model.phases_) == 3  # the convex start, the objective from there, and from zero


def test_restarts_end_when_the_ends_agree(rng):
    a, c, b, _ = planted(rng, m=40)
    model = su.TwoLayerRegressor(c, w=0.3, restarts=30).fit(a, b)
    assert len(model.phases_) == 7  # the convex start and six ends
    values = [phase.value for phase in model.phases_[1:]]
    np.testing.assert_allclose(values, values[-1], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "y", "weights", "sentence"),
    [
        ({"matrix": None}, [0.1, 0.2], None, r"`matrix` must be given.*the 4 rows of A"),
        ({"matrix": np.ones((2, 3))}, [0.1, 0.2], None, r"shape \(2, 3\), but A has 4 rows"),
        ({}, [0.1, 0.2, 0.3], None, r"target b has shape \(3,\), but the outer matrix.*\(2, 4\)"),
        ({}, [0.1, np.nan], None, "NaN or infinity in 1 of 2 entries; the first is entry 1"),
        ({}, None, None, "y is None"),
        ({}, [0.1, 0.2], np.ones(4), "takes no `sample_weight`"),
        ({"outer": "tan"}, [0.1, 0.2], None, "no outer function 'tan'. Did you mean 'tanh'"),
        ({"restarts": -1}, [0.1, 0.2], None, "`restarts` must be an integer >= 0"),
        ({"fidelity": "theirs"}, [0.1, 0.2], None, "`fidelity` must be 'auto' or 'paper'"),
    ],
)
def test_bad_input_gets_a_sentence(settings, y, weights, sentence):
    given = {"matrix": np.eye(4)[:2], **settings}
    with pytest.raises(InputError, match=sentence):
        su.TwoLayerRegressor(**given).fit(np.arange(8.0).reshape(4, 2) ** 2, y, weights)


def test_predict_wants_the_rows_of_the_matrix(rng):
    a, c, b, _ = planted(rng)
    with pytest.raises(InputError, match=r"shape \(20, 100\), but A has 7 rows"):
        su.TwoLayerRegressor(c).fit(a, b).predict(a[:7])


def test_one_row_has_nothing_to_fit():
    with pytest.raises(InputError, match="n_samples = 1"):
        su.TwoLayerRegressor(np.ones((2, 1))).fit(np.ones((1, 2)), np.ones(2))


@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_point_of_a_hull_is_proved(seed):
    rng = np.random.default_rng(seed)
    c, y = rng.standard_normal((4, 30)), 3 * rng.standard_normal(4)
    near = nearest_in_hull(c, y, float(np.linalg.norm(c, 2)), max_iter=2000)
    assert near.shares.min() >= 0
    assert near.shares.sum() == pytest.approx(1.0)
    assert near.distance == pytest.approx(np.linalg.norm(c @ near.shares - y))
    assert 0.999 * near.distance <= near.least <= near.distance * (1 + 1e-12)
    within = nearest_in_hull(c, c.mean(axis=1), float(np.linalg.norm(c, 2)), max_iter=2000)
    assert within.least == 0.0


def test_projection_on_the_simplex():
    np.testing.assert_allclose(on_simplex(np.array([0.2, 0.3, 0.5])), [0.2, 0.3, 0.5])
    np.testing.assert_allclose(on_simplex(np.array([5.0, 0.0, -1.0])), [1.0, 0.0, 0.0])
    np.testing.assert_allclose(on_simplex(np.array([1.0, 0.8, -3.0])), [0.6, 0.4, 0.0])


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("guides/two-layer.md", ["True", "NotUniqueWarning", "False", "True"]),
        ("maths/grouped-softmax.md", ["True"]),
    ],
)
def test_the_examples_of_the_docs_run(page, told, capsys):
    names: dict[str, object] = {}
    text = (DOCS / page).read_text("utf-8")
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, page, "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert said[: len(told)] == told
