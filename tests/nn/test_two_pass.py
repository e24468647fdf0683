"""The two-pass softmax in NumPy, torch and C: right, finite, two sweeps, with gradients."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.softmax import (
    _compiled,
    exp_pairs,
    two_pass_blocks,
    two_pass_softmax,
    two_pass_softmax_numpy,
)

INF = float("inf")


def numpy_form(x, dim=-1):
    return torch.from_numpy(two_pass_softmax_numpy(x.numpy(), dim, block=100))


def compiled(x, dim=-1):
    return two_pass_softmax(x, dim, compiled=True)


FORMS = {"numpy": numpy_form, "torch": two_pass_softmax, "c": compiled}
forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@forms
@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 257, 4096, 4097, 10_000])
@pytest.mark.parametrize("bound", [1.0, 100.0, 1e4])
def test_float32_is_right_to_its_last_places(rng, form, n, bound):
    x = torch.tensor(rng.uniform(-bound, bound, (3, n)), dtype=torch.float32)
    exact = torch.softmax(x.double(), -1)
    shares = form(x)
    assert shares.dtype == torch.float32
    assert shares.isfinite().all()
    normal = exact >= torch.finfo(torch.float32).tiny
    error = ((shares.double() - exact) / exact)[normal].abs().max()
    assert float(error) < 5e-7
    assert float(shares[~normal].max() if (~normal).any() else 0) < 2e-38


@pytest.mark.parametrize("bound", [1.0, 1e4, 1e6])
def test_float64_is_the_shifted_form(rng, bound):
    x = torch.tensor(rng.uniform(-bound, bound, (3, 1000)))
    exact = torch.softmax(x, -1)
    for form in (numpy_form, two_pass_softmax):
        torch.testing.assert_close(form(x), exact, rtol=1e-12, atol=1e-300)


EDGES = [
    ([-INF, -INF, -INF], [0, 0, 0]),
    ([-INF, 0, 0], [0, 0.5, 0.5]),
    ([INF, 0, 1], [1, 0, 0]),
    ([INF, INF, 1], [0.5, 0.5, 0]),
    ([-INF, -3e38, -3e38], [0, 0.5, 0.5]),
    ([-3e38, -3e38, -1e37], [0, 0, 1]),
    ([3e38, 3e38, 0], [0.5, 0.5, 0]),
    ([1e30, -1e30, 0], [1, 0, 0]),
    ([float("nan"), 0, 1], [float("nan")] * 3),
]


@forms
@pytest.mark.parametrize(("scores", "expected"), EDGES, ids=range(len(EDGES)))
def test_masks_and_infinities(form, scores, expected):
    shares = form(torch.tensor([scores, [0.0, 0.0, 0.0]]))
    expected = torch.tensor([expected, [1 / 3] * 3])
    torch.testing.assert_close(shares, expected, equal_nan=True)


@forms
def test_a_mask_inside_a_long_row(rng, form):
    x = torch.tensor(rng.standard_normal((2, 9000)), dtype=torch.float32)
    x[0, 4000:5000] = -INF
    x[1, 8999] = -INF
    exact = torch.softmax(x.double(), -1)
    torch.testing.assert_close(form(x).double(), exact, rtol=1e-6, atol=0)


@forms
@pytest.mark.parametrize("dim", [0, 1, -2, 2])
def test_any_axis(rng, form, dim):
    x = torch.tensor(rng.standard_normal((4, 5, 6)), dtype=torch.float32)
    torch.testing.assert_close(form(x, dim), torch.softmax(x, dim), rtol=1e-6, atol=0)


@forms
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)], ids=str)
def test_nothing_gives_nothing(form, shape):
    assert form(torch.zeros(shape)).shape == shape


class Counted(np.ndarray):
    """An array that counts the entries that are taken out of it."""

    read = 0

    def __getitem__(self, key):
        part = super().__getitem__(key)
        Counted.read += part.size
        return part


def test_scores_are_read_exactly_twice(rng, monkeypatch):
    monkeypatch.setattr(Counted, "read", 0)
    x = rng.standard_normal((3, 1000)).view(Counted)
    two_pass_softmax_numpy(x, block=64)
    assert Counted.read == 2 * x.size


def test_blocks_are_asked_for_exactly_twice(rng):
    x = rng.uniform(-1e4, 1e4, 1000)
    calls = []

    def blocks():
        calls.append(len(calls))
        return np.array_split(x, 7)

    shares = np.concatenate(list(two_pass_blocks(blocks)))
    assert calls == [0, 1]
    np.testing.assert_allclose(shares, two_pass_softmax_numpy(x), rtol=1e-14)


def test_pairs_are_the_exponential(rng):
    x = np.concatenate([rng.uniform(-700, 700, 100), [0.0, -INF]])
    mantissas, exponents = exp_pairs(x)
    np.testing.assert_allclose(mantissas * 2.0**exponents, np.exp(x), rtol=1e-13)
    assert np.all(np.abs(np.log(mantissas[:-1])) <= 0.35)
    assert exp_pairs(np.float32([1e4]))[0].dtype == np.float32


@pytest.mark.parametrize("dim", [0, 1])
def test_gradients(rng, dim):
    x = torch.tensor(rng.standard_normal((4, 5)), requires_grad=True)
    assert torch.autograd.gradcheck(two_pass_softmax, (x, dim))
    assert torch.autograd.gradgradcheck(two_pass_softmax, (x, dim))


def test_gradients_of_the_kernel_and_of_masked_rows(rng):
    x = torch.tensor(rng.standard_normal((3, 5)), dtype=torch.float32)
    x[0], x[1, 2] = -INF, -INF
    x.requires_grad_()
    g = torch.tensor(rng.standard_normal((3, 5)), dtype=torch.float32)
    (ours,) = torch.autograd.grad(compiled(x), x, g)
    (theirs,) = torch.autograd.grad(torch.softmax(x[1:], -1), x, g[1:])
    torch.testing.assert_close(ours, theirs)
    assert float(ours[0].abs().max()) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_computed_in_float32(rng, dtype):
    x = torch.tensor(rng.standard_normal((3, 50))).to(dtype)
    shares = two_pass_softmax(x)
    assert shares.dtype == dtype
    assert torch.equal(shares, two_pass_softmax(x.float()).to(dtype))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_traces_whole(rng):
    x = torch.tensor(rng.standard_normal((3, 5000)), requires_grad=True)
    traced = torch.compile(two_pass_softmax, fullgraph=True, backend="aot_eager")
    (ours,) = torch.autograd.grad(traced(x)[:, 0].sum(), x)
    (theirs,) = torch.autograd.grad(two_pass_softmax(x)[:, 0].sum(), x)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("shape", [(1 << 18,), (2, 1 << 17), (300, 1000)], ids=str)
def test_threads_share_rows_and_cut_long_ones(rng, monkeypatch, shape):
    x = torch.tensor(rng.uniform(-20, 20, shape), dtype=torch.float32)
    alone = compiled(x)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    together = compiled(x)
    torch.testing.assert_close(together, alone, rtol=3e-7, atol=0)
    x.view(-1)[12345] = -INF
    masked = compiled(x)
    assert float(masked.view(-1)[12345]) == 0
    torch.testing.assert_close(masked.double(), torch.softmax(x.double(), -1), rtol=1e-6, atol=0)


def test_three_sweeps_are_softmax_too(rng):
    x = torch.tensor(rng.uniform(-5, 5, 5001), dtype=torch.float32)
    out = torch.empty_like(x)
    _compiled.write_three_pass(x, out)
    torch.testing.assert_close(out, torch.softmax(x.double(), 0).float(), rtol=1e-5, atol=0)


def test_loading_leaves_small_numbers_alone():
    _compiled.library()
    assert isinstance(_compiled.library(), ctypes.CDLL)
    assert np.float32(1e-38) / np.float32(16) > 0, "subnormal numbers must not be flushed"


@pytest.fixture
def no_library():
    _compiled.library.cache_clear()
    yield
    _compiled.library.cache_clear()


@pytest.mark.usefixtures("no_library")
def test_without_a_compiler_a_sentence_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(InputError, match=r"needs a C compiler.*install one"):
        compiled(torch.zeros(3))
    assert torch.equal(two_pass_softmax(torch.zeros(2)), torch.full((2,), 0.5))


@pytest.mark.usefixtures("no_library")
def test_a_compiler_that_fails_is_named(monkeypatch, tmp_path):
    broken = tmp_path / "mycc"
    broken.write_text("#!/bin/sh\necho no such target >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(InputError, match=r"mycc could not compile.*no such target"):
        compiled(torch.zeros(3))


@forms
@pytest.mark.parametrize("axis", [-1, 0, np.int64(0)], ids=repr)
def test_a_single_number_gets_all(form, axis):
    found = form(torch.tensor(3.0), axis)
    assert found.shape == ()
    assert float(found) == 1


WRONG = [
    (lambda: two_pass_softmax(torch.zeros(3).long()), "floating dtype; got torch.int64"),
    (lambda: two_pass_softmax([1.0]), "floating dtype; got list"),
    (lambda: two_pass_softmax(torch.zeros(3), 1), r"`dim` 1 is no axis.*\(3,\)"),
    (lambda: compiled(torch.zeros(3).double()), "float32 on the CPU; got torch.float64 on cpu"),
    (lambda: two_pass_softmax_numpy(np.zeros(3, int)), "floating dtype; got int64"),
    (lambda: two_pass_softmax_numpy(np.zeros(3), 1), r"`axis` 1 is no axis.*\(3,\)"),
    (
        lambda: two_pass_softmax_numpy(np.zeros(3), block=0),
        "`block` must be an integer of at least 1; got 0",
    ),
    (lambda: two_pass_softmax_numpy(np.zeros(3), block="a"), "`block` must be.*got 'a'"),
    (lambda: two_pass_softmax_numpy([1.0]), "must be a NumPy array; got list"),
    (lambda: two_pass_softmax_numpy(None), "must be a NumPy array; got NoneType"),
    (lambda: two_pass_softmax_numpy(torch.zeros(3)), "must be a NumPy array; got Tensor"),
    (lambda: exp_pairs(np.zeros(3, int)), "floating dtype; got int64"),
    (lambda: exp_pairs([1.0]), "must be a NumPy array; got list"),
    (lambda: two_pass_softmax(torch.zeros(3), compiled="no"), "`compiled` must be True or False"),
    (lambda: two_pass_blocks([np.zeros(3)]), "must be a function.*got list"),
    (lambda: list(two_pass_blocks(lambda: [np.zeros((2, 3))])), r"one axis; got shape \(2, 3\)"),
    (lambda: list(two_pass_blocks(lambda: [[1.0]])), "block of `blocks` must be a NumPy array"),
    *(
        (lambda axis=axis, form=form: form(axis), r"must be an integer, the number of an axis")
        for axis in ("a", None, 1.0, True)
        for form in (
            lambda axis: two_pass_softmax(torch.zeros(3, 3), axis),
            lambda axis: two_pass_softmax_numpy(np.zeros((3, 3)), axis),
        )
    ),
]


@pytest.mark.parametrize(("call", "words"), WRONG, ids=range(len(WRONG)))
def test_bad_input_is_a_sentence(call, words):
    with pytest.raises(InputError, match=words):
        call()
