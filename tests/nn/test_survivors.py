"""Small faults that whole comparisons miss, because both sides of them would share the fault."""

from __future__ import annotations

import pytest
import torch

from softunit.errors import InputError, SoftunitWarning
from softunit.nn.attention import (
    AttentionUnit,
    Hydra,
    Kernelized,
    MultiheadAttention,
    RelativeBias,
    Soft,
    attend,
    reference,
    semiseparable,
    step,
    weights,
)
from softunit.nn.attention._inputs import pattern_of
from softunit.nn.attention._kernel_sums import kernel_mix
from softunit.nn.losses import (
    CollapseMonitor,
    SoftmaxCollapseWarning,
    StableMaxCrossEntropy,
    softmax_collapse,
    stablemax,
    stablemax_cross_entropy,
)
from softunit.nn.optim import PerpendicularGradient
from softunit.nn.softmax import _compiled, two_pass_softmax, two_pass_softmax_numpy
from tests.nn.cases import CASES, Call, normal

STEPPING = [case for case in CASES if type(case.unit).step is not AttentionUnit.step]


@pytest.mark.parametrize("rows", [(1, 1), (5, 5), (1, 5), (5, 1)])
@pytest.mark.parametrize("causal", [False, True])
def test_a_mask_and_a_bias_of_minus_infinity_hide_both(rows, causal, rng):
    q, k, v = normal(rng, 1, 1, 5, 3), normal(rng, 1, 1, 6, 3), normal(rng, 1, 1, 6, 2)
    mask = torch.ones(1, 1, rows[0], 6, dtype=torch.bool)
    bias = torch.zeros(1, 1, rows[1], 6, dtype=torch.float64)
    mask[..., 1], bias[..., 4] = False, -torch.inf
    found = weights(q, k, mask=mask, bias=bias)
    kept = [0, 2, 3, 5]
    assert (found[..., [1, 4]] == 0).all()
    torch.testing.assert_close(found[..., kept], weights(q, k[:, :, kept]))
    where = {"unit": "sigmoid", "causal": causal}
    torch.testing.assert_close(
        attend(q, k, v, mask=mask, bias=bias, **where),
        attend(q, k, v, mask=mask & ~bias.isneginf(), **where),
    )


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("function", [reference, weights], ids=["reference", "weights"])
def test_autocast_does_not_reach_inside_the_definition(case, function, rng):
    (q, k, v), how = Call((2, 2, 9, 9, 5, 3)).tensors(case, rng, torch.float32)
    given = (q, k) if function is weights else (q, k, v)
    wanted = function(*given, unit=case.unit, **how)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = function(*given, unit=case.unit, **how)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", STEPPING, ids=str)
def test_autocast_does_not_reach_inside_steps(case, rng):
    tensors, _ = Call((2, 2, 9, 9, 5, 3)).tensors(case, rng, torch.float32)
    wanted, _ = step(*tensors, unit=case.unit)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = step(*tensors, unit=case.unit)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", STEPPING, ids=str)
def test_steps_take_the_scale_of_the_caller(case, rng):
    tensors, how = Call((2, 3, 11, 11, 5, 4), causal=True).tensors(case, rng, torch.float64)
    wanted = attend(*tensors, unit=case.unit, scale=0.37, **how)
    assert (wanted - attend(*tensors, unit=case.unit, **how)).abs().max() > 1e-3
    state, outs = None, []
    for parts in zip(*(x.split(4, 2) for x in tensors), strict=True):
        out, state = step(*parts, state, unit=case.unit, scale=0.37)
        outs.append(out)
    torch.testing.assert_close(torch.cat(outs, 2), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(0, 4), (3, 0), (0, 0)])
def test_weights_of_no_tokens_have_the_shape_of_all_pairs(n, m):
    q, k = torch.ones(2, 1, n, 5), torch.ones(2, 1, m, 5)
    assert weights(q, k).shape == (2, 1, n, m)


