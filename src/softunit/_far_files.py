"""Files on other machines: which protocols there are, and how long an answer is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from softunit.errors import FileError

PROTOCOLS = ("abfs", "abfss", "file", "gcs", "gs", "hdfs", "s3", "viewfs")
"""What pyarrow opens."""

PATIENCE = 30.0
"""Seconds that a store may take to say which files it holds."""

_Answer = TypeVar("_Answer")


def check_protocol(url: str) -> None:
    """Refuse a URL that no file system is behind.

    Parameters
    ----------
    url : str

    Raises
    ------
    FileError
        Naming the protocols that there are.
    """
    protocol = url.partition("://")[0].lower()
    if protocol not in PROTOCOLS:
        raise FileError(
            f"{url} cannot be opened: {protocol!r} is no protocol of a file system. Known are"
            f" {', '.join(f'{name}://' for name in PROTOCOLS)}. Download the file and give its path"
            " instead."
        )


def in_time(url: str, ask: Callable[[], _Answer]) -> _Answer:
    """Return what a store answers, if it does in time: its own client may try again for minutes.

    Parameters
    ----------
    url : str
        As sentences name it.
    ask : callable
        Waits for the answer, in a thread that nobody waits for at the end.

    Raises
    ------
    FileError
        If no answer came within `PATIENCE` seconds.
    """
    found: dict[str, Any] = {}

    def run() -> None:
        try:
            found["answer"] = ask()
        except BaseException as error:  # raised again below, where it is waited for
            found["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if "error" in found:
        raise found["error"]
    if "answer" not in found:
        raise FileError(
            f"{url} cannot be opened: nothing answered within {PATIENCE:g} s. Check the address,"
            " that this machine reaches it, and that you may read it."
        )
    answer: _Answer = found["answer"]
    return answer
