"""The polynomial form of tensor attention: its definition, its error, its bound, its steps."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import (
    MultiheadAttention,
    PolynomialTensor,
    RelativeBias,
    TensorAttention,
    attend,
    reference,
    step,
    weights,
)
from softunit.nn.attention import _pair_sums as sums_file
from softunit.nn.attention import polynomial_tensor as polynomial_file
from softunit.nn.attention._monomials import count_monomials, monomials
from softunit.nn.attention._pair_sums import pair_sums, past_pairs
from tests.nn.draws import agree, agree_compiled, call, compiled, draw
from tests.nn.draws import pairs as any_pairs

UNIT = "tensor_polynomial"


def pairs(*given):
    """Return q, two keys and two values, q and keys within the bound."""
    drawn = any_pairs(*given)
    return [x.clamp(-0.9, 0.9) for x in drawn[:3]] + drawn[3:]


@pytest.mark.parametrize(("d", "degree"), [(1, 4), (3, 1), (4, 4), (5, 3)])
def test_monomials_of_a_product_are_the_polynomial(rng, d, degree):
    x, y, z = draw(rng, (6, d), (6, d), (6, d))
    count = count_monomials(d, degree)
    every = slice(0, count)
    found = (
        monomials(x, degree, every, 0.7) * monomials(y, degree, every) * monomials(z, degree, every)
    )
    assert found.shape == (6, count)
    score = 0.7 * (x * y * z).sum(-1)
    want = sum(score**t / math.factorial(t) for t in range(degree + 1))
    torch.testing.assert_close(found.sum(-1), want, rtol=1e-12, atol=1e-12)
    split = [monomials(x, degree, slice(i, min(i + 2, count))) for i in range(0, count, 2)]
    assert torch.equal(torch.cat(split, -1), monomials(x, degree, every))


def test_gradients_of_monomials_and_of_sums(rng):
    (x,) = (x.requires_grad_() for x in draw(rng, (2, 3)))
    for scale in (None, 0.6):
        assert torch.autograd.gradcheck(lambda x, s=scale: monomials(x, 3, slice(2, 17), s), (x,))
    given = [x.requires_grad_() for x in draw(rng, *[(1, 5, 2)] * 5, (1, 2, 2), (1, 2, 2))]
    assert torch.autograd.gradcheck(pair_sums, given)


@pytest.mark.parametrize("chunk", [1, 3, 64])
@pytest.mark.parametrize(
    ("n", "m", "offset"),
    [(7, 7, 0), (5, 9, 4), (9, 5, -4), (9, 4, 0), (4, 9, 0), (3, 3, -5), (3, 3, 5)],
)
def test_causal_sums_are_the_plain_ones(rng, monkeypatch, chunk, n, m, offset):
    monkeypatch.setattr(sums_file, "CHUNK", chunk)
    monkeypatch.setattr(sums_file, "ENTRIES", 1)
    a, b1, b2, c1, c2 = draw(rng, (2, n, 3), (2, m, 3), (2, m, 3), (2, m, 2), (2, m, 2))
    seen = (torch.arange(m) <= torch.arange(n)[:, None] + offset).double()
    plain = torch.einsum("bir,ij,bjr,bje,il,blr,ble->bie", a, seen, b1, c1, seen, b2, c2)
    torch.testing.assert_close(past_pairs(a, (b1, b2), (c1, c2), offset), plain)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 5), (2, 2, 1), (23, 17, 5), (17, 70, 3)])
@pytest.mark.parametrize("held", [1 << 22, 3000])
def test_sums_of_monomials_equal_the_definition(rng, monkeypatch, dtype, n, m, d, held):
    monkeypatch.setattr(polynomial_file, "HELD", held)
    tensors = pairs(rng, n, m, d)
    keys = torch.from_numpy(rng.random((2, 1, 1, m)) < 0.6)
    (bias,) = draw(rng, (2, 1, 1, m))
    for unit in (PolynomialTensor(), PolynomialTensor(degree=3)):
        agree(rng, tensors, dtype, unit=unit)
        agree(rng, tensors, dtype, unit=unit, mask=keys, bias=bias)
        agree(rng, tensors, dtype, unit=unit, mask=keys, bias=bias, causal=True)
        agree(rng, tensors, dtype, unit=unit, causal="bottom-right")


def test_it_is_within_its_error_of_the_exact_form(rng):
    tensors = pairs(rng, 12, 15, 4, 3, (1, 1))
    tensors[3], tensors[4] = tensors[3].abs(), torch.ones_like(tensors[4])
    exact = call(attend, tensors, unit="tensor")
    before = math.inf
    for degree in (2, 4, 6, 8):
        unit = PolynomialTensor(degree=degree)
        e = unit.error(4)
        off = float((call(attend, tensors, unit=unit) / exact - 1).abs().max())
        assert off <= 2 * e / (1 - e)
        assert off < before
        before = off
    assert before < 1e-7
    # The error is attained at a score of -1, where all entries are at the bound.
    assert PolynomialTensor().error(4) == pytest.approx(0.375 * math.e - 1)
    assert PolynomialTensor(bound=3.0).error(4) > 1


@pytest.mark.parametrize("unit", [PolynomialTensor(), PolynomialTensor(degree=3)], ids=["4", "3"])
def test_steps_are_the_causal_form(rng, unit):
    tensors = pairs(rng, 11, 11, 3)
    whole = call(attend, tensors, unit=unit, causal=True)
    state, parts = None, []
    for start, stop in ((0, 1), (1, 2), (2, 7), (7, 11)):
        cut = [x[:, :, start:stop] for x in tensors]
        out, state = step(cut[0], (cut[1], cut[2]), (cut[3], cut[4]), state, unit=unit)
        parts.append(out)
    torch.testing.assert_close(torch.cat(parts, 2), whole)
    assert [x.shape[-2:] for x in state] == [(count_monomials(3, unit.degree), 4)] * 2


def test_weights_are_positive_and_sum_to_one(rng):
    q, k1, k2, _, _ = pairs(rng, 5, 9, 3)
    for degree in (2, 3, 4):
        found = weights(q, (k1, k2), unit=PolynomialTensor(degree=degree))
        assert float(found.min()) > 0
        torch.testing.assert_close(found.sum(-1), torch.ones(2, 2, 5, dtype=torch.float64))


def test_nothing_seen_is_zero_in_output_and_gradients(rng):
    tensors = [x.requires_grad_() for x in pairs(rng, 5, 6, 2)]
    mask = torch.ones(2, 1, 1, 6, dtype=torch.bool)
    mask[1] = False
    for causal in (False, True):
        out = call(attend, tensors, unit=UNIT, mask=mask, causal=causal)
        assert not out[1].any()
        assert out[0].any()
        for gradient in torch.autograd.grad(out.sum(), tensors):
            assert not gradient[1].any()


def test_gradcheck(rng):
    tensors = [x.requires_grad_() for x in pairs(rng, 3, 4, 2, 2, (1, 1))]
    for causal in (False, True):
        assert torch.autograd.gradcheck(
            lambda *given, c=causal: call(attend, given, unit=UNIT, causal=c), tensors
        )


@pytest.mark.parametrize("causal", [False, True])
def test_it_compiles_whole(rng, causal):
    agree_compiled(pairs(rng, 5, 6, 3), unit=UNIT, causal=causal)


def test_entries_beyond_the_bound_are_refused_with_the_cost_of_the_exact_form(rng):
    tensors = pairs(rng, 5, 10, 4)
    tensors[2][1, 0, 7, 3] = -1.5
    with pytest.raises(
        InputError,
        match=r"bound = 1; the second of k has -1\.5 at \(1, 0, 7, 3\).* inside a module, give it"
        r" unit=PolynomialTensor\(bound=\.\.\.\).*`error\(4\)`.* n m\^2 = 500 scores",
    ):
        call(attend, tensors, unit=UNIT)
    assert bool(compiled(unit=UNIT)(*tensors).isnan().all()), "a compiled graph says it with nan"
    call(attend, tensors, unit=PolynomialTensor(bound=1.5))
    seen = (torch.arange(10) != 7).view(1, 1, 1, 10)
    hidden = call(attend, tensors, unit=UNIT, mask=seen)
    assert bool(torch.isfinite(hidden).all()), "a key that nobody sees may be anything"
    tensors[0][0, 1, 2, 3] = float("nan")
    with pytest.raises(InputError, match=r"q has nan at \(0, 1, 2, 3\)"):
        call(attend, tensors, unit=UNIT)


def test_what_the_polynomial_cannot_do_is_refused(rng):
    tensors = pairs(rng, 4, 4, 2)
    for where in (
        {"mask": torch.ones(4, 4, dtype=torch.bool)},
        {"bias": torch.zeros(4, 4, dtype=torch.float64)},
        {"bias": RelativeBias(torch.zeros(7, dtype=torch.float64))},
    ):
        with pytest.raises(InputError, match="would need its own sums over keys"):
            call(attend, tensors, unit=UNIT, **where)
    with pytest.raises(InputError, match=r"= 6 features for d = 2 and degree = 2, above .* = 5"):
        call(attend, tensors, unit=PolynomialTensor(degree=2, most_features=5))
    with pytest.raises(InputError, match="degree 1 is not above zero at -1"):
        call(attend, tensors, unit=PolynomialTensor(degree=1))
    with pytest.raises(InputError, match="degree 3 is not above zero at -2"):
        call(attend, tensors, unit=PolynomialTensor(degree=3), scale=1.0)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"degree": 0}, "`degree` must be an integer of at least 1; got 0"),
        ({"bound": 0.0}, "`bound` must be a finite number above 0; got 0.0"),
        ({"most_features": 0}, "`most_features` must be an integer of at least 1; got 0"),
    ],
    ids=["degree", "bound", "most_features"],
)
def test_settings_out_of_range_are_refused(settings, match):
    with pytest.raises(InputError, match=match):
        PolynomialTensor(**settings)


def test_no_array_of_n_by_m_is_made(rng):
    """The largest array that a call makes is far smaller than n m."""
    n = 2000
    tensors = pairs(rng, n, n, 2, 2, (1, 1))
    largest = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            largest.extend(
                x.numel()
                for x in (out if isinstance(out, (tuple, list)) else (out,))
                if isinstance(x, torch.Tensor)
            )
            return out

    for causal in (False, True):
        with Watch():
            call(attend, tensors, unit=UNIT, causal=causal)
    assert max(largest) < n * n / 20


def test_the_count_of_monomials():
    for d, degree in itertools.product((1, 2, 4), (1, 3)):
        words = np.array(list(itertools.product(range(degree + 1), repeat=d)))
        assert count_monomials(d, degree) == int((words.sum(1) <= degree).sum())
    assert TensorAttention().default_scale(4) == PolynomialTensor().default_scale(4) == 0.25


def test_a_masked_key_however_large_moves_nothing(rng):
    tensors = pairs(rng, 5, 6, 4)
    mask = torch.arange(6).view(1, 1, 1, 6) < 5
    plain = call(attend, tensors, unit=UNIT, mask=mask)
    tensors[1][..., 5, :], tensors[2][..., 5, :] = 1e300, -1e300
    for how in (attend, reference):
        torch.testing.assert_close(call(how, tensors, unit=UNIT, mask=mask), plain)


def test_a_module_takes_a_unit_with_a_larger_bound(rng):
    plain = MultiheadAttention(8, 2, unit=UNIT, batch_first=True)
    large = torch.full((1, 5, 8), 100.0)
    with pytest.raises(InputError, match="where they are made inside a module"):
        plain(large, large, large)
    module = MultiheadAttention(8, 2, unit=PolynomialTensor(bound=20.0), batch_first=True)
    x = torch.tensor(rng.standard_normal((2, 5, 8)), dtype=torch.float32)
    assert bool(module(x, x, x, need_weights=False)[0].isfinite().all())


def test_shapes_alone_can_be_asked_for():
    q = torch.empty(1, 2, 6, 4, device="meta")
    assert attend(q, q, q, unit="tensor_polynomial").shape == q.shape
