"""What is compared. A method takes a pair and returns the displacement it found.

The displacement is float32 [X, Y, Z, 3] in RAS+ mm on the fixed grid, fixed point -> moving point.
To plug in another method, write such a function and add it to METHODS with the modules it needs
(they are imported before the clock starts). `shared_start` gives every method that brings no start
of its own the same one: nothing where both images lie on one grid, else centre of mass on centre.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import zoo
from bench.pairs import BenchPair, one_grid
from zoo.datasets.pairs import Pair
from zoo.geometry import Transform, warp
from zoo.io.transforms import read_transform, write_transform
from zoo.io.volume import Volume, read_volume
from zoo.registration.working_grid import IsotropicFrame, NativeFrame
from zoo.registration.working_pair import Image
from zoo.solvers.affine import align_affine
from zoo.solvers.mcbo import MCBO
from zoo.solvers.settings import Mode


@dataclass(frozen=True)
class Method:
    """A function, and the modules to import before it is timed."""

    run: Callable[[BenchPair], np.ndarray]
    modules: tuple[str, ...] = ()


def mcbo(
    pair: BenchPair,
    mode: Mode,
    kind: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Run this zoo's solver on the bundle's working grid; by default from the shared start."""
    fixed, moving = _images(pair)
    start = _start(fixed, moving, kind or shared_start(pair))
    frame = NativeFrame() if mode == "convexadam" else IsotropicFrame()
    images = [Image(volume.data.float(), volume.grid) for volume in (fixed, moving)]
    work = frame(images[0], images[1:], Pair(pair.name, fixed, (moving,)), start)
    return _dense(work.transform(MCBO(mode, changes=changes)(work.image)), fixed)


def model(
    pair: BenchPair, name: str, weights: str | None = "compact", **settings: object
) -> np.ndarray:
    """Run a model of the zoo as `zoo.register` does, from its affine start where one is needed."""
    settings = {"affine": "none" if one_grid(pair) else "affine", **settings}
    with tempfile.TemporaryDirectory() as folder:
        found = zoo.register(
            pair.fixed,
            pair.moving,
            out=folder,
            model=name,
            weights=weights,
            modality=pair.modality,
            anatomy=pair.anatomy,
            pairing=pair.pairing,
            threads=torch.get_num_threads(),
            settings=settings,
        )
        return _dense(found.transform, read_volume(pair.fixed))


def affine(pair: BenchPair, kind: str) -> np.ndarray:
    """Run this zoo's affine start alone."""
    fixed, moving = _images(pair)
    return _dense(Transform(_start(fixed, moving, kind)), fixed)


def convexadam(pair: BenchPair) -> np.ndarray:
    """Run ConvexAdam from PyPI with its defaults, from the shared start."""
    from convexAdam.convex_adam_MIND import convex_adam_pt

    fixed, moving = _images(pair)
    start = _start(fixed, moving, shared_start(pair))
    data = moving.data.float()
    moved = warp(data[None], moving.grid, fixed.grid, Transform(start), fill=float(data.min()))[0]
    voxels = convex_adam_pt(img_fixed=fixed.data.float(), img_moving=moved)
    found = torch.from_numpy(np.asarray(voxels)).permute(3, 0, 1, 2)
    return _dense(Transform.from_voxels(found, fixed.grid, start), fixed)


def ants_registration(pair: BenchPair, kind: str, affine: str | None = None) -> np.ndarray:
    """Run antspyx with the defaults of a type of transform, or from this zoo's affine start."""
    import ants

    fixed, moving = ants.image_read(str(pair.fixed)), ants.image_read(str(pair.moving))
    with tempfile.TemporaryDirectory() as folder:
        options = {}
        if affine is not None:
            path = Path(folder) / "start.mat"
            write_transform(path, Transform(_start(*_images(pair), affine)), None)
            options["initial_transform"] = [str(path)]
        found = ants.registration(
            fixed, moving, kind, outprefix=f"{folder}/out", random_seed=1, **options
        )
        whole = ants.apply_transforms(
            fixed, moving, found["fwdtransforms"], compose=f"{folder}/whole"
        )
        return _dense(read_transform(whole), read_volume(pair.fixed))


