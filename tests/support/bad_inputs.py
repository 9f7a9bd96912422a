"""A dataset with every kind of bad input, and the problem that the check must report for each."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from support.planning_data import nifti, write_document

SHAPE = (24, 22, 20)
MM = np.diag([2.0, 2.0, 2.0, 1.0])
LABELS = {"1": "one", "2": "two"}


@dataclass(frozen=True)
class Expected:
    """The problem that the check must report for one bad input; `id` may list ids with |."""

    name: str
    id: str
    file: str


class BadDataset:
    """Writes cases of two slots, each with a single fault, and records the expected problems."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.expected: list[Expected] = []
        self.training: list[object] = []
        self.pairs: list[object] = []
        self.count = 0

    def image(self, slot=0, case=None, data=None, **header):
        """Write an image of a new or an existing case, and return its name."""
        if case is None:
            self.count += 1
            case = self.count
            self.image(slot=1, case=case)
        name = f"imagesTr/B_{case:04d}_{slot:04d}.nii.gz"
        if data is None:
            data = np.random.default_rng(100 * case + slot).integers(0, 900, SHAPE)
            data = data.astype(np.int16)
        nifti(self.root / name, data, **header)
        self.training.append({"image": f"./{name}"})
        return name

    def beside(self, kind, image, data=None, **header):
        """Write the label map or mask of an image, and return its name."""
        name = image.replace("images", "labels" if kind == "labels" else "masks")
        data = labels() if data is None else data
        nifti(self.root / name, data, **header)
        return name

    def points(self, image, text):
        """Write the key points of an image, and return the name of the file."""
        name = image.replace("images", "keypoints").replace(".nii.gz", ".csv")
        (self.root / name).parent.mkdir(exist_ok=True)
        (self.root / name).write_text(text)
        return name

    def expect(self, name, id, file):
        """Record that the bad input `name` must give the problem `id` of `file`."""
        self.expected.append(Expected(name, id, file))


def labels(*ids):
    """Return a label map with one cuboid per id."""
    data = np.zeros(SHAPE, np.int16)
    for k, id in enumerate(ids or (1, 2)):
        data[3 + 6 * k : 8 + 6 * k, 4:15, 4:15] = id
    return data


def make(root: Path) -> list[Expected]:
    """Write the dataset to `root / data` and return the expected problems."""
    bad = BadDataset(root / "data")
    for spoil in (_paths, _lists, _headers, _images, _annotations, _points, _channels):
        spoil(bad)
    document = {
        "name": "Bad",
        "pairings": "paired",
        "modality": {"0": "MR", "1": "MR", "2": "CT", "3": "CT", "4": "MR", "5": "NMRI?"},
        "labels": LABELS,
        "numTraining": len(bad.training) + 3,
        "training": bad.training,
        "registration_val": bad.pairs,
        "numRegistration_val": len(bad.pairs),
    }
    bad.expect("wrong count", "count", "dataset.json")
    bad.expect("unknown modality", "modality-unknown", "dataset.json")
    write_document(root / "data", document)
    return bad.expected


def _paths(bad):
    outside = bad.root.parent / "outside.nii.gz"
    nifti(outside)
    bad.image()
    (bad.root / "imagesTr" / "link.nii.gz").symlink_to(outside)
    written = {
        "absolute path": ("path-absolute", str(outside)),
        "path with ..": ("path-parent", "../outside.nii.gz"),
        "path with NUL": ("path-control", "imagesTr/a\0b.nii.gz"),
        "path that is not UTF-8": ("path-encoding", "imagesTr/a\udcff.nii.gz"),
        "path with a line break": ("path-control", "imagesTr/a\nb.nii.gz"),
        "backslash": ("path-backslash", "imagesTr\\a.nii.gz"),
        "drive": ("path-drive", "C:/data/a.nii.gz"),
        "network path": ("path-drive", "//host/a.nii.gz"),
        "environment variable": ("path-variable", "$HOME/a.nii.gz"),
        "Windows environment variable": ("path-variable", "%DATA%/a.nii.gz"),
        "home folder": ("path-variable", "~/a.nii.gz"),
        "number as a path": ("path-missing", 7),
        "overlong name": ("path-long", "a" * 3000),
        "link out of the dataset": ("path-link", "imagesTr/link.nii.gz"),
        "missing file": ("file-missing", "imagesTr/none_0000.nii.gz"),
        "folder as a file": ("file-missing", "imagesTr"),
    }
    for name, (id, text) in written.items():
        bad.training.append({"image": text})
        own = id in ("path-link", "file-missing")
        bad.expect(name, id, text if own else repr(text)[:80])
    empty = bad.root / "imagesTr" / "empty.nii.gz"
    empty.write_bytes(b"")
    bad.training.append({"image": "imagesTr/empty.nii.gz"})
    bad.expect("empty file", "file-empty", "imagesTr/empty.nii.gz")


