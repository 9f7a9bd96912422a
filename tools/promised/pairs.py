"""One registration, from the command, from Python and from MONAI."""

from __future__ import annotations

import json

import numpy as np

from promised.promise import Place, Promise, ensure, improved, quality_of, same_bytes, voxels
from zoo.io.volume import read_volume, write_volume

WRITTEN = (
    "transform.nii.gz",
    "warped.nii.gz",
    "report.html",
    "report.png",
    "result.json",
    "plan.json",
)
PYTHON = """
import sys, zoo
registration = zoo.register(sys.argv[1], sys.argv[2])
points = registration.transform.map_points([[0.0, 0.0, 0.0]])
assert points.shape == (1, 3), points
registration.save("python")
"""


def register_without_options(place: Place) -> str:
    """`regzoo register` without an option improves the pair, writes the files that the README
    lists, and its verdict is ok.
    """
    result = place.register(place.images(), "result")
    missing = [name for name in WRITTEN if not (place.folder / "result" / name).is_file()]
    ensure(not missing, f"not written: {', '.join(missing)}")
    ensure(set(WRITTEN) <= set(result["files"]), f"result.json lists {result['files']}")
    ensure(quality_of(result) == "ok", f"quality {result['quality']}: {result['warnings']}")
    ensure(result["figures"]["folding_percent"] < 0.1, f"folding {result['figures']}")
    return f"{result['model']}, {improved(result['figures'])}, quality ok"


def python_gives_the_same(place: Place) -> str:
    """`zoo.register` gives the transform of `regzoo register` bit for bit."""
    files = place.images()
    place.regzoo("register", files["fixed"], files["moving"], "--out", "command")
    place.python("-c", PYTHON, files["fixed"], files["moving"])
    for name in ("transform.nii.gz", "warped.nii.gz"):
        same_bytes(place.folder / "python" / name, place.folder / "command" / name)
    return "transform and warped image are equal"


def monai_gives_the_same(place: Place) -> str:
    """`monai.bundle run` with the plan of a registration gives its transform bit for bit."""
    files = place.images()
    place.regzoo("register", files["fixed"], files["moving"], "--out", "command")
    config = place.bundle("mcbo") / "configs" / "inference.json"
    words = ["-m", "monai.bundle", "run", "--config_file", f"['{config}','command/plan.json']"]
    words += ["--fixed", str(files["fixed"]), "--moving", str(files["moving"])]
    place.python(*words, "--output_dir", "monai")
    one, two = (voxels(place.folder / name / "transform.nii.gz") for name in ("command", "monai"))
    ensure(np.ptp(one) > 0, "the transform is empty")
    ensure(np.array_equal(one, two), f"transforms differ by up to {np.abs(one - two).max():.3g} mm")
    return "the transforms are equal"


def _compact(place: Place, model: str, *words: str, moving: str = "t1") -> str:
    """Register with compact weights, a phantom with the contrast `moving`; return what was seen."""
    files = place.images(moving)
    result = place.register(files, model, "--model", model, "--weights", "compact", *words)
    metadata = json.dumps(result["weights"])
    ensure("compact" in metadata, f"the weights were {metadata}")
    ensure(quality_of(result) != "failed", f"quality failed: {result['warnings']}")
    return f"{improved(result['figures'])}, quality {result['quality']}"


def compact_unigradicon(place: Place) -> str:
    """The compact weights of unigradicon improve a pair of one contrast, offline."""
    return _compact(place, "unigradicon")


def compact_multigradicon(place: Place) -> str:
    """The compact weights of multigradicon improve a pair of one or of two contrasts, offline."""
    return _compact(place, "multigradicon", moving="t2")


def compact_unireg(place: Place) -> str:
    """The compact weights of unireg improve a pair whose region and pairing are stated, offline."""
    return _compact(place, "unireg", "--anatomy", "brain", "--pairing", "inter")


def a_mask_of_ones_changes_nothing(place: Place) -> str:
    """A mask of ones for one of the images changes nothing."""
    files = place.images()
    fixed = read_volume(files["fixed"])
    ones = (fixed.data * 0 + 1).byte()
    write_volume(place.folder / "ones.nii.gz", ones, fixed.grid)
    words = ["register", files["fixed"], files["moving"], "--report=false"]
    place.regzoo(*words, "--out", "without")
    place.regzoo(*words, "--out", "ones", "--fixed-mask", "ones.nii.gz")
    same_bytes(place.folder / "ones/transform.nii.gz", place.folder / "without/transform.nii.gz")
    return "the transforms are equal"


def one_mask_counts(place: Place) -> str:
    """A mask of only one image is used: what lies outside it is not compared."""
    files = place.images()
    fixed = read_volume(files["fixed"])
    half = (fixed.data * 0).byte()
    half[: fixed.grid.shape[0] // 2] = 1
    write_volume(place.folder / "half.nii.gz", half, fixed.grid)
    damaged = fixed.data.clone()
    damaged[fixed.grid.shape[0] // 2 + 8 :] = damaged.max()
    write_volume(place.folder / "damaged.nii.gz", damaged, fixed.grid)
    words = ["--report=false", "--affine", "none", "--model", "mcbo"]
    fields = {}
    for name, image in (("whole", files["fixed"]), ("damaged", "damaged.nii.gz")):
        for mask in ([], ["--fixed-mask", "half.nii.gz"]):
            out = name + ("-masked" if mask else "")
            place.regzoo("register", image, files["moving"], "--out", out, *words, *mask)
            field = voxels(place.folder / out / "transform.nii.gz")
            fields[out] = field[: fixed.grid.shape[0] // 2]
    plain = np.abs(fields["whole"] - fields["damaged"]).mean()
    masked = np.abs(fields["whole-masked"] - fields["damaged-masked"]).mean()
    seen = f"damage outside the mask moves the inside by {masked:.3f} mm, without mask {plain:.3f}"
    ensure(masked < plain / 2, seen)
    return seen


PAIRS: tuple[Promise, ...] = (
    register_without_options,
    python_gives_the_same,
    monai_gives_the_same,
    compact_unigradicon,
    compact_multigradicon,
    a_mask_of_ones_changes_nothing,
    one_mask_counts,
)

OF_A_STATED_REGION: tuple[Promise, ...] = (compact_unireg,)
