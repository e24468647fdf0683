"""What is public: sorted names that exist, and a row in the case table for each."""

from __future__ import annotations

import inspect

import pytest

from tests.contracts import cases, sketch_cases
from tests.meta.source import PUBLIC, load

# Each room's interface, and the table that holds a row for each class that keeps it.
TABLES = {
    "units": ("Unit", cases.UNITS),
    "designs": ("Design", cases.DESIGNS),
    "solvers": ("Solver", cases.SOLVERS),
    "penalties": ("Penalty", cases.PENALTIES),
    "sketches": ("Sketch", sketch_cases.SKETCHES),
}


def exported_classes(room: str, interface: str) -> set[type]:
    """Return the classes of a room that keep its interface and can be made."""
    module = load(room)
    base = getattr(module, interface)
    names = getattr(module, "__all__", vars(module))
    return {
        item
        for item in (getattr(module, name) for name in names)
        if inspect.isclass(item)
        and issubclass(item, base)
        and item is not base
        and not inspect.isabstract(item)
    }


def kind_of(case: object) -> type:
    """Return the class that a row of the case table is about."""
    kind = getattr(case, "kind", None)
    return kind if inspect.isclass(kind) else type(case.subject)


@pytest.mark.parametrize("room", PUBLIC)
def test_public_names_are_sorted_strings_that_exist(room):
    module = load(room)
    names = getattr(module, "__all__", None)
    assert names is not None, f"softunit.{room} has no __all__"
    assert all(isinstance(name, str) for name in names), f"{names} holds more than strings"
    assert list(names) == sorted(set(names)), f"{names} is not sorted, or repeats a name"
    missing = [name for name in names if not hasattr(module, name)]
    assert not missing, f"softunit.{room} names {missing} in __all__ and does not have them"


@pytest.mark.parametrize("room", sorted(TABLES))
def test_every_exported_class_has_a_row(room):
    interface, table = TABLES[room]
    wanted = exported_classes(room, interface)
    assert wanted, f"softunit.{room} exports no {interface}"
    missing = sorted(item.__name__ for item in wanted - {kind_of(case) for case in table})
    assert not missing, f"no row in tests/contracts/cases.py for {missing}"
