"""Run scikit-learn's own tests of LogisticRegression with SoftmaxClassifier in its place.

python scripts/parity.py           run, write docs/parity.md, exit 1 if a failure has no reason
python scripts/parity.py --check   the same without writing

The tests come from the installed scikit-learn; the name is replaced before they are imported.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "parity.md"
OFFERED = ("lbfgs", "newton-cg", "newton-cholesky")
FOREIGN = ("liblinear", "sag", "saga")

# What a failure says of itself, and the reason that makes.
SAYS: tuple[tuple[str, str], ...] = (
    (
        r"`solver` must be one of .*; got '(liblinear|sag|saga)'",
        "asks for a solver that is not offered: {0}",
    ),
    (
        r"(?:unexpected keyword argument|Invalid parameter|KeyError:)"
        r" '(penalty|l1_ratio|dual|intercept_scaling|n_jobs)'",
        "asks for a parameter that is not offered: {0}",
    ),
    (
        r"has no attribute '(sparsify|densify|_predict_proba_lr)'",
        "asks for a method that is not offered: {0}",
    ),
)

# The rest, by the name of the test function. A wrong number is not a reason.
REASONS: dict[str, str] = {
    "test_inconsistent_input": "asks for the text of scikit-learn's own message; ours names both"
    " lengths",
    "test_nan": "asks for the text of scikit-learn's own message; ours names the column, the first"
    " row and how many",
    "test_logistic_regression_array_api_compliance": "asks for array API dispatch, which is not"
    " offered",
    "test_max_iter": "asks for the text of scikit-learn's own warning; ours names the gradient that"
    " was reached",
    "test_c_inf_no_warning": "asks for no warning without ridge; its classes are perfectly"
    " separable, no optimum exists, and ours says so",
    "test_newton_cholesky_fallback_to_lbfgs": "asks newton-cholesky to fall back to L-BFGS on more"
    " columns than rows without ridge; ours solves it, and warns that the optimum is not unique",
    "test_logistic_regression_callback_support": "counts an iteration that scikit-learn's L-BFGS"
    " makes although max_iter=0; ours makes none",
    "test_l1_ratio_None_deprecated": "asks for a warning that None is deprecated; here it is"
    " refused with a sentence",
    "test_logistic_regression_callback_support_warning": "asks for a warning that callbacks work"
    " with L-BFGS only; here they work with every solver",
}


@dataclass(frozen=True)
class Outcome:
    """How one test with one set of parameters ended."""

    name: str  # function[parameters]
    outcome: str  # passed, failed, skipped
    ours: bool  # whether it made a SoftmaxClassifier
    message: str = ""

    @property
    def function(self) -> str:
        """Name without parameters."""
        return self.name.partition("[")[0]

    @property
    def reason(self) -> str:
        """Why it fails, from what it says or from the table; empty where nobody knows."""
        for pattern, reason in SAYS:
            found = re.search(pattern, self.message, re.DOTALL)
            if found:
                return reason.format(*found.groups())
        return REASONS.get(self.function, "")


class Recorder:
    """A pytest plugin that keeps the outcomes, and notes which tests make our class."""

    def __init__(self, only_offered: bool) -> None:
        self.only_offered = only_offered
        self.found: dict[str, dict[str, Any]] = {}
        self.made = False

    def note(self, cls: type, *args: object, **kwargs: object) -> object:
        """Stand in for `__new__`: the running test is about our class."""
        self.made = True
        return object.__new__(cls)

    def pytest_collection_finish(self, session: Any) -> None:
        """Cut the list that tests loop over inside, where asked."""
        for module in {item.module for item in session.items}:
            if self.only_offered:
                module.SOLVERS = OFFERED

    def pytest_runtest_setup(self, item: Any) -> None:
        """Forget the last test."""
        self.made = False

    def pytest_runtest_makereport(self, item: Any, call: Any) -> None:
        """Keep the worst of setup, call and teardown."""
        if call.excinfo is None:
            outcome, message = "passed", ""
        else:
            skipped = call.excinfo.typename in ("Skipped", "XFailed")
            outcome = "skipped" if skipped else "failed"
            message = said(call.excinfo.value)
        if call.excinfo is None and item.name in self.found:
            self.found[item.name]["ours"] |= self.made
            return
        self.found[item.name] = {"outcome": outcome, "ours": self.made, "message": message}


def said(error: BaseException | None) -> str:
    """Return what an exception says, and those that it was raised over."""
    lines = []
    while error is not None:
        lines.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or error.__context__
    return "\n".join(lines)


def child(out: str, only_offered: bool, names: list[str]) -> int:
    """Run the tests in this process, with our class under scikit-learn's name."""
    import pytest
    import sklearn.linear_model

    from softunit import SoftmaxClassifier

    recorder = Recorder(only_offered)
    SoftmaxClassifier.__new__ = lambda cls, *a, **k: recorder.note(cls, *a, **k)
    if only_offered:
        SoftmaxClassifier.__init__ = with_own_solver(SoftmaxClassifier.__init__)
    sklearn.linear_model.LogisticRegression = SoftmaxClassifier
    tests = Path(sklearn.linear_model.__file__).parent / "tests" / "test_logistic.py"
    options = ["-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--import-mode=importlib"]
    options += ["-c", os.devnull, f"--rootdir={tests.parent}", "--continue-on-collection-errors"]
    options += ["-k", " or ".join(names)] if names else []
    code = pytest.main([*options, str(tests)], plugins=[recorder])
    Path(out).write_text(json.dumps(recorder.found), encoding="utf-8")
    return 0 if code in (0, 1) else int(code)


