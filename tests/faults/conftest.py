"""One runner for all tests of this folder that run in a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.client import Runner


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    """A process whose children may be killed."""
    made = Runner()
    yield made
    made.close()
