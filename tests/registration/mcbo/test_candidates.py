"""The candidates of MCBO: how they are made, and which of them the criterion keeps."""

from dataclasses import replace

import pytest
import torch
from support.inferer_cases import brain_pair, on_working_grid

from zoo.errors import UserError
from zoo.geometry.sampling import identity_index
from zoo.registration.mcbo import MCBOInferer, mcbo_frame, refined
from zoo.registration.mcbo.candidates import LEAST_SPREAD, HeldOutFeatures, choose, preferred
from zoo.solvers.fluid import contrast, refinement
from zoo.solvers.mcbo import MCBO
from zoo.synthesis.phantom import make_pair


@pytest.fixture(scope="module")
def oblique():
    """An oblique, flipped, anisotropic pair on its working grid, and its true displacement."""
    phantom = make_pair(
        3,
        shape=(40, 34, 28),
        spacing=(2, 2.4, 2.9),
        axes="LPS",
        tilt_degrees=15,
        moving_shape=(36, 40, 30),
        moving_axes="PIR",
    )
    return on_working_grid(phantom)


def wave(shape, voxels):
    """Return a smooth displacement [1, 3, X, Y, Z] of at most `voxels` along every axis."""
    x, y, z = (identity_index(shape)[0] / torch.tensor(shape).view(3, 1, 1, 1) * 9).unbind(0)
    return voxels * torch.stack([y.sin(), z.cos(), x.sin()])[None]


@pytest.mark.parametrize("voxels", [0.5, 3.0])
@pytest.mark.parametrize("spoiled_first", [False, True])
def test_the_better_of_two_is_kept_when_the_other_is_spoiled(oblique, voxels, spoiled_first):
    work, truth = oblique
    candidates = {"search": truth, "refined": truth + wave(work.grid.shape, voxels)}
    names = list(candidates)
    if spoiled_first:
        candidates = dict(zip(names, reversed(candidates.values()), strict=True))
    chosen = choose(candidates, work)
    assert torch.equal(chosen.displacement, truth)
    assert chosen.name == names[spoiled_first]
    assert chosen.criterion[chosen.name] < min(
        value for name, value in chosen.criterion.items() if name != chosen.name
    )
    assert chosen.record()["values"] == chosen.criterion


@pytest.mark.parametrize(
    ("search", "kept"), [(0.64, "search"), (0.66, "refined"), (1.0, "refined"), (2.0, "refined")]
)
def test_the_usual_candidate_is_kept_unless_another_is_clearly_better(search, kept):
    values = {"search": search, "refined": 1.0}
    assert preferred(values, "refined") == kept
    assert preferred(values) == ("search" if search <= 1 else "refined")  # of equal ones the first
    assert preferred({"search": search}, "refined") == "search"


def test_a_spoiled_usual_candidate_is_not_kept(oblique):
    work, truth = oblique
    candidates = {"search": truth, "refined": truth + wave(work.grid.shape, 3.0)}
    assert choose(candidates, work, usual="refined").name == "search"
    assert choose(dict(reversed(candidates.items())), work, usual="search").name == "search"


def test_the_residual_of_equal_images_is_zero_and_a_single_candidate_is_not_measured(oblique):
    work, truth = oblique
    same = replace(work, image=work.image[:, 1:].expand(-1, 2, -1, -1, -1))
    still = torch.zeros_like(truth)
    assert choose({"search": still, "refined": truth}, same).criterion["search"] < 1e-9
    assert choose({"search": truth}, work).criterion == {}


def test_the_criterion_is_the_residual_times_the_sd_of_log_j(oblique):
    work, truth = oblique
    features = HeldOutFeatures(work)
    shape = work.grid.shape
    x = identity_index(shape)[0, 0]
    stretched = torch.zeros_like(truth)
    stretched[0, 0] = 0.005 * x * x  # J = 1 + 0.01 x
    counted = features.counted([stretched])
    expected = (1 + 0.01 * x)[counted[0, 0]].log().std()
    assert features.spread(stretched, counted) == pytest.approx(float(expected), rel=0.02)
    for field, spread in ((stretched, float(expected)), (torch.zeros_like(truth), LEAST_SPREAD)):
        product = features.residual(field, counted) * max(spread, LEAST_SPREAD)
        assert features.criterion(field, counted) == pytest.approx(product, rel=0.05)


