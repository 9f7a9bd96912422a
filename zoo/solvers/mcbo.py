"""MCBO and ConvexAdam: registration of two images without learning, on an isotropic grid.

MCBO: Wang et al., "Unsupervised multimodal 3D medical image registration with multilevel
correlation balanced optimization" (Learn2Reg 2024). ConvexAdam: Siebert et al., "ConvexAdam:
self-configuring dual-optimisation-based 3D multitask medical image registration" (2024).

Displacements are in voxels of the images, pull-back: warped(i) = moving(i + d(i)), component k
along array axis k.
"""

from collections.abc import Callable, Mapping, Sequence
from math import lcm
from typing import Any, get_args

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.measures.robust import robust_values
from zoo.solvers.cells import pad_to_multiple
from zoo.solvers.fusion import Fusion
from zoo.solvers.masks import fill_outside_mask
from zoo.solvers.multilevel import MultilevelRegistration
from zoo.solvers.settings import PRESETS, Mode, settings_for_shape, with_changes


class MCBO(nn.Module):
    """Registers pairs of images; it is a module without parameters, so that a bundle can name it.

    `mode` chooses the preset, and `changes` replaces single fields of its `Settings`. `fusion` says
    how the fields of several moving images are combined into one. `rigid` reduces every level to a
    rigid motion. `memory` limits the size in bytes of the search costs that are kept at once.
    `progress` is called with the fraction done and the name of the current step.
    """

    def __init__(
        self,
        mode: Mode = "accurate",
        fusion: Fusion = "max_norm",
        rigid: bool = False,
        memory: int = 1 << 30,
        changes: Mapping[str, Any] | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> None:
        super().__init__()
        _check_choice("mode", mode, get_args(Mode))
        _check_choice("fusion", fusion, get_args(Fusion))
        self.mode: Mode = mode
        self.settings = with_changes(PRESETS[mode], changes or {})
        self.fusion: Fusion = fusion
        self.rigid = rigid
        self.memory = memory
        self.progress = progress

    @torch.no_grad()
    def forward(self, image: Tensor, masks: Tensor | None = None) -> Tensor:
        """Return the displacement [B, 3, X, Y, Z], in voxels, of `image` [B, 1 + M, X, Y, Z].

        The last channel is the fixed image. The M channels before it are the moving image or the
        several moving images of one patient, on the same grid. `masks`, of the shape of `image`,
        are 1 in the region of each image that counts. Values outside have no influence; outside the
        fixed mask the displacement is continued smoothly.
        """
        _check_images(image, masks)
        fields = [
            self._register(image[b].float(), None if masks is None else masks[b])
            for b in range(len(image))
        ]
        return torch.cat(fields)

    def _register(self, image: Tensor, masks: Tensor | None) -> Tensor:
        """Return the displacement [1, 3, X, Y, Z] of one set of images [1 + M, X, Y, Z]."""
        x, y, z = image.shape[1:]
        settings = settings_for_shape(self.settings, (x, y, z))
        image = torch.stack([robust_values(volume) for volume in image])
        if masks is not None and (masks > 0.5).all():
            masks = None
        if masks is not None:
            masks = (masks > 0.5).float()
            pairs = zip(image, masks, strict=True)
            image = torch.stack([fill_outside_mask(volume, mask) for volume, mask in pairs])
        if not settings.published:
            image = pad_to_multiple(image, lcm(*settings.adam_strides))
            masks = None if masks is None else pad_to_multiple(masks, lcm(*settings.adam_strides))
        registration = MultilevelRegistration(
            image,
            settings,
            fusion=self.fusion,
            rigid=self.rigid,
            memory=self.memory,
            masks=masks,
            progress=self.progress,
        )
        del image  # only the features are needed from here on
        return registration.run()[:, :, :x, :y, :z]


def _check_choice(option: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise UserError(f"{option} {value!r} is unknown; choose one of {', '.join(allowed)}")


def _check_images(image: Tensor, masks: Tensor | None) -> None:
    """Raise an error for images that cannot be registered."""
    if image.ndim != 5 or image.shape[1] < 2:
        raise UserError(
            f"the images have the shape {list(image.shape)}, but MCBO needs [B, 1 + M, X, Y, Z]: "
            "one or several moving images, then the fixed one"
        )
    if masks is not None and masks.shape != image.shape:
        raise UserError(
            f"the masks have the shape {list(masks.shape)} and the images {list(image.shape)}; "
            "give one mask for each image on its grid, with ones for an image that needs none"
        )
    for k in range(image.shape[1]):
        name = "the fixed image" if k == image.shape[1] - 1 else f"moving image {k + 1}"
        volume = image[:, k].flatten(1)
        if not torch.isfinite(volume).all():
            raise UserError(
                f"{name} contains NaN or infinity; replace these values with the value of the "
                "background"
            )
        low, high = volume.amin(1), volume.amax(1)
        if (low == high).any():
            raise UserError(
                f"{name} is constant ({float(low[low == high][0]):g} everywhere), so there is "
                "nothing to register; check that it is the right file"
            )
