"""Registration of one pair: intensities, initial alignment, working grid, inferers, result."""

from zoo.registration.gradicon import GradICONInferer
from zoo.registration.inferer import PairInferer, Prediction
from zoo.registration.intensity import GradICONIntensity, UniRegIntensity
from zoo.registration.mcbo import MCBOInferer
from zoo.registration.mcbo_presets import read_preset, write_preset
from zoo.registration.pair import register_pair
from zoo.registration.refinement import RefiningInferer
from zoo.registration.result import RegisteredPair
from zoo.registration.unireg import UniRegInferer, lattice
from zoo.registration.weights import SelectedWeights
from zoo.registration.working_grid import AnatomicalFrame, IsotropicFrame, NativeFrame, ResizedFrame

__all__ = [
    "AnatomicalFrame",
    "GradICONInferer",
    "GradICONIntensity",
    "IsotropicFrame",
    "MCBOInferer",
    "NativeFrame",
    "PairInferer",
    "Prediction",
    "RefiningInferer",
    "RegisteredPair",
    "ResizedFrame",
    "SelectedWeights",
    "UniRegInferer",
    "UniRegIntensity",
    "lattice",
    "read_preset",
    "register_pair",
    "write_preset",
]
