"""The folder of `--data`: what is offered, and that nothing outside it can be reached."""

import pytest
from support.app_client import client, error_of, write_phantom

from zoo.app.data_folder import DataFolder
from zoo.app.request_error import RequestError

OUTSIDE = [
    *(
        "../secret.nii.gz",
        "/etc/passwd",
        "a/../../secret.nii.gz",
        "..",
        "a/..",
        "",
        "~root",
        "$HOME",
    ),
    *("link.nii.gz", "linked/secret.nii.gz", "a\\..\\secret", "C:/x", "a\0b", "//host/share"),
]


@pytest.fixture
def folder(tmp_path):
    """A folder with images, and links that lead out of it."""
    data = tmp_path / "data"
    (data / "patients" / "one").mkdir(parents=True)
    write_phantom(data / "patients")
    for name in ("secret.nii.gz", "points.csv"):
        (tmp_path / name).write_bytes(b"secret")
    (data / "link.nii.gz").symlink_to(tmp_path / "secret.nii.gz")
    (data / "linked").symlink_to(tmp_path)
    (data / "inner.nii.gz").symlink_to(data / "patients" / "fixed.nii.gz")
    (data / "notes.txt").write_text("notes")
    (data / ".hidden.nii.gz").write_bytes(b"x")
    return data


def test_folders_images_and_points_are_listed(folder):
    listed = DataFolder(folder).list("")
    assert [(e["name"], e["kind"]) for e in listed["entries"]] == [
        ("inner.nii.gz", "image"),
        ("patients", "folder"),
    ]
    inner = DataFolder(folder).list("patients")
    assert (inner["path"], inner["parent"]) == ("patients", "")
    by_path = {entry["path"]: entry for entry in inner["entries"]}
    size = (folder / "patients" / "fixed.nii.gz").stat().st_size
    assert by_path["patients/fixed.nii.gz"]["bytes"] == size
    assert by_path["patients/fixed_points.csv"]["kind"] == "points"
    assert DataFolder(folder).list("patients/one")["parent"] == "patients"


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_outside_the_folder_is_found(folder, name):
    with pytest.raises(RequestError) as refused:
        DataFolder(folder).find(name)
    assert refused.value.status in (403, 404)


@pytest.mark.parametrize("name", ["..", "linked", "/etc", "patients/../..", "notes.txt/x"])
def test_no_folder_outside_is_listed(folder, name):
    with pytest.raises(RequestError):
        DataFolder(folder).list(name)


def test_the_server_refuses_what_the_folder_refuses(folder, tmp_path):
    (tmp_path / "server").mkdir()
    server = client(tmp_path / "server", data=folder)
    for name in OUTSIDE:
        assert server.post("/api/inputs", json={"path": name}).status_code in (403, 404)
    for name in ("..", "linked", "%2e%2e", "..%2f"):
        assert server.get("/api/data", params={"path": name}).status_code in (403, 404)
    for name in (None, 1, ["a"], {}):
        error_of(server.post("/api/inputs", json={"path": name}), 400)


def test_a_file_of_the_folder_becomes_an_input_and_stays(folder, tmp_path):
    (tmp_path / "server").mkdir()
    server = client(tmp_path / "server", data=folder)
    made = server.post("/api/inputs", json={"path": "patients/fixed.nii.gz"})
    assert made.status_code == 201
    assert made.json()["source"] == "data"
    assert made.json()["image"]["shape"] == [24, 24, 24]
    assert server.delete(f"/api/inputs/{made.json()['id']}").status_code == 204
    assert (folder / "patients" / "fixed.nii.gz").exists()


def test_without_the_option_nothing_is_read(tmp_path):
    server = client(tmp_path)
    assert "--data" in error_of(server.post("/api/inputs", json={"path": "a.nii.gz"}), 403)
    assert "--data" in error_of(server.get("/api/data"), 404)
    assert server.get("/api/data/pairs").json() == {"pairs": []}


def test_the_pairs_of_a_dataset_are_offered(folder, tmp_path):
    (folder / "pairs.csv").write_text(
        "fixed,moving,fixed_points,moving_points\n"
        "patients/fixed.nii.gz,patients/moving.nii.gz,patients/fixed_points.csv,"
        "patients/moving_points.csv\n"
    )
    (tmp_path / "server").mkdir()
    server = client(tmp_path / "server", data=folder)
    (pair,) = server.get("/api/data/pairs").json()["pairs"]
    assert pair["name"] == "fixed_moving"
    assert pair["moving_points"] == "patients/moving_points.csv"
    assert pair["fixed_labels"] is None
    for role in ("fixed", "moving", "moving_points"):
        assert server.post("/api/inputs", json={"path": pair[role]}).status_code == 201
