"""StableMax: the definition, torch's options, and gradients that do not round away."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from softunit.errors import InputError
from softunit.nn.losses import (
    StableMaxCrossEntropy,
    log_stablemax,
    stablemax,
    stablemax_cross_entropy,
)


def plain(z):
    s = torch.where(z >= 0, z + 1, 1 / (1 - z))
    return s / s.sum(1, keepdim=True)


def drawn(rng, *shape, scale=3.0):
    return torch.tensor(scale * rng.standard_normal(shape))


def test_shares_are_those_of_the_definition(rng):
    z = drawn(rng, 7, 5)
    z[0, 0] = 0.0
    torch.testing.assert_close(stablemax(z, 1), plain(z), rtol=1e-14, atol=0)
    torch.testing.assert_close(log_stablemax(z, 1), plain(z).log(), rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(stablemax(z.T, 0), plain(z).T, rtol=1e-14, atol=0)


@pytest.mark.parametrize("form", [stablemax, log_stablemax], ids=["shares", "logs"])
def test_gradients(rng, form):
    z = drawn(rng, 4, 6).requires_grad_()
    assert torch.autograd.gradcheck(form, z)
    assert torch.autograd.gradgradcheck(form, z)


def test_the_derivative_at_zero_is_one():
    z = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(stablemax(z)[0, 0], z)
    torch.testing.assert_close(gradient, torch.tensor([[2.0, -1.0, -1.0]]).double() / 9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_large_scores_stay_finite(dtype):
    z = torch.tensor([[6e4, 5e4, -6e4, 0.0]], dtype=dtype)
    shares = stablemax(z)
    assert shares.dtype == dtype
    assert shares.isfinite().all()
    assert float(shares.sum()) == pytest.approx(1, abs=1e-2)


def test_minus_infinity_has_no_share_and_a_row_of_it_is_zero():
    inf = float("inf")
    z = torch.tensor([[-inf, 1.0, 0.0], [-inf, -inf, -inf]])
    expected = torch.tensor([[0, 2 / 3, 1 / 3], [0.0, 0, 0]])
    torch.testing.assert_close(stablemax(z), expected)


OPTIONS = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"label_smoothing": 0.1},
    {"weight": torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)},
    {
        "weight": torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64),
        "label_smoothing": 0.2,
        "reduction": "mean",
    },
]
SHAPES = [(4,), (6, 4), (3, 4, 5), (2, 4, 3, 2)]


def signed_log(z):
    return z.sign() * z.abs().log1p()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=range(len(OPTIONS)))
@pytest.mark.parametrize("kind", ["classes", "shares"])
def test_it_is_torchs_cross_entropy_of_signed_logarithms(rng, shape, options, kind):
    z = drawn(rng, *shape).requires_grad_()
    axis = min(1, len(shape) - 1)
    if kind == "shares":
        target = torch.softmax(drawn(rng, *shape), axis)
    else:
        place = shape[:axis] + shape[axis + 1 :]
        target = torch.tensor(rng.integers(4, size=place))
    ours = stablemax_cross_entropy(z, target, **options)
    theirs = functional.cross_entropy(signed_log(z), target, **options)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    mine, other = (torch.autograd.grad(loss.sum(), z)[0] for loss in (ours, theirs))
    torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)


def test_ignored_samples_count_nowhere(rng):
    z, target = drawn(rng, 6, 4), torch.tensor([0, 9, 2, 9, 1, 3])
    kept = target != 9
    ours = stablemax_cross_entropy(z, target, ignore_index=9)
    torch.testing.assert_close(ours, stablemax_cross_entropy(z[kept], target[kept]))


def test_neither_loss_nor_gradient_rounds_to_zero():
    z = torch.tensor([[1e6, -1e6, -1e6]], requires_grad=True)
    target = torch.tensor([0])
    loss = stablemax_cross_entropy(z, target)
    (gradient,) = torch.autograd.grad(loss, z)
    assert float(loss.detach()) == pytest.approx(2e-12, rel=1e-5)
    assert float(gradient[0, 0]) == pytest.approx(-2e-18, rel=1e-5)
    hot = torch.tensor([[1.0, 0, 0]])
    assert float(stablemax_cross_entropy(z.detach(), hot)) == pytest.approx(2e-12, rel=1e-5)
    assert float(functional.cross_entropy(signed_log(z.detach()), target)) == 0.0


def test_masked_classes_with_no_share_in_the_target_cost_nothing():
    z = torch.tensor([[1.0, -float("inf"), 0.0]])
    loss = stablemax_cross_entropy(z, torch.tensor([[1.0, 0.0, 0.0]]))
    assert float(loss) == pytest.approx(np.log(1.5), rel=1e-6)


def test_half_precision_gives_a_loss_in_float32(rng):
    z, target = drawn(rng, 6, 4).half(), torch.tensor([0, 1, 2, 3, 1, 0])
    loss = stablemax_cross_entropy(z, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, stablemax_cross_entropy(z.float(), target))


def test_the_module_is_the_function(rng):
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    module = StableMaxCrossEntropy(weight, ignore_index=2, reduction="sum")
    z, target = drawn(rng, 6, 4), torch.tensor([0, 1, 2, 3, 1, 0])
    expected = stablemax_cross_entropy(z, target, weight, ignore_index=2, reduction="sum")
    assert torch.equal(module(z, target), expected)
    assert torch.equal(copy.deepcopy(module).float().weight, weight.float())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_compiles_whole(rng):
    z, target = drawn(rng, 6, 4).requires_grad_(), torch.tensor([0, 1, 2, 3, 1, 0])
    compiled = torch.compile(stablemax_cross_entropy, fullgraph=True, backend="aot_eager")
    ours = torch.autograd.grad(compiled(z, target), z)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(stablemax_cross_entropy(z, target), z)[0])


@pytest.mark.parametrize("shares", [stablemax, log_stablemax])
def test_axes_are_those_of_torch(shares):
    z = torch.zeros(2, 3)
    for wrong in (5, -3):
        with pytest.raises(InputError, match=f"`dim` {wrong} is no axis of scores"):
            shares(z, wrong)
    with pytest.raises(InputError, match="`dim` must be an integer"):
        shares(z, "a")
    assert torch.equal(shares(z, np.int64(0)), shares(z, 0))
    assert shares(torch.zeros(4, 0)).shape == (4, 0)
    assert shares(torch.zeros(0, 4)).shape == (0, 4)
    assert float(shares(torch.tensor(2.0))) == (1 if shares is stablemax else 0)


def test_plus_infinity_counts_as_the_largest_number():
    z = torch.tensor([[float("inf"), 0.0, 1.0], [float("inf"), float("inf"), 0.0]])
    torch.testing.assert_close(stablemax(z), torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0]]))
    assert torch.isfinite(log_stablemax(z)).all()
    z.requires_grad_()
    for smoothing in (0.0, 0.1):
        loss = stablemax_cross_entropy(z, torch.tensor([0, 2]), label_smoothing=smoothing)
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, z)[0]).all()


def test_options_may_be_numbers_of_numpy():
    given = SCORES, CLASSES
    options = {"ignore_index": np.int64(1), "label_smoothing": np.float32(0.25)}
    expected = stablemax_cross_entropy(*given, ignore_index=1, label_smoothing=0.25)
    assert torch.equal(stablemax_cross_entropy(*given, **options), expected)


def test_the_module_checks_its_options_when_it_is_built():
    with pytest.raises(InputError, match="`weight` must be a torch tensor; got list"):
        StableMaxCrossEntropy([1.0])
    with pytest.raises(InputError, match="`ignore_index` must be an integer"):
        StableMaxCrossEntropy(ignore_index=None)


SCORES = torch.zeros(3, 4)
CLASSES = torch.tensor([0, 1, 2])
WRONG = [
    ((SCORES, CLASSES, None), {"reduction": "avg"}, "`reduction` must be.*'avg'"),
    ((SCORES, CLASSES, None), {"label_smoothing": 1.5}, r"\[0, 1\]; got 1.5"),
    ((SCORES, CLASSES, torch.ones(3)), {}, "each of 4 classes"),
    ((SCORES, torch.tensor([0, 1]), None), {}, r"shape \(3,\).*got \(2,\)"),
    ((SCORES, torch.tensor([0, 1, 4]), None), {}, "classes 0 to 3.*got 4"),
    ((SCORES, CLASSES.int(), None), {}, "int64; got torch.int32"),
    ((SCORES, torch.ones(3), None), {}, r"shape of the scores, \(3, 4\)"),
    ((SCORES.long(), CLASSES, None), {}, "floating dtype; got torch.int64"),
    ((SCORES, [0, 1, 2], None), {}, "`target` must be a torch tensor; got list"),
    ((torch.tensor(1.0), torch.tensor(0), None), {}, "axis of classes"),
    ((SCORES, CLASSES, np.ones(4)), {}, "`weight` must be a torch tensor; got ndarray"),
    ((SCORES, CLASSES, [1.0] * 4), {}, "`weight` must be a torch tensor; got list"),
    ((SCORES, CLASSES, torch.ones(4, device="meta")), {}, "`weight` is on meta.*on cpu"),
    ((SCORES, CLASSES.to("meta"), None), {}, "`target` is on meta.*on cpu"),
    ((SCORES, CLASSES, None), {"label_smoothing": "a"}, "`label_smoothing` must be.*'a'"),
    ((SCORES, CLASSES, None), {"label_smoothing": None}, "`label_smoothing` must be.*None"),
    ((SCORES, CLASSES, None), {"ignore_index": None}, "`ignore_index` must be.*None"),
    ((SCORES, CLASSES, None), {"ignore_index": 1.0}, r"`ignore_index` must be.*1\.0"),
    ((torch.zeros(3, 0), CLASSES, None), {}, r"at least one class; got shape \(3, 0\)"),
]


@pytest.mark.parametrize(("given", "options", "words"), WRONG, ids=range(len(WRONG)))
def test_bad_input_is_a_sentence(given, options, words):
    with pytest.raises(InputError, match=words):
        stablemax_cross_entropy(*given, **options)
