"""Small datasets and configs for the tests of training."""

import json

import torch

from zoo.hub.bundles import bundle_folder
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair


def write_images(
    root, *, cases=(1, 2), contrasts=("t1",), shape=(24, 28, 22), paired=False, **more
):
    """Write a dataset of phantoms: two training images per case, and one validation pair.

    The two images of a case show one anatomy. Every image has labels. Several `contrasts` are
    several slots on one geometry. With `paired` the two images of a case are a training pair.
    """
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    names = []
    for case in cases:
        for slot, contrast in enumerate(contrasts):
            pair = make_pair(case, contrasts=(contrast, contrast), shape=shape, **more)
            for side, image, labels, grid in (
                (0, pair.fixed, pair.fixed_labels, pair.fixed_grid),
                (1, pair.moving, pair.moving_labels, pair.moving_grid),
            ):
                name = f"Ph_{2 * case + side:04d}_{slot:04d}.nii.gz"
                write_volume(root / "imagesTr" / name, image, grid, torch.int16)
                write_volume(root / "labelsTr" / name, labels, grid)
                names.append(f"./imagesTr/{name}")
    first = f"./imagesTr/Ph_{2 * cases[0]:04d}_0000.nii.gz"
    document = {
        "name": "Phantoms",
        "modality": {str(k): "MR" for k in range(len(contrasts))},
        "anatomy": "abdomen",
        "training": [
            {"fixed": one, "moving": two} for one, two in zip(names[::2], names[1::2], strict=True)
        ]
        if paired
        else [{"image": name} for name in names],
        "registration_val": [
            {"fixed": first, "moving": f"./imagesTr/Ph_{2 * cases[0] + 1:04d}_0000.nii.gz"}
        ],
    }
    (root / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    return document


def train_config(model, *overlays):
    """Return the paths of a training config and its overlays, for `monai.bundle run`."""
    folder = bundle_folder(model) / "configs"
    return [str(folder / name) for name in ("train.yaml", *overlays)]


SMALL = {"weights": "scratch", "width": 2, "size": [65, 66, 67], "epochs": 2, "epoch_length": 1}
"""Settings of a short GradICON training."""