def elastix(pair: BenchPair, stages: tuple[str, ...]) -> np.ndarray:
    """Run itk-elastix with its default parameter maps."""
    import itk

    fixed, moving = (itk.imread(str(path), itk.F) for path in (pair.fixed, pair.moving))
    parameters = itk.ParameterObject.New()
    for stage in stages:
        parameters.AddParameterMap(parameters.GetDefaultParameterMap(stage))
    _, found = itk.elastix_registration_method(
        fixed, moving, parameter_object=parameters, log_to_console=False
    )
    lps = itk.array_from_image(itk.transformix_deformation_field(moving, found))
    return lps.transpose(2, 1, 0, 3) * np.array([-1, -1, 1], dtype=np.float32)


def simple_itk_affine(pair: BenchPair) -> np.ndarray:
    """Run SimpleITK: moments, then an affine map by Mattes mutual information at three levels."""
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
        found = sitk.CompositeTransform(method.Execute(fixed, moving)).GetBackTransform()
        plain = sitk.AffineTransform(3)
        plain.SetMatrix(found.Downcast().GetMatrix())
        plain.SetCenter(found.Downcast().GetCenter())
        plain.SetTranslation(found.Downcast().GetTranslation())
        path = Path(folder) / "affine.tfm"
        sitk.WriteTransform(plain, str(path))
        return _dense(read_transform(path), read_volume(pair.fixed))


def shared_start(pair: BenchPair) -> str:
    """Return the start that every method without its own gets."""
    return "none" if one_grid(pair) else "com"


def _images(pair: BenchPair) -> tuple[Volume, Volume]:
    return read_volume(pair.fixed), read_volume(pair.moving)


def _start(fixed: Volume, moving: Volume, kind: str) -> Tensor:
    found = align_affine(fixed.data.float(), fixed.grid, moving.data.float(), moving.grid, kind)
    return found.matrix


def _dense(transform: Transform, fixed: Volume) -> np.ndarray:
    field = transform.dense_on(fixed.grid).field
    return field.permute(1, 2, 3, 0).contiguous().numpy()


NETWORKS = ("unigradicon", "multigradicon", "unireg")

METHODS: dict[str, Method] = {
    **{name: Method(partial(model, name=name, refine=0), ("zoo.api",)) for name in NETWORKS},
    **{
        f"{name}-refined": Method(partial(model, name=name, refine=50), ("zoo.api",))
        for name in NETWORKS
    },
    "multigradicon-mind": Method(
        partial(model, name="multigradicon", refine=50, similarity="mind"), ("zoo.api",)
    ),
    "start": Method(lambda pair: affine(pair, shared_start(pair))),
    "affine": Method(partial(affine, kind="affine")),
    "affine-auto": Method(partial(affine, kind="auto")),
    "mcbo": Method(partial(mcbo, mode="accurate")),
    "mcbo-affine": Method(partial(mcbo, mode="accurate", kind="auto")),
    "mcbo-paper": Method(partial(mcbo, mode="paper")),
    "mcbo-convexadam": Method(partial(mcbo, mode="convexadam")),
    "convexAdam": Method(convexadam, ("convexAdam.convex_adam_MIND",)),
    "SyN": Method(partial(ants_registration, kind="SyN"), ("ants",)),
    "SyN-our-affine": Method(
        partial(ants_registration, kind="SyNOnly", affine="affine"), ("ants",)
    ),
    "elastix": Method(partial(elastix, stages=("rigid", "affine", "bspline")), ("itk",)),
    "ants-rigid": Method(partial(ants_registration, kind="Rigid"), ("ants",)),
    "ants-affine": Method(partial(ants_registration, kind="Affine"), ("ants",)),
    "elastix-affine": Method(partial(elastix, stages=("rigid", "affine")), ("itk",)),
    "simpleitk-affine": Method(simple_itk_affine, ("SimpleITK",)),
}
DEFAULT = ("mcbo-affine", "mcbo", "mcbo-paper", "mcbo-convexadam", "convexAdam", "SyN", "elastix")
REFERENCE = "convexAdam"
