"""`regzoo fingerprint`: summarise a dataset in one JSON file."""

from __future__ import annotations


def fingerprint(
    dataset: str, *, out: str, verify: bool = False, workers: int | None = None
) -> None:
    """Summarise a dataset in one JSON file.

    The file describes images, annotations, pairs, their initial alignment, and problems. Modality
    and anatomy are given with the evidence and its confidence; they are unknown if nothing shows
    them.

    Examples:
        regzoo fingerprint data -o fingerprint.json

    Args:
        dataset: A folder with dataset.json or pairs.csv, or one of these files.
        out: The JSON file to write.
        verify: Decode the voxels of every file, not only of up to 200 images per slot.
        workers: The number of processes that decode files; by default memory and cores decide.
    """
    from zoo.commands._shared import counted, progress_bar
    from zoo.datasets.reading import read_dataset
    from zoo.io.atomic import check_writable, write_json
    from zoo.planning.fingerprint import take_fingerprint

    check_writable(out)
    with progress_bar("decoding") as progress:
        document = take_fingerprint(
            read_dataset(dataset), everything=verify, workers=workers, progress=progress
        ).document
    write_json(out, document)
    for slot, channel in document["channels"].items():
        belief = channel["modality"]
        print(
            f"slot {slot}: {counted(channel['count'], 'image')}, {belief['value'] or 'unknown'} "
            f"({belief['confidence']}; {belief['evidence']})"
        )
    anatomy = document["anatomy"]
    print(f"anatomy: {anatomy['value'] or 'unknown'} ({anatomy['confidence']})")
    print(f"{counted(len(document['problems']), 'problem')}; written to {out}")
