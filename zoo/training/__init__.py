"""Training: sources, dataset, augmentation, objectives, step, checkpoint, log, export."""

from zoo.training.checkpoint import Checkpoint
from zoo.training.dataset import Endless, TrainingPairs, collate
from zoo.training.distributed import join, leave, own_device, processes, rank, together
from zoo.training.export import write_bundle, write_mcbo_bundle
from zoo.training.log import TrainingLog
from zoo.training.mcbo_search import SettingsSearch
from zoo.training.objectives import GradICONObjective, UniRegObjective
from zoo.training.source import TrainingSource
from zoo.training.step import StepHandler, TrainingInferer, cosine, prepare_training, total_loss
from zoo.training.unireg import task_source, unireg_objective

__all__ = [
    "Checkpoint",
    "Endless",
    "GradICONObjective",
    "SettingsSearch",
    "StepHandler",
    "TrainingInferer",
    "TrainingLog",
    "TrainingPairs",
    "TrainingSource",
    "UniRegObjective",
    "collate",
    "cosine",
    "join",
    "leave",
    "own_device",
    "prepare_training",
    "processes",
    "rank",
    "task_source",
    "together",
    "total_loss",
    "unireg_objective",
    "write_bundle",
    "write_mcbo_bundle",
]
