"""Fitting the settings of MCBO: what is tried, what is best, and what is left on disk."""

import json

import numpy as np
import pytest
import torch
from support.train_cases import write_images

from zoo.datasets.pairs import DatasetPairs, PairDataset
from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.hub.bundles import bundle_folder
from zoo.io.transforms import write_transform
from zoo.registration.mcbo import MCBOInferer
from zoo.registration.mcbo_presets import read_preset, settings_of
from zoo.registration.working_grid import IsotropicFrame
from zoo.runtime.bundle import run_bundle
from zoo.training.mcbo_search import SettingsSearch, Trial, draw, figures_that_rank, order_of, vary


def trials(*rows):
    """Return trials whose figures are {name: [value of each pair]}."""
    return [
        Trial("accurate", {"mind_radius": k}, {str(n): one(row, n) for n in range(count(row))}, 1.0)
        for k, row in enumerate(rows)
    ]


def one(row, n):
    return {name: values[n] for name, values in row.items()}


def count(row):
    return len(next(iter(row.values())))


def test_a_trial_that_is_better_beyond_chance_ranks_first():
    random = np.random.default_rng(0)
    rows = [{"dice_after": list(random.normal(mean, 0.02, 12))} for mean in (0.6, 0.8, 0.7)]
    assert order_of(trials(*rows)) == [1, 2, 0]


def test_what_the_ranking_cannot_tell_apart_is_told_by_the_mean():
    rows = [{"dice_after": [0.60]}, {"dice_after": [0.62]}, {"dice_after": [0.61]}]
    assert order_of(trials(*rows)) == [1, 2, 0]
    errors = [{"tre_mm_after": [v]} for v in (2.0, 1.0, 3.0)]
    assert order_of(trials(*errors)) == [1, 0, 2]


def test_annotation_ranks_where_there_is_any_and_images_do_otherwise():
    images = {"similarity_after": [0.5], "folding_percent": [0.1], "sd_log_jacobian": [0.1]}
    assert figures_that_rank(trials(images)) == ["similarity_after", "folding_percent"]
    both = images | {"dice_after": [0.5], "hd95_mm_after": [None]}
    assert figures_that_rank(trials(both)) == ["dice_after", "sd_log_jacobian"]


@pytest.mark.parametrize("mode", ["accurate", "paper"])
def test_whatever_is_drawn_or_varied_is_something_the_solver_takes(mode):
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        changes = draw(mode, random)
        settings = settings_of(mode, json.loads(json.dumps(changes)))
        seen |= {settings.levels}
        for _ in range(3):
            changes = vary(mode, changes, random)
            settings_of(mode, changes)
        if "weights" in changes:
            assert sum(changes["weights"]) == pytest.approx(1)
            assert min(changes["weights"]) > 0
        assert all(2 <= n <= 6 for n in changes["reach"])
        assert 1 <= changes["mind_radius"] <= 3
    assert len(seen) == 5


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    write_images(root, cases=(1, 2), shape=(20, 22, 18), paired=True)
    return root


def search(images, folder, **options):
    pairs = PairDataset(DatasetPairs(images, "train"))
    inferer = MCBOInferer(IsotropicFrame(), affine="none", bar=False)
    return SettingsSearch(pairs, inferer, folder, bar=False, **options)


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(images, tmp_path):
    whole = search(images, tmp_path / "a", max_epochs=5, refine=2)
    whole.run()
    found = json.loads((tmp_path / "a/trials.json").read_text())
    (tmp_path / "b").mkdir()
    (tmp_path / "b/trials.json").write_text(json.dumps(found | {"trials": found["trials"][:3]}))
    again = search(images, tmp_path / "b", max_epochs=5, refine=2)
    again.run()
    tried = [[(t.mode, t.changes, t.figures) for t in s.trials] for s in (whole, again)]
    assert tried[0] == tried[1]
    assert len({json.dumps((t.mode, t.changes)) for t in whole.trials}) == 5


def test_a_search_on_other_data_is_not_continued(images, tmp_path):
    search(images, tmp_path, max_epochs=2, refine=0, signature={"content": "a"}).run()
    with pytest.raises(UserError, match="its content is 'a', this one's 'b'"):
        search(images, tmp_path, max_epochs=2, refine=0, signature={"content": "b"}).run()


def test_the_bundle_fits_settings_and_leaves_a_preset_and_a_bundle(images, tmp_path):
    own = tmp_path / "own.tfm"
    write_transform(own, Transform(torch.eye(4)), None)
    settings = {
        "dataset_dir": str(images),
        "output_dir": str(tmp_path / "out"),
        "affine": str(own),
        "epochs": 3,
        "refine": 0,
        "bar": False,
        "device": "$torch.device('cpu')",
    }
    run_bundle(bundle_folder("mcbo"), settings, ["train.yaml"])
    preset = read_preset(tmp_path / "out/preset.json")
    inference = json.loads((tmp_path / "out/configs/inference.json").read_text())
    assert inference["affine"] == "auto"  # a file of this computer is no default for others
    assert inference["mode"] == preset["mode"]
    assert inference["solver_settings"] == preset["changes"]
    trained = json.loads((tmp_path / "out/configs/metadata.json").read_text())["trained"]
    assert trained["figures_after"]["dice_after"] >= trained["figures_before"]["dice_after"]
    assert len(json.loads((tmp_path / "out/train/trials.json").read_text())["trials"]) == 3


@pytest.mark.parametrize(
    "content",
    [
        {"mode": "accurate", "changes": {}},
        {"kind": "regzoo mcbo preset", "mode": "fast", "changes": {}},
        {"kind": "regzoo mcbo preset", "mode": "paper", "changes": {"speed": 1}},
        {"kind": "regzoo mcbo preset", "mode": "paper", "changes": {"levels": [1]}},
    ],
)
def test_a_file_that_is_no_preset_is_refused(tmp_path, content):
    path = tmp_path / "preset.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError):
        read_preset(path)


def test_no_preset_changes_nothing():
    assert read_preset(None) == {}
