"""SOFT: the landmark form and the exact kernel against their definitions, and what is refused."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from softunit.errors import InputError, SoftunitWarning
from softunit.nn.attention import RelativeBias, Soft, attend, step, weights
from softunit.nn.attention import soft as soft_file
from softunit.nn.attention._landmarks import segment_means
from tests.nn.draws import agree, agree_compiled, draw


def some_keys(rng, batch, m):
    mask = torch.from_numpy(rng.random((batch, 1, 1, m)) < 0.6)
    mask[..., 0] = True
    return mask


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("normalisation", ["symmetric", "rows", "none"])
@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 5), (2, 2, 1), (63, 100, 5), (257, 257, 24)])
def test_landmarks_equal_the_definition(rng, dtype, normalisation, n, m, d):
    unit = Soft(normalisation=normalisation)
    tensors = draw(rng, (2, 2, n, d), (2, 2, m, d), (2, 2, m, 3))
    agree(rng, tensors, dtype, unit=unit)
    (bias,) = draw(rng, (2, 1, 1, m))
    agree(rng, tensors, dtype, unit=unit, mask=some_keys(rng, 2, m), bias=bias)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("normalisation", ["symmetric", "rows", "none"])
@pytest.mark.parametrize("held", [1 << 22, 900])
def test_the_exact_kernel_equals_the_definition(rng, monkeypatch, dtype, normalisation, held):
    monkeypatch.setattr(soft_file, "HELD", held)
    unit = Soft(landmarks=None, normalisation=normalisation)
    n, m, d = 23, 37, 5
    tensors = draw(rng, (2, 2, n, d), (2, 2, m, d), (2, 2, m, 3))
    entries = torch.from_numpy(rng.random((n, m)) < 0.5)
    entries[3] = False
    full, distance = draw(rng, (n, m), (n + m - 1,))
    agree(rng, tensors, dtype, unit=unit)
    agree(rng, tensors, dtype, unit=unit, mask=entries, bias=full)
    agree(rng, tensors, dtype, unit=unit, mask=some_keys(rng, 2, m), bias=distance)
    if normalisation != "symmetric":
        agree(rng, tensors, dtype, unit=unit, causal="bottom-right", mask=some_keys(rng, 2, m))


def test_the_scale_is_the_kernel_of_the_paper(rng):
    q, k = draw(rng, (1, 1, 4, 16), (1, 1, 6, 16))
    apart = torch.cdist(q, k).square()
    found = weights(q, k, unit=Soft(landmarks=None, normalisation="none"))
    torch.testing.assert_close(found, torch.exp(-apart / (2 * math.sqrt(16))))


def test_the_symmetric_normalisation_is_that_of_rows_and_columns(rng):
    q, k = draw(rng, (1, 1, 7, 3), (1, 1, 9, 3))
    plain = weights(q, k, unit=Soft(landmarks=None, normalisation="none"))
    want = plain / (plain.sum(-1, keepdim=True) * plain.sum(-2, keepdim=True)).sqrt()
    torch.testing.assert_close(weights(q, k, unit=Soft(landmarks=None)), want)
    assert float(torch.linalg.matrix_norm(want, 2)) <= 1 + 1e-12


def test_as_many_landmarks_as_keys_and_no_ridge_are_the_exact_kernel(rng):
    q, k, v = draw(rng, (1, 2, 12, 4), (1, 2, 9, 4), (1, 2, 9, 2))
    unit = Soft(landmarks=9, ridge=0.0, iterations=30)
    found = attend(q, k, v, unit=unit)
    torch.testing.assert_close(
        found, attend(q, k, v, unit=Soft(landmarks=None)), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("padding", ["keys", "both"])
@pytest.mark.parametrize("landmarks", [None, "auto", 5])
def test_masked_keys_are_as_if_not_given(rng, landmarks, padding):
    """Also where landmarks are as many as the keys that are left, or more."""
    q, k, v = draw(rng, (1, 2, 13, 4), (1, 2, 11, 4), (1, 2, 11, 3))
    unit = Soft(landmarks=landmarks, padding=padding)
    for left in (1, 4, 5, 10):
        seen = torch.zeros(11, dtype=torch.bool)
        seen[torch.from_numpy(rng.permutation(11)[:left])] = True
        found = attend(q, k, v, unit=unit, mask=seen.view(1, 1, 1, 11))
        fewer = Soft(landmarks=min(left, 5) if landmarks == 5 else landmarks, padding=padding)
        want = attend(q, k[:, :, seen], v[:, :, seen], unit=fewer)
        torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("landmarks", [None, "auto"])
def test_padding_of_self_attention_moves_nothing(rng, landmarks):
    (x,) = draw(rng, (1, 1, 12, 4))
    seen = torch.arange(12) < 8
    where = {"mask": seen.view(1, 1, 1, 12)}
    other = x.clone()
    other[:, :, 8:] = 3.0
    both = Soft(landmarks=landmarks, padding="both")
    found = attend(x, x, x, unit=both, **where)[:, :, :8]
    torch.testing.assert_close(found, attend(other, other, other, unit=both, **where)[:, :, :8])
    torch.testing.assert_close(found, attend(*[x[:, :, :8]] * 3, unit=both), rtol=1e-10, atol=1e-10)
    keys = Soft(landmarks=landmarks)
    moved = attend(other, other, other, unit=keys, **where) - attend(x, x, x, unit=keys, **where)
    assert float(moved[:, :, :8].abs().max()) > 1e-4


@pytest.mark.parametrize(
    "unit",
    [Soft(), Soft(landmarks=None), Soft(normalisation="rows")],
    ids=["landmarks", "exact", "rows"],
)
def test_nothing_seen_is_zero_in_output_and_gradients(rng, unit):
    tensors = [x.requires_grad_() for x in draw(rng, (2, 1, 5, 3), (2, 1, 7, 3), (2, 1, 7, 2))]
    mask = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    mask[1] = False
    out = attend(*tensors, unit=unit, mask=mask)
    assert not out[1].any()
    assert out[0].abs().min() > 0
    for gradient in torch.autograd.grad(out.sum(), tensors):
        assert not gradient[1].any()
        assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("unit", [Soft(), Soft(landmarks=None)], ids=["landmarks", "exact"])
def test_far_points_stay_finite(rng, unit):
    tensors = [
        (100 * x).requires_grad_()
        for x in draw(rng, (1, 1, 9, 4), (1, 1, 60, 4), (1, 1, 60, 2), dtype=torch.float32)
    ]
    bias = torch.full((1, 1, 1, 60), 1e4, dtype=torch.float32)
    bias[..., ::2] = -1e4
    out = attend(*tensors, unit=unit, bias=bias)
    for x in (out, *torch.autograd.grad(out.square().sum(), tensors)):
        assert bool(torch.isfinite(x).all())


def test_gradcheck(rng):
    q, k, v = (x.requires_grad_() for x in draw(rng, (1, 2, 3, 2), (1, 2, 7, 2), (1, 2, 7, 2)))
    for unit in (Soft(landmarks=3), Soft(landmarks=None), Soft(landmarks=3, normalisation="rows")):
        assert torch.autograd.gradcheck(
            lambda q, k, v, unit=unit: attend(q, k, v, unit=unit), (q, k, v)
        )


@pytest.mark.parametrize(
    "unit", [Soft(landmarks=4), Soft(landmarks=None)], ids=["landmarks", "exact"]
)
def test_it_compiles_whole(rng, unit):
    tensors = draw(rng, (1, 2, 6, 3), (1, 2, 10, 3), (1, 2, 10, 2))
    mask = some_keys(rng, 1, 10)
    agree_compiled(tensors, unit=unit, mask=mask)


def test_segments_are_in_order_and_even():
    k = torch.arange(10.0, dtype=torch.float64).view(1, 1, 10, 1)
    marks, there = segment_means(k, None, 4)
    # Runs of 3, 2, 3, 2.
    assert marks.flatten().tolist() == [1.0, 3.5, 6.0, 8.5]
    assert there is None
    seen = torch.tensor([0, 1, 1, 0, 0, 0, 1, 0, 0, 0], dtype=torch.bool).view(1, 1, 1, 10)
    marks, there = segment_means(k, seen, 4)
    assert there is not None
    assert there.flatten().tolist() == [1, 1, 1, 0]
    assert marks.flatten().tolist() == [1.0, 2.0, 6.0, 0.0]


def test_few_iterations_are_told_and_enough_are_not(rng):
    tensors = draw(rng, (1, 1, 60, 2), (1, 1, 60, 2), (1, 1, 60, 2))
    with pytest.warns(SoftunitWarning, match=r"left \|I - A X\| = .* after 4 Newton iterations"):
        attend(*tensors, unit=Soft(iterations=4))
    with pytest.warns(SoftunitWarning, match="from 'matrix' for 2 landmarks"):
        attend(*(x[:, :, :2] for x in tensors), unit=Soft(start="matrix"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attend(*tensors, unit=Soft(ridge=1e-4, iterations=30))


def test_what_landmarks_cannot_do_is_refused(rng):
    tensors = draw(rng, (1, 1, 6, 2), (1, 1, 6, 2), (1, 1, 6, 2))
    square = torch.ones(6, 6, dtype=torch.bool)
    with pytest.raises(InputError, match="7 landmarks for 6 keys"):
        attend(*tensors, unit=Soft(landmarks=7))
    with pytest.raises(InputError, match="landmarks are means over all keys"):
        attend(*tensors, unit="soft", causal=True)
    with pytest.raises(InputError, match="a column goes over later queries"):
        attend(*tensors, unit=Soft(landmarks=None), causal=True)
    with pytest.raises(InputError, match="masks and biases of keys alone"):
        attend(*tensors, unit="soft", mask=square)
    with pytest.raises(InputError, match="masks and biases of keys alone"):
        attend(*tensors, unit="soft", bias=RelativeBias(torch.zeros(11, dtype=torch.float64)))
    with pytest.raises(InputError, match="no recurrent form"):
        step(*tensors, unit=Soft(landmarks=None, normalisation="rows"))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"landmarks": 0}, "`landmarks` must be .*; got 0"),
        ({"normalisation": "both"}, "`normalisation` must be one of .*; got 'both'"),
        ({"start": "zero"}, "`start` must be one of .*; got 'zero'"),
        ({"padding": "none"}, "`padding` must be one of .*; got 'none'"),
        ({"ridge": -1.0}, "`ridge` must be a finite number of at least 0; got -1.0"),
        ({"floor": 0.0}, "`floor` must be a finite number above 0; got 0.0"),
        ({"iterations": 0}, "`iterations` must be .*; got 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_out_of_range_are_refused(settings, match):
    with pytest.raises(InputError, match=match):
        Soft(**settings)


def test_dropout_drops_values_or_weights(rng):
    q, k = draw(rng, (1, 1, 4, 3), (1, 1, 30, 3))
    v = torch.ones(1, 1, 30, 1, dtype=torch.float64)
    for unit in (Soft(), Soft(landmarks=None)):
        whole = attend(q, k, v, unit=unit)
        with torch.random.fork_rng():
            torch.random.default_generator.manual_seed(5)
            thin = torch.stack([attend(q, k, v, unit=unit, dropout=0.5) for _ in range(300)])
        assert float((thin[0] - whole).abs().max()) > 1e-3
        torch.testing.assert_close(thin.mean(0), whole, rtol=0.1, atol=0.0)


def test_only_landmarks_are_linear():
    assert Soft().linear
    assert not Soft(landmarks=None).linear
