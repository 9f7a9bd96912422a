"""Methods of other packages, as functions of a pair.

Each returns the displacement that it found: float32 [X, Y, Z, 3] in RAS+ mm on the fixed grid,
from fixed points to moving points.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness.pairs import BenchPair
from benchmarks.harness.zoo_methods import (
    Kind,
    dense_field,
    initial_matrix,
    read_images,
    shared_start,
)
from zoo.geometry import Transform, warp
from zoo.io.transforms import read_transform, write_transform
from zoo.io.volume import read_volume


def convexadam(pair: BenchPair) -> np.ndarray:
    """Run convexAdam from PyPI with its defaults, from the shared initial alignment."""
    from convexAdam.convex_adam_MIND import convex_adam_pt

    fixed, moving = read_images(pair)
    start = initial_matrix(fixed, moving, shared_start(pair))
    data = moving.data.float()
    moved = warp(data[None], moving.grid, fixed.grid, Transform(start), fill=float(data.min()))[0]
    voxels = convex_adam_pt(img_fixed=fixed.data.float(), img_moving=moved)
    displacement = torch.from_numpy(np.asarray(voxels)).permute(3, 0, 1, 2)
    return dense_field(Transform.from_voxels(displacement, fixed.grid, start), fixed)


def ants_registration(pair: BenchPair, kind: str, affine: Kind | None = None) -> np.ndarray:
    """Run antspyx with the defaults of a transform type, or from our affine alignment."""
    import ants

    fixed, moving = ants.image_read(str(pair.fixed)), ants.image_read(str(pair.moving))
    with tempfile.TemporaryDirectory() as folder:
        options = {}
        if affine is not None:
            path = Path(folder) / "start.mat"
            write_transform(path, Transform(initial_matrix(*read_images(pair), affine)), None)
            options["initial_transform"] = [str(path)]
        result = ants.registration(
            fixed, moving, kind, outprefix=f"{folder}/out", random_seed=1, **options
        )
        composed = ants.apply_transforms(
            fixed, moving, result["fwdtransforms"], compose=f"{folder}/composed"
        )
        return dense_field(read_transform(composed), read_volume(pair.fixed))


def elastix(pair: BenchPair, stages: tuple[str, ...]) -> np.ndarray:
    """Run itk-elastix with its default parameter maps."""
    import itk

    fixed, moving = (itk.imread(str(path), itk.F) for path in (pair.fixed, pair.moving))
    parameters = itk.ParameterObject.New()
    for stage in stages:
        parameters.AddParameterMap(parameters.GetDefaultParameterMap(stage))
    _, result = itk.elastix_registration_method(
        fixed, moving, parameter_object=parameters, log_to_console=False
    )
    lps = itk.array_from_image(itk.transformix_deformation_field(moving, result))
    return lps.transpose(2, 1, 0, 3) * np.array([-1, -1, 1], dtype=np.float32)


def greedy(pair: BenchPair) -> np.ndarray:
    """Run picsl-greedy: its affine alignment from the centres of the images, then its deformation.

    The metric is the local correlation of its quick start. For two contrasts it is normalised
    mutual information, as its documentation advises ("registering T1-MRI to T2-MRI"): the local
    correlation is signed, so that inverted contrasts do not match.
    """
    from picsl_greedy import Greedy3D

    metric = "NCC 2x2x2" if pair.one_contrast else "NMI"
    images = f"-i {pair.fixed} {pair.moving} -m {metric}"
    common = f"-threads {torch.get_num_threads()} -V 0"
    run = Greedy3D().execute
    with tempfile.TemporaryDirectory() as folder:
        matrix, warp_file, composed = (
            f"{folder}/{name}" for name in ("affine.mat", "warp.nii.gz", "composed.nii.gz")
        )
        run(f"-a -dof 12 -ia-image-centers -n 100x50x10 {images} -o {matrix} -seed 1 {common}")
        run(f"-it {matrix} -n 100x60x30 {images} -o {warp_file} -wp 0 {common}")
        run(f"-rf {pair.fixed} -r {warp_file} {matrix} -rc {composed} -wp 0 {common}")
        return dense_field(read_transform(composed), read_volume(pair.fixed))


def simple_itk_affine(pair: BenchPair) -> np.ndarray:
    """Run SimpleITK: moments, then an affine map by Mattes mutual information on three levels."""
    import SimpleITK as sitk

    fixed, moving = (
        sitk.ReadImage(str(path), sitk.sitkFloat32) for path in (pair.fixed, pair.moving)
    )
    start = sitk.CenteredTransformInitializer(
        fixed,
        moving,
        sitk.AffineTransform(3),
        sitk.CenteredTransformInitializerFilter.MOMENTS,
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.05, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 200)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInitialTransform(start, inPlace=False)
    with tempfile.TemporaryDirectory() as folder:
        fitted = (
            sitk.CompositeTransform(method.Execute(fixed, moving)).GetBackTransform().Downcast()
        )
        plain = sitk.AffineTransform(3)
        plain.SetMatrix(fitted.GetMatrix())
        plain.SetCenter(fitted.GetCenter())
        plain.SetTranslation(fitted.GetTranslation())
        path = Path(folder) / "affine.tfm"
        sitk.WriteTransform(plain, str(path))
        return dense_field(read_transform(path), read_volume(pair.fixed))
