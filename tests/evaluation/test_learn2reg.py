import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from support.learn2reg_cases import FIELDS, LABELS, five_fields, phantom, write_dataset
from support.report_cases import in_memory

from zoo import UserError
from zoo.datasets.pairs import load_pair
from zoo.evaluation import cases_of_table, evaluate_case, evaluation, learn2reg
from zoo.geometry import Transform
from zoo.io.learn2reg import read_learn2reg, write_learn2reg
from zoo.io.transforms import read_transform
from zoo.synthesis.phantom import make_pair

OFFICIAL = json.loads(Path(__file__).with_name("learn2reg_official.json").read_text())["fields"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The rows that `regzoo evaluate` writes for each of the five fields."""
    folder = tmp_path_factory.mktemp("learn2reg")
    table = write_dataset(folder)
    return {
        name: [evaluate_case(case) for case in cases_of_table(table, folder / name)]
        for name in FIELDS
    }


@pytest.mark.parametrize("name", FIELDS)
def test_figures_agree_with_the_official_evaluation(rows, name):
    for row, official in zip(rows[name], OFFICIAL[name]["cases"], strict=True):
        for figure, value in official.items():
            assert row["figures"][figure] == pytest.approx(value, abs=1e-6), figure
    summary = evaluation(rows[name])["summary"]
    for figure, value in OFFICIAL[name]["aggregates"].items():
        assert summary[figure]["mean"] == pytest.approx(value["mean"], abs=1e-6)
        assert summary[figure]["30"] == pytest.approx(value["30"], abs=1e-6)


@pytest.mark.slow
def test_the_five_fields_are_ordered_as_by_the_official_evaluation(rows):
    summaries = {name: evaluation(r)["summary"] for name, r in rows.items()}

    def order(figure):
        means = {name: summary[figure]["mean"] for name, summary in summaries.items()}
        return sorted(means, key=means.get)

    best_first = ["true", "mm", "zero", "reversed", "sign"]
    assert order("l2r_dice") == order("dice_after") == best_first[::-1]
    assert order("l2r_tre") == order("tre_mm_after") == best_first
    assert order("tre_mm_hardest30_after") == best_first
    assert order("similarity_after")[-1] == "true"


def test_the_displacement_equals_the_one_in_the_file(tmp_path):
    pair = make_pair(
        5,
        shape=(20, 24, 18),
        spacing=(2, 1.5, 3),
        axes="LPS",
        tilt_degrees=20,
        moving_shape=(26, 20, 22),
        moving_spacing=(1.5, 2, 2.5),
        moving_axes="SAR",
    )
    write_learn2reg(tmp_path / "d.npz", pair.truth, pair.fixed_grid, pair.moving_grid)
    result = learn2reg.displacement(pair.truth, pair.fixed_grid, pair.moving_grid)
    with np.load(tmp_path / "d.npz") as archive:
        assert np.abs(archive["arr_0"] - result).max() < 1e-4
    again = read_learn2reg(tmp_path / "d.npz", pair.fixed_grid, pair.moving_grid)
    once_more = learn2reg.displacement(again, pair.fixed_grid, pair.moving_grid)
    assert np.abs(once_more - result).max() < 1e-4


def test_landmarks_follow_the_displacement_on_different_oblique_grids():
    pair = make_pair(
        6,
        shape=(40, 44, 38),
        axes="PIR",
        tilt_degrees=-25,
        moving_axes="LAS",
        moving_shape=(44, 40, 42),
    )
    result = learn2reg.learn2reg_figures(in_memory(pair), pair.truth)
    assert result["l2r_tre"] < 0.05


def test_sdlogj_of_a_uniform_stretch_is_0_and_that_of_a_ramp_is_known():
    index = np.stack(np.meshgrid(*[np.arange(12.0)] * 3, indexing="ij"), axis=-1)
    assert learn2reg.sdlogj(0.3 * index) == pytest.approx(0)
    ramp = np.zeros((12, 12, 12, 3))
    ramp[..., 0] = 0.05 * index[..., 0] ** 2  # J = 1 + 0.1 x
    expected = np.log(1 + 0.1 * np.arange(2, 10) + 3).std()
    assert learn2reg.sdlogj(ramp) == pytest.approx(expected)


def test_labels_outside_the_moving_image_become_0():
    labels = np.full((6, 6, 6), 3, dtype=np.uint8)
    field = np.zeros((6, 6, 6, 3))
    field[..., 1] = 2.0
    warped = learn2reg.warped_labels(labels, field)
    assert (warped[:, :4] == 3).all()
    assert (warped[:, 4:] == 0).all()


def test_a_surface_has_the_same_area_inside_out_and_mirrored():
    areas = learn2reg.piece_areas()
    codes = np.arange(256)
    assert np.array_equal(areas, areas[255 - codes])
    mirrored = np.zeros(256, dtype=int)
    for bit, (x, y, z) in enumerate(learn2reg.CORNERS):
        mirrored |= ((codes >> bit) & 1) << learn2reg.CORNERS.index((1 - x, z, y))
    assert np.array_equal(areas, areas[mirrored])


def parts_of(code):
    """Return the sets of corners of a cube that are connected along its edges, as codes."""
    left, parts = {k for k in range(8) if code >> k & 1}, []
    while left:
        part = frontier = {left.pop()}
        while frontier:
            frontier = {k for k in left for f in frontier if (k ^ f).bit_count() == 1}
            part, left = part | frontier, left - frontier
        parts.append(sum(1 << k for k in part))
    return parts


def test_the_surfaces_around_separate_corners_add_up():
    """A corner is cut off by a triangle with sides of sqrt(1/2), an edge by a rectangle."""
    areas = learn2reg.piece_areas()
    assert learn2reg.CORNERS[1] == (0, 0, 1)  # the bits of an index are the coordinates
    assert areas[0b1] == pytest.approx(np.sqrt(3) / 8)
    assert areas[0b11] == pytest.approx(np.sqrt(0.5))
    assert areas[0b1111] == pytest.approx(1)
    small = [code for code in range(256) if code.bit_count() <= 4 and len(parts_of(code)) > 1]
    assert {len(parts_of(code)) for code in small} == {2, 3, 4}
    for code in small:
        assert areas[code] == pytest.approx(sum(areas[part] for part in parts_of(code))), code


def test_the_pieces_of_a_flat_surface_add_up_to_its_area():
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[3:9, 3:9, 3:9] = True
    places, areas = learn2reg.surface_pieces(mask)
    assert len(places) == 7**3 - 5**3
    faces, edges, corners = 6 * 25 * 1.0, 12 * 5 * np.sqrt(2) / 2, 8 * np.sqrt(3) / 8
    assert areas.sum() == pytest.approx(faces + edges + corners)


def test_a_label_that_an_image_lacks_is_not_counted():
    fixed = np.zeros((8, 8, 8), dtype=int)
    fixed[2:5, 2:5, 2:5] = 4
    nothing = np.zeros_like(fixed)
    assert np.isnan(learn2reg.dice(fixed, nothing, nothing, 4))
    assert np.isnan(learn2reg.hd95(fixed, nothing, nothing, 4))
    assert learn2reg.dice(fixed, nothing, fixed, 4) == 0


def test_a_field_with_nan_is_refused_though_the_official_evaluation_scores_it():
    pair = phantom(1)
    field = pair.truth.field.clone()
    field[:, 0, 0, 0] = float("inf")
    with pytest.raises(UserError, match="NaN or Inf"):
        learn2reg.learn2reg_figures(
            in_memory(pair), Transform(torch.eye(4), field, pair.truth.grid)
        )


def test_the_five_fields_have_the_errors_in_their_names(tmp_path):
    pair = phantom(1)
    fields = five_fields(pair)
    target = pair.moving_grid.to_index(pair.moving_points).numpy()
    start = pair.fixed_grid.to_index(pair.fixed_points).numpy()
    step = np.stack([map_coordinates(fields["true"][..., k], start.T) for k in range(3)], axis=1)
    assert np.abs(start + step - target).max() < 1e-3
    assert len(LABELS) == len(np.unique(pair.fixed_labels)) - 1
    write_dataset(tmp_path)
    case = cases_of_table(tmp_path / "pairs.csv", tmp_path / "sign")[0]
    loaded = load_pair(case.files)
    read = read_transform(case.field, loaded.fixed.grid, loaded.moving[0].grid)
    mirrored = 2 * pair.fixed_points - pair.moving_points
    assert torch.allclose(read.map_points(pair.fixed_points), mirrored, atol=0.1)


def test_a_field_of_half_voxels_is_rounded_as_in_the_file(tmp_path):
    """Half precision has many halves, which a conversion to mm and back rounds differently."""
    pair = make_pair(8, shape=(20, 18, 22), spacing=(1.3, 1.7, 2.1), axes="LPS", tilt_degrees=17)
    steps = torch.randint(-6, 7, (20, 18, 22, 3)) / 2
    path = tmp_path / "disp_0001_0000_0001_0001.npz"
    np.savez(path, steps.numpy().astype(np.float16))
    field = learn2reg.read_displacement(path, (20, 18, 22))
    assert np.array_equal(field, steps.numpy())
    loaded = in_memory(pair)
    read = read_transform(path, pair.fixed_grid, pair.moving_grid)
    converted = learn2reg.displacement(read, pair.fixed_grid, pair.moving_grid)
    labels = pair.moving_labels.numpy()
    exact = learn2reg.warped_labels(labels, field)
    assert (learn2reg.warped_labels(labels, converted) != exact).any()
    result = learn2reg.learn2reg_figures(loaded, read, field)
    scores = [
        learn2reg.dice(pair.fixed_labels.numpy(), exact, labels, label) for label in range(1, 13)
    ]
    assert result["l2r_dice"] == pytest.approx(np.nanmean(scores))
