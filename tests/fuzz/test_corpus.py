"""Every input that fuzzing kept is read again as its target asks, without the fuzzer."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.fuzz import seeds
from tests.fuzz.harness import CORPUS

TARGETS = {"checkpoint": seeds.checkpoints, "model_file": seeds.model_files, "tables": seeds.tables}
LARGEST = 1_000_000  # bytes of the whole corpus


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_whole_and_changed_files_are_no_surprise(target):
    module = import_module(f"tests.fuzz.fuzz_{target}")
    changed = 0
    for data in TARGETS[target]():
        module.check(data)
        for seed in range(3):
            other = module.mutate(data, seed)
            changed += other != data
            module.check(other)
    assert changed


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_corpus(target):
    check = import_module(f"tests.fuzz.fuzz_{target}").check
    inputs = sorted((CORPUS / target).iterdir())
    assert inputs, f"the corpus of {target} is gone"
    for path in inputs:
        check(path.read_bytes())


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < LARGEST
