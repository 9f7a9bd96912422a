"""`regzoo check`: report every problem of a dataset."""

from __future__ import annotations


def check(
    dataset: str,
    *,
    verify: bool = False,
    fix: str | None = None,
    out: str | None = None,
    workers: int | None = None,
) -> int:
    """Report every problem of a dataset, with the file and the remedy.

    The check reads the list of files, all headers, the voxels of up to 200 images per slot, and
    label maps, masks and key points. An archive is inspected without unpacking it. The exit code is
    2 if there is an error.

    Examples:
        regzoo check data
        regzoo check data --verify --out problems.json
        regzoo check data --fix repaired

    Args:
        dataset: A folder with dataset.json or pairs.csv, one of these files, or an archive.
        verify: Decode the voxels of every file, not only of a sample.
        fix: Write copies with repaired headers to this folder, where the correct value is certain.
        out: Also write the problems to this JSON file.
        workers: The number of processes that decode files; by default memory and cores decide.
    """
    from pathlib import Path

    from zoo.commands._shared import counted, progress_bar
    from zoo.datasets.archives import archive_problems, is_archive
    from zoo.datasets.checks import all_problems
    from zoo.datasets.header_repair import repair_headers
    from zoo.datasets.reading import read_dataset
    from zoo.datasets.scan import scan_dataset
    from zoo.errors import UserError
    from zoo.io.atomic import write_json

    repaired: list[str] = []
    if is_archive(Path(dataset)):
        if fix is not None:
            raise UserError(f"--fix needs an unpacked dataset, and {dataset} is an archive")
        problems, summary = archive_problems(Path(dataset)), "1 archive"
    else:
        listed = read_dataset(dataset)
        with progress_bar("decoding") as progress:
            scan = scan_dataset(listed, everything=verify, workers=workers, progress=progress)
        problems = all_problems(scan)
        summary = (
            f"{counted(len(listed.named_pairs), 'pair')}, {counted(len(listed.files), 'file')}, "
            f"{counted(len(scan.headers), 'header')} read, "
            f"{counted(len(scan.voxels), 'file')} decoded"
        )
        if fix is not None:
            repaired = repair_headers(listed, problems, Path(fix))
    for problem in problems:
        print(problem)
    errors = sum(problem.level == "error" for problem in problems)
    warnings = len(problems) - errors
    print(f"{summary}: {counted(errors, 'error')}, {counted(warnings, 'warning')}")
    if out is not None:
        write_json(out, [problem.to_json() for problem in problems])
    if fix is not None:
        print(f"{counted(len(repaired), 'repaired file')} written to {fix}")
    return 2 if errors else 0
