"""Docstrings agree with the code: names of parameters, and their defaults."""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
from collections.abc import Iterator

import pytest

from tests.meta.source import PUBLIC, load

HEADING = re.compile(r"^(?P<name>[A-Z][A-Za-z ]+)\n-{3,}$", re.MULTILINE)
ENTRY = re.compile(r"^(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: : (?P<type>.+))?$", re.MULTILINE)
DEFAULT = re.compile(r"\bdefault[ =](?P<value>.+?)\.?$")

# So many parameters can be told apart in one sentence, if none has a default.
FEW = 4


def sections(text: str) -> dict[str, str]:
    """Return the numpydoc sections of a docstring by their heading."""
    found = list(HEADING.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    return {match["name"]: text[match.end() : end] for match, end in zip(found, ends, strict=False)}


def entries(section: str) -> dict[str, str]:
    """Return the type line of each name described in a section."""
    return {
        name.strip().lstrip("*"): match["type"] or ""
        for match in ENTRY.finditer(section)
        for name in match["names"].split(",")
    }


def documented(item: object) -> dict[str, str] | None:
    """Return the described parameters, or None if the docstring describes none.

    A frozen dataclass is its own record: there "Attributes" describes the fields just as well.
    """
    parts = sections(inspect.getdoc(item) or "")
    if "Parameters" in parts:
        return entries(parts["Parameters"])
    if dataclasses.is_dataclass(item) and "Attributes" in parts:
        return entries(parts["Attributes"])
    return None


def signature(item: object) -> dict[str, inspect.Parameter]:
    """Return the parameters of a function or class, without self and cls."""
    given = inspect.signature(item).parameters
    return {name: value for name, value in given.items() if name not in ("self", "cls")}


def describes_parameters(item: object) -> bool:
    """Return whether a class or function is one whose parameters a reader fills in."""
    if not inspect.isclass(item):
        return True
    inert = issubclass(item, enum.Enum | BaseException) or getattr(item, "_is_protocol", False)
    return not inert and not inspect.isabstract(item)


def needs_a_section(item: object) -> bool:
    """Return whether one sentence is not enough: a default to state, or many parameters."""
    if not describes_parameters(item):
        return False
    actual = signature(item).values()
    has_default = any(value.default is not inspect.Parameter.empty for value in actual)
    return has_default or len(actual) > FEW


def public() -> Iterator[tuple[str, object]]:
    """Yield the public classes and functions by their full name, and the methods of classes."""
    seen: set[int] = set()
    for room in PUBLIC:
        for name in load(room).__all__:
            item = getattr(load(room), name)
            ours = getattr(item, "__module__", "").partition(".")[0] == "softunit"
            callable_item = inspect.isclass(item) or inspect.isfunction(item)
            if ours and callable_item and id(item) not in seen:
                seen.add(id(item))
                yield f"{item.__module__}.{item.__qualname__}", item


def methods(item: object) -> Iterator[tuple[str, object]]:
    """Yield the public methods that a class itself defines."""
    for name, value in vars(item).items() if inspect.isclass(item) else ():
        if inspect.isfunction(value) and not name.startswith("_"):
            yield f"{item.__module__}.{value.__qualname__}", value


NAMED = dict(public())
METHODS = dict(pair for item in NAMED.values() for pair in methods(item))


def wrong_default(type_line: str, parameter: inspect.Parameter) -> str:
    """Return what the documented default gets wrong, or nothing."""
    match = DEFAULT.search(type_line)
    if match is None:
        return ""
    if parameter.default is inspect.Parameter.empty:
        return f"{parameter.name} is documented with a default and has none"
    try:
        stated = ast.literal_eval(match["value"])
    except (SyntaxError, ValueError):
        stated = match["value"]
    actual = parameter.default
    # "Search()" means the settings that Search has by itself.
    spellings = {str(actual), repr(actual), f"{type(actual).__name__}()"}
    if stated == actual or (isinstance(stated, str) and stated in spellings):
        return ""
    return f"{parameter.name}: documented default {stated!r}, actual {actual!r}"


def faults(item: object) -> list[str]:
    """Return how the described parameters of an item differ from its signature."""
    described, actual = documented(item), signature(item)
    if described is None:
        return []
    in_order = list(described) == list(actual)
    # Attributes may stand in the order in which they are best read.
    as_attributes = dataclasses.is_dataclass(item) and set(described) == set(actual)
    if not (in_order or as_attributes):
        return [f"describes {list(described)}, takes {list(actual)}"]
    found = [wrong_default(line, actual[name]) for name, line in described.items()]
    return [fault for fault in found if fault]


def test_the_reader_reads():
    def good(a: int, b: float = 1e-6, *, c: str = "x") -> None:
        """Do it.

        Parameters
        ----------
        a : int
            First.
        b : float, default 1e-6
        c : {"x", "y"}, default "x"
        """

    def bad(a: int, b: int = 50) -> None:
        """Do it.

        Parameters
        ----------
        a : int, default 3
        b : int, default 20
        """

    assert not faults(good)
    assert len(faults(bad)) == 2


@pytest.mark.parametrize("name", NAMED)
def test_public_things_say_what_they_are(name):
    item = NAMED[name]
    text = inspect.getdoc(item)
    assert text, f"{name} has no docstring"
    if needs_a_section(item):
        assert documented(item) is not None, f"{name} describes none of {list(signature(item))}"
    if describes_parameters(item):
        assert not faults(item), f"{name}: {faults(item)}"


@pytest.mark.parametrize("name", METHODS)
def test_methods_describe_what_they_take(name):
    assert inspect.getdoc(METHODS[name]), f"{name} has no docstring"
    assert not faults(METHODS[name]), f"{name}: {faults(METHODS[name])}"


@pytest.mark.parametrize("room", PUBLIC)
def test_rooms_say_what_they_hold(room):
    assert load(room).__doc__, f"softunit.{room} has no docstring"
