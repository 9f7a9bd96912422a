"""Training of the models: sources of pairs, dataset, objectives, step, checkpoint, log, export."""

from zoo.training.checkpoint import Checkpoint
from zoo.training.dataset import EndlessSampler, TrainingPairs, collate
from zoo.training.distributed import (
    data_parallel,
    join_processes,
    leave_processes,
    process_count,
    process_device,
    process_rank,
)
from zoo.training.export import BundleExport, PresetExport
from zoo.training.log import TrainingLog
from zoo.training.mcbo_search import SettingsSearch
from zoo.training.objectives import GradICONObjective, UniRegObjective
from zoo.training.preparation import PairPreparation
from zoo.training.source import TrainingSource
from zoo.training.step import (
    StepHandler,
    TrainingInferer,
    cosine_schedule,
    prepare_training,
    total_loss,
)
from zoo.training.unireg import task_source, unireg_objective

__all__ = [
    "BundleExport",
    "Checkpoint",
    "EndlessSampler",
    "GradICONObjective",
    "PairPreparation",
    "PresetExport",
    "SettingsSearch",
    "StepHandler",
    "TrainingInferer",
    "TrainingLog",
    "TrainingPairs",
    "TrainingSource",
    "UniRegObjective",
    "collate",
    "cosine_schedule",
    "data_parallel",
    "join_processes",
    "leave_processes",
    "prepare_training",
    "process_count",
    "process_device",
    "process_rank",
    "task_source",
    "total_loss",
    "unireg_objective",
]
