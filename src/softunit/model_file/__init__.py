"""Fitted models as files: safetensors for the numbers, one JSON header for all else."""

from softunit.model_file.errors import SavedErrors
from softunit.model_file.files import load_model, save_model
from softunit.model_file.model import FORMAT, ProblemKind, SavedModel, Training

__all__ = [
    "FORMAT",
    "ProblemKind",
    "SavedErrors",
    "SavedModel",
    "Training",
    "load_model",
    "save_model",
]
