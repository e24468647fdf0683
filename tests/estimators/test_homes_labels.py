"""Labels as small codes, looked at block by block, in memory and beside rows elsewhere."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softunit import SoftmaxClassifier
from softunit.designs import DaskDesign
from softunit.errors import InputError
from softunit.estimators import _labels
from softunit.estimators._data import ClassTarget, checked_classes, known_classes
from softunit.estimators._row_weights import checked_row_weights

da = pytest.importorskip("dask.array")

ROWS = 500


@pytest.fixture
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels are looked at 64 at a time, and are many beyond that."""
    monkeypatch.setattr(_labels, "BLOCK", 64)
    monkeypatch.setattr("softunit.estimators._data.BLOCK", 64)


def spread(values: Any) -> Any:
    """Return labels in parts beside a design of as many rows."""
    rows = da.from_array(np.zeros((len(values), 1)), chunks=(120, 1))
    return DaskDesign(rows).beside(da.from_array(values, chunks=170))


LABELS = {
    "int8": np.array([-7, 3, 100], dtype=np.int8),
    "uint64-large": np.array([5, 2**63 + 1, 2**64 - 1], dtype=np.uint64),
    "int64-far-apart": np.array([-(2**62), 0, 2**62]),
    "whole-floats": np.array([-1.0, 0.0, 2.0], dtype=np.float32),
    "bool": np.array([False, True]),
    "text": np.array(["a", "bcd", "zz"]),
    "text-objects": np.array(["a", "bcd", "zz"], dtype=object),
}


@pytest.mark.parametrize("there", [False, True], ids=["here", "elsewhere"])
@pytest.mark.parametrize("classes", LABELS.values(), ids=LABELS)
@pytest.mark.usefixtures("short_blocks")
def test_codes_are_those_of_numpy(classes: Any, there: bool, rng: np.random.Generator) -> None:
    codes = rng.integers(0, len(classes), ROWS)
    labels = classes[codes]
    found = checked_classes(spread(labels) if there else labels, ROWS, narrow=True)
    assert found.classes.tolist() == classes.tolist()
    assert found.target.dtype == np.int8
    np.testing.assert_array_equal(np.asarray(found.target), codes)
    weights = rng.uniform(size=ROWS)
    np.testing.assert_array_equal(found.class_totals(None), np.bincount(codes))
    own = found.class_totals(spread(weights) if there else weights)
    np.testing.assert_allclose(own, np.bincount(codes, weights), rtol=1e-12)


@pytest.mark.usefixtures("short_blocks")
def test_more_classes_take_more_bytes(rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(129) * 7, 3)
    found = checked_classes(labels, len(labels), narrow=True)
    assert found.target.dtype == np.int16
    np.testing.assert_array_equal(found.classes[found.target], labels)
    assert checked_classes(labels, len(labels)).target.dtype == np.int64
    few = labels[:60]
    assert checked_classes(few, 60, narrow=True).target.dtype == np.int64


@pytest.mark.parametrize("there", [False, True], ids=["here", "elsewhere"])
@pytest.mark.usefixtures("short_blocks")
def test_unknown_labels_are_named(there: bool) -> None:
    labels = np.array([1, 2] * 100)
    labels[[70, 150]] = [5, -3]
    y = spread(labels) if there else labels
    with pytest.raises(InputError, match=r"y holds 2 labels .* the first is 5 in row 70"):
        known_classes(y, 200, np.array([1, 2]), narrow=True)
    with pytest.raises(InputError, match=r"y holds 2 labels .* the first is 5 in row 70"):
        known_classes(y, 200, np.array([1, 2, 2**50]))


@pytest.mark.parametrize("there", [False, True], ids=["here", "elsewhere"])
@pytest.mark.usefixtures("short_blocks")
def test_what_is_no_label_is_refused(there: bool, rng: np.random.Generator) -> None:
    def given(values: Any) -> Any:
        return spread(values) if there else values

    mixed = np.array(["a", 1] * 100, dtype=object)
    with pytest.raises(
        InputError, match="types int, str side by side, 'a' in row 0 and 1 in row 1:"
    ):
        checked_classes(given(mixed), 200)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        checked_classes(given(rng.normal(size=200)), 200)
    with pytest.raises(ValueError, match="Unknown label type: unknown"):
        checked_classes(given(np.array([1.5, 2.5] * 100, dtype=object)), 200)
    holed = np.array([0.0, 1.0] * 100)
    holed[101] = np.nan
    holed[150] = np.inf
    with pytest.raises(
        InputError, match="y holds NaN or infinity in 2 of 200 rows, first in row 101"
    ):
        checked_classes(given(holed), 200)
    with pytest.raises(InputError, match="one class only, 3, in all 200 rows"):
        checked_classes(given(np.full(200, 3)), 200)
    with pytest.warns(UserWarning, match="greater than 50% of the number of samples"):
        checked_classes(given(np.arange(200)), 200)


