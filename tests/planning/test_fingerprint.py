import json
import os

import numpy as np
import pytest
import torch
from support.planning_data import nifti, write_document, write_learn2reg

from zoo.datasets.modality import (
    IntensityStatistics,
    canonical_modality,
    is_hounsfield,
    is_shifted,
    mr_sequence,
)
from zoo.datasets.pairs import load_pair, pair_files
from zoo.datasets.reading import read_dataset
from zoo.datasets.scan import check_content, content_digest
from zoo.errors import UserError
from zoo.evaluation.metrics import landmark_errors
from zoo.evaluation.metrics import measure as figures_of
from zoo.geometry import Transform
from zoo.io.volume import write_volume
from zoo.planning.alignment import measure_alignment
from zoo.planning.beliefs import infer_anatomy, infer_modality
from zoo.planning.fingerprint import (
    pair_fingerprint,
    read_fingerprint,
    take_fingerprint,
)
from zoo.synthesis.phantom import make_pair


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_learn2reg(
        folder, shape=(40, 44, 36), axes="LPS", tilt_degrees=12, moving_axes="SAR",
        moving_shape=(34, 38, 42), spacing=(2.0, 2.0, 2.5), moving_spacing=(2.4, 2.2, 2.0),
    )  # fmt: skip
    dataset = read_dataset(folder)
    return folder, dataset, take_fingerprint(dataset).document


def test_a_fingerprint_is_plain_json_and_the_same_every_time(taken, tmp_path):
    _, dataset, document = taken
    assert json.loads(json.dumps(document)) == document
    assert take_fingerprint(dataset).document == document
    path = tmp_path / "f.json"
    path.write_text(json.dumps(document))
    assert read_fingerprint(path) == document


def test_channels_say_what_the_headers_say(taken):
    _, _, document = taken
    fixed, moving = document["channels"]["0"], document["channels"]["1"]
    assert fixed["shape"]["p50"] == [40, 44, 36]
    assert fixed["field_mm"]["p100"] == [80, 88, 90]
    assert fixed["largest_anisotropy"] == 1.25
    assert fixed["orientations"] == {"LPS": 2}
    assert moving["orientations"] == {"SAR": 2}
    assert moving["intensity"]["hounsfield"] == 2
    assert fixed["intensity"]["hounsfield"] == 0


def test_labels_points_and_pairs_are_counted(taken):
    _, _, document = taken
    labels = document["annotations"]["labels"]
    assert (labels["files"], labels["decoded"]) == (4, 4)
    assert labels["presence"]["1"] == 1
    assert document["annotations"]["points"] == {
        "files": 4, "count": 4 * 77, "outside": 0, "space": "voxel",
    }  # fmt: skip
    assert document["pairs"]["slots"] == {"0-1": 4}
    assert document["pairs"]["one_grid"] == 0
    assert document["pairing"]["value"] == "intra"
    assert document["problems"] == [] or all(
        p["id"] == "case-in-two-splits" for p in document["problems"]
    )


def test_alignment_agrees_with_the_figures_of_the_identity(taken):
    _, dataset, _ = taken
    mapping = dataset.pairs("val")[0]
    found = measure_alignment(mapping)
    pair = load_pair(pair_files(**mapping))
    identity = Transform.identity()
    figures = figures_of(pair, identity).figures
    errors = landmark_errors(identity, pair.fixed_points, pair.moving_points)
    assert found.dice == pytest.approx(figures["dice_before"], abs=1e-3)
    expected = [float(errors.quantile(q)) for q in (0.5, 0.95, 1)]
    assert found.tre_mm == pytest.approx(expected, abs=1e-3)
    assert found.overlap == pytest.approx(figures["overlap_percent_before"] / 100, abs=0.02)


def contrast_figures(tmp_path, contrasts, largest_mm=0.5):
    made = make_pair(3, shape=(64, 64, 64), contrasts=contrasts, largest_mm=largest_mm)
    for name, data, grid in (
        ("f", made.fixed, made.fixed_grid),
        ("m", made.moving, made.moving_grid),
    ):
        write_volume(tmp_path / f"{name}.nii.gz", data, grid, torch.int16)
    names = ("fixed_labels", "moving_labels", "fixed_points", "moving_points", "points_space")
    files = {"fixed": str(tmp_path / "f.nii.gz"), "moving": [str(tmp_path / "m.nii.gz")]}
    return measure_alignment(files | dict.fromkeys(names))


def test_the_sign_of_the_correlation_separates_one_contrast_from_two(tmp_path):
    one = contrast_figures(tmp_path, ("t1", "t1"))
    two = contrast_figures(tmp_path, ("t1", "t2"))
    assert one.sign > 0.9
    assert two.sign < 0.75
    assert min(one.lncc2, two.lncc2) > 0.12


def test_the_digest_follows_content_names_and_times_but_not_the_clock(taken, tmp_path):
    folder, dataset, document = taken
    assert content_digest(dataset) == document["content"]
    check_content(folder, document["content"])
    image = folder / "imagesTr" / "Ph_0001_0000.nii.gz"
    state = image.stat()
    os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))
    with pytest.raises(UserError, match="has changed since its plan was made"):
        check_content(folder, document["content"])
    os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns))
    check_content(folder, document["content"])


