"""The guide's Python runs as it stands, and its example is a claim that holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from softunit.claims import Effort, measure

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "claims.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_claims_are_run_from_python(capsys):
    names: dict[str, object] = {}
    exec(compile(BLOCKS[0], str(GUIDE), "exec"), names)
    assert names["outcome"].verdict == "holds"
    assert capsys.readouterr().out.startswith("holds\n")


@pytest.mark.parametrize("share", [1.0, 0.05])
def test_the_example_of_a_claim_holds(share):
    names: dict[str, object] = {}
    exec(compile(BLOCKS[1], str(GUIDE), "exec"), names)
    outcome = measure(names["CLAIM"], Effort(share=share))
    assert outcome.verdict == "holds"
    assert 0.1 < outcome.evidence.findings[0].value < 0.5
