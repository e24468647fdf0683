"""Designs on Dask's threads and workers: what they read, refuse, and how they add up."""

from __future__ import annotations

from functools import partial

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import softunit as su
from softunit.designs import DaskDesign, DenseDesign, SparseDesign
from softunit.designs import dask as dask_module
from softunit.designs._dask_places import _told
from softunit.designs._dask_tasks import Group, Part, merged, part_of, reduced
from softunit.designs.dask import Spread, is_dask
from softunit.errors import FileError, InputError, MissingExtraError, SoftunitError

N, D = 230, 4


@pytest.fixture
def table(rng):
    return rng.standard_normal((N, D)), rng.integers(0, 3, N)


def parts(a: np.ndarray, rows: int = 60) -> da.Array:
    return da.from_array(a, chunks=(rows, -1))


def raise_error(error: BaseException) -> None:
    raise error


# What is read ------------------------------------------------------------------------------------


def test_partitions_columns_and_bytes(table):
    a, _ = table
    design = DaskDesign(da.from_array(a.astype(np.float32), chunks=(60, 3)))
    assert design.lengths == (60, 60, 60, 50)
    assert (design.home, design.names, design.dtype) == ("cluster", None, np.float32)
    assert design.nbytes == 4 * a.size
    assert (design.row_entries, design.narrowable) == (D, True)
    assert design.sample_limit == 64e6 / (4 * D)


def test_as_design_leaves_dask_arrays_where_they_are(table):
    a, _ = table
    design = su.designs.as_design(parts(a), intercept=True)
    assert (design.home, design.shape) == ("cluster", (N, D + 1))
    assert isinstance(su.designs.as_design(parts(a)), DaskDesign)


def test_frames_bring_names_and_whole_numbers_become_floats(table):
    frame = pd.DataFrame(table[0], columns=list("abcd")).assign(e=range(N))
    design = DaskDesign(dd.from_pandas(frame, npartitions=3))
    assert design.names == ("a", "b", "c", "d", "e")
    np.testing.assert_array_equal(design.toarray(), frame.to_numpy())


def test_unknown_sizes_are_found_and_empty_partitions_left_out(table):
    a, _ = table
    a[:60, 0], a[60:, 0] = -1.0, np.abs(a[60:, 0])
    chunks = parts(a)
    design = DaskDesign(chunks[chunks[:, 0] > 0])
    assert design.lengths == (60, 60, 50)
    np.testing.assert_array_equal(design.toarray(), a[60:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_blocks_stay_sparse(table, dtype):
    a = np.where(np.abs(table[0]) > 1, table[0], 0.0).astype(dtype)
    chunks = da.from_array(a, chunks=(60, 2)).map_blocks(sparse.csr_matrix)
    design = DaskDesign(chunks)
    assert design.dtype == dtype
    assert design.row_entries == max(1.0, np.count_nonzero(a) / N)
    index = np.array([200, 3, 3, 61])
    rows = design.rows(index)
    assert isinstance(rows, SparseDesign)
    np.testing.assert_array_equal(rows.toarray(), a[index])
    assert all(isinstance(chunk, SparseDesign) for _, chunk in design.chunks())
    np.testing.assert_allclose(design.rmatvec(a), a.T.astype(float) @ a, rtol=1e-5, atol=1e-5)


def test_rows_come_in_the_order_asked_for(table, rng):
    a, _ = table
    design = DaskDesign(parts(a))
    index = rng.integers(0, N, 100)
    gathered = design.gathered(index)
    assert isinstance(gathered, DenseDesign)
    assert gathered.dtype == np.float32
    np.testing.assert_array_equal(gathered.array, a[index].astype(np.float32))
    np.testing.assert_array_equal(design.rows(slice(50, 70)).toarray(), a[50:70])
    with pytest.raises(IndexError, match="rows 5 to 230 of 230"):
        design.rows(np.array([5, 230]))


def test_a_partition_says_what_it_weighs(rng):
    part = part_of(0, None, rng.standard_normal((100, 10)))
    assert part.__sizeof__() > 8000
    assert dask.sizeof.sizeof(part) > 8000


# What is refused -------------------------------------------------------------------------------


def test_text_is_refused_by_name():
    frame = pd.DataFrame(
        {"a": [1.0, 2.0], "city": ["x", "y"], "when": pd.to_datetime(["2020"] * 2)}
    )
    with pytest.raises(InputError, match=r"columns 'city', 'when' of A do not hold numbers"):
        DaskDesign(dd.from_pandas(frame, npartitions=1))


def test_a_missing_number_is_told_with_partition_row_and_column(table):
    frame = pd.DataFrame(table[0], columns=list("abcd")).assign(e=pd.array(range(N), dtype="Int64"))
    frame.loc[150, "e"] = pd.NA
    with pytest.raises(
        InputError,
        match=r"column 'e' of partition 1 of A holds NaN .* in 1 of 115 rows, first in row 35"
        r".*begins with row 115 of A",
    ):
        DaskDesign(dd.from_pandas(frame, npartitions=2))
    a = table[0]
    a[170, 2] = np.inf
    with pytest.raises(InputError, match=r"column 2 of partition 2 of A .* first in row 50"):
        DaskDesign(parts(a))


def narrowed(block: np.ndarray, block_info: dict) -> np.ndarray:
    return block[:, :3] if block_info[0]["chunk-location"][0] == 2 else block


def singled(block: np.ndarray, block_info: dict) -> np.ndarray:
    return block.astype(np.float32) if block_info[0]["chunk-location"][0] == 1 else block


def thinned(block: np.ndarray, block_info: dict) -> object:
    return sparse.csr_matrix(block) if block_info[0]["chunk-location"][0] == 3 else block


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (narrowed, "partition 2 has columns 3, partition 0 has 4"),
        (singled, "partition 1 has dtype float32, partition 0 has float64"),
        (thinned, "partition 3 has kind sparse, partition 0 has dense"),
    ],
)
def test_partitions_that_disagree_are_named(table, change, message):
    meta = np.empty((0, 0))
    with pytest.raises(InputError, match=message):
        DaskDesign(parts(table[0]).map_blocks(change, meta=meta, dtype=float))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.ones((3, 2)), "needs a dask array or a dask frame .* got ndarray"),
        (da.ones(5), "this dask array has 1 axes"),
        (da.ones((2, 2, 2)), "this dask array has 3 axes"),
        (da.from_array(np.array([["a"]])), "A must hold numbers; this dask array holds <U1"),
        (da.ones((3, 2), dtype=complex), "holds complex128"),
        (da.ones((0, 2)), "A has no rows: its 1 partitions are all empty"),
    ],
    ids=["numpy", "one-axis", "three-axes", "text", "complex", "empty"],
)
def test_what_is_no_table_of_numbers_is_refused(source, message):
    with pytest.raises(InputError, match=message):
        DaskDesign(source)


