"""Planning on datasets made of real volumes: skipped unless REGZOO_DATA names a folder of them.

    REGZOO_DATA=FOLDER pytest tests/planning/test_real_data.py

FOLDER holds the volumes that tools/benchmarks/peers.py measures on. Nothing is written there.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.bundle_runs import run_by_monai
from support.planning_data import write_document

from zoo.datasets.reading import read_dataset
from zoo.networks import GradICON, UniReg
from zoo.planning.evidence import UserOptions
from zoo.planning.fingerprint import take_fingerprint
from zoo.planning.plan import make_plan

DATA = Path(os.environ.get("REGZOO_DATA", "/nowhere"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="REGZOO_DATA names no folder")
ALL = ("mcbo", "unigradicon", "multigradicon", "unireg")

DATASETS = {
    "brains": {
        "pairs": [
            ("brain_malf_oasis/1000_t1", "brain_malf_oasis/1001_t1"),
            ("brain_malf_oasis/1000_t1", "brain_malf_oasis/1003_t1"),
        ],
        "declared": {"modality": {"0": "T1", "1": "T1"}, "anatomy": "brain", "pairing": "inter"},
        "expected": (None, "brain/mr-mr/inter", "unigradicon"),
    },
    "contrasts": {
        "pairs": [("brain_mm_tcga/t1", "synthetic/tcga_t2_moving")],
        "declared": {"modality": {"0": "T1", "1": "T2"}, "anatomy": "brain", "pairing": "intra"},
        "expected": (None, "brain/mr-mr'/any", "multigradicon"),
    },
    "abdomen": {
        "pairs": [("abdomen_ct_totalseg/ct", "synthetic/abdomen_ct_moving")],
        "declared": {"modality": {"0": "CT", "1": "CT"}, "anatomy": "abdomen", "pairing": "inter"},
        "expected": ("ct", "abdomen/ct-ct/inter", "unireg"),
    },
    "thorax": {
        "pairs": [
            ("thorax_ct_totalseg_aorta/ct", "synthetic/aorta_ct_moving"),
            ("thorax_ct_totalseg_aorta/ct", "thorax_ct_ibsi/pat1_ct"),
        ],
        "declared": {"modality": {"0": "CT", "1": "CT"}, "anatomy": "chest", "pairing": "intra"},
        "expected": ("ct", "lung/ct-ct/intra", "unigradicon"),
    },
    "prostate": {
        "pairs": [("prostate_mr_picai/adc", "prostate_mr_picai/hbv")],
        "declared": {
            "modality": {"0": "ADC", "1": "HBV"},
            "anatomy": "prostate",
            "pairing": "intra",
        },
        "expected": (None, "any/any/any", "mcbo"),
    },
    "ultrasound": {
        "pairs": [(f"prostate_mrus_demo/00{k}_us", f"prostate_mrus_demo/00{k}_mr") for k in "012"],
        "declared": {"modality": {"0": "US", "1": "MR"}, "anatomy": "prostate", "pairing": "intra"},
        "expected": (None, "any/mr-us/any", "mcbo"),
    },
    "templates": {
        "pairs": [
            ("brain_templates_2mm/avg152T1", f"brain_templates_2mm/{name}")
            for name in ("avg152T2", "avg152PD", "single_subj_T1")
        ],
        "declared": {"modality": {"0": "T1", "1": "MR"}, "anatomy": "brain"},
        "expected": (None, None, None),
    },
    "native": {
        "pairs": [
            ("brain_native_mr/rniftyreg_epi_t2", "brain_native_mr/rniftyreg_flash_t1"),
        ],
        "declared": {"modality": {"0": "T2", "1": "T1"}, "anatomy": "brain", "pairing": "intra"},
        "expected": (None, "brain/mr-mr'/any", "multigradicon"),
    },
}


def make_dataset(folder, name, **declared):
    """Copy the volumes of a dataset, each once, under Learn2Reg's names and list their pairs."""
    (folder / "imagesTr").mkdir(parents=True)
    pairs, names = [], {}
    for case, pair in enumerate(DATASETS[name]["pairs"]):
        for slot, source in enumerate(pair):
            if source not in names:
                names[source] = f"./imagesTr/Real_{case:04d}_{slot:04d}.nii.gz"
                shutil.copyfile(DATA / f"{source}.nii.gz", folder / names[source])
        pairs.append({"fixed": names[pair[0]], "moving": names[pair[1]]})
    write_document(folder, {"name": "Real", "registration_val": pairs, **declared})
    return read_dataset(folder)


