"""Nothing that is loaded may run: no pickle, and no eval, anywhere in the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.meta.source import SRC, calls, dotted, keywords, python_files, tree_of

MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
CALLS = {"eval", "exec", "joblib.load", "pd.read_pickle", "torch.load"}


def is_false(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def dangers(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what could run code found in a file, or leaves that open."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if any(name.partition(".")[0] in MODULES for name in names):
            yield node
    for call in calls(tree):
        name = dotted(call.func)
        if name in CALLS:
            yield call
        # The default is False today; it was True once, so the call says what it wants.
        if name in ("np.load", "numpy.load") and not is_false(keywords(call).get("allow_pickle")):
            yield call


BAD = [
    "import pickle",
    "from joblib import load",
    "np.load(path)",
    "np.load(path, allow_pickle=True)",
    "eval(text)",
]


@pytest.mark.parametrize("text", BAD)
def test_the_finder_finds(text):
    assert list(dangers(ast.parse(text))), f"not found: {text}"


def test_the_finder_is_not_jumpy():
    text = "import json\nnp.load(path, allow_pickle=False)\njson.load(file)"
    assert not list(dangers(ast.parse(text)))


def test_loading_never_executes():
    places = [
        f"{path.relative_to(SRC)}:{node.lineno} {ast.unparse(node)}"
        for path in python_files(SRC)
        for node in dangers(tree_of(path))
    ]
    assert not places, "\n".join(places)
