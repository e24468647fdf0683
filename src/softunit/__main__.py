"""`python -m softunit` and `softunit` are one command."""

from __future__ import annotations

import sys

from softunit.errors import MissingExtraError

_NEEDED = frozenset({"click", "rich", "typer"})


def main() -> int:
    """Run the command line and return its exit status: 0, 2 or 3; 130 after Ctrl-C."""
    try:
        from softunit.cli import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(f"softunit: {MissingExtraError('the command line', 'cli')}\n")
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
