"""GradICON networks against an independent functional version written from the papers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from support.plain_gradicon import plain_add, plain_points, plain_read, plain_register, plain_unet

from zoo import UserError
from zoo.geometry.displacement_maps import (
    Composition,
    DisplacementMap,
    displacement_in_voxels,
    unit_grid,
)
from zoo.networks import GradICON
from zoo.networks.gradicon import Downsample, FunctionFromVectorField, TwoStep
from zoo.networks.unet import UNet, halved

SHAPE = (65, 71, 67)


def randomised(network, seed=0):
    """Draw all weights and batch statistics at random, so that the displacements are large."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor, scale, centre=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale + centre)

    for name, tensor in network.state_dict().items():
        if "batchNorms" in name and tensor.is_floating_point():
            positive = name.endswith(("weight", "var"))
            draw(tensor, 0.1, 1.0 if positive else 0.0)
        elif "lastConv.weight" in name:
            draw(tensor, 0.04)
        elif "lastConv.bias" in name:
            draw(tensor, 0.2)
    return network.eval()


@pytest.fixture(scope="module")
def compact():
    torch.manual_seed(1)
    return randomised(GradICON(width=4))


def pair(shape=SHAPE, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 2, *[n // 6 for n in shape], generator=generator)
    return F.interpolate(coarse, size=shape, mode="trilinear")


@pytest.mark.parametrize(("width", "shape"), [(4, SHAPE), (4, (66, 65, 70)), (16, (65, 68, 67))])
def test_network_agrees_with_the_functional_version(width, shape):
    network = randomised(GradICON(width=width), seed=width)
    image = pair(shape)
    with torch.no_grad():
        result = network(image)
        points = plain_register(network.state_dict(), image[:, :1], image[:, 1:])
    steps = torch.tensor(shape).flip(0) - 1
    expected = ((points - plain_points(shape)) * steps).flip(-1).movedim(-1, 1)
    assert expected.abs().max() > 2
    assert torch.allclose(result, expected, atol=1e-5 * max(shape))


@pytest.mark.parametrize("shape", [(33, 35, 34), (40, 33, 48)])
def test_evaluated_unet_equals_the_plain_one(shape):
    unet = randomised(UNet(width=4))
    a, b = pair(shape).split(1, dim=1)
    with torch.no_grad():
        assert torch.allclose(unet(a, b), plain_unet(unet.state_dict(), "", a, b), atol=2e-6)


def test_training_unet_normalises_by_the_batch():
    unet = randomised(UNet(width=4)).train()
    state = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    a, b = pair((33, 35, 34), batch=2).split(1, dim=1)
    with torch.no_grad():
        result, expected = unet(a, b), plain_unet(state, "", a, b, training=True)
    assert torch.allclose(result, expected, atol=2e-6)
    norm = unet.batchNorms[0]
    assert torch.allclose(norm.running_var, state["batchNorms.0.running_var"], atol=1e-6)


def test_gradients_equal_those_of_the_plain_unet():
    unet = randomised(UNet(width=4)).double()
    a, b = pair((17, 20, 19)).double().split(1, dim=1)
    a.requires_grad_()
    weights = dict(unet.named_parameters())
    toward = torch.randn(1, 3, 17, 20, 19, dtype=torch.float64)
    plain = plain_unet({**unet.state_dict(), **weights}, "", a, b)
    expected = torch.autograd.grad((plain * toward).sum(), [a, *weights.values()])
    result = torch.autograd.grad((unet(a, b) * toward).sum(), [a, *weights.values()])
    for name, x, y in zip(["image", *weights], result, expected, strict=True):
        assert torch.allclose(x, y, rtol=1e-9, atol=1e-9 * y.abs().max()), name


def test_gradients_reach_every_weight_through_the_network(compact):
    network = copy.deepcopy(compact)
    image = pair()
    field = network(image)
    with torch.no_grad():
        assert torch.allclose(field, network(image), atol=2e-4)
    field.pow(2).mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_map_is_a_function_of_points(compact):
    image = pair()
    with torch.no_grad():
        phi = compact.map(image[:, :1], image[:, 1:])
        everywhere = phi.on_grid(SHAPE)
        some = unit_grid(SHAPE, image)[:, :, 10:12, 5:9, 30:33]
        assert torch.allclose(phi(some), everywhere[:, :, 10:12, 5:9, 30:33], atol=1e-5)
        assert torch.allclose(displacement_in_voxels(everywhere), compact(image), atol=1e-6)


def test_map_on_a_finer_grid_interpolates():
    coarse = torch.randn(1, 3, 5, 6, 4) * 0.1
    shape = (11, 9, 13)
    expected = plain_add(plain_points(shape), plain_read(coarse, plain_points(shape)))
    result = DisplacementMap(coarse).on_grid(shape)
    assert torch.allclose(result, expected.flip(-1).movedim(-1, 1), atol=1e-6)


def test_composition_on_a_grid_equals_composition_of_points():
    outer, inner = (DisplacementMap(torch.randn(2, 3, *s) * 0.1) for s in [(5, 6, 7), (40, 9, 8)])
    with torch.no_grad():
        both = Composition(outer, inner)
        grid = unit_grid((40, 9, 8), outer.displacement).expand(2, 3, 40, 9, 8)
        assert torch.allclose(both.on_grid((40, 9, 8)), outer(inner(grid)), atol=2e-5)


def test_fresh_network_is_the_identity():
    with torch.no_grad():
        assert GradICON(width=4).eval()(pair()).abs().max() < 1e-4


def test_batch_is_registered_pair_by_pair(compact):
    image = pair(batch=2)
    with torch.no_grad():
        together = compact(image)
        assert torch.allclose(together[:1], compact(image[:1]), atol=1e-4)
        assert torch.allclose(together[1:], compact(image[1:]), atol=1e-4)


def test_both_directions_swap_the_pair(compact):
    image = pair()
    with torch.no_grad():
        forward, reverse = compact.both_directions(image)
        assert torch.equal(forward, compact(image))
        assert torch.equal(reverse, compact(image[:, [1, 0]]))


def test_bfloat16_stays_near_float32(compact):
    network = GradICON(width=4, precision="bfloat16").eval()
    network.load_state_dict(compact.state_dict())
    with torch.no_grad():
        exact, rounded = compact(pair()), network(pair())
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().mean() < 0.05


def test_threads_do_not_change_the_field(compact):
    image, threads = pair(), torch.get_num_threads()
    try:
        fields = []
        for n in (1, 2):
            torch.set_num_threads(n)
            with torch.no_grad():
                fields.append(compact(image))
    finally:
        torch.set_num_threads(threads)
    assert (fields[0] - fields[1]).abs().max() < 1e-4


def test_forward_has_no_side_effects(compact):
    before = {name: set(vars(module)) for name, module in compact.named_modules()}
    state = copy.deepcopy(compact.state_dict())
    image = pair()
    kept = image.clone()
    with torch.no_grad():
        compact(image)
    assert before == {name: set(vars(module)) for name, module in compact.named_modules()}
    assert all(torch.equal(v, compact.state_dict()[k]) for k, v in state.items())
    assert torch.equal(image, kept)


def test_training_mode_moves_the_batch_statistics(compact):
    network = copy.deepcopy(compact).train()
    before = network.netPsi.net.batchNorms[0].running_mean.clone()
    network(pair()).mean().backward()
    assert not torch.equal(before, network.netPsi.net.batchNorms[0].running_mean)


@pytest.mark.parametrize("shape", [(64, 70, 70), (70, 70, 64)])
def test_small_images_are_refused(compact, shape):
    with pytest.raises(UserError, match=r"at least 65 voxels.*64"):
        compact(torch.zeros(1, 2, *shape))


def test_wrong_number_of_images_is_refused(compact):
    with pytest.raises(UserError, match="one moving and one fixed"):
        compact(torch.zeros(1, 3, *SHAPE))


def test_unknown_precision_is_refused():
    with pytest.raises(UserError, match="'float8'"):
        GradICON(precision="float8")


def test_halved_is_average_pooling_with_a_ceiling():
    for shape in ((7, 6, 5), (8, 8, 8), (9, 3, 4)):
        x = torch.randn(2, 3, *shape)
        assert torch.allclose(halved(x), F.avg_pool3d(x, 2, ceil_mode=True), atol=1e-6)


def test_state_dict_has_the_published_names_and_shapes():
    ups = [(48, 16), (96, 32), (192, 64), (512, 128), (512, 256)]
    downs = [(16, 2), (32, 16), (64, 32), (256, 64), (512, 256)]
    unet = {"lastConv.weight": (3, 18, 3, 3, 3), "lastConv.bias": (3,)}
    for i in range(5):
        unet[f"downConvs.{i}.weight"] = (*downs[i], 3, 3, 3)
        unet[f"downConvs.{i}.bias"] = downs[i][:1]
        unet[f"upConvs.{i}.weight"] = (*ups[i], 4, 4, 4)
        unet[f"upConvs.{i}.bias"] = ups[i][1:]
        for name in ("weight", "bias", "running_mean", "running_var"):
            unet[f"batchNorms.{i}.{name}"] = ups[i][1:]
        unet[f"batchNorms.{i}.num_batches_tracked"] = ()
    prefixes = (
        "netPhi.netPhi.net.netPhi.net.net.",
        "netPhi.netPhi.net.netPsi.net.",
        "netPhi.netPsi.net.",
        "netPsi.net.",
    )
    expected = {prefix + name: shape for prefix in prefixes for name, shape in unet.items()}
    with torch.device("meta"):
        network = GradICON()
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == expected
    assert len(expected) == 188
    assert sum(p.numel() for p in network.parameters()) == 70_680_916


def test_modules_compose_as_in_the_paper():
    class Constant(torch.nn.Module):
        def __init__(self, shift):
            super().__init__()
            self.shift = torch.tensor(shift).view(1, 3, 1, 1, 1)

        def forward(self, moving, fixed):
            self.images = (moving, fixed)
            return self.shift.expand(1, 3, *fixed.shape[2:])

    first, second = Constant([0.1, 0.0, 0.0]), Constant([0.0, 0.0, -0.2])
    network = TwoStep(Downsample(FunctionFromVectorField(first)), FunctionFromVectorField(second))
    ramp = torch.linspace(0, 1, 11).view(1, 1, 11, 1, 1).expand(1, 1, 11, 8, 9)
    phi = network(ramp, ramp)
    assert first.images[0].shape[2:] == (6, 4, 5)
    assert torch.allclose(second.images[0][0, 0, :10], ramp[0, 0, 1:], atol=1e-6)
    point = torch.full((1, 3, 1, 1, 1), 0.5)
    assert torch.allclose(phi(point).flatten(), torch.tensor([0.6, 0.5, 0.3]))


def test_weights_of_one_size_run_on_every_pair_at_that_size(compact):
    sized = GradICON(width=4, size=(66, 68, 70)).eval()
    sized.load_state_dict(compact.state_dict())
    image = pair((99, 85, 105))
    small = F.adaptive_avg_pool3d(image, (66, 68, 70))
    with torch.no_grad():
        result = sized(image)
        small_result = compact(small)
    assert result.shape[2:] == image.shape[2:]
    # Corner voxels of both grids show the same corners of one field of view, so their displacements
    # agree as fractions of its size.
    view, view_small = (
        torch.tensor(x.shape[2:]).view(1, 3, 1, 1, 1) for x in (result, small_result)
    )
    corners = [(i, j, k) for i in (0, -1) for j in (0, -1) for k in (0, -1)]
    for i, j, k in corners:
        torch.testing.assert_close(
            (result / view)[:, :, i, j, k],
            (small_result / view_small)[:, :, i, j, k],
            atol=1e-5,
            rtol=1e-4,
        )


def test_a_pair_of_the_size_of_the_weights_is_not_resized(compact):
    sized = GradICON(width=4, size=SHAPE).eval()
    sized.load_state_dict(compact.state_dict())
    with torch.no_grad():
        assert torch.equal(sized(pair()), compact(pair()))
