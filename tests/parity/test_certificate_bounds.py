"""The true gap never exceeds the certificate's bound, over 500 random problems."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

import softunit as su
from softunit import Problem, certify, minimize
from softunit.designs import DenseDesign, ScaledDesign
from softunit.penalties import NoPenalty, Ridge, ScoreRidge
from softunit.solvers import Newton
from softunit.units import Multinomial, SoftmaxSquares

BATCHES, PER_BATCH = 10, 25  # of each of the two units: 500 problems


def design_and_ridge(rng):
    n, d = int(rng.integers(20, 301)), int(rng.integers(1, 9))
    A = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-1, 1, d)
    return DenseDesign(A), 10.0 ** rng.uniform(-8, 0)


def multinomial(rng):
    design, ridge = design_and_ridge(rng)
    (n, d), k = design.shape, int(rng.integers(2, 6))
    strength = np.full(d, ridge)
    if rng.random() < 0.5:
        design, strength = ScaledDesign(design, intercept=True), np.append(strength, 0.0)
    z = design.matvec(rng.normal(size=(len(strength), k)))
    labels = np.array([rng.choice(k, p=p) for p in softmax(z, axis=1)])
    target = labels if rng.random() < 0.7 else rng.dirichlet(np.ones(k), size=n)
    weights = rng.uniform(0.0, 3.0, n) if rng.random() < 0.5 else None
    if weights is not None and target.ndim == 1 and rng.random() < 0.2:
        weights[target == 0] = 0.0  # the intercept of this class has no finite optimum
    offset = None
    if rng.random() < 0.2:
        offset = rng.normal(size=n if k == 2 else (n, k))
    return Problem(design, Multinomial(k), target, Ridge(strength), weights=weights, offset=offset)


def softmax_squares(rng):
    design, ridge = design_and_ridge(rng)
    n, d = design.shape
    b = softmax(design.matvec(rng.normal(size=d)) + rng.normal(size=n))
    strong = rng.random() < 0.6
    w = rng.uniform(0.5, 2.0, n) if strong else 10.0 ** rng.uniform(-3, -1)
    penalty = Ridge(ridge) if rng.random() < 0.5 else NoPenalty()
    weights = rng.uniform(0.1, 2.0, n) if rng.random() < 0.2 else None
    return Problem(design, SoftmaxSquares(), b, (penalty, ScoreRidge(w)), weights=weights)


def somewhere(problem, rng):
    """A run stopped early, or a random point."""
    if rng.random() < 0.7:
        solver = str(rng.choice(["auto", "lbfgs", "gradient-descent"]))
        return minimize(problem, solver=solver, tol=1e-13, max_iter=int(rng.integers(1, 9))).x
    return rng.normal(size=problem.shape) * 10.0 ** rng.uniform(-2, 2.5)


def least_value(problem, starts):
    """The least value found from some starts, each run to 1e-13 and polished by Newton steps."""
    values = []
    for start in starts:
        run = minimize(problem, start, tol=1e-13, max_iter=500)
        last = minimize(problem, run.x, solver=Newton(kind="exact"), tol=0.0, max_iter=5)
        values += [run.value, last.value]
    return min(values)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_multinomial(batch):
    rng = np.random.default_rng([1, batch])
    known = 0
    for _ in range(PER_BATCH):
        problem = multinomial(rng)
        x = somewhere(problem, rng)
        certificate = certify(problem, x)
        gap = problem.value(x) - least_value(problem, [None])
        assert gap <= certificate.gap_bound, certificate
        known += np.isfinite(certificate.gap_bound)
    assert known >= 0.7 * PER_BATCH


@pytest.mark.parametrize("batch", range(BATCHES))
def test_softmax_squares(batch):
    rng = np.random.default_rng([2, batch])
    known = 0
    for _ in range(PER_BATCH):
        problem = softmax_squares(rng)
        x = somewhere(problem, rng)
        certificate = certify(problem, x)
        starts = [None, x, rng.normal(size=problem.shape)]
        gap = problem.value(x) - least_value(problem, starts)
        assert gap <= certificate.gap_bound, certificate
        known += np.isfinite(certificate.gap_bound)
    assert known >= 0.3 * PER_BATCH


@pytest.mark.parametrize("effort", ["quick", "full"])
def test_at_the_end_of_a_run_the_bound_is_small(effort):
    for seed in range(20):
        rng = np.random.default_rng([3, seed])
        problem = multinomial(rng)
        run = minimize(problem, tol=1e-9)
        certificate = certify(problem, run.x, effort=effort)
        gap = problem.value(run.x) - least_value(problem, [None])
        assert gap <= certificate.gap_bound <= 1e-6, certificate


@pytest.mark.parametrize("seed", range(60))
def test_no_bound_is_too_small_where_rounding_bites(seed):
    """Ridges down to 1e-18, column sizes over eight decades, near-collinear pairs, far points."""
    rng = np.random.default_rng(seed)
    n, d, k = int(rng.integers(5, 80)), int(rng.integers(2, 7)), int(rng.integers(2, 5))
    a = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-4, 4, d)
    if seed % 2:
        noise = 10.0 ** rng.uniform(-12, -2) * rng.standard_normal(n)
        a[:, 1] = rng.uniform(0.5, 2) * a[:, 0] + noise * np.abs(a[:, 0]).mean()
    y = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    design = su.designs.as_design(a, intercept=seed % 3 == 0)
    ridge = np.full(design.shape[1], 10.0 ** rng.uniform(-18, 0))
    if seed % 3 == 0:
        ridge[-1] = 0.0
    problem = su.Problem(design, su.units.Multinomial(k), y, su.penalties.Ridge(ridge))
    early = su.minimize(problem, tol=0.0, max_iter=int(rng.integers(1, 9)))
    best = su.minimize(problem, tol=0.0, max_iter=300)
    again = su.minimize(problem, best.x, solver="newton-cholesky", tol=0.0, max_iter=100)
    least = min(best.value, again.value)
    shifted = best.x + 10.0 ** rng.uniform(-3, 6)  # constants across classes cost ridge alone
    disturbed = best.x + 10.0 ** rng.uniform(-8, 3) * rng.standard_normal(problem.shape)
    for x in (early.x, best.x, shifted, disturbed):
        certificate = su.certify(problem, x)
        assert certificate.value - least <= certificate.gap_bound
