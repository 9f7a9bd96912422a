"""The folder of the Space: what the Dockerfile copies is there, and the demo pairs can be read."""

import re

import make_space
import pytest
import yaml

from zoo.datasets import read_dataset


@pytest.fixture
def space(tmp_path):
    wheel = tmp_path / "regzoo-1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    out = tmp_path / "space"
    make_space.make_space(wheel, out)
    return out


def test_everything_that_the_dockerfile_copies_is_there(space):
    copied = re.findall(r"^COPY (?:--\S+ )?(\S+) ", (space / "Dockerfile").read_text(), re.M)
    assert len(copied) == 3
    assert all(list(space.glob(pattern)) for pattern in copied)


def test_the_front_matter_names_the_port_of_the_command(space):
    front = yaml.safe_load((space / "README.md").read_text(encoding="utf-8").split("---")[1])
    command = yaml.safe_load(re.search(r"^CMD (.*)$", (space / "Dockerfile").read_text(), re.M)[1])
    assert front["sdk"] == "docker"
    assert front["app_port"] == int(command[command.index("--port") + 1])
    assert "--public" in command
    assert len(front["short_description"]) <= 60  # the limit of the Hub


def test_the_demo_is_a_dataset_whose_pairs_have_labels(space):
    pairs = read_dataset(space / "demo").pairs("all")
    assert len(pairs) == 2
    for pair in pairs:
        names = [pair[role] for role in ("fixed", "moving", "fixed_labels", "moving_labels")]
        assert len({str(name) for name in names}) == 4


def test_a_folder_with_other_files_is_not_emptied(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(SystemExit, match="not the folder of a Space"):
        make_space.make_space(tmp_path / "regzoo.whl", tmp_path)
    assert (tmp_path / "mine.txt").exists()
