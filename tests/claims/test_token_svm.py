"""Separators of tokens: optimal by other means, and their gaps are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from softunit.claims._token_svm import constraints, frobenius, nuclear


def drawn(rng, n=3, T=4, d=5):
    tokens, queries = rng.standard_normal((n, T, d)), rng.standard_normal((n, d))
    return tokens, queries, rng.integers(0, T, n)


def test_constraints_by_loops(rng):
    tokens, queries, chosen = drawn(rng)
    expected = [
        np.outer(tokens[i, chosen[i]] - tokens[i, t], queries[i])
        for i in range(3)
        for t in range(4)
        if t != chosen[i]
    ]
    np.testing.assert_array_equal(constraints(tokens, queries, chosen), expected)


def test_one_constraint_of_rank_one_has_one_separator_for_both_norms(rng):
    row = np.outer(rng.standard_normal(4), rng.standard_normal(4))
    expected = row / np.linalg.norm(row) ** 2
    for found in (frobenius(row[None]), nuclear(row[None])):
        np.testing.assert_allclose(found.W, expected, rtol=1e-5, atol=1e-7)
        assert found.norm == pytest.approx(1 / np.linalg.norm(row), rel=1e-6)


def test_diagonal_constraints_of_a_known_answer():
    """W_11 >= 1 and W_22 >= 1: the identity, whose nuclear norm is two."""
    rows = np.zeros((2, 2, 2))
    rows[0, 0, 0] = rows[1, 1, 1] = 1.0
    assert frobenius(rows).norm == pytest.approx(np.sqrt(2))
    found = nuclear(rows)
    np.testing.assert_allclose(found.W, np.eye(2), atol=1e-6)
    assert found.norm == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_frobenius_one_is_what_slsqp_finds(seed):
    rows = constraints(*drawn(np.random.default_rng(seed)))
    M = rows.reshape(len(rows), -1)
    other = minimize(
        lambda w: 0.5 * w @ w,
        np.linalg.lstsq(M, 2 * np.ones(len(M)))[0],
        jac=lambda w: w,
        constraints={"type": "ineq", "fun": lambda w: M @ w - 1, "jac": lambda w: M},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    found = frobenius(rows)
    np.testing.assert_allclose(found.W.ravel(), other.x, atol=1e-5)
    assert abs(found.gap) < 1e-10


@pytest.mark.parametrize("seed", range(3))
def test_no_feasible_move_lowers_a_norm(seed):
    rng = np.random.default_rng(seed)
    rows = constraints(*drawn(rng))
    fro, nuc = frobenius(rows), nuclear(rows)
    for found, order in ((fro, "fro"), (nuc, "nuc")):
        margins = np.einsum("kij,ij->k", rows, found.W)
        assert margins.min() == pytest.approx(1.0, abs=1e-12)
        assert found.norm == pytest.approx(np.linalg.norm(found.W, order))
        assert -1e-12 <= found.gap <= 1e-6
        for size in (1e-3, 0.1, 1.0):
            for move in size * rng.standard_normal((20, *found.W.shape)):
                # Moved, and then scaled until it is feasible again where that is possible.
                moved = found.W + move
                margin = np.einsum("kij,ij->k", rows, moved).min()
                if margin > 0:
                    assert np.linalg.norm(moved, order) / margin >= found.norm * (1 - 1e-6)
    assert nuc.norm < np.linalg.norm(fro.W, "nuc")
    assert fro.norm < np.linalg.norm(nuc.W)
