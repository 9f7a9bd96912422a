"""One stand-in network that knows the answer shows that every inferer brings it to the world."""

import pytest
import torch
from torch import nn

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.io.transforms import write_transform
from zoo.io.volume import Volume
from zoo.networks.unireg import Level
from zoo.registration.axis_order import reordered, restored
from zoo.registration.gradicon import GradICONInferer
from zoo.registration.inferer import PairInferer
from zoo.registration.intensity import GradICONIntensity, UniRegIntensity
from zoo.registration.unireg import UniRegInferer
from zoo.registration.working_grid import AnatomicalFrame, IsotropicFrame, NativeFrame, ResizedFrame
from zoo.registration.working_pair import Image
from zoo.solvers.affine import align_affine
from zoo.synthesis.phantom import make_pair


def world_volumes(made):
    """Return volumes that hold a linear function of their own world position."""

    def ramp(grid):
        voxels = torch.cartesian_prod(*[torch.arange(n).double() for n in grid.shape])
        world = grid.to_world(voxels)
        return Volume(
            (world @ torch.tensor([1.0, 20.0, 400.0]).double()).view(grid.shape), grid, ""
        )

    return Pair("p", ramp(made.fixed_grid), (ramp(made.moving_grid),))


class ShiftAlong(nn.Module):
    """A network that shifts by a fixed number of voxels along one of its axes."""

    def __init__(self, axis, voxels=2.0):
        super().__init__()
        self.axis, self.voxels = axis, voxels

    def forward(self, image):
        field = torch.zeros(len(image), 3, *image.shape[2:])
        field[:, self.axis] = self.voxels
        return field

    def levels(self, image):
        """What UniReg shows of its levels."""
        yield Level(1, self(image), [(torch.ones(1, 2, 2), torch.ones(1, 2))], torch.ones(1))


def phantom(axes="LPS"):
    return make_pair(1, shape=(20, 24, 16), spacing=(2, 1.5, 3), axes=axes, tilt_degrees=10)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("frame", [IsotropicFrame(), NativeFrame(), ResizedFrame((22, 18, 20))])
def test_a_shift_of_voxels_becomes_that_step_in_the_world(axis, frame):
    made = phantom()
    found = PairInferer(frame, affine="none", bar=False)(world_volumes(made), ShiftAlong(axis))
    work = frame(*images(made), world_volumes(made), None)
    expected = 2 * work.grid.linear[:, axis]
    points = made.fixed_grid.centre + torch.randn(20, 3, dtype=torch.float64)
    assert torch.allclose(found.transform.map_points(points) - points, expected.expand(20, 3))


def images(made):
    return Image(made.fixed, made.fixed_grid), [Image(made.moving, made.moving_grid)]


def test_gradicon_networks_see_the_axes_of_itk():
    """The network's first axis is the array's last."""
    made = phantom()
    inferer = GradICONInferer(ResizedFrame((22, 18, 20)), affine="none", bar=False, inverse=True)
    found = inferer(world_volumes(made), ShiftAlong(0))
    step = 2 * made.fixed_grid.resize((22, 18, 20)).linear[:, 2]
    centre = made.fixed_grid.centre[None]
    assert torch.allclose(found.transform.map_points(centre) - centre, step)
    assert torch.allclose(
        found.inverse.map_points(centre) - centre, step
    )  # both passes shift alike