def _lists(bad):
    first, second, third = (bad.image() for _ in range(3))
    bad.pairs += [{"fixed": first, "moving": second}] * 2
    bad.expect("pair listed twice", "pair-twice", "dataset.json")
    bad.expect("case in training and validation", "case-in-two-splits", "B_0002")
    bad.pairs.append({"fixed": third, "moving": third})
    bad.expect("fixed is moving", "pair-same", third)
    bad.pairs.append({"fixed": first})
    bad.expect("pair without a moving image", "pair-missing", "dataset.json")
    bad.training += [{"picture": first}, 5]
    bad.expect("entry of unknown form", "entry", "dataset.json")
    bad.training.append({"image": f"./{first}"})
    bad.expect("entry listed twice", "entry-twice", "dataset.json")
    lonely = bad.image()
    bad.training.remove({"image": "./" + lonely.replace("0000.nii", "0001.nii")})
    bad.expect("case without a slot", "pair-missing", lonely[9:15])
    again = bad.image()
    other = again.replace("imagesTr", "imagesTs")
    nifti(bad.root / other)
    bad.training.append({"image": other})
    bad.expect("two images with one id", "id-twice", again)
    twin = bad.image()
    copy = bad.image(case=bad.count, slot=6)
    (bad.root / copy).write_bytes((bad.root / twin).read_bytes())
    bad.expect("two identical files", "content-twice", copy)
    capital = bad.image()
    nifti(bad.root / capital.replace("B_", "b_"))
    bad.training.append({"image": capital.replace("B_", "b_")})
    bad.expect("names that differ in case", "name-case", capital)


def _headers(bad):
    far = MM.copy()
    far[:3, 3] = 30
    sheared = MM.copy()
    sheared[0, 1] = 0.5
    nothing = MM.copy()
    nothing[:, 0] = 0
    fields = {
        "no forms": ("forms-missing", {"sform_code": 0, "qform_code": 0}),
        "metres": ("unit", {"xyzt_units": 1}),
        "negative spacing": ("spacing-not-positive", {"pixdim": [1, -2, 2, 2, 0, 0, 0, 0]}),
        "zero spacing": ("spacing-not-positive", {"pixdim": [1, 0, 2, 2, 0, 0, 0, 0]}),
        "sform and qform that differ": ("forms-differ", {"qoffset_x": 40}),
        "spacing that contradicts the affine": (
            "spacing-differs",
            {"pixdim": [1, 2, 2, 3, 0, 0, 0, 0]},
        ),
        "broken qform": ("qform-broken", {"quatern_b": 2}),
        "affine with NaN": ("affine", {"srow_x": [np.nan, 0, 0, 0]}),
        "infinite scaling": ("scaling", {"scl_slope": np.inf}),
    }
    for name, (id, values) in fields.items():
        image = bad.image()
        set_header(bad.root / image, values)
        bad.expect(name, id, image)
    image = bad.image()
    raw = nib.Nifti1Image(np.ones(SHAPE, np.int16), None)
    raw.header.set_sform(sheared, 1)
    raw.header["pixdim"][1:4] = np.linalg.norm(sheared[:3, :3], axis=0)
    nib.save(nib.Nifti1Image(raw.dataobj, None, raw.header), bad.root / image)
    set_header(bad.root / image, {"sform_code": 1, "qform_code": 0, "srow_x": sheared[0]})
    set_header(bad.root / image, {"srow_y": sheared[1], "srow_z": sheared[2], "xyzt_units": 2})
    bad.expect("sheared affine", "sheared", image)
    for name, size, id in (
        ("voxels of 0.01 mm", 0.01, "spacing"),
        ("voxels of 30 mm", 30.0, "spacing"),
        ("field of 12 mm", 0.5, "field-of-view"),
    ):
        image = bad.image(affine=np.diag([size, size, size, 1]))
        bad.expect(name, id, image)
    image = bad.image(data=np.arange(4 * 4 * 200, dtype=np.int16).reshape(4, 4, 200))
    set_header(bad.root / image, {})
    nifti(bad.root / image, _ramp((20, 20, 200)), affine=np.diag([15.0, 15, 15, 1]))
    bad.expect("field of 3 m", "field-of-view", image)


