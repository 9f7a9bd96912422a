"""What is detected about uploads, compared with how the files were made; previews."""

import base64
import gzip
import shutil
import zipfile

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from support.app_client import UPLOAD, client, error_of, upload, write_phantom
from support.dicom_cases import analytic_slices, write_series, write_slices

from zoo.synthesis.phantom import placed_grid


@pytest.fixture
def server(tmp_path):
    (tmp_path / "server").mkdir()
    return client(tmp_path / "server")


@pytest.fixture
def files(tmp_path):
    return write_phantom(tmp_path)


def save(path, data, affine=None):
    nib.save(nib.Nifti1Image(data, np.diag([2, 2, 2, 1]) if affine is None else affine), path)
    return path


def test_an_image_is_described_as_it_was_made(server, tmp_path):
    affine = np.array([[0, -3.0, 0, 5], [-1.5, 0, 0, 7], [0, 0, 2.0, -9], [0, 0, 0, 1]])
    data = np.random.default_rng(0).normal(100, 40, (30, 20, 25)).astype(np.float32)
    made = upload(server, save(tmp_path / "scan.nii", data, affine)).json()
    assert (made["name"], made["source"], made["kind"]) == ("scan.nii", "upload", "image")
    assert made["bytes"] == (tmp_path / "scan.nii").stat().st_size
    image = made["image"]
    assert image["shape"] == [30, 20, 25]
    assert image["spacing_mm"] == [1.5, 3.0, 2.0]
    assert image["field_mm"] == [45.0, 60.0, 50.0]
    assert image["orientation"] == "PLS"
    assert image["type"] == "float32"
    assert image["minimum"] == pytest.approx(data.min())
    assert image["modality"]["value"] is None
    assert made["problem"] is None
    assert server.get(f"/api/inputs/{made['id']}").json() == made


def test_ct_is_recognised_with_its_evidence(server, tmp_path):
    values = np.random.default_rng(0).integers(-1024, 1500, (20, 20, 20)).astype(np.int16)
    modality = upload(server, save(tmp_path / "a.nii.gz", values)).json()["image"]["modality"]
    assert (modality["value"], modality["confidence"]) == ("ct", "certain")
    assert "Hounsfield" in modality["evidence"]


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_other_formats_are_read(server, tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(np.random.rand(20, 24, 28).astype(np.float32)), path)
    assert upload(server, path).json()["image"]["shape"] == [28, 24, 20]


def test_label_maps_and_points_are_told_from_images(server, files):
    kinds = {role: upload(server, path).json() for role, path in files.items()}
    assert kinds["fixed"]["kind"] == "image"
    assert kinds["fixed_labels"]["kind"] == "labels"
    count = len(np.unique(nib.load(files["fixed_labels"]).dataobj)) - 1
    assert kinds["fixed_labels"]["labels"] == {"count": count}
    assert kinds["fixed_points"]["kind"] == "points"
    rows = len(files["fixed_points"].read_text().splitlines()) - 1
    assert kinds["fixed_points"]["points"] == {"count": rows}


def test_an_image_of_few_whole_numbers_is_no_label_map(server, tmp_path):
    noise = np.random.default_rng(0).integers(0, 200, (20, 20, 20)).astype(np.uint8)
    assert upload(server, save(tmp_path / "a.nii", noise)).json()["kind"] == "image"


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.nrrd", "a.csv", "a.jpg", "a", "a.vtk"])
def test_a_file_that_is_something_else_gives_a_sentence(server, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"this is not what the name says \x00\x01" * 5)
    made = upload(server, path)
    assert made.status_code == 201
    problem = made.json()["problem"]
    assert name in problem
    assert str(server.state.folder) not in problem
    id = made.json()["id"]
    assert str(server.state.folder) not in error_of(server.get(f"/api/inputs/{id}/preview"), 422)


def test_a_series_of_volumes_is_described_by_its_first(server, tmp_path):
    data = np.random.default_rng(0).normal(100, 40, (20, 20, 20, 3)).astype(np.float32)
    made = upload(server, save(tmp_path / "a.nii.gz", data)).json()
    assert made["image"]["volumes"] == 3
    assert made["problem"] is None
    assert server.get(f"/api/inputs/{made['id']}/preview").status_code == 200


def upload_folder(server, folder, name="series"):
    """Upload a folder as the page does, and return the last answer."""
    params = {"name": name, "folder": "true"}
    id = server.post("/api/inputs", params=params, headers=UPLOAD).json()["id"]
    for path in (path for path in folder.rglob("*") if path.is_file()):
        params = {"name": path.relative_to(folder).as_posix()}
        body = path.read_bytes()
        url = f"/api/inputs/{id}/files"
        assert server.put(url, params=params, content=body, headers=UPLOAD).status_code == 204
    return server.post(f"/api/inputs/{id}/complete")


