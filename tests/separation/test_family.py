"""Every separated set of a family of 300 is diagnosed, and no set of 300 others is."""

from __future__ import annotations

import numpy as np
import pytest

from softunit.separation import examine
from tests.separation.family import OVERLAPPING, SEPARATED, drawn

SETS = 300


def numbers(makers: tuple, place: int) -> range:
    """Return which of the 300 sets one maker draws."""
    return range(place, SETS, len(makers))


def names_of(makers: tuple) -> list[str]:
    return [maker.__name__ for maker in makers]


@pytest.mark.parametrize("place", range(len(SEPARATED)), ids=names_of(SEPARATED))
def test_every_separated_set_is_diagnosed(place):
    faults = []
    for number in numbers(SEPARATED, place):
        data, form, name = drawn(SEPARATED, number)
        problem = data.problem(form)
        found = examine(problem, names=data.names).separation
        if found is None:
            faults.append(f"{name}: not diagnosed")
            continue
        if data.complete is not None and found.complete != data.complete:
            faults.append(f"{name}: complete is {found.complete}")
        if data.guilty is not None and found.columns != (f"x{data.guilty}",):
            faults.append(f"{name}: columns {found.columns}")
        # The loss itself, which knows of no cone: it falls along the direction, and for ever.
        step = problem.design.from_input(found.direction)
        start, far = interior(problem, step), np.abs(problem.design.matvec(step)).max()
        values = [problem.value(start + t * step / far) for t in (0.0, 2.0, 8.0)]
        if not values[0] > values[1] > values[2]:
            faults.append(f"{name}: the loss is {values} along the direction")
    assert faults == []


def interior(problem, step):
    """Return a point at which the loss is finite: thresholds of ordered classes must be apart."""
    start = np.zeros(problem.shape)
    if problem.unit.outcome == "level":
        if len(problem.shape) == 2:
            apart = getattr(problem.unit, "differences", False)
            start[-1] = 1.0 if apart else np.arange(problem.shape[1])
        else:
            levels = problem.design.levels
            start[-levels:] = np.arange(levels)
    return start


@pytest.mark.parametrize("place", range(len(OVERLAPPING)), ids=names_of(OVERLAPPING))
def test_no_overlapping_set_is_called_separated(place):
    faults = []
    for number in numbers(OVERLAPPING, place):
        data, form, name = drawn(OVERLAPPING, number)
        found = examine(data.problem(form), names=data.names)
        if found.separation is not None or not found.checked:
            faults.append(f"{name}: {found.sentence}")
    assert faults == []


def test_the_family_has_every_kind_of_model_and_form():
    drawn_sets = [drawn(makers, n) for makers in (SEPARATED, OVERLAPPING) for n in range(SETS)]
    units = {type(data.unit).__name__ for data, _, _ in drawn_sets}
    assert units == {"CumulativeLogit", "GroupedSoftmax", "Multinomial", "OrderedTerms"}
    assert {form for _, form, _ in drawn_sets} == {"dense", "sparse"}
    assert sum(data.weights is not None for data, _, _ in drawn_sets) > 100
    assert sum(data.target.ndim == 2 for data, _, _ in drawn_sets) > 20
    sizes = [np.abs(data.a).max(axis=0) for data, _, _ in drawn_sets]
    assert max(map(np.max, sizes)) > 1e6
    assert min(map(np.min, sizes)) < 1e-5
