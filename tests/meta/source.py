"""Reading Python files as trees, shared by the tests about the code itself."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "softunit"
TESTS = ROOT / "tests"

# The rooms with a public face; the empty word is the package itself. nn needs torch.
PUBLIC = sorted(
    ".".join(path.parent.relative_to(SRC).parts)
    for path in SRC.rglob("__init__.py")
    if not any(part.startswith("_") for part in path.parent.relative_to(SRC).parts)
    and "nn" not in path.parent.relative_to(SRC).parts
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(folder: Path) -> list[Path]:
    """Return the Python files below `folder`, sorted; at least one, or the test sees nothing."""
    files = sorted(folder.rglob("*.py"))
    assert files, f"no Python file below {folder}"
    return files


def load(room: str) -> ModuleType:
    """Return the package, or the room of it with that name."""
    return importlib.import_module(f"softunit.{room}" if room else "softunit")


def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield every call in a tree."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def dotted(node: ast.expr) -> str:
    """Return "np.random.rand" for that expression, and "" for what is not a dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """Return the keyword arguments that a call spells out."""
    return {word.arg: word.value for word in call.keywords if word.arg is not None}
