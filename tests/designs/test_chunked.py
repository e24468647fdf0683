"""A design on disk: the same products as in memory, each in one pass, within its memory."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet
from scipy import sparse

import softunit as su
from softunit.designs import ChunkedDesign, DenseDesign, SparseDesign, as_design
from softunit.designs.gathering import drawn
from softunit.designs.read_ahead import NAME
from softunit.errors import InputError

N, D = 9000, 60  # at 32 MB a chunk has 1 MiB: 2,184 rows of float64


def names(d=D):
    return [f"x{j}" for j in range(d)]


def table(a):
    return pa.table(dict(zip(names(a.shape[1]), a.T, strict=True)))


@pytest.fixture
def matrix(rng):
    return rng.standard_normal((N, D)) + np.linspace(-3, 3, D)


def write_parquet(a, path, rows=1500):
    parquet.write_table(table(a), path, row_group_size=rows)
    return path


def as_parquet(a, folder):
    return write_parquet(a, folder / "a.parquet")


def as_one_row_group(a, folder):
    return write_parquet(a, folder / "a.parquet", rows=N)


def as_folder(a, folder):
    for part in range(3):
        rows = slice(part * N // 3, (part + 1) * N // 3)
        write_parquet(a[rows], folder / f"part-{part}.parquet", rows=700)
    return folder


def as_feather(a, folder):
    feather.write_feather(table(a), folder / "a.feather", chunksize=1000)
    return folder / "a.feather"


def as_stream(a, folder):
    with pa.ipc.new_stream(folder / "a.arrows", table(a).schema) as sink:
        sink.write_table(table(a), max_chunksize=1000)
    return folder / "a.arrows"


def as_npy(a, folder):
    np.save(folder / "a.npy", a)
    return folder / "a.npy"


def as_npy_by_columns(a, folder):
    np.save(folder / "a.npy", np.asfortranarray(a))
    return folder / "a.npy"


def as_npy_blocks(a, folder):
    for part in range(4):
        np.save(folder / f"block-{part}.npy", a[part * N // 4 : (part + 1) * N // 4])
    return folder


WRITERS = [
    as_parquet,
    as_one_row_group,
    as_folder,
    as_feather,
    as_stream,
    as_npy,
    as_npy_by_columns,
    as_npy_blocks,
]
each_writer = pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__)


def opened(write, a, folder, **settings):
    return ChunkedDesign.from_dataset(write(a, folder), memory="32MB", **settings)


def close(a, b, rtol=1e-12):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1.0, np.abs(b).max()))


@each_writer
def test_products_are_those_in_memory(write, matrix, tmp_path, rng):
    design, dense = opened(write, matrix, tmp_path), DenseDesign(matrix)
    assert (design.shape, design.dtype, design.home) == ((N, D), np.float64, "disk")
    assert sum(1 for _ in design.chunks()) > 3
    x, g, p = rng.standard_normal((D, 3)), rng.standard_normal((N, 3)), rng.random(N)
    close(design.matvec(x), dense.matvec(x))
    close(design.rmatvec(g), dense.rmatvec(g))
    close(design.weighted_gram(p), dense.weighted_gram(p))
    for mine, theirs in zip(design.column_moments(p), dense.column_moments(p), strict=True):
        close(mine, theirs)
    index = rng.integers(N, size=200)
    close(design.gathered(index).toarray(), matrix[index].astype(np.float32), rtol=0)
    close(design.rows(slice(10, 4000, 7)).toarray(), matrix[10:4000:7], rtol=0)
    close(design.toarray(), matrix, rtol=0)


@each_writer
def test_float32_stays_float32(write, matrix, tmp_path):
    narrow = matrix.astype(np.float32)
    design = opened(write, narrow, tmp_path)
    assert design.dtype == np.float32
    assert {chunk.dtype for _, chunk in design.chunks()} == {np.dtype(np.float32)}
    close(design.matvec(np.ones(D)), narrow.astype(np.float64).sum(axis=1))


@pytest.mark.parametrize("write", [as_parquet, as_feather, as_npy, as_npy_by_columns])
def test_some_columns_are_the_same_columns(write, matrix, tmp_path):
    chosen = ["x7", "x2", "x50"]
    design = opened(write, matrix, tmp_path, columns=chosen)
    close(design.toarray(), matrix[:, [7, 2, 50]], rtol=0)
    part = design.columns(np.array([0, 2]))
    close(part.toarray(), matrix[:, [7, 50]], rtol=0)
    assert part.shape == (N, 2)
    close(design.read_column("x3"), matrix[:, 3], rtol=0)


def test_fewer_columns_take_fewer_bytes(matrix, tmp_path):
    path = as_parquet(matrix, tmp_path)
    whole = ChunkedDesign.from_dataset(path)
    part = ChunkedDesign.from_dataset(path, columns=names(6))
    for design in (whole, part):
        design.matvec(np.ones(design.shape[1]))
    assert part.bytes_read < 0.15 * whole.bytes_read
    assert whole.bytes_read == pytest.approx(path.stat().st_size, rel=0.05)


def test_passes_are_counted(matrix, tmp_path):
    design = opened(as_parquet, matrix, tmp_path)
    assert design.passes == 0
    design.rmatvec(np.ones(N))
    assert design.passes == 1
    design.gathered(np.array([3, 1400]))  # both in the first stretch, of one row group
    assert design.passes == pytest.approx(1 + 1500 / N)
    design.columns(np.arange(D // 2)).matvec(np.ones(D // 2))
    assert design.passes == pytest.approx(1.5 + 1500 / N, abs=0.01)


def test_a_gather_reads_what_it_needs_alone(matrix, tmp_path):
    design = opened(as_parquet, matrix, tmp_path)
    index = np.array([8999, 0, 8998, -2])
    close(design.rows(index).toarray(), matrix[index], rtol=0)
    assert design.passes == pytest.approx(2 * 1500 / N)


def test_a_pass_that_ends_early_leaves_no_thread(matrix, tmp_path):
    design = opened(as_parquet, matrix, tmp_path)
    for _, _ in design.chunks():
        break
    assert not [thread for thread in threading.enumerate() if thread.name == NAME]
    assert 0 < design.passes < 1
    close(design.matvec(np.ones(D)), matrix.sum(axis=1))


def test_moments_take_one_pass_and_are_kept(matrix, tmp_path):
    design = opened(as_parquet, matrix, tmp_path)
    first = design.column_moments()
    assert design.passes < 1.2
    before = design.passes
    close(design.column_moments()[1], first[1], rtol=0)
    assert design.passes == before


def test_a_sample_is_gathered_with_the_moments(matrix, tmp_path):
    design = opened(as_parquet, matrix, tmp_path)
    assert design.at_hand(10) is None
    moments = design.column_moments(np.arange(N, dtype=float))
    before = design.passes
    index, sample = design.at_hand(1000)
    assert (len(index), sample.shape, sample.dtype) == (1000, (1000, D), np.float32)
    close(sample.toarray(), matrix[index].astype(np.float32), rtol=0)
    assert len(set(index.tolist())) == 1000
    assert abs(index.mean() - N / 2) < 5 * N / np.sqrt(12 * 1000)
    whole, _ = design.at_hand(N // 2)
    assert whole[:1000].tolist() == index.tolist()
    assert design.at_hand(N) is None
    assert design.passes == before
    again = opened(as_npy, matrix, tmp_path)
    close(again.column_moments(np.arange(N, dtype=float))[0], moments[0])
    assert again.at_hand(1000)[0].tolist() == index.tolist()


@pytest.mark.parametrize(("n", "size"), [(10, 9), (1000, 1), (100_000, 50_000), (1 << 25, 10_000)])
def test_rows_are_drawn_once_each(n, size):
    found = drawn(n, size)
    assert len(found) == len(set(found.tolist())) == size
    assert 0 <= found.min() <= found.max() < n


def test_sparse_blocks_stay_sparse(rng):
    a = sparse.random_array((500, 30), density=0.1, rng=rng, format="csr")
    design = ChunkedDesign([a[:100], a[100:350], a[350:]])
    assert {type(chunk) for _, chunk in design.chunks()} == {SparseDesign}
    index = rng.permutation(500)[:40]
    taken = design.gathered(index)
    assert isinstance(taken, SparseDesign)
    close(taken.toarray(), a.toarray()[index].astype(np.float32), rtol=0)
    assert design.row_entries == pytest.approx(3.0)
    assert design.sample_limit == int(design.budget.sample / 24)
    some = design.columns(np.array([1, 4]))
    close(some.toarray(), a.toarray()[:, [1, 4]], rtol=0)


def test_rows_that_exceed_the_memory_are_refused(matrix):
    design = ChunkedDesign([matrix], memory="32MB")
    assert design.sample_limit * D * 4 <= 8_000_000
    with pytest.raises(InputError, match=r"80,000 rows .* take 38.4 MB, but `memory` is 32 MB"):
        design.rows(np.arange(80_000) % N)
    with pytest.raises(InputError, match="rows must be some of 0 to 8999"):
        design.rows(np.array([9000]))


def test_it_says_what_it_is(matrix, tmp_path):
    design = opened(as_folder, matrix, tmp_path)
    assert repr(design) == (
        "ChunkedDesign(9,000 x 60 float64 from 3 files, the first part-0.parquet, memory='32 MB')"
    )
    assert repr(ChunkedDesign([matrix[:5]])) == (
        "ChunkedDesign(5 x 60 float64 from blocks, memory='2 GB')"
    )
    assert design.names == tuple(names())
    assert ChunkedDesign([matrix]).names is None
    assert design.nbytes == matrix.nbytes


@pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])
@pytest.mark.parametrize("solver", [su.solvers.SketchedNewton(), su.solvers.LBFGS()], ids=str)
def test_a_fit_ends_where_the_one_in_memory_ends(intercept, solver, rng, tmp_path):
    n, d, classes = 30_000, 10, 3
    a = rng.standard_normal((n, d))
    y = (a @ rng.standard_normal((d, classes)) + rng.gumbel(size=(n, classes))).argmax(axis=1)
    parquet.write_table(table(a).append_column("y", pa.array(y)), tmp_path / "a.parquet")
    design = ChunkedDesign.from_dataset(tmp_path / "a.parquet", names(d), memory="32MB")
    assert sum(1 for _ in design.chunks()) > 2
    ends = []
    for of, target in ((design, design.read_column("y")), (a, y)):
        wrapped = as_design(of, intercept=intercept)
        unit, ridge = su.units.Multinomial(classes), su.penalties.Ridge(1.0)
        problem = su.Problem(wrapped, unit, target, ridge)
        solution = su.minimize(problem, solver=solver, tol=1e-9)
        assert solution.converged
        ends.append((solution.x, su.certify(problem, solution.x)))
    (x, certificate), (x0, certificate0) = ends
    close(x, x0, rtol=1e-8)
    assert certificate.value == pytest.approx(certificate0.value, rel=1e-12)
    assert certificate.unique == certificate0.unique


def test_it_takes_little_memory(tmp_path):
    """Resident memory grows by less than the budget, though the data are larger."""
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from softunit.designs import ChunkedDesign
path, status = sys.argv[1], Path("/proc/self/status")
def peak():
    if status.exists():  # there ru_maxrss begins with what the process that started this one held
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
design = ChunkedDesign.from_dataset(path, memory="24MB")
next(iter(design.chunks()))
before = peak()
for _ in range(2):
    design.rmatvec(np.ones(design.shape[0]))
print(peak() - before)
"""
    a = np.zeros((1_000_000, 10), dtype=np.float32)  # 40 MB
    np.save(tmp_path / "a.npy", a)
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.npy"],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert int(done.stdout) < 24_000_000