class OnItsOwnLattice(nn.Module):
    """A network with a lattice of its own that shifts by a tenth of the view along an axis."""

    def __init__(self, axis, size=(8, 10, 9)):
        super().__init__()
        self.axis, self.size, self.images = axis, size, []

    def forward(self, image, shape):
        self.images.append(image)
        field = torch.zeros(len(image), 3, *shape)
        field[:, self.axis] = 0.1 * shape[self.axis]
        return field


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("axes", ["LPS", "SAR", "PIR"])
def test_a_network_with_a_lattice_of_its_own_sees_the_files_voxels_there(axes, axis):
    made = phantom(axes)
    pair, shape, network = world_volumes(made), (22, 18, 20), OnItsOwnLattice(axis)
    inferer = GradICONInferer(ResizedFrame(shape), affine="none", bar=False, inverse=True)
    found = inferer(pair, network)
    step = 0.1 * shape[2 - axis] * made.fixed_grid.resize(shape).linear[:, 2 - axis]
    centre = made.fixed_grid.centre[None]
    assert torch.allclose(found.transform.map_points(centre) - centre, step)

    forward, reverse = network.images
    assert torch.equal(reverse, forward.flip(1))
    assert forward.shape == (1, 2, *network.size)
    lattice = made.fixed_grid.resize(network.size[::-1])
    x, y, z = (torch.arange(n).double() for n in lattice.shape)
    expected = (
        lattice.to_world(torch.cartesian_prod(x, y, z)) @ torch.tensor([1.0, 20, 400]).double()
    )
    expected = expected.view(lattice.shape).permute(2, 1, 0)
    inner = (slice(2, -2),) * 3
    torch.testing.assert_close(forward[0, 1].double()[inner], expected[inner], atol=1.0, rtol=1e-3)


def test_refined_by_its_weights_or_masked_it_sees_the_working_grid(tmp_path):
    network = OnItsOwnLattice(0)
    frame = ResizedFrame((22, 18, 20))
    assert GradICONInferer(frame).network_shape(network) == (9, 10, 8)
    assert GradICONInferer(frame, refine=5).network_shape(network) == (9, 10, 8)
    assert GradICONInferer(frame, refine=5, refine_mode="weights").network_shape(network) is None
    assert GradICONInferer(frame, masking="both").network_shape(network) is None
    assert GradICONInferer(frame).network_shape(ShiftAlong(0)) is None


@pytest.mark.parametrize("axes", ["LPS", "SAR", "PIR"])
def test_unireg_sees_head_to_foot_first_whatever_the_axes(axes):
    made = make_pair(1, shape=(20, 24, 16), spacing=(2, 1.5, 3), axes=axes)
    inferer = UniRegInferer(
        AnatomicalFrame((8, 16, 24)), type="inter", region="abdomen", affine="none", bar=False
    )
    for axis, letters in enumerate(("SI", "AP", "RL")):
        found = inferer(world_volumes(made), ShiftAlong(axis))
        work = AnatomicalFrame((8, 16, 24))(*images(made), world_volumes(made), None)
        column = next(k for k, code in enumerate(work.grid.axis_codes) if code in letters)
        centre = made.fixed_grid.centre[None]
        step = found.transform.map_points(centre) - centre
        assert torch.allclose(step[0], 2 * work.grid.linear[:, column])
        assert work.grid.shape[column] == {"SI": 24, "AP": 16, "RL": 8}[letters]


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_restored_undoes_reordered_axes_and_components(order):
    field = torch.randn(1, 3, 4, 5, 6)
    inside = reordered(field, order)[:, list(order)]
    assert torch.equal(restored(inside, order), field)


def test_an_affine_start_comes_after_the_displacement():
    made = make_pair(2, shape=(36, 40, 32), spacing=(2, 2, 2))
    far = torch.eye(4, dtype=torch.float64)
    far[:3, 3] = torch.tensor([25.0, -14.0, 8.0])
    pair = Pair(
        "p",
        Volume(made.moving, made.moving_grid, "a"),
        (Volume(made.moving, made.moving_grid.moved(far), "b"),),
    )
    found = PairInferer(IsotropicFrame(), affine="rigid", bar=False)(pair, ShiftAlong(0, 0.0))
    assert (found.transform.map_points(made.moving_points) - made.moving_points - far[:3, 3]).norm(
        dim=1
    ).max() < 1
    assert found.notes["affine_start"]["kind"] != "none"