def _images(bad):
    with_nan = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    with_nan[3, 4, 5] = np.nan
    with_inf = np.nan_to_num(with_nan)
    with_inf[1, 1, 1] = np.inf
    colour = np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    full = np.random.default_rng(2).integers(0, 255, SHAPE).astype(np.uint8)
    full[:8] = 255
    kinds = {
        "NaN": ("not-finite", with_nan),
        "Inf": ("not-finite", with_inf),
        "constant": ("constant", np.full(SHAPE, 7, np.int16)),
        "2-D": ("not-3d", _ramp((24, 22))),
        "one slice": ("not-3d", _ramp((24, 22, 1))),
        "4-D": ("several-volumes", _ramp((*SHAPE, 3))),
        "vector field": ("vector-field", _ramp((*SHAPE, 1, 3)).astype(np.float32)),
        "complex": ("voxels-complex", _ramp(SHAPE).astype(np.complex64)),
        "colour": ("voxels-colour", colour),
        "saturated": ("saturated", full),
    }
    for name, (id, data) in kinds.items():
        bad.expect(name, id, bad.image(data=data))
    image = bad.image()
    content = (bad.root / image).read_bytes()
    (bad.root / image).write_bytes(content[: len(content) // 2])
    bad.expect("truncated gzip", "truncated", image)
    plain = image.replace("_0000.nii.gz", "_0007.nii")
    nifti(bad.root / plain)
    content = (bad.root / plain).read_bytes()
    (bad.root / plain).write_bytes(content[: len(content) // 2])
    bad.training.append({"image": plain})
    bad.expect("truncated file", "truncated", plain)
    image = bad.image()
    plain = nifti(bad.root / "imagesTr" / "plain.nii")
    (bad.root / image).write_bytes(plain.read_bytes())
    bad.expect("suffix that contradicts the content", "name-gzip", image)
    image = bad.image()
    (bad.root / image).write_bytes(b"this is no image at all" * 40)
    bad.expect("text as an image", "name-gzip|unreadable", image)
    for suffix in ("pkl", "pt", "npy"):
        name = f"imagesTr/model.{suffix}"
        (bad.root / name).write_bytes(b"\x80\x04K\x01.")
        bad.training.append({"image": name})
        bad.expect(f"pickle as .{suffix}", "format", name)


def _annotations(bad):
    moved = MM.copy()
    moved[0, 3] = 9
    half = labels().astype(np.float32)
    half[5, 5, 5] = 0.5
    cases = {
        "labels of another shape": ("shape-differs", "labels", labels()[:-2], {}),
        "labels at another position": ("affine-differs", "labels", None, {"affine": moved}),
        "empty labels": ("labels-empty", "labels", np.zeros(SHAPE, np.uint8), {}),
        "labels without background": ("labels-full", "labels", np.ones(SHAPE, np.uint8), {}),
        "fractional labels": ("labels-not-whole", "labels", half, {}),
        "negative labels": ("labels-negative", "labels", labels(-1, 1), {}),
        "undeclared labels": ("labels-undeclared", "labels", labels(1, 9), {}),
        "mask of another shape": ("shape-differs", "mask", labels(1)[:, :-2], {}),
        "mask at another position": ("affine-differs", "mask", labels(1), {"affine": moved}),
        "empty mask": ("mask-empty", "mask", np.zeros(SHAPE, np.uint8), {}),
        "mask without background": ("mask-full", "mask", np.ones(SHAPE, np.uint8), {}),
        "fractional mask": ("labels-not-whole", "mask", half, {}),
        "mask of several structures": ("mask-labels", "mask", labels(1, 2), {}),
    }
    for name, (id, kind, data, header) in cases.items():
        image = bad.image()
        bad.expect(name, id, bad.beside(kind, image, data, **header))
    image = bad.image()
    scaled = bad.beside("labels", image)
    set_header(bad.root / scaled, {"scl_slope": 2.0, "scl_inter": 0.0})
    bad.expect("scaled labels", "labels-scaled", scaled)


def _points(bad):
    good = "3,4,5\n6,7,8\n"
    texts = {
        "points with NaN": ("not-finite", "1,2,3\nnan,2,3\n"),
        "points that are not numbers": ("points-not-numbers", "1,2,3\n1,two,3\n"),
        "points with two columns": ("points-columns", "1,2\n"),
        "points with a header": ("points-header", "x,y,z\n" + good),
        "points outside": ("points-outside", "3,4,5\n500,4,5\n"),
        "points in mm": ("points-space", "-4,-5,5\n-40,-35,30\n"),
        "no points": ("points-none", "# nothing\n"),
    }
    for name, (id, text) in texts.items():
        bad.expect(name, id, bad.points(bad.image(), text))
    fixed, moving = bad.image(), bad.image()
    bad.points(fixed, good)
    bad.pairs.append({"fixed": fixed, "moving": moving})
    bad.expect("points of different number", "points-count", bad.points(moving, good + "9,9,9\n"))


def _channels(bad):
    ct = [np.random.default_rng(k).integers(-1024, 1500, SHAPE).astype(np.int16) for k in range(4)]
    for case, data in enumerate(ct[:3], start=2):
        bad.image(slot=2, case=case, data=data)
    odd = bad.image(slot=2, case=5)
    bad.expect("mixed units", "units-mixed", odd)
    bad.expect("declared CT, not in HU", "modality-not-hounsfield", bad.image(slot=3, case=2))
    image = bad.image(slot=4, case=2, data=ct[3])
    bad.expect("declared MR, in HU", "modality-hounsfield", image)
    bad.image(slot=5, case=2)
    scaled = bad.image()
    set_header(bad.root / scaled, {"scl_slope": 3.0, "scl_inter": 1.0})
    bad.expect("different scaling", "scaling-differs", scaled)


def _ramp(shape):
    return np.arange(np.prod(shape)).reshape(shape).astype(np.int16)


def set_header(path, values):
    """Change header fields in place, including values that nibabel does not write."""
    import gzip

    content = bytearray(gzip.decompress(path.read_bytes()))
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in values.items():
        header[name] = value
    path.write_bytes(gzip.compress(bytes(header.binaryblock) + bytes(content[348:]), mtime=0))
