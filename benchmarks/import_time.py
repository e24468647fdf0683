"""What `import softunit` adds to `import sklearn.linear_model`: python -m benchmarks.import_time.

Medians over fresh processes, the two taken in turn so that a busy machine slows both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15
LIMIT = 0.5  # seconds


def seconds(statement: str) -> float:
    """Return the time of one fresh Python that runs a statement."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - begin


def main() -> int:
    """Print both medians and the difference; return 1 where it is above the limit."""
    base, ours = [], []
    for _ in range(RUNS):
        base.append(seconds("import sklearn.linear_model"))
        ours.append(seconds("import softunit"))
    added = statistics.median(ours) - statistics.median(base)
    print(
        f"import sklearn.linear_model {statistics.median(base):.3f} s, import softunit"
        f" {statistics.median(ours):.3f} s, difference {added:+.3f} s (limit {LIMIT} s)"
    )
    return int(added > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
