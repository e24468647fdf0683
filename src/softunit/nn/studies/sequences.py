"""Small tasks on sequences of tokens: text by characters, and recall of what was paired."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from softunit.errors import InputError

IGNORED = -100
"""The target of a place where nothing is asked; `torch.nn.functional.cross_entropy` skips it."""

# Modules of the standard library with much prose in their docstrings.
LIBRARY = (
    "argparse", "ast", "cmd", "codecs", "collections", "configparser", "contextlib", "csv",
    "dataclasses", "difflib", "doctest", "enum", "fractions", "functools", "gettext", "heapq",
    "inspect", "locale", "mailbox", "nntplib", "optparse", "pdb", "pickletools", "plistlib",
    "random", "shutil", "smtplib", "statistics", "string", "subprocess", "tarfile", "tempfile",
    "textwrap", "threading", "turtle", "typing", "uuid", "zipfile",
)  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """Sequences and what is asked about them.

    Attributes
    ----------
    tokens : Tensor of shape (rows, length)
        int64, from 0 to the task's vocabulary.
    targets : Tensor of shape (rows, length)
        int64; `IGNORED` where nothing is asked.
    """

    tokens: Tensor
    targets: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on a device."""
        return Batch(self.tokens.to(device), self.targets.to(device))


class Task(Protocol):
    """Where batches come from."""

    @property
    def vocabulary(self) -> int:
        """How many different tokens there are."""

    @property
    def length(self) -> int:
        """Tokens of one sequence."""

    def draw(self, rows: int, generator: torch.Generator, *, held_out: bool = False) -> Batch:
        """Return a batch; held out ones are never drawn for training.

        Parameters
        ----------
        rows : int
        generator : torch.Generator
            On the CPU.
        held_out : bool, default False
        """


@dataclass(frozen=True)
class CharacterText:
    """Text by characters: each asks for the next, or hidden ones are asked for.

    Parameters
    ----------
    text : str
        The corpus; its last tenth is held out.
    length : int, default 128
        Characters of a sequence.
    hidden : float, default 0.0
        0: every place asks for the next character, for models that see the past alone. Above 0:
        this share of places is replaced by one more token and asked for, for models that see both
        sides.

    Raises
    ------
    InputError
        If `hidden` is not in [0, 1), or a tenth of the text is shorter than a sequence.
    """

    text: str
    length: int = 128
    hidden: float = 0.0
    _codes: Tensor = field(init=False, repr=False, compare=False)
    _letters: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.hidden < 1.0:
            raise InputError(f"`hidden` must be in [0, 1); got {self.hidden!r}.")
        if self.length < 1 or len(self.text) < 10 * (self.length + 2):
            raise InputError(
                "A tenth of the text must hold a sequence and one character more: give a text of"
                f" at least {10 * (self.length + 2):,} characters for length={self.length}; it has"
                f" {len(self.text):,}."
            )
        alphabet = {letter: code for code, letter in enumerate(sorted(set(self.text)))}
        codes = torch.tensor([alphabet[letter] for letter in self.text])
        object.__setattr__(self, "_codes", codes)
        object.__setattr__(self, "_letters", len(alphabet))

    @property
    def vocabulary(self) -> int:
        """Letters of the text, and one more token where places are hidden."""
        return self._letters + (self.hidden > 0.0)

    def draw(self, rows: int, generator: torch.Generator, *, held_out: bool = False) -> Batch:
        """Return pieces that begin anywhere: tokens and targets of shape (rows, length).

        Parameters
        ----------
        rows : int
        generator : torch.Generator
        held_out : bool, default False
            Whether from the last tenth.
        """
        kept = len(self._codes) * 9 // 10
        codes = self._codes[kept:] if held_out else self._codes[:kept]
        starts = torch.randint(len(codes) - self.length, (rows, 1), generator=generator)
        pieces = codes[starts + torch.arange(self.length + 1)]
        if not self.hidden:
            return Batch(pieces[:, :-1], pieces[:, 1:])
        shown = pieces[:, :-1]
        gone = torch.rand(shown.shape, generator=generator) < self.hidden
        return Batch(shown.masked_fill(gone, self._letters), shown.masked_fill(~gone, IGNORED))


@dataclass(frozen=True)
class AssociativeRecall:
    """Pairs of a key and a value, then some of the keys again: each asks for its value.

    A sequence is k1 v1 k2 v2 ... kp vp q1 ... qr. Keys of one sequence differ; no answer stands in
    the sequence behind its query, so that models that see both sides are asked the same.

    Parameters
    ----------
    pairs : int, default 16
    queries : int, default 16
    keys, values : int, default 64
        How many different keys and values there are.

    Raises
    ------
    InputError
        If a number is below one, or there are more pairs than keys.
    """

    pairs: int = 16
    queries: int = 16
    keys: int = 64
    values: int = 64

    def __post_init__(self) -> None:
        if min(self.pairs, self.queries, self.keys, self.values) < 1:
            raise InputError(f"All numbers of the task must be at least one; got {self}.")
        if self.pairs > self.keys:
            raise InputError(
                f"The keys of a sequence differ: `pairs` must be at most `keys`; got {self.pairs}"
                f" pairs of {self.keys} keys."
            )

    @property
    def vocabulary(self) -> int:
        """Keys and values."""
        return self.keys + self.values

    @property
    def length(self) -> int:
        """Tokens of a sequence: two for each pair, and the queries."""
        return 2 * self.pairs + self.queries

    def draw(self, rows: int, generator: torch.Generator, *, held_out: bool = False) -> Batch:
        """Return sequences drawn anew: tokens and targets of shape (rows, length).

        Parameters
        ----------
        rows : int
        generator : torch.Generator
        held_out : bool, default False
            Changes nothing: there are so many sequences that none comes twice.
        """
        order = torch.rand(rows, self.keys, generator=generator).argsort(1)
        keys = order[:, : self.pairs]
        values = self.keys + torch.randint(self.values, keys.shape, generator=generator)
        asked = torch.randint(self.pairs, (rows, self.queries), generator=generator)
        paired = torch.stack((keys, values), -1).reshape(rows, -1)
        targets = torch.full((rows, self.length), IGNORED)
        targets[:, 2 * self.pairs :] = values.gather(1, asked)
        return Batch(torch.cat((paired, keys.gather(1, asked)), 1), targets)


@cache
def library_text() -> str:
    """Return the docstrings of Python's standard library as one text of some 400,000 characters.

    They are read from the sources, without importing them; letters that are not ASCII become
    question marks. The text differs a little between versions of Python.

    Raises
    ------
    InputError
        If this Python has no sources.
    """
    parts = [part for name in LIBRARY for part in _docstrings(name)]
    text = "\n\n".join(parts)
    if len(text) < 100_000:
        raise InputError(
            "The sources of Python's standard library are not on this machine: give"
            " CharacterText a text of your own."
        )
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


def _docstrings(name: str) -> list[str]:
    """Return the docstrings of a module in their order; none where it has no source."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        return []
    source = Path(found.origin).read_text("utf-8")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, documented)
    ]
    return [text.encode("ascii", "replace").decode("ascii") for text in texts if text]