def zip_of(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (file for file in folder.rglob("*") if file.is_file()):
            archive.write(file, file.relative_to(folder))
        archive.writestr("__MACOSX/._x.nii.gz", b"\0\1")
    return path


def test_a_dicom_series_is_the_same_as_a_folder_and_as_a_zip(server, tmp_path):
    write_series(tmp_path / "dicom" / "sub", shape=(12, 10, 7))
    by_folder = upload_folder(server, tmp_path / "dicom").json()
    by_zip = upload(server, zip_of(tmp_path / "dicom", tmp_path / "scan.zip")).json()
    for made in (by_folder, by_zip):
        assert made["problem"] is None
        assert made["image"]["modality"]["value"] == "ct"
        assert made["image"]["shape"] == by_folder["image"]["shape"]
    assert sorted(by_folder["image"]["shape"]) == [7, 10, 12]
    previews = [
        server.get(f"/api/inputs/{made['id']}/preview").json() for made in (by_folder, by_zip)
    ]
    assert previews[0]["data"] == previews[1]["data"]
    request = {"fixed": by_zip["id"], "moving": by_folder["id"]}
    plan = server.post("/api/plan", json=request).json()
    assert plan["command"]["shell"].startswith("regzoo register scan series --out")
    assert "unpacking" in plan["note"]


def test_one_of_several_series_is_chosen(server, tmp_path):
    for k, shape in enumerate([(12, 10, 7), (14, 9, 5)]):
        slices, _ = analytic_slices(shape=shape, SeriesDescription=f"part {k}")
        write_slices(tmp_path / "dicom" / str(k), slices)
    made = upload_folder(server, tmp_path / "dicom").json()
    assert "choose one" in made["problem"]
    assert len(made["series"]) == 2
    chosen = next(series for series in made["series"] if "part 1" in series["title"])
    url = f"/api/inputs/{made['id']}/series"
    answer = server.post(url, json={"uid": chosen["uid"]}).json()
    assert answer["problem"] is None
    assert sorted(answer["image"]["shape"]) == [5, 9, 14]
    for uid in ("1.2.3", None, "../x"):
        error_of(server.post(url, json={"uid": uid}), 400)


def test_a_zip_with_one_image_is_that_image(server, files, tmp_path):
    (tmp_path / "packed").mkdir()
    shutil.copy(files["fixed"], tmp_path / "packed" / "brain.nii.gz")
    made = upload(server, zip_of(tmp_path / "packed", tmp_path / "a.zip")).json()
    assert made["image"]["shape"] == [24, 24, 24]
    shutil.copy(files["moving"], tmp_path / "packed" / "other.nii.gz")
    assert "2 images" in error_of(
        upload(server, zip_of(tmp_path / "packed", tmp_path / "a.zip")), 422
    )


def test_a_zip_of_the_data_folder_is_unpacked_elsewhere(files, tmp_path):
    for name in ("data", "server", "packed"):
        (tmp_path / name).mkdir(exist_ok=True)
    shutil.copy(files["fixed"], tmp_path / "packed" / "brain.nii.gz")
    packed = zip_of(tmp_path / "packed", tmp_path / "data" / "a.zip")
    server = client(tmp_path / "server", data=tmp_path / "data")
    made = server.post("/api/inputs", json={"path": "a.zip"}).json()
    assert made["image"]["shape"] == [24, 24, 24]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["a.zip"]
    assert server.delete(f"/api/inputs/{made['id']}").status_code == 204
    assert packed.exists()
    assert not list((tmp_path / "server" / "inputs").iterdir())


def test_a_preview_shows_the_intensities_of_the_image(server, tmp_path):
    grid = placed_grid((40, 30, 20), (2.0, 1.5, 3.0), axes="LPS", tilt_degrees=17)
    data = np.random.default_rng(0).normal(100, 40, (40, 30, 20)).astype(np.float32)
    id = upload(server, save(tmp_path / "a.nii", data, grid.affine.numpy())).json()["id"]
    shown = server.get(f"/api/inputs/{id}/preview").json()
    codes = np.frombuffer(gzip.decompress(base64.b64decode(shown["data"]["image"])), np.uint8)
    image = np.array(shown["image"]["levels"])[codes].reshape(shown["shape"], order="F")
    affine = np.array(shown["affine"])
    index = np.array([[5, 6, 7], [20, 3, 15]])
    world = index @ affine[:3, :3].T + affine[:3, 3]
    original = np.linalg.inv(grid.affine.numpy())
    there = np.round(world @ original[:3, :3].T + original[:3, 3]).astype(int)
    expected = data[tuple(there.T)]
    step = np.diff(shown["image"]["levels"]).max()
    assert image[tuple(index.T)] == pytest.approx(expected, abs=step)
    assert all(0 <= c < n for c, n in zip(shown["centre"], shown["shape"], strict=True))


def test_an_unknown_or_removed_input_is_404(server, files):
    made = upload(server, files["fixed"]).json()
    assert server.delete(f"/api/inputs/{made['id']}").status_code == 204
    for id in (made["id"], "x", "..%2f"):
        error_of(server.get(f"/api/inputs/{id}"), 404)
        error_of(server.get(f"/api/inputs/{id}/preview"), 404)
        error_of(server.delete(f"/api/inputs/{id}"), 404)
    assert not list((server.state.folder / "inputs").iterdir())
