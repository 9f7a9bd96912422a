"""Hostile bundles are refused before anything in them runs; ordinary ones pass."""

from __future__ import annotations

import json
import pydoc
import re
from pathlib import Path

import pytest

import zoo
from zoo.errors import UserError
from zoo.hub.allowed import NAMESPACES, PLAIN, SINGLE, why_refused
from zoo.hub.bundles import bundle_folder, bundle_names
from zoo.hub.safety import check_bundle, require_safe

BUNDLES = [bundle_folder(name) for name in bundle_names()]

# A config as the public model zoo writes them, in the terms of registration.
ORDINARY = {
    "imports": [
        "$import glob",
        "$import os",
        "$import ignite",
        "$import numpy as np",
        "$import torch.distributed as dist",
        "$from safetensors.torch import load_file",
        "$from monai.handlers import from_engine",
    ],
    "bundle_root": ".",
    "ckpt_path": "$@bundle_root + '/models/model.safetensors'",
    "dataset_dir": "/data",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "images": "$sorted(glob.glob(os.path.join(@dataset_dir, 'imagesTs', '*.nii.gz')))",
    "datalist": "$[{'image': i, 'name': i.split('/')[-1]} for i in @images if i.endswith('.gz')]",
    "spatial_size": [32, 32, 32],
    "network_def": {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 2,
        "out_channels": 3,
        "channels": [4, 8],
        "strides": [2],
    },
    "network": "$@network_def.to(@device)",
    "weights": "$@network.load_state_dict(load_file(@ckpt_path))",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image", "reader": "NibabelReader"},
            {"_target_": "monai.transforms.Lambdad", "keys": "image", "func": "$lambda x: x / 2"},
            {
                "_target_": "monai.transforms.Resized",
                "keys": "image",
                "spatial_size": "@spatial_size",
            },
        ],
    },
    "dataset": {
        "_target_": "monai.data.Dataset",
        "data": "@datalist",
        "transform": "@preprocessing",
    },
    "optimizer": {
        "_target_": "torch.optim.Adam",
        "params": "$@network.parameters()",
        "lr": 0.0001,
    },
    "loss": {"_target_": "monai.losses.LocalNormalizedCrossCorrelationLoss", "kernel_size": 9},
    "evaluator": {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "network": "@network",
        "decollate": False,
        "key_val_metric": {
            "val_mean_dice": {
                "_target_": "MeanDice",
                "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
            }
        },
    },
    "stop": {
        "_target_": "ignite.handlers.EarlyStopping",
        "patience": 2,
        "trainer": "@evaluator",
        "score_function": "$lambda engine: -engine.state.metrics['loss']",
    },
    "event": "$ignite.engine.Events.EPOCH_COMPLETED",
    "total": "$int(np.prod(np.array(@spatial_size)))",
    "initialize": [
        "$import torch.distributed as dist",
        "$dist.is_initialized() or dist.init_process_group(backend='nccl')",
        "$monai.utils.set_determinism(seed=123)",
        "$setattr(torch.backends.cudnn, 'benchmark', True)",
    ],
    "run": ["$@evaluator.run()", '$print(f"epoch {@evaluator.state.epoch}")'],
    "finalize": ["$dist.is_initialized() and dist.destroy_process_group()"],
}

LOGGING = """[loggers]
keys=root
[handlers]
keys=consoleHandler
[formatters]
keys=fullFormatter
[logger_root]
level=INFO
handlers=consoleHandler
[handler_consoleHandler]
class=StreamHandler
level=INFO
formatter=fullFormatter
args=(sys.stdout,)
[formatter_fullFormatter]
format=%(asctime)s - %(message)s
"""

