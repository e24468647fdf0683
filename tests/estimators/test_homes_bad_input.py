"""What is wrong with rows elsewhere is told in a sentence, with both sides of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import softunit as su
from softunit import SoftmaxClassifier
from softunit.checkpoints.files import read_file, write_file
from softunit.designs import ChunkedDesign, DaskDesign, TensorDesign
from softunit.errors import FileError, InputError

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
strict = pytest.importorskip("array_api_strict")
torch = pytest.importorskip("torch")

ROWS = 300


@pytest.fixture
def x(rng: np.random.Generator) -> Any:
    return rng.normal(size=(ROWS, 3))


@pytest.fixture
def y(x: Any, rng: np.random.Generator) -> Any:
    return (x[:, 0] + rng.normal(size=ROWS) > 0).astype(np.int64)


HOMES = {
    "files": lambda x: ChunkedDesign([x[:100], x[100:]]),
    "dask": lambda x: da.from_array(x, chunks=(100, 3)),
    "torch": torch.asarray,
    "strict": strict.asarray,
}

homes = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)


@homes
def test_lengths_that_differ(home: Any, x: Any, y: Any) -> None:
    model = SoftmaxClassifier()
    with pytest.raises(InputError, match="X has 300 rows, but y has 299 labels"):
        model.fit(home(x), y[1:])
    with pytest.raises(InputError, match=r"weights have shape \(299,\).*300 rows"):
        model.fit(home(x), y, sample_weight=np.ones(299))
    with pytest.raises(InputError, match=r"offset has shape \(299,\).*300"):
        model.fit(home(x), y, offset=np.ones(299))
    model.fit(home(x), y)
    with pytest.raises(ValueError, match=r"299"):
        model.score(home(x), y[1:])


@pytest.mark.parametrize("name", ["y", "sample_weight", "offset"])
def test_what_dask_holds_of_another_length_is_named(name: str, x: Any, y: Any) -> None:
    given = {"y": y} | {name: da.from_array(np.ones(299), chunks=100)}
    with pytest.raises(InputError, match=f"^{name} has 299 rows, but A has 300 rows"):
        SoftmaxClassifier().fit(HOMES["dask"](x), **given)


def test_dask_labels_of_one_column(x: Any, y: Any) -> None:
    model, rows = SoftmaxClassifier(), HOMES["dask"](x)
    column = da.from_array(y[:, None], chunks=(70, 1))
    with pytest.warns(DataConversionWarning, match=r"y has shape \(300, 1\).* shape \(300,\)"):
        model.fit(rows, column)
    np.testing.assert_array_equal(model.coef_, SoftmaxClassifier().fit(rows, y).coef_)
    with pytest.warns(DataConversionWarning, match=r"y has shape \(300, 1\)"):
        assert model.certify(rows, column).gradient_norm <= model.tol
    assert model.score(rows, column) == model.score(x, y)


@homes
def test_a_missing_label_is_told_with_its_row(home: Any, x: Any, y: Any) -> None:
    labels = np.where(np.arange(ROWS) == 171, np.nan, y.astype(float))
    with pytest.raises(
        InputError, match="y holds NaN or infinity in 1 of 300 rows, first in row 171"
    ):
        SoftmaxClassifier().fit(home(x), labels)


NO_ARRAYS = {
    "a name": ("y.npy", r"'y\.npy': read the file first"),
    "a path": (Path("y.npy"), r"Path\('y\.npy'\): read the file first"),
    "a design": (ChunkedDesign([np.ones((ROWS, 2))]), "a ChunkedDesign: .*`read_column`"),
    "delayed": (dask.delayed(np.ones(ROWS)), "a DelayedLeaf of dask: make it a dask array"),
}


@pytest.mark.parametrize(("given", "told"), NO_ARRAYS.values(), ids=NO_ARRAYS)
@pytest.mark.parametrize("home", [*HOMES.values(), np.asarray], ids=[*HOMES, "memory"])
def test_what_is_no_array_is_told(home: Any, given: Any, told: str, x: Any, y: Any) -> None:
    model = SoftmaxClassifier().fit(home(x), y)
    with pytest.raises(InputError, match=f"^y must be an array or a list; got .*{told}"):
        SoftmaxClassifier().fit(home(x), given)
    with pytest.raises(InputError, match=f"^y must be an array or a list; got .*{told}"):
        model.certify(home(x), given)
    with pytest.raises(InputError, match=f"^offset must be an array or a list; got .*{told}"):
        SoftmaxClassifier().fit(home(x), y, offset=given)


def test_delayed_rows_are_told(x: Any, y: Any) -> None:
    rows, told = dask.delayed(x), r"X is a DelayedLeaf of dask.*from_delayed"
    with pytest.raises(InputError, match=told):
        SoftmaxClassifier().fit(rows, y)
    with pytest.raises(InputError, match=told):
        SoftmaxClassifier().fit(x, y).predict(rows)
    with pytest.raises(InputError, match=told):
        su.SoftmaxClassifierCV().fit(rows, y)


def test_scikit_learn_cuts_dask_arrays_and_no_designs(x: Any, y: Any) -> None:
    found = cross_val_score(SoftmaxClassifier(), HOMES["dask"](x), y, cv=3)
    np.testing.assert_array_equal(found, cross_val_score(SoftmaxClassifier(), x, y, cv=3))
    with pytest.raises(TypeError, match="got scalar"):
        cross_val_score(SoftmaxClassifier(), HOMES["files"](x), y)
    with pytest.raises(ValueError, match="got scalar"):
        make_pipeline(StandardScaler(), SoftmaxClassifier()).fit(HOMES["files"](x), y)


def test_a_missing_entry_is_told_with_its_block(x: Any, y: Any) -> None:
    model = SoftmaxClassifier().fit(x, y)
    x[231, 1] = np.nan
    rows = HOMES["dask"](x)
    told = "column 1 of block 2 of X{} holds NaN.*first in row 31"
    with pytest.raises(InputError, match=told.format(", which begins with row 200,")):
        model.predict(rows).compute()
    unknown = rows[da.from_array(np.ones(ROWS, dtype=bool), chunks=100)]
    with pytest.raises(InputError, match=told.format(",")):
        model.predict(unknown).compute()


@homes
def test_missing_entries(home: Any, x: Any, y: Any) -> None:
    model = SoftmaxClassifier().fit(x, y)
    x[201, 1] = np.nan
    with pytest.raises(InputError, match=r"column .*1.* holds NaN"):
        SoftmaxClassifier().fit(home(x), y)
    with pytest.raises(InputError, match=r"column .*1.* holds NaN"):
        np.asarray(model.predict_proba(home(x)))


@homes
def test_other_columns_than_the_fits(home: Any, x: Any, y: Any) -> None:
    model = SoftmaxClassifier().fit(x, y)
    with pytest.raises(InputError, match="X has 2 features, but SoftmaxClassifier is expecting 3"):
        model.predict(home(x[:, :2]))


def test_tensors_on_two_devices(x: Any, y: Any) -> None:
    one, two = (strict.Device(name) for name in ("CPU_DEVICE", "device1"))
    model = SoftmaxClassifier()
    wish = "X is an? .*strict array on .*CPU_DEVICE.*, but {} is an? .*strict array on .*device1"
    with pytest.raises(InputError, match=wish.format("y")):
        model.fit(strict.asarray(x, device=one), strict.asarray(y, device=two))
    ones = strict.ones(ROWS, device=two)
    with pytest.raises(InputError, match=wish.format("sample_weight")):
        model.fit(strict.asarray(x, device=one), y, sample_weight=ones)
    model.fit(strict.asarray(x, device=one), torch.asarray(y))
    with pytest.raises(InputError, match=wish.format("y")):
        model.certify(strict.asarray(x, device=one), strict.asarray(y, device=two))


def test_offsets_of_the_wrong_shape(x: Any, y: Any) -> None:
    model = SoftmaxClassifier().fit(x, y)
    with pytest.raises(InputError, match=r"offset has shape \(299,\), but X has 300 rows"):
        model.predict(HOMES["files"](x), np.ones(299))
    with pytest.raises(InputError, match=r"offset has shape \(299,\), the scores \(300,\)"):
        model.predict(torch.asarray(x), np.ones(299))
    with pytest.raises(InputError, match="with a dask X the offset must be a dask array"):
        model.predict(HOMES["dask"](x), np.ones(300))


def test_shares_on_a_cluster(x: Any) -> None:
    shares = np.full((ROWS, 2), 0.5)
    for given in (shares, da.from_array(shares, chunks=(100, 2))):
        with pytest.raises(InputError, match=r"shape \(300, 2\) and lies on a cluster"):
            SoftmaxClassifier().fit(HOMES["dask"](x), given)


OTHERS = {
    "SoftmaxClassifierCV": su.SoftmaxClassifierCV(),
    "SoftmaxRegressor": su.SoftmaxRegressor(),
    "OrdinalClassifier": su.OrdinalClassifier(),
    "HyperbolicRegressor": su.HyperbolicRegressor(),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("home", ["files", "dask", "device"])
def test_other_estimators_say_who_takes_it(name: str, home: str, x: Any, y: Any) -> None:
    kinds = {
        "files": (HOMES["files"](x), "ChunkedDesign"),
        "dask": (HOMES["dask"](x), "a dask collection"),
        "device": (strict.asarray(x, device=strict.Device("device1")), "array on .*device1"),
    }
    given, kind = kinds[home]
    wish = f"{name} takes X from memory.*; got .*{kind}.*SoftmaxClassifier.fit takes it"
    with pytest.raises(InputError, match=wish):
        OTHERS[name].fit(given, y)


def test_a_path_of_fits_says_so(x: Any, y: Any) -> None:
    with pytest.raises(InputError, match=r"This function takes X from memory.*ChunkedDesign"):
        su.softmax_path(HOMES["files"](x), y, Cs=[1.0])


def test_other_estimators_take_tensors_of_this_machine(x: Any, y: Any) -> None:
    model = su.OrdinalClassifier().fit(torch.asarray(x), y)
    np.testing.assert_array_equal(model.coef_, su.OrdinalClassifier().fit(x, y).coef_)


def test_many_cs_answer_files_too(x: Any, y: Any) -> None:
    model = su.SoftmaxClassifierCV(Cs=2, cv=3).fit(x, y)
    np.testing.assert_array_equal(model.predict(HOMES["files"](x)), model.predict(x))


@homes
def test_a_fit_goes_on_from_its_checkpoint(home: Any, x: Any, y: Any, tmp_path: Path) -> None:
    file = tmp_path / "fit.ckpt"
    kept = SoftmaxClassifier(solver="lbfgs", tol=1e-10, checkpoint=file, every=0)
    with pytest.warns(UserWarning, match="iteration"):
        kept.set_params(max_iter=2).fit(home(x), y)
    kept.set_params(max_iter=200, resume=True).fit(home(x), y)
    whole = SoftmaxClassifier(solver="lbfgs", tol=1e-10).fit(home(x), y)
    np.testing.assert_allclose(
        np.asarray(kept.predict_proba(x)), np.asarray(whole.predict_proba(x)), atol=1e-10
    )
    assert kept.solution_.n_iter == whole.solution_.n_iter
    assert kept.solution_.history[1].value == pytest.approx(whole.solution_.history[1].value)


def test_a_checkpoint_of_another_fit(x: Any, y: Any, tmp_path: Path) -> None:
    model = SoftmaxClassifier(checkpoint=tmp_path / "fit.ckpt", resume=True).fit(x, y)
    with pytest.raises(FileError, match="cannot be resumed from"):
        model.fit(x + 1.0, 1 - y)
    with pytest.raises(FileError, match="the strength of its ridge differs"):
        model.set_params(C=0.1).fit(x, y)
    model.set_params(C=1.0)
    with pytest.raises(InputError, match="`every` must be"):
        model.set_params(every=-1.0).fit(x, y)
    with pytest.raises(InputError, match="`resume` must be True or False"):
        model.set_params(every=1.0, resume="yes").fit(x, y)


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        ("files", "memory", "its rows lived on disk, and here they live in memory"),
        ("memory", "dask", "its rows lived in memory, and here they live on a cluster"),
        ("dask", "files", "its rows lived on a cluster, and here they live on disk"),
    ],
)
def test_a_checkpoint_of_another_home(
    then: str, now: str, told: str, x: Any, y: Any, tmp_path: Path
) -> None:
    places = HOMES | {"memory": np.asarray}
    model = SoftmaxClassifier(checkpoint=tmp_path / "fit.ckpt", resume=True)
    model.fit(places[then](x), y)
    with pytest.raises(FileError, match=told):
        model.fit(places[now](x), y)


def test_a_checkpoint_from_before_homes_were_noted(x: Any, y: Any, tmp_path: Path) -> None:
    file = tmp_path / "fit.ckpt"
    model = SoftmaxClassifier(checkpoint=file, resume=True).fit(x, y)
    tree = read_file(file)
    for part in tree["parts"]:
        del part["fingerprint"]["facts"]["home"]
    write_file(file, tree)
    np.testing.assert_array_equal(model.fit(x, y).coef_, SoftmaxClassifier().fit(x, y).coef_)


def test_a_checkpoint_whose_name_is_too_long(x: Any, y: Any, tmp_path: Path) -> None:
    for name in ("x" * 300, f"{tmp_path}/{'x' * 300}/fit.ckpt"):
        with pytest.raises(FileError, match=f"a path of {len(name)} characters .*too long"):
            SoftmaxClassifier(checkpoint=name).fit(x, y)


def test_a_model_of_tensors_is_saved_as_numbers(x: Any, y: Any) -> None:
    from softunit.model_file.tensors import tensors_of

    model = SoftmaxClassifier().fit(TensorDesign(torch.asarray(x)), y)
    saved = type("Saved", (), {"estimator": model, "problem": "classifier", "errors": None})
    own = SoftmaxClassifier().fit(x, y)
    np.testing.assert_allclose(tensors_of(saved)["coef"], own.coef_, atol=1e-9)
    np.testing.assert_allclose(tensors_of(saved)["intercept"], own.intercept_, atol=1e-9)


def test_a_dask_design_is_asked_partition_by_partition(x: Any, y: Any) -> None:
    model = SoftmaxClassifier().fit(x, y)
    design = DaskDesign(HOMES["dask"](x))
    np.testing.assert_allclose(model.predict_proba(design), model.predict_proba(x), atol=1e-12)
