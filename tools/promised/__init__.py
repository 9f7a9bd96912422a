"""The promises of the README and the tutorials, each a function that keeps it or says what broke.

| module | promises about |
|---|---|
| pairs | one registration, from the command, Python and MONAI |
| files | applying the transform, in regzoo and in SimpleITK |
| formats | DICOM, motion series, chains of transforms, points of 3D Slicer |
| options | effort, guidance, reports, dry runs, JSON, and the commands that tell and complete |
| app | the app in a browser, by its addresses |
| faults | spoiled images and wrong commands |
| trust | warnings, folding, robust intensities, printed seconds, and kills |
| studies | a dataset: check, plan, run, resume, evaluate, compare |
| training | fine-tuning, and the use of the new model |
| hub | weights and bundles, against a Hub on this computer |
"""

from promised.app import APP
from promised.faults import FAULTS
from promised.files import FILES, WITH_LANDMARKS
from promised.formats import FORMATS
from promised.hub import HUB
from promised.options import OPTIONS
from promised.pairs import OF_A_STATED_REGION, PAIRS
from promised.promise import ROOT, Broken, Outcome, Place, Promise, keep
from promised.studies import STUDIES
from promised.training import TRAINING_PROMISES
from promised.trust import TRUST

PROMISES: tuple[Promise, ...] = (
    *PAIRS,
    *OF_A_STATED_REGION,
    *FILES,
    *WITH_LANDMARKS,
    *FORMATS,
    *OPTIONS,
    *FAULTS,
    *TRUST,
    *STUDIES,
    *TRAINING_PROMISES,
    *HUB,
    *APP,
)
"""All promises, in the order of the pages."""

ON_A_REAL_PAIR: tuple[Promise, ...] = (*PAIRS, *FILES)
"""The promises that hold for every pair of images of one contrast."""

__all__ = ["ON_A_REAL_PAIR", "PROMISES", "ROOT", "Broken", "Outcome", "Place", "Promise", "keep"]
