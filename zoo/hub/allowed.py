"""What a config that did not come with the package may name: components, functions, attributes.

Lists of what is known to be harmless; everything else is refused. They hold what registration
bundles use. To allow more, add it here, after looking at what it can be made to do by its arguments
alone: open a file, fetch something, import by name, unpickle.
"""

from __future__ import annotations

import enum
import importlib
import inspect
from functools import cache
from typing import Any

# Packages whose own public classes may be components; in the first ones also functions.
WITH_FUNCTIONS = ("zoo.geometry", "zoo.networks", "zoo.losses", "zoo.solvers")
NAMESPACES = (
    *WITH_FUNCTIONS, "zoo.registration", "zoo.handlers", "zoo.training",
    "monai.engines", "monai.handlers", "monai.inferers", "monai.losses", "monai.metrics",
    "monai.networks.blocks", "monai.networks.layers", "monai.networks.nets", "monai.optimizers",
    "monai.transforms", "ignite.metrics", "torch.nn", "torch.optim",
)  # fmt: skip

# Single components and functions besides them. Those of the zoo that write give their files names
# of their own, none of which anything runs or reads as settings of its own.
SINGLE = (
    *(f"zoo.{name}" for name in (
        "datasets.DatasetPairs", "datasets.PairDataset", "datasets.only_item",
        "handlers.prepare_pair", "registration.lattice", "registration.mcbo_frame",
        "registration.solver_changes", "registration.solver_mode",
        "training.collate", "training.cosine_schedule", "training.data_parallel",
        "training.join_processes", "training.leave_processes", "training.prepare_training",
        "training.process_count", "training.process_device", "training.process_rank",
        "training.task_source", "training.total_loss", "training.unireg_objective",
    )),
    "zoo.hub.weights.find_weights", "zoo.hub.weights.load_weights",
    "monai.data.ArrayDataset", "monai.data.CacheDataset", "monai.data.DataLoader",
    "monai.data.Dataset", "monai.data.DistributedSampler", "monai.data.ITKReader",
    "monai.data.ITKWriter", "monai.data.MetaTensor", "monai.data.NibabelReader",
    "monai.data.NibabelWriter", "monai.data.SmartCacheDataset", "monai.data.ThreadDataLoader",
    "monai.data.ZipDataset", "monai.data.decollate_batch", "monai.data.list_data_collate",
    "monai.data.load_decathlon_datalist", "monai.data.pad_list_data_collate",
    "monai.data.partition_dataset", "monai.handlers.from_engine", "monai.utils.set_determinism",
    "ignite.engine.Events", "ignite.handlers.EarlyStopping", "ignite.handlers.TerminateOnNan",
    "ignite.handlers.Timer",
    "torch.Generator", "torch.amp.GradScaler", "torch.device", "torch.manual_seed",
    "torch.utils.data.DataLoader", "torch.utils.data.distributed.DistributedSampler",
)  # fmt: skip

# Members of the namespaces that fetch, write or import what their arguments say (name beginnings).
REFUSED = (
    "CheckpointLoader", "CheckpointSaver", "MetricsSaver", "ProbMapProducer", "TensorBoard",
    "ClassificationSaver", "ClearML", "CuCIM", "EfficientNet", "FCN", "FID", "InceptionScore",
    "LogfileHandler", "MCFCN", "MILModel", "MLFlow", "PerceptualLoss", "RandCuCIM", "RandTorch",
    "ResNetFeatures", "TextEncoder", "TorchIO", "TorchVision", "Transchex", "TrtHandler",
    "WriteFileMapping", "ZarrAvg",
)  # fmt: skip
# Components with an argument that names a class, which they import; NAMED_CLASSES guards it.
IMPORTING = {"LoadImage", "LoadImaged", "SaveImage", "SaveImaged", "PatchInferer"}
NAMED_CLASSES = {
    "reader": {"nibabelreader", "itkreader", "nrrdreader", "pilreader", "pydicomreader"},
    "writer": {"nibabelwriter", "itkwriter", "pilwriter"},
    "merger_cls": {"avgmerger"},
}

# Modules that a config may import: their uses are checked one by one.
IMPORTABLE = {
    "functools", "glob", "ignite", "logging", "math", "monai", "numpy", "os", "pathlib",
    "safetensors", "torch", "zoo",
}  # fmt: skip