@pytest.mark.parametrize("mask", ["none", "keys", "rows", "each", "empty keys", "empty rows"])
@pytest.mark.parametrize("causal", [False, True, "bottom-right"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 9), (9, 5)])
def test_what_is_counted_is_what_is_visible(mask, causal, n, m, rng):
    """Both sides of a comparison take the count from here, so it is held to the mask itself."""
    q, k = normal(rng, 2, 3, n, 2), normal(rng, 2, 3, m, 2)
    seen = Call((2, 3, n, m, 2, 2), mask)._mask(rng)
    pattern = pattern_of(q, k, seen, causal, RelativeBias(normal(rng, n + m - 1)))
    shown = torch.ones(2, 3, n, m, dtype=torch.bool) if seen is None else seen.expand(2, 3, n, m)
    if causal:
        last = torch.arange(n)[:, None] + (m - n if causal == "bottom-right" else 0)
        shown = shown & (torch.arange(m) <= last)
    counts = pattern.counts().expand(2, 3, n, 1)
    assert torch.equal(counts, shown.sum(-1, keepdim=True))


# Kernels -------------------------------------------------------------------------------------


def test_a_sum_of_weights_whose_reciprocal_overflows_is_zero():
    one = torch.ones(1, 1, 4, 2)
    pattern = pattern_of(one, one, None, False, None)
    q = (1e-37 * one).requires_grad_()
    out = kernel_mix(q, one, one, pattern)
    (gradient,) = torch.autograd.grad(1e3 * out.sum(), q)
    assert (out == 0).all()
    assert (gradient == 0).all()


def test_transforms_give_exact_zeros_where_nothing_is_seen(rng):
    x = normal(rng, 1, 1, 9, 3)
    mask = torch.arange(9) > 3
    bias = RelativeBias(normal(rng, 17))
    pattern = pattern_of(x, x, mask, True, bias)
    out = kernel_mix(x, x, x, pattern, normalise=False, direct=0)
    assert (out[:, :, :4] == 0).all()
    assert (out[:, :, 4:] != 0).all()