@pytest.mark.parametrize("name", DATASETS)
def test_hounsfield_units_are_recognised_in_ct_and_nowhere_else(name, tmp_path):
    document = take_fingerprint(make_dataset(tmp_path / "d", name)).document
    expected = DATASETS[name]["expected"][0]
    for channel in document["channels"].values():
        belief = channel["modality"]
        assert belief["value"] == expected
        assert belief["confidence"] == ("certain" if expected else "unknown")
        assert channel["intensity"]["hounsfield"] == (channel["count"] if expected else 0)


@pytest.mark.parametrize("name", DATASETS)
def test_a_true_declaration_is_not_a_conflict_and_gives_the_expected_preset(name, tmp_path):
    case = DATASETS[name]
    document = take_fingerprint(make_dataset(tmp_path / "d", name, **case["declared"])).document
    assert not any(c["modality"].get("conflict") for c in document["channels"].values())
    assert not [p for p in document["problems"] if p["level"] == "error"]
    plan = make_plan(document, UserOptions(available=ALL))
    if case["expected"][1] is not None:
        assert (plan["plan"]["preset"], plan["plan"]["model"]) == case["expected"][1:]


@pytest.mark.parametrize(
    ("name", "wrong"), [("brains", "CT"), ("prostate", "CBCT"), ("abdomen", "MR"), ("thorax", "US")]
)
def test_a_wrong_declaration_is_reported(name, wrong, tmp_path):
    declared = DATASETS[name]["declared"] | {"modality": {"0": wrong, "1": wrong}}
    document = take_fingerprint(make_dataset(tmp_path / "d", name, **declared)).document
    assert all(c["modality"]["conflict"] for c in document["channels"].values())
    plan = make_plan(document, UserOptions(available=ALL, model="mcbo"))
    conflicts = [text for text in plan["plan"]["cautions"] if "are declared as" in text]
    assert len(conflicts) == 2


NETWORKS = {
    "unigradicon": (lambda: GradICON(width=2), [65, 65, 65]),
    "multigradicon": (lambda: GradICON(width=2), [65, 65, 65]),
    "unireg": (UniReg, [40, 32, 48]),
}


@pytest.mark.parametrize("model", ALL)
def test_the_plan_of_a_real_dataset_runs_by_monai_bundle_run(model, tmp_path):
    make_dataset(tmp_path / "d", "abdomen", **DATASETS["abdomen"]["declared"])
    words = ["plan", str(tmp_path / "d"), "--model", model, "--set", "report=false"]
    if model == "mcbo":
        words += ["--set", "spacing=5.0"]
    else:
        make, size = NETWORKS[model]
        torch.manual_seed(0)
        save_file(make().state_dict(), tmp_path / "w.safetensors")
        words += ["--set", f"size={size}", "--set", f"weights={tmp_path / 'w.safetensors'}"]
        words += ["--set", "refine=2"]
    plan = tmp_path / "plan.json"
    command = [sys.executable, "-m", "zoo", *words, "-o", str(plan)]
    subprocess.run(command, check=True, capture_output=True)
    result = run_by_monai(model, plan, tmp_path)
    assert result["model"] == model
    assert result["plan"]["preset"] == "abdomen/ct-ct/inter"
    assert (tmp_path / "out" / "transform.nii.gz").is_file()
