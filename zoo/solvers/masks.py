"""Continuation of an image outside a mask, so that nothing outside influences a registration."""

import torch
from torch import Tensor

from zoo.errors import UserError

_STEP = 2  # spacing, in voxels, of the grid on which the nearest voxel is looked up


def fill_outside_mask(image: Tensor, mask: Tensor) -> Tensor:
    """Replace `image` [X, Y, Z] outside `mask` [X, Y, Z] (> 0.5) by its nearest value inside.

    An image without voxels outside its mask is returned as it is.
    """
    from scipy.ndimage import distance_transform_edt

    inside = mask > 0.5
    if inside.all():
        return image
    coarse = inside[::_STEP, ::_STEP, ::_STEP].cpu()
    if not coarse.any():
        raise UserError(
            f"the mask covers {int(inside.sum())} voxels of {mask.numel()}, too few for a "
            "registration; give a larger mask or none"
        )
    nearest = distance_transform_edt(~coarse.numpy(), return_distances=False, return_indices=True)
    x, y, z = torch.from_numpy(nearest).to(image.device).long() * _STEP
    filled = image[x, y, z]
    for axis in range(3):
        filled = filled.repeat_interleave(_STEP, axis).narrow(axis, 0, image.shape[axis])
    return torch.where(inside, image, filled)
