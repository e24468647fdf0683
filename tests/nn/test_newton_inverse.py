"""Newton's inverse: what it converges to, from which start, and its gradient in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from softunit.nn.attention._newton_inverse import (
    newton_inverse,
    proven_residual,
    residual,
    times_inverse,
)


def spd(rng, size, least=0.5, batch=()):
    """Return symmetric matrices with eigenvalues from `least` to `least` + 1."""
    q, _ = np.linalg.qr(rng.standard_normal((*batch, size, size)))
    values = least + rng.random((*batch, size, 1))
    return torch.from_numpy(q @ (values * q.swapaxes(-1, -2)))


@pytest.mark.parametrize("start", ["identity", "matrix"])
def test_the_inverse_of_well_conditioned_matrices(rng, start):
    a = spd(rng, 7, batch=(2, 3))
    x = newton_inverse(a, 20, start)
    torch.testing.assert_close(x, torch.linalg.inv(a), rtol=1e-12, atol=1e-12)
    assert float(residual(a, x)) < 1e-13


def test_the_start_of_the_paper_dies_for_two_landmarks_and_ours_does_not():
    a = torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    assert float(residual(a, newton_inverse(a, 20, "identity"))) < 1e-14
    assert float(residual(a, newton_inverse(a, 20, "matrix"))) > 0.4


def test_each_iteration_squares_the_residual():
    a = torch.diag(torch.tensor([1.0, 0.25], dtype=torch.float64))
    # |A|_1 = 1: the eigenvalue 1/4 begins with the residual 3/4.
    for count in range(1, 6):
        left = float(residual(a, newton_inverse(a, count)))
        assert left == pytest.approx(0.75 ** (2**count), rel=1e-12)
        assert left == pytest.approx(proven_residual(0.25, 1.0, count), rel=1e-12)
    assert proven_residual(1.0, 1.0, 1) == 0.0
    assert proven_residual(0.005, 49.005, 20) < 1e-10 < proven_residual(1e-4, 49.0, 20)


def test_the_gradient_is_that_of_an_inverse(rng):
    a, c = spd(rng, 5, batch=(2,)), torch.from_numpy(rng.standard_normal((2, 3, 5)))
    weight = torch.from_numpy(rng.standard_normal((2, 3, 5)))
    found = []
    for how in (
        lambda c, a: times_inverse(c, a, newton_inverse(a)),
        lambda c, a: c @ torch.linalg.inv(a),
    ):
        given = [x.clone().requires_grad_() for x in (c, a)]
        out = how(*given)
        found.append((out, *torch.autograd.grad((out * weight).sum(), given)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_gradients_of_first_and_second_order(rng):
    a, c = spd(rng, 3), torch.from_numpy(rng.standard_normal((2, 3)))

    def product(c, a):
        # The closed form is for symmetric matrices.
        symmetric = 0.5 * (a + a.mT)
        return times_inverse(c, symmetric, newton_inverse(symmetric))

    given = (c.requires_grad_(), a.requires_grad_())
    assert torch.autograd.gradcheck(product, given)
    assert torch.autograd.gradgradcheck(product, given)


def test_refinement_makes_float32_enough(rng):
    """Condition 1e4: a plain product with the inverse would lose four digits of seven."""
    points = torch.from_numpy(rng.standard_normal((30, 2)))
    a = torch.exp(-0.1 * torch.cdist(points, points).square()) + 0.003 * torch.eye(30)
    c = a[:9] - 0.003 * torch.eye(30)[:9]
    exact = torch.linalg.solve(a, c.mT).mT
    a, c = a.float(), c.float()
    x = newton_inverse(a, 24)
    plain, refined = (
        float((f.double() @ a.double() - c.double()).abs().max())
        for f in (c @ x, times_inverse(c, a, x))
    )
    assert refined < 2e-6 < plain
    assert math.isfinite(float(exact.abs().max()))
