"""Registration networks: plain modules whose state dicts are the published ones."""

from zoo.networks.conditions import REGION, TYPE, Condition
from zoo.networks.gradicon import GradICON
from zoo.networks.recolour import recoloured
from zoo.networks.unet import UNet
from zoo.networks.unireg import Level, UniReg
from zoo.networks.unireg_tasks import TASKS, Task

__all__ = [
    "REGION",
    "TASKS",
    "TYPE",
    "Condition",
    "GradICON",
    "Level",
    "Task",
    "UNet",
    "UniReg",
    "recoloured",
]
