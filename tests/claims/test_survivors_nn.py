"""Claims that train and time: which number of many is a finding, and the bar it is held against.

Every stand-in gives numbers that differ from seed to seed and from length to length, so that the
worst, the last and the mean cannot be mistaken for one another.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from softunit.claims import (
    debiased_descent,
    hydra,
    kernelized_attention,
    key_navigation,
    max_margin_attention,
    minimal_transformer,
    nalaformer,
    numerical_stability,
    sigmoid_attention,
    soft_attention,
    softplus_attention,
    tensor_attention,
    two_pass_softmax,
)
from softunit.claims.base import Effort

pytest.importorskip("torch")

STUDIES = "softunit.nn.studies"


def of_hydra(monkeypatch):
    draws = iter([(1e-9 * k, 1e-8 * k, k) for k in (1, 5, 2, 3, 4)])
    rights = {"hydra": [0.5, 0.6, 0.7], "forward": [0.2, 0.3, 0.4], "sum": [0.5, 0.5, 0.65]}
    left = {kind: iter(each) for kind, each in rights.items()}
    monkeypatch.setattr(f"{STUDIES}.hydra.two_scan_errors", lambda n, state, seed: next(draws))
    monkeypatch.setattr(f"{STUDIES}.hydra.scan_seconds", lambda *given: [1.0, 2.2, 4.0, 8.4])
    monkeypatch.setattr(
        f"{STUDIES}.hydra.hidden_tokens", lambda kind, seed, steps: (next(left[kind]), (2.0,) * 20)
    )
    monkeypatch.setattr(f"{STUDIES}.hydra.best_accuracy", lambda rows, seed: 0.9)
    return hydra.measure(Effort()).findings


def of_sigmoid(monkeypatch):
    lengths = np.array(sigmoid_attention.LENGTHS)
    biased = [0.8, 1.0, 1.1, 1.2, 1.0, 1.0, 1.0]
    study = f"{STUDIES}.sigmoid_attention"
    monkeypatch.setattr(
        f"{study}.mean_row_sums",
        lambda n, biased=True, seed=0: [*sums] if biased else list(lengths**0.98),
    )
    sums = biased
    ratios = {"small": [0.9] * 96 + [1.0] * 4, "torch": [0.9] * 50 + [1.0] * 50}
    monkeypatch.setattr(f"{study}.tiles_off", lambda lengths, seed: 3e-7)
    monkeypatch.setattr(f"{study}.lipschitz_ratios", lambda start, draws, seed: ratios[start])
    losses = {"softmax": [2.0, 2.2], "sigmoid": [2.0, 2.41]}
    monkeypatch.setattr(sigmoid_attention, "_losses", lambda effort: losses)
    seconds = {"softmax": [1.0, 2.0, 5.0], "sigmoid": [2.0, 2.0, 2.0]}
    monkeypatch.setattr(sigmoid_attention, "_seconds", lambda effort: seconds)
    return sigmoid_attention.measure(Effort()).findings


def of_softplus(monkeypatch):
    study = f"{STUDIES}.keyed_recall"
    found = {
        "softplus": SimpleNamespace(off=1e-7, broken=0),
        "softplus_reweighted": SimpleNamespace(off=2e-6, broken=3),
    }
    monkeypatch.setattr(f"{study}.extremes", lambda unit, size, seed: found[unit.name])
    monkeypatch.setattr(f"{study}.difference", lambda one, other, seed: 1e-13)
    losses = {
        "softmax": [[0.2, 0.1, 0.1, 0.1, 0.3], [0.2, 0.1, 0.1, 0.1, 0.5]],
        "LSSA": [[0.6, 1.0, 1.0, 1.0, 3.0], [0.6, 1.0, 1.0, 1.0, 3.0]],
        "LSSAR": [[0.2, 0.1, 0.1, 0.1, 0.2], [0.2, 0.1, 0.1, 0.1, 0.3]],
    }
    monkeypatch.setattr(softplus_attention, "_losses", lambda effort: losses)
    return softplus_attention.measure(Effort()).findings


def of_tensor(monkeypatch):
    cube = tensor_attention.N**3
    near = {1.0: ([1e-8, 3e-7, 1e-7], cube // 64), 3.0: ([0.1, 2.0, 5.0], 0)}
    monkeypatch.setattr(
        tensor_attention, "_nearness", lambda effort, draws, bound, stream: near[bound]
    )
    times = {
        "tensor_polynomial": ((100, 200, 400), [1.0, 2.0, 4.0]),
        "tensor": ((10, 20, 40), [1.0, 8.0, 64.0]),
    }
    monkeypatch.setattr(tensor_attention, "_times", lambda effort: times)
    curves = {
        "tensor": [((10, 20), (50.0, 97.0)), ((10, 20), (99.0, 93.0))],
        "matrix": [((10, 20), (50.0, 55.0)), ((10, 20), (70.0, 52.0))],
    }
    monkeypatch.setattr(tensor_attention, "_curves", lambda effort: curves)
    return tensor_attention.measure(Effort()).findings


def of_nalaformer(monkeypatch):
    from softunit.nn.studies.norm_awareness import Entropies

    steps = len(nalaformer.NORMS)
    aware = np.arange(steps, 0, -1.0)[:, None] * [2.0, 2.0, 2.0, 2.0]
    aware[5:] += [0.0, 0.0, 4.0, 4.0]  # two rows rise there, and the mean stays
    softmax = np.arange(steps, 0, -1.0)[:, None] * np.ones(4)
    softmax[3:] += 2.0
    softmax[9:] += 2.0
    relu = np.ones((steps, 4))
    relu[7, 1] += 5e-9
    found = Entropies(softmax, aware, relu, 0.25, 2e-13)
    study = f"{STUDIES}.norm_awareness"
    monkeypatch.setattr(f"{study}.entropies", lambda *given: found)
    monkeypatch.setattr(f"{study}.linear_form_error", lambda *given: 4e-7)
    monkeypatch.setattr(
        f"{study}.times",
        lambda lengths, d, rounds, causal, rng: [n ** (1.05 if causal else 1.0) for n in lengths],
    )
    return nalaformer.measure(Effort()).findings


def of_soft(monkeypatch):
    last = {
        ("matrix", 196): (1e-12, 2e-12),
        ("matrix", 392): (3e-11, 1e-11),
        ("matrix", 784): (1e-3, 1e-2),
        ("identity", 196): (1e-13, 2e-13),
        ("identity", 392): (1e-13, 4e-13),
        ("identity", 784): (5e-12, 1e-12),
    }
    inverses = {key: [(10.0 * key[1], (1.0, end)) for end in ends] for key, ends in last.items()}
    errors = [[0.9, 0.6, 0.3, 0.2, 0.1, 0.05], [0.9, 0.3, 0.24, 0.1, 0.05, 0.02]]
    monkeypatch.setattr(soft_attention, "_inverses", lambda effort, draws: inverses)
    monkeypatch.setattr(soft_attention, "_errors", lambda effort, draws: errors)
    monkeypatch.setattr(soft_attention, "_norm", lambda effort, draws: 0.99)
    seconds = {"soft": [1.0, 2.1, 4.0], "softmax": [1.0, 3.6, 15.0]}
    monkeypatch.setattr(soft_attention, "_times", lambda effort, lengths: seconds)
    return soft_attention.measure(Effort()).findings


def of_two_pass(monkeypatch):
    from softunit.nn.studies.two_pass import Errors

    errors = {
        (1.0, 1): Errors({"numpy": 1e-8, "torch": 3e-7, "c": 2e-7}, 4e-7, 0),
        (1e4, 63): Errors({"numpy": 1e-7, "torch": 1e-7, "c": 1e-7}, 4e-7, 2),
    }
    times = {
        1 << 14: {"two sweeps": 3.0, "three sweeps": 2.0, "torch.softmax": 1.0},
        1 << 24: {"two sweeps": 8.0, "three sweeps": 10.0, "torch.softmax": 5.0},
    }
    monkeypatch.setattr(f"{STUDIES}.two_pass.has_kernel", lambda: "")
    monkeypatch.setattr(f"{STUDIES}.two_pass.sweeps", lambda scores, block: 2.5)
    monkeypatch.setattr(two_pass_softmax, "_errors", lambda effort, compiled: errors)
    monkeypatch.setattr(two_pass_softmax, "_times", lambda effort: times)
    return two_pass_softmax.measure(Effort()).findings


def of_numerical_stability(monkeypatch):
    from softunit.nn.studies.grokking import Course

    steps, train = [0, 200, 400], [0.1, 1.0, 1.0]
    courses = iter(
        [
            Course(steps, train, [0.0, 0.5, 0.06], [0.0, 1.0, 0.95], [0.0, 0.1, 0.2]),
            Course(steps, train, [0.0, 0.99, 0.93], [0.0] * 3, [0.0] * 3),
            Course(steps, train, [0.0, 1.0, 0.995], [0.0] * 3, [0.0] * 3, along=1e-7),
        ]
    )
    given = []

    def trained(setting, *rest):
        given.append((setting.loss, setting.perpendicular))
        assert setting.steps == numerical_stability.STEPS
        return next(courses)

    monkeypatch.setattr(f"{STUDIES}.grokking.train", trained)
    found = numerical_stability.measure(Effort()).findings
    assert given == [("cross_entropy", False), ("stablemax", False), ("cross_entropy", True)]
    return found


def of_kernelized(monkeypatch):
    study = f"{STUDIES}.relative_features"
    seconds = {
        "fft": [(n / 8192) ** 1.1 for n in kernelized_attention.TIMED],
        "dense": [4.0],
        "fused with the bias": [2.0],
        "fused without a bias": [0.5],
    }
    monkeypatch.setattr(f"{study}.fft_error", lambda *given: 3e-11)
    monkeypatch.setattr(
        f"{study}.feature_errors", lambda *given: ([0.1, 0.2, 0.3, 0.3], [0.2, 0.3, 0.3, 0.4])
    )
    monkeypatch.setattr(f"{study}.times", lambda *given: seconds)
    return kernelized_attention.measure(Effort()).findings


def of_max_margin(monkeypatch):
    empty = np.zeros(2)

    def run(**given):
        names = max_margin_attention.Run.__dataclass_fields__
        return max_margin_attention.Run(**(dict.fromkeys(names, empty) | given))

    w = run(
        frobenius_best=np.array([0.995, 0.5]),
        attention_best=np.array([0.99, 0.4]),
        frobenius_taken=np.array([[0.1, 0.2], [0.999, 0.996]]),
        attention_taken=np.array([0.999, 0.98]),
        gap=1e-9,
    )
    kq = run(
        attention_taken=np.array([0.97, 0.99]),
        nuclear_best=np.array([0.5, 0.6]),
        frobenius_best=np.array([0.4, 0.6]),
        nuclear_taken=np.array([[0.1, 0.1], [0.9, 0.9]]),
        frobenius_taken=np.array([[0.2, 0.2], [0.8, 0.7]]),
        gap=1e-7,
    )
    return max_margin_attention._findings(w, kq, 10)


def of_minimal(monkeypatch):
    def runs(parameters, *rights):
        return [SimpleNamespace(parameters=parameters, accuracy=right) for right in rights]

    given = {
        "full": runs(56_000, 0.98, 0.96),
        "without mlp": runs(23_000, 0.5, 0.5),
        "collapsed": runs(10_000, 0.5, 0.5),
        "symmetric": runs(8_000, 0.97, 0.93),
    }
    return minimal_transformer._findings([1e-8, 3e-7, 1e-9], given, 597)


def of_debiased(monkeypatch):
    study = f"{STUDIES}.regressions"
    off = np.full(1000, 1e-4)
    off[17] = 5e-4
    monkeypatch.setattr(f"{study}.head", lambda weight, x, y, queries: weight * off)
    monkeypatch.setattr(f"{study}.debiased_step", lambda x, y, queries: 0.0)

    def run(label, at_40, at_80, off_diagonal=(0.0,), imbalance=(0.0,)):
        risks = np.ones((5, 2))
        risks[2], risks[3] = at_40, at_80
        rest = np.array(off_diagonal), np.array(imbalance), np.zeros((2, 2)), risks, np.ones(2)
        return debiased_descent.Run(label, *rest, 0.0, 0.0, 0.0)

    runs = {
        "two heads": run("two heads", [0.2, 0.3], [0.19, 0.33], (0.05, 0.08), (0.03, 0.01)),
        "one head": run("one head", [0.4, 0.6], [0.4, 0.6]),
        "linear": run("linear", [0.3, 0.3], [0.6, 0.33]),
    }
    return (debiased_descent._limit(Effort()), *debiased_descent._findings(runs))


def of_navigation(monkeypatch):
    plain = np.array([[1.0, 10.0]] * 4)
    navigated = np.array([[1.0, 11.0], [1.0, 12.0], [9.0, 10.0], [9.0, 9.0]])
    return key_navigation._findings([5.0, 4.0, 6.0, 7.0], plain, navigated)


HELD = [
    (of_hydra, [(5e-9, 1e-6), (5e-8, 1e-6), (5, 8), (2.2, 2.3), (60, 30, ">="), (60, 55, ">=")]),
    (
        of_sigmoid,
        [
            *[(1.25, 2), (1.5, 2), (0.02, 0.05), (3e-7, 1e-6), (96, 95, ">="), (50, 95, ">=")],
            *[(1.05, 1.02), (0.75, 1)],
        ],
    ),
    (
        of_softplus,
        [
            *[(2e-6, 1e-5), (3, 0), (1e-13, 1e-12), (1.25, 1.1), (2, 1.1, ">=")],
            (1.6, 1, ">="),
        ],
    ),
    (
        of_tensor,
        [
            *[(3e-7, 1e-6), (1 / 64, 0.1), (2, 1, ">="), (1, 1.3), (3, 2.5, ">=")],
            *[(93, 90, ">="), (55, 60)],
        ],
    ),
    (
        of_nalaformer,
        [
            *[(0.25, 0, ">="), (2e-13, 1e-12), (1, 0), (50, 99, ">="), (2, 0), (5e-9, 1e-8)],
            *[(4e-7, 1e-6), (1, 1.1), (1.05, 1.1)],
        ],
    ),
    (
        of_soft,
        [
            *[(3e-11, 1e-10), (5e-12, 1e-10), (0.8, 1), (0.99, 1 + 1e-8), (2.1, 2.3)],
            (3.6, 3.5, ">="),
        ],
    ),
    (of_two_pass, [(3e-7, 1e-6), (2, 0), (2.5, 2), (0.8, 1)]),
    (
        of_numerical_stability,
        [(95, 90, ">="), (6, 10), (93, 90, ">="), (99.5, 99, ">="), (1e-7, 1e-6)],
    ),
    (of_kernelized, [(3e-11, 1e-10), (1.1, 1.25), (0.25, 1), (0.5, 1), (3, 20, ">=")]),
    (
        of_max_margin,
        [
            *[(0.5, 0.99, ">="), (0.4, 0.99, ">="), (0.996, 0.99, ">="), (0.98, 0.99, ">=")],
            *[(0.97, 0.99, ">="), (50, 90, ">="), (100, 90, ">="), (1e-7, 1e-6)],
        ],
    ),
    (of_minimal, [(3e-7, 1e-6), (2, 1), (100 / 7, 20)]),
    (
        of_debiased,
        [
            *[(5e-4, 1e-3), (0.08, 0.1), (0.03, 0.05), (0.75, 1), (1.1, 1)],
            (1.1, 1, ">="),
        ],
    ),
    (of_navigation, [(4, 3, ">="), (50, 90, ">=")]),
]


@pytest.mark.parametrize(("findings", "wanted"), HELD, ids=[given[0].__name__ for given in HELD])
def test_each_finding_is_the_right_number_beside_its_bar(findings, wanted, monkeypatch):
    found = [(each.value, each.bar, each.sense) for each in findings(monkeypatch)]
    expected = [(*each, "<=")[:3] for each in wanted]
    assert [sense for *_, sense in found] == [sense for *_, sense in expected]
    assert [bar for _, bar, _ in found] == pytest.approx([bar for _, bar, _ in expected], rel=1e-12)
    values = pytest.approx([value for value, *_ in expected], rel=1e-6, abs=0)
    assert [value for value, *_ in found] == values


def test_each_seed_of_hydra_is_another(monkeypatch):
    seen, seeds = {kind: [] for kind in hydra.NAMES}, []

    def hidden(kind, seed, steps):
        seen[kind].append(seed)
        return 0.5, (2.0,) * 20

    def errors(n, state, seed):
        seeds.append(seed)
        return 0.0, 0.0, 1

    monkeypatch.setattr(f"{STUDIES}.hydra.hidden_tokens", hidden)
    monkeypatch.setattr(f"{STUDIES}.hydra.two_scan_errors", errors)
    monkeypatch.setattr(f"{STUDIES}.hydra.scan_seconds", lambda *given: [1.0, 2.0, 4.0, 8.0])
    monkeypatch.setattr(f"{STUDIES}.hydra.best_accuracy", lambda rows, seed: 0.9)
    hydra.measure(Effort())
    assert [len(set(each)) for each in seen.values()] == [hydra.SEEDS] * 3
    assert seen["hydra"] == seen["sum"] == seen["forward"], "rivals meet the same walks"
    assert len(set(seeds)) == 5


def test_a_rank_is_looked_for_on_both_sides_of_what_the_scans_apply(rng, monkeypatch):
    import torch

    from softunit.nn.studies import hydra as study

    full = torch.from_numpy(rng.standard_normal((27, 27)))
    assert study._largest_rank(full.tril()) == study._largest_rank(full.triu()) == 12
    assert study._largest_rank(full.diag().diag()) == 0
    monkeypatch.setattr(study, "quasiseparable", lambda *given, **how: full.expand(4, 27, 27))
    assert study.two_scan_errors(27, 2, 0)[2] == 12


def test_the_least_time_of_scans_is_kept(monkeypatch):
    from softunit.nn.studies import hydra as study

    clock = iter([0.0, 2.0, 0.0, 5.0, 0.0, 3.0, 0.0, 4.0])
    monkeypatch.setattr(study.time, "process_time", lambda: next(clock))
    assert study.scan_seconds((2, 4), 2, 0) == [2.0, 4.0]


def test_the_linear_form_is_compared_causal_too(rng, monkeypatch):
    from softunit.nn.studies import norm_awareness as study

    plain = study.attend
    monkeypatch.setattr(
        study,
        "attend",
        lambda *given, causal, unit: (
            (2.0 if causal else 1.0) * plain(*given, causal=causal, unit=unit)
        ),
    )
    assert study.linear_form_error((9,), 4, rng) > 0.1


def test_spectral_norms_are_of_square_and_of_wide_maps(monkeypatch):
    from softunit.nn.studies import soft

    seen = set()

    def norm(n, m, d, same, rng):
        seen.add((m, same, d))
        return 1.0 if same else 2.0

    monkeypatch.setattr(soft, "spectral_norm", norm)
    assert soft_attention._norm(Effort(), 2) == 2.0
    assert seen == {(150, True, 4), (150, True, 32), (200, False, 4), (200, False, 32)}
