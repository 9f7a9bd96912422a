"""The entry point of the command line: exit codes and error messages."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Sequence

from zoo import UserError, __version__
from zoo.cli.commands import find_command
from zoo.cli.help import help_text, overview
from zoo.cli.parsing import parse
from zoo.errors import on_one_line

USAGE = 2
INTERRUPTED = 130


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 for success, 1 if a part failed, 2 for a user error."""
    # On an Apple GPU, torch computes what it lacks there on the CPU; it reads this when imported.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    code = run(list(sys.argv[1:] if words is None else words))
    gc.freeze()  # Python would otherwise visit every object of torch and MONAI once more at exit.
    sys.exit(code)


def run(words: list[str]) -> int:
    """Parse `words`, run the command, and return the exit code."""
    try:
        return _run(words)
    except UserError as error:
        return _failure(error)
    except KeyboardInterrupt:
        print("regzoo: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:  # a folder that is a file, a name too long, no permission, a full disk
        if error.filename is None:
            raise
        return _failure(f"{error.filename}: {error.strerror}; check the path")


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] in ("-V", "--version", "version"):
        print(f"regzoo {__version__}")
        return 0
    if words[0] == "completion":
        from zoo.cli.completion import completion_script

        print(completion_script(words[1:]))
        return 0
    command = find_command(words[0])
    _require_utf8(words)
    if {"-h", "--help"} & set(words[1:]):
        print(help_text(command))
        return 0
    return parse(command, words[1:])()


def _failure(message: object) -> int:
    print(f"regzoo: {on_one_line(message)}", file=sys.stderr)
    return USAGE


def _require_utf8(words: list[str]) -> None:
    """Refuse names that are not valid text: a JSON file that quotes them could not be written."""
    for word in words:
        if re.search("[\ud800-\udfff]", word):
            raise UserError(
                f"{word!r} is not valid UTF-8; rename the file, or refer to it by a symbolic link"
            )
