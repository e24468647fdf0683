"""Workers that are killed in every phase of a fit change nothing; what listens, listens here."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.faults.client import ROOT
from tests.faults.cluster import PHASES

SLOWEST = 400
"""Seconds after which the script counts as hanging; most of them go into starting processes."""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What came of each phase, and where the cluster listened."""
    pytest.importorskip("distributed")
    folder = str(tmp_path_factory.mktemp("workers"))
    ended = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "faults" / "cluster.py"), folder],
        capture_output=True, text=True, cwd=ROOT, timeout=SLOWEST, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize("phase", PHASES)
def test_a_worker_killed_in(phase, told):
    found = told[phase]
    assert "refused" not in found, found
    assert found["kills"] == 1, "no worker was killed"
    assert found["off"] <= 1e-8
    assert found.get("converged", True)


def test_all_of_it_listens_on_loopback(told):
    assert len(told["addresses"]) > 1
    assert all(address.startswith("tcp://127.0.0.1:") for address in told["addresses"])
