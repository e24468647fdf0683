"""Sparse matrices whose indices point outside: an error with a row, never the end of the process.

SciPy's loops do not look at the indices, so each of these would read beside the matrix.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit.designs import ChunkedDesign, SparseDesign, as_design
from softunit.designs.dask import DaskDesign
from softunit.errors import InputError

N, D = 200, 4
LABELS = np.arange(N) % 3


def set_entry(name, place, value, a):
    getattr(a, name)[place] = value
    return a


def shortened(name, a):
    setattr(a, name, getattr(a, name)[:-3])
    return a


FAULTS = {
    "too large": (partial(set_entry, "indices", 9, 99), "row 2 has an entry in column 99, where 0"),
    "negative": (partial(set_entry, "indices", 0, -5), "row 0 has an entry in column -5"),
    "falling": (partial(set_entry, "indptr", 5, 10**6), "`indptr` falls from 1000000 to 24 at ent"),
    "beyond": (partial(set_entry, "indptr", N, 10**6), "promises 1000000 entries where 800 are"),
    "late": (partial(set_entry, "indptr", 0, 2), "`indptr` must begin with 0"),
    "short": (partial(shortened, "indptr"), "have 201 entries; it has 198"),
    "no data": (partial(shortened, "data"), "promises 800 entries where 797 are stored"),
}


@pytest.fixture(params=FAULTS, ids=lambda name: name.replace(" ", "_"))
def fault(request, rng):
    damage, said = FAULTS[request.param]
    return damage(sparse.csr_array(rng.uniform(1, 2, (N, D)))), said


def test_a_design_says_where(fault):
    broken, said = fault
    for make in (SparseDesign, as_design, lambda a: su.Problem(a, su.units.Multinomial(3), LABELS)):
        with pytest.raises(InputError, match=f"A is a broken sparse matrix: .*{said}"):
            make(broken)


def test_an_estimator_says_where_in_fit_and_in_predict(fault, rng):
    broken, said = fault
    model = su.SoftmaxClassifier(max_iter=5)
    with pytest.raises(InputError, match=f"X is a broken sparse matrix: .*{said}"):
        model.fit(broken, LABELS)
    model.fit(sparse.csr_array(rng.uniform(1, 2, (N, D))), LABELS)
    with pytest.raises(InputError, match=f"X is a broken sparse matrix: .*{said}"):
        model.predict(broken)


def test_a_block_is_named(fault, rng):
    broken, said = fault
    whole = sparse.csr_array(rng.uniform(1, 2, (N, D)))
    with pytest.raises(InputError, match=f"block 1 is a broken sparse matrix: .*{said}"):
        ChunkedDesign([whole, broken])
    with pytest.raises(InputError, match=f"partition 1 of A is a broken sparse matrix: .*{said}"):
        DaskDesign.from_blocks([lambda: whole, lambda: broken])


def test_a_block_that_breaks_between_passes_is_found(rng):
    block = sparse.csr_array(rng.uniform(1, 2, (N, D)))
    design = ChunkedDesign([block])
    design.rmatvec(np.ones(N))
    block.indices[3] = 99
    with pytest.raises(InputError, match="block 0 is a broken sparse matrix"):
        design.rmatvec(np.ones(N))
    with pytest.raises(InputError, match="block 0 is a broken sparse matrix"):
        design.columns(np.array([1])).rmatvec(np.ones(N))


@pytest.mark.parametrize(
    ("make", "name", "said"),
    [
        (sparse.csc_array, "indices", "column 0 has an entry in row 999, where 0 to 199"),
        (sparse.bsr_array, "indices", "row of blocks 1 has an entry in column of blocks 999"),
        (sparse.coo_array, "col", "`col` holds 999, where 0 to 3 can be"),
        (sparse.coo_array, "row", "`row` holds 999, where 0 to 199 can be"),
    ],
    ids=["csc", "bsr", "coo column", "coo row"],
)
def test_other_formats_are_looked_at_before_they_become_csr(make, name, said, rng):
    broken = set_entry(name, 1, 999, make(rng.uniform(1, 2, (N, D))))
    with pytest.raises(InputError, match=said):
        SparseDesign(broken)
    broken = make(rng.uniform(1, 2, (N, D)))
    if make is sparse.coo_array:
        with pytest.raises(InputError, match="`row` has 800 entries, `data` 797"):
            SparseDesign(shortened("data", broken))


@pytest.mark.parametrize("kind", ["csr", "csc", "bsr", "coo", "lil", "dia"])
def test_whole_matrices_of_every_format_are_taken(kind, rng):
    a = np.where(rng.random((N, D)) < 0.5, rng.standard_normal((N, D)), 0.0)
    a[20:] = 0  # few diagonals
    np.testing.assert_array_equal(SparseDesign(sparse.coo_array(a).asformat(kind)).toarray(), a)


def test_room_behind_the_last_entry_is_no_fault(rng):
    a = sparse.csr_array(rng.uniform(1, 2, (N, D)))
    roomy = a.copy()
    roomy.data = np.append(a.data, [7.0, 7.0])
    roomy.indices = np.append(a.indices, [9, 9]).astype(a.indices.dtype)
    design = SparseDesign(roomy)
    np.testing.assert_array_equal(design.toarray(), a.toarray())
    np.testing.assert_allclose(design.column_moments()[0], a.toarray().mean(axis=0))
    assert len(roomy.data) == N * D + 2  # the caller's arrays stay as they are
