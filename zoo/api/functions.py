"""The functions that take options of their own: one pair, a cohort, templates and atlases."""

from __future__ import annotations

import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from zoo.api.inputs import as_files
from zoo.api.registration import Registration
from zoo.errors import UserError
from zoo.pipelines.cohort_options import CohortOptions
from zoo.pipelines.groups.options import PropagationOptions, TemplateOptions
from zoo.pipelines.groups.propagate import propagate_labels
from zoo.pipelines.groups.registrations import GroupResult
from zoo.pipelines.groups.template import make_template
from zoo.pipelines.options import RegistrationOptions
from zoo.pipelines.register import register_files
from zoo.pipelines.run import CohortResult, run_cohort
from zoo.pipelines.signatures import takes
from zoo.registration.progress import in_notebook


@takes(RegistrationOptions)
def register(options: RegistrationOptions) -> Registration:
    """Register the moving image to the fixed image.

    An image, a label map or a mask is a path, a nibabel image, a pair (array [X, Y, Z], affine to
    RAS+ mm), a MONAI MetaTensor, a SimpleITK image or a `zoo.io.volume.Volume`. Nothing is printed;
    a notebook shows a progress bar.
    """
    folder = Path(mkdtemp(prefix="regzoo-") if options.out is None else options.out).absolute()
    moving = options.moving[0] if isinstance(options.moving, list) else options.moving
    registration = Registration(folder, (options.fixed, moving))
    if options.out is None:
        weakref.finalize(registration, shutil.rmtree, folder, ignore_errors=True)
    with TemporaryDirectory(prefix="regzoo-") as scratch:
        register_files(replace(as_files(options, Path(scratch)), out=folder), bar=in_notebook())
    if options.strict and registration.quality == "failed":
        raise UserError(f"the registration has failed: {' '.join(registration.warnings)}")
    return registration


@takes(CohortOptions)
def run(options: CohortOptions) -> CohortResult:
    """Register every pair of a dataset with the settings of its plan, and return the summary.

    Call it again with the same arguments to resume a run that was interrupted.
    """
    result = run_cohort(options)
    if options.strict and (failed := result.quality_failed):
        shown = ", ".join(failed[:5]) + (", ..." if len(failed) > 5 else "")
        raise UserError(
            f"the quality of {len(failed)} registration{'s' if len(failed) > 1 else ''} is failed "
            f"({shown}); the reasons are in {result.folder / 'summary.json'}"
        )
    return result


@takes(TemplateOptions)
def template(options: TemplateOptions) -> GroupResult:
    """Make a template, which has the mean shape and the mean appearance of a group of images.

    The folder of the result holds template.nii.gz, the transforms of all subjects, their labels by
    majority, and template.json, whose content the result has as `document`. Call it again with the
    same arguments to resume. A script that asks for several workers needs the guard
    `if __name__ == "__main__":`.
    """
    return make_template(options)


@takes(PropagationOptions)
def propagate(options: PropagationOptions) -> GroupResult:
    """Label images by several labelled atlases, each of which is registered to them.

    The folder of the result holds labels.nii.gz (locally weighted votes), labels_majority.nii.gz,
    confidence.nii.gz, and propagate.json, whose content the result has as `document`. Call it again
    with the same arguments to resume, or after atlases were added.
    """
    return propagate_labels(options)
