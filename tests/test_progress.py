"""The progress line: what it says, and where it stays silent."""

from __future__ import annotations

import io
from collections import deque

import pytest
from rich.console import Console

from softunit import _progress
from softunit._progress import progress, progress_text, seconds_left
from softunit.solution import Record


def record(iteration: int, gradient: float, seconds: float) -> Record:
    return Record(iteration, 0.123456789, gradient, seconds, 2.0 * iteration)


def test_time_left_follows_the_gradient():
    seen = deque([record(0, 1e-1, 0.0), record(1, 1e-2, 1.0), record(2, 1e-3, 2.0)])
    assert seconds_left(seen, 1e-6) == pytest.approx(3.0)
    assert seconds_left(deque([record(0, 1e-1, 0.0)]), 1e-6) is None
    assert seconds_left(deque([record(0, 1e-3, 0.0), record(1, 1e-2, 1.0)]), 1e-6) is None
    assert seconds_left(seen, 0.0) is None
    text = progress_text(seen, 1e-6)
    assert text.endswith("2 s, 3 s left")
    assert len(text) < 80


def test_the_line_waits_two_seconds(monkeypatch):
    page = io.StringIO()
    terminal = Console(file=page, force_terminal=True, width=100)
    monkeypatch.setattr(_progress, "_terminal", lambda: terminal)
    with progress(1, 1e-6) as show:
        show(record(0, 1e-1, 0.1))
        quick = page.getvalue()
        show(record(1, 1e-2, 2.5))
    assert "iteration" not in quick
    assert "iteration 1" in page.getvalue()
    with progress(0, 1e-6) as show:
        show(record(9, 1e-2, 9.0))
    assert "iteration 9" not in page.getvalue()


def test_no_terminal_no_line(monkeypatch, capsys):
    assert _progress._terminal() is None
    with progress(1, 1e-6) as show:
        show(record(1, 1e-2, 5.0))
    assert capsys.readouterr() == ("", "")
