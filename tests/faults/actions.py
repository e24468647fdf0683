"""What a child of the runner may do: fits with a checkpoint, and the writing of each output.

Every action takes `begin`, which it calls where the moments to be killed at begin.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy.linalg

from softunit import Problem, SoftmaxClassifier, minimize
from softunit.checkpoints.files import read_file, write_file
from softunit.cli.outputs import write_json
from softunit.designs import as_design
from softunit.errors import SoftunitError
from softunit.model_file import SavedModel, Training, load_model, save_model
from softunit.penalties import Ridge
from softunit.report import html
from softunit.tables import Encoding, NumericColumn, read_table, write_table
from softunit.units import Multinomial
from tests.faults.disk_actions import DISK_ACTIONS
from tests.report.stand_ins import estimated

Begin = Callable[[], None]

ROWS, COLUMNS, CLASSES = 400, 6, 3


def data(seed: int = 7) -> tuple[Any, Any]:
    """Return a matrix (n, d) and labels that no hyperplane separates."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((ROWS, COLUMNS)) * np.geomspace(1, 3, COLUMNS)
    scores = X @ rng.standard_normal((COLUMNS, CLASSES)) / 2
    return X, np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)


def fit(
    begin: Begin, solver: str, checkpoint: str | None = None, resume: bool = False
) -> dict[str, Any]:
    """Minimise a small problem, a checkpoint after each iteration."""
    X, labels = data()
    problem = Problem(as_design(X), Multinomial(CLASSES), labels, Ridge(1e-3))
    begin()
    options = {} if checkpoint is None else {"checkpoint": checkpoint, "every": 0.0}
    solution = minimize(problem, solver=solver, tol=1e-11, max_iter=2000, resume=resume, **options)
    return {"x": solution.x.tolist(), "status": solution.status.name, "n_iter": solution.n_iter}


def classify(begin: Begin, checkpoint: str | None = None, resume: bool = False) -> dict[str, Any]:
    """Fit a classifier, whose fit may be several runs, with a checkpoint after each iteration."""
    X, y = data()
    begin()
    options = {} if checkpoint is None else {"checkpoint": checkpoint, "every": 0.0}
    fitted = SoftmaxClassifier(C=2.0, tol=1e-11, resume=resume, **options).fit(X, y)
    return {"x": fitted.coef_.tolist(), "status": fitted.solution_.status.name}


# Each output is written in one of two versions, and read back as the version that it is.


def _write_model(begin: Begin, path: str, version: int) -> None:
    X, y = data(version)
    fitted = SoftmaxClassifier().fit(X, y)
    training = Training.of(fitted, source="data.csv", rows=version)
    encoding = Encoding(tuple(NumericColumn(f"x{i}") for i in range(COLUMNS)))
    begin()
    save_model(path, SavedModel(fitted, encoding, "classifier", "y", training))


@cache
def _page(version: int) -> str:
    return html.render_html(dataclasses.replace(estimated(), title=f"version-{version}"))


def _write_report(begin: Begin, path: str, version: int) -> None:
    page = _page(version)
    html.render_html = lambda summary: page  # the drawing reaches no disk: it need not be killed
    begin()
    html.write_html(path, estimated())


def _write_predictions(begin: Begin, path: str, version: int) -> None:
    rng = np.random.default_rng(version)
    columns = {"version": np.full(ROWS, version), "p": rng.random(ROWS), "t": np.full(ROWS, "a b")}
    begin()
    write_table(path, columns)


def _write_json(begin: Begin, path: str, version: int) -> None:
    figures = {"history": list(range(2000)), "version": version}
    begin()
    write_json(Path(path), figures)


def _write_checkpoint(begin: Begin, path: str, version: int) -> None:
    tree = {"version": version, "x": np.full((50, 20), float(version)), "history": [1.5] * 50}
    begin()
    write_file(path, tree)


WRITERS: Mapping[str, Callable[[Begin, str, int], None]] = MappingProxyType(
    {
        "model.safetensors": _write_model,
        "report.html": _write_report,
        "predictions.csv": _write_predictions,
        "predictions.parquet": _write_predictions,
        "figures.json": _write_json,
        "run.ckpt": _write_checkpoint,
    }
)
"""How each output is written, by the name of its file."""


def prepare() -> None:
    """Do once, before any child is forked, what all of them would do again."""
    for version in (0, 1):
        _page(version)
    # The libraries of linear algebra take their workspaces at their first use, and ask for ever
    # where they get none.
    np.linalg.solve(np.eye(64), np.eye(64) @ np.ones((64, 64)))
    scipy.linalg.eigh(np.eye(64))


def write(begin: Begin, folder: str, name: str, version: int) -> None:
    """Write one output."""
    WRITERS[name](begin, str(Path(folder) / name), version)


def read(begin: Begin, folder: str, name: str) -> int:
    """Return the version of an output, read as whole as it can be."""
    path = Path(folder) / name
    if name.startswith("model"):
        return load_model(path).training.rows
    if name.startswith("predictions"):
        table = read_table(path)
        versions = {int(each.as_py()) for each in table.column("version")}
        assert table.n_rows == ROWS
        assert len(versions) == 1, f"mixed versions: {versions}"
        return versions.pop()
    if name.startswith("run"):
        tree = read_file(path)
        assert (tree["x"] == float(tree["version"])).all()
        return int(tree["version"])
    text = path.read_text(encoding="utf-8")
    if name.startswith("report"):
        assert text.rstrip().endswith("</html>"), text[-100:]
        return int(text.partition("version-")[2][0])
    return int(json.loads(text)["version"])


def write_all(begin: Begin, folder: str) -> dict[str, Any]:
    """Fill a disk, then write every output to it; return what was said and what is left."""
    with open(Path(folder) / "full", "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))
    said = {}
    for name in WRITERS:
        try:
            write(begin, folder, name, 0)
            said[name] = "written"
        except SoftunitError as error:
            said[name] = str(error)
    return {"said": said, "left": sorted(path.name for path in Path(folder).iterdir())}


ACTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "classify": classify,
        "fit": fit,
        "read": read,
        "write": write,
        "write_all": write_all,
        **DISK_ACTIONS,
    }
)
