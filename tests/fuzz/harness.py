"""What every fuzz target shares: a file of the bytes, and a run under atheris."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

Check = Callable[[bytes], None]
Mutate = Callable[[bytes, int], bytes]

INSTRUMENTED = ("softunit.model_file", "softunit.tables", "softunit.checkpoint")
"""The rooms whose branches guide the search; those of libraries in C are not seen."""

CORPUS = Path(__file__).parent / "corpus"


@contextmanager
def quiet() -> Iterator[None]:
    """Leave warnings out: what counts is that nothing but our own errors comes out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def file_of(data: bytes, suffix: str) -> Iterator[Path]:
    """Give the path of a file with these bytes, in a folder of its own that is removed."""
    with tempfile.TemporaryDirectory(prefix="softunit-fuzz-") as folder:
        path = Path(folder) / f"input{suffix}"
        path.write_bytes(data)
        yield path


def fuzz(check: Check, mutate: Mutate | None = None) -> None:
    """Hand a check to atheris, with the arguments of the command line.

    Parameters
    ----------
    check : callable
        Takes the bytes of a file; raises where the reader did not end as it promises.
    mutate : callable, default None
        Takes bytes and a seed, returns bytes that the reader looks into further; every second
        change is one of these, all others are libFuzzer's own.
    """
    import atheris

    # What was imported already has its functions changed in place.
    for name, module in sorted(sys.modules.items()):
        if name.startswith(INSTRUMENTED):
            _instrument(module, atheris.instrument_func)

    def mixed(data: bytes, max_size: int, seed: int) -> bytes:
        changed = mutate(data, seed) if mutate is not None and seed % 2 else data
        if changed == data:
            changed = atheris.Mutate(data, max_size)
        return changed[:max_size]

    options = {} if mutate is None else {"custom_mutator": mixed}
    atheris.Setup(sys.argv, check, **options)
    atheris.Fuzz()


def _instrument(module: ModuleType, instrument: Callable[..., Any]) -> None:
    """Have atheris follow the branches of every function and method of a module."""
    for value in list(vars(module).values()):
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            instrument(value)
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for member in vars(value).values():
                if isinstance(member, FunctionType):
                    instrument(member)
