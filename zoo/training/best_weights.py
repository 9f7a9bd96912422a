"""The best weights of a training: one file that also records the validation that chose them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from zoo.hub.weights import read_weights_header
from zoo.training.checkpoint import write_weights
from zoo.training.tables import Row

BEST = "best.safetensors"
RECORD = "validation"
"""The key of the file's metadata that holds the validation, as JSON."""


@dataclass(frozen=True)
class BestValidation:
    """The best validation: the figure that decided (None: the last one counts), and all figures."""

    figure: str | None
    figures: Row

    @property
    def step(self) -> int:
        """The training step after which the validation ran."""
        return int(self.figures["step"] or 0)


def write_best(folder: Path, network: nn.Module, best: BestValidation) -> None:
    """Write the weights of `network` as the best ones, together with their validation."""
    write_weights(folder / BEST, network, {RECORD: json.dumps(asdict(best))})


def read_best(folder: Path) -> BestValidation | None:
    """Return the validation of the best weights in `folder`; None if no validation has run."""
    if not (folder / BEST).is_file():
        return None
    return BestValidation(**json.loads(read_weights_header(folder / BEST).metadata[RECORD]))
