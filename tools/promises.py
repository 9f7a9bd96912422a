"""Try every promise of the README and the tutorials, and print which are kept.

    python tools/promises.py
    python tools/promises.py --only register_without_options --only noise_is_failed
    python tools/promises.py --fixed F --moving M --fixed-labels FL --moving-labels ML

    python tools/promises.py --package OTHER_CHECKOUT

Each promise is tried on phantoms, in a temporary folder and in processes of its own. With a real
pair of one contrast, those about one registration are tried on that pair as well. `--package` tries
those of another copy of the package, such as an earlier version. The exit code is 1 if a promise is
broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))  # for support.loopback

from promised import ON_A_REAL_PAIR, PROMISES, ROOT, Outcome, Place, Promise, keep

from zoo.io.atomic import write_text

SIDES = ("fixed", "moving", "fixed_labels", "moving_labels")
HEAD = "| promise | kept | seconds | what was seen |\n|---|---|---|---|"


def main() -> int:
    """Print the table and return the exit code: 1 if a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for side in SIDES:
        parser.add_argument(f"--{side.replace('_', '-')}", type=Path, help="of a real pair")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this promise")
    parser.add_argument(
        "--package", type=Path, default=ROOT, help="folder that holds the package zoo"
    )
    parser.add_argument("--out", type=Path, help="also write the table to this Markdown file")
    args = parser.parse_args()
    pair = {side: path.resolve() for side in SIDES if (path := getattr(args, side))}
    if bool(args.fixed) != bool(args.moving) or (pair and not args.fixed):
        parser.error("a real pair needs both --fixed and --moving")
    if missing := [str(path) for path in pair.values() if not path.is_file()]:
        parser.error(f"no such file: {', '.join(missing)}")
    if unknown := set(args.only or ()) - {promise.__name__ for promise in PROMISES}:
        parser.error(_unknown(sorted(unknown)))
    chosen = [p for p in PROMISES if not args.only or p.__name__ in args.only]
    lines = [HEAD]
    print(HEAD, flush=True)
    kept = []
    with tempfile.TemporaryDirectory(prefix="regzoo-promises-") as scratch:
        for outcome in try_all(chosen, Path(scratch), pair, args.package.resolve()):
            lines.append(row(outcome))
            kept.append(outcome.kept)
            print(lines[-1], flush=True)
    lines.append(f"\n{sum(kept)} of {len(kept)} promises are kept.")
    print(lines[-1])
    if args.out:
        write_text(args.out, "\n".join(lines) + "\n")
    return 0 if all(kept) else 1


def try_all(
    promises: Sequence[Promise], root: Path, pair: dict[str, Path], package: Path = ROOT
) -> Iterator[Outcome]:
    """Yield the outcome of each promise on phantoms, then of those that also hold for `pair`."""
    places: list[tuple[Promise, str, dict[str, Path]]]
    places = [(promise, "phantom", {}) for promise in promises]
    if pair:
        places += [(p, "real", pair) for p in promises if p in ON_A_REAL_PAIR]
    for promise, kind, files in places:
        folder = root / kind / promise.__name__
        name = promise.__name__ + (" (real pair)" if files else "")
        yield keep(promise, Place(folder, root / "shared", files, package), name)


def row(outcome: Outcome) -> str:
    """Return an outcome as a row of a Markdown table."""
    seen = outcome.seen.replace("|", "/")
    kept = "yes" if outcome.kept else "**no**"
    promise = f"`{outcome.name}`: {outcome.statement}"
    return f"| {promise} | {kept} | {outcome.seconds:.0f} | {seen} |"


def _unknown(names: list[str]) -> str:
    known = [promise.__name__ for promise in PROMISES]
    near = get_close_matches(names[0], known, 1)
    hint = f"; did you mean {near[0]}?" if near else f"; the names are {', '.join(known)}"
    return f"there is no promise {names[0]!r}{hint}"


if __name__ == "__main__":
    sys.exit(main())
