"""Axes: every value inside, ticks at round numbers, and few of them."""

from __future__ import annotations

import numpy as np
import pytest

from softunit.report.axes import linear_axis, log_axis


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e-3, 1.0, 37.0, 1e6, 1e200])
def test_linear_axes_hold_their_values(scale: float, rng: np.random.Generator) -> None:
    values = (scale * rng.normal(size=20)).tolist()
    axis = linear_axis(values, "")
    assert all(-1e-9 <= axis.place(value) <= 1 + 1e-9 for value in values)
    assert 2 <= len(axis.ticks) <= 7
    assert len({tick.label for tick in axis.ticks}) == len(axis.ticks)


@pytest.mark.parametrize("values", [[0.0], [5.0], [-3.0, -3.0], [1e-30]])
def test_one_value_still_has_an_axis(values: list[float]) -> None:
    axis = linear_axis(values, "")
    assert 0.0 <= axis.place(values[0]) <= 1.0
    assert axis.ticks


@pytest.mark.parametrize("last", [0, 1, 2, 7, 23, 200, 12345])
def test_iterations_have_whole_ticks(last: int) -> None:
    axis = linear_axis([0.0, float(last)], "Iteration", whole=True)
    assert all(tick.label.replace(",", "").isdigit() for tick in axis.ticks)


@pytest.mark.parametrize(
    "values", [[1.0], [1e-3, 2e-3], [3e-17, 4.0], [1e-307, 1e307], [5e-324, 1.0]]
)
def test_log_axes_hold_their_values(values: list[float]) -> None:
    axis = log_axis(values, "")
    # Below the smallest normal double the axis stops one decade short, and no more.
    assert all(-0.06 <= axis.place(value) <= 1 + 1e-9 for value in values)
    assert 1 <= len(axis.ticks) <= 7


def test_labels_are_short_and_exact() -> None:
    assert [tick.label for tick in linear_axis([0.0, 0.02], "").ticks] == [
        "0",
        "0.005",
        "0.010",
        "0.015",
        "0.020",
    ]
    assert [tick.label for tick in linear_axis([-1.0, 1.0], "").ticks][:2] == [
        "\N{MINUS SIGN}1.0",
        "\N{MINUS SIGN}0.5",
    ]
    assert [tick.label for tick in linear_axis([0.0, 2.5e-6], "").ticks][:3] == [
        "0",
        "5e\N{MINUS SIGN}7",
        "1.0e\N{MINUS SIGN}6",
    ]
    assert [tick.label for tick in log_axis([1e-3, 10.0], "").ticks] == [
        "10⁻³",
        "10⁻²",
        "10⁻¹",
        "1",
        "10",
    ]