# Plain functions and values of other modules.
PLAIN = {
    *(f"torch.{n}" for n in (
        "arange", "as_tensor", "bfloat16", "bool", "cat", "device", "eye", "float", "float16",
        "float32", "float64", "full", "half", "int16", "int32", "int64", "int8", "linspace", "long",
        "manual_seed", "ones", "set_num_threads", "stack", "tensor", "uint8", "zeros", "sigmoid",
        "softmax", "argmax", "inference_mode", "no_grad", "cuda.current_device",
        "cuda.device_count", "cuda.is_available", "cuda.is_bf16_supported", "cuda.set_device",
        "backends.mps.is_available", "distributed.destroy_process_group", "distributed.get_rank",
        "distributed.get_world_size", "distributed.is_available", "distributed.is_initialized",
        "nn.functional.interpolate", "nn.functional.pad", "nn.functional.softmax",
    )),
    *(f"numpy.{n}" for n in (
        "abs", "all", "any", "arange", "argmax", "array", "asarray", "ceil", "clip", "concatenate",
        "diag", "eye", "exp", "float32", "float64", "floor", "inf", "int16", "int32", "int64",
        "linspace", "log", "max", "mean", "median", "min", "nan", "ones", "pi", "prod",
        "round", "sqrt", "stack", "std", "sum", "uint8", "unique", "where", "zeros",
    )),
    *(f"math.{n}" for n in ("ceil", "exp", "floor", "inf", "isfinite", "log", "nan", "pi", "prod",
                            "sqrt")),
    *(f"os.path.{n}" for n in ("basename", "dirname", "exists", "isdir", "isfile", "join",
                               "splitext")),
    "functools.partial", "glob.glob", "logging.DEBUG", "logging.ERROR", "logging.INFO",
    "logging.WARNING", "pathlib.PurePath", "safetensors.torch.load_file",
}  # fmt: skip

BUILTINS = {
    "abs", "all", "any", "bool", "dict", "divmod", "enumerate", "filter", "float", "frozenset",
    "int", "isinstance", "len", "list", "map", "max", "min", "print", "range", "reversed", "round",
    "set", "slice", "sorted", "str", "sum", "tuple", "zip",
}  # fmt: skip

# Attributes and methods of whatever a config built. Not `replace` and `copy`: those of a Path move
# files.
ATTRIBUTES = {
    "T", "abs", "add", "affine", "append", "argmax", "array", "astype", "batch", "clone",
    "count", "cpu", "cuda", "data", "dataset", "detach", "device", "dtype", "endswith", "epoch",
    "epoch_length", "eval", "evaluator", "exists", "extend", "finalize", "flatten", "float",
    "from_engine", "get", "half", "index", "int", "is_dir", "is_file", "item", "items", "iteration",
    "join", "keys", "load_state_dict", "long", "lower", "lstrip", "max", "max_epochs", "mean",
    "metrics", "min", "name", "ndim", "network", "numel", "numpy", "optimizer", "output",
    "parameters", "parent", "permute", "pop", "prod", "reshape", "round", "rstrip", "run",
    "setLevel", "shape", "size", "sort", "spacing", "split", "squeeze", "startswith",
    "state", "state_dict",
    "stem", "std", "step", "strip", "suffix", "sum", "title", "to", "tolist", "train", "trainer",
    "transform", "transforms", "type", "unsqueeze", "update", "upper", "values", "view", "logger",
    "inferer", "named_parameters", "requires_grad_", "width", "path", "sha256",
    "variant", "find", "load_into", "origin", "record",
}  # fmt: skip

_PARENTS = tuple({name.rpartition(".")[0] for name in SINGLE})


def why_refused(dotted: str) -> str | None:
    """Why a dotted name may not be a component; None when it may. Imports allowed packages only."""
    if not all(part.isidentifier() and not part.startswith("_") for part in dotted.split(".")):
        return f"{dotted!r} is not the plain dotted name of a public class or function"
    if not any(dotted.startswith(f"{space}.") for space in (*NAMESPACES, *_PARENTS)):
        return f"{dotted} is not among what configs may name"
    found = _resolve(dotted)
    if found is None:
        return f"{dotted} does not exist here"
    return None if _is_allowed(found) else f"{dotted} is not among what configs may name"


def is_importing(dotted: str) -> bool:
    """Whether a component imports what one of its arguments names."""
    found = _resolve(dotted)
    return getattr(found, "__name__", "") in IMPORTING


def leads_to_allowed(module: str) -> bool:
    """Whether a dotted module name is a package of allowed things, or on the way to one."""
    known = (*NAMESPACES, *SINGLE, *PLAIN)
    return any(f"{name}.".startswith(f"{module}.") for name in known) or any(
        module.startswith(f"{space}.") for space in NAMESPACES
    )


def _is_allowed(found: Any) -> bool:
    if isinstance(found, enum.Enum):
        found = type(found)
    if any(found is single for single in map(_resolve, SINGLE)):
        return True
    module, name = getattr(found, "__module__", None) or "", getattr(found, "__qualname__", "")
    plain = any(f"{module}.".startswith(f"{space}.") for space in WITH_FUNCTIONS)
    if not (inspect.isclass(found) or (plain and inspect.isfunction(found))):
        return False
    at_home = any(f"{module}.".startswith(f"{space}.") for space in NAMESPACES)
    return at_home and "." not in name and not name.startswith(REFUSED)


@cache
def _resolve(dotted: str) -> Any:
    """The object behind a dotted name: the longest importable module, then attributes."""
    parts = dotted.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for part in parts[split:]:
            found = getattr(found, part, None)
        return found
    return None
