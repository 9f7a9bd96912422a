"""`regzoo check`: every problem of a dataset, at once."""

from __future__ import annotations


def check(
    dataset: str,
    *,
    verify: bool = False,
    fix: str | None = None,
    out: str | None = None,
    workers: int | None = None,
) -> int:
    """Look for everything that is wrong with a dataset.

    Looks at the lists, at every header, at the voxels of up to 200 images a channel, at label maps,
    masks and key points, and tells each problem with the file and how to mend it. An archive is
    looked through without unpacking it. The exit code is 2 if there is an error.

    Examples:
        regzoo check data
        regzoo check data --verify --out problems.json
        regzoo check data --fix mended

    Args:
        dataset: a folder with dataset.json or pairs.csv, one of these files, or an archive.
        verify: decode every file, not only a sample.
        fix: a folder for copies with mended headers, where their meaning is beyond doubt.
        out: write the problems as JSON as well.
        workers: how many files to decode at once; by default what memory and cores allow.
    """
    from pathlib import Path

    from zoo.commands._shared import progress_bar
    from zoo.datasets.archives import archive_problems, is_archive
    from zoo.datasets.checks import all_problems
    from zoo.datasets.header_repair import repair_headers
    from zoo.datasets.reading import read_dataset
    from zoo.datasets.scan import scan_dataset
    from zoo.io.atomic import write_json

    if is_archive(Path(dataset)):
        problems, seen = archive_problems(Path(dataset)), "1 archive"
    else:
        found = read_dataset(dataset)
        with progress_bar("decoding") as progress:
            looked = scan_dataset(found, everything=verify, workers=workers, progress=progress)
        problems = all_problems(looked)
        seen = (
            f"{len(found.named_pairs)} pairs, {len(found.files)} files, "
            f"{len(looked.headers)} headers read, {len(looked.voxels)} files decoded"
        )
    for problem in problems:
        print(problem)
    errors = sum(problem.level == "error" for problem in problems)
    print(f"{seen}: {errors} errors, {len(problems) - errors} warnings")
    if out is not None:
        write_json(out, [problem.to_json() for problem in problems])
    if fix is not None and not is_archive(Path(dataset)):
        names = repair_headers(found, problems, Path(fix))
        print(f"{len(names)} copies with mended headers written to {fix}")
    return 2 if errors else 0