# What each does, and the config that tries it. `MARK` is a file that only running code makes.
HOSTILE: dict[str, dict] = {
    "a shell": {"x": "$__import__('os').system('touch MARK')"},
    "a shell through an import": {"imports": ["$import os"], "x": "$os.system('touch MARK')"},
    "from os import system": {
        "imports": ["$from os import system"],
        "x": "$system('touch MARK')",
    },
    "an imported module by reference": {
        "imports": ["$import os"],
        "x": "$@imports::0.system('touch MARK')",
    },
    "an imported module through its list": {
        "imports": ["$import os"],
        "x": "$@imports[0].system('touch MARK')",
    },
    "an import elsewhere": {"a": "$import os", "x": "$@a.system('touch MARK')"},
    "an import copied by a macro": {
        "imports": ["$import os"],
        "a": "%imports::0",
        "x": "$@a.system('touch MARK')",
    },
    "subprocess": {"imports": ["$import subprocess"], "x": "$subprocess.run(['touch', 'MARK'])"},
    "eval": {"x": "$eval(\"open('MARK', 'w')\")"},
    "exec as a target": {"x": {"_target_": "builtins.exec", "source": "open('MARK', 'w')"}},
    "exec by its bare name": {"x": {"_target_": "exec", "source": "open('MARK', 'w')"}},
    "open for writing": {"x": "$open('MARK', 'w')"},
    "reading a file": {"x": "$open('/etc/passwd').read()"},
    "getattr": {"x": "$getattr(torch, 'lo' + 'ad')('evil.pt')"},
    "setattr elsewhere": {"x": "$setattr(torch, 'load', print)"},
    "subclasses": {"x": "$().__class__.__base__.__subclasses__()"},
    "full-width dunders": {"x": "$().＿＿class＿＿"},
    "the frame of a generator": {"x": "$(i for i in [1]).gi_frame.f_back.f_globals"},
    "torch.load": {"x": "$torch.load('evil.pt', weights_only=False)"},
    "torch.hub": {"x": {"_target_": "torch.hub.load", "repo_or_dir": "evil/repo", "model": "m"}},
    "a TorchScript": {"x": "$torch.jit.load('evil.ts')"},
    "a library": {"x": "$torch.ops.load_library('evil.so')"},
    "numpy's pickles": {"x": "$np.load('evil.npy', allow_pickle=True)"},
    "pickle": {"imports": ["$import pickle"], "x": "$pickle.loads(b'x')"},
    "the network": {
        "imports": ["$from urllib.request import urlopen"],
        "x": "$urlopen('http://127.0.0.1:9')",
    },
    "a socket": {"imports": ["$import socket"], "x": "$socket.create_connection(('::1', 9))"},
    "MONAI's own download": {
        "x": {
            "_target_": "monai.apps.download_url",
            "url": "http://127.0.0.1:9",
            "filepath": "MARK",
        }
    },
    "MONAI's own shell": {"x": {"_target_": "monai.utils.run_cmd", "cmd_list": ["touch", "MARK"]}},
    "MONAI's own shell by its bare name": {
        "x": {"_target_": "run_cmd", "cmd_list": ["touch", "MARK"]}
    },
    "a module inside an allowed module": {
        "x": {"_target_": "monai.data.utils.pickle.loads", "data": "x"}
    },
    "a module inside an expression": {"x": "$monai.bundle.scripts.os.system('touch MARK')"},
    "another config": {"x": {"_target_": "monai.bundle.ConfigParser", "config": {}}},
    "optional_import": {"x": "$monai.utils.optional_import('os')[0].system('touch MARK')"},
    "a target by reference": {"t": "os.system", "x": {"_target_": "@t", "command": "touch MARK"}},
    "a target by expression": {"x": {"_target_": "$print", "a": 1}},
    "a target replaced by a key path": {
        "x": {"_target_": "Compose"},
        "x::_target_": "os.system",
        "x::command": "touch MARK",
    },
    "a target merged in": {"+x": {"_target_": "os.system", "command": "touch MARK"}},
    "a reader that is any function": {
        "x": {"_target_": "LoadImage", "reader": "subprocess.getoutput", "cmd": "touch MARK"}
    },
    "a reader by reference": {
        "r": "subprocess.getoutput",
        "x": {"_target_": "LoadImage", "reader": "@r", "cmd": "touch MARK"},
    },
    "a reader given in an expression": {
        "x": "$monai.transforms.LoadImage('subprocess.getoutput', cmd='touch MARK')"
    },
    "a reader given to the class": {
        "L": {"_target_": "LoadImage", "_mode_": "callable"},
        "x": "$@L('subprocess.getoutput')",
    },
    "the debugger": {"x": {"_target_": "Compose", "_mode_": "debug"}},
    "fetched weights": {"x": {"_target_": "monai.networks.nets.resnet18", "pretrained": True}},
    "the zoo's own writer": {
        "x": {"_target_": "zoo.io.atomic.write_text", "path": "MARK", "text": "x"}
    },
    "the zoo's writer of presets": {
        "imports": ["$from zoo.registration.mcbo_presets import write_fitted"],
        "x": "$write_fitted('MARK', 'accurate', {})",
    },
    "MONAI's writer of checkpoints": {
        "x": {"_target_": "CheckpointSaver", "save_dir": "/root", "save_dict": {}}
    },
    "the zoo's imports": {"x": {"_target_": "zoo.networks.unireg.torch.load", "f": "evil.pt"}},
    "the zoo's own runner of configs": {
        "imports": ["$from zoo.runtime.bundle import run_bundle"],
        "x": "$run_bundle('.', {'run': '$' + '_' + '_import_' + '_(\"os\")'})",
    },
    "a log file anywhere": {
        "x": {"_target_": "LogfileHandler", "output_dir": "/root", "filename": ".bashrc"}
    },
    "a macro that reads elsewhere": {"x": "%../../secret.json::key"},
    "a name with two meanings": {"imports": ["$import glob as torch"], "x": "$torch.glob('*')"},
    "a walrus": {"x": "$(f := print)"},
    "a path that is written": {
        "imports": ["$from pathlib import Path"],
        "x": "$Path('MARK').write_text('x')",
    },
    "a changed module search path": {"imports": ["$import sys"], "x": "$sys.path.append('.')"},
    "the bundle's own scripts": {"x": {"_target_": "scripts.evil.run"}},
    "hidden after an import": {"imports": ["$import os; os.system('touch MARK')"]},
    "hidden in a string with a reference": {
        "a": 1,
        "x": '$\'@a + str(open("MARK", "w")) + @a\'',
    },
    "a logging handler": {},
}


