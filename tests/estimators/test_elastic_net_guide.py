"""The guide to sparse coefficients runs as it stands, and prints what it says it prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from tests.test_readme import same_output

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "sparse-coefficients.md"
PAIRS = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_guide_runs_and_prints_what_it_says():
    found = PAIRS.findall(GUIDE.read_text("utf-8"))
    assert len(found) == 5
    space: dict[str, object] = {"__name__": "guide"}
    for code, expected in found:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, str(GUIDE), "exec"), space)
        assert same_output(out.getvalue(), expected), f"{code}\nprinted\n{out.getvalue()}"