def with_own_solver(init: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor that takes the name of a solver not offered for "auto"."""

    @functools.wraps(init)
    def made(self: object, *args: object, **settings: object) -> None:
        if settings.get("solver") in FOREIGN:
            settings["solver"] = "auto"
        init(self, *args, **settings)

    return made


def run_tests(only_offered: bool = False, names: tuple[str, ...] = ()) -> list[Outcome]:
    """Return the outcomes of scikit-learn's tests, run in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "outcomes.json"
        command = [sys.executable, __file__, "--child", str(out), *names]
        command += ["--only-offered"] if only_offered else []
        paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not out.exists():
            raise RuntimeError(f"pytest could not run the tests:\n{done.stdout}\n{done.stderr}")
        found = json.loads(out.read_text(encoding="utf-8"))
    return [Outcome(name=name, **what) for name, what in found.items()]


def counted(outcomes: list[Outcome]) -> Counter[str]:
    """Return how many passed, failed, were skipped, or are not about our class."""
    ran = [o for o in outcomes if o.outcome != "skipped"]
    count = Counter(o.outcome if o.ours else "not about this class" for o in ran)
    count["skipped"] = len(outcomes) - len(ran)
    return count


def failing(outcomes: list[Outcome]) -> list[Outcome]:
    """Return the failures of tests about our class."""
    return [o for o in outcomes if o.ours and o.outcome == "failed"]


def without_reason(outcomes: list[Outcome]) -> list[str]:
    """Return a line for each failure that nobody has explained."""
    return [f"{o.name}: {o.message[:300]}" for o in failing(outcomes) if not o.reason]


def promised(version: str) -> int | None:
    """Return how many passes docs/parity.md states, None if for another scikit-learn."""
    text = PAGE.read_text(encoding="utf-8")
    stated = re.search(r"^With scikit-learn (\S+),", text, re.MULTILINE)
    passes = re.search(r"^\| pass \| (\d+) \|$", text, re.MULTILINE)
    if not stated or not passes:
        raise ValueError(f"{PAGE} states no counts; run scripts/parity.py.")
    return int(passes[1]) if stated[1] == version else None


def page(outcomes: list[Outcome], offered: list[Outcome]) -> str:
    """Return docs/parity.md.

    Parameters
    ----------
    outcomes : list of Outcome
        Of the tests as they are.
    offered : list of Outcome
        Of the failing ones run again with loops over solvers cut to those we offer, and "auto" in
        place of the names of others.
    """
    import sklearn

    count = counted(outcomes)
    again = {o.name: o.outcome for o in offered}
    saved = [o for o in failing(outcomes) if again.get(o.name) == "passed"]
    lines = [
        "# Beside scikit-learn's own tests",
        "",
        "scikit-learn tests its `LogisticRegression` in a file of its own package,",
        "`sklearn/linear_model/tests/test_logistic.py`. `scripts/parity.py` runs that file as it",
        "is, with `softunit.SoftmaxClassifier` under the name `LogisticRegression`. An option that",
        "is not offered is a reason to fail; a wrong number is not.",
        "",
        f"With scikit-learn {sklearn.__version__}, each set of parameters counted as one test:",
        "",
        "| outcome | tests |",
        "|---|---:|",
        f"| pass | {count['passed']} |",
        f"| fail, each for a reason below | {count['failed']} |",
        f"| skipped by scikit-learn (array libraries not installed) | {count['skipped']} |",
        f"| not about this class (they never make one) | {count['not about this class']} |",
        "",
        f"{len(saved)} of those that fail name a solver that is not offered here, and pass with"
        " `auto` in its place, or once a loop over",
        f"scikit-learn's six solvers is cut to {', '.join(f'`{name}`' for name in OFFERED)}; they"
        " are marked.",
        "",
        "## What fails, and why",
        "",
        "| test | fails | why |",
        "|---|---:|---|",
        *_rows(outcomes, {o.name for o in saved}),
        "",
        "## Models that scikit-learn does not have",
        "",
        "It has no tests for `ConditionalLogit` and `OrdinalClassifier`: these are compared with"
        " statsmodels. `OrdinalClassifier` also passes",
        "scikit-learn's checks of estimators, but for `check_classifiers_train` where all"
        " thresholds share their coefficients: it asks for",
        "83% of labels right on three blobs that lie in no order along any line.",
        "",
        "## Again",
        "",
        "```console",
        "$ python scripts/parity.py",
        "```",
        "",
        "It rewrites this page, and exits with 1 when a failure has no reason.",
        "",
    ]
    return "\n".join(lines)


def _rows(outcomes: list[Outcome], saved: set[str]) -> list[str]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in failing(outcomes):
        groups.setdefault(outcome.function, []).append(outcome)
    rows = []
    for function, group in groups.items():
        total = sum(o.function == function and o.ours for o in outcomes)
        why = "; ".join(_merged({o.reason for o in group})) or "**no reason yet**"
        marked = sum(o.name in saved for o in group)
        if marked:
            every = "passes" if marked == len(group) else f"{marked} pass"
            why += f" ({every} with the solvers offered)"
        rows.append(f"| `{function}` | {len(group)} of {total} | {why} |")
    return rows


def _merged(reasons: set[str]) -> list[str]:
    """Return the reasons, those alike up to the colon joined: "not offered: sag, saga"."""
    heads: dict[str, list[str]] = {}
    for reason in sorted(reasons):
        head, _, tail = reason.partition(": ")
        heads.setdefault(head, []).append(tail)
    return [
        head + (": " + ", ".join(f"`{t}`" for t in tails) if any(tails) else "")
        for head, tails in heads.items()
    ]


def main() -> int:
    """Run, write the page, complain about failures without a reason."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="do not write docs/parity.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--only-offered", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.child, given.only_offered, given.names)
    outcomes = run_tests()
    print(", ".join(f"{count} {what}" for what, count in counted(outcomes).items()))
    if not given.check:
        names = tuple(dict.fromkeys(o.function for o in failing(outcomes)))
        again = run_tests(only_offered=True, names=names) if names else []
        PAGE.write_text(page(outcomes, again), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
    unexplained = without_reason(outcomes)
    print(*unexplained, sep="\n", file=sys.stderr)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
