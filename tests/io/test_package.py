import subprocess
import sys

import pytest

import zoo.io


@pytest.mark.parametrize("name", zoo.io.__all__)
def test_public_names_can_be_imported_from_the_package(name):
    assert getattr(zoo.io, name) is not None


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'read_video'"):
        _ = zoo.io.read_video


PROGRAM = """
import sys
import zoo.io.atomic, zoo.io.files, zoo.io.json_documents
heavy = {"torch", "nibabel", "h5py", "scipy", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_modules_without_images_load_no_heavy_library():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