def test_one_pair_has_a_fingerprint_too(tmp_path):
    made = make_pair(1, shape=(30, 28, 26), contrasts=("ct", "t1"))
    for name, data in (("f", made.fixed), ("m", made.moving)):
        write_volume(tmp_path / f"{name}.nii.gz", data, made.fixed_grid, torch.int16)
    found = pair_fingerprint(tmp_path / "f.nii.gz", tmp_path / "m.nii.gz")
    beliefs = [found["channels"][slot]["modality"] for slot in "01"]
    assert [b["value"] for b in beliefs] == ["ct", None]
    assert [b["confidence"] for b in beliefs] == ["certain", "unknown"]
    assert found["alignment"]["measured"] == 1


def test_an_unreadable_image_of_a_pair_is_named(tmp_path):
    nifti(tmp_path / "flat.nii.gz", np.full((20, 20, 20), 3, np.int16))
    (tmp_path / "no.nii.gz").write_bytes(b"nothing")
    for name in ("no", "none"):
        with pytest.raises(UserError, match=name):
            pair_fingerprint(tmp_path / f"{name}.nii.gz", tmp_path / "flat.nii.gz")


def values(low, high, middle=0.0, whole=1.0, top=None):
    return IntensityStatistics(low, high, (low, low, middle, top or high, top or high), whole)


@pytest.mark.parametrize(
    ("of", "found"),
    [
        (values(-1024, 3071), True),
        (values(-1000, 400, whole=0.6), True),
        (values(-1024, 400, whole=0.3), True),  # resampled: air keeps its value
        (values(-700, 400, whole=0.3), False),
        (values(-1500, 400, whole=0.3), False),
        (values(0, 4095), False),
        (values(-150, 250), False),
        (values(-1000, 60), False),
        (values(-32768, 3000), False),
    ],
)
def test_hounsfield_units_are_recognised_by_air_range_and_whole_numbers(of, found):
    assert is_hounsfield(of) is found


def test_a_shifted_ct_is_only_suspected():
    shifted = values(0, 4095, middle=20, top=1200)
    assert is_shifted(shifted)
    belief = infer_modality(None, [shifted])
    assert (belief.value, belief.confidence) == (None, "unknown")


@pytest.mark.parametrize("kind", ["t1", "t2", "pd"])
def test_no_mr_phantom_passes_for_ct_and_every_ct_does(kind):
    for seed in range(3):
        made = make_pair(seed, shape=(28, 26, 30), contrasts=("ct", kind))
        assert is_hounsfield(IntensityStatistics.of(made.fixed.round().numpy()))
        assert not is_hounsfield(IntensityStatistics.of(made.moving.round().numpy()))
        assert infer_modality(None, [IntensityStatistics.of(made.moving.numpy())]).value is None


def test_percentiles_of_a_sample_are_near_those_of_all():
    data = make_pair(1, shape=(60, 62, 64), contrasts=("t1", "t1")).fixed.numpy()
    exact = np.percentile(data, IntensityStatistics.PERCENTS)
    found = np.array(IntensityStatistics.of(data, sample=30_000).percentiles)
    assert np.abs(found - exact).max() < 0.01 * (exact[-1] - exact[0])


def test_a_declaration_against_the_values_is_a_conflict_and_stays_declared():
    ct = values(-1024, 3000)
    belief = infer_modality("MR", [ct])
    assert (belief.value, belief.confidence, belief.conflict) == ("mr", "declared", True)
    assert not infer_modality("CT", [ct]).conflict


def test_one_ct_among_mr_images_is_a_conflict():
    mr, ct = values(0, 900), values(-1024, 3000)
    assert infer_modality("MR", [mr] * 9 + [ct]).conflict
    assert infer_modality("CT", [ct] * 9 + [mr]).conflict
    assert not infer_modality("MR", [mr] * 9).conflict


def test_echo_times_in_headers_make_mr_likely():
    belief = infer_modality(None, [values(0, 900)], ["TE=4.6;Time=1", "TE=4.6"])
    assert (belief.value, belief.confidence) == ("mr", "likely")


@pytest.mark.parametrize(
    ("word", "name"),
    [("T1w", "mr"), ("FBCT", "ct"), ("CBCT", "cbct"), ("MR T2", "mr"), ("TRUS", "us"), ("x", None)],
)
def test_words_for_modalities(word, name):
    assert canonical_modality(word) == name


def test_the_contrast_is_the_declared_sequence():
    assert [mr_sequence(w) for w in ("T1w", "t1", "MR", "CT", None)] == [
        "t1",
        "t1",
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("document", "value", "confidence"),
    [
        ({"anatomy": "chest"}, "lung", "declared"),
        ({"name": "OASIS"}, "brain", "likely"),
        ({"labels": {"1": "left kidney", "2": "liver"}}, "abdomen", "likely"),
        ({"name": "study 7"}, None, "unknown"),
    ],
)
def test_anatomy_is_declared_or_suggested_by_names(tmp_path, document, value, confidence):
    pair = {}
    for k in range(2):
        pair[("fixed", "moving")[k]] = nifti(tmp_path / f"{k}.nii.gz").name
    write_document(tmp_path, {"name": "data", **document, "registration_val": [pair]})
    belief = infer_anatomy(read_dataset(tmp_path))
    assert (belief.value, belief.confidence) == (value, confidence)
    assert belief.evidence
