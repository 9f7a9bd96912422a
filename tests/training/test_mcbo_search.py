"""Fitting the settings of MCBO: the ranking of trials, resuming, and the exported bundle."""

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
from zoo.registration.mcbo import MCBOInferer, read_preset
from zoo.registration.working_grid import IsotropicFrame
from zoo.runtime.bundle import run_bundle
from zoo.training.mcbo_search import SettingsSearch, Trial, rank_trials, ranking_figures


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
    assert rank_trials(trials(*rows)) == [1, 2, 0]


def test_trials_of_one_rank_are_ordered_by_the_mean():
    rows = [{"dice_after": [0.60]}, {"dice_after": [0.62]}, {"dice_after": [0.61]}]
    assert rank_trials(trials(*rows)) == [1, 2, 0]
    errors = [{"tre_mm_after": [v]} for v in (2.0, 1.0, 3.0)]
    assert rank_trials(trials(*errors)) == [1, 0, 2]


def test_annotations_rank_the_trials_if_there_are_any_and_images_otherwise():
    images = {"similarity_after": [0.5], "folding_percent": [0.1], "sd_log_jacobian": [0.1]}
    assert ranking_figures(trials(images)) == ["similarity_after", "folding_percent"]
    both = images | {"dice_after": [0.5], "hd95_mm_after": [None]}
    assert ranking_figures(trials(both)) == ["dice_after", "sd_log_jacobian"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    write_images(root, cases=(1,), shape=(20, 22, 18), paired=True)
    return root


def search(images, folder, **options):
    pairs = PairDataset(DatasetPairs(images, "train"))
    inferer = MCBOInferer(IsotropicFrame(), affine="none", bar=False)
    return SettingsSearch(pairs, inferer, folder, bar=False, **options)


def test_a_resumed_search_runs_the_trials_of_a_search_without_interruption(images, tmp_path):
    whole = search(images, tmp_path / "a", max_epochs=5, refine=2)
    whole.run()
    document = json.loads((tmp_path / "a/trials.json").read_text())
    (tmp_path / "b").mkdir()
    (tmp_path / "b/trials.json").write_text(
        json.dumps(document | {"trials": document["trials"][:3]})
    )
    resumed = search(images, tmp_path / "b", max_epochs=5, refine=2)
    resumed.run()
    tried = [[(t.mode, t.changes, t.figures) for t in s.trials] for s in (whole, resumed)]
    assert tried[0] == tried[1]
    assert len({json.dumps((t.mode, t.changes)) for t in whole.trials}) == 5


@pytest.mark.parametrize(("dice", "kept"), [(0.8, 1), (0.6, 0)])
def test_the_preset_is_kept_unless_the_best_settings_are_better_on_other_pairs(
    tmp_path, monkeypatch, dice, kept
):
    """Trial 1 is the best of the search; on the validation pairs it has a Dice of `dice`."""

    class Evaluator:
        def __init__(self, pairs, inferer):
            pass

        def __call__(self, mode, changes):
            return Trial(mode, changes, {"p": {"dice_after": dice if changes else 0.7}}, 1.0)

    monkeypatch.setattr("zoo.training.mcbo_search.TrialEvaluator", Evaluator)
    fitted = SettingsSearch([], None, tmp_path, bar=False)
    fitted.trials = [
        Trial("accurate", {}, {"q": {"dice_after": 0.5}}, 1.0),
        Trial("accurate", {"mind_radius": 3}, {"q": {"dice_after": 0.9}}, 1.0),
    ]
    result = fitted.validate([None])
    assert result.chosen is fitted.trials[kept]
    assert result.figures_before == {"dice_after": 0.7}
    assert result.figures_after == {"dice_after": max(dice, 0.7)}


def test_a_search_on_other_data_is_not_resumed(images, tmp_path):
    search(images, tmp_path, max_epochs=2, refine=0, signature={"content": "a"}).run()
    with pytest.raises(UserError, match="with content 'a', and this one has content 'b'"):
        search(images, tmp_path, max_epochs=2, refine=0, signature={"content": "b"}).run()


def test_the_training_config_writes_a_preset_and_a_bundle(images, tmp_path):
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
    assert inference["affine"] == "auto"  # a file of this computer does not exist on others
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
def test_an_invalid_preset_is_refused(tmp_path, content):
    path = tmp_path / "preset.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError):
        read_preset(path)


def test_no_preset_changes_nothing():
    assert read_preset(None) == {}
