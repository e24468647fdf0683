"""Small on purpose: lengths of functions and files, numbers of parameters."""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.meta.source import SRC, Function, calls, python_files, tree_of

FUNCTION_MAX, FUNCTION_P90, FUNCTION_MEDIAN = 60, 30, 8
FILE_MAX = 350
PARAMETERS_MAX = 6
# scikit-learn's and PyTorch's signatures and a command's options are not ours to shorten; nor is
# `minimize`'s.
WIDE_ROOMS = ("estimators", "cli", "nn", "__main__.py", "run.py")

NOT_CODE = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


@dataclass(frozen=True)
class Measured:
    """A function, where it is, and how many lines of code it has."""

    path: Path
    node: Function
    lines: int

    def __str__(self) -> str:
        place = self.path.relative_to(SRC)
        return f"{place}:{self.node.lineno} {self.node.name}: {self.lines} lines"


def code_lines(text: str, tree: ast.AST) -> set[int]:
    """Return the numbers of the lines that hold code: no comment, blank or docstring."""
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NOT_CODE:
            found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text and isinstance(node.value.value, str):
            found.difference_update(range(node.lineno, node.end_lineno + 1))
    return found


def functions(path: Path) -> list[Measured]:
    """Return every function of a file, methods and inner functions too."""
    tree = tree_of(path)
    lines = code_lines(path.read_text(encoding="utf-8"), tree)
    return [
        Measured(path, node, len(lines & set(range(node.lineno, node.end_lineno + 1))))
        for node in ast.walk(tree)
        if isinstance(node, Function)
    ]


def parameters(node: Function) -> list[str]:
    """Return the names of a function's parameters, without self and cls."""
    args = node.args
    names = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def in_wide_room(path: Path) -> bool:
    return path.relative_to(SRC).parts[0] in WIDE_ROOMS


ALL = [item for path in python_files(SRC) for item in functions(path)]


def test_the_ruler_counts_code_only():
    text = 'def f():\n    """Say.\n\n    More."""\n\n    # why\n    return (\n        1\n    )\n'
    assert code_lines(text, ast.parse(text)) == {1, 7, 8, 9}


def test_no_function_is_long():
    long = [str(item) for item in ALL if item.lines > FUNCTION_MAX]
    assert not long, f"longer than {FUNCTION_MAX}: {long}"


def test_most_functions_are_short():
    lines = [item.lines for item in ALL]
    median, p90 = statistics.median(lines), float(np.quantile(lines, 0.9))
    longest = [str(item) for item in sorted(ALL, key=lambda item: -item.lines)[:10]]
    assert median <= FUNCTION_MEDIAN, f"median {median}; longest: {longest}"
    assert p90 <= FUNCTION_P90, f"ninth decile {p90}; longest: {longest}"


def test_no_file_is_long():
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(SRC)
    }
    long = {str(path.relative_to(SRC)): n for path, n in lengths.items() if n > FILE_MAX}
    assert not long, f"longer than {FILE_MAX}: {long}"


def test_no_function_has_many_parameters():
    wide = [
        f"{item}, {len(parameters(item.node))} parameters"
        for item in ALL
        if len(parameters(item.node)) > PARAMETERS_MAX and not in_wide_room(item.path)
    ]
    assert not wide, f"more than {PARAMETERS_MAX}: {wide}"


def test_no_keywords_are_passed_on_unread():
    passed = [
        f"{item} hands on **{item.node.args.kwarg.arg}"
        for item in ALL
        if item.node.args.kwarg is not None and not in_wide_room(item.path)
        for call in calls(item.node)
        for word in call.keywords
        if word.arg is None
        and isinstance(word.value, ast.Name)
        and word.value.id == item.node.args.kwarg.arg
    ]
    assert not passed, str(passed)
