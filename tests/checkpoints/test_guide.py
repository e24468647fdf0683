"""The guide does what it says, the first time and the second."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "checkpoints.md"


def test_the_guide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    first: dict[str, object] = {}
    second: dict[str, object] = {}
    exec(code, first)
    exec(code, second)
    np.testing.assert_array_equal(first["model"].coef_, second["model"].coef_)
    np.testing.assert_array_equal(first["exact"].x, second["exact"].x)
    assert first["exact"].gradient_norm <= 1e-12
    assert sorted(os.listdir(tmp_path)) == ["own.ckpt", "run.ckpt", "several.ckpt"]
