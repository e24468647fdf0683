"""Any bytes as a model file: read and usable, or refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from softunit.errors import FileError, InputError
from softunit.model_file import load_model, save_model
from softunit.model_file.files import KEY
from tests.fuzz.harness import file_of, fuzz, quiet
from tests.fuzz.mutators import mutate_safetensors


def check(data: bytes) -> None:
    """Read a model; one that is accepted predicts, and is saved and read again."""
    with quiet(), file_of(data, ".safetensors") as path:
        try:
            model = load_model(path)
        except FileError:
            return
        _use(model, path.with_name("again.safetensors"))


def _use(model: object, path: Path) -> None:
    save_model(path, model)
    load_model(path)
    estimator = model.estimator
    if model.problem == "leverage" or model.choice is not None:
        return  # these predict from tables of their own
    if model.problem == "two-layer" and estimator.n_features_in_ != model.estimator.coef_.size:
        return
    try:
        with np.errstate(all="ignore"):
            estimator.predict(np.zeros((3, estimator.n_features_in_)))
    except InputError:
        return  # such as rows that do not go with an outer matrix


def mutate(data: bytes, seed: int) -> bytes:
    """Return a model file with a change behind its lengths."""
    return mutate_safetensors(data, seed, KEY)


if __name__ == "__main__":
    fuzz(check, mutate)
