"""Paths that a command writes: checked before any work, written whole or not at all."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from softunit._files import check_writable, replace_file
from softunit.errors import FileError, InputError, MissingExtraError
from softunit.tables.data_files import find_files, is_url

_NEEDED = {
    "--report": ("the report", ("jinja2", "matplotlib")),
    "--out": ("saving a model", ("safetensors",)),
}


def inputs_of(data: Sequence[str]) -> dict[str, Path]:
    """Return the files of this machine that DATA means, by what sentences call them.

    Parameters
    ----------
    data : sequence of str
    """
    here = [path for path in data if not is_url(path)]
    try:
        files = [file.path for file in find_files(here)] if here else []
    except InputError:
        files = here  # whoever reads them says what is wrong
    return {"DATA" if len(files) == 1 else f"DATA ({path})": Path(path) for path in files}


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, Path]) -> None:
    """Check that all outputs can be written, and that no two paths are one file.

    Parameters
    ----------
    outputs : mapping of str to Path or None
        Paths by their option; None where it was not given.
    inputs : mapping of str to Path
        What the command reads.

    Raises
    ------
    FileError
        If a path cannot be written, or an output would overwrite an input or another output.
    """
    seen = dict(inputs)
    for option, path in outputs.items():
        if path is None:
            continue
        for other, taken in seen.items():
            if str(path) != os.devnull and _same(path, taken):
                raise FileError(
                    f"{option} and {other} are the same file, {path}: give {option} another name."
                )
        seen[option] = path
        check_writable(path)


def check_installed(outputs: Mapping[str, Path | None]) -> None:
    """Raise `MissingExtraError` if a package that an output needs is not there."""
    for option, path in outputs.items():
        part, packages = _NEEDED.get(option, ("", ()))
        if path is not None and not all(map(importlib.util.find_spec, packages)):
            raise MissingExtraError(part, "cli")


def _same(one: Path, other: Path) -> bool:
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write what a command found as JSON, if a path was given; NaN and infinity become null."""
    if path is None:
        return
    text = json.dumps(plain_values(figures), indent=2, allow_nan=False)
    with replace_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def plain_values(value: Any) -> Any:
    """Return a value as dicts, lists, texts and numbers that JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain_values(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain_values(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value
