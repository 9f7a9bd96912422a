"""The options of a registration, declared once for the command, the pipeline and the Python API.

The module is not split, because it is one dataclass with one field per option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from os import PathLike
from typing import Any, Literal

from zoo.errors import UserError
from zoo.pipelines.signatures import REQUIRED, Flag, about

Image = Any
"""A path or one of the images in memory that `zoo.register` takes; in the pipeline, a path."""

File = str | PathLike[str]

_FILE = Flag(type=str | None)
_REPORT = Literal["full", "light", "none", "true", "false"]
_SWITCH = {"true": "full", "false": "none"}


def parsed_settings(texts: Sequence[str] | None) -> Mapping[str, Any]:
    """Return the KEY=VALUE texts of --set as a mapping."""
    from zoo.runtime.settings import parse_settings

    return parse_settings(texts or [], ["affine"])


@dataclass(frozen=True)
class RegistrationOptions:
    """A request to register one pair. None leaves a setting to the plan or to the bundle."""

    fixed: Image = field(
        metadata=about("The fixed image, on whose grid the results are.", Flag(type=str))
    )
    moving: Image | Sequence[Image] = field(
        metadata=about(
            "The moving image, which is deformed; several images of one patient are a list.",
            Flag(
                type=str,
                help="The moving image, which is deformed; several images of one patient are "
                "separated by commas.",
            ),
        )
    )
    _: KW_ONLY
    out: File | None = field(
        default=None,
        metadata=about(
            "The folder for the results, which is created if it does not exist. Without it the "
            "results are in a temporary folder that exists as long as the returned object.",
            Flag(
                type=str,
                default=REQUIRED,
                help="The folder for the results, which is created if it does not exist.",
            ),
        ),
    )
    model: str = field(
        default="auto",
        metadata=about(
            "The model, such as mcbo, or one of your own by its name or its folder, or auto to let "
            "the plan choose it."
        ),
    )
    bundle: File | None = field(
        default=None,
        metadata=about(
            "The folder of a bundle that runs with its own settings only; no plan is made.",
            _FILE,
        ),
    )
    weights: File | None = field(
        default=None,
        metadata=about(
            "The weights: official, compact, or the path of a .safetensors file. The default is "
            "the best weights on this computer.",
            _FILE,
        ),
    )
    refine: int | None = field(
        default=None,
        metadata=about(
            "The number of refinement steps after the network's prediction; 0 for none."
        ),
    )
    refine_mode: Literal["field", "weights"] | None = field(
        default=None,
        metadata=about(
            "What is refined: field, the predicted displacement field (fast), or weights, all "
            "weights of the network (as published)."
        ),
    )
    similarity: Literal["lncc", "lncc2", "mind"] | None = field(
        default=None,
        metadata=about(
            "The similarity measure of the refinement: lncc, lncc2 or mind. lncc2 and mind compare "
            "images of different contrasts."
        ),
    )
    precision: Literal["float32", "bfloat16"] | None = field(
        default=None,
        metadata=about("The precision of the network: float32, or bfloat16, which is faster."),
    )
    modality: Sequence[str] | Mapping[Any, str] | None = field(
        default=None,
        metadata=about(
            "The modalities of the fixed and of the moving image, such as ('ct', 'mr') or "
            "{1: 'mr'}: ct, cbct, mr, us or pet.",
            Flag(
                type=dict[str, str] | None,
                help="The modality of the fixed image (--modality.0) and of the moving image "
                "(--modality.1): ct, cbct, mr, us or pet.",
            ),
        ),
    )
    anatomy: str | None = field(
        default=None,
        metadata=about(
            "What the images show: brain, lung, abdomen, liver, heart, head-neck, knee, ..."
        ),
    )
    pairing: Literal["inter", "intra"] | None = field(
        default=None,
        metadata=about("Whether the images show two patients (inter) or one patient (intra)."),
    )
    plan: File | None = field(
        default=None,
        metadata=about(
            "A plan that was written before, which is used instead of a new one.", _FILE
        ),
    )
    memory: str | None = field(
        default=None, metadata=about("The most memory that the run may take, such as 8GB.")
    )
    effort: Literal["fast", "normal", "best"] | None = field(
        default=None,
        metadata=about("How much is computed: fast, normal (the default) or best of candidates."),
    )
    accept_guess: bool = field(
        default=True,
        metadata=about(
            "Register with a model that suits any pair if a fact about the images is unknown. If "
            "false, the run stops and names the missing facts.",
            Flag(
                help="Register with a model that suits any pair if a fact about the images is "
                "unknown. With --accept-guess=false the command stops and names the missing facts."
            ),
        ),
    )
    affine: File | None = field(
        default=None,
        metadata=about(
            "The initial affine alignment: auto (if it is needed), none, com (centres of mass), "
            "rigid or affine; or the file of an affine transform from fixed to moving points, "
            "written by ITK, ANTs, SimpleITK, Slicer or regzoo align: .mat, .tfm, .txt or .h5.",
            _FILE,
        ),
    )
    allow_mirror: bool = field(
        default=False,
        metadata=about(
            "Mirror the moving image back if its header seems to be mirrored. Otherwise a mirrored "
            "header is only reported."
        ),
    )
    fixed_labels: Image | None = field(
        default=None,
        metadata=about(
            "A label map of the fixed image, which adds Dice and HD95 to the figures.", _FILE
        ),
    )
    moving_labels: Image | None = field(
        default=None,
        metadata=about("A label map of the moving image, which is warped as well.", _FILE),
    )
    fixed_mask: Image | None = field(
        default=None,
        metadata=about(
            "A mask of the fixed image, on its grid. Only voxels where it is not 0 are compared, "
            "by the initial affine alignment and by the registration; a constant background counts "
            "as well if the mask contains nearly all the rest. Without a mask of the moving image, "
            "all voxels of that image count.",
            _FILE,
        ),
    )
    moving_mask: Image | None = field(
        default=None,
        metadata=about(
            "A mask of the moving image, on its grid. Either mask may be given alone; a mask of "
            "ones changes nothing.",
            _FILE,
        ),
    )
    fixed_points: File | None = field(
        default=None,
        metadata=about(
            "Landmarks of the fixed image, for the landmark error in mm: a CSV with one per row, "
            "markups (.mrk.json) or .fcsv of 3D Slicer, or .vtk or .vtp.",
            _FILE,
        ),
    )
    moving_points: File | None = field(
        default=None,
        metadata=about(
            "The corresponding landmarks of the moving image, in the same order.", _FILE
        ),
    )
    points_space: Literal["ras", "lps", "voxel"] | None = field(
        default=None,
        metadata=about(
            "The coordinates of the landmarks: ras (mm, the default), lps (mm) or voxel. A space "
            "that the file records is used instead."
        ),
    )
    volume: int | None = field(
        default=None, metadata=about("The volume of a 4-D image, counted from 0.")
    )
    guide: Literal["points", "labels"] | None = field(
        default=None,
        metadata=about(
            "Let the landmarks (points) or the labels steer the registration. Every fifth is held "
            "out, and result.json reports the error of these. labels needs the model mcbo."
        ),
    )
    uncertainty: int | None = field(
        default=None,
        metadata=about(
            "Register the pair so many more times, at least 2, each time with a small known "
            "perturbation, and write the standard deviation of the displacement in mm as "
            "uncertainty.nii.gz."
        ),
    )
    inverse: bool = field(
        default=False, metadata=about("Also write the inverse transform, from moving to fixed.")
    )
    format: Literal["nifti", "h5", "both"] = field(
        default="nifti",
        metadata=about("The format of the transforms: nifti, h5 (ITK composite) or both."),
    )
    learn2reg: bool = field(
        default=False, metadata=about("Also write the displacement field in the Learn2Reg format.")
    )
    report: Literal["full", "light", "none"] | bool = field(
        default="none",
        metadata=about(
            "The report: full (with the interactive viewer), light (pictures only) or none.",
            Flag(type=_REPORT, default="full", parse=lambda t: _SWITCH.get(t, t)),
        ),
    )
    bids: bool = field(
        default=False,
        metadata=about(
            "Name the results as a BIDS derivative: `sub-01_from-T2w_to-T1w_mode-image_xfm` and so "
            "on, with a dataset_description.json. Both images need BIDS names."
        ),
    )
    strict: bool = field(
        default=False,
        metadata=about(
            "Raise `zoo.UserError` if the quality of the registration is failed.",
            Flag(
                help="Exit with code 3 if the quality of the registration is failed. The results "
                "are written all the same."
            ),
        ),
    )
    device: str | None = field(
        default=None,
        metadata=about(
            "The device: cpu, cuda, cuda:1 or mps. The default is a GPU if there is one."
        ),
    )
    threads: int | None = field(default=None, metadata=about("The number of CPU threads."))
    trust: bool = field(
        default=False,
        metadata=about(
            "Run your own bundle even if it is more than data. It can then run any code."
        ),
    )
    force: bool = field(
        default=False,
        metadata=about(
            "Register two images of different contrasts even with weights that are for pairs of "
            "one contrast."
        ),
    )
    settings: Mapping[str, Any] | None = field(
        default=None,
        metadata=about(
            "Further settings of the bundle, such as {'mode': 'paper'}.",
            Flag(
                type=list[str] | None,
                name="set_",
                parse=parsed_settings,
                help="A setting of the bundle as KEY=VALUE; may be given several times.",
            ),
        ),
    )

    def modality_by_slot(self) -> dict[str, str]:
        """Return the known modalities by slot: "0" is the fixed image, "1" the moving image."""
        return modality_by_slot(self.modality)

    def bundle_settings(self) -> dict[str, Any]:
        """Return the settings that replace those of the plan and of the bundle."""
        named = {
            name: getattr(self, name)
            for name in ("refine", "refine_mode", "similarity", "precision", "affine")
        }
        named["allow_mirror"] = self.allow_mirror or None  # the bundle's default is false
        settings = named | dict(self.settings or {})
        return {name: value for name, value in settings.items() if value is not None}

    def outputs(self) -> dict[str, Any]:
        """Return the settings that select which files are written."""
        return {name: getattr(self, name) for name in ("inverse", "format", "learn2reg", "report")}


def modality_by_slot(modality: Sequence[str] | Mapping[Any, str] | None) -> dict[str, str]:
    """Return modalities by slot, of a mapping or of a sequence that starts with slot 0."""
    if isinstance(modality, str):
        raise UserError(
            f"modality {modality!r} needs one value per slot, such as ({modality!r}, 'mr') or "
            f"{{1: {modality!r}}}"
        )
    if isinstance(modality, Mapping):
        return {str(slot): name for slot, name in modality.items()}
    return {str(slot): name for slot, name in enumerate(modality or [])}
