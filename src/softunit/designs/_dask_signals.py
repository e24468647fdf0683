"""What the workers of a local cluster do with the signals of a terminal; Dask loads it there."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Ignore Ctrl-C: a terminal sends it to all processes, and the one that fits ends them.

    Parameters
    ----------
    worker : distributed.Worker
        The one that starts; Dask calls this in its process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
