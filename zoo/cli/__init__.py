"""The command line: arguments are parsed and checked first, and only then does anything run."""

from zoo.cli.entry import main, run

__all__ = ["main", "run"]
