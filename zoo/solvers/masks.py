"""An image whose part outside a mask is the continuation of what is inside."""

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from zoo.errors import UserError
from zoo.solvers.mind import box

_STEP = 2  # the nearest voxel is looked up on a grid as coarse as this, in voxels


def extend(image: Tensor, mask: Tensor) -> Tensor:
    """Replace `image` [X, Y, Z] outside `mask` [X, Y, Z] (> 0.5) by its nearest value inside.

    The mask loses its outermost voxels first, which often are a mixture with what lies outside.
    """
    inside = box((mask > 0.5).float(), 1, edge="replicate") > 0.9
    coarse = inside[::_STEP, ::_STEP, ::_STEP].cpu()
    if not coarse.any():
        raise UserError(
            f"the mask covers {int((mask > 0.5).sum())} voxels of {mask.numel()}, "
            "too few to register what is inside; give a larger mask or none"
        )
    nearest = distance_transform_edt(~coarse.numpy(), return_distances=False, return_indices=True)
    x, y, z = torch.from_numpy(nearest).to(image.device).long() * _STEP
    filled = image[x, y, z]
    for axis in range(3):
        filled = filled.repeat_interleave(_STEP, axis).narrow(axis, 0, image.shape[axis])
    return torch.where(inside, image, filled)
