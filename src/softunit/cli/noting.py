"""Warnings of the library as notes of a command."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from sklearn.exceptions import ConvergenceWarning

from softunit.cli.wording import is_about_classes, note_of
from softunit.errors import SoftunitWarning
from softunit.report.words import sentence


@contextlib.contextmanager
def noted() -> Iterator[list[str]]:
    """Yield a list that holds, after the block, what the block warned of, as sentences.

    Warnings that are not about the fit are passed on.
    """
    notes: list[str] = []
    ours = (ConvergenceWarning, SoftunitWarning)
    with warnings.catch_warnings(record=True) as caught:
        for category in ours:
            warnings.simplefilter("always", category)
        warnings.filterwarnings("always", ".*number of unique classes", UserWarning)
        yield notes
    for item in caught:
        text = sentence(note_of(str(item.message)))
        if not issubclass(item.category, ours) and not is_about_classes(str(item.message)):
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
        elif text not in notes:
            notes.append(text)
