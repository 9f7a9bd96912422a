"""Entry point of a child process: `python -m benchmarks.harness.child MODULE:FUNCTION`.

The keyword arguments are read from standard input and the result is printed as the last line of
standard output, both as JSON.
"""

from __future__ import annotations

import importlib
import json
import sys


def main(function: str) -> None:
    """Call the function and print its result."""
    module, _, name = function.partition(":")
    result = getattr(importlib.import_module(module), name)(**json.load(sys.stdin))
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
