"""Hostile bundles, plans, presets and arguments: by hand, and by mutation of good ones.

Every payload contains `MARK`, so that an audit hook recognises it when it is compiled or run.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.hub.bundles import bundle_folder

MARK = "EVIL_MARK"
SHELL = f"touch {MARK}"
PAYLOADS: dict[str, Any] = {
    "an expression": f"$__import__('os').system('{SHELL}')",
    "a component": {"_target_": "os.system", "command": SHELL},
    "a macro": "%evil.json::x",
    "a reference": "@evil",
    "an expression after a space": f" $open('{MARK}', 'w')",
    "a nested component": [{"a": {"_target_": "builtins.open", "file": MARK, "mode": "w"}}],
}
REFUSED, DATA, TRUSTED, EITHER = "refused", "data", "trusted", "either"


@dataclass(frozen=True)
class Case:
    """A command with hostile input.

    `arguments` takes an empty folder, writes the input into it and returns the arguments of
    regzoo. `outcome` is REFUSED (exit code 2), DATA (what is hostile is never read) or TRUSTED (it
    runs, which proves that the hook notices it); EITHER allows both a refusal and success.
    """

    name: str
    arguments: Callable[[Path], list[str]]
    outcome: str = REFUSED


def mcbo_config() -> dict[str, Any]:
    text = (bundle_folder("mcbo") / "configs" / "inference.json").read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    return config | {"mode": "paper", "affine": "none"}


METADATA = {"version": "0.1.0", "trained": {"model": "mcbo"}}


def write_bundle(folder: Path, config: Any, metadata: Any = METADATA, **files: str) -> Path:
    """Write a bundle; keys of `files` are names with __ for / and _DOT_ for a point."""
    bundle = folder / "bundle"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "configs" / "inference.json").write_text(json.dumps(config))
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    for name, text in files.items():
        path = bundle / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return bundle


def bundle_case(
    name: str, config: Any, metadata: Any = METADATA, outcome: str = REFUSED, **files: str
) -> Case:
    def arguments(folder: Path) -> list[str]:
        bundle = write_bundle(folder, config, metadata, **files)
        return ["register", "{fixed}", "{moving}", "--bundle", str(bundle)]

    return Case(f"bundle: {name}", arguments, outcome)


# The texts of expressions, imports, macros and components that have been tried against MONAI.
ATTACKS: dict[str, dict[str, Any]] = {
    "a shell through an import": {"imports": ["$import os"], "x": f"$os.system('{SHELL}')"},
    "from os import system": {"imports": ["$from os import system"], "x": f"$system('{SHELL}')"},
    "an imported module by reference": {
        "imports": ["$import os"], "x": f"$@imports::0.system('{SHELL}')",
    },
    "an imported module through its list": {
        "imports": ["$import os"], "x": f"$@imports[0].system('{SHELL}')",
    },
    "a relative reference to an import": {
        "imports": ["$import os"], "a": {"b": f"$@##imports::0.system('{SHELL}')"},
    },
    "an import elsewhere": {"a": "$import os", "x": f"$@a.system('{SHELL}')"},
    "an import copied by a macro": {
        "imports": ["$import os"], "a": "%imports::0", "x": f"$@a.system('{SHELL}')",
    },
    "an alias called eval": {
        "imports": ["$from os import system as eval"], "run": [f"$eval('{SHELL}')"],
    },
    "an alias called torch": {
        "imports": ["$import os as torch"], "run": [f"$torch.system('{SHELL}')"],
    },
    "a name bound by a lambda": {"run": [f"$(lambda print: print('{SHELL}'))(eval)"]},
    "a name bound by a comprehension": {"run": [f"$[f('{MARK}', 'w') for f in [open]]"]},
    "a key pasted into an expression": {"x'+open('" + MARK + "','w')+'": 1, "run": ["$@x"]},
    "subprocess": {"imports": ["$import subprocess"], "x": f"$subprocess.run(['touch', '{MARK}'])"},
    "eval": {"x": f"$eval(\"open('{MARK}', 'w')\")"},
    "exec as a target": {"x": {"_target_": "builtins.exec", "source": f"open('{MARK}', 'w')"}},
    "exec by its bare name": {"x": {"_target_": "exec", "source": f"open('{MARK}', 'w')"}},
    "open for writing": {"run": [f"$open('{MARK}', 'w')"]},
    "reading a file": {"run": [f"$open('/etc/passwd').read() + '{MARK}'"]},
    "getattr": {"run": [f"$getattr(torch, 'lo' + 'ad')('{MARK}.pt')"]},
    "setattr": {"run": [f"$setattr(torch, 'load', '{MARK}')"]},
    "subclasses": {"run": [f"$'{MARK}'.__class__.__base__.__subclasses__()"]},
    "full-width dunders": {"run": [f"$'{MARK}'.＿＿class＿＿"]},
    "the frame of a generator": {"run": [f"$('{MARK}' for i in [1]).gi_frame.f_back.f_globals"]},
    "torch.load": {"run": [f"$torch.load('{MARK}.pt', weights_only=False)"]},
    "torch.hub": {"network_def": {"_target_": "torch.hub.load", "repo_or_dir": f"{MARK}/r"}},
    "a TorchScript": {"run": [f"$torch.jit.load('{MARK}.ts')"]},
    "a library": {"run": [f"$torch.ops.load_library('{MARK}.so')"]},
    "numpy's pickles": {"run": [f"$np.load('{MARK}.npy', allow_pickle=True)"]},
    "pickle": {"imports": ["$import pickle"], "run": [f"$pickle.loads(b'{MARK}')"]},
    "the network": {
        "imports": ["$from urllib.request import urlopen"],
        "run": [f"$urlopen('http://127.0.0.1:9/{MARK}')"],
    },
    "a socket": {"imports": ["$import socket"], "run": ["$socket.create_connection(('::1', 9))"]},
    "MONAI's download": {
        "network_def": {
            "_target_": "monai.apps.download_url", "url": "http://127.0.0.1:9", "filepath": MARK,
        }
    },
    "MONAI's shell": {"saver": {"_target_": "monai.utils.run_cmd", "cmd_list": ["touch", MARK]}},
    "MONAI's shell by its bare name": {"saver": {"_target_": "run_cmd", "cmd_list": [MARK]}},
    "a module inside a module": {"saver": {"_target_": "monai.data.utils.pickle.loads"}},
    "optional_import": {"run": [f"$monai.utils.optional_import('os')[0].system('{SHELL}')"]},
    "a target by reference": {"t": "os.system", "saver": {"_target_": "@t", "command": SHELL}},
    "a target replaced by a key path": {"saver::_target_": "os.system", "saver::command": SHELL},
    "a target replaced by a key path with #": {"saver#_target_": "os.system"},
    "a target merged in": {"+saver": {"_target_": "os.system", "command": SHELL}},
    "a key removed": {"~saver": None},
    "a reader that is any function": {
        "dataset": {"_target_": "LoadImage", "reader": "subprocess.getoutput", "cmd": SHELL}
    },
    "the debugger": {"saver": {"_target_": "Compose", "_mode_": "debug"}},
    "fetched weights": {
        "network_def": {"_target_": "monai.networks.nets.resnet18", "pretrained": True}
    },
    "a writer of the zoo": {
        "saver": {"_target_": "zoo.io.atomic.write_text", "path": MARK, "text": "x"}
    },
    "a writer of checkpoints": {
        "handlers": [{"_target_": "CheckpointSaver", "save_dir": f"/{MARK}", "save_dict": {}}]
    },
    "a log file": {
        "handlers": [{"_target_": "LogfileHandler", "output_dir": f"/{MARK}", "filename": "x"}]
    },
    "a macro of the working folder": {"mode": "%evil.json::x"},
    "a macro that reads elsewhere": {"mode": "%../../secret.json::key"},
    "the scripts of the bundle": {"network_def": {"_target_": "scripts.evil.run"}},
    "hidden after an import": {"imports": [f"$import os; os.system('{SHELL}')"]},
    "hidden in a string with a reference": {
        "run": [f"$'@mode + str(open(\"{MARK}\", \"w\")) + @mode'"]
    },
    "initialize": {"initialize": [f"$open('{MARK}', 'w')"]},
    "finalize": {"finalize": [f"$open('{MARK}', 'w')"]},
    "an output folder": {"output_dir": f"/{MARK}"},
    "a path of the computer as preset": {"preset": f"/{MARK}/preset.json"},
    "a path of the computer as affine": {"affine": f"/{MARK}/a.tfm"},
    "a path above the folder": {"preset": "../../preset.json"},
    "an unknown setting": {"modes": "paper"},
    "a solver setting of the wrong type": {"solver_settings": {"levels": "$x"}},
    "an unknown solver setting": {"solver_settings": {"level": [6]}},
    "a spacing out of range": {"spacing": -1.0},
    "a text as a boolean": {"rigid": "yes"},
    "a boolean as a number": {"spacing": True},
    "a huge number": {"spacing": 1e308},
    "a huge whole number": {"solver_settings": {"levels": [10**400]}},
}  # fmt: skip


def bundles_by_hand() -> Iterator[Case]:
    good = mcbo_config()
    for name, attack in ATTACKS.items():
        yield bundle_case(name, good | attack)
        yield bundle_case(f"{name}, alone", attack, {"version": "0.1.0"})
    shell = f"import os; os.system('{SHELL}')"
    handler = "[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=\n[logger_root]\n"
    handler += f"handlers=h\n[handler_h]\nclass=StreamHandler\nargs=(open('{MARK}', 'w'),)\n"
    tag = f"x: !!python/object/apply:os.system ['{SHELL}']\nrun: [\"$open('{MARK}', 'w')\"]\n"
    configs = {"configs__logging_DOT_conf": handler, "configs__train_DOT_yaml": tag}
    yield bundle_case("other configs", good, outcome=DATA, **configs, spec_DOT_yaml=tag)
    names = ("scripts____init__", "monai____init__", "zoo____init__", "sitecustomize", "torch")
    modules = {f"{name}_DOT_py": shell for name in names}
    yield bundle_case("Python modules", good, outcome=DATA, **modules)
    for value in (f"$open('{MARK}')", "../mcbo", "toy", 3, None, ["mcbo"], {"mcbo": 1}, ""):
        metadata = {"trained": {"model": value}}
        yield bundle_case(f"the model {value!r} in its metadata", good, metadata)
    two = {"trained": {"model": "mcbo"}, "regzoo": {"model": "unireg"}}
    yield bundle_case("two models in its metadata", good, two)
    for value in ([], "mcbo", {"trained": []}, {"trained": f"$open('{MARK}')"}):
        yield bundle_case(f"the metadata {value!r}", good, value)
    for config in ([], "x", None, {"x": {}}):
        yield bundle_case(f"the config {config!r}", config)
    unireg = {"trained": {"model": "unireg"}}
    pickled = f"\x80\x04cos\nsystem\n(V{SHELL}\ntR."
    yield bundle_case(
        "weights that are a pickle", {}, unireg, models__model_DOT_safetensors=pickled
    )


def mutated_bundles(count: int) -> Iterator[Case]:
    """Every key of a good bundle with every payload, and payloads at random places below."""
    good = mcbo_config()
    for key in good:
        for what in ("an expression", "a component", "a macro"):
            yield bundle_case(f"{key} is {what}", good | {key: PAYLOADS[what]})
    rng = random.Random(0)
    for number in range(count):
        config, what = copy.deepcopy(good), rng.choice(list(PAYLOADS))
        place = replace_somewhere(config, PAYLOADS[what], rng)
        yield bundle_case(f"{number}: {place} is {what}", config)


def replace_somewhere(document: Any, payload: Any, rng: random.Random) -> str:
    """Replace or add one value at a random place of a document, and return the place."""
    place = []
    while True:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        key = rng.choice(keys)
        place.append(str(key))
        below = document[key]
        if isinstance(below, (dict, list)) and below and rng.random() < 0.6:
            document = below
            continue
        if isinstance(document, dict) and rng.random() < 0.2:
            key = rng.choice(["pairs", "_target_", f"+{key}", f"{key}::x", "_requires_"])
            place[-1] = key
        document[key] = payload
        return "::".join(place)


def plan_case(name: str, plan: Any, command: str, outcome: str = REFUSED) -> Case:
    def arguments(folder: Path) -> list[str]:
        path = folder / "hostile.json"
        path.write_text(json.dumps(plan))
        if command == "register":
            return ["register", "{fixed}", "{moving}", "--plan", str(path)]
        return [command, str(path)]

    return Case(f"{command} with a plan: {name}", arguments, outcome)


def plans(pair: dict[str, Any], dataset: dict[str, Any], count: int) -> Iterator[Case]:
    """Plans in which each key at each depth is replaced by payloads."""
    for key in [*pair, "network_def", "run", "solver_settings", "+run", "run::0", "bundle_root"]:
        for what, payload in PAYLOADS.items():
            yield plan_case(f"{key} is {what}", pair | {key: payload}, "register")
    for key in pair["plan"]:
        for what in ("an expression", "a component"):
            section = pair["plan"] | {key: PAYLOADS[what]}
            yield plan_case(f"plan::{key} is {what}", pair | {"plan": section}, "register")
    for command in ("run", "finetune"):
        for key in ("pairs", "split", "solver_settings", "run", "mode", "facts"):
            for what in ("an expression", "a component", "a macro"):
                changed = dataset | {key: PAYLOADS[what]}
                yield plan_case(f"{key} is {what}", changed, command)
        nested = copy.deepcopy(dataset)
        nested["solver_settings"] = {"pairs": PAYLOADS["a component"]}
        yield plan_case("a key called pairs below", nested, command)
        nested = copy.deepcopy(dataset)
        nested["facts"]["plan"]["pairs"] = PAYLOADS["an expression"]
        yield plan_case("a key called pairs in facts", nested, command)
    rng = random.Random(1)
    for number in range(count):
        plan, what = copy.deepcopy(dataset), rng.choice(["an expression", "a component"])
        place = replace_somewhere(plan, PAYLOADS[what], rng)
        command = rng.choice(["run", "finetune"])
        yield plan_case(f"{number}: {place} is {what}", plan, command)


def presets() -> Iterator[Case]:
    good = {"kind": "regzoo mcbo preset", "mode": "paper", "changes": {"smoothing": 2}}
    changed = [good | {key: payload} for key in good for payload in PAYLOADS.values()]
    values = [*PAYLOADS.values(), 10**400, -1, None, {"pairs": 1}]
    changed += [good | {"changes": {"smoothing": value}} for value in values]
    changed += [good | {"changes": {key: 1}} for key in ("$x", "_target_", "+smoothing", "pairs")]
    for number, document in enumerate(changed):

        def arguments(folder: Path, document: Any = document) -> list[str]:
            bundle = write_bundle(folder, mcbo_config())
            (folder / "preset.json").write_text(json.dumps(document))
            words = ["register", "{fixed}", "{moving}", "--bundle", str(bundle)]
            return [*words, "--set", f"preset={folder / 'preset.json'}"]

        yield Case(f"preset {number}: {json.dumps(document)[:80]}", arguments)


SET_VALUES = (
    *(f"{key}={value}" for key in ("mode", "spacing", "run", "network_def", "pairs", "facts")
      for value in (f"$open('{MARK}')", "'@evil'", "'%evil.json::x'",
                    f"{{_target_: os.system, command: {SHELL}}}")),
    "saver::_target_=os.system", "saver#_target_=os.system", "+saver={_target_: os.system}",
    f"output_dir=/{MARK}", f"bundle_root=/{MARK}", f"device={MARK}", "imports=[]", "handlers=[]",
    f"solver_settings={{levels: [\"$open('{MARK}')\"]}}", "solver_settings={'$x': 1}",
    "solver_settings={pairs: {_target_: os.system}}", "mode=!!python/name:os.system",
    f"mode=!!python/object/apply:os.system ['{SHELL}']", "spacing=.nan", "spacing=.inf",
    "spacing=[1, 1, 1]", "mode=[paper]", "mode={paper: 1}", "mode=2001-01-01", "rigid=2",
    "solver_settings=&a [*a]", "solver_settings={a: &a [1], b: [*a, *a]}", "mode=" + "[" * 5000,
    "spacing=" + "9" * 6000, "mode=" + "x" * 20000, "_target_=os.system", "mode=\0",
)  # fmt: skip


def arguments_by_hand() -> Iterator[Case]:
    def with_words(*words: str) -> Callable[[Path], list[str]]:
        def arguments(folder: Path) -> list[str]:
            bundle = write_bundle(folder, mcbo_config())
            return ["register", "{fixed}", "{moving}", "--bundle", str(bundle), *words]

        return arguments

    for value in SET_VALUES:
        yield Case(f"--set {value[:60]!r}", with_words("--set", value))
    text = f"$open('{MARK}', 'w')"
    for flag in ("--affine", "--weights", "--device", "--fixed-labels", "--moving-points"):
        yield Case(f"{flag} {text}", with_words(flag, text))
    for number, name in enumerate((text, "@run a#b @::c")):

        def own_folder(folder: Path, name: str = name) -> list[str]:
            return [*with_words()(folder), "--out", str(folder.parent / "results" / name)]

        yield Case(f"--out {number}: {name}", own_folder, DATA)


def control() -> Case:
    """Return a case that does run an expression of its bundle, because of --trust."""
    config = mcbo_config() | {"initialize": [f"$print('{MARK}')"]}

    def arguments(folder: Path) -> list[str]:
        bundle = write_bundle(folder, config)
        return ["register", "{fixed}", "{moving}", "--bundle", str(bundle), "--trust"]

    return Case("control", arguments, TRUSTED)


def all_cases(pair: dict[str, Any], dataset: dict[str, Any]) -> list[Case]:
    """Return all cases; `pair` and `dataset` are good plans of mcbo."""
    return [
        control(),
        *bundles_by_hand(),
        *mutated_bundles(60),
        *plans(pair, dataset, 60),
        *presets(),
        *arguments_by_hand(),
    ]
