"""Orientations for geometric tests, and conversion of volumes to SimpleITK."""

import numpy as np
import SimpleITK as sitk

ORIENTATIONS = {
    "RAS": {"axes": "RAS"},
    "LPS": {"axes": "LPS"},
    "LAS": {"axes": "LAS"},
    "permuted": {"axes": "SLA"},
    "oblique": {"axes": "LPS", "tilt_degrees": 25},
    "left-handed oblique": {"axes": "PIR", "tilt_degrees": -35},
}
"""By name: the orientation arguments of `placed_grid`."""


def simple_itk_image(data, grid):
    """Return a SimpleITK image of a tensor [X, Y, Z] or [3, X, Y, Z] (RAS mm vectors) on a grid."""
    flip = np.diag([-1.0, -1.0, 1.0])
    if data.ndim == 4:
        vectors = np.einsum("kj,jxyz->zyxk", flip, data.double().numpy())
        image = sitk.GetImageFromArray(np.ascontiguousarray(vectors), isVector=True)
    else:
        image = sitk.GetImageFromArray(np.ascontiguousarray(data.numpy().transpose(2, 1, 0)))
    spacing = np.array(grid.spacing)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((flip @ grid.linear.numpy() / spacing).flatten().tolist())
    image.SetOrigin((flip @ grid.affine[:3, 3].numpy()).tolist())
    return image