def test_voxels_count_where_every_candidate_points_to_data(oblique):
    work, truth = oblique
    masks = torch.ones_like(work.image)
    masks[:, 0, :6] = 0
    features = HeldOutFeatures(replace(work, masks=masks))
    away = truth.clone()
    away[:, :, :, :, -4:] = 1000
    counted = features.counted([truth, away])
    assert not counted[..., -4:].any()
    index = identity_index(work.grid.shape) + truth
    inside = index[:, :1] > 5.5
    assert not counted[~inside].any()
    assert counted[..., 8:-4].any()


@pytest.fixture(scope="module")
def runs():
    """The registrations of one pair alone and as candidates, and what the search alone finds."""
    pair = brain_pair()[0]
    settings = {
        "normal": {},
        "never": {"fluid": "never"},
        "refined": {"candidates": ["refined"]},
        "thorough": {"fluid": "thorough"},
        "best": {"fluid": "thorough", "candidates": ["search", "refined"]},
        "all": {"candidates": ["search", "refined", "network"]},
        "not refined": {"candidates": ["search", "refined", "network"], "fluid": "never"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "FEWEST_VOXELS", 24)
        patch.setattr(contrast, "LEAST_MEAN", -1.0)
        patch.setattr(contrast, "LEAST_LOWEST", -1.0)
        return {
            name: MCBOInferer(mcbo_frame("accurate", 3.0), affine="com", bar=False, **more)(
                pair, MCBO(changes={"adam_iterations": (20, 16)})
            )
            for name, more in settings.items()
        }


def test_candidates_are_the_individual_registrations(runs):
    assert runs["normal"].notes["fluid"]["refined"]
    fields = {name: run.transform.field for name, run in runs.items()}
    assert torch.equal(fields["refined"], fields["normal"])
    assert torch.equal(fields["not refined"], fields["never"])
    assert not torch.equal(fields["normal"], fields["never"])
    chosen = runs["all"].notes["candidates"]["chosen"]
    alone = {"search": "never", "refined": "normal"}
    for name, run in alone.items():
        assert torch.equal(fields["all"], fields[run]) == (chosen == name)


def test_a_thorough_refinement_takes_the_place_of_the_usual_one(runs):
    assert runs["thorough"].notes["fluid"]["thorough"]
    assert not runs["normal"].notes["fluid"]["thorough"]
    fields = {name: run.transform.field for name, run in runs.items()}
    assert not torch.equal(fields["thorough"], fields["normal"])
    kept = {"search": "never", "refined": "thorough"}[runs["best"].notes["candidates"]["chosen"]]
    assert torch.equal(fields["best"], fields[kept])


def test_ct_is_not_refined_thoroughly(oblique, monkeypatch):
    """More steps fit the noise of CT."""
    monkeypatch.setattr(refinement, "FEWEST_VOXELS", 16)
    monkeypatch.setattr(contrast, "LEAST_MEAN", -1.0)
    monkeypatch.setattr(contrast, "LEAST_LOWEST", -1.0)
    work, truth = oblique
    unit = (work.image - work.image.amin()) / (work.image.amax() - work.image.amin())
    ct = replace(work, image=(4000 * unit - 1000).round())
    for images, expected in ((work, True), (ct, False)):
        notes = refined(truth, images, lambda done, text: None, thorough=True)[1]
        assert notes["refined"]
        assert notes["thorough"] == expected


def test_the_notes_name_the_candidates_their_values_and_the_chosen_one(runs):
    notes = runs["all"].notes["candidates"]
    assert list(notes["values"]) == ["search", "refined", "network"]
    assert notes["chosen"] == preferred(notes["values"], "refined")
    assert runs["not refined"].notes["candidates"]["chosen"] == "search"
    assert "candidates" not in runs["normal"].notes


def test_an_unknown_candidate_is_refused():
    with pytest.raises(UserError, match=r"'refind' is not known \(did you mean refined\?\)"):
        MCBOInferer(mcbo_frame("accurate"), candidates=["refind"])


def test_the_working_grid_has_no_more_voxels_than_allowed():
    grid = brain_pair()[1].fixed_grid
    bounded = mcbo_frame("accurate", None, 8000).grid(grid)
    assert 6000 < bounded.voxels <= 8200 < grid.voxels
    assert mcbo_frame("accurate").grid(grid).voxels > 8200
