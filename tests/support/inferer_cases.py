"""Stand-in networks that predict a known displacement, and pairs with known coordinates."""

import torch
from torch import nn

from zoo.datasets.pairs import Pair
from zoo.geometry.sampling import identity_index
from zoo.io.volume import Volume
from zoo.networks.unireg import Level
from zoo.registration.mcbo import MCBOInferer, mcbo_frame
from zoo.registration.working_pair import Image
from zoo.synthesis.phantom import make_pair


class ShiftAlong(nn.Module):
    """A network that predicts a shift by a number of voxels along one of its axes."""

    def __init__(self, axis, voxels=2.0):
        super().__init__()
        self.axis, self.voxels = axis, voxels
        self.images = []

    def forward(self, image):
        self.images.append(image)
        field = torch.zeros(len(image), 3, *image.shape[2:])
        field[:, self.axis] = self.voxels
        return field

    def levels(self, image):
        """Return one level, as UniReg returns several."""
        yield Level(1, self(image), [(torch.ones(1, 2, 2), torch.ones(1, 2))], torch.ones(1))


def small_phantom(axes="LPS"):
    return make_pair(1, shape=(20, 24, 16), spacing=(2, 1.5, 3), axes=axes, tilt_degrees=10)


def on_working_grid(phantom):
    """Return a phantom pair on MCBO's working grid, and its true displacement in voxels there."""
    pair = Pair(
        "p",
        Volume(phantom.fixed, phantom.fixed_grid, "fixed"),
        (Volume(phantom.moving, phantom.moving_grid, "moving"),),
    )
    work = MCBOInferer(mcbo_frame("accurate"), affine="none", bar=False).prepare(pair, None)
    index = identity_index(work.grid.shape)[0].flatten(1).T.double()
    points = phantom.truth.map_points(work.grid.to_world(index))
    to_index = torch.linalg.inv(work.affine @ work.grid.affine)
    moved = points @ to_index[:3, :3].T + to_index[:3, 3] - index
    return work, moved.T.reshape(1, 3, *work.grid.shape).float()


def ramp(grid):
    """Return a linear function of the world position, [X, Y, Z]."""
    voxels = torch.cartesian_prod(*[torch.arange(n).double() for n in grid.shape])
    return (grid.to_world(voxels) @ torch.tensor([1.0, 20.0, 400.0]).double()).view(grid.shape)


def ramp_pair(phantom):
    """Return a pair on the grids of a phantom whose voxels encode their world position."""
    fixed, moving = phantom.fixed_grid, phantom.moving_grid
    return Pair("p", Volume(ramp(fixed), fixed, ""), (Volume(ramp(moving), moving, ""),))


def images_of(phantom):
    """Return the fixed image and the list of moving images of a phantom, as a frame takes them."""
    fixed = Image(phantom.fixed, phantom.fixed_grid)
    return fixed, [Image(phantom.moving, phantom.moving_grid)]


def brain_pair(*more):
    """Return a pair and its phantom; `more` are "labels" or "mask"."""
    phantom = make_pair(5, shape=(40, 40, 40), axes="LPS", spacing=(2.2, 2, 2.4))

    def volume(side, kind):
        grid = getattr(phantom, f"{side}_grid")
        labels = getattr(phantom, f"{side}_labels")
        data = {"image": getattr(phantom, side), "labels": labels, "mask": labels > 0}[kind]
        return Volume(data, grid, side)

    others = {f"{side}_{kind}": volume(side, kind) for side in ("fixed", "moving") for kind in more}
    pair = Pair("p", volume("fixed", "image"), (volume("moving", "image"),), **others)
    return pair, phantom
