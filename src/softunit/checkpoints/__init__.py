"""Checkpoints: files from which a run that was killed goes on."""

from softunit.checkpoints.checkpoint import Checkpoint, check_checkpoint, opened
from softunit.checkpoints.part import Part, Progress

__all__ = ["Checkpoint", "Part", "Progress", "check_checkpoint", "opened"]
