"""Blocks: which comes next, what bounds it, and what a step in it does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit.errors import InputError, NeedsError
from softunit.penalties import Ridge, ScoreRidge
from softunit.solution import Status
from softunit.solvers import BlockCoordinate
from softunit.solvers.blocks import (
    Columns,
    Measure,
    assembled,
    checked_blocks,
    equal_blocks,
    greedy_quadratic,
    mean_over_columns,
    ranked,
    restricted,
    score,
)
from softunit.solvers.forest import Forest, edges_among, forest_blocks, meeting, tree_solve
from softunit.solvers.proximal import (
    _with_signs,
    definite,
    least_subgradient,
    proximal_newton,
    soft_threshold,
)
from softunit.units import Multinomial, SoftmaxSquares
from tests.contracts.cases import labels, multinomial_problem, squares_problem

RULES = ("gsq", "gsl", "gs")


def tree_problem(rng, m=40, repeats=4, columns=2):
    """Rows that each see the two ends of an edge of a random tree, and its edges."""
    nodes = np.arange(1, m)
    tree = np.stack([rng.integers(0, nodes), nodes], axis=1)
    edges = np.repeat(tree, repeats, axis=0)
    rows = np.repeat(np.arange(len(edges)), 2)
    entries = rng.standard_normal(2 * len(edges))
    a = sparse.csr_array((entries, (rows, edges.ravel())), shape=(len(edges), m))
    return su.Problem(a, Multinomial(columns), labels(columns)(rng, len(edges)), Ridge(0.01)), tree


def sparse_problem(rng):
    """A logistic problem of which few columns matter."""
    a = rng.standard_normal((200, 20))
    return su.Problem(a, Multinomial(2), (a[:, :3].sum(axis=1) > 0).astype(int), Ridge(1e-3))


# Which block --------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [None, 3])
@pytest.mark.parametrize("rule", RULES)
def test_rules_pick_the_block_that_brute_force_picks(rule, columns, rng):
    root = rng.standard_normal((9, 12))
    m = root @ root.T
    g = rng.standard_normal(9 if columns is None else (9, columns))
    groups = equal_blocks(9, 2)

    def promised(block):
        part, gb = m[np.ix_(block, block)], g[block].reshape(len(block), -1)
        if rule == "gs":
            return (gb**2).sum()
        if rule == "gsl":
            return (gb**2).sum() / np.linalg.eigvalsh(part)[-1]
        return np.trace(gb.T @ np.linalg.solve(part, gb))

    order = list(ranked(rule, g, groups, Measure(m), rng))
    values = [promised(block) for block in order]
    assert values == sorted(values, reverse=True)
    assert len(order) == len(groups)
    assert score(rule, g, order[0], Measure(m)) == pytest.approx(values[0], rel=1e-9)


@pytest.mark.parametrize("rule", ["gs", "gsl"])
def test_variable_blocks_are_the_best_of_all_subsets(rule, rng):
    root = rng.standard_normal((7, 9))
    m, g = root @ root.T, rng.standard_normal((7, 2))
    each = (g**2).sum(axis=1) / (np.diagonal(m) if rule == "gsl" else 1.0)
    block = next(assembled(rule, g, np.arange(7), 3, Measure(m), rng))
    best = max(itertools.combinations(range(7), 3), key=lambda b: each[list(b)].sum())
    assert tuple(block) == best


def test_quadratic_blocks_grow_by_the_best_row(rng):
    root = rng.standard_normal((8, 10))
    m, g = root @ root.T, rng.standard_normal(8)

    def gain(block):
        part = list(block)
        return g[part] @ np.linalg.solve(m[np.ix_(part, part)], g[part])

    chosen: list[int] = []
    for _ in range(4):
        left = [j for j in range(8) if j not in chosen]
        chosen.append(max(left, key=lambda j: gain([*chosen, j])))
    found = greedy_quadratic(g, np.arange(8), 4, Measure(m))
    assert sorted(chosen) == found.tolist()
    single = max(range(8), key=lambda j: gain([j]))
    assert greedy_quadratic(g, np.arange(8), 1, Measure(m)).tolist() == [single]
    others = np.setdiff1d(np.arange(8), [single])
    assert single not in greedy_quadratic(g, others, 4, Measure(m))


def test_blocks_left_over_come_next(rng):
    blocks = list(assembled("gs", np.arange(7.0), np.arange(7), 3, None, rng))
    assert [block.tolist() for block in blocks] == [[4, 5, 6], [1, 2, 3], [0]]
    drawn = list(assembled("random", np.arange(7.0), np.arange(7), 3, None, rng))
    assert sorted(np.concatenate(drawn)) == list(range(7))


# Bounds and restricted problems -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["multinomial", "weighted", "squares", "score-ridge"])
def test_blocks_of_the_bound_are_above_blocks_of_the_hessian(kind, rng):
    if kind in ("squares", "score-ridge"):
        problem = squares_problem(rng, noise=1.0)
        penalty = ScoreRidge(rng.uniform(0, 1, 60)) if kind == "score-ridge" else Ridge(0.1)
        problem = problem.derived(penalty=penalty)
    else:
        weights = rng.uniform(0, 2, 120) if kind == "weighted" else None
        problem = multinomial_problem(rng, weights=weights)
    state = BlockCoordinate().init(problem, problem.evaluate(np.zeros(problem.shape)))
    for _ in range(10):
        point = problem.evaluate(2 * rng.standard_normal(problem.shape))
        for block in equal_blocks(problem.shape[0], 2):
            h = problem.hessian(point, coordinates=block)
            above = np.kron(state.bound.matrix[np.ix_(block, block)], np.eye(problem.columns))
            assert np.linalg.eigvalsh(above - h).min() >= -1e-12 * np.trace(above)


@pytest.mark.parametrize("make", [multinomial_problem, squares_problem])
def test_a_block_is_a_problem_of_its_own(make, rng):
    problem = make(rng).derived(penalty=[Ridge(0.2), ScoreRidge(0.1)])
    point = problem.evaluate(rng.standard_normal(problem.shape))
    block = np.array([2, 0])
    part = restricted(problem, block, Columns(problem.design, keep=False).at(block))
    inside = part.evaluate(point.x[block], point.scores)
    np.testing.assert_allclose(inside.gradient, point.gradient[block], atol=1e-13)
    seen = BlockCoordinate()._in_block(problem, part, point, block)
    assert seen.value == pytest.approx(inside.value, rel=1e-13)
    np.testing.assert_allclose(
        part.hessian(inside), problem.hessian(point, coordinates=block), atol=1e-13
    )


def test_the_mean_over_columns_is_the_bound_for_one_column(rng):
    h = rng.standard_normal((6, 6))
    np.testing.assert_array_equal(mean_over_columns(h, 1), h)
    np.testing.assert_allclose(mean_over_columns(h, 2)[0, 1], (h[0, 2] + h[1, 3]) / 2)


# Steps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", ["newton", "matrix", "tree"])
@pytest.mark.parametrize("blocks", ["fixed", "variable"])
@pytest.mark.parametrize("rule", [*RULES, "random"])
def test_values_fall_and_only_the_block_moves(rule, blocks, update):
    problem, _ = tree_problem(np.random.default_rng(5), columns=3)
    solver = BlockCoordinate(rule, blocks, None if update == "tree" else 4, update)
    state = solver.init(problem, solver.begin(problem, np.zeros(problem.shape)))
    for _ in range(15):
        after, status = solver.step(problem, state)
        assert status is Status.RUNNING
        assert after.point.value <= state.point.value * (1 + 1e-14)
        held = np.setdiff1d(np.arange(40), after.block)
        np.testing.assert_array_equal(after.point.x[held], state.point.x[held])
        state = after
    afresh = problem.evaluate(state.point.x)
    np.testing.assert_allclose(state.point.scores, problem.scores(state.point.x), atol=1e-12)
    np.testing.assert_allclose(state.point.gradient, afresh.gradient, atol=1e-12)


@pytest.mark.parametrize("update", ["newton", "matrix"])
def test_a_step_gains_what_the_bound_promises(update, rng):
    problem = multinomial_problem(rng)
    solver = BlockCoordinate("gsq", size=2, update=update)
    state = solver.init(problem, problem.evaluate(rng.standard_normal(problem.shape)))
    after, _ = solver.step(problem, state)
    promised = 0.5 * score("gsq", state.point.gradient, after.block, state.bound)
    gained = state.point.value - after.point.value
    assert gained >= (promised if update == "matrix" else 0.5 * promised)


def test_units_that_couple_rows_are_met_in_blocks():
    problem = squares_problem(np.random.default_rng(7), noise=1.0)
    for blocks in ("fixed", "variable", [[0, 3], [1], [2]]):
        solution = su.minimize(problem, solver=BlockCoordinate("gsq", blocks, 2), tol=1e-8)
        assert solution.converged, blocks


def test_without_a_known_bound_the_hessian_stands_in():
    problem = squares_problem(np.random.default_rng(7))
    weighted = su.Problem(
        problem.design, SoftmaxSquares(), problem.target, weights=np.full(60, 2.0)
    )
    assert su.minimize(weighted, solver=BlockCoordinate("gsl", size=2), tol=1e-8).converged
    with pytest.raises(NeedsError, match="no known bound on its curvature with weights"):
        su.minimize(weighted, solver=BlockCoordinate(update="matrix"))


def test_random_blocks_come_from_the_seed():
    ends = [
        su.minimize(
            multinomial_problem(np.random.default_rng(0)),
            solver=BlockCoordinate("random", "variable", 2, seed=seed),
            tol=0.0,
            max_iter=3,
        ).x
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.abs(ends[0] - ends[2]).max() > 1e-3


def test_a_step_costs_one_product_and_a_share():
    problem, _ = tree_problem(np.random.default_rng(1))
    solver = BlockCoordinate("gs", size=4)
    state = solver.init(problem, problem.evaluate(np.zeros(problem.shape)))
    before = problem.cost.copy()
    for _ in range(10):
        state, _ = solver.step(problem, state)
    spent = problem.cost.since(before)
    # The gradient after each step, and two products with a tenth of the columns.
    assert spent.products == pytest.approx(10 * (1 + 2 * 0.1))
    assert spent.gradients == 10
    assert spent.curvatures == 10


def test_single_random_rows_reach_the_optimum():
    problem = multinomial_problem(np.random.default_rng(1), columns=2)
    solver = BlockCoordinate("random", "variable", 1)
    assert su.minimize(problem, solver=solver, tol=1e-9, max_iter=500).converged


# Trees --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3])
def test_messages_solve_what_a_dense_solver_solves(k, rng):
    for m in (1, 2, 50):
        edges = np.array([[rng.integers(0, j), j] for j in range(1, m) if j % 7]).reshape(-1, 2)
        four = np.zeros((m, k, m, k))
        for a, b in edges:
            four[a, :, b, :] = rng.standard_normal((k, k))
            four[b, :, a, :] = four[a, :, b, :].T
        h = four.reshape(m * k, m * k)
        h[np.diag_indices(m * k)] = np.abs(h).sum(axis=1) + 0.1
        right = rng.standard_normal((m, k))
        dense = np.linalg.solve(h, right.ravel()).reshape(m, k)
        np.testing.assert_allclose(tree_solve(h, edges, right), dense, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("columns", [2, 3])
def test_a_tree_step_is_a_newton_step(columns):
    problem, _ = tree_problem(np.random.default_rng(3), columns=columns)
    tree = su.minimize(problem, solver=BlockCoordinate(update="tree"), tol=0.0, max_iter=1)
    dense = su.minimize(problem, solver=BlockCoordinate(size=40), tol=0.0, max_iter=1)
    np.testing.assert_allclose(tree.x, dense.x, rtol=1e-10, atol=1e-12)


def test_a_solve_visits_every_node_once():
    levels = [len(nodes) for nodes in Forest.of(7, [[0, 1], [1, 2], [1, 3], [4, 5]]).levels]
    assert levels == [3, 2, 2]
    path = Forest.of(500, np.stack([np.arange(499), np.arange(1, 500)], axis=1))
    assert sum(len(nodes) for nodes in path.levels) == 500


@pytest.mark.parametrize(
    "edges", [[[0, 1], [1, 2], [2, 0]], [[0, 1], [0, 1]], [[0, 0]]], ids=["ring", "double", "loop"]
)
def test_cycles_are_refused(edges):
    with pytest.raises(InputError, match=r"the edge \d-\d closes a cycle"):
        Forest.of(3, edges)


def test_forest_blocks_are_forests_and_hold_every_row(rng):
    a = sparse.random(60, 25, density=0.06, rng=rng)
    adjacent = meeting(su.designs.as_design(a))
    shared = abs(a.T) @ abs(a)
    np.testing.assert_array_equal(adjacent, shared.toarray() > 0)
    blocks = forest_blocks(adjacent, np.arange(25), 25)
    assert sorted(np.concatenate(blocks)) == list(range(25))
    assert len(blocks) < 25
    for block in blocks:
        Forest.of(len(block), edges_among(adjacent, block))
    assert max(len(block) for block in forest_blocks(adjacent, np.arange(25), 4)) == 4
    assert len(forest_blocks(adjacent, np.arange(25), 25, most=1)) == 1


def test_columns_that_are_orthogonal_by_chance_still_meet():
    a = np.array([[1.0, 1.0], [1.0, -1.0]])
    assert (a.T @ a)[0, 1] == 0
    assert meeting(su.designs.as_design(a)).all()


# The l1 penalty -----------------------------------------------------------------------------------


def test_the_small_model_is_minimised(rng):
    for m in (1, 4, 9):
        root = rng.standard_normal((m, m + 1))
        h, g, x = root @ root.T + 0.1 * np.eye(m), rng.standard_normal(m), rng.standard_normal(m)
        x[::2] = 0.0
        p = proximal_newton(h, g, x, 0.7)
        left = least_subgradient(x + p, g + h @ p, 0.7)
        assert np.abs(left).max() <= 1e-9


def test_signs_that_are_not_those_of_the_minimiser_are_seen(rng):
    root = rng.standard_normal((3, 4))
    h, linear = root @ root.T, np.array([2.0, -2.0, 0.1])
    assert _with_signs(h, linear, np.zeros(3), 1.0) is None
    assert _with_signs(h, linear, np.array([1.0, 1.0, 0.0]), 1.0) is None
    np.testing.assert_array_equal(_with_signs(h, linear, np.zeros(3), 3.0), np.zeros(3))


@pytest.mark.parametrize("rule", RULES)
def test_once_the_support_is_found_steps_are_newton_steps(rule):
    problem = sparse_problem(np.random.default_rng(0))
    solver = BlockCoordinate(rule, "variable", 12, l1=0.02)
    solution = su.minimize(problem, solver=solver, tol=1e-12, max_iter=12)
    assert solution.converged
    assert (solution.x != 0).sum() == 8


def test_thresholds_and_least_subgradients():
    np.testing.assert_allclose(soft_threshold(np.array([-3.0, 0.5, 2.0]), 1.0), [-2.0, 0.0, 1.0])
    x, g = np.array([0.0, 0.0, 2.0, -2.0]), np.array([0.5, -3.0, 0.5, 0.5])
    np.testing.assert_allclose(least_subgradient(x, g, 1.0), [0.0, -2.0, 1.5, -0.5])
    made = definite(np.diag([2.0, -1.0, 0.0]))
    np.testing.assert_allclose(np.diagonal(made), [2.0, 1.0, 2e-10])


@pytest.mark.parametrize("update", ["newton", "matrix"])
@pytest.mark.parametrize("blocks", ["fixed", "variable"])
@pytest.mark.parametrize("rule", [*RULES, "random"])
def test_the_l1_penalty_reaches_its_optimum(rule, blocks, update):
    problem, strength = sparse_problem(np.random.default_rng(0)), 0.05
    solver = BlockCoordinate(rule, blocks, 4, update, l1=strength)
    solution = su.minimize(problem, solver=solver, tol=1e-9, max_iter=3000)
    assert solution.converged
    x, g = solution.x, problem.gradient(solution.x)
    assert np.abs(g[x == 0]).max() <= strength + 1e-9
    np.testing.assert_allclose(g[x != 0], -strength * np.sign(x[x != 0]), atol=1e-8)
    assert 0 < (x != 0).sum() < 20
    told = problem.value(x) + strength * np.abs(x).sum()
    assert solution.value == pytest.approx(told, rel=1e-12)
    values = [record.value for record in solution.history]
    assert (np.diff(values) <= 1e-13).all()


def test_many_classes_with_an_l1_penalty():
    problem = multinomial_problem(np.random.default_rng(1))
    solver = BlockCoordinate("gs", "variable", 3, l1=0.02)
    solution = su.minimize(problem, solver=solver, tol=1e-9, max_iter=300)
    assert solution.converged
    left = least_subgradient(solution.x, problem.gradient(solution.x), 0.02)
    assert np.abs(left).max() <= 1e-8


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rule": "best"}, "`rule` must be 'gsq' or 'gsl' or 'gs' or 'random'"),
        ({"blocks": "some"}, "`blocks` must be 'fixed' or 'variable'; got 'some'"),
        ({"size": 0}, "`size` must be an integer >= 1; got 0"),
        ({"update": "prox"}, "`update` must be 'newton' or 'matrix' or 'tree'"),
        ({"l1": -1.0}, "`l1` must be a finite number >= 0; got -1.0"),
        ({"l1": 0.5, "update": "tree"}, "`l1` 0.5 goes with update='newton' or 'matrix'"),
    ],
)
def test_bad_settings_get_a_sentence(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        BlockCoordinate(**settings)


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        ([[0, 1]], "exactly one block; 2 is in 0 of them"),
        ([[0, 1], [1, 2]], "exactly one block; 1 is in 2 of them"),
        ([[0, 1, 2, 5]], "each of 0 to 2, the rows of x, in exactly one block; 5 is outside"),
    ],
)
def test_bad_blocks_get_a_sentence(blocks, sentence):
    with pytest.raises(InputError, match=sentence):
        checked_blocks(blocks, 3)


def test_what_is_missing_is_named(monkeypatch):
    squares = squares_problem(np.random.default_rng(0))
    with pytest.raises(NeedsError, match="SoftmaxSquares couples all rows: no block of its Hess"):
        su.minimize(squares, solver=BlockCoordinate(update="tree"))
    monkeypatch.setattr("softunit.solvers.block_coordinate.FORM_LIMIT", 3)
    with pytest.raises(NeedsError, match="forms A'A, and 4 columns are more than 3"):
        su.minimize(squares, solver="block-coordinate")
    assert su.minimize(squares, solver=BlockCoordinate("gs"), tol=1e-8).converged
    monkeypatch.setattr(su.Problem, "stores_scores", False)
    with pytest.raises(NeedsError, match="BlockCoordinate keeps the scores, and 60 x 1"):
        su.minimize(squares_problem(np.random.default_rng(0)), solver=BlockCoordinate("gs"))


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        ([["a"]], "block 0 holds 'a', which is no integer"),
        ([[0, 1], [2.5]], "block 1 holds 2.5, which is no integer"),
        ([0, 1], "block 0 is 0"),
        (["ab"], "block 0 is 'ab'"),
        (5, "got 5"),
    ],
    ids=["word", "fraction", "flat", "string", "number"],
)
def test_blocks_by_hand_are_sequences_of_row_numbers(blocks, sentence):
    with pytest.raises(InputError, match=rf"`blocks` must be .*; {sentence}"):
        BlockCoordinate(blocks=blocks)


def test_blocks_by_hand_may_be_arrays():
    blocks = (np.array([0, 2]), range(1, 2))
    assert BlockCoordinate(blocks=blocks).blocks is blocks