def test_blocks_that_hold_no_numbers_are_named():
    blocks = [lambda: np.ones((2, 2)), lambda: np.array([["a", "b"]])]
    with pytest.raises(InputError, match="partition 1 of A holds <U1, not numbers"):
        DaskDesign.from_blocks(blocks)
    with pytest.raises(InputError, match="partition 0 of A has 1 axes"):
        DaskDesign.from_blocks([partial(np.ones, 3)])


def test_loaders_keep_their_errors_and_their_names():
    blocks = [partial(np.full, (2, 2), 1.0), partial(np.full, (3, 2), 2.0)]
    design = DaskDesign.from_blocks(blocks, names=["u", "v"])
    assert (design.shape, design.names) == ((5, 2), ("u", "v"))
    with pytest.raises(InputError, match="`loaders` is empty"):
        DaskDesign.from_blocks([])
    with pytest.raises(InputError, match=r"loader 1 is .*ndarray.*: it must be a function without"):
        DaskDesign.from_blocks([blocks[0], np.ones((2, 2))])
    with pytest.raises(InputError, match="block 1 could not be read: ValueError: torn"):
        DaskDesign.from_blocks([blocks[0], partial(raise_error, ValueError("torn"))])
    with pytest.raises(InputError, match="of our own"):
        DaskDesign.from_blocks([partial(raise_error, InputError("of our own"))])
    with pytest.raises(
        FileError, match=r"block 0 could not be read: FileNotFoundError: .*gone\.npy.*every worker"
    ):
        DaskDesign.from_blocks([partial(np.load, "gone.npy", allow_pickle=False)])


def test_two_columns_of_one_name_are_refused(table):
    frame = pd.DataFrame(table[0][:, :2], columns=["u", "u"])
    with pytest.raises(InputError, match="A has the column 'u' more than once"):
        DaskDesign(dd.from_pandas(frame, npartitions=2))


def test_what_is_no_client_is_refused(table):
    with pytest.raises(InputError, match=r"`client` must be a dask\.distributed Client"):
        DaskDesign(parts(table[0]), client="tcp://127.0.0.1:8786")


