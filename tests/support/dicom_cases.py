"""DICOM series that the tests write with pydicom, and a world function to fill them with."""

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid
from scipy.spatial.transform import Rotation

NAME, PATIENT = "Muster^Erika", "MRN-4711"
SLOPE = np.array([3.0, -5.0, 7.0])
"""The gradient of the world function, per mm (LPS)."""

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
OBLIQUE = Rotation.from_rotvec([0.4, -0.2, 0.3]).as_matrix()
"""Columns: the direction of rows, of columns and of the normal, LPS."""


def world_value(points):
    """Return the intensity of the analytic image at LPS points (..., 3)."""
    return points @ SLOPE + 40


def slice_dataset(pixels, position, *, direction, spacing, number, series, **more):
    """Return one CT slice; `pixels` [rows, columns] are stored values, intercept -1024."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CT_IMAGE
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    out.SOPClassUID, out.SOPInstanceUID = CT_IMAGE, meta.MediaStorageSOPInstanceUID
    out.PatientName, out.PatientID, out.PatientBirthDate = NAME, PATIENT, "19700101"
    out.SeriesInstanceUID = series
    out.StudyInstanceUID = generate_uid(entropy_srcs=[series, "study"])
    out.FrameOfReferenceUID = generate_uid(entropy_srcs=[series, "space"])
    out.Modality, out.SeriesDescription, out.BodyPartExamined = "CT", "Thorax 2.0", "CHEST"
    out.InstanceNumber = number
    out.ImageOrientationPatient = [f"{v:.10g}" for v in direction[:, :2].T.ravel()]
    out.ImagePositionPatient = [f"{v:.10g}" for v in position]
    out.PixelSpacing = [f"{v:.10g}" for v in spacing]
    out.SliceThickness = "2"
    out.Rows, out.Columns = pixels.shape
    out.SamplesPerPixel, out.PhotometricInterpretation = 1, "MONOCHROME2"
    out.BitsAllocated, out.BitsStored, out.HighBit, out.PixelRepresentation = 16, 16, 15, 0
    out.RescaleSlope, out.RescaleIntercept = "1", "-1024"
    out.PixelData = pixels.astype("<u2").tobytes()
    for keyword, value in more.items():
        setattr(out, keyword, value)
    return out


def analytic_slices(
    *,
    shape=(12, 9, 7),
    direction=OBLIQUE,
    spacing=(1.5, 0.75, 2.5),
    origin=(-20.0, 14.0, -33.0),
    series=None,
    distances=None,
    **more,
):
    """Return the slices of a series that shows `world_value`, and its affine to LPS mm.

    `shape` is (columns, rows, slices), `spacing` is (between rows, between columns, slices) as in
    DICOM, `distances` replaces the positions along the normal.
    """
    series = series or generate_uid()
    columns, rows, count = shape
    affine = np.eye(4)
    affine[:3, :3] = direction * [spacing[1], spacing[0], spacing[2]]
    affine[:3, 3] = origin
    j, i = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    slices = []
    for k, d in enumerate(spacing[2] * np.arange(count) if distances is None else distances):
        position = np.array(origin) + d * direction[:, 2]
        points = position + i[..., None] * affine[:3, 0] + j[..., None] * affine[:3, 1]
        pixels = np.round(world_value(points)) + 1024
        slices.append(
            slice_dataset(
                pixels, position, direction=direction, spacing=spacing[:2], number=k + 1,
                series=series, **more,
            )
        )  # fmt: skip
    return slices, affine


def small_slices(count=5, *, distances=None, **more):
    """Return axial slices of 4 x 3 pixels that are 2 mm apart, or at these distances."""
    distances = 2.0 * np.arange(count) if distances is None else distances
    return analytic_slices(
        shape=(4, 3, len(distances)), direction=np.eye(3), distances=distances, **more
    )[0]


def write_slices(folder, slices):
    """Write slices in an order that differs from their positions, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, dataset in enumerate(slices):
        dataset.save_as(folder / f"IM{(k * 7 + 3) % 101:04d}_{k}", enforce_file_format=True)
    return folder


def write_series(folder, **options):
    """Write an analytic series; return its affine to LPS mm."""
    slices, affine = analytic_slices(**options)
    write_slices(folder, slices)
    return affine


def series_of(volume, folder, *, number=100, **more):
    """Write a volume (data [X, Y, Z] with grid) as a CT series; its values are those of the data.

    The grid of the volume must be right-handed in LPS.
    """
    from zoo.io.lps import grid_to_itk

    origin, spacing, direction = grid_to_itk(volume.grid)
    series = more.pop("series", None) or generate_uid()
    data = volume.data.numpy()
    slices = [
        slice_dataset(
            np.round(data[:, :, k]).T + 1024, origin + k * spacing[2] * direction[:, 2],
            direction=direction, spacing=(spacing[1], spacing[0]), number=number + k,
            series=series, **more,
        )
        for k in range(data.shape[2])
    ]  # fmt: skip
    return write_slices(folder, slices)


def with_rle(dataset):
    """Return a slice with its pixels compressed by run lengths."""
    dataset.compress(RLELossless)
    return dataset


def enhanced(slices, *, compressed=False):
    """Return one enhanced multi-frame object of several slices, its frames in reverse order."""
    first, frames = slices[0], slices[::-1]
    out = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    for element in first:
        if element.keyword not in (
            *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "PixelData"),
            *("RescaleSlope", "RescaleIntercept", "InstanceNumber", "SliceThickness"),
        ):
            out.add(element)
    out.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out.SOPClassUID = out.file_meta.MediaStorageSOPClassUID = ENHANCED_CT
    out.file_meta.MediaStorageSOPInstanceUID = out.SOPInstanceUID = generate_uid()
    out.NumberOfFrames = len(frames)
    measures, plane, scale = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = first.PixelSpacing
    plane.ImageOrientationPatient = first.ImageOrientationPatient
    scale.RescaleSlope, scale.RescaleIntercept = "1", "-1024"
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [plane]
    shared.PixelValueTransformationSequence = [scale]
    out.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for frame in frames:
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = frame.ImagePositionPatient
        group.PlanePositionSequence = [place]
        groups.append(group)
    out.PerFrameFunctionalGroupsSequence = groups
    if compressed:
        data = [
            pydicom.encaps.get_frame(with_rle(f).PixelData, 0, number_of_frames=1) for f in frames
        ]
        out.file_meta.TransferSyntaxUID = RLELossless
        out.PixelData = encapsulate(data)
        out["PixelData"].VR = "OB"
    else:
        out.PixelData = b"".join(frame.PixelData for frame in frames)
    return out


def write_study(folder):
    """Write a CT phantom at two times as the series `baseline` and `followup` below `export`."""
    from zoo.io.volume import Volume
    from zoo.synthesis.phantom import make_pair

    made = make_pair(3, shape=(36, 40, 30), axes="LPS", tilt_degrees=8, contrasts=("ct", "ct"))
    sides = (("fixed", "baseline", "20240110"), ("moving", "followup", "20240712"))
    for k, (side, name, date) in enumerate(sides):
        data, grid = getattr(made, side), getattr(made, f"{side}_grid")
        series_of(
            Volume(data.round().clamp(-1024, 3071), grid, folder), folder / "export" / name,
            series=f"1.2.826.0.1.3680043.8.498.{k + 1}", StudyDate=date,
            SeriesDescription=f"Thorax {name}",
        )  # fmt: skip