@pytest.mark.parametrize("name", ["own.mat", "own.tfm", "own.h5"])
@pytest.mark.parametrize("axes", ["RAS", "LPI", "PIR"])
def test_an_affine_start_of_ones_own_is_read_from_its_file_and_obeyed(tmp_path, name, axes):
    made = make_pair(2, shape=(36, 40, 32), axes=axes, spacing=(2, 2.5, 2))
    own = torch.eye(4, dtype=torch.float64)
    own[:3, :3] += 0.1 * torch.tensor([[0.0, 2, 0], [-2, 0, 0], [1, 0, 6]])
    own[:3, 3] = torch.tensor([25.0, -14.0, 8.0])
    write_transform(tmp_path / name, Transform(own), None)
    inferer = PairInferer(IsotropicFrame(), affine=str(tmp_path / name), bar=False)
    found = inferer(world_volumes(made), ShiftAlong(0, 0.0))
    points = made.fixed_points
    expected = points @ own[:3, :3].T + own[:3, 3]
    assert (found.transform.map_points(points) - expected).norm(dim=1).max() < 1e-3
    start = found.notes["affine_start"]
    assert start["kind"] == "given"
    assert name in start["reason"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("rigd", "is not a file and not one of auto"), ("field.nii.gz", "holds a deformation")],
)
def test_an_affine_start_that_is_none_is_refused(tmp_path, monkeypatch, wrong, said):
    monkeypatch.chdir(tmp_path)
    grid = phantom().fixed_grid
    field = Transform(torch.eye(4), torch.ones(3, *grid.shape), grid)
    write_transform("field.nii.gz", field, grid)
    with pytest.raises(UserError, match=said):
        PairInferer(NativeFrame(), affine=wrong)


def test_the_inverse_of_a_solver_is_computed_when_asked_for():
    made = phantom()
    inferer = PairInferer(NativeFrame(), affine="none", bar=False, inverse=True)
    found = inferer(world_volumes(made), ShiftAlong(1))
    points = made.fixed_grid.centre + torch.randn(10, 3, dtype=torch.float64)
    there = found.transform.map_points(points)
    assert (found.inverse.map_points(there) - points).norm(dim=1).max() < 0.05


def test_intensities_of_fixed_and_moving_are_mapped_apart():
    seen = {}

    class Look(ShiftAlong):
        def forward(self, image):
            seen["image"] = image
            return super().forward(image)

    made = phantom()
    inferer = PairInferer(
        NativeFrame(), affine="none", bar=False,
        intensity=torch.zeros_like, moving_intensity=torch.ones_like,
    )  # fmt: skip
    inferer(world_volumes(made), Look(0))
    assert seen["image"][0, 1].unique().tolist() == [0]
    assert seen["image"][0, 0].unique().tolist() == [1]


def test_a_constant_image_is_refused_by_its_file():
    made = phantom()
    pair = Pair(
        "p", Volume(torch.zeros(made.fixed_grid.shape), made.fixed_grid, "empty.nii.gz"),
        (Volume(made.moving, made.moving_grid, "b"),),
    )  # fmt: skip
    with pytest.raises(UserError, match=r"empty\.nii\.gz is constant"):
        PairInferer(NativeFrame(), affine="none", bar=False)(pair, ShiftAlong(0))


@pytest.mark.parametrize(
    "bad",
    [
        {"refine": -1}, {"refine_mode": "both"}, {"similarity": "ssd"}, {"masking": "all"},
        {"refinement": {"dice": 1}},
    ],
)  # fmt: skip
def test_unknown_ways_to_refine_are_refused(bad):
    with pytest.raises(UserError):
        GradICONInferer(NativeFrame(), **bad)


