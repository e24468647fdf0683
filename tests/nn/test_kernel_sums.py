"""The engine of units with a feature map: each route against the plain weights, and its cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from softunit.nn.attention import _causal_sums, _kernel_sums, _toeplitz
from softunit.nn.attention._dropout import thinned
from softunit.nn.attention._kernel_state import kernel_step
from softunit.nn.attention._kernel_sums import kernel_mix
from softunit.nn.attention._kernel_weights import kernel_weights, smallest
from softunit.nn.attention._pattern import Pattern
from softunit.nn.attention._relative import RelativeBias
from tests.nn.checks import Largest

HERE = torch.device("cpu")


def draw(rng, *shape, dtype=torch.float64):
    return torch.tensor(rng.standard_normal(shape), dtype=dtype)


def features(rng, n, m, r=5, e=4, lead=(2, 3)):
    """Positive features of queries and keys, and values, all with gradients."""
    q, k = (draw(rng, *lead, t, r).exp() for t in (n, m))
    return [x.requires_grad_() for x in (q, k, draw(rng, *lead, m, e))]


def by_loop(a, b, c, offset):
    """Sums over the past, one row at a time."""
    rows = []
    for i in range(a.shape[-2]):
        stop = max(0, min(b.shape[-2], i + offset + 1))
        weights = a[..., i : i + 1, :] @ b[..., :stop, :].mT
        rows.append(weights @ c[..., :stop, :])
    return torch.cat(rows, -2)


@pytest.mark.parametrize("offset", [0, 1, 70, -3, -70, 500, -500])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (63, 64), (65, 63), (200, 130), (130, 200)])
def test_sums_over_the_past(n, m, offset, rng):
    a, b, c = draw(rng, 2, n, 3), draw(rng, 2, m, 3), draw(rng, 2, m, 2)
    found = _causal_sums.past_sums(a, b, c, offset)
    assert (found - by_loop(a, b, c, offset)).abs().max() <= 1e-11
    blind = min(max(-offset, 0), n)
    assert (found[:, :blind] == 0).all()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("entries", [1, 1 << 21])
def test_runs_of_chunks_join(reverse, entries, rng, monkeypatch):
    monkeypatch.setattr(_causal_sums, "ENTRIES", entries)
    monkeypatch.setattr(_causal_sums, "GROUPS", 3)
    n = 5 * 64 + 17
    a, b, c = draw(rng, n, 3), draw(rng, n, 3), draw(rng, n, 2)
    square = a @ b.mT
    wanted = (square.triu() if reverse else square.tril()) @ c
    assert (_causal_sums.causal_sums(a, b, c, reverse) - wanted).abs().max() <= 1e-11
    assert len(_causal_sums._runs(n, 4096)) == (4 if entries == 1 else 2)


@pytest.mark.parametrize("reverse", [False, True])
def test_sums_over_the_past_are_differentiable_twice(reverse, rng):
    given = [draw(rng, 1, t, w).requires_grad_() for t, w in ((4, 2), (4, 2), (4, 3))]

    def sums(a, b, c):
        return _causal_sums.causal_sums(a, b, c, reverse)

    assert torch.autograd.gradcheck(sums, given)
    assert torch.autograd.gradgradcheck(sums, given)
    fixed = [given[0].detach(), given[1], given[2].detach()]
    (grad,) = torch.autograd.grad(sums(*fixed).sum(), [given[1]])
    assert grad.shape == given[1].shape


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 5), (5, 2), (63, 100), (257, 257)])
def test_sums_by_distance(n, m, rng, monkeypatch):
    monkeypatch.setattr(_toeplitz, "ENTRIES", 3 * (n + m))
    a, b, c = draw(rng, 2, 3, n, 5), draw(rng, 2, 3, m, 5), draw(rng, 2, 3, m, 4)
    for lead in ((1, 1), (1, 3), (2, 1), (2, 3)):
        t = draw(rng, *lead, n + m - 1)
        distance = torch.arange(m) - torch.arange(n)[:, None] + n - 1
        wanted = ((a @ b.mT) * t[..., distance]) @ c
        assert (_toeplitz.distance_sums(a, b, c, t) - wanted).abs().max() <= 1e-10


def test_sums_by_distance_have_the_gradients(rng):
    sizes = [(2, 1, 4, 2), (2, 1, 3, 2), (2, 1, 3, 3), (1, 1, 6)]
    given = [draw(rng, *size).requires_grad_() for size in sizes]
    assert torch.autograd.gradcheck(_toeplitz.distance_sums, given)


def test_gradients_of_gradients_by_distance_are_refused(rng):
    sizes = [(1, 1, 4, 2), (1, 1, 3, 2), (1, 1, 3, 3), (1, 1, 6)]
    given = [draw(rng, *size).requires_grad_() for size in sizes]
    (grad,) = torch.autograd.grad(
        _toeplitz.distance_sums(*given).square().sum(), given[:1], create_graph=True
    )
    with pytest.raises(RuntimeError, match="autograd"):
        torch.autograd.grad(grad.sum(), given[:1])


@pytest.mark.parametrize("least", [*range(1, 40), 1000, 32767, 32769])
def test_lengths_of_transforms_are_smooth_and_the_least(least):
    def smooth(number):
        for prime in (2, 3, 5):
            while number % prime == 0:
                number //= prime
        return number == 1

    wanted = next(length for length in range(least, 2 * least + 1) if smooth(length))
    assert _toeplitz.transform_length(least) == wanted


PATTERNS = {
    "all": {},
    "keys": {"keys": True},
    "key bias": {"bias": True},
    "keys and their bias, causal": {"keys": True, "bias": True, "offset": 0},
    "bottom-right": {"offset": "m - n"},
    "relative": {"relative": True},
    "relative, causal": {"relative": True, "offset": 0},
    "everything": {"relative": True, "keys": True, "bias": True, "offset": "m - n"},
    "dense": {"entries": True, "relative": True, "offset": 0},
}


def pattern_of(rng, how, n, m):
    """A pattern of (2, 3) heads, and its tensors with gradients."""
    offset = m - n if how.get("offset") == "m - n" else how.get("offset")
    keys = torch.tensor(rng.random((2, 1, 1, m)) < 0.6) if "keys" in how else None
    entries = torch.tensor(rng.random((1, 1, n, m)) < 0.6) if "entries" in how else None
    bias = draw(rng, 2, 1, 1, m).requires_grad_() if "bias" in how else None
    values = draw(rng, 3, n + m - 1).requires_grad_() if "relative" in how else None
    relative = None if values is None else RelativeBias(values)
    pattern = Pattern(n, m, HERE, keys, entries, offset, bias, relative)
    return pattern, [x for x in (bias, values) if x is not None]


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("normalise", ["its own", "another", "none"])
@pytest.mark.parametrize("direct", [0, 1 << 18])
def test_every_route_gives_the_plain_weights(name, normalise, direct, rng):
    for n, m in ((70, 70), (9, 20), (20, 9)):
        pattern, added = pattern_of(rng, PATTERNS[name], n, m)
        q, k, v = features(rng, n, m)
        other = [x.detach().square().requires_grad_() for x in (q, k)]
        how = {"its own": True, "another": tuple(other), "none": False}[normalise]
        given = [q, k, v, *added, *(other if normalise == "another" else [])]
        wanted = kernel_weights(q, k, pattern, how) @ v
        found = kernel_mix(q, k, v, pattern, normalise=how, direct=direct)
        mix = draw(rng, *wanted.shape)
        pairs = [(found, wanted)]
        grads = (torch.autograd.grad((out * mix).sum(), given) for out in (found, wanted))
        pairs += zip(*grads, strict=True)
        for have, want in pairs:
            assert (have - want).abs().max() <= 1e-10 * want.abs().max().clamp(min=1.0)


def test_plain_weights_are_the_definition(rng):
    pattern, (bias, values) = pattern_of(rng, PATTERNS["everything"], 4, 6)
    q, k, _ = features(rng, 4, 6)
    found = kernel_weights(q, k, pattern)
    wanted = torch.zeros_like(found)
    for b, h, i, j in np.ndindex(*found.shape):
        if pattern.keys[b, 0, 0, j] and j <= i + 2:
            added = bias[b, 0, 0, j] + values[h, j - i + 3]
            wanted[b, h, i, j] = (q[b, h, i] @ k[b, h, j]) * torch.exp(added)
    total = wanted.sum(-1, keepdim=True)
    wanted = torch.where(total > 0, wanted / total, 0.0)
    assert (found - wanted).abs().max() <= 1e-14


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_without_a_normaliser_are_zeros(relative, dtype, rng):
    n = 40
    q, k, v = (x.detach().to(dtype) for x in features(rng, n, n, lead=(1, 1)))
    q[:, :, 3, 2:] = 0.0
    k[..., :2] = 0.0
    q[:, :, 5] = 1e-3 * smallest(dtype)
    q.requires_grad_()
    bias = RelativeBias(draw(rng, 2 * n - 1, dtype=dtype)) if relative else None
    pattern = Pattern(n, n, HERE, offset=-1, relative=bias)
    out = kernel_mix(q, k, v, pattern, direct=0)
    (grad,) = torch.autograd.grad(out.square().sum(), q)
    for row in (0, 3, 5):
        assert (out[:, :, row] == 0).all()
        assert (grad[:, :, row] == 0).all()
    assert (out[:, :, 1] != 0).all()
    assert grad.isfinite().all()


@pytest.mark.parametrize("how", ["bias", "relative"])
def test_biases_of_any_size_do_not_overflow(how, rng):
    n = 50
    q, k, v = features(rng, n, n)
    for shift in (0.0, 5000.0, -5000.0):
        size = draw(rng, 2, 1, 1, n) + shift if how == "bias" else draw(rng, 2 * n - 1) + shift
        parts = {how: size if how == "bias" else RelativeBias(size)}
        pattern = Pattern(n, n, HERE, **parts)
        found = kernel_mix(q, k, v, pattern, direct=0)
        assert (found - kernel_weights(q, k, pattern) @ v).abs().max() <= 1e-10
    size[..., 7] = 1e4
    found = kernel_mix(q, k, v, pattern, direct=0)
    grads = torch.autograd.grad(found.sum(), [q, k, v])
    assert all(x.isfinite().all() for x in (found, *grads))


def test_a_masked_bias_does_not_count(rng):
    n = 12
    q, k, v = features(rng, n, n, lead=(1, 1))
    keys = torch.ones(1, 1, 1, n, dtype=torch.bool)
    keys[..., 4] = False
    bias = torch.zeros(1, 1, 1, n, dtype=torch.float64)
    bias[..., 4] = 2000.0
    bias.requires_grad_()
    found = kernel_mix(q, k, v, Pattern(n, n, HERE, keys=keys, bias=bias))
    plain = kernel_mix(q, k, v, Pattern(n, n, HERE, keys=keys))
    assert (found - plain).abs().max() <= 1e-12
    (grad,) = torch.autograd.grad(found.sum(), bias)
    assert grad[..., 4] == 0
    assert grad.isfinite().all()


def test_the_fft_is_as_near_as_it_says(rng):
    """A row whose keys all lie far below others loses digits, and zeros come before noise."""
    n = 300
    q, k, v = (x.detach() for x in features(rng, n, n, lead=(1, 1)))
    # Row 0 sees distance 0 alone, which lies `below` under the largest.
    for below, limit in ((0.0, 1e-12), (10.0, 1e-9), (20.0, 1e-5)):
        values = torch.zeros(2 * n - 1, dtype=torch.float64)
        values[n - 1] = -below
        pattern = Pattern(n, n, HERE, offset=0, relative=RelativeBias(values))
        found = kernel_mix(q, k, v, pattern, direct=0)[:, :, 0]
        assert (found - v[:, :, 0]).abs().max() <= limit * v.abs().max()
    values[n - 1] = -60.0
    assert (kernel_mix(q, k, v, pattern, direct=0)[:, :, 0] == 0).all()
    assert (kernel_mix(q, k, v, pattern)[:, :, 0] - v[:, :, 0]).abs().max() <= 1e-12


@pytest.mark.parametrize("normalise", ["its own", "another", "none"])
@pytest.mark.parametrize("sizes", [[1] * 7, [3, 1, 66, 5]])
def test_steps_are_the_causal_form(normalise, sizes, rng):
    n = sum(sizes)
    q, k, v = features(rng, n, n)
    other = (q.detach().square(), k.detach().square())
    how = {"its own": True, "another": other, "none": False}[normalise]
    wanted = kernel_mix(q, k, v, Pattern(n, n, HERE, offset=0), normalise=how)
    state, outs, start = None, [], 0
    for size in sizes:
        at = np.s_[:, :, start : start + size]
        own = (other[0][at], other[1][at]) if normalise == "another" else how
        out, state = kernel_step(q[at], k[at], v[at], state, normalise=own)
        outs.append(out)
        start += size
    found = torch.cat(outs, 2)
    assert (found - wanted).abs().max() <= 1e-11 * wanted.abs().max()
    assert [tuple(x.shape) for x in state] == [(2, 3, 5, 4), (2, 3, 5)]
    for have, want in zip(
        torch.autograd.grad(found.sum(), [q, k, v]),
        torch.autograd.grad(wanted.sum(), [q, k, v]),
        strict=True,
    ):
        assert (have - want).abs().max() <= 1e-10 * want.abs().max().clamp(min=1.0)


@pytest.mark.parametrize("name", ["keys", "bottom-right", "relative, causal"])
def test_memory_is_linear(name, rng):
    """Nothing is larger than a few times the inputs, backward too."""
    n = 4096
    pattern, _ = pattern_of(rng, PATTERNS[name], n, n)
    shapes = [(2, 3, n, 4), (2, 3, n, 4), (2, 3, n, 2)]
    q, k, v = ((draw(rng, *shape) ** 2).requires_grad_() for shape in shapes)
    with Largest() as seen:
        kernel_mix(q, k, v, pattern, direct=0).sum().backward()
    assert seen.entries <= 16 * q.numel(), seen.shape
    assert seen.entries < 2 * 3 * n * n // 64


def test_short_calls_go_by_rows_and_long_ones_by_fft(rng, monkeypatch):
    taken = []
    plain = _kernel_sums.distance_sums
    monkeypatch.setattr(
        _kernel_sums, "distance_sums", lambda *given: taken.append(1) or plain(*given)
    )
    for n, by_fft in ((500, False), (600, True)):
        taken.clear()
        pattern, _ = pattern_of(rng, PATTERNS["relative"], n, n)
        kernel_mix(*features(rng, n, n, r=2, e=1), pattern)
        assert bool(taken) == by_fft


def test_single_precision_is_summed_well(rng):
    """Features of one sign: nothing cancels, over ten thousand keys and by FFT alike."""
    n = 10_000
    q, k, v = (x.detach() for x in features(rng, n, n, r=3, e=2, lead=(1, 1)))
    values = -0.01 * torch.arange(-(n - 1), n, dtype=torch.float64).abs()
    for relative in (None, values):
        for offset in (None, 0):
            outs = []
            for dtype in (torch.float32, torch.float64):
                bias = None if relative is None else RelativeBias(relative.to(dtype))
                pattern = Pattern(n, n, HERE, offset=offset, relative=bias)
                outs.append(kernel_mix(*(x.to(dtype) for x in (q, k, v)), pattern))
            assert outs[0].dtype == torch.float32
            assert (outs[0].double() - outs[1]).abs().max() <= 1e-5


@pytest.mark.parametrize("name", ["keys and their bias, causal", "relative, causal", "dense"])
def test_compiled_whole(name, rng):
    torch._dynamo.reset()
    pattern, _ = pattern_of(rng, PATTERNS[name], 70, 70)
    given = features(rng, 70, 70)

    def mixed(q, k, v):
        return kernel_mix(q, k, v, pattern, direct=0)

    quick = torch.compile(mixed, fullgraph=True, backend="aot_eager")
    for have, want in zip(
        torch.autograd.grad(quick(*given).square().sum(), given),
        torch.autograd.grad(mixed(*given).square().sum(), given),
        strict=True,
    ):
        assert (have - want).abs().max() <= 1e-10
    torch._dynamo.reset()


def test_dropped_values_keep_the_mean(rng):
    v = draw(rng, 2, 3, 4000, 2)
    assert thinned(v, 0.0) is v
    with torch.random.fork_rng():
        torch.manual_seed(5)
        found = thinned(v, 0.25)
    dropped = (found == 0).all(-1)
    share = dropped.double().mean().item()
    assert abs(share - 0.25) <= 5 * math.sqrt(0.25 * 0.75 / dropped.numel())
    kept = found[~dropped] / v[~dropped]
    assert (kept - 4 / 3).abs().max() <= 1e-12
