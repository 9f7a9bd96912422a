"""Heaps are compared with the file format specification of HDF5, and one with the library's."""

import struct

import h5py
import pytest
from support.hdf5_heaps import free, heap, stored

from zoo.io.itk.hdf5_heaps import heaps_are_sound

SOUND = {
    "no objects": heap(),
    "the smallest free space": heap(free(16)),
    "free space in two pieces": heap(free(24), free(40)),
    "objects of many sizes": heap(
        *(stored(k + 1, bytes(size)) for k, size in enumerate((0, 1, 7, 8, 9, 16))), free(32)
    ),
    "an object of no size at the end": heap(stored(1, b"")),
    "eight bytes left": heap(stored(1, b"abc"), bytes(8)),
    "fifteen bytes left": heap(stored(1, b"abc"), bytes(15)),
}
UNSOUND = {
    "free space of no size": heap(free(0)),
    "free space of no size before an object": heap(free(0), stored(1, bytes(8))),
    "free space smaller than its header": heap(free(15), bytes(64)),
    "small free space after free space": heap(free(24), free(15)),
    **{
        f"small free space after an object of {size} bytes": heap(stored(1, bytes(size)), free(15))
        for size in (0, 1, 7, 8, 9, 16)
    },
    "an object that ends after its heap": heap(stored(1, bytes(8))[:-8]),
    "free space that ends after its heap": heap(free(40)[:-8]),
}


def are_sound(folder, content):
    (folder / "a.h5").write_bytes(content)
    return heaps_are_sound(folder / "a.h5")


@pytest.mark.parametrize("before", [0, 24])
@pytest.mark.parametrize("after", [0, 40])
@pytest.mark.parametrize("name", [*SOUND, *UNSOUND])
def test_objects_lie_one_after_the_other_in_a_sound_heap(tmp_path, name, before, after):
    content = bytes(before) + (SOUND | UNSOUND)[name] + bytes(after)
    assert are_sound(tmp_path, content) is (name in SOUND)


@pytest.mark.parametrize("before", [0, 24])
@pytest.mark.parametrize(("more", "expected"), [(0, True), (1, False), (8, False)])
def test_a_heap_ends_with_the_file_at_the_latest(tmp_path, before, more, expected):
    content = heap(stored(1, bytes(8)), size=40 + more)
    assert are_sound(tmp_path, bytes(before) + content) is expected


@pytest.mark.parametrize("before", [0, 24])
@pytest.mark.parametrize("length", [8, 9, 15])
def test_a_heap_whose_header_is_cut_off_is_not_sound(tmp_path, before, length):
    assert not are_sound(tmp_path, bytes(before) + heap()[:length])


GOOD = heap(stored(1, bytes(8)), free(24))
BAD = heap(free(0), stored(1, bytes(8)))


@pytest.mark.parametrize("before", [0, 24])
@pytest.mark.parametrize(
    ("heaps", "expected"),
    [
        ((), True),
        ((GOOD, GOOD), True),
        ((GOOD, BAD), False),
        ((BAD, GOOD), False),
        ((GOOD, bytes(40), GOOD, bytes(8), BAD), False),
    ],
    ids=["none", "two", "second", "first", "third"],
)
def test_every_heap_of_a_file_is_checked(tmp_path, before, heaps, expected):
    content = bytes(before) + b"".join(heaps) + bytes(8)
    assert are_sound(tmp_path, content) is expected


def test_a_heap_of_the_hdf5_library_is_sound_until_its_free_space_has_no_size(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as store:
        store["texts"] = ["first", "a second one"]
    content = bytearray((tmp_path / "a.h5").read_bytes())
    assert are_sound(tmp_path, content)
    position = content.index(b"GCOL") + 16
    for _ in range(2):
        index, size = struct.unpack_from("<H6xQ", content, position)
        assert index
        position += 16 + size + -size % 8
    index, size = struct.unpack_from("<H6xQ", content, position)
    assert index == 0
    assert size > 1000
    content[position + 8 : position + 16] = bytes(8)
    assert not are_sound(tmp_path, content)
