"""Weights and bundles, pulled from and pushed to a Hub on this computer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.loopback import LoopbackHub

from promised.promise import Place, Promise, ensure, phantom
from zoo.hub.weights import sha256_of

THEIRS = """
import sys, monai.bundle
monai.bundle.download(name="unireg", source="huggingface_hub", repo="me/unireg", version="0.1.0",
                      bundle_dir="got", progress=False)
monai.bundle.run(config_file="got/unireg/configs/inference.json", bundle_root="got/unireg",
                 weights="got/unireg/models/model.safetensors", affine="none", size=[32, 40, 32],
                 region="brain", type="inter", fixed=sys.argv[1], moving=sys.argv[2],
                 output_dir="out", report=False, bar=False)
"""


@contextmanager
def _hub(place: Place) -> Iterator[tuple[LoopbackHub, dict[str, str]]]:
    """Start a Hub; yield it and the environment of a user whose computer knows only this Hub."""
    hub = LoopbackHub()
    try:
        yield (
            hub,
            {
                "HF_ENDPOINT": hub.url,
                "HF_HOME": str(place.folder / "home"),
                "HF_HUB_OFFLINE": "0",
                "HF_TOKEN": "hf_test",
                "HF_HUB_DISABLE_XET": "1",
                "NO_PROXY": "127.0.0.1",
            },
        )
    finally:
        hub.close()


def weights_are_pulled_once(place: Place) -> str:
    """`regzoo pull` downloads and verifies weights, and the second pull needs no network."""
    weights = place.bundle("unigradicon") / "models" / "model_compact.safetensors"
    with _hub(place) as (hub, user):
        hub.add("regzoo/unigradicon", {"models/model.safetensors": weights.read_bytes()}, "0.1.0")
        place.regzoo("pull", "unigradicon", "--source", "hub", user=user)
        asked = len(hub.requests)
        said = place.regzoo("pull", "unigradicon", "--source", "hub", user=user)
        ensure(len(hub.requests) == asked, "the second pull asked the Hub")
    lock = place.json("home/regzoo/weights.lock.json")["installed"]["unigradicon:official"]
    ensure(lock["sha256"] == sha256_of(weights), "other weights were stored")
    place.regzoo("verify", user=user)
    stored = Path(lock["path"]).resolve()
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    place.regzoo("verify", code=1, user=user)
    return said


def a_pushed_bundle_runs_with_monai(place: Place) -> str:
    """A bundle that `regzoo push` published is downloaded and run by MONAI alone."""
    bundle = Path(shutil.copytree(place.bundle("unireg"), place.folder / "unireg"))
    weights = bundle / "models" / "model.safetensors"
    (bundle / "models" / "model_compact.safetensors").rename(weights)
    files = phantom(place.shared / "phantom-t1")
    with _hub(place) as (_, user):
        place.regzoo("push", bundle, "me/unireg", "--tag", "0.1.0", user=user)
        said = place.regzoo("check-bundle", "me/unireg", user=user)
        ensure("model: unireg" in said, said)
        place.python("-c", THEIRS, files["fixed"], files["moving"], user=user)
    got = place.folder / "got" / "unireg" / "models" / "model.safetensors"
    ensure(got.read_bytes() == weights.read_bytes(), "other weights were downloaded")
    used = place.json("out/result.json")["weights"]["sha256"]
    ensure(used == sha256_of(weights), f"MONAI used the weights {used}")
    return f"sha256 {used[:8]} published, downloaded and used"


HUB: tuple[Promise, ...] = (weights_are_pulled_once, a_pushed_bundle_runs_with_monai)
