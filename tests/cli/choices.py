"""Tables of choices and of ordered classes, shared by the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import statsmodels.api as sm

from softunit.tables import write_table

MODES = {1.0: "air", 2.0: "train", 3.0: "bus", 4.0: "car"}


def travel() -> dict[str, np.ndarray]:
    """Return statsmodels' travel mode choice, four rows for each of 210 travellers."""
    data = sm.datasets.modechoice.load_pandas().data
    columns = {name: data[name].to_numpy() for name in ("individual", "choice", "ttme", "gc")}
    columns["hinc"] = data["hinc"].to_numpy()
    return columns | {"mode": np.array([MODES[each] for each in data["mode"]])}


def long_file(path: Path, **changed: np.ndarray) -> Path:
    """Write the travel modes with one row for each alternative."""
    write_table(path, travel() | changed)
    return path


def wide_file(path: Path, **changed: np.ndarray) -> Path:
    """Write the travel modes with one row for each traveller."""
    long = travel()
    columns = {
        f"{name}_{mode}": long[name][long["mode"] == mode]
        for name in ("ttme", "gc")
        for mode in MODES.values()
    }
    columns["hinc"] = long["hinc"][long["mode"] == "air"]
    columns["trip"] = long["mode"][long["choice"] == 1]
    write_table(path, {k: v for k, v in (columns | changed).items() if v is not None})
    return path


def opinions(path: Path) -> Path:
    """Write ordered answers of 300 people with planted effects of age and town."""
    rng = np.random.default_rng(5)
    age, town = rng.normal(size=300), rng.choice(["north", "south"], size=300)
    z = 1.2 * age + 0.8 * (town == "south") + rng.logistic(size=300)
    answer = np.array(["low", "mid", "high"])[np.digitize(z, [-0.5, 1.0])]
    house = np.arange(300) // 3
    write_table(path, {"age": age, "town": town, "answer": answer, "house": house})
    return path
