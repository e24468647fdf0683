"""scikit-learn's own tests of LogisticRegression, run on SoftmaxClassifier."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter

import pytest
import sklearn

from tests.meta.source import ROOT

SCRIPT = ROOT / "scripts" / "parity.py"


def load_script():
    spec = importlib.util.spec_from_file_location("parity_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


parity = load_script()


@pytest.fixture(scope="module")
def outcomes():
    return parity.run_tests()


def test_every_failure_has_a_reason(outcomes):
    assert not parity.without_reason(outcomes)


def test_the_page_is_kept(outcomes):
    passes = parity.promised(sklearn.__version__)
    if passes is None:
        pytest.skip(f"docs/parity.md speaks of a scikit-learn other than {sklearn.__version__}.")
    assert parity.counted(outcomes)["passed"] >= passes


def test_a_failure_without_a_reason_is_seen():
    wrong = parity.Outcome("test_of_numbers[3]", "failed", True, "AssertionError: 1 is not 2")
    asked = parity.Outcome(
        "test_n_iter[sag]", "failed", True, "InputError: `solver` must be one of a, b; got 'sag'."
    )
    foreign = parity.Outcome("test_of_cv", "failed", False, "AssertionError: 1 is not 2")
    assert parity.without_reason([wrong, asked, foreign]) == [
        "test_of_numbers[3]: AssertionError: 1 is not 2"
    ]
    assert parity.counted([wrong, asked, foreign]) == Counter(
        {"failed": 2, "not about this class": 1, "skipped": 0}
    )
