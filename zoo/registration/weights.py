"""Selection of the weights that a bundle runs with, among those on this computer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from zoo.errors import UserError
from zoo.hub.weights import WeightsFile, find_weights, load_weights

SCRATCH = "scratch"


@dataclass(frozen=True)
class SelectedWeights:
    """The weights of `model` that a user selected; they are looked up when they are needed.

    `wanted` is None (the best weights on this computer), "official", "compact", or the path of a
    .safetensors file. Training also accepts "scratch", which leaves the network uninitialised.
    Weights in the folder `bundle` take precedence, because a downloaded bundle brings its own.
    """

    model: str
    wanted: str | None = None
    bundle: str | Path | None = None

    def find(self) -> WeightsFile:
        """Return the weights file; raise `UserError` with instructions if there is none."""
        return find_weights(self.model, self.wanted, self.bundle)

    def width(self, default: int) -> int:
        """Return the width of the network that the weights fit; `default` if there are none.

        A bundle can therefore be inspected without weights.
        """
        try:
            return self.find().width or default
        except UserError:
            return default

    def load_into(self, network: nn.Module) -> nn.Module:
        """Load the weights into `network` and switch it to evaluation mode.

        The state dict must match exactly. The grid that the weights were trained for, if any,
        becomes the network's `size`, and so does `recolour`: both belong to the weights and not to
        the config. "scratch" leaves the network unchanged.
        """
        if self.wanted == SCRATCH:
            return network
        file = self.find()
        try:
            network.load_state_dict(load_weights(file.path), strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"{file.path} does not fit the network of {self.model}: {reason}"
            ) from None
        if file.size is not None:
            network.size = file.size  # type: ignore[assignment]
        if file.recolour:
            network.recolour = True  # type: ignore[assignment]
        return network.eval()

    def record(self) -> dict[str, Any]:
        """Return what result.json reports: path, variant, sha256 and width of the weights."""
        file = self.find()
        return {
            "path": str(Path(file.path)),
            "variant": file.variant,
            "sha256": file.sha256,
            "width": file.width,
        }

    def origin(self) -> dict[str, str]:
        """Return what a fine-tuned bundle reports about the weights it started from.

        These are the variant, the file name and the sha256.
        """
        if self.wanted == SCRATCH:
            return {"variant": SCRATCH}
        file = self.find()
        return {"variant": file.variant, "file": file.path.name, "sha256": file.sha256}
