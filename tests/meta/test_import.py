"""`import softunit` stays light: optional packages wait until they are asked for."""

from __future__ import annotations

import json
import subprocess
import sys

NEVER = {"dask", "matplotlib", "torch"}
OPTIONAL = NEVER | {"jinja2", "pandas", "polars", "pyarrow", "rich", "safetensors", "typer"}


def loaded_by(module: str) -> set[str]:
    """Return the top-level packages that a fresh Python has loaded after importing one."""
    program = f"import json, sys; import {module}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_import_brings_no_optional_package():
    loaded = loaded_by("softunit")
    assert "softunit" in loaded
    # scikit-learn itself loads pandas, pyarrow and rich where they are installed.
    brought = (loaded - loaded_by("sklearn.linear_model")) & OPTIONAL | loaded & NEVER
    assert not brought, f"import softunit also imports {sorted(brought)}"
