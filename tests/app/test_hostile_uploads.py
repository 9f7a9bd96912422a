"""Uploads that would fill the disk, leave their folder or smuggle code are refused in words."""

import asyncio
import io
import stat
import tarfile
import zipfile

import pytest
from support.app_client import PORT, TOKEN, UPLOAD, client, error_of

from zoo.app.inputs import RESERVE

LIMIT = 200_000


@pytest.fixture
def server(tmp_path):
    (tmp_path / "files").mkdir()
    return client(tmp_path / "files", max_upload=LIMIT)


def post(server, name, body=b"x", **headers):
    return server.post("/api/inputs", params={"name": name}, content=body, headers=UPLOAD | headers)


def left(server):
    """Return the files that the server has kept."""
    return [path for path in server.state.folder.rglob("*") if path.is_file()]


def zipped(members):
    """Return a zip of (name, content) or (ZipInfo, content)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def test_ten_announced_gigabytes_are_refused_before_they_are_sent(server):
    answer = post(server, "big.nii.gz", b"x", **{"Content-Length": str(10 * 10**9)})
    assert "--max-upload" in error_of(answer, 413)
    assert not left(server)


def test_bytes_are_counted_whatever_was_announced(server):
    blocks = (b"x" * 10_000 for _ in range(30))  # sent in chunks, without a length
    assert "--max-upload" in error_of(post(server, "big.nii.gz", blocks), 413)
    assert not left(server)
    folder = post(server, "a.zip", b"")  # nothing of the refused upload hinders the next one
    error_of(folder, 422)


def test_a_folder_is_counted_as_a_whole(server):
    id = begun(server)
    half = b"x" * (LIMIT // 2 + 1)
    assert put(server, id, "a.dcm", half).status_code == 204
    error_of(put(server, id, "b.dcm", half), 413)
    error_of(put(server, id, "c.dcm", (half for _ in range(2))), 413)
    assert [path.name for path in left(server)] == ["a.dcm"]


def begun(server, name="series"):
    params = {"name": name, "folder": "true"}
    return server.post("/api/inputs", params=params, headers=UPLOAD).json()["id"]


def put(server, id, name, body=b"x"):
    return server.put(
        f"/api/inputs/{id}/files", params={"name": name}, content=body, headers=UPLOAD
    )


def test_a_full_disk_is_not_filled_further(server, monkeypatch):
    usage = type("Usage", (), {"free": RESERVE - 1})
    monkeypatch.setattr("zoo.app.inputs.shutil.disk_usage", lambda _: usage)
    assert "full" in error_of(post(server, "a.nii.gz"), 507)


@pytest.mark.parametrize(
    "name",
    [
        *("", "../a.nii.gz", "/etc/passwd", "a/b.nii.gz", "..", ".", "a\\b.nii.gz", "C:a.nii"),
        *("<img src=x onerror=alert(1)>.nii.gz", 'a".nii.gz', "a>b.nii", "a|b.nii", "a?.nii"),
        *("a\n.nii.gz", "a\0.nii.gz", "\ud800.nii.gz".encode("utf-8", "replace").decode()),
        *("x" * 300 + ".nii.gz", "$HOME.nii.gz", "~root.nii"),
    ],
)
def test_names_that_are_paths_or_html_are_refused(server, name):
    error_of(post(server, name), 400)
    assert not left(server)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a//../x", "a/<b>.dcm", ""])
def test_names_in_a_folder_stay_inside(server, name):
    id = begun(server)
    error_of(put(server, id, name), 400)
    assert not left(server)


def test_a_file_is_not_written_twice(server):
    id = begun(server)
    assert put(server, id, "a/b.dcm", b"first").status_code == 204
    assert "twice" in error_of(put(server, id, "a/b.dcm", b"second"), 409)
    assert left(server)[0].read_bytes() == b"first"


def test_nothing_is_added_to_a_complete_folder_or_a_file(server):
    id = begun(server)
    server.post(f"/api/inputs/{id}/complete")
    error_of(put(server, id, "a.dcm"), 409)
    single = post(server, "a.nii.gz").json()["id"]
    error_of(put(server, single, "b.dcm"), 409)


def test_an_archive_bomb_is_refused(server):
    bomb = zipped([("a.nii", b"\0" * (10 << 20))])
    assert len(bomb) < LIMIT < 10 << 20
    assert "MB" in error_of(post(server, "a.zip", bomb), 422)
    assert not left(server)


def test_an_archive_of_many_parts_that_is_a_bomb_together_is_refused(server):
    parts = [(f"{k}.dcm", b"\0" * (LIMIT // 2)) for k in range(5)]
    error_of(post(server, "a.zip", zipped(parts)), 422)
    assert not left(server)


@pytest.mark.parametrize("member", ["../../x.nii", "/tmp/x.nii", "a/../../x.nii", "C:\\x.nii"])
def test_a_member_that_leads_out_of_the_folder_is_refused(server, tmp_path, member):
    error_of(post(server, "a.zip", zipped([(member, b"x")])), 422)
    assert not left(server)
    assert not list(tmp_path.rglob("x.nii"))


def test_a_link_in_an_archive_is_refused(server):
    link = zipfile.ZipInfo("a.nii")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "link" in error_of(post(server, "a.zip", zipped([(link, b"/etc/passwd")])), 422)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all"])
def test_a_damaged_archive_is_refused(server, content):
    error_of(post(server, "a.zip", content), 422)
    assert not left(server)


def test_an_encrypted_member_is_refused(server):
    body = bytearray(zipped([("a.nii", b"x")]))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(signature) + offset] |= 1
    assert "cannot be unpacked" in error_of(post(server, "a.zip", bytes(body)), 422)
    assert not left(server)


def test_other_archives_are_not_unpacked(server):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../x"))
    document = post(server, "a.tar.gz", out.getvalue()).json()
    assert ".zip" in document["problem"] or "zip" in document["problem"]


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencoded"]
)
def test_what_a_form_can_send_is_refused(server, kind):
    """A form needs no permission of the browser to send to another site."""
    error_of(post(server, "a.nii.gz", b"x", **{"Content-Type": kind}), 415)
    for path in ("/api/plan", "/api/jobs"):
        error_of(server.post(path, content=b"{}", headers={"Content-Type": kind}), 415)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 100_000, b"\xff", b"nul", b"[]", b'"text"', b"1e999"]
)
def test_documents_that_are_no_request_are_refused(server, body):
    for path in ("/api/plan", "/api/jobs", "/api/inputs"):
        answer = server.post(path, content=body, headers={"Content-Type": "application/json"})
        error_of(answer, 400)


def test_a_large_document_is_refused(server):
    body = b'{"fixed": "' + b"x" * (2 << 20) + b'"}'
    answer = server.post("/api/plan", content=body, headers={"Content-Type": "application/json"})
    error_of(answer, 413)


def test_an_upload_that_breaks_off_leaves_nothing(server, caplog):
    async def answer():
        messages = [{"type": "http.request", "body": b"part", "more_body": True}]
        sent = []

        async def receive():
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        names = {"host": f"127.0.0.1:{PORT}", "cookie": f"regzoo-{PORT}={TOKEN}"}
        headers = [(k.lower().encode(), v.encode()) for k, v in (names | UPLOAD).items()]
        scope = {"type": "http", "method": "POST", "path": "/api/inputs", "headers": headers}
        scope |= {"query_string": b"name=a.nii.gz", "raw_path": b"", "root_path": ""}
        await server.app(scope, receive, send)
        return sent

    assert asyncio.run(answer())[0]["status"] == 400
    assert not left(server)
    assert not caplog.records
