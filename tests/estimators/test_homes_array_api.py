"""scikit-learn's own checks of estimators that take arrays of the array API."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn import config_context
from sklearn.utils import estimator_checks

from softunit import SoftmaxClassifier, SoftmaxClassifierCV

strict = pytest.importorskip("array_api_strict")
torch = pytest.importorskip("torch")

# SciPy looks at the variable when it is imported, so the checks need a process of their own.
CHECKS = """
import warnings
from unittest import SkipTest
from sklearn.utils import estimator_checks
from softunit import SoftmaxClassifier

warnings.simplefilter("error")
passed = 0
for check in estimator_checks._yield_array_api_checks(SoftmaxClassifier()):
    try:
        check("SoftmaxClassifier", SoftmaxClassifier())
        passed += 1
    except SkipTest:
        pass
for place in ("array_api_strict", "device1", "float32"), ("torch", "cpu", "float64"):
    estimator_checks.check_array_api_input(
        "SoftmaxClassifier", SoftmaxClassifier(), *place,
        check_values=True, check_sample_weight=True,
    )
print(passed)
"""


@pytest.mark.skipif(
    not hasattr(estimator_checks, "_yield_array_api_checks"),
    reason="the checks came with scikit-learn 1.9",
)
def test_checks_of_scikit_learn_pass() -> None:
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    run = subprocess.run(
        [sys.executable, "-c", CHECKS], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    # Of NumPy, of both devices of array-api-strict, of both widths of torch, mixed, and at odds.
    assert int(run.stdout) >= 7


def test_only_the_classifier_that_fits_tensors_says_so() -> None:
    assert SoftmaxClassifier().__sklearn_tags__().array_api_support
    assert not SoftmaxClassifierCV().__sklearn_tags__().array_api_support


def test_dispatch_asks_for_the_kind_of_the_fit(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = rng.normal(size=(60, 2))
    y = (x[:, 0] > 0).astype(int)
    model = SoftmaxClassifier().fit(torch.asarray(x), y)
    own = SoftmaxClassifier().fit(x, y)
    known = own.predict_proba(x)
    np.testing.assert_allclose(model.predict_proba(x), known, atol=1e-9)
    # Without its variable for SciPy scikit-learn does not look at the switch.
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with config_context(array_api_dispatch=True):
        np.testing.assert_allclose(model.predict_proba(torch.asarray(x)), known, atol=1e-9)
        np.testing.assert_array_equal(own.predict_proba(x), known)
        wish = r"SoftmaxClassifier.predict\(\) must use the same namespace.*torch tensor on cpu"
        with pytest.raises(ValueError, match=wish):
            model.predict(x)
        with pytest.raises(ValueError, match=r"SoftmaxClassifier.score\(\) must"):
            own.score(torch.asarray(x), y)
        with pytest.raises(ValueError, match=r"decision_function\(\) must .*array_api_strict arr"):
            model.decision_function(strict.asarray(x))