def make_bundle(folder: Path, config: dict) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    return folder


def test_an_ordinary_bundle_passes(tmp_path):
    bundle = make_bundle(tmp_path / "bundle", ORDINARY)
    (bundle / "configs" / "logging.conf").write_text(LOGGING)
    (bundle / "LICENSE").write_text("Apache-2.0")
    assert [str(f) for f in check_bundle(bundle)] == []


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_config_is_refused_and_not_run(tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    bundle = make_bundle(tmp_path / "bundle", HOSTILE[attack])
    if attack == "a logging handler":
        hostile = LOGGING.replace("(sys.stdout,)", "(open('MARK', 'w'),)")
        (bundle / "configs" / "logging.conf").write_text(hostile)
    assert check_bundle(bundle)
    with pytest.raises(UserError, match="--trust"):
        require_safe(bundle)
    assert not list(tmp_path.rglob("MARK"))
    require_safe(bundle, trust=True)


def test_the_same_config_in_yaml_and_with_a_python_tag_is_refused(tmp_path):
    bundle = tmp_path / "bundle"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs" / "a.yaml").write_text("x: !!python/object/apply:os.system ['touch MARK']")
    (bundle / "configs" / "b.yml").write_text('x: "$open(1)"')
    (bundle / "configs" / "c.yaml").write_text("x: &x [*x]")
    problems = [str(f) for f in check_bundle(bundle)]
    assert len(problems) == 3
    assert problems[0].startswith("configs/a.yaml")
    assert problems[1].startswith("configs/b.yml: x: the name open")
    assert problems[2] == "configs/c.yaml: nested too deeply, or in itself"


@pytest.mark.parametrize(
    "name", ["models/model.pt", "scripts/evil.py", "monai/__init__.py", "evil.so", "data/x.npy"]
)
def test_files_that_can_carry_code_are_refused(tmp_path, name):
    bundle = make_bundle(tmp_path / "bundle", {"x": 1})
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(b"x")
    assert [f.file for f in check_bundle(bundle)] == [name]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_shipped_bundles_pass(bundle):
    assert [str(finding) for finding in check_bundle(bundle)] == []


def test_what_came_with_the_package_needs_no_trust(tmp_path):
    for bundle in BUNDLES:
        require_safe(bundle)


def test_no_module_that_configs_may_name_runs_configs_or_reads_pickles():
    """A guard on what is added to the zoo: such a module belongs in another package."""
    package = Path(zoo.__file__).parent
    risky = re.compile(
        r"(from|import) monai\.bundle|(run|open)_bundle\b|torch\.load|subprocess|pickle"
        r"|import_module|urlopen|(?<![.\w])(eval|exec)\("
    )
    for space in NAMESPACES:
        if space.startswith("zoo."):
            for path in package.joinpath(*space.split(".")[1:]).rglob("*.py"):
                module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
                assert not risky.search(path.read_text(encoding="utf-8")), module


def test_the_lists_name_things_that_exist():
    for name in SINGLE:
        assert why_refused(name) is None, name
    for name in PLAIN:
        assert pydoc.locate(name) is not None, name


def test_a_link_out_of_the_bundle_is_refused(tmp_path):
    bundle = make_bundle(tmp_path / "bundle", {"x": 1})
    (bundle / "docs").symlink_to("/etc")
    (bundle / "configs" / "b.json").symlink_to("inference.json")  # inside: harmless
    assert [f.file for f in check_bundle(bundle)] == ["docs"]


def test_a_finding_names_the_file_the_place_and_the_text(tmp_path):
    bundle = make_bundle(tmp_path / "bundle", {"a": {"b": ["$open('x')"]}})
    (finding,) = check_bundle(bundle)
    assert str(finding) == "configs/inference.json: a::b::0: the name open in \"$open('x')\""