@pytest.mark.parametrize(
    "inferer",
    [
        GradICONInferer(
            ResizedFrame((40, 40, 40)), refine=25, affine="none", bar=False,
            intensity=GradICONIntensity("mr"),
        ),
        UniRegInferer(
            AnatomicalFrame((40, 40, 40)), refine=25, affine="none", bar=False, inverse=True,
            intensity=UniRegIntensity("mr"), type="inter", region="brain",
        ),
    ],
    ids=["gradicon", "unireg"],
)  # fmt: skip
def test_refinement_of_a_poor_prediction_brings_points_closer(inferer):
    made = make_pair(5, shape=(40, 40, 40), axes="LPS", spacing=(2.2, 2, 2.4))
    pair = Pair(
        "p",
        Volume(made.fixed, made.fixed_grid, "a"),
        (Volume(made.moving, made.moving_grid, "b"),),
    )
    found = inferer(pair, ShiftAlong(0, 0.0))
    before = (made.fixed_points - made.moving_points).norm(dim=1).mean()
    after = (found.transform.map_points(made.fixed_points) - made.moving_points).norm(dim=1).mean()
    assert after < 0.7 * before
    if found.inverse is not None:
        back = found.inverse.map_points(made.moving_points) - made.fixed_points
        assert back.norm(dim=1).mean() < 0.8 * before


def labelled_pair(**more):
    made = make_pair(5, shape=(40, 40, 40), axes="LPS", spacing=(2.2, 2, 2.4))
    fixed, moving = (
        {
            "image": Volume(getattr(made, name), getattr(made, f"{name}_grid"), name),
            "labels": Volume(getattr(made, f"{name}_labels"), getattr(made, f"{name}_grid"), name),
            "mask": Volume(
                getattr(made, f"{name}_labels") > 0, getattr(made, f"{name}_grid"), name
            ),
        }
        for name in ("fixed", "moving")
    )
    pieces = {f"{a}_{b}": v[b] for a, v in (("fixed", fixed), ("moving", moving)) for b in more}
    return Pair("p", fixed["image"], (moving["image"],), **pieces), made


@pytest.mark.parametrize("start", [None, "com"])
def test_labels_reach_the_refinement_on_the_grid_of_the_images(start):
    pair, made = labelled_pair(labels=True)
    inferer = GradICONInferer(
        ResizedFrame((40, 36, 44)), affine="none", refine=1, refinement={"dice_weight": 1.0}
    )
    matrix = None if start is None else align_affine(
        made.fixed, made.fixed_grid, made.moving, made.moving_grid, start
    )  # fmt: skip
    work = inferer.prepare(pair, matrix)
    assert work.labels.shape == work.image.shape
    for image, labels in zip(work.image[0], work.labels[0], strict=True):
        inside = labels > 0
        assert image[inside].mean() > 2 * image[~inside].mean()  # the body is bright


def test_a_dice_weight_needs_labels():
    pair, _ = labelled_pair()
    inferer = GradICONInferer(ResizedFrame((40, 36, 44)), refinement={"dice_weight": 1.0})
    with pytest.raises(UserError, match="needs --fixed-labels"):
        inferer.prepare(pair, None)


def test_mass_is_conserved_in_hounsfield_units_only():
    pair, _ = labelled_pair()
    inferer = GradICONInferer(ResizedFrame((40, 36, 44)), refinement={"mass": True})
    with pytest.raises(UserError, match="Hounsfield"):
        inferer.prepare(pair, None)


@pytest.mark.parametrize("masking", ["loss", "input", "both"])
def test_masks_count_where_they_are_asked_to(masking):
    pair, _ = labelled_pair(mask=True)
    work = GradICONInferer(ResizedFrame((40, 36, 44)), masking=masking).prepare(pair, None)
    plain = GradICONInferer(ResizedFrame((40, 36, 44))).prepare(pair, None)
    assert (work.masks is None) == (masking == "input")
    expected = plain.image if masking == "loss" else plain.image * plain.masks
    assert torch.equal(work.image, expected)
    assert 0.01 < plain.masks.mean() < 0.99
