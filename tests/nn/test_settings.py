"""Settings of units: NumPy's numbers are taken, other types are refused with a sentence."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from softunit.errors import InputError
from softunit.nn.attention import (
    Kernelized,
    NaLaFormer,
    PolynomialTensor,
    Quasiseparable,
    ReweightedSoftplus,
    Sigmoid,
    Soft,
    Softplus,
    attend,
)

WRONG = [
    (Sigmoid, {"bias": "2"}, "`bias` must be a finite number; got '2'"),
    (Sigmoid, {"bias": True}, "`bias` must be a finite number; got True"),
    (Softplus, {"by_length": "no"}, "`by_length` must be True or False; got 'no'"),
    (ReweightedSoftplus, {"by_length": 1}, "`by_length` must be True or False; got 1"),
    (ReweightedSoftplus, {"power": None}, "`power` must be .* at least 1; got None"),
    (ReweightedSoftplus, {"power": [2.0]}, r"`power` must be .* at least 1; got \[2.0\]"),
    (ReweightedSoftplus, {"threshold": True}, "`threshold` must be .* at least 0; got True"),
    (NaLaFormer, {"power": "2"}, "`power` must be a finite number above 0; got '2'"),
    (NaLaFormer, {"rotary": "no"}, "`rotary` must be True or False; got 'no'"),
    (Kernelized, {"features": "2"}, "`features` must be an integer of at least 1; got '2'"),
    (Kernelized, {"normalise": "no"}, "`normalise` must be True or False; got 'no'"),
    (Soft, {"landmarks": "2"}, "`landmarks` must be an integer .*, 'auto' or None; got '2'"),
    (Soft, {"landmarks": "Auto"}, "`landmarks` must be .*, 'auto' or None; got 'Auto'"),
    (Soft, {"landmarks": 2.5}, "`landmarks` must be .*, 'auto' or None; got 2.5"),
    (Soft, {"landmarks": 8.0}, "`landmarks` must be .*, 'auto' or None; got 8.0"),
    (Soft, {"landmarks": float("inf")}, "`landmarks` must be .*, 'auto' or None; got inf"),
    (Soft, {"landmarks": torch.tensor(8)}, "`landmarks` must be .*, 'auto' or None; got tensor"),
    (Soft, {"landmarks": True}, "`landmarks` must be .*, 'auto' or None; got True"),
    (Soft, {"iterations": 2.5}, "`iterations` must be an integer of at least 1; got 2.5"),
    (Soft, {"ridge": "2"}, "`ridge` must be a finite number of at least 0; got '2'"),
    (Soft, {"floor": None}, "`floor` must be a finite number above 0; got None"),
    (Soft, {"start": ["matrix"]}, r"`start` must be one of .*; got \['matrix'\]"),
    (PolynomialTensor, {"bound": "2"}, "`bound` must be a finite number above 0; got '2'"),
    (PolynomialTensor, {"degree": True}, "`degree` must be an integer of at least 1; got True"),
    (Quasiseparable, {"log_decay": "2"}, "`log_decay` must be .* got '2'"),
    (Quasiseparable, {"log_decay": ("a",)}, r"`log_decay` must be .* got \('a',\)"),
    (Quasiseparable, {"log_decay": [-1.0]}, r"`log_decay` must be .* got \[-1.0\]"),
    (Quasiseparable, {"log_decay_back": np.zeros(2)}, "`log_decay_back` must be .* a tuple of"),
    (Quasiseparable, {"log_decay": False}, "`log_decay` must be .* got False"),
    (Quasiseparable, {"chunk": 2.5}, "`chunk` must be an integer of at least 2; got 2.5"),
    (Quasiseparable, {"chunk": float("inf")}, "`chunk` must be an integer .* got inf"),
]

NUMPY = [
    (Sigmoid, {"bias": np.float32(-2.0)}, {"bias": -2.0}),
    (ReweightedSoftplus, {"power": np.float32(2.0)}, {"power": 2.0}),
    (NaLaFormer, {"power": np.int64(2)}, {"power": 2.0}),
    (Kernelized, {"features": np.int64(8)}, {"features": 8}),
    (Soft, {"landmarks": np.int64(3), "ridge": np.float32(0.25)}, {"landmarks": 3, "ridge": 0.25}),
    (PolynomialTensor, {"degree": np.int64(2)}, {"degree": 2}),
    (Quasiseparable, {"chunk": np.int64(4), "log_decay": np.float64(-0.5)}, {"chunk": 4}),
]


@pytest.mark.parametrize(
    ("unit", "settings", "match"),
    WRONG,
    ids=[f"{unit.__name__}-{number}" for number, (unit, _, _) in enumerate(WRONG)],
)
def test_a_setting_of_another_type_is_refused(unit, settings, match):
    with pytest.raises(InputError, match=match):
        unit(**settings)


@pytest.mark.parametrize(
    ("unit", "settings", "kept"), NUMPY, ids=[unit.__name__ for unit, _, _ in NUMPY]
)
def test_numbers_of_numpy_are_taken_as_those_of_python(unit, settings, kept, rng):
    made = unit(**settings)
    q, k, v = (torch.tensor(rng.uniform(-1, 1, (1, 1, 6, 4))) for _ in range(3))
    for name, value in kept.items():
        assert type(getattr(made, name)) is type(value)
        assert getattr(made, name) == value
    plain = unit(**{field.name: getattr(made, field.name) for field in fields(unit)} | kept)
    torch.testing.assert_close(attend(q, k, v, unit=made), attend(q, k, v, unit=plain))


def test_the_number_of_landmarks_of_numpy_is_that_number(rng):
    q, k, v = (torch.tensor(rng.standard_normal((1, 1, 30, 4))) for _ in range(3))
    few = attend(q, k, v, unit=Soft(landmarks=np.int64(3)))
    torch.testing.assert_close(few, attend(q, k, v, unit=Soft(landmarks=3)))
    assert not torch.allclose(few, attend(q, k, v, unit=Soft(landmarks="auto")), atol=1e-3)
