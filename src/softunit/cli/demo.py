"""`softunit demo`: handwritten digits and market shares, from files to certified fits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from softunit._numeric import softmax
from softunit._typing import Array
from softunit.cli import options
from softunit.cli.fit import show_fit
from softunit.cli.fitting import Fitted, run_fit
from softunit.cli.outputs import check_installed, check_outputs, write_json
from softunit.cli.predict import run_predict, show_prediction
from softunit.cli.request import FitRequest
from softunit.cli.screen import Screen
from softunit.errors import FileError
from softunit.report.words import number, percent, version
from softunit.tables import check_table_path, read_table, read_target, write_table

HELD_OUT = 297
"""Digits that the fit does not see, so that there is something to predict."""

PLANTED = {"price": -1.2, "quality": 0.8, "reach": 0.5, "delivery_days": -0.3}
"""The x behind the market shares of the second fit."""

DISTURBED = 0.05
"""Standard deviation of what else moves the shares: no softmax of the columns meets them."""

_FOLDER = Path("softunit-demo")


def demo(
    folder: options.Folder = _FOLDER,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> int:
    """Fit digits and market shares in a folder.

    Everything goes through files, as with your own data: tables, models, reports, predictions.
    """
    begin = time.perf_counter()
    paths = _paths(folder)
    check_outputs({"--json": json}, {})
    check_installed({"--out": paths["model"], "--report": paths["report"]})
    screen = Screen(quiet)
    digits, prediction = _digits(paths, screen)
    screen.say()
    shares, planted = _shares(paths, screen)
    figures = digits.figures | {
        "command": "demo",
        "softunit": version(),
        "digits": digits.figures,
        "predict": prediction,
        "shares": shares.figures | planted,
        "folder": folder,
        "paths": paths,
        "total_seconds": time.perf_counter() - begin,
    }
    write_json(json, figures)
    screen.files("Where everything lies", _files(paths, json))
    return max(digits.status, shares.status)


def _paths(folder: Path) -> dict[str, Path]:
    """Make the folder and return what goes into it; each is checked to be writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise FileError(
            f"{folder} cannot be made a folder: {getattr(error, 'strerror', error)}. Choose another"
            " --folder."
        ) from error
    names = {
        "digits": "digits.parquet",
        "new": "digits-new.csv",
        "model": "digits.safetensors",
        "report": "digits.html",
        "predictions": "digits-predicted.csv",
        "shares": "shares.csv",
        "shares_model": "shares.safetensors",
        "shares_report": "shares.html",
    }
    paths = {key: folder / name for key, name in names.items()}
    for key, path in paths.items():
        check_outputs({key: path}, {})
    check_table_path(paths["digits"])
    return paths


def _digits(paths: dict[str, Path], screen: Screen) -> tuple[Fitted, dict[str, Any]]:
    """Write the digits to a file, fit those of it, and predict the ones held out."""
    pictures, labels = load_digits(return_X_y=True)
    columns = {f"pixel{i // 8}{i % 8}": pictures[:, i] for i in range(pictures.shape[1])}
    columns["digit"] = labels
    write_table(paths["digits"], {name: values[:-HELD_OUT] for name, values in columns.items()})
    write_table(paths["new"], {name: values[-HELD_OUT:] for name, values in columns.items()})
    request = FitRequest(
        data=(str(paths["digits"]),),
        target="digit",
        C=0.01,
        out=paths["model"],
        report=paths["report"],
    )
    fitted = run_fit(request, screen)
    show_fit(fitted, screen)
    prediction = run_predict(paths["model"], [str(paths["new"])], paths["predictions"], screen)
    right = _read_right(paths)
    prediction["accuracy"] = right / HELD_OUT
    screen.say()
    show_prediction(prediction | {"counts": {}}, screen)
    screen.say(
        f"{right} of {HELD_OUT} held-out digits are read right ({percent(right / HELD_OUT)})."
    )
    return fitted, prediction


def _read_right(paths: dict[str, Path]) -> int:
    """Return how many predictions in the written file are those of the held-out rows."""
    truth = read_target(read_table(paths["new"]), "digit", kind="labels")
    found = read_target(read_table(paths["predictions"]), "prediction", kind="labels")
    return int(np.count_nonzero(truth == found))


def market(rows: int = 120) -> dict[str, Array]:
    """Return a table of products whose shares of a market are one softmax of `PLANTED`, disturbed.

    Parameters
    ----------
    rows : int, default 120
    """
    rng = np.random.default_rng(20230420)
    table = {
        "price": rng.uniform(1, 6, rows),
        "quality": rng.uniform(0, 5, rows),
        "reach": rng.normal(0, 1, rows),
        "delivery_days": rng.integers(1, 10, rows).astype(float),
    }
    scores = sum(table[name] * x for name, x in PLANTED.items())
    names = np.array([f"product {i + 1}" for i in range(rows)])
    noise = rng.normal(0, DISTURBED, rows)
    return {"product": names, **table, "share": softmax(np.asarray(scores + noise))}


def _shares(paths: dict[str, Path], screen: Screen) -> tuple[Fitted, dict[str, Any]]:
    """Write market shares to a file, fit a softmax regression, compare with their x."""
    write_table(paths["shares"], market())
    request = FitRequest(
        data=(str(paths["shares"]),),
        target="share",
        problem="softmax",
        drop=("product",),
        out=paths["shares_model"],
        report=paths["shares_report"],
    )
    fitted = run_fit(request, screen)
    show_fit(fitted, screen)
    found = dict(zip(PLANTED, fitted.estimator.coef_.tolist(), strict=True))
    error = max(abs(found[name] - x) for name, x in PLANTED.items())
    rows = [(name, f"{number(found[name])} (made with {number(x)})") for name, x in PLANTED.items()]
    title = "Found, and what the shares were made with"
    screen.section(title, [*rows, ("Largest difference", number(error, 2))])
    return fitted, {"found": found, "planted": PLANTED, "largest_difference": error}


def _files(paths: dict[str, Path], json: Path | None) -> list[tuple[str, Path | None]]:
    """Return what lies where, in the order in which it was made."""
    words = {
        "digits": "Digits",
        "model": "Their model",
        "report": "Their report",
        "new": "Digits held out",
        "predictions": "Their predictions",
        "shares": "Market shares",
        "shares_model": "Their model",
        "shares_report": "Their report",
    }
    return [*((word, paths[key]) for key, word in words.items()), ("Figures", json)]
