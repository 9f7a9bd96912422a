"""The pairs that are drawn from a dataset."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
from support.train_cases import write_images

from zoo.errors import UserError
from zoo.registration.inferer import PairInferer
from zoo.registration.working_grid import ResizedFrame
from zoo.training.preparation import PairPreparation
from zoo.training.source import TrainingSource

PREPARATION = PairPreparation(PairInferer(ResizedFrame((8, 8, 8)), affine="none"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("one contrast")
    write_images(root, cases=(1, 2), shape=(9, 10, 8))
    return root


@pytest.fixture(scope="module")
def contrasts(tmp_path_factory):
    root = tmp_path_factory.mktemp("three contrasts")
    write_images(root, cases=(1, 2), shape=(9, 10, 8), contrasts=("t1", "t2", "pd"))
    return root


def drawn(source, count=300):
    random = np.random.default_rng(0)
    return [source.draw(random) for _ in range(count)]


def case(path):
    return path.name.split("_")[1]


def slot(path):
    return path.name.split("_")[2][:4]


def test_images_without_listed_pairs_are_paired_at_random_and_never_with_themselves(images):
    pairs = Counter(
        (case(d.network_files.fixed), case(d.network_files.moving[0])) for d in drawn_from(images)
    )
    assert len(pairs) == 4 * 3
    assert all(fixed != moving for fixed, moving in pairs)
    assert min(pairs.values()) > 10


def drawn_from(root, **options):
    return drawn(TrainingSource(root, PREPARATION, **options))


def test_labels_come_with_their_images(images):
    draft = drawn_from(images)[0]
    assert draft.loss_files is None
    assert draft.network_files.fixed_labels.name == draft.network_files.fixed.name
    assert draft.network_files.moving_labels.parent.name == "labelsTr"


def test_listed_pairs_are_used_unless_random_pairs_are_selected(images):
    pairs = {
        (d.network_files.fixed, d.network_files.moving) for d in drawn_from(images, split="val")
    }
    assert len(pairs) == 1
    others = {
        (d.network_files.fixed, d.network_files.moving)
        for d in drawn_from(images, split="val", draw="random")
    }
    assert len(others) == 2


def test_slots_that_are_not_aligned_are_paired_within_each_case(contrasts):
    for draft in drawn_from(contrasts):
        assert case(draft.network_files.fixed) == case(draft.network_files.moving[0])
        assert slot(draft.network_files.fixed) == "0000"


def test_slots_paired_at_random_keep_their_sides(contrasts):
    drafts = drawn_from(contrasts, draw="random")
    assert {slot(d.network_files.fixed) for d in drafts} == {"0000"}
    assert {slot(d.network_files.moving[0]) for d in drafts} == {"0001", "0002"}
    assert any(case(d.network_files.fixed) != case(d.network_files.moving[0]) for d in drafts)


def test_loss_randomisation_is_four_independent_draws_among_the_contrasts(contrasts):
    drafts = drawn_from(contrasts, aligned=True)
    for d in drafts:
        assert case(d.network_files.fixed) == case(d.loss_files.fixed)
        assert case(d.network_files.moving[0]) == case(d.loss_files.moving[0])
        assert case(d.network_files.fixed) != case(d.network_files.moving[0])
    paths = [(*images_of(d.network_files), *images_of(d.loss_files)) for d in drafts]
    draws = np.array([[int(slot(path)) for path in row] for row in paths])
    assert len({tuple(row) for row in draws}) > 60  # of 81
    correlation = np.corrcoef(draws.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.2
    assert all(np.bincount(column, minlength=3).min() > 70 for column in draws.T)


def images_of(files):
    return files.fixed, files.moving[0]


def test_the_images_of_an_aligned_case_share_the_labels_of_one_of_them(contrasts, tmp_path):
    shutil.copytree(contrasts / "imagesTr", tmp_path / "imagesTr")
    (tmp_path / "labelsTr").mkdir()
    for k in range(2, 6):
        name = f"Ph_{k:04d}_0001.nii.gz"
        (tmp_path / "labelsTr" / name).write_bytes((contrasts / "labelsTr" / name).read_bytes())
    document = json.loads((contrasts / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    source = TrainingSource(tmp_path, PREPARATION, aligned=True)
    assert {slot(d.network_files.fixed_labels) for d in drawn(source, 20)} == {"0001"}


def test_a_single_image_is_refused(tmp_path):
    document = write_images(tmp_path, cases=(1,), shape=(9, 10, 8))
    document["training"] = document["training"][:1]
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match="fewer than two images"):
        drawn_from(tmp_path, split="train")


def test_a_dataset_that_changed_since_its_plan_is_refused(images):
    with pytest.raises(UserError, match="changed since its plan"):
        drawn_from(images, content="0" * 64)


@pytest.mark.parametrize(
    ("options", "words"), [({"draw": "all"}, "listed or random"), ({"weight": 0}, "greater than 0")]
)
def test_invalid_options_are_refused(images, options, words):
    with pytest.raises(UserError, match=words):
        TrainingSource(images, PREPARATION, **options)
