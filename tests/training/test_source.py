"""Which pairs are drawn from a dataset."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
from support.train_cases import write_images

from zoo.errors import UserError
from zoo.registration.inferer import PairInferer
from zoo.registration.working_grid import ResizedFrame
from zoo.training.source import TrainingSource

INFERER = PairInferer(ResizedFrame((8, 8, 8)), affine="none")


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
    pairs = Counter((case(d.seen.fixed), case(d.seen.moving[0])) for d in drawn_from(images))
    assert len(pairs) == 4 * 3
    assert all(fixed != moving for fixed, moving in pairs)
    assert min(pairs.values()) > 10


def drawn_from(root, **options):
    return drawn(TrainingSource(root, INFERER, **options))


def test_labels_come_with_their_images(images):
    draft = drawn_from(images)[0]
    assert draft.compared is None
    assert draft.seen.fixed_labels.name == draft.seen.fixed.name
    assert draft.seen.moving_labels.parent.name == "labelsTr"


def test_listed_pairs_are_kept_to(images):
    pairs = {(d.seen.fixed, d.seen.moving) for d in drawn_from(images, split="val")}
    assert len(pairs) == 1
    others = {(d.seen.fixed, d.seen.moving) for d in drawn_from(images, split="val", draw="random")}
    assert len(others) == 2


def test_two_slots_that_are_not_aligned_are_the_listed_pairs_of_each_case(contrasts):
    for draft in drawn_from(contrasts):
        assert case(draft.seen.fixed) == case(draft.seen.moving[0])
        assert slot(draft.seen.fixed) == "0000"


def test_slots_paired_at_random_keep_their_sides(contrasts):
    found = drawn_from(contrasts, draw="random")
    assert {slot(d.seen.fixed) for d in found} == {"0000"}
    assert {slot(d.seen.moving[0]) for d in found} == {"0001", "0002"}
    assert any(case(d.seen.fixed) != case(d.seen.moving[0]) for d in found)


def test_loss_randomisation_is_four_independent_draws_among_the_contrasts(contrasts):
    found = drawn_from(contrasts, aligned=True)
    for d in found:
        assert case(d.seen.fixed) == case(d.compared.fixed)
        assert case(d.seen.moving[0]) == case(d.compared.moving[0])
        assert case(d.seen.fixed) != case(d.seen.moving[0])
    draws = np.array(
        [
            [int(slot(p)) for p in (*(d.seen.fixed, d.seen.moving[0]), *both(d.compared))]
            for d in found
        ]
    )
    assert len({tuple(row) for row in draws}) > 60  # of 81
    correlation = np.corrcoef(draws.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.2
    assert all(np.bincount(column, minlength=3).min() > 70 for column in draws.T)


def both(files):
    return files.fixed, files.moving[0]


def test_an_aligned_case_shares_the_labels_of_one_of_its_images(contrasts, tmp_path):
    shutil.copytree(contrasts / "imagesTr", tmp_path / "imagesTr")
    (tmp_path / "labelsTr").mkdir()
    for k in range(2, 6):
        name = f"Ph_{k:04d}_0001.nii.gz"
        (tmp_path / "labelsTr" / name).write_bytes((contrasts / "labelsTr" / name).read_bytes())
    document = json.loads((contrasts / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    source = TrainingSource(tmp_path, INFERER, aligned=True)
    assert {slot(d.seen.fixed_labels) for d in drawn(source, 20)} == {"0001"}


def test_a_single_image_makes_no_pair(tmp_path):
    document = write_images(tmp_path, cases=(1,), shape=(9, 10, 8))
    document["training"] = document["training"][:1]
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match="fewer than two images"):
        drawn_from(tmp_path, split="train")


def test_a_dataset_that_changed_since_its_plan_is_refused(images):
    with pytest.raises(UserError, match="changed since its plan"):
        drawn_from(images, content="0" * 64)


@pytest.mark.parametrize(
    ("options", "words"), [({"draw": "all"}, "listed or random"), ({"weight": 0}, "above 0")]
)
def test_options_that_make_no_sense_are_refused(images, options, words):
    with pytest.raises(UserError, match=words):
        TrainingSource(images, INFERER, **options)
