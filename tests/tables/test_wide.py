"""Wide tables of choices: which column belongs to what, and what they unfold into."""

import numpy as np
import pyarrow as pa
import pytest

from softunit.errors import InputError
from softunit.tables import Table, WideLayout, long_from_wide, wide_layout


def table(**columns):
    """Return a table as a file of these columns would be."""
    made = pa.table(columns)
    return Table(tuple(made.column_names), made.num_rows, source="wide.csv", arrow=made)


def trips(**changed):
    """Return three trips by car or train; the third has no train."""
    columns = {
        "mode": ["car", "train", "car"],
        "time_car": [10, 30, 20],
        "time_train": [15.0, 25.0, None],
        "seat_car": ["own", "own", "rented"],
        "seat_train": ["second", "first", None],
        "income": [1.5, 2.5, 3.5],
    }
    columns |= changed
    return table(**{name: values for name, values in columns.items() if values is not None})


def test_names_say_what_belongs_to_which_alternative():
    layout = wide_layout(trips(), target="mode")
    assert layout == WideLayout(("car", "train"), ("time", "seat"), ("income",))
    assert layout.column("time", "train") == "time_train"


def test_rows_are_unfolded_set_by_set():
    found = trips()
    long = long_from_wide(found, wide_layout(found, target="mode"), target="mode")
    assert long.arrow.to_pydict() == {
        "set": [1, 1, 2, 2, 3],
        "alternative": ["car", "train", "car", "train", "car"],
        "chosen": [1, 0, 0, 1, 1],
        "time": [10.0, 15.0, 30.0, 25.0, 20.0],
        "seat": ["own", "second", "own", "first", "rented"],
        "income": [1.5, 1.5, 2.5, 2.5, 3.5],
    }
    assert long.source == "wide.csv"


def test_without_a_target_nothing_is_chosen():
    layout = wide_layout(trips(), target="mode")
    long = long_from_wide(trips(mode=None), layout)
    assert "chosen" not in long.names
    assert long.n_rows == 5


def test_availability_columns_rule_over_cells():
    found = trips(time_train=[15.0, 25.0, 7.0], seat_train=["a", "b", "c"],
                  has_car=[True, True, True], has_train=[1, 1, 0])  # fmt: skip
    layout = wide_layout(found, target="mode", availability="has")
    assert layout.attributes == ("time", "seat")
    long = long_from_wide(found, layout, target="mode")
    assert long.column("set").to_pylist() == [1, 1, 2, 2, 3]
    assert long.column("time").to_pylist() == [10.0, 15.0, 30.0, 25.0, 20.0]


def test_other_patterns_and_numbered_alternatives():
    found = table(choice=[1.0, 2.0], x1=[0.5, 1.5], x2=[2.5, 3.5])
    layout = wide_layout(found, target="choice", pattern="{name}{alternative}")
    assert layout.alternatives == ("1", "2")
    assert layout.attributes == ("x",)
    long = long_from_wide(found, layout, target="choice")
    assert long.column("x").to_pylist() == [0.5, 2.5, 1.5, 3.5]
    assert long.column("chosen").to_pylist() == [1, 0, 0, 1]


def test_of_two_endings_the_longer_is_the_alternative():
    found = table(y=["train", "night_train"], t_train=[1, 2], t_night_train=[3, 4])
    layout = wide_layout(found, target="y")
    assert layout.attributes == ("t",)
    assert long_from_wide(found, layout).column("t").to_pylist() == [3.0, 1.0, 4.0, 2.0]


def test_an_alternative_that_nobody_chose_is_listed():
    found = trips(time_bus=[1, 2, 3], seat_bus=["a", "b", "c"])
    with pytest.raises(InputError, match="'time_bus' looks like 'time' of an alternative 'bus'"):
        wide_layout(found, target="mode")
    layout = wide_layout(found, target="mode", alternatives=("car", "train", "bus"))
    assert long_from_wide(found, layout, target="mode").n_rows == 8
    dropped = wide_layout(found, target="mode", drop=("time_bus", "seat_bus"))
    assert dropped.alternatives == ("car", "train")


