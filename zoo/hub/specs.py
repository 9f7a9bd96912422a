"""What the zoo knows about a model: the data classes behind `spec.yaml` in a bundle's folder.

Rules, memory budget, catalogue, model card and training read a `ModelSpec` and never ask for a
model by its name. docs/how-to/writing-a-bundle.md explains the keys of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

from zoo.hub.setting_rules import COMMON_RULES, SettingRule

if TYPE_CHECKING:
    from torch import nn

EFFORTS = ("fast", "normal", "best")
NORMAL = "normal"
"""The effort for which a model needs no settings of its own."""

_SHA256_DIGITS = 64


@dataclass(frozen=True)
class Architecture:
    """The network behind a model's weights.

    `name` is the one in the metadata of a weights file, `network` the dotted name of its class,
    `width_argument` the argument of the class that sets the number of channels, and
    `first_convolution` the tensor of the state dict whose first dimension is that number.
    """

    name: str
    network: str
    width_argument: str
    first_convolution: str

    def build(self, width: int) -> nn.Module:
        """Return the network with `width` channels, its weights not loaded."""
        network: nn.Module = resolve_name(self.network)(**{self.width_argument: width})
        return network


@dataclass(frozen=True)
class Upstream:
    """The authors' own file: its address and, once it has been measured, its sha256."""

    url: str
    sha256: str | None

    def __post_init__(self) -> None:
        _check_sha256(self.sha256)


@dataclass(frozen=True)
class Variant:
    """One set of weights of a model: the official ones or the compact ones.

    `sha256` and `size` (bytes) describe the safetensors file; both are None until somebody has
    measured them. `published` says whether the file is on the Hub under `revision`. `file` is its
    path inside the bundle, `width` the number of channels of its network. `contrasts` says which
    pairs the weights are for: "one" (both images of one contrast) or "any".
    """

    name: str
    revision: str
    published: bool
    file: str
    sha256: str | None
    size: int | None
    licence: str
    width: int
    upstream: Upstream | None
    figures: str
    contrasts: Literal["one", "any"] = "any"

    def __post_init__(self) -> None:
        _check_sha256(self.sha256)
        if self.contrasts not in ("one", "any"):
            raise ValueError(f"contrasts {self.contrasts!r} must be one or any")

    @property
    def verified(self) -> bool:
        """Whether the specification holds the sha256 of the file."""
        return self.sha256 is not None


@dataclass(frozen=True)
class SuitablePairs:
    """A kind of pair that a model suits.

    Models are tried in the order of `rank`, the lowest first. `trained` says whether the model saw
    such pairs in training, `because` why it suits them; only the first model needs a reason.
    """

    rank: int = 10
    trained: bool = False
    because: str = ""


@dataclass(frozen=True)
class WorkingGrid:
    """The grid that a model works on, for the estimate of its memory.

    `kind` is "size" (every image is resized to the setting `size`), "region" (a grid for each of
    UniReg's regions, or the setting `size`) or "spacing" (isotropic steps of the setting `spacing`
    in mm, by default those of `zoo.measures.isotropic_spacing`). A grid of steps has at most
    `most_voxels`; below `fewest_voxels` no budget makes it coarser.
    """

    kind: Literal["size", "region", "spacing"]
    fewest_voxels: int = 1
    most_voxels: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("size", "region", "spacing"):
            raise ValueError(f"kind {self.kind!r} must be size, region or spacing")


@dataclass(frozen=True)
class Condition:
    """The values of the settings `region` and `type` that a conditional model was trained with."""

    region: str
    type: Literal["inter", "intra"]


@dataclass(frozen=True)
class EffortRules:
    """The settings with which a model registers at an effort, and why they suit it."""

    because: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class PlanningRules:
    """How a plan chooses the settings of a model.

    `defaults` are the settings that no rule changes. The initial affine alignment is "auto" (tried
    for every pair) or "if-needed" (only where the images are not aligned roughly). With `crop` the
    model can be restricted to the field of view that both images share; with `modality_intensity`
    its intensities are scaled by the settings `fixed_modality` and `moving_modality`. `conditions`
    hold the condition for each anatomy, and are empty for a model that takes none.
    `effort` holds the settings of the efforts other than normal, by the name of the effort.
    `search_voxels` is how far a solver searches on either side, voxels. A `fallback` suits every
    pair and comes last in every preset. `pairs` are the kinds of pairs that the model suits, by
    their key ANATOMY/MODALITY-MODALITY/PAIRING.
    """

    working_grid: WorkingGrid
    defaults: Mapping[str, Any] = field(default_factory=dict)
    initial_affine: Literal["auto", "if-needed"] = "auto"
    crop: bool = False
    modality_intensity: bool = False
    several_moving: bool = False
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    effort: Mapping[str, EffortRules] = field(default_factory=dict)
    search_voxels: int | None = None
    fallback: bool = False
    pairs: Mapping[str, SuitablePairs] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.initial_affine not in ("auto", "if-needed"):
            raise ValueError(f"initial_affine {self.initial_affine!r} must be auto or if-needed")
        for name in self.effort:
            if name not in EFFORTS or name == NORMAL:
                raise ValueError(f"effort {name!r} must be fast or best")


@dataclass(frozen=True)
class MemoryStep:
    """A value of a setting with which a run needs less memory, and what it means in words."""

    setting: str
    value: Any
    meaning: str


@dataclass(frozen=True)
class MemoryRules:
    """How the memory of a run is found among the measurements, and what reduces it.

    `measured_as` and `factors` make the name of a measurement in memory.json. A factor is a
    setting, or `width`, `refine` (off, field or weights) or `precision`. `steps` reduce the memory,
    the mildest first.
    """

    measured_as: str
    factors: tuple[str, ...] = ()
    steps: tuple[MemoryStep, ...] = ()


@dataclass(frozen=True)
class ModelSpec:
    """The specification of a model: what it is, its weights, and how it is planned for.

    `folder` is its bundle. A model without `variants` has no weights and needs none; one with
    weights has an `architecture` and a repository on the Hub (`hub`). `settings` are the rules of
    its own settings for inference, and `training` those of further settings for training.
    """

    name: str
    folder: Path
    title: str
    summary: str
    licence: str
    planning: PlanningRules
    hub: str | None = None
    arxiv: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    anatomies: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    architecture: Architecture | None = None
    variants: Mapping[str, Variant] = field(default_factory=dict)
    memory: MemoryRules | None = None
    settings: Mapping[str, SettingRule] = field(default_factory=dict)
    training: Mapping[str, SettingRule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.variants and (self.architecture is None or self.hub is None):
            raise ValueError("a model with variants needs the keys architecture and hub")

    @property
    def learned(self) -> bool:
        """Whether the model has weights, and so was trained."""
        return bool(self.variants)

    def setting_rules(self, *, training: bool = False) -> dict[str, SettingRule]:
        """Return the rules of all settings from outside, of inference or of training."""
        rules = {**COMMON_RULES, **self.settings}
        return {**rules, **self.training} if training else rules


def _check_sha256(digest: str | None) -> None:
    if digest is not None and len(digest) != _SHA256_DIGITS:
        raise ValueError(f"{digest!r} is not a sha256")
