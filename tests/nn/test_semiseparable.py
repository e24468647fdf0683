"""Semiseparable and quasiseparable maps are their matrices, in output, gradients and steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import (
    _semiseparable,
    quasiseparable,
    quasiseparable_matrix,
    semiseparable,
    semiseparable_matrix,
    semiseparable_step,
)

LENGTHS = [1, 2, 63, 64, 65, 100, 257]
LIMITS = {torch.float64: 1e-12, torch.float32: 1e-5}
S, E = 5, 3


def drawn(rng, n, dtype=torch.float64, batch=2, heads=3):
    """Return c and b that all heads share, log decays of many sizes, and x."""
    shapes = [(batch, 1, n, S), (batch, 1, n, S), (batch, heads, n), (batch, heads, n, E)]
    c, b, log_decay, x = (torch.from_numpy(rng.standard_normal(s)).to(dtype) for s in shapes)
    size = torch.from_numpy(np.exp(3 * rng.standard_normal(shapes[2]))).to(dtype)
    return c, b, -log_decay.abs() * size, x


def gradients(function, tensors):
    given = [t.detach().requires_grad_() for t in tensors]
    out = function(*given)
    mix = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
    (out * mix).sum().backward()
    return [out.detach(), *(t.grad for t in given)]


def assert_equal(found, wanted, limit):
    for one, other in zip(found, wanted, strict=True):
        assert torch.isfinite(one).all()
        assert (one - other).abs().max() <= limit * other.abs().max().clamp(min=1.0)


@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("n", LENGTHS)
def test_chunks_are_the_matrix(n, dtype, rng):
    tensors = drawn(rng, n, dtype)
    found = gradients(lambda *t: semiseparable(*t, chunk=8), tensors)
    wanted = gradients(
        lambda c, b, a, x: semiseparable_matrix(c, b, a) @ x, [t.double() for t in tensors]
    )
    assert_equal(found, wanted, LIMITS[dtype])
    assert found[0].dtype == dtype


@pytest.mark.parametrize("n", LENGTHS)
def test_the_matrix_is_its_definition(n, rng):
    c, b, log_decay, _ = (t[0] for t in drawn(rng, n, batch=1, heads=1))
    matrix = semiseparable_matrix(c, b, log_decay)[0]
    i, j = n - 1, n // 3
    assert matrix[i, j] == pytest.approx(
        float((c[0, i] @ b[0, j]) * torch.exp(log_decay[0, j + 1 : i + 1].sum())), rel=1e-12
    )
    assert not matrix.triu(1).any()


@pytest.mark.parametrize("n", [1, 2, 63, 100, 257])
def test_both_directions_are_the_matrix(n, rng):
    onward, back = drawn(rng, n), drawn(rng, n)
    diagonal = torch.from_numpy(rng.standard_normal((2, 3, n)))

    def fast(c, b, a, x, c_back, b_back, a_back, diagonal):
        back = (c_back, b_back, a_back)
        return quasiseparable(c, b, a, x, back=back, diagonal=diagonal, chunk=8)

    def dense(c, b, a, x, c_back, b_back, a_back, diagonal):
        back = (c_back, b_back, a_back)
        return quasiseparable_matrix(c, b, a, back=back, diagonal=diagonal) @ x

    given = [*onward, *back[:3], diagonal]
    assert_equal(gradients(fast, given), gradients(dense, given), 1e-12)


def test_entries_of_both_directions(rng):
    (c, b, a, x), (c_back, b_back, a_back, _) = drawn(rng, 9), drawn(rng, 9)
    diagonal = torch.from_numpy(rng.standard_normal((2, 3, 9)))
    back = (c_back, b_back, a_back)
    matrix = quasiseparable_matrix(c, b, a, back=back, diagonal=diagonal)[1, 2]
    assert torch.equal(matrix.diagonal(), diagonal[1, 2])
    below = (c[1, 0, 5] @ b[1, 0, 2]) * torch.exp(a[1, 2, 3:6].sum())
    assert float(matrix[6, 2]) == pytest.approx(float(below), rel=1e-12)
    above = (c_back[1, 0, 3] @ b_back[1, 0, 7]) * torch.exp(a_back[1, 2, 3:7].sum())
    assert float(matrix[2, 7]) == pytest.approx(float(above), rel=1e-12)
    other = quasiseparable(c, b, a, x, back=back, x_back=torch.zeros_like(x))
    lower = quasiseparable_matrix(c, b, a, back=back).tril() @ x
    torch.testing.assert_close(other, lower)


def test_spans_are_one_sequence(rng, monkeypatch):
    tensors = drawn(rng, 300)
    whole = gradients(lambda *t: semiseparable(*t, chunk=4), tensors)
    monkeypatch.setattr(_semiseparable, "SPAN", 1)
    assert_equal(gradients(lambda *t: semiseparable(*t, chunk=4), tensors), whole, 1e-12)


@pytest.mark.parametrize("sizes", [[1] * 30, [7, 1, 22], [30]], ids=["ones", "some", "all"])
def test_steps_are_the_whole(sizes, rng):
    c, b, a, x = drawn(rng, 30)
    state, outputs, start = None, [], 0
    for size in sizes:
        part = slice(start, start + size)
        y, state = semiseparable_step(
            c[:, :, part], b[:, :, part], a[..., part], x[:, :, part], state, chunk=4
        )
        outputs.append(y)
        start += size
    assert_equal([torch.cat(outputs, -2)], [semiseparable(c, b, a, x)], 1e-12)
    assert state.shape == (2, 3, S, E)


def test_a_small_segment_behind_a_large_one_keeps_its_digits():
    a = torch.full((128,), -0.01)
    a[3] = -1e6
    ones = torch.ones(128, 1)
    found = semiseparable(ones, ones, a, ones)
    wanted = semiseparable_matrix(ones.double(), ones.double(), a.double()) @ ones.double()
    assert_equal([found], [wanted], 1e-6)


def test_minus_infinity_forgets(rng):
    c, b, a, x = drawn(rng, 20)
    cut = torch.where(torch.arange(20) == 7, -torch.inf, a)
    found = gradients(lambda *t: semiseparable(*t, chunk=4), [c, b, cut, x])
    later = semiseparable(c[..., 7:, :], b[..., 7:, :], a[..., 7:], x[..., 7:, :])
    assert_equal([found[0][..., 7:, :]], [later], 1e-12)
    assert all(torch.isfinite(grad).all() for grad in found)


def test_huge_inputs_stay_finite(rng):
    c, b, a, x = drawn(rng, 200, torch.float32)
    found = gradients(semiseparable, [100 * c, 100 * b, 1e4 * a, x])
    assert all(torch.isfinite(t).all() for t in found)


def test_gradcheck(rng):
    tensors = [t.requires_grad_() for t in drawn(rng, 7, batch=1, heads=2)]
    assert torch.autograd.gradcheck(lambda *t: semiseparable(*t, chunk=2), tensors)


def test_half_precision_is_summed_in_float32(rng):
    c, b, a, x = (t.bfloat16() for t in drawn(rng, 200))
    found = semiseparable(c, b, a, x)
    assert found.dtype == torch.bfloat16
    wanted = semiseparable(*(t.double() for t in (c, b, a, x)))
    assert (found - wanted).abs().max() <= 2**-8 * wanted.abs().max()


def test_it_compiles(rng):
    tensors = drawn(rng, 37, torch.float32)
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda *t: semiseparable(*t, chunk=8), fullgraph=True, backend="aot_eager"
    )
    assert_equal(gradients(compiled, tensors), gradients(semiseparable, tensors), 1e-5)


def test_what_does_not_fit_is_refused(rng):
    c, b, a, x = drawn(rng, 6)
    with pytest.raises(InputError, match=r"log_decay \(..., n\).*got \(2, 1, 5, 5\)"):
        semiseparable(c[..., 1:, :], b, a, x)
    with pytest.raises(InputError, match=r"at most zero.*largest is 0.5"):
        semiseparable(c, b, torch.full_like(a, 0.5), x)
    with pytest.raises(InputError, match=r"at most zero.*nan"):
        semiseparable(c, b, torch.full_like(a, torch.nan), x)
    with pytest.raises(InputError, match="`chunk` must be an integer of at least 2; got 1"):
        semiseparable(c, b, a, x, chunk=1)
    with pytest.raises(InputError, match="at least one token"):
        semiseparable_step(c[..., :0, :], b[..., :0, :], a[..., :0], x[..., :0, :])


def test_dtypes_are_checked(rng):
    c, b, a, x = drawn(rng, 6)
    with pytest.raises(InputError, match=r"`x` must be of a floating dtype; got torch.int64"):
        semiseparable(c, b, a, x.long())
    with pytest.raises(InputError, match=r"one dtype and one device; got c torch.float32 on cpu"):
        semiseparable(c.float(), b, a, x)
    with pytest.raises(InputError, match=r"`b` must be a torch tensor; got list"):
        semiseparable(c, [1.0], a, x)
    with pytest.raises(InputError, match=r"with leading axes that broadcast"):
        semiseparable(c, b, a, x[:, :2])
    with pytest.raises(InputError, match=r"c and b must be .*got \(\)"):
        semiseparable(c[0, 0, 0, 0], b, a, x)
    with pytest.raises(InputError, match=r"`chunk` must be an integer of at least 2; got 2\.5"):
        semiseparable(c, b, a, x, chunk=2.5)
    with pytest.raises(InputError, match=r"at most zero.*clamp it after each step"):
        semiseparable_matrix(c, b, torch.full_like(a, 0.5))


def test_an_empty_batch_gives_an_empty_batch(rng):
    c, b, a, x = (t[:0] for t in drawn(rng, 70))
    assert semiseparable(c, b, a, x).shape == (0, 3, 70, E)
    assert semiseparable_matrix(c, b, a).shape == (0, 3, 70, 70)
    y = quasiseparable(c, b, a, x, back=(c, b, a))
    assert y.shape == (0, 3, 70, E)


def test_shapes_without_values():
    c, a, x = (torch.empty(*s, device="meta") for s in ((2, 9, S), (2, 9), (2, 9, E)))
    assert semiseparable(c, c, a, x, chunk=4).shape == (2, 9, E)


def test_autocast_does_not_narrow_the_sums(rng):
    tensors = drawn(rng, 100, torch.float32)
    wanted, state = semiseparable_step(*tensors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, after = semiseparable_step(*tensors)
    assert torch.equal(found, wanted)
    assert torch.equal(after, state)


def test_states_of_other_sequences_are_refused(rng):
    tensors = drawn(rng, 3)
    state = semiseparable_step(*tensors)[1]
    for other in (state[:1], state[..., :2], state.float()):
        with pytest.raises(InputError, match=r"`state` must be \(2, 3, 5, 3\), torch.float64"):
            semiseparable_step(*tensors, other)
    with pytest.raises(InputError, match="the tensor of the last step; got str"):
        semiseparable_step(*tensors, "state")


def test_both_directions_are_checked(rng):
    c, b, a, x = drawn(rng, 6)
    back = (c, b, a)
    for function, given in ((quasiseparable, (c, b, a, x)), (quasiseparable_matrix, (c, b, a))):
        with pytest.raises(InputError, match=r"tuple of c, b and log_decay; got 2 of them"):
            function(*given, back=back[:2])
        with pytest.raises(InputError, match=r"tuple of c, b and log_decay; got no tuple"):
            function(*given, back=c)
        with pytest.raises(InputError, match=r"`diagonal` must have the shape \(2, 3, 6\).*\(5,\)"):
            function(*given, back=back, diagonal=a[0, 0, :5])
        with pytest.raises(InputError, match="`diagonal` must be a torch tensor; got float"):
            function(*given, back=back, diagonal=1.0)
    with pytest.raises(InputError, match=r"`x_back` must have the shape \(2, 3, 6, 3\)"):
        quasiseparable(c, b, a, x, back=back, x_back=x[..., :2])
    shorter = (c[..., 1:, :], b[..., 1:, :], a[..., 1:])
    with pytest.raises(InputError, match=r"as many tokens.*\(2, 3, 5, 5\)"):
        quasiseparable_matrix(c, b, a, back=shorter)
