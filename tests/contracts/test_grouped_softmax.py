"""Many softmax groups in one: the sum of what its groups are by themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import softunit as su
from softunit._groups import Groups
from softunit.errors import InputError
from softunit.penalties import Ridge
from softunit.units import GroupedSoftmax, SoftmaxCrossEntropy, SoftmaxSquares

LOSSES = [("log", SoftmaxCrossEntropy()), ("squares", SoftmaxSquares())]
each_loss = pytest.mark.parametrize(("loss", "single"), LOSSES, ids=["log", "squares"])
seeds = st.integers(0, 2**32 - 1)


@each_loss
@given(seed=seeds, weighted=st.booleans())
def test_one_group_is_the_one_softmax(loss, single, seed, weighted):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 12))
    z, b = 3 * rng.standard_normal(n), rng.dirichlet(np.ones(n))
    w = rng.uniform(0.1, 3, n) if weighted else None
    unit = GroupedSoftmax(np.full(n, 5), loss)
    value, gradient = unit.value_gradient(z, b, w)
    assert value == pytest.approx(single.value(z, b, w), rel=1e-13, abs=1e-15)
    assert unit.value(z, b, w) == value
    np.testing.assert_allclose(gradient, single.gradient(z, b, w), rtol=1e-12, atol=1e-15)
    for kind in ("exact", "gauss_newton"):
        np.testing.assert_allclose(
            unit.curvature(z, b, w, kind=kind).matvec(np.eye(n)),
            single.curvature(z, b, w, kind=kind).matvec(np.eye(n)),
            rtol=1e-11,
            atol=1e-15,
        )


@each_loss
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@given(seed=seeds)
def test_groups_are_the_sum_of_separate_problems(loss, single, form, seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(4), rng.integers(1, 7, 4)))
    labels = np.append(labels, [0, 0])  # not all groups of one row
    n, d = len(labels), 3
    a, x = rng.standard_normal((n, d)), rng.standard_normal(d)
    b, w = rng.gamma(1.0, size=n), rng.uniform(0.1, 3, n)
    problem = su.Problem(form(a), GroupedSoftmax(labels, loss), b, weights=w)
    point = problem.evaluate(x)
    value, gradient, hessian = 0.0, np.zeros(d), np.zeros((d, d))
    for group in range(4):
        rows = labels == group
        part = su.Problem(a[rows], single, b[rows], weights=w[rows])
        there = part.evaluate(x)
        value, gradient = value + there.value, gradient + there.gradient
        hessian += part.hessian(there)
    size = 1 + np.abs(hessian).max()
    assert point.value == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(point.gradient, gradient, atol=1e-12 * size)
    np.testing.assert_allclose(problem.hessian(point), hessian, atol=1e-12 * size)


@pytest.mark.parametrize("loss", ["log", "squares"])
def test_names_and_order_of_the_groups_do_not_matter(loss, rng):
    labels = rng.integers(0, 5, 40)
    names = np.array(["e", "d", "c", "b", "a"])[labels]
    z, b = rng.standard_normal(40), rng.gamma(1.0, size=40)
    by_number, by_name = GroupedSoftmax(labels, loss), GroupedSoftmax(names, loss)
    order = np.argsort(labels, kind="stable")
    in_order = GroupedSoftmax(labels[order], loss)
    value, gradient = by_number.value_gradient(z, b)
    assert by_name.value(z, b) == pytest.approx(value, rel=1e-14)
    assert in_order.value(z[order], b[order]) == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(in_order.gradient(z[order], b[order]), gradient[order], atol=1e-15)
    assert GroupedSoftmax(Groups(labels), loss).value(z, b) == value


def test_probabilities_sum_to_one_in_every_group(rng):
    labels = rng.integers(0, 7, 60)
    f = GroupedSoftmax(labels).probabilities(1e4 * rng.standard_normal(60))
    np.testing.assert_allclose(np.bincount(labels, weights=f), 1.0)


def test_the_projection_takes_out_the_mean_of_each_group(rng):
    labels = rng.integers(0, 4, 30)
    unit, v = GroupedSoftmax(labels), rng.standard_normal((30, 2))
    means = np.stack([np.bincount(labels, c) / np.bincount(labels) for c in v.T], axis=1)
    np.testing.assert_allclose(unit.projection(30).matvec(v), v - means[labels], atol=1e-14)
    shifted = np.arange(4.0)[labels]  # another constant for each group
    b = rng.gamma(1.0, size=30)
    assert unit.value(v[:, 0] + shifted, b) == pytest.approx(unit.value(v[:, 0], b))


def test_a_column_constant_in_each_group_is_a_null_direction(rng):
    labels = np.repeat(np.arange(40), 5)
    a = rng.standard_normal((200, 2))
    b = np.zeros(200)
    b[rng.integers(0, 5, 40) + 5 * np.arange(40)] = 1.0
    seen = su.Problem(a, GroupedSoftmax(labels), b)
    solution = su.minimize(seen, tol=1e-10).raise_if_failed()
    assert su.certify(seen, solution.x).unique
    whole = su.Problem(np.column_stack([a, np.arange(40.0)[labels]]), GroupedSoftmax(labels), b)
    certificate = su.certify(whole, np.append(solution.x, 0.0))
    assert certificate.unique is False
    assert "1 of 3 directions" in str(certificate)


def test_choice_sets_are_certified(rng):
    labels = rng.integers(0, 40, 200)
    a, x = rng.standard_normal((200, 3)), rng.standard_normal(3)
    unit = GroupedSoftmax(labels)
    b = np.zeros(200)
    f = unit.probabilities(a @ x)
    for group in np.unique(labels):
        rows = np.flatnonzero(labels == group)
        b[rng.choice(rows, p=f[rows])] = 1.0
    problem = su.Problem(a, unit, b, Ridge(1e-3))
    solution = su.minimize(problem, tol=1e-10).raise_if_failed()
    certificate = su.certify(problem, solution.x)
    assert certificate.gap_bound <= 1e-10
    assert certificate.unique
    assert np.linalg.norm(solution.x - x) <= 1.5


def test_shares_that_a_softmax_attains_come_back(rng):
    labels = rng.integers(0, 20, 150)
    a, x = rng.standard_normal((150, 4)), rng.standard_normal(4)
    for loss in ("log", "squares"):
        unit = GroupedSoftmax(labels, loss)
        solution = su.minimize(su.Problem(a, unit, unit.probabilities(a @ x)), tol=1e-12)
        np.testing.assert_allclose(solution.x, x, atol=1e-8)


def test_a_hundred_thousand_groups_evaluate_as_one(rng):
    n = 1_000_000
    labels = rng.integers(0, 100_000, n)
    z, b = rng.standard_normal(n), rng.uniform(0.1, 1, n)
    unit = GroupedSoftmax(labels)
    value, gradient = unit.value_gradient(z, b)
    # The log-likelihood by another road: log of the sums of exponentials, no shift.
    sums, beta = np.bincount(labels, np.exp(z)), np.bincount(labels, b)
    assert value == pytest.approx(beta[sums > 0] @ np.log(sums[sums > 0]) - b @ z, rel=1e-10)
    assert np.abs(np.bincount(labels, gradient)).max() <= 1e-12
    assert unit.curvature(z, b).matvec(z).shape == (n,)


LABELS = {
    "equal": np.repeat(np.arange(8), 3),
    "equal-many": np.repeat([3, 1, 2], 40),
    "ragged": np.repeat([5, 3, 9, 1], [2, 7, 1, 4]),
    "falling": np.repeat([9, 8, 2], [2, 3, 2]),
    "scattered": np.array([2, 0, 2, 1, 1, 0, 2, 5, 0]),
    "names": np.array(["b", "a", "b", "c", "c", "a"]),
    "objects": np.array(["b", "b", "a", "c", "c"], dtype=object),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_groups_of_every_kind_say_what_a_loop_says(labels, rng):
    groups = Groups(labels)
    n, v = len(labels), rng.standard_normal(len(labels))
    assert (len(groups), groups.count) == (n, len(set(labels.tolist())))
    members = [np.flatnonzero(groups.codes == g) for g in range(groups.count)]
    assert all(len(set(labels[rows].tolist())) == 1 for rows in members)
    np.testing.assert_array_equal(groups.sizes, [len(rows) for rows in members])
    np.testing.assert_array_equal(groups.first_rows, [rows[0] for rows in members])
    np.testing.assert_array_equal(groups.number_of(np.arange(n)), groups.codes)
    np.testing.assert_allclose(groups.sums(v), [v[rows].sum() for rows in members])
    np.testing.assert_array_equal(groups.largest(v), [v[rows].max() for rows in members])
    np.testing.assert_array_equal(groups.spread(groups.largest(v))[members[1]], v[members[1]].max())
    p = groups.softmax(1e3 * v)
    for rows in members:
        e = np.exp(1e3 * (v[rows] - v[rows].max()))
        np.testing.assert_allclose(p[rows], e / e.sum(), atol=1e-15)
    block = rng.standard_normal((n, 2))
    order = np.concatenate(members)
    np.testing.assert_allclose(
        groups.block_sums(v[order], block[order]), [v[rows] @ block[rows] for rows in members]
    )
    for which, rows in groups.pieces(4):
        part = groups.part(which)
        np.testing.assert_allclose(part.sums(v[rows]), groups.sums(v)[which])
        np.testing.assert_array_equal(part.largest(v[rows]), groups.largest(v)[which])


def test_groups_that_stand_together_are_neither_sorted_nor_numbered():
    groups = Groups(np.repeat([3, 1, 2], 2))
    assert groups.order is None
    assert groups.size == 2
    assert "codes" not in vars(groups)
    np.testing.assert_array_equal(groups.codes, [0, 0, 1, 1, 2, 2])
    assert Groups([0, 1, 1]).size == 0


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.array(["a", None, "b"], dtype=object), "hold None, first in row 1"),
        (np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"), "first in row 1"),
        (np.array([1.0, 2.0, float("nan")], dtype=object), "first in row 2"),
        (np.array(["a", 1, "a", 1], dtype=object), "types int, str side by side"),
    ],
    ids=["none", "time", "nan", "mixed"],
)
def test_labels_that_tell_no_group_get_a_sentence(labels, sentence):
    with pytest.raises(InputError, match=sentence):
        Groups(labels)


@pytest.mark.parametrize("piece", [4, 7, 1000])
def test_pieces_change_nothing(piece, rng, monkeypatch):
    labels = rng.permutation(np.repeat(np.arange(9), rng.integers(1, 6, 9)))
    z, b = rng.standard_normal(len(labels)), rng.gamma(1.0, size=len(labels))
    whole = GroupedSoftmax(labels)
    value, gradient = whole.value_gradient(z, b)
    p = whole.probabilities(z)
    monkeypatch.setattr("softunit.units.grouped_softmax.PIECE", piece)
    parts = GroupedSoftmax(labels)
    assert parts.value(z, b) == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(parts.gradient(z, b), gradient, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(parts.probabilities(z), p, rtol=1e-14)


def test_means_that_outweigh_the_differences_cost_no_digits(rng):
    labels = np.repeat(np.arange(30), 4)
    near = rng.standard_normal((120, 2))
    unit, b = GroupedSoftmax(labels), np.tile([1.0, 0, 0, 0], 30)
    far = near + 1e6  # the squares of the means are 12 digits above what is left
    curvature = unit.curvature(near @ [0.3, -0.2], b)
    expected = su.designs.DenseDesign(near).gram(curvature)
    found = su.designs.DenseDesign(far).gram(curvature)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_curvatures_expand_into_sparse_grams(rng):
    labels = rng.integers(0, 12, 60)
    a = sparse.random_array((60, 5), density=0.4, rng=rng, format="csr")
    unit, b, w = GroupedSoftmax(labels), rng.gamma(1.0, size=60), rng.uniform(0.1, 2, 60)
    curvature = unit.curvature(rng.standard_normal(60), b, w)
    dense = a.toarray().T @ curvature.matvec(a.toarray())
    np.testing.assert_allclose(curvature.sparse_gram(a), dense, atol=1e-13 * np.abs(dense).max())


@pytest.mark.parametrize(
    ("groups", "loss", "target", "sentence"),
    [
        ([1, 1, 2], "log", [0.5, -0.1, 0.6], "the first is -0.1 in row 1, group 1"),
        (["a", "a", "b"], "log", [0.5, 0.5, -1.0], "in row 2, group 'b'"),
        (["a", "b", "b"], "log", [1.0, 0.0, 0.0], "1 of 2 groups; the first is group 'b'.*row 1"),
        (Groups([3, 3, 4]), "log", [1.0, 1.0, 0.0], "the first is group number 1"),
        ([1, 1], "log", [0.5, 0.5, 1.0], "hold 2 labels, but A has 3 rows"),
        ([1, 2, 3], "log", [1.0, 1.0, 1.0], "each of the 3 groups has one row only"),
        ([1, 1, 2], "logs", [0.5, 0.5, 1.0], "`loss` must be 'log' or 'squares'; got 'logs'"),
        ([[1, 1, 2]], "log", [0.5, 0.5, 1.0], r"an array of shape \(1, 3\)"),
        ([1, np.nan, 2], "log", [0.5, 0.5, 1.0], "NaN, first in row 1"),
        ([1, 1, 2], "squares", [0.5, np.nan, 1.0], "NaN or infinity in 1 of 3"),
    ],
)
def test_bad_input_gets_a_sentence(groups, loss, target, sentence):
    with pytest.raises(InputError, match=sentence):
        GroupedSoftmax(groups, loss).check(target, 3)


def test_squares_accept_any_target():
    b = GroupedSoftmax([1, 1, 2], "squares").check([-1.0, 3.0, 0.0], 3)
    # (1 - 2)^2 / 4 of the first group, 1/2 of the second, which has one row.
    assert GroupedSoftmax([1, 1, 2], "squares").bounds(b).lower == pytest.approx(0.25 + 0.5)