@pytest.mark.parametrize("where", ["a masked key", "the future"])
def test_a_bias_that_nobody_sees_shifts_nothing(where, rng):
    """Exponents are shifted by the largest: of what is seen, or all the rest would vanish."""
    q, k, v = (normal(rng, 1, 2, 9, 3) for _ in range(3))
    mask, bias, causal = None, normal(rng, 17), where == "the future"
    if causal:
        bias[9:] += 2000.0
        added = RelativeBias(bias)
    else:
        mask, added = torch.arange(9) != 4, torch.zeros(9, dtype=torch.float64)
        added[4] = 2000.0
    how = {"mask": mask, "bias": added, "causal": causal, "unit": Kernelized(direct=0)}
    torch.testing.assert_close(attend(q, k, v, **how), reference(q, k, v, **how))
    assert (attend(q, k, v, **how) != 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("iterations", [3, 12])
def test_an_inverse_that_is_not_reached_is_told_in_every_precision(dtype, iterations):
    """Keys that are all the same are as far as keys can be from what is proven."""
    x = torch.ones(1, 1, 60, 3, dtype=dtype)
    x = x + 1e-3 * torch.linspace(0, 1, 60, dtype=dtype)[:, None]
    with pytest.warns(SoftunitWarning, match=f"after {iterations} Newton iterations"):
        attend(x, x, x, unit=Soft(iterations=iterations))


# Recurrences ---------------------------------------------------------------------------------


def test_a_long_memory_in_half_precision_is_summed_in_float32():
    """Decays near one: what is rounded at each chunk would add up over the chunks."""
    n = 3000
    one = torch.ones(1, 1, n, 1, dtype=torch.bfloat16)
    log_decay = torch.full((1, 1, n), -0.003, dtype=torch.bfloat16)
    found = semiseparable(one, one, log_decay, one)
    wanted = semiseparable(*(x.double() for x in (one, one, log_decay, one)))
    assert (found - wanted).abs().max() <= 2**-8 * wanted.abs().max()


def recurrence(c, b, log_decay, x):
    """h_i = exp(log_decay_i) h_{i-1} + b_i x_i', y_i = h_i' c_i, for one head, token by token."""
    state, rows = torch.zeros(b.shape[-1], x.shape[-1], dtype=x.dtype), []
    for i in range(len(x)):
        state = log_decay[i].exp() * state + b[i][:, None] * x[i]
        rows.append(c[i] @ state)
    return torch.stack(rows)


@pytest.mark.parametrize("causal", [False, True])
def test_a_layer_is_the_formula_of_its_text(causal, rng):
    """Forward and dense form share what stands before and behind the mixing."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = Hydra(
            6, state=3, heads=2, expand=2, convolution=3, causal=causal, dtype=torch.float64
        )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * normal(rng, *parameter.shape)
        x, inner, n = normal(rng, 1, 9, 6), 12, 9
        gate, channels, steps = (x[0] @ made.into.weight.T).split(made.sizes, -1)
        padded = torch.nn.functional.pad(channels, (0, 0, *((2, 0) if causal else (1, 1))))
        mixed = sum(padded[t : t + n] * made.taps[:, 0, t] for t in range(3)) + made.taps_bias
        mixed = mixed * torch.sigmoid(mixed)
        values, *read = mixed.split([inner, *[3] * (2 if causal else 4)], -1)
        dt = torch.log1p(torch.exp(steps + made.step_bias))
        heads = []
        for h in range(2):
            own = values[:, 6 * h : 6 * h + 6]
            decay = -made.log_rate[h].exp()
            y = recurrence(read[1], read[0], decay * dt[:, h], dt[:, h, None] * own)
            if not causal:
                y = torch.cat([torch.zeros_like(y[:1]), y[:-1]])
                turned = [t.flip(0) for t in (read[3], read[2], dt[:, 2 + h], own)]
                back = recurrence(
                    turned[0], turned[1], decay * turned[2], turned[2][:, None] * turned[3]
                )
                y = y + torch.cat([torch.zeros_like(y[:1]), back[:-1]]).flip(0)
            skip = values @ made.skip.weight[h] + made.skip.bias[h]
            heads.append(y + skip[:, None] * own)
        y = torch.cat(heads, -1)
        y = y / (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        wanted = (y * made.gain * gate * torch.sigmoid(gate)) @ made.out.weight.T
        torch.testing.assert_close(made(x)[0], wanted, rtol=1e-10, atol=1e-12)


def test_no_time_passes_at_padding_between_tokens(rng):
    with torch.random.fork_rng():
        torch.manual_seed(6)
        made = Hydra(4, state=3, heads=2, convolution=1, causal=True, dtype=torch.float64)
    with torch.no_grad():
        made.step_bias += 3.0  # so that memory fades within a few tokens
        x = normal(rng, 1, 8, 4)
        padding = torch.tensor([[False, False, True, True, False, True, False, False]])
        found = made(x, padding)[~padding]
        torch.testing.assert_close(found, made(x[~padding][None])[0], rtol=1e-10, atol=1e-12)


# Softmax in two sweeps -----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["numpy", "torch", "c"])
@pytest.mark.parametrize("low", [-torch.inf, -1e4])
def test_a_first_chunk_far_below_the_others_is_rescaled(form, low, rng):
    scores = (1e4 + normal(rng, 2, 3 * 4096)).float()
    scores[:, :4096] = low
    if form == "numpy":
        found = torch.from_numpy(two_pass_softmax_numpy(scores.numpy(), block=4096))
    else:
        found = two_pass_softmax(scores, compiled=form == "c")
    wanted = torch.softmax(scores.double(), -1)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=0)


def test_parts_of_a_long_row_are_joined_by_their_exponents(rng):
    scores = normal(rng, 6000).float()
    scores[:2000] -= 40.0
    scores[4000:] += 30.0
    out = torch.empty_like(scores)
    _compiled._one_row(scores, out, 3)
    wanted = torch.softmax(scores.double(), -1)
    torch.testing.assert_close(out.double(), wanted, rtol=1e-6, atol=0)


# Losses and optimisers -----------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_ignored_class_is_ignored_with_smoothing_too(smoothing, rng):
    scores, target = normal(rng, 6, 4), torch.tensor([0, 3, 2, 3, 1, 0])
    kept = target != 3
    found = stablemax_cross_entropy(scores, target, ignore_index=3, label_smoothing=smoothing)
    wanted = stablemax_cross_entropy(scores[kept], target[kept], label_smoothing=smoothing)
    torch.testing.assert_close(found, wanted)
    module = StableMaxCrossEntropy(ignore_index=3, label_smoothing=smoothing)
    assert torch.equal(module(scores, target), found)


def test_weights_may_be_in_half_precision_as_the_scores(rng):
    scores, target = normal(rng, 6, 4).half(), torch.tensor([0, 1, 2, 3, 1, 0])
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0])
    found = stablemax_cross_entropy(scores, target, weight.half())
    torch.testing.assert_close(found, stablemax_cross_entropy(scores.float(), target, weight))


def test_shares_of_the_largest_numbers_do_not_overflow():
    found = stablemax(torch.tensor([[3e38, 3e38, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5, 0.0]]))


def test_a_class_below_zero_is_refused_with_a_sentence():
    with pytest.raises(InputError, match=r"classes 0 to 2.*got -1"):
        stablemax_cross_entropy(torch.zeros(2, 3), torch.tensor([0, -1]))


def test_the_median_margin_is_no_mean():
    scores = torch.tensor([[2.0, 0.0], [3.0, 0.0], [40.0, 0.0]])
    report = softmax_collapse(scores, torch.zeros(3, dtype=torch.int64))
    assert report.median_margin == pytest.approx(3.0)


def test_the_monitor_warns_at_its_share_and_leaves_out_what_is_ignored():
    scores = torch.tensor([[99.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    monitor = CollapseMonitor(0.5, ignore_index=1)
    with pytest.warns(SoftmaxCollapseWarning, match="50% of 2 samples"):
        report = monitor(scores, torch.tensor([0, 0, 1]))
    assert (report.samples, report.zero_loss) == (2, 0.5)


@pytest.mark.parametrize(("dtype", "bar"), [(torch.float16, 1e-3), (torch.bfloat16, 8e-3)], ids=str)
def test_projections_of_large_tensors_in_half_precision_are_summed_in_float32(dtype, bar):
    """The squares of 90,000 ones are more than float16 can hold."""
    parameter = torch.nn.Parameter(torch.ones(300, 300, dtype=dtype))
    across = torch.linspace(-1, 1, 90_000).reshape(300, 300)
    parameter.grad = (across + 0.5).to(dtype)
    PerpendicularGradient(torch.optim.SGD([parameter], lr=0.1)).project()
    torch.testing.assert_close(parameter.grad.float(), across, rtol=0, atol=2 * bar)


def test_a_double_beside_halves_keeps_its_digits(rng):
    half = torch.nn.Parameter(normal(rng, 4).bfloat16())
    wide = torch.nn.Parameter(normal(rng, 50))
    half.grad, wide.grad = normal(rng, 4).bfloat16(), normal(rng, 50)
    PerpendicularGradient(torch.optim.SGD([half, wide], lr=0.1)).project()
    assert abs(float(wide.detach() @ wide.grad)) <= 1e-13


# Modules -------------------------------------------------------------------------------------


def test_a_learned_mask_that_begins_at_zero_has_a_gradient(rng):
    made = MultiheadAttention(4, 2, batch_first=True, dtype=torch.float64)
    x = normal(rng, 1, 5, 4)
    added = torch.zeros(5, 5, dtype=torch.float64, requires_grad=True)
    out, _ = made(x, x, x, attn_mask=added, need_weights=False)
    (gradient,) = torch.autograd.grad(out.square().sum(), added)
    assert gradient.abs().max() > 0
