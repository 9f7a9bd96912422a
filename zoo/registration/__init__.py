"""Registration of one pair: intensities, initial affine alignment, working grid, inferers."""

from zoo.registration.gradicon import GradICONInferer
from zoo.registration.inferer import PairInferer, Prediction
from zoo.registration.intensity import GradICONIntensity, UniRegIntensity
from zoo.registration.mcbo import (
    MCBOInferer,
    mcbo_frame,
    read_preset,
    solver_changes,
    solver_mode,
    write_preset,
)
from zoo.registration.pair import register_pair
from zoo.registration.refinement import RefiningInferer
from zoo.registration.result import RegisteredPair
from zoo.registration.settings_check import SettingsCheck
from zoo.registration.unireg import UniRegInferer, lattice
from zoo.registration.weights import SelectedWeights
from zoo.registration.working_grid import AnatomicalFrame, IsotropicFrame, NativeFrame, ResizedFrame
from zoo.registration.working_pair import Image, WorkingPair

__all__ = [
    "AnatomicalFrame",
    "GradICONInferer",
    "GradICONIntensity",
    "Image",
    "IsotropicFrame",
    "MCBOInferer",
    "NativeFrame",
    "PairInferer",
    "Prediction",
    "RefiningInferer",
    "RegisteredPair",
    "ResizedFrame",
    "SelectedWeights",
    "SettingsCheck",
    "UniRegInferer",
    "UniRegIntensity",
    "WorkingPair",
    "lattice",
    "mcbo_frame",
    "read_preset",
    "register_pair",
    "solver_changes",
    "solver_mode",
    "write_preset",
]
