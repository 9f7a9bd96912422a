"""A small training run: one network and two tasks that differ only in smoothness."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import identity_index, sample
from zoo.losses import BoxLNCC, gradient_penalty
from zoo.networks import UniReg
from zoo.networks.unireg_levels import image_correlation

pytestmark = pytest.mark.slow

SHAPE = (16, 16, 16)
LOOSE, STIFF = ("inter", "abdomen"), ("intra", "liver")


def noise(batch: int, channels: int, cells: int, generator: torch.Generator) -> Tensor:
    coarse = torch.randn(batch, channels, cells, cells, cells, generator=generator)
    return F.interpolate(coarse, size=SHAPE, mode="trilinear", align_corners=True)


def phantom_pairs(batch: int, generator: torch.Generator) -> Tensor:
    """Return blobs [B, 2, X, Y, Z] in [0, 1], of which the fixed one is the moving one, warped."""
    moving = torch.sigmoid(3 * noise(batch, 1, 6, generator))
    displacement = 1.2 * noise(batch, 3, 4, generator)
    return torch.cat([moving, sample(moving, identity_index(SHAPE) + displacement)], dim=1)


def train(weights: dict[tuple[str, str], float], steps: int = 110) -> UniReg:
    """Train on the conditions in turn, each with its own weight of the smoothness term."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    net, similarity = UniReg(channels=4), BoxLNCC(5)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    for step in range(steps):
        (type, region), weight = list(weights.items())[step % len(weights)]
        image = phantom_pairs(2, generator)
        flow = net(image, type, region)
        warped = sample(image[:, :1], identity_index(SHAPE) + flow)
        loss = similarity(warped, image[:, 1:]) + weight * gradient_penalty(flow)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1)
        optimiser.step()
    return net.eval()


@pytest.fixture(scope="module")
def trained() -> UniReg:
    return train({LOOSE: 0.01, STIFF: 10.0})


@pytest.fixture(scope="module")
def trained_the_other_way() -> UniReg:
    return train({LOOSE: 10.0, STIFF: 0.01})


@pytest.fixture(scope="module")
def unseen() -> Tensor:
    return phantom_pairs(6, torch.Generator().manual_seed(99))


@torch.no_grad()
def measure(net: UniReg, image: Tensor, type: str, region: object) -> tuple[Tensor, Tensor]:
    """Return roughness [B] and image correlation [B] of the registered pairs."""
    flow = net(image, type, region)
    return torch.stack([gradient_penalty(one[None]) for one in flow]), image_correlation(
        image, flow
    )


def test_the_condition_controls_the_smoothness_of_every_unseen_pair(trained, unseen):
    rough, close = measure(trained, unseen, *LOOSE)
    smooth, far = measure(trained, unseen, *STIFF)
    before = image_correlation(unseen, torch.zeros(len(unseen), 3, *SHAPE))
    assert (rough > 4 * smooth).all()
    assert (close > far + 0.005).all()
    assert (far > before + 0.005).all()


def test_the_smoothness_follows_the_training_and_not_the_name(trained_the_other_way, unseen):
    smooth, far = measure(trained_the_other_way, unseen, *LOOSE)
    rough, close = measure(trained_the_other_way, unseen, *STIFF)
    assert (rough > 4 * smooth).all()
    assert (close > far + 0.005).all()


def test_type_and_region_each_control_the_smoothness(trained, unseen):
    (loose_type, loose_region), (stiff_type, stiff_region) = LOOSE, STIFF
    rough, _ = measure(trained, unseen, *LOOSE)
    smooth, _ = measure(trained, unseen, *STIFF)
    for mixed in ((loose_type, stiff_region), (stiff_type, loose_region)):
        between, _ = measure(trained, unseen, *mixed)
        assert (between < rough / 1.5).all()
        assert (between > smooth * 1.5).all()


def test_more_of_the_stiff_region_gives_a_smoother_field(trained, unseen):
    mixtures = [{"abdomen": 1 - share, "liver": share} for share in (0, 0.25, 0.5, 0.75, 1)]
    roughness = torch.stack([measure(trained, unseen, "inter", m)[0] for m in mixtures])
    assert (roughness.diff(dim=0) < 0).all()


def test_every_repeated_pass_gains_at_least_the_threshold(trained, unseen):
    trained.variant = "iirpn"
    with torch.no_grad():
        levels = list(trained.levels(unseen, *STIFF))
    trained.variant = "rpn"
    start = image_correlation(unseen, torch.zeros(len(unseen), 3, *SHAPE))
    reached = [start, *(image_correlation(unseen, level.flow) for level in levels)]
    for before, after, level in zip(reached, reached[1:], levels, strict=False):
        assert (after - before >= 0.005 * level.passes - 1e-5).all()
    assert sum(level.passes for level in levels).min() >= 2
    assert reached[-1].mean() > measure(trained, unseen, *STIFF)[1].mean() + 0.01
