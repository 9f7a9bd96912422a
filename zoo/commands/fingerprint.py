"""`regzoo fingerprint`: what a dataset is, in one JSON file."""

from __future__ import annotations


def fingerprint(
    dataset: str, *, out: str, verify: bool = False, workers: int | None = None
) -> None:
    """Write down what a dataset is: images, annotations, pairs, how they lie, problems.

    Modality and anatomy come with the evidence and how sure it is; what cannot be told is unknown.

    Examples:
        regzoo fingerprint data -o fingerprint.json

    Args:
        dataset: a folder with dataset.json or pairs.csv, or one of these files.
        out: the JSON file to write.
        verify: decode every file, not only up to 200 images a channel.
        workers: how many files to decode at once; by default what memory and cores allow.
    """
    from zoo.commands._shared import progress_bar
    from zoo.datasets.reading import read_dataset
    from zoo.io.atomic import check_writable, write_json
    from zoo.planning.fingerprint import take_fingerprint

    check_writable(out)
    with progress_bar("decoding") as progress:
        taken = take_fingerprint(
            read_dataset(dataset), everything=verify, workers=workers, progress=progress
        )
    document = taken.document
    write_json(out, document)
    for slot, channel in document["channels"].items():
        belief = channel["modality"]
        print(
            f"slot {slot}: {channel['count']} images, {belief['value'] or 'unknown'} "
            f"({belief['confidence']}; {belief['evidence']})"
        )
    anatomy = document["anatomy"]
    print(f"anatomy: {anatomy['value'] or 'unknown'} ({anatomy['confidence']})")
    print(f"{len(document['problems'])} problems; written to {out}")
