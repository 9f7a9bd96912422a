"""Transforms that must be refused."""

from __future__ import annotations

import struct

import h5py
import numpy as np

from support.bad_files.table import bad, field_image, good_image, save, text


def hdf5(folder, kinds, parameters=12):
    path = folder / "bad.h5"
    ascii_text = h5py.string_dtype("ascii")
    with h5py.File(path, "w") as store:
        for number, kind in enumerate(kinds):
            group = store.create_group(f"TransformGroup/{number}")
            group.create_dataset("TransformType", data=[f"{kind}_double_3_3"], dtype=ascii_text)
            if kind != "CompositeTransform":
                group.create_dataset("TransformParameters", data=np.zeros(parameters))
                group.create_dataset("TransformFixedParameters", data=np.zeros(3))
    return path


@bad("transform", "there is no file")
def missing_transform(folder):
    return folder / "nowhere.h5"


@bad("transform", "not a known transform")
def picture_for_a_transform(folder):
    path = folder / "bad.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    return path


@bad("transform", "is a volume")
def volume_for_a_transform(folder):
    return save(folder, good_image())


@bad("transform", "intent code 0")
def field_without_intent(folder):
    return save(folder, field_image(intent=0))


@bad("transform", "intent code 1006")
def field_with_the_displacement_intent(folder):
    return save(folder, field_image(intent=1006))


@bad("transform", r"\(X, Y, Z, 1, 3\)")
def field_of_two_components(folder):
    return save(folder, field_image((6, 5, 4, 1, 2)))


@bad("transform", r"\(X, Y, Z, 1, 3\)")
def field_over_time(folder):
    return save(folder, field_image((6, 5, 4, 2, 3)))


@bad("transform", "int16; save the field")
def field_of_integers(folder):
    return save(folder, field_image(dtype=np.int16))


@bad("transform", "NaN or Inf")
def field_with_nan(folder):
    image = field_image()
    np.asarray(image.dataobj)[0, 0, 0, 0, 0] = np.nan
    return save(folder, image)


@bad("transform", "truncated or damaged")
def truncated_field(folder):
    path = save(folder, field_image((16, 16, 16, 1, 3)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@bad("transform", "Learn2Reg field.*fixed and its moving")
def learn2reg_field_without_its_images(folder):
    return save(folder, good_image((6, 5, 4, 3), np.float32))


@bad("transform", "no TransformGroup")
def hdf5_of_something_else(folder):
    with h5py.File(folder / "bad.h5", "w") as store:
        store["weights"] = np.zeros(3)
    return folder / "bad.h5"


@bad("transform", "truncated or damaged")
def truncated_hdf5(folder):
    path = hdf5(folder, ["AffineTransform"])
    path.write_bytes(path.read_bytes()[:600])
    return path


@bad("transform", "BSplineTransform; allowed")
def hdf5_with_a_bspline(folder):
    return hdf5(folder, ["CompositeTransform", "BSplineTransform"])


@bad("transform", "cannot be inverted")
def hdf5_with_a_singular_affine(folder):
    return hdf5(folder, ["AffineTransform"])


@bad("transform", "11 parameters but needs 12")
def hdf5_affine_of_eleven_numbers(folder):
    return hdf5(folder, ["AffineTransform"], parameters=11)


@bad("transform", "grid of the field needs 18")
def hdf5_field_without_a_grid(folder):
    return hdf5(folder, ["CompositeTransform", "DisplacementFieldTransform"])


@bad("transform", "no composite")
def hdf5_of_two_transforms_without_composite(folder):
    return hdf5(folder, ["AffineTransform", "AffineTransform"])


@bad("transform", "truncated or damaged.*not an ITK transform")
def hdf5_without_parameters(folder):
    path = hdf5(folder, ["AffineTransform"])
    with h5py.File(path, "a") as store:
        del store["TransformGroup/0/TransformParameters"]
    return path


TFM = "#Insight Transform File V1.0\n#Transform 0\n"


@bad("transform", "line 4: could not convert.*'one'")
def tfm_with_words_for_numbers(folder):
    body = "Transform: AffineTransform_double_3_3\nParameters: one 0 0\nFixedParameters: 0 0 0\n"
    return text(folder, "bad.tfm", TFM + body)


@bad("transform", "line 3.*not part of a transform")
def tfm_with_parameters_before_a_transform(folder):
    return text(folder, "bad.tfm", TFM + "Parameters: 1 0 0\n")


@bad("transform", "contains 0 transforms")
def tfm_without_transforms(folder):
    return text(folder, "bad.tfm", TFM)


@bad("transform", "0 parameters but needs 12")
def tfm_without_parameters(folder):
    return text(folder, "bad.tfm", TFM + "Transform: AffineTransform_double_3_3\n")


@bad("transform", "NaN or Inf among its parameters")
def tfm_with_nan(folder):
    body = "Transform: TranslationTransform_double_3_3\nParameters: 1 nan 2\nFixedParameters:\n"
    return text(folder, "bad.tfm", TFM + body)


@bad("transform", "BSplineTransform; allowed")
def tfm_with_a_bspline(folder):
    body = "Transform: BSplineTransform_double_3_3\nParameters: 1 2 3\nFixedParameters: 1 2 3\n"
    return text(folder, "bad.tfm", TFM + body)


@bad("transform", "three-dimensional")
def tfm_in_two_dimensions(folder):
    body = "Transform: AffineTransform_double_2_2\nParameters: 1 0 0 1 0 0\nFixedParameters: 0 0\n"
    return text(folder, "bad.tfm", TFM + body)


@bad("transform", "MATLAB 4")
def truncated_mat(folder):
    name = b"AffineTransform_double_3_3\0"
    path = folder / "bad.mat"
    path.write_bytes(struct.pack("<5i", 0, 12, 1, 0, len(name)) + name + bytes(40))
    return path
