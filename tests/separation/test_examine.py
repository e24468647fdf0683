"""What a diagnosis says, when it is asked for, and what it leaves open."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit.designs import ScaledDesign, as_design
from softunit.errors import InputError
from softunit.penalties import ElasticNet, Ridge, ScoreRidge
from softunit.problem import Problem
from softunit.separation import cone as cone_module
from softunit.separation import diagnose, exact, examine, finder
from softunit.separation.cone import Cone
from softunit.separation.exact import holds_exactly, lowest_bit
from softunit.separation.search import Search, whole_numbers
from softunit.units import GroupedSoftmax, Multinomial, SoftmaxSquares


def labels(a, y, k=None, *, weights=None, penalty=None):
    design = ScaledDesign(as_design(a), intercept=True)
    more = {} if penalty is None else {"penalty": penalty}
    return Problem(design, Multinomial(k), y, weights=weights, **more)


def quasi(rng, n=200):
    a = rng.standard_normal((n, 3))
    y = rng.integers(0, 3, n)
    a[:, 1] = (rng.random(n) < 0.3) & (y != 2)
    return a, y


def test_a_dummy_that_one_class_never_has_is_named_with_its_class(rng):
    a, y = quasi(rng)
    found = diagnose(labels(a, y), names=["age", "member", "income"], outcomes=["a", "b", "c"])
    assert not found.complete
    assert found.certain
    assert found.columns == ("member",)
    assert found.moved == ("'c'",)
    assert found.rows == int(a[:, 1].sum())
    assert found.n_rows == 200
    assert found.sentence == (
        f"quasi-separable: as the coefficient of column 'member' for 'c' moves off to infinity,"
        f" the loss falls for ever in {found.rows} of 200 rows, and rises in none, so without ridge"
        " the coefficients grow without bound and no optimum exists. The coefficients returned are"
        " where the run stopped. Use a finite C (ridge), drop this column, merge classes, or gather"
        " more rows."
    )


def test_the_direction_holds_in_exact_arithmetic(rng):
    a, y = quasi(rng, 60)
    w = diagnose(labels(a, y, 3)).direction
    scores = [
        [
            sum(Fraction(v) * Fraction(c) for v, c in zip([*row, 1.0], column, strict=True))
            for column in w.T
        ]
        for row in a
    ]
    forms = [scores[i][y[i]] - scores[i][k] for i in range(60) for k in range(3) if k != y[i]]
    assert min(forms) == 0
    assert max(forms) > 0


def test_one_row_on_the_other_side_is_enough(rng):
    a, y = quasi(rng)
    a[np.flatnonzero(y == 2)[0], 1] = 1.0
    assert examine(labels(a, y)) == su.separation.Diagnosis(None, checked=True)


def test_a_class_that_scores_separate_is_named_beside_its_column(rng):
    a = rng.standard_normal((150, 2))
    y = np.where(a[:, 1] > 1, 0, rng.integers(1, 3, 150))
    found = diagnose(labels(a, y), outcomes=["x", "y", "z"])
    assert found.outcomes == ("'x'",)
    assert (found.rows, found.n_rows) == (150, 150)
    assert "a linear score of column 1 separates 'x' from the other classes" in found.sentence


def test_choices_name_alternatives_and_choice_sets(rng):
    groups = np.repeat(np.arange(80), 3)
    names = np.tile(["bus", "car", "train"], 80)
    a = rng.standard_normal((240, 2))
    chosen = rng.integers(0, 2, 80)  # never the train
    b = np.zeros(240)
    b[3 * np.arange(80) + chosen] = 1.0
    a = np.column_stack([a, names == "train"])
    found = diagnose(
        Problem(a, GroupedSoftmax(groups), b), names=["cost", "time", "rail"], outcomes=names
    )
    assert found.columns == ("rail",)
    assert found.outcomes == ("'train'",)
    assert (found.rows, found.n_rows) == (80, 80)
    assert "80 of 80 choice sets" in found.sentence
    assert "no choice for or against 'train' is ever wrong" in found.sentence
    assert "or gather more choice sets" in found.sentence


def test_rounding_is_told_from_truth(rng):
    a = rng.integers(0, 10, (120, 3)) / 10  # 0.1 + 0.2 is not 0.3 in float64
    y = rng.integers(0, 2, 120)
    a[:, 2] = a[:, 0] + a[:, 1] + ((rng.random(120) < 0.4) & (y == 1))
    blurred = diagnose(labels(a, y))
    assert not blurred.certain
    assert ", up to the rounding of these columns," in blurred.sentence
    whole = diagnose(labels(np.round(10 * a), y))
    assert whole.certain
    assert whole.columns == blurred.columns == ("0", "1", "2")


def test_an_overlap_beyond_rounding_is_never_separation(rng):
    x = np.sort(rng.standard_normal(40))
    y = (np.arange(40) >= 20).astype(int)
    x[19] = x[20] + 1e-13
    found = examine(labels(x[:, None], y))
    assert found.separation is None
    x[19] = x[20] - 1e-13
    found = diagnose(labels(x[:, None], y))
    assert found.complete


def test_blocks_of_rows_tell_the_same_as_all_at_once(rng, monkeypatch):
    a, y = quasi(rng)
    weights = rng.uniform(0.5, 2.0, 200)
    against = np.flatnonzero(y == 2)[-1]  # a row that would put an end to it, but has no weight
    a[against, 1], weights[against] = 1.0, 0.0
    cases = [labels(a, y, weights=weights), labels(a, y), labels(a, (a[:, 0] > 0).astype(int))]
    expected = [examine(problem) for problem in cases]
    assert [found.separation is not None for found in expected] == [True, False, True]
    monkeypatch.setattr(cone_module, "BLOCK", 1)
    assert len(Cone(cases[0]).blocks) == 4
    assert [examine(problem) for problem in cases] == expected


def test_few_rows_of_many_enter_the_programme(rng):
    a, y = quasi(rng, 30_000)
    search = Search(Cone(labels(a, y)), None, 10**7)
    wanted = [np.ones(len(mask), dtype=bool) for mask in search.inside]
    w, walk = search.direction(wanted)
    assert set(np.flatnonzero(w.any(axis=1))) == {1}
    assert walk.holds
    assert search.programme.rows.shape[0] < 8000  # of 60,000 forms
    a[np.flatnonzero(y == 2)[7], 1] = 1.0
    assert diagnose(labels(a, y)) is None


def test_a_certificate_that_proves_an_optimum_is_answer_enough(rng, monkeypatch):
    a, y = rng.standard_normal((200, 3)), rng.integers(0, 3, 200)
    problem = labels(a, y)
    x = su.minimize(problem).x
    monkeypatch.setattr("softunit.separation.diagnosis.found_in", None)
    assert examine(problem, x).checked
    groups = np.repeat(np.arange(50), 4)
    choice = Problem(a, GroupedSoftmax(groups), np.tile([1.0, 0, 0, 0], 50))
    assert examine(choice, su.minimize(choice).x).checked
    # A bound on the gap alone says nothing of a loss that is bounded below.
    separated = Problem(np.tile([[1.0], [0], [0], [0]], (50, 1)), choice.unit, choice.target)
    with pytest.raises(TypeError, match="not callable"):
        examine(separated, np.ones(1))


def test_scores_that_put_all_rows_right_need_no_programme(rng, monkeypatch):
    a = rng.standard_normal((100, 3))
    y = (a[:, 0] > 0).astype(int)
    monkeypatch.setattr(finder, "BRIEF", 0)
    monkeypatch.setattr(finder, "Search", None)
    found = diagnose(labels(a, y), np.array([1.0, 0.0, 0.0, 0.0]))
    assert found.complete
    assert found.columns == ()
    assert found.sentence.startswith("perfectly separable: linear scores tell the classes 0, 1")


def test_all_rows_right_are_told_from_some_where_few_programmes_are_solved(rng, monkeypatch):
    monkeypatch.setattr(finder, "BRIEF", 0)
    most = np.repeat(np.eye(2), [9, 1], axis=0)  # the first column alone raises the sum most
    found = diagnose(labels(np.vstack([most, -most]), np.repeat([1, 0], 10)))
    assert found.complete
    assert (found.rows, found.n_rows) == (20, 20)
    assert not diagnose(labels(*quasi(rng))).complete


def test_what_is_too_large_is_said_not_to_be_known(rng, monkeypatch):
    a, y = quasi(rng)
    alone = a  # one coefficient is seen by its sign, however many there are
    a = a @ np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 1.0], [0.0, 1.0, 1.0]])
    monkeypatch.setattr(finder, "LIMIT", 11)
    assert examine(labels(alone, y)).separation.columns == ("1",)
    found = examine(labels(a, y))  # (3 + 1) * 3
    assert not found.checked
    assert "12 coefficients are more than the 11" in found.sentence
    monkeypatch.setattr(finder, "LIMIT", 12)
    monkeypatch.setattr(finder, "ENTRIES", 100)
    assert "more than 100 entries" in examine(labels(a, y)).sentence


def test_ridge_keeps_coefficients_from_growing(rng):
    a, y = quasi(rng)
    assert diagnose(labels(a, y, penalty=Ridge(np.array([1e-9, 1e-9, 1e-9, 0.0])))) is None
    held = Ridge(np.array([1.0, 0.0, 1.0, 0.0]))
    assert diagnose(labels(a, y, penalty=held)).columns == ("1",)
    told = (a[:, 0] > 0).astype(int)
    first, x = Ridge(np.array([1e-9, 0.0, 0.0, 0.0])), np.array([1.0, 0.0, 0.0, 0.0])
    assert diagnose(labels(a, told), x).complete
    left_open = su.certify(labels(a, y), np.zeros((4, 3)))
    assert not left_open.unique
    assert examine(labels(a, told, penalty=first), x, certificate=left_open).separation is None


def test_other_penalties_do_too(rng):
    a, y = quasi(rng)
    assert diagnose(labels(a, y, penalty=ElasticNet(np.array([1e-9, 1e-9, 1e-9, 0.0])))) is None
    held = ElasticNet(np.array([1.0, 0.0, 1.0, 0.0]))
    assert diagnose(labels(a, y, penalty=held)).columns == ("1",)
    assert diagnose(labels(a, y, penalty=ScoreRidge(1e-9))) is None


def test_an_alternative_without_weight_is_told_from_nothing(rng):
    names = np.append(np.tile(["bus", "car", "train"], 40), ["bus", "ferry"])
    chosen = np.append(3 * np.arange(40) + rng.integers(0, 2, 40), 121)  # never the train
    b, weights = np.zeros(122), np.ones(122)
    b[chosen], weights[120:] = 1.0, 0.0
    a = np.column_stack([rng.standard_normal(122), names == "train"])
    unit = GroupedSoftmax(np.arange(122) // 3)
    found = diagnose(Problem(a, unit, b, weights=weights), outcomes=names)
    assert found.outcomes == ("'train'",)
    assert (found.rows, found.n_rows) == (40, 40)


def test_a_class_without_weight_moves_its_intercept_alone(rng):
    a, y = rng.standard_normal((90, 2)), np.repeat([0, 1, 2], 30)
    found = diagnose(labels(a, y, weights=(y != 1).astype(float)))
    assert found.columns == ("(intercept)",)
    assert found.moved == ("1",)


def test_the_same_answer_in_every_form_and_order(rng):
    a, y = quasi(rng)
    order = rng.permutation(200)
    base = diagnose(labels(a, y))
    for other in (sparse.csr_matrix(a), np.asfortranarray(a), a.astype(np.float32)):
        assert diagnose(labels(other, y)).columns == base.columns
    moved = diagnose(labels(a[order], y[order]))
    assert (moved.rows, moved.certain, moved.columns) == (base.rows, True, base.columns)


def test_units_without_a_recession_are_refused(rng):
    problem = Problem(rng.standard_normal((5, 2)), SoftmaxSquares(), np.full(5, 0.2))
    with pytest.raises(InputError, match="separation is not defined for SoftmaxSquares"):
        diagnose(problem)


def test_lowest_bits():
    numbers = np.array([1.0, 3.0, 0.5, -6.0, 0.0, 2.0**-1000])
    np.testing.assert_array_equal(lowest_bit(numbers), [0, 0, -1, 1, 4096, -1000])
    assert lowest_bit(np.array([0.1]))[0] == -55


@pytest.mark.parametrize("unit", [0.1, 1.0], ids=["tenths", "whole"])
def test_zeros_are_zeros_only_in_exact_arithmetic(unit):
    a = unit * np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 2.0], [2.0, 4.0, 6.0]])
    cone = Cone(Problem(a, Multinomial(2), np.array([1, 0, 1])))
    w = np.array([[1.0], [1.0], [-1.0]])
    sums = [sum(map(Fraction, row * w[:, 0])) for row in a]
    truth = sums[0] >= 0 and sums[1] <= 0 and sums[2] >= 0
    assert holds_exactly(cone, w, [np.ones(3, dtype=bool)]) == truth
    assert truth == (unit == 1.0)


def test_sums_too_long_to_take_exactly_are_not_called_exact(monkeypatch):
    a = np.array([[0.1, 0.1, 8.0, 8.0]] * 2)
    cone = Cone(Problem(a, Multinomial(2), np.array([1, 0])))
    w, both = np.array([[1.0], [-1.0], [1.0], [-1.0]]), [np.ones(2, dtype=bool)]
    assert holds_exactly(cone, w, both)
    monkeypatch.setattr(exact, "LONG", 7)
    assert not holds_exactly(cone, w, both)
    monkeypatch.setattr(exact, "LONG", 8)
    assert holds_exactly(cone, w, both)


def test_ratios_of_whole_numbers_are_found():
    w = np.array([[0.2], [-0.3], [0.0], [0.1 + 1e-14]])
    found = [v[:, 0].tolist() for v in whole_numbers(w)]
    assert [2.0, -3.0, 0.0, 1.0] in found
    assert list(whole_numbers(np.array([[1.0], [np.pi]]))) == []
