"""The `softunit` command: one file for each subcommand, all of them thin."""

from softunit.cli.app import app, main

__all__ = ["app", "main"]
