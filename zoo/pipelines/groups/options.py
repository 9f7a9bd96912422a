"""The options of `regzoo template` and `regzoo propagate`, declared once for command and Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from os import PathLike
from typing import Any, Literal

from zoo.pipelines.options import parsed_settings
from zoo.pipelines.signatures import REQUIRED, Flag, about

File = str | PathLike[str]

_FILE = Flag(type=str | None)


_GIVEN_FILE = Flag(type=str)
_OUT = about(
    "The folder for the results, which is created if it does not exist.",
    Flag(type=str, default=REQUIRED),
)


def _paths(text: str | None) -> list[str] | None:
    """Return the paths in a text with commas."""
    return None if text is None else [part.strip() for part in text.split(",")]


@dataclass(frozen=True)
class RegistrationChoices:
    """How every image is registered, and by how many processes."""

    _: KW_ONLY
    model: str = field(
        default="auto",
        metadata=about(
            "The model that registers the images, or one of your own by its name or its folder. "
            "The default is the one that regzoo register would choose."
        ),
    )
    effort: Literal["fast", "normal", "best"] | None = field(
        default=None,
        metadata=about(
            "How much is computed per registration: fast, normal (the default) or best."
        ),
    )
    anatomy: str | None = field(
        default=None,
        metadata=about("What the images show: brain, lung, abdomen, liver, heart, knee, ..."),
    )
    modality: str | None = field(
        default=None, metadata=about("The modality of the images: ct, cbct, mr, us or pet.")
    )
    settings: Mapping[str, Any] | None = field(
        default=None,
        metadata=about(
            "Further settings of the model's bundle, such as {'spacing': 2.0}.",
            Flag(
                type=list[str] | None,
                name="set_",
                parse=parsed_settings,
                help="A setting of the model's bundle as KEY=VALUE; may be given several times.",
            ),
        ),
    )
    workers: int | str = field(
        default=1,
        metadata=about(
            "The number of worker processes on this computer, or of Slurm jobs. 1 needs no Dask; "
            "auto starts as many as the GPUs or the processors and the memory allow.",
            Flag(type=str, default="1"),
        ),
    )
    threads: int | None = field(
        default=None,
        metadata=about("The number of CPU threads of each worker. The default is an equal share."),
    )
    device: str | None = field(
        default=None,
        metadata=about("The device: cpu, cuda, cuda:1 or mps. The default is a GPU, if any."),
    )
    scheduler: str | None = field(
        default=None,
        metadata=about("The address of a running Dask scheduler, such as tcp://node1:8786."),
    )
    cluster: Literal["slurm"] | None = field(
        default=None, metadata=about("slurm submits the workers as jobs.")
    )
    cluster_config: File | None = field(
        default=None, metadata=about("The YAML file that describes the jobs.", _FILE)
    )


@dataclass(frozen=True)
class TemplateRequest:
    """What is made a template of, and how."""

    dataset: File = field(
        metadata=about(
            "A dataset, or a folder of images of one contrast. Of a dataset with several slots, "
            "the images of the fixed slot are used.",
            _GIVEN_FILE,
        ),
    )
    _: KW_ONLY
    out: File | None = field(default=None, metadata=_OUT)
    iterations: int = field(
        default=4,
        metadata=about("How often all images are registered to the template and averaged."),
    )
    spacing: float | None = field(
        default=None,
        metadata=about(
            "The voxel size of the template in mm. The default is the median of the images."
        ),
    )
    sharpen: bool = field(
        default=False,
        metadata=about("Sharpen each average (unsharp mask) before it is registered to."),
    )


@dataclass(frozen=True)
class TemplateOptions(RegistrationChoices, TemplateRequest):
    """The options of a template; those of `TemplateRequest` come first."""


@dataclass(frozen=True)
class PropagationRequest:
    """Which labels are propagated, and to what."""

    atlases: File = field(
        metadata=about(
            "The atlases: a dataset or a folder of images with label maps. Images without labels "
            "are not used.",
            _GIVEN_FILE,
        ),
    )
    target: File | Sequence[File] = field(
        metadata=about(
            "The image to label, or several. Each of several gets a folder in `out`.",
            Flag(
                type=str,
                help="The image to label, or several separated by commas. Each of several gets a "
                "folder in --out.",
                parse=_paths,
            ),
        ),
    )
    _: KW_ONLY
    out: File | None = field(default=None, metadata=_OUT)
    labels: File | Sequence[File] | None = field(
        default=None,
        metadata=about(
            "Label maps of the targets, in their order, to measure the Dice overlap with.",
            Flag(
                type=str | None,
                help="Label maps of the targets, in their order and separated by commas, to "
                "measure the Dice overlap with.",
                parse=_paths,
            ),
        ),
    )


@dataclass(frozen=True)
class PropagationOptions(RegistrationChoices, PropagationRequest):
    """The options of a propagation; those of `PropagationRequest` come first."""