BAD_LAYOUTS = [
    ({"mode": ["car"] * 3}, {}, "at least two alternatives.*names only 'car'"),
    ({"seat_train": None}, {}, "has a column 'seat_car', but none called 'seat_train'"),
    ({"mode": ["car", "trian", "car"]}, {"alternatives": ("car", "train")},
     r"'trian' \(1 row, in data row 2\), which is no alternative.*Did you mean 'train'"),
    ({}, {"pattern": "{name}"}, r"must hold \{name\} and \{alternative\}, once each"),
    ({}, {"pattern": "{name}_{alternative}_{0}"}, r"must hold \{name\} and \{alternative\}"),
    ({}, {"availability": "sea"}, r"no column 'sea_car'.*Did you mean 'seat_car'"),
    ({"mode": ["car", None, "car"]}, {}, "'mode' has 1 missing value, in data row 2"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "options", "sentence"), BAD_LAYOUTS)
def test_bad_layouts(changed, options, sentence):
    with pytest.raises(InputError, match=sentence):
        wide_layout(trips(**changed), target="mode", **options)


BAD_ROWS = [
    ({"time_train": [15.0, None, None]}, "'time_train' has 1 missing value, in data row 2"),
    ({"time_train": [15.0, np.inf, None]}, "'time_train' has 1 infinite value, in data row 2"),
    ({"income": [1.0, None, None]}, "'income' has 2 missing values, the first in data row 2"),
    ({"mode": ["car", "train", "train"]},
     r"chooses 'train' where it is not available \(1 row, in data row 3\)"),
    ({"seat_car": [1, 2, 3]}, "'seat_train' holds text and 'seat_car' holds numbers"),
    ({"set": [1, 2, 3]}, "'set' has the name of a column that unfolding"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "sentence"), BAD_ROWS)
def test_bad_rows(changed, sentence):
    found = trips(**changed)
    with pytest.raises(InputError, match=sentence):
        long_from_wide(found, wide_layout(found, target="mode"), target="mode")


def test_availability_is_zero_or_one():
    found = trips(ok_car=[1, 1, 1], ok_train=[1, 2, 0])
    layout = wide_layout(found, target="mode", availability="ok")
    with pytest.raises(InputError, match=r"'ok_train'.*1 other value, in data row 2 \(2\)"):
        long_from_wide(found, layout)


def test_single_gaps_can_be_left_to_be_filled():
    found = trips(time_train=[15.0, None, None])
    layout = wide_layout(found, target="mode")
    long = long_from_wide(found, layout, target="mode", keep_missing=True)
    assert long.column("time").to_pylist() == [10.0, 15.0, 30.0, None, 20.0]


def test_a_matrix_has_no_names_to_unfold():
    found = Table(("x_1", "x_2"), 2, source="m.npz", matrix=np.ones((2, 2)))
    with pytest.raises(InputError, match=r"m\.npz holds one matrix of numbers: wide tables"):
        long_from_wide(found, WideLayout(("1", "2"), ("x",)))


def test_an_attribute_may_not_take_the_name_of_a_column_that_is_made():
    found = trips(chosen_car=[7, 8, 9], chosen_train=[1, 2, None])
    layout = wide_layout(found, target="mode")
    with pytest.raises(InputError, match="'chosen' has the name of a column that unfolding"):
        long_from_wide(found, layout, target="mode")


def test_choices_that_a_layout_does_not_know_are_refused():
    layout = wide_layout(trips(), target="mode")
    with pytest.raises(InputError, match=r"'tram' \(1 row, in data row 2\), which is no alternat"):
        long_from_wide(trips(mode=["car", "tram", "car"]), layout, target="mode")


def test_an_alternative_listed_twice_is_one():
    layout = wide_layout(trips(), target="mode", alternatives=("train", "car", "train"))
    assert layout.alternatives == ("train", "car")


def test_signs_of_a_pattern_stand_for_themselves():
    found = table(y=["a", "b"], **{"t.a": [1, 2], "t.b": [3, 4], "t_c": [5, 6]})
    layout = wide_layout(found, target="y", pattern="{name}.{alternative}")
    assert (layout.attributes, layout.shared) == (("t",), ("t_c",))


def test_a_column_called_as_an_alternative_belongs_to_the_set():
    found = table(y=["a", "b"], ta=[1, 2], tb=[3, 4], a=[5, 6])
    layout = wide_layout(found, target="y", pattern="{name}{alternative}")
    assert (layout.attributes, layout.shared) == (("t",), ("a",))


def test_infinity_in_a_column_of_the_set_is_refused():
    found = trips(income=[1.5, float("inf"), 3.5])
    with pytest.raises(InputError, match=r"Column 'income' has 1 infinite value.*2"):
        long_from_wide(found, wide_layout(found, target="mode"), target="mode")
