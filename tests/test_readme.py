"""The README is a test: its code runs, and prints what the README says it prints."""

from __future__ import annotations

import contextlib
import io
import math
import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
MAX_LINES = 140

FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
TIME = re.compile(r"[\d.]+ ?(?:ms|s|min|seconds?)\b")

# Below this a gradient or a gap is rounding, and differs from machine to machine.
TINY = 1e-6
RELATIVE = 1e-3


def blocks() -> list[tuple[str, str]]:
    """Return (code, expected output) of each python block; "" where no text block follows."""
    fences = [
        (match["language"], match["body"]) for match in FENCE.finditer(README.read_text("utf-8"))
    ]
    after = [*fences[1:], ("", "")]
    return [
        (body, following if kind == "text" else "")
        for (language, body), (kind, following) in zip(fences, after, strict=True)
        if language == "python"
    ]


def words(text: str) -> list[str]:
    """Return the text between numbers, times taken out, runs of blanks as one."""
    return [re.sub(r"\s+", " ", part) for part in NUMBER.split(TIME.sub("<time>", text.strip()))]


def numbers(text: str) -> list[float]:
    """Return the numbers of a text that are not times."""
    return [float(found.replace(",", "")) for found in NUMBER.findall(TIME.sub("<time>", text))]


def same_number(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=RELATIVE) or max(abs(a), abs(b)) < TINY


def same_output(printed: str, expected: str) -> bool:
    """Return whether two outputs say the same, up to rounding and times."""
    if words(printed) != words(expected):
        return False
    pairs = zip(numbers(printed), numbers(expected), strict=True)
    return all(same_number(a, b) for a, b in pairs)


def test_the_comparison_can_fail():
    assert same_output(
        "gap 3.1e-14 after 0.12 s, value 0.1234", "gap  2e-15 after 3 s, value 0.1234\n"
    )
    assert not same_output("value 0.1234", "value 0.1334")
    assert not same_output("value 0.1234", "score 0.1234")
    assert not same_output("value 0.1234", "")


def test_readme_is_short():
    lines = README.read_text("utf-8").splitlines()
    assert len(lines) <= MAX_LINES, f"README.md has {len(lines)} lines"


def test_readme_code_runs_and_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = blocks()
    assert found, "README.md has no python block"
    # One namespace, as for a reader who pastes the blocks one after the other.
    space: dict[str, object] = {"__name__": "readme"}
    for code, expected in found:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, str(README), "exec"), space)
        if expected:
            printed = out.getvalue()
            assert same_output(printed, expected), f"{code}\nprinted\n{printed}\nnot\n{expected}"