def test_many_labels_leave_little_behind() -> None:
    n = 6_000_000
    labels = np.zeros(n, dtype=np.int8)
    labels[::3], labels[1::3] = 4, -2
    tracemalloc.start()
    try:
        found = checked_classes(labels, n, narrow=True)
        totals = found.class_totals(None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        weights = checked_row_weights(None, "balanced", found, n)[0]
        weighted = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert totals.tolist() == [n / 3] * 3
    assert weights is not None
    assert weights[:3].tolist() == [1.0] * 3
    # The codes are n bytes; what is looked at in one go is eight times a block, a few times over.
    assert peak < n + 6 * 8 * _labels.BLOCK
    assert weighted < 9 * n + 6 * 8 * _labels.BLOCK


def test_labels_come_from_a_memory_map(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.normal(size=(ROWS, 3))
    y = (x[:, 0] + rng.normal(size=ROWS) > 0).astype(np.uint8)
    np.save(tmp_path / "y.npy", y)
    mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    own = SoftmaxClassifier().fit(x, y)
    np.testing.assert_array_equal(SoftmaxClassifier().fit(x, mapped).coef_, own.coef_)
    assert own.score(x, mapped) == own.score(x, y)


def test_codes_that_are_known_are_taken(rng: np.random.Generator) -> None:
    x = rng.normal(size=(ROWS, 3))
    codes = (x[:, 0] + rng.normal(size=ROWS) > 0).astype(np.uint8)
    target = ClassTarget(np.array(["no", "yes"]), codes)
    own = SoftmaxClassifier().fit(x, target.classes[codes])
    model = SoftmaxClassifier().fit(x, target)
    np.testing.assert_array_equal(model.coef_, own.coef_)
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.score(x, target) == own.score(x, target.classes[codes])
    lazy = da.from_array(x, chunks=(200, 3))
    assert model.score(lazy, target) == model.score(x, target)
    assert model.certify(x, target).value == own.certificate_.value
    reversed_ = ClassTarget(np.array(["yes", "no"]), 1 - codes)
    assert model.certify(x, reversed_).value == own.certificate_.value
    with pytest.raises(InputError, match="X has 499 rows, but y has 500 labels"):
        model.fit(x[:-1], target)


@pytest.mark.parametrize("there", [False, True], ids=["here", "elsewhere"])
def test_class_weights_are_scikit_learns(there: bool, rng: np.random.Generator) -> None:
    from sklearn.utils.class_weight import compute_sample_weight

    labels = np.repeat(["a", "b", "c"], [10, 60, 130])
    weights = rng.uniform(size=200)
    target = checked_classes(spread(labels) if there else labels, 200)
    for class_weight in ("balanced", {"a": 3.0, "c": 0.5}):
        found, same = checked_row_weights(None, class_weight, target, 200)
        known = compute_sample_weight(class_weight, labels)
        np.testing.assert_allclose(np.asarray(found), known, rtol=1e-12)
        assert same is target
    own = spread(weights) if there else weights
    found, _ = checked_row_weights(own, {"a": 3.0, "b": 1.0, "c": 0.5}, target, 200)
    known = weights * compute_sample_weight({"a": 3.0, "b": 1.0, "c": 0.5}, labels)
    np.testing.assert_allclose(np.asarray(found), known, rtol=1e-12)


def test_a_class_without_weight_stays_so_when_balanced() -> None:
    labels, weights = np.array([0, 0, 1, 1, 2]), np.array([1.0, 1.0, 2.0, 0.0, 0.0])
    found, _ = checked_row_weights(weights, "balanced", checked_classes(labels, 5), 5)
    assert found is not None
    np.testing.assert_allclose(found, [2 / 3, 2 / 3, 4 / 3, 0.0, 0.0])
