"""The UniReg network against a second, functional implementation from the paper's description."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from support.plain_unireg import REGION_IDS, TYPE_IDS, one_hot, second_iirpn, second_rpn

from zoo import UserError
from zoo.geometry.displacement_maps import resize_displacement
from zoo.networks import UniReg, unireg_blocks, unireg_levels

SHAPE = (16, 24, 32)


def random_network(seed=0, **options):
    """Return a network with random weights everywhere, so that every condition and level counts."""
    torch.manual_seed(seed)
    net = UniReg(**options).eval()
    for name, parameter in net.named_parameters():
        scale = 0.15 if "controller" in name else 0.08
        parameter.data.normal_(std=scale)
    return net


def smooth_pairs(batch, shape=SHAPE):
    coarse = torch.rand(batch, 2, *[n // 4 for n in shape])
    return F.interpolate(coarse, size=shape, mode="trilinear", align_corners=False)


def test_names_and_shapes_are_the_official_ones():
    expected = {}
    channels = {1: (1, 8), 2: (8, 16), 3: (16, 32), 4: (32, 32)}
    for k, (inputs, outputs) in channels.items():
        expected[f"encoder.block{k}.main.weight"] = (outputs, inputs, 3, 3, 3)
        expected[f"encoder.block{k}.main.bias"] = (outputs,)
    decoders = {4: (64, 32, 235), 3: (64, 32, 235), 2: (32, 32, 235), 1: (16, 16, 171)}
    for k, (inputs, width, numbers) in decoders.items():
        half = width // 2
        for name, inp, out in (
            ("Conv1.main", inputs, width),
            ("Conv2.main", width, width),
            ("Conv3.main", width, width),
            ("Conv4", width, half),
        ):
            expected[f"decoder{k}.{name}.weight"] = (out, inp, 3, 3, 3)
            expected[f"decoder{k}.{name}.bias"] = (out,)
        head = f"decoder{k}.dynamic_flow"
        expected[f"{head}.gap.0.weight"] = expected[f"{head}.gap.0.bias"] = (half,)
        expected[f"{head}.controller.weight"] = (numbers, half + 8, 1, 1, 1)
        expected[f"{head}.controller.bias"] = (numbers,)
    state = UniReg().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected
    assert len(state) == 56
    assert sum(tensor.numel() for tensor in state.values()) == 436_060
    assert all(tensor.is_contiguous() for tensor in state.values())


@pytest.mark.parametrize(("type", "region"), list(itertools.product(TYPE_IDS, REGION_IDS)))
def test_one_pass_agrees_with_the_second_implementation(type, region):
    net, image = random_network(), smooth_pairs(1)
    with torch.no_grad():
        flow = net(image, type, region)
    expected = second_rpn(net.state_dict(), image, one_hot([type], [region]))
    assert expected.std() > 0.05
    torch.testing.assert_close(flow, expected, atol=1e-5, rtol=1e-5)


def test_a_batch_with_three_conditions_agrees_with_the_second_implementation():
    net, image = random_network(), smooth_pairs(3)
    types, regions = ["inter", "intra", "inter"], ["brain", "liver", "chest"]
    with torch.no_grad():
        flow = net(image, types, regions)
    expected = second_rpn(net.state_dict(), image, one_hot(types, regions))
    torch.testing.assert_close(flow, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8, 8), (40, 8, 24)])
def test_other_sizes_agree_with_the_second_implementation(shape):
    net = random_network(channels=2)
    image = torch.rand(2, 2, *shape)
    with torch.no_grad():
        flow = net(image, "intra", "cardiac")
    expected = second_rpn(net.state_dict(), image, one_hot(["intra"] * 2, ["cardiac"] * 2))
    torch.testing.assert_close(flow, expected, atol=1e-5, rtol=1e-5)


def test_slabs_do_not_change_the_result(monkeypatch):
    net = random_network(channels=4, type="inter", region="head")
    image = smooth_pairs(1, (64, 24, 32))
    whole = net(image)
    monkeypatch.setattr(unireg_blocks, "SLAB_VOXELS", 24 * 32 * 17)
    with torch.no_grad():
        torch.testing.assert_close(net(image), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("min_gain", [-0.02, -0.002])
def test_repeated_passes_stop_independently_for_each_pair(monkeypatch, min_gain):
    # Random weights rarely gain, so the threshold is lowered until the pairs differ.
    monkeypatch.setattr(unireg_levels, "MIN_GAIN", min_gain)
    net, image = random_network(variant="iirpn", channels=4), smooth_pairs(3)
    regions = ["brain", "liver", "chest"]
    with torch.no_grad():
        levels = list(net.levels(image, "intra", regions))
    state = net.state_dict()
    kept = torch.stack([level.passes for level in levels], dim=1).tolist()
    for k, region in enumerate(regions):
        expected, counts, margin = second_iirpn(
            state, image[k : k + 1], one_hot(["intra"], [region]), min_gain
        )
        assert margin > 1e-5
        assert kept[k] == counts
        torch.testing.assert_close(levels[-1].flow[k], expected[0], atol=1e-4, rtol=1e-5)
    assert kept[0] != kept[1] or kept[1] != kept[2]


def test_a_level_is_repeated_at_most_ten_times(monkeypatch):
    monkeypatch.setattr(unireg_levels, "MIN_GAIN", -2.0)
    net = random_network(variant="iirpn", channels=2, type="inter", region="chest")
    with torch.no_grad():
        levels = list(net.levels(smooth_pairs(1, (16, 8, 8))))
    assert [int(level.passes) for level in levels] == [10, 10, 10, 10]


def test_a_pass_that_gains_nothing_is_dropped():
    net = random_network(variant="iirpn", channels=2, type="inter", region="chest")
    image = smooth_pairs(1)
    image[:, 0] = image[:, 1]
    with torch.no_grad():
        assert torch.count_nonzero(net(image)) == 0


def test_a_new_network_has_one_base_head_for_every_condition():
    net, image = UniReg(channels=2), smooth_pairs(2)
    with torch.no_grad():
        fields = [net(image, t, r) for t, r in itertools.product(TYPE_IDS, REGION_IDS)]
    assert all(torch.equal(fields[0], field) for field in fields)
    head = net.decoder1.dynamic_flow.controller
    assert torch.count_nonzero(head.weight) == 0
    first, second, last = head.bias[:16], head.bias[16:80], head.bias[80:104]
    for part, inputs in ((first, 2), (second, 8)):
        bound = (6 / (1 + 0.2**2) / inputs) ** 0.5
        assert bound / 2 < part.abs().max() <= bound
    assert 0 < last.std() < 3e-5
    assert torch.count_nonzero(head.bias[104:]) == 0


def test_frozen_conditions_keep_the_base_head_while_the_rest_learns():
    net, image = random_network(channels=2, type="inter", region="brain"), smooth_pairs(1)
    net.freeze_conditions()
    net(image).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert (parameter.grad is None) == name.endswith("controller.weight"), name
    net.freeze_conditions(False)
    net(image).square().mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize("variant", ["rpn", "iirpn"])
def test_gradients_are_those_of_finite_differences(variant, monkeypatch):
    monkeypatch.setattr(unireg_levels, "MIN_GAIN", -0.1)
    net = random_network(channels=2, variant=variant).double()
    image = smooth_pairs(2, (8, 16, 8)).double().requires_grad_()
    weight = net.decoder3.dynamic_flow.controller.weight
    probe, step = torch.randn_like(weight), 1e-6

    def loss():
        return (net(image, ["inter", "intra"], ["head", "liver"]) ** 2).mean()

    loss().backward()
    slope = float((weight.grad * probe).sum())
    with torch.no_grad():
        weight += step * probe
        high = loss()
        weight -= 2 * step * probe
        low = loss()
    assert float(high - low) / (2 * step) == pytest.approx(slope, rel=1e-4)
    assert torch.isfinite(image.grad).all()
    assert image.grad.abs().max() > 0


def test_the_generated_kernels_are_returned_and_depend_on_the_conditions():
    net, image = random_network(), smooth_pairs(2)
    with torch.no_grad():
        levels = list(net.levels(image, "inter", ["chest", "brain"]))
        other = list(net.levels(image, "inter", ["abdomen", "brain"]))
        flow = net(image, "inter", ["chest", "brain"])
    assert [level.step for level in levels] == [8, 4, 2, 1]
    assert [tuple(level.flow.shape[2:]) for level in levels] == [
        tuple(n // step for n in SHAPE) for step in (8, 4, 2, 1)
    ]
    torch.testing.assert_close(levels[-1].flow, flow)
    for level, width in zip(levels, (16, 16, 16, 8), strict=True):
        shapes = [(tuple(weight.shape), tuple(bias.shape)) for weight, bias in level.kernels]
        assert shapes == [((2, 8, width), (2, 8)), ((2, 8, 8), (2, 8)), ((2, 3, 8), (2, 3))]
    (weight, _), (changed, _) = levels[0].kernels[0], other[0].kernels[0]
    column = net.decoder4.dynamic_flow.controller.weight[:128, 16 + 2 : 16 + 4, 0, 0, 0]
    expected = (column[:, 1] - column[:, 0]).view(8, 16)
    torch.testing.assert_close(changed[0] - weight[0], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(changed[1], weight[1])


def test_kernels_of_a_mixture_are_the_weighted_mean_of_its_regions():
    net, image = random_network(), smooth_pairs(1)

    def kernel(region):
        with torch.no_grad():
            return next(net.levels(image, "inter", region)).kernels[1][0]

    expected = 0.25 * kernel("chest") + 0.75 * kernel("abdomen")
    torch.testing.assert_close(kernel({"chest": 1, "abdomen": 3}), expected, atol=1e-6, rtol=1e-5)
    mean = torch.stack([kernel(region) for region in REGION_IDS]).mean(0)
    torch.testing.assert_close(kernel("unknown"), mean, atol=1e-6, rtol=1e-5)


def test_conditions_of_the_constructor_are_the_defaults():
    net, image = random_network(type="intra", region="liver"), smooth_pairs(1)
    with torch.no_grad():
        assert torch.equal(net(image), net(image, "intra", "liver"))
        assert torch.equal(net(image, region="brain"), net(image, "intra", "brain"))
        assert not torch.equal(net(image), net(image, "inter"))


def test_weights_of_a_coarser_lattice_run_on_the_averaged_pair_and_their_flow_is_resampled():
    network = random_network()
    shifted = UniReg(type="intra", region="liver", size=(80, 96, 96))
    shifted.load_state_dict(network.state_dict())
    image = torch.rand(1, 2, 32, 48, 32)
    with torch.no_grad():
        result = shifted(image)
        coarse = network(F.avg_pool3d(image, 2), type="intra", region="liver")
    assert result.shape == (1, 3, 32, 48, 32)
    assert torch.allclose(resize_displacement(coarse, image.shape[2:]), result)


def test_a_flow_that_is_linear_in_space_stays_so_on_another_lattice():
    shape, finer = (8, 10, 6), (16, 15, 24)
    world = [(torch.arange(n) + 0.5) / n for n in shape]  # the unit cube, voxels as cells
    x, y, z = torch.meshgrid(*world, indexing="ij")
    displacement = torch.stack([0.1 * y, 0.2 * z - 0.1 * x, 0.3 * x])  # in unit cubes
    flow = displacement * torch.tensor(shape).view(3, 1, 1, 1)
    result = resize_displacement(flow[None], finer)[0] / torch.tensor(finer).view(3, 1, 1, 1)
    x, y, z = torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in finer], indexing="ij")
    wanted = torch.stack([0.1 * y, 0.2 * z - 0.1 * x, 0.3 * x])
    inner = (slice(None), slice(1, -1), slice(1, -1), slice(2, -2))  # no extrapolation
    assert torch.allclose(result[inner], wanted[inner], atol=1e-6)


def test_mixed_precision_keeps_coordinates_exact():
    net, image = random_network(type="intra", region="liver"), smooth_pairs(1)
    with torch.no_grad():
        expected = net(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            flow = net(image)
    assert flow.dtype == torch.float32
    assert (flow - expected).abs().mean() < 0.03 * expected.abs().mean()


def test_invalid_input_is_refused():
    net = UniReg(channels=2)
    image = torch.rand(1, 2, 8, 8, 8)
    with pytest.raises(UserError, match="needs the type"):
        net(image)
    with pytest.raises(UserError, match="needs the region"):
        net(image, "inter")
    with pytest.raises(UserError, match=r"\[20, 8, 8\] is not a multiple of 8.*\[16, 8, 8\]"):
        net(torch.rand(1, 2, 20, 8, 8), "inter", "chest")
    with pytest.raises(UserError, match=r"not \[1, 3, 8, 8, 8\]"):
        net(torch.rand(1, 3, 8, 8, 8), "inter", "chest")
    with pytest.raises(UserError, match="choose rpn or iirpn"):
        UniReg(variant="irpn")
    with pytest.raises(UserError, match="did you mean 'head'"):
        UniReg(region="heart")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("variant", ["rpn", "iirpn"])
def test_cuda_agrees_with_the_cpu(variant):
    net, image = random_network(variant=variant, type="intra", region="liver"), smooth_pairs(2)
    with torch.no_grad(), torch.backends.cudnn.flags(allow_tf32=False):
        expected = net(image)
        flow = net.cuda()(image.cuda()).cpu()
    torch.testing.assert_close(flow, expected, atol=1e-3, rtol=1e-3)
