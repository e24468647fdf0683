"""One fit wherever the rows live: the same coefficients, certificate and answers."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from softunit import SoftmaxClassifier
from softunit._array_api import is_elsewhere, to_numpy
from softunit.designs import ChunkedDesign, DaskDesign, DenseDesign, TensorDesign
from softunit.errors import NotUniqueWarning, SeparationWarning
from softunit.estimators import _fit_end

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")
strict = pytest.importorskip("array_api_strict")
torch = pytest.importorskip("torch")

ROWS, COLUMNS = 900, 4
NAMES = ["age", "dose", "size", "time"]


def blocks(x: Any) -> list[Any]:
    return [x[:250], x[250:251], x[251:]]


def spread(values: Any) -> Any:
    """Return a dask array in chunks that are not those of X."""
    return da.from_array(values, chunks=400)


def strict_array(values: Any) -> Any:
    return strict.asarray(values, device=strict.Device("device1"))


@dataclass(frozen=True)
class Home:
    """How X, and what goes with its rows, is handed over."""

    x: Callable[[Any], Any]
    rows: Callable[[Any], Any] = np.asarray
    kind: type = np.ndarray
    lazy: bool = False


HOMES = {
    "dense-design": Home(DenseDesign),
    "files": Home(lambda x: ChunkedDesign(blocks(x))),
    "dask-array": Home(lambda x: da.from_array(x, chunks=(300, 2)), spread, lazy=True),
    "dask-frame": Home(
        lambda x: dd.from_pandas(pd.DataFrame(x, columns=NAMES), npartitions=3), lazy=True
    ),
    "dask-design": Home(lambda x: DaskDesign(da.from_array(x, chunks=(300, 4)))),
    "torch": Home(torch.asarray, torch.asarray, torch.Tensor),
    "torch-design": Home(lambda x: TensorDesign(torch.asarray(x)), kind=torch.Tensor),
    "strict": Home(strict_array, strict_array, type(strict.asarray([1.0]))),
}

homes = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)


def planted(rng: np.random.Generator, k: int) -> tuple[Any, Any, Any]:
    """Return X, labels with noise and row weights."""
    x = rng.normal(size=(ROWS, COLUMNS)) + 1.0
    z = x @ rng.normal(size=(COLUMNS, k))
    return x, (z + rng.gumbel(size=z.shape)).argmax(axis=1), rng.uniform(0.5, 2.0, ROWS)


def here(answer: Any) -> Any:
    """Return an answer of any kind as a NumPy array."""
    return answer.compute() if hasattr(answer, "compute") else to_numpy(answer)


@pytest.mark.parametrize("k", [2, 4])
@homes
def test_coefficients_and_certificate_are_those_of_memory(
    home: Home, k: int, rng: np.random.Generator
) -> None:
    x, y, w = planted(rng, k)
    own = SoftmaxClassifier(C=0.5, tol=1e-11).fit(x, y, sample_weight=w)
    fitted = SoftmaxClassifier(C=0.5, tol=1e-11)
    fitted.fit(home.x(x), home.rows(y), sample_weight=home.rows(w))
    assert isinstance(fitted.coef_, home.kind)
    assert isinstance(fitted.intercept_, home.kind)
    assert isinstance(fitted.n_iter_, home.kind)
    np.testing.assert_allclose(here(fitted.coef_), own.coef_, rtol=0, atol=1e-9)
    np.testing.assert_allclose(here(fitted.intercept_), own.intercept_, rtol=0, atol=1e-9)
    assert abs(fitted.certificate_.value - own.certificate_.value) <= 1e-12
    assert fitted.certificate_.gap_bound <= own.certificate_.gap_bound + 1e-12


@pytest.mark.parametrize("k", [2, 4])
@homes
def test_a_point_has_one_certificate(home: Home, k: int, rng: np.random.Generator) -> None:
    x, y, w = planted(rng, k)
    far = SoftmaxClassifier(C=0.5).fit(x, y, sample_weight=w)
    far.coef_ *= 1.01
    known = far.certify(x, y, sample_weight=w)
    found = far.certify(home.x(x), home.rows(y), sample_weight=home.rows(w))
    assert known.gap_bound > 1e-6
    assert found.gap_bound == pytest.approx(known.gap_bound, rel=1e-6)
    assert found.value == pytest.approx(known.value, rel=1e-13)
    assert found.gradient_norm == pytest.approx(known.gradient_norm, rel=1e-9)


@pytest.mark.parametrize("k", [2, 3])
@homes
def test_answers_come_in_the_kind_of_x(home: Home, k: int, rng: np.random.Generator) -> None:
    x, y, w = planted(rng, k)
    model = SoftmaxClassifier().fit(x, y)
    given = home.x(x)
    for method in ("decision_function", "predict_proba", "predict_log_proba", "predict"):
        answer = getattr(model, method)(given)
        assert isinstance(answer, da.Array if home.lazy else home.kind)
        known = getattr(model, method)(x)
        assert here(answer).shape == known.shape
        assert here(answer).dtype == known.dtype
        np.testing.assert_allclose(here(answer), known, rtol=0, atol=1e-12)
    score = model.score(given, home.rows(y), sample_weight=home.rows(w))
    assert abs(score - model.score(x, y, sample_weight=w)) <= 1e-12


@homes
def test_words_are_labels_everywhere(home: Home, rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, 3)
    words = np.array(["no", "maybe", "yes"])[y]
    rows = home.rows if home.rows is spread else np.asarray
    model = SoftmaxClassifier(class_weight="balanced").fit(home.x(x), rows(words))
    own = SoftmaxClassifier(class_weight="balanced").fit(x, words)
    assert model.classes_.tolist() == ["maybe", "no", "yes"]
    np.testing.assert_allclose(here(model.coef_), own.coef_, rtol=0, atol=1e-8)
    assert here(model.predict(home.x(x))).tolist() == own.predict(x).tolist()
    assert model.score(home.x(x), rows(words)) == own.score(x, words)


@homes
def test_an_offset_goes_along(home: Home, rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, 2)
    offset = rng.normal(size=ROWS)
    own = SoftmaxClassifier().fit(x, y, offset=offset)
    model = SoftmaxClassifier().fit(home.x(x), home.rows(y), offset=home.rows(offset))
    np.testing.assert_allclose(here(model.coef_), own.coef_, rtol=0, atol=1e-8)
    added = spread(offset) if home.lazy else home.rows(offset)
    answer = model.predict_proba(home.x(x), added)
    np.testing.assert_allclose(here(answer), own.predict_proba(x, offset), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["files", "dask-array", "strict"])
def test_float32_stays_float32_where_passes_are_cheap(name: str, rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, 3)
    home, narrow = HOMES[name], x.astype(np.float32)
    model = SoftmaxClassifier(tol=1e-7).fit(home.x(narrow), home.rows(y))
    wide = np.float32 if name == "strict" else np.float64
    assert here(model.coef_).dtype == wide
    own = SoftmaxClassifier(tol=1e-7).fit(narrow.astype(np.float64), y)
    np.testing.assert_allclose(here(model.coef_), own.coef_, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", ["files", "dask-array", "torch", "torch-design"])
@pytest.mark.parametrize("kind", ["classical", "robust"])
def test_errors_are_those_of_memory(name: str, kind: Any, rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, 3)
    home = HOMES[name]
    model = SoftmaxClassifier(C=np.inf, tol=1e-9).fit(x, y)
    found = model.standard_errors(home.x(x), home.rows(y), kind=kind)
    np.testing.assert_allclose(found, model.standard_errors(x, y, kind=kind), rtol=1e-8)


@pytest.mark.parametrize("name", ["files", "dask-array", "torch-design"])
def test_separation_and_collinear_columns_are_told(name: str, rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, 3)
    home = HOMES[name]
    twice = np.column_stack([x, x[:, 0] - x[:, 1]])
    with pytest.warns(NotUniqueWarning, match="column 'x4' is a combination of 'x0', 'x1'"):
        model = SoftmaxClassifier(C=np.inf, tol=1e-9).fit(home.x(twice), home.rows(y))
    with pytest.warns(NotUniqueWarning, match="column 'x4'"):
        own = SoftmaxClassifier(C=np.inf, tol=1e-9).fit(twice, y)
    np.testing.assert_allclose(here(model.coef_), own.coef_, rtol=0, atol=1e-7)
    with pytest.warns(SeparationWarning, match="perfectly separable"):
        SoftmaxClassifier(C=np.inf).fit(home.x(x), home.rows((x[:, 0] > 1).astype(int)))


def test_separation_of_many_rows_elsewhere_is_left_open(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, _, _ = planted(rng, 2)
    monkeypatch.setattr(_fit_end, "PAIRS", 100)
    with pytest.warns(SeparationWarning, match=r"not looked into, as the 900 rows are not in mem"):
        SoftmaxClassifier(C=np.inf).fit(ChunkedDesign(blocks(x)), x[:, 0] > 1)


def test_tensors_are_no_part_of_what_is_kept(rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, 3)
    model = SoftmaxClassifier(tol=1e-9, warm_start=True)
    first = to_numpy(model.fit(torch.asarray(x), torch.asarray(y)).coef_)
    model.fit(torch.asarray(x), torch.asarray(y))
    np.testing.assert_allclose(to_numpy(model.coef_), first, rtol=0, atol=1e-6)
    twin = model.to_sklearn()
    np.testing.assert_allclose(twin.predict_proba(x), model.predict_proba(x), atol=1e-12)
    loaded = pickle.loads(pickle.dumps(model))
    assert torch.equal(loaded.predict(torch.asarray(x)), model.predict(torch.asarray(x)))


def test_a_model_of_one_kind_answers_another(rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, 3)
    model = SoftmaxClassifier().fit(torch.asarray(x), torch.asarray(y))
    known = SoftmaxClassifier().fit(x, y).predict_proba(x)
    for home in HOMES.values():
        np.testing.assert_allclose(here(model.predict_proba(home.x(x))), known, atol=1e-12)
    np.testing.assert_allclose(model.sparsify().predict_proba(x), known, atol=1e-12)
    assert is_elsewhere(model.predict_proba(strict_array(x)))


def test_a_tensor_with_gradients_is_a_constant(rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, 2)
    leaf = torch.asarray(x).requires_grad_()
    model = SoftmaxClassifier().fit(leaf, y)
    assert not model.predict_proba(leaf).requires_grad
    np.testing.assert_array_equal(to_numpy(model.coef_), SoftmaxClassifier().fit(x, y).coef_)


def test_whole_numbers_as_tensors(rng: np.random.Generator) -> None:
    x = rng.integers(-3, 4, size=(ROWS, COLUMNS))
    y = (x[:, 0] + rng.normal(size=ROWS) > 0).astype(np.int8)
    own = SoftmaxClassifier().fit(x, y)
    model = SoftmaxClassifier().fit(torch.asarray(x), torch.asarray(y))
    np.testing.assert_allclose(to_numpy(model.coef_), own.coef_, rtol=0, atol=1e-9)
    known = own.predict_proba(x)
    np.testing.assert_allclose(to_numpy(model.predict_proba(torch.asarray(x))), known, atol=1e-9)


def test_names_of_columns_are_kept_and_compared(rng: np.random.Generator) -> None:
    x, y, _ = planted(rng, 2)
    frame = pd.DataFrame(x, columns=NAMES)
    model = SoftmaxClassifier().fit(dd.from_pandas(frame, npartitions=2), y)
    assert model.feature_names_in_.tolist() == NAMES
    np.testing.assert_array_equal(
        model.predict(frame), model.predict(dd.from_pandas(frame, npartitions=2)).compute()
    )
    other = dd.from_pandas(frame.rename(columns={"dose": "dosis"}), npartitions=2)
    with pytest.raises(ValueError, match="column 1 of X is 'dosis', but the model was fitted with"):
        model.predict(other)
    files = ChunkedDesign([frame[:400], frame[400:]])
    assert model.predict(files).tolist() == model.predict(frame).tolist()
    assert SoftmaxClassifier().fit(files, y).feature_names_in_.tolist() == NAMES
    model.fit(ChunkedDesign(blocks(x)), y)
    assert not hasattr(model, "feature_names_in_")