def test_without_dask_the_extra_is_named(monkeypatch, table):
    monkeypatch.setattr("softunit.designs._dask_blocks.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"DaskDesign needs .*softunit\[dask\]"):
        DaskDesign(parts(table[0]))


# Arrays beside the rows --------------------------------------------------------------------------


def spreads(y: np.ndarray) -> dict[str, object]:
    chunks = da.from_array(y, chunks=100)
    return {
        "numpy": y,
        "list": y.tolist(),
        "same-chunks": da.from_array(y, chunks=60),
        "other-chunks": chunks,
        "unknown-chunks": chunks[chunks >= 0],
        "series": dd.from_pandas(pd.Series(y), npartitions=7),
    }


@pytest.mark.parametrize(
    "name", ["numpy", "list", "same-chunks", "other-chunks", "unknown-chunks", "series"]
)
def test_labels_are_cut_as_the_rows_are(table, name):
    a, y = table
    design = DaskDesign(parts(a))
    spread = design.beside(spreads(y)[name])
    assert isinstance(spread, Spread)
    assert [len(part) for part in spread.parts] == [60, 60, 60, 50]
    assert (spread.shape, spread.ndim, len(spread), spread.dtype) == ((N,), 1, N, y.dtype)
    np.testing.assert_array_equal(np.asarray(spread), y)
    assert (spread.sum(), spread.min(), spread.max()) == (y.sum(), 0, 2)
    assert spread.count_nonzero() == np.count_nonzero(y)
    assert design.beside(spread) is spread


def test_rows_that_are_all_the_same_are_sent_as_one(table):
    a, _ = table
    design = DaskDesign(parts(a))
    ones = np.broadcast_to(np.array([1.0, 2.0]), (N, 2))
    assert all(item[1].row.shape == (2,) for item in design._parts.items([ones]))
    np.testing.assert_array_equal(np.asarray(design.beside(ones)), ones)
    np.testing.assert_allclose(design.rmatvec(ones), a.T @ ones, rtol=1e-12)
    codes = design.beside(np.arange(N)).map(np.add, np.broadcast_to(3, N))
    np.testing.assert_array_equal(np.asarray(codes), np.arange(N) + 3)


def test_rows_of_a_spread(table):
    a, y = table
    spread = DaskDesign(parts(a)).beside(a)
    index = np.array([220, 0, 61, 61])
    np.testing.assert_array_equal(spread[index], a[index])
    np.testing.assert_array_equal(spread[50:130:7], a[50:130:7])
    np.testing.assert_array_equal(spread[y == 1], a[y == 1])
    np.testing.assert_array_equal(spread[-1], a[-1])
    assert spread[np.array([], dtype=int)].shape == (0, D)
    with pytest.raises(IndexError, match="do not exist"):
        spread[np.array([N])]


def test_spreads_are_mapped_and_folded_together(table):
    a, y = table
    design = DaskDesign(parts(a))
    labels, weights = design.beside(np.array(["x", "yy", "zzz"])[y]), design.beside(np.abs(a[:, 0]))
    (classes,) = labels.fold(classes_of, np.union1d)
    assert classes.tolist() == ["x", "yy", "zzz"]
    codes = labels.map(partial(codes_of, classes=classes))
    np.testing.assert_array_equal(np.asarray(codes), y)
    totals, largest = codes.fold(totals_of, np.add, np.maximum, others=(weights,))
    np.testing.assert_allclose(totals, np.bincount(y, np.abs(a[:, 0])), rtol=1e-13)
    assert largest == np.abs(a[:, 0]).max()
    small = codes.astype(np.uint8)
    assert small.dtype == np.uint8
    assert small.astype(np.uint8, copy=False) is small
    with pytest.raises(InputError, match=r"a mapped function made 1 rows of [56]0"):
        codes.map(total_of)


def classes_of(part: np.ndarray) -> tuple[np.ndarray]:
    return (np.unique(part),)


def codes_of(part: np.ndarray, *, classes: np.ndarray) -> np.ndarray:
    return np.searchsorted(classes, part)


def totals_of(codes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    return np.bincount(codes, weights, 3), float(weights.max())


def total_of(part: np.ndarray) -> np.ndarray:
    return part.sum(keepdims=True)


def test_an_array_of_other_rows_is_not_spread(table):
    a, y = table
    design = DaskDesign(parts(a))
    assert design.beside(None) is None
    assert len(design.beside(y[:9])) == 9  # for who asked to say what is wrong
    with pytest.raises(InputError, match="the array has 9 rows, but A has 230 rows"):
        design.beside(da.from_array(y[:9]))
    with pytest.raises(InputError, match="offset has 9 rows, but A has 230 rows"):
        design.beside(da.from_array(y[:9]), "offset")
    with pytest.raises(InputError, match=r"labels have shape \(9,\), but A has 230 rows"):
        su.Problem(design, su.units.Multinomial(3), y[:9])
    with pytest.raises(InputError, match=r"has 9 rows, but A has 230\."):
        design.reduce(first_row, (y[:9],))
    other = DaskDesign(parts(a, 100)).beside(y)
    with pytest.raises(InputError, match=r"in 3 partitions .* A in 4 of 230"):
        design.reduce(first_row, (other,))
    np.testing.assert_array_equal(np.asarray(design.beside(other)), y)


def first_row(chunk: object, arrays: tuple[np.ndarray]) -> tuple[np.ndarray]:
    return (arrays[0][:1],)


def test_dask_is_told_without_importing_it(table):
    a, _ = table
    frame = dd.from_pandas(pd.DataFrame(a), npartitions=2)
    assert all(map(is_dask, (parts(a), frame, frame[0])))
    assert not any(
        map(is_dask, (dask.delayed(a), a, pd.DataFrame(a), [1], None, DaskDesign(parts(a))))
    )


# Sums --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 13])
def test_sums_are_the_same_whoever_adds(rng, count):
    terms = [(float(10.0 ** rng.uniform(-8, 8)),) for _ in range(count)]
    sums = []
    for groups in (1, 2, 5, count):
        owner = rng.integers(0, groups, count)
        several = [
            merged([{(0, int(i)): terms[i]} for i in np.flatnonzero(owner == g)], count, None)
            for g in range(groups)
        ]
        (found,) = merged(several, count, None).values()
        sums.append(found[0])
    assert len(set(sums)) == 1
    assert sums[0] == pytest.approx(sum(t for (t,) in terms), rel=1e-14)


def test_a_worker_of_threads_adds_up_as_one_of_one(rng):
    design = [DenseDesign(rng.standard_normal((50, 3))) for _ in range(5)]
    items = [(Part(part, None),) for part in design]
    one, four = (
        reduced(squares_of, Group(tuple(range(5)), threads), items, 5, None) for threads in (1, 4)
    )
    assert list(one) == list(four) == [(3, 0)]
    np.testing.assert_array_equal(one[3, 0][0], four[3, 0][0])
    a = np.concatenate([part.array for part in design])
    np.testing.assert_allclose(one[3, 0][0], a.T @ a, rtol=1e-12)


def squares_of(part: Part) -> tuple[np.ndarray]:
    return (part.design.array.T @ part.design.array,)


def test_single_precision_is_summed_in_double(table):
    design = DaskDesign(parts(table[0]))
    (found,) = design.reduce(ones_in_single)
    assert found.dtype == np.float64
    assert found[0] == 3 * 2.0**24 + 1


def ones_in_single(chunk: object, arrays: tuple) -> tuple[np.ndarray]:
    return (np.array([1.0 if chunk.shape[0] == 50 else 2.0**24], dtype=np.float32),)


@pytest.mark.parametrize("solver", ["newton", "lbfgs", "auto"])
def test_fits_on_threads_are_those_in_memory(table, solver):
    a, y = table
    weights = np.linspace(0.5, 2, N)
    design = su.designs.as_design(DaskDesign(parts(a)), intercept=True)
    away = su.Problem(
        design, su.units.Multinomial(), da.from_array(y), su.penalties.Ridge(1e-3), weights=weights
    )
    here = su.Problem(
        su.designs.as_design(a, intercept=True),
        su.units.Multinomial(),
        y,
        su.penalties.Ridge(1e-3),
        weights=weights,
    )
    found, known = (su.minimize(p, solver=solver, tol=1e-10) for p in (away, here))
    np.testing.assert_allclose(found.x, known.x, atol=1e-8)
    bounds = [su.certify(problem, known.x + 1e-4).gap_bound for problem in (away, here)]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-8)


# What a cluster can do to a fit, in a sentence ---------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("killed", "Give workers more memory"),
        ("cancelled", "the Dask scheduler at tcp://x:1 was lost"),
        ("closed", "the Dask scheduler at tcp://x:1 was lost"),
        ("module", "a Dask worker cannot import softunit"),
        ("file", "a partition of the data could not be read: gone"),
    ],
)
def test_faults_of_a_cluster_are_sentences(error, message):
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    faults = {
        "killed": KilledWorker("task", None, 3),
        "cancelled": CancelledError("key"),
        "closed": CommClosedError("gone"),
        "module": ModuleNotFoundError("no", name="softunit"),
        "file": FileNotFoundError("gone"),
    }
    with pytest.raises(SoftunitError, match=message), _told("tcp://x:1"):
        raise faults[error]


def test_the_room_says_what_it_offers():
    assert dask_module.__all__ == sorted(dask_module.__all__)
