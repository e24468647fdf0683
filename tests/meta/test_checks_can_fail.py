"""A check that cannot fail is a bug; neither can a check that nobody can repeat stay."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest

from tests.meta.source import TESTS, calls, dotted, keywords, python_files, tree_of

Finder = Callable[[ast.AST], Iterator[ast.AST]]

COMPARISONS = {"allclose", "array_equal", "array_equiv", "isclose"}
SEEDED = {
    "BitGenerator", "Generator", "MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64", "SeedSequence",
    "default_rng",
}  # fmt: skip
# Functions that draw, and what names their seed.
DRAWING = {
    "sparse.random": {"random_state", "rng"},
    "sparse.random_array": {"random_state", "rng"},
    "make_blobs": {"random_state"},
    "make_classification": {"random_state"},
    "make_regression": {"random_state"},
    "train_test_split": {"random_state"},
}


def idle_comparisons(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield statements that compare and drop the answer, and asserts of a tuple."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple):
            yield node
        if not isinstance(node, ast.Expr):
            continue
        value = node.value
        if isinstance(value, ast.Compare | ast.BoolOp) or (
            isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)
        ):
            yield node
        if isinstance(value, ast.Call) and dotted(value.func).rpartition(".")[2] in COMPARISONS:
            yield node


def unseeded_randomness(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield uses of hidden random state, and generators made without a seed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(name.name == "random" for name in node.names):
            yield node
        if isinstance(node, ast.ImportFrom) and node.module == "random":
            yield node
        if isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
            yield from (name for name in node.names if name.name not in SEEDED)
        if isinstance(node, ast.Attribute):
            head, _, name = dotted(node).rpartition(".")
            if head in ("np.random", "numpy.random") and name not in SEEDED:
                yield node
    for call in calls(tree):
        name = dotted(call.func)
        if name.endswith("default_rng") and not call.args and not call.keywords:
            yield call
        for drawing, seeds in DRAWING.items():
            if f".{name}".endswith(f".{drawing}") and not seeds & keywords(call).keys():
                yield call


def unmatched_expectations(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield `pytest.raises` and `pytest.warns` that do not read the message."""
    for call in calls(tree):
        if dotted(call.func) not in ("pytest.raises", "pytest.warns", "raises", "warns"):
            continue
        match = keywords(call).get("match")
        if match is None or (isinstance(match, ast.Constant) and match.value in ("", ".*", ".+")):
            yield call


FINDERS: dict[str, Finder] = {
    "compares and drops the answer": idle_comparisons,
    "draws without a seed": unseeded_randomness,
    "does not read the message": unmatched_expectations,
}
BAD = [
    (idle_comparisons, "x == 1"),
    (idle_comparisons, "np.allclose(a, b)"),
    (idle_comparisons, "a < b and b < c"),
    (idle_comparisons, "assert (x, 'should hold')"),
    (unseeded_randomness, "import random"),
    (unseeded_randomness, "from random import choice"),
    (unseeded_randomness, "np.random.randn(3)"),
    (unseeded_randomness, "np.random.seed(0)"),
    (unseeded_randomness, "np.random.default_rng()"),
    (unseeded_randomness, "scipy.sparse.random(3, 4)"),
    (unseeded_randomness, "make_classification(100)"),
    (unmatched_expectations, "pytest.raises(ValueError)"),
    (unmatched_expectations, "pytest.warns(UserWarning, match='')"),
]
GOOD = """
assert np.allclose(a, b)
np.testing.assert_allclose(a, b)
rng = np.random.default_rng(3)
B = scipy.sparse.random(3, 4, rng=rng)
C = rng.random(3)
with pytest.raises(ValueError, match="must be > 0"):
    f(x == 1)
"""


@pytest.mark.parametrize(("finder", "text"), BAD, ids=[text for _, text in BAD])
def test_the_finder_finds(finder, text):
    assert list(finder(ast.parse(text))), f"not found: {text}"


@pytest.mark.parametrize("fault", FINDERS)
def test_the_finder_is_not_jumpy(fault):
    assert not [ast.unparse(node) for node in FINDERS[fault](ast.parse(GOOD))]


@pytest.mark.parametrize("fault", FINDERS)
def test_no_test_is_idle(fault):
    places = [
        f"{path.relative_to(TESTS)}:{node.lineno} {fault}: {ast.unparse(node)}"
        for path in python_files(TESTS)
        for node in FINDERS[fault](tree_of(path))
    ]
    assert not places, "\n".join(places)
