"""What every test may ask for: a seeded generator; and how hypothesis draws."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest
from hypothesis import settings

# No deadline: a slow machine must not turn a right answer into a failure. In CI the draws are
# the same on every run, so that a red run can be repeated; at a desk they look further.
settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the name of the test, so that each test draws its own numbers."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))
