"""The Hydra layer is its dense matrices; its causal sibling is its steps."""

from __future__ import annotations

import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import Hydra

LIMITS = {torch.float64: 1e-12, torch.float32: 1e-5}


def layer(dtype=torch.float64, **settings):
    """Return a layer with a different number in each parameter."""
    given = {"state": 5, "heads": 3, "convolution": 3, "chunk": 8} | settings
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        made = Hydra(6, dtype=dtype, **given)
        for parameter in made.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, dtype=dtype)
    return made


def tokens(rng, n, dtype=torch.float64):
    return torch.from_numpy(rng.standard_normal((2, n, 6))).to(dtype)


def gradients(made, function, x, *more):
    made.zero_grad()
    x = x.detach().requires_grad_()
    out = function(x, *more)
    out.square().sum().backward()
    named = {name: p.grad for name, p in made.named_parameters()}
    return {"out": out.detach(), "x": x.grad, **named}


def assert_equal(found, wanted, limit):
    assert found.keys() == wanted.keys()
    for name, want in wanted.items():
        assert torch.isfinite(found[name]).all(), name
        off = (found[name] - want).abs().max()
        assert off <= limit * want.abs().max().clamp(min=1.0), name


@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", [1, 2, 63, 100, 257])
def test_it_is_its_dense_form(n, causal, dtype, rng):
    made, x = layer(dtype, causal=causal), tokens(rng, n, dtype)
    padding = torch.zeros(2, n, dtype=torch.bool)
    padding[1, n // 2 :] = True
    for more in ((), (padding,)):
        wanted = gradients(made, made.reference, x, *more)
        assert_equal(gradients(made, made, x, *more), wanted, LIMITS[dtype])


@pytest.mark.parametrize("causal", [False, True])
def test_padding_changes_nothing(causal, rng):
    made, x = layer(causal=causal), tokens(rng, 20)
    padding = torch.ones(2, 20, dtype=torch.bool)
    padding[0, :13], padding[1, 4:17] = False, False
    found = made(x, padding)
    torch.testing.assert_close(found[:1, :13], made(x[:1, :13]))
    torch.testing.assert_close(found[1:, 4:17], made(x[1:, 4:17]))
    assert not found[padding].any()


def test_nothing_but_padding_gives_zeros(rng):
    made, x = layer(), tokens(rng, 9)
    found = gradients(made, made, x, torch.ones(2, 9, dtype=torch.bool))
    assert all(torch.isfinite(t).all() and not t.any() for t in found.values())


@pytest.mark.parametrize("sizes", [[1] * 25, [4, 1, 20]], ids=["ones", "some"])
@pytest.mark.parametrize("convolution", [1, 4])
def test_steps_are_the_causal_layer(sizes, convolution, rng):
    made, x = layer(causal=True, convolution=convolution), tokens(rng, 25)
    state, outputs = None, []
    for part in x.split(sizes, 1):
        y, state = made.step(part, state)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, 1), made(x))
    assert state.window.shape[1] == convolution - 1


def test_which_tokens_a_token_depends_on(rng):
    for causal, seen in ((False, 12), (True, 6)):
        made, x = layer(causal=causal), tokens(rng, 12).requires_grad_()
        made(x)[0, 5].sum().backward()
        assert (x.grad[0].abs().sum(-1) > 0).tolist() == [i < seen for i in range(12)]


def test_the_diagonal_is_free(rng):
    """Without a diagonal and a convolution, a token gives nothing to itself."""
    made, x = layer(convolution=1), tokens(rng, 7)
    with torch.no_grad():
        made.skip.weight.zero_()
        made.skip.bias.zero_()
    kept = {}

    def keep(parts):
        kept["mixed"] = Hydra.mix(made, parts)
        return kept["mixed"]

    made.mix = keep
    made(x)
    before = kept["mixed"][0, :, 3].clone()
    alone = x[:1, 3:4]
    made(alone)
    assert not kept["mixed"].any()
    assert before.abs().min() > 0


def test_gradcheck(rng):
    made = layer(state=2, chunk=2)
    x = tokens(rng, 5)[:1].requires_grad_()
    assert torch.autograd.gradcheck(made, (x,))


