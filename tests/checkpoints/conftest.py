"""Tests of checkpoints write many files: they do not wait for the disk."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that were to be flushed, in order; nothing is flushed."""
    seen: list[int] = []
    monkeypatch.setattr(os, "fsync", seen.append)
    return seen