@pytest.mark.parametrize("causal", [False, True])
def test_it_compiles_whole(causal, rng):
    torch._dynamo.reset()
    made, x = layer(causal=causal), tokens(rng, 21)
    compiled = torch.compile(made, fullgraph=True, backend="aot_eager", dynamic=False)
    assert_equal(gradients(made, compiled, x), gradients(made, made, x), 1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_summed_in_float32(dtype, rng):
    made, x = layer(dtype), tokens(rng, 300, dtype)
    found = made(x)
    assert found.dtype == dtype
    wanted = made.double()(x.double())
    assert (found - wanted).abs().max() <= 0.05 * wanted.abs().max()


def test_time_steps_start_spread(rng):
    made = Hydra(8, heads=4)
    steps = torch.nn.functional.softplus(made.step_bias.detach())
    wanted = [0.001, 0.1 ** (7 / 3), 0.1 ** (5 / 3), 0.1]
    assert steps.tolist() == pytest.approx(2 * wanted, rel=1e-4)
    assert made.step_bias.dtype == torch.float32


def test_bad_settings_and_inputs_are_refused(rng):
    for setting in ("state", "heads", "expand", "convolution"):
        with pytest.raises(
            InputError, match=f"`{setting}` must be an integer of at least 1; got 0"
        ):
            Hydra(6, **{setting: 0})
    with pytest.raises(InputError, match=r"must be odd in both directions.*got 4"):
        Hydra(6, convolution=4)
    with pytest.raises(InputError, match=r"must divide expand . dim = 12 channels; got 5"):
        Hydra(6, heads=5)
    made, x = layer(), tokens(rng, 4)
    with pytest.raises(InputError, match=r"no steps.*causal=True"):
        made.step(x)
    with pytest.raises(InputError, match=r"with dim = 6; got \(2, 4, 5\)"):
        made(x[..., :5])
    with pytest.raises(InputError, match="at least one token"):
        made(x[:, :0])
    with pytest.raises(InputError, match=r"must be bool.*float64"):
        made(x, torch.zeros(2, 4, dtype=torch.float64))
    with pytest.raises(
        InputError, match=r"of shape \(batch, n\) = \(2, 4\); got torch.bool of shape \(2, 1\)"
    ):
        made(x, torch.zeros(2, 1, dtype=torch.bool))


def test_settings_and_tensors_of_other_kinds_are_refused(rng):
    for settings, said in (
        ({"dim": 12.0}, "`dim` must be an integer of at least 1; got 12.0"),
        ({"chunk": 2.5}, "`chunk` must be an integer of at least 2; got 2.5"),
        ({"causal": "no"}, "`causal` must be True or False; got 'no'"),
        ({"dtype": torch.int64}, "`dtype` must be a floating torch.dtype.*int64"),
    ):
        with pytest.raises(InputError, match=said):
            Hydra(**{"dim": 12} | settings)
    made, x = layer(), tokens(rng, 4)
    for given, said in (
        (x.float(), r"`x` must be of torch.float64.*got torch.float32"),
        (x.long(), r"`x` must be of torch.float64.*got torch.int64"),
        (x.numpy(), "`x` must be a torch tensor; got ndarray"),
        (x.to("meta"), "`x` is on meta, but the parameters of the module are on cpu"),
    ):
        with pytest.raises(InputError, match=said):
            made(given)
    with pytest.raises(InputError, match="`key_padding_mask` must be a torch tensor; got list"):
        made(x, [[False] * 4] * 2)


@pytest.mark.parametrize("causal", [False, True])
def test_an_empty_batch_gives_an_empty_batch(causal, rng):
    made, x = layer(causal=causal), tokens(rng, 11)[:0]
    assert made(x).shape == made.reference(x).shape == (0, 11, 6)


def test_states_of_other_sequences_are_refused(rng):
    made, x = layer(causal=True), tokens(rng, 4)
    state = made.step(x)[1]
    with pytest.raises(InputError, match=r"`state` must be None or the HydraState .*got Tensor"):
        made.step(x, state.memory)
    with pytest.raises(InputError, match=r"`state.window` must be \(1, 2, .*got \(\(2, 2,"):
        made.step(x[:1], state)
    with pytest.raises(InputError, match=r"`state` must be \(2, 3, 5, 4\)"):
        made.step(x, state._replace(memory=state.memory[:1]))


def test_steps_under_autocast(rng):
    made, x = layer(torch.float32, causal=True), tokens(rng, 6, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first, state = made.step(x[:, :3])
        second, state = made.step(x[:, 3:], state)
        wanted = made(x)
    assert state.memory.dtype == torch.float32
    torch.testing.assert_close(torch.cat([first, second], 1), wanted, rtol=0.05, atol=0.05)
