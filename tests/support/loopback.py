"""A Hugging Face Hub on loopback, complete enough for the real client: pull, push, tags, LFS.

It uses the standard library only and an ephemeral port on 127.0.0.1. It refuses large bodies and
stops after some minutes. Faults can be injected.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

_MAX_BODY = 512 << 20
_LIFE_SECONDS = 300
_CHUNK = 1 << 16


@dataclass
class Repo:
    """A model repository: its commits in order (files by name), and its tags."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    private: bool = False

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    def resolve(self, revision: str) -> str | None:
        if revision in ("main", None):
            return self.head
        return self.tags.get(revision) or (revision if revision in self.commits else None)

    def commit(self, files: dict[str, bytes]) -> str:
        text = json.dumps([len(self.commits), *((n, sha256(b)) for n, b in sorted(files.items()))])
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = files
        return sha


@dataclass
class Fault:
    """A fault in the next `times` requests whose path matches `path`."""

    path: str
    times: int = 1_000_000
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drop_after: int | None = None  # bytes of the body after which the connection is closed
    corrupt: bool = False  # one byte of the body is changed
    seconds_per_chunk: float = 0.0
    method: str = "GET"


class LoopbackHub:
    """The server: `repos`, plain `files` under /files/, `faults`, and the log of `requests`."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.files: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.lfs: dict[str, bytes] = {}
        self.lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self._end = threading.Timer(_LIFE_SECONDS, self.close)
        self._end.daemon = True
        self._end.start()

    def close(self) -> None:
        self._end.cancel()
        self.server.shutdown()
        self.server.server_close()

    def add(self, repo_id: str, files: dict[str, bytes], tag: str | None = None) -> str:
        repo = self.repos.setdefault(repo_id, Repo())
        sha = repo.commit(files)
        if tag:
            repo.tags[tag] = sha
        return sha

    def count(self, method: str, pattern: str) -> int:
        return sum(m == method and bool(re.search(pattern, p)) for m, p, _ in self.requests)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".png", ".pt"))


def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _handle(self) -> None:
        self.path, _, query = self.path.partition("?")
        self.path = unquote(urlsplit(self.path).path)
        self.query = parse_qs(query)
        length = min(int(self.headers.get("Content-Length") or 0), _MAX_BODY)
        self.body = self.rfile.read(length) if length else b""
        with self.hub.lock:
            headers = {key.lower(): value for key, value in self.headers.items()}
            self.hub.requests.append((self.command, self.path, headers))
            self.fault = self._fault()
        if self.fault and self.fault.status:
            return self._send(self.fault.status, b"{}", self.fault.headers)
        for method, pattern, action in _ROUTES:
            found = re.fullmatch(pattern, self.path)
            if found and self.command in method:
                return getattr(self, action)(**found.groupdict())
        return self._error(404, "EntryNotFound")

    def _fault(self) -> Fault | None:
        for fault in self.hub.faults:
            if fault.times and fault.method == self.command and re.search(fault.path, self.path):
                fault.times -= 1
                return fault
        return None

    # Requests of a pull.

    def _repo(self, repo: str) -> Repo | None:
        found = self.hub.repos.get(repo)
        if found is None or (found.private and "Authorization" not in self.headers):
            self._error(404 if found is None else 401, "RepoNotFound")
            return None
        return found

    def info(self, repo: str, revision: str = "main") -> None:
        if (found := self._repo(repo)) is None:
            return
        sha = found.resolve(revision)
        if sha is None:
            return self._error(404, "RevisionNotFound")
        siblings = [self._entry(name, data) for name, data in found.commits[sha].items()]
        self._json({"id": repo, "sha": sha, "private": found.private, "siblings": siblings})

    def _entry(self, name: str, data: bytes) -> dict[str, object]:
        entry: dict[str, object] = {"rfilename": name}
        if "blobs" in self.query:
            entry |= {"size": len(data), "blobId": git_blob(data)}
            if is_large(name):
                entry["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 130}
        return entry

    def tree(self, repo: str, revision: str) -> None:
        if (found := self._repo(repo)) is None:
            return
        entries = []
        for name, data in found.commits[found.resolve(revision) or found.head].items():
            entry: dict[str, object] = {"type": "file", "path": name, "size": len(data)}
            entry["oid"] = git_blob(data)
            if is_large(name):
                entry["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 130}
            entries.append(entry)
        self._json(entries)

    def refs(self, repo: str) -> None:
        if (found := self._repo(repo)) is None:
            return
        tags = [
            {"name": t, "ref": f"refs/tags/{t}", "targetCommit": c} for t, c in found.tags.items()
        ]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": found.head}
        self._json({"branches": [main], "converts": [], "tags": tags})

    def resolve(self, repo: str, revision: str, name: str) -> None:
        if (found := self._repo(repo)) is None:
            return
        sha = found.resolve(revision)
        if sha is None:
            return self._error(404, "RevisionNotFound")
        if name not in found.commits[sha]:
            return self._error(404, "EntryNotFound", {"X-Repo-Commit": sha})
        data = found.commits[sha][name]
        headers = {"X-Repo-Commit": sha, "ETag": f'"{git_blob(data)}"'}
        if is_large(name):
            headers["ETag"] = headers["X-Linked-Etag"] = f'"{sha256(data)}"'
            headers["X-Linked-Size"] = str(len(data))
        self._send(200, data, headers)

    def plain(self, name: str) -> None:
        if name not in self.hub.files:
            return self._error(404, "")
        data = self.hub.files[name]
        self._send(200, data, {"ETag": f'"{sha256(data)}"'})

    # Requests of a push.

    def create(self) -> None:
        wanted = json.loads(self.body)
        repo = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        there = repo in self.hub.repos
        if not there:
            self.hub.add(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
            private = wanted.get("private") or wanted.get("visibility") == "private"
            self.hub.repos[repo].private = bool(private)
        self._json({"url": f"{self.hub.url}/{repo}"}, 409 if there else 200)

    def validate_yaml(self) -> None:
        content = json.loads(self.body)["content"]
        front = yaml.safe_load(content.split("---\n")[1])
        errors = [] if isinstance(front, dict) else [{"message": "no front matter"}]
        self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def preupload(self, repo: str) -> None:
        if self._repo(repo) is None:
            return
        current = self.hub.repos[repo].commits[self.hub.repos[repo].head]
        files = []
        for entry in json.loads(self.body)["files"]:
            name = entry["path"]
            mode = "lfs" if is_large(name) else "regular"
            same = current.get(name)
            oid = None if same is None else (sha256(same) if mode == "lfs" else git_blob(same))
            files.append({"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json({"files": files})

    def lfs_batch(self, repo: str) -> None:
        objects = []
        for entry in json.loads(self.body)["objects"]:
            result = {"oid": entry["oid"], "size": entry["size"]}
            if entry["oid"] not in self.hub.lfs:
                result["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{entry['oid']}"}}
            objects.append(result)
        self._json({"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str) -> None:
        body = self.body
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = self._read_chunks()
        if sha256(body) != oid:
            return self._error(400, "")
        self.hub.lfs[oid] = body
        self._send(200, b"")

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def commit(self, repo: str) -> None:
        if (found := self._repo(repo)) is None:
            return
        files = dict(found.commits[found.head])
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.lfs[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        sha = found.commit(files)
        self._json({"commitUrl": f"{self.hub.url}/{repo}/commit/{sha}", "commitOid": sha})

    def tag(self, repo: str, revision: str) -> None:
        if (found := self._repo(repo)) is None:
            return
        if self.command == "DELETE":
            if found.tags.pop(revision, None) is None:
                return self._error(404, "RevisionNotFound")
            return self._send(200, b"")
        name = json.loads(self.body)["tag"]
        if name in found.tags:  # as on the Hub, a tag cannot be moved
            return self._error(409, "")
        found.tags[name] = found.resolve(revision) or found.head
        return self._json({})

    # Answers.

    def _json(self, value: object, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        coded = {"X-Error-Code": code} if code else {}
        self._send(status, b"{}", {**coded, **(headers or {})})

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        headers = dict(headers or {})
        start = self._range_start(headers) if status == 200 else 0
        if start > len(data):
            return self._send(416, b"")
        if start:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        fault = self.fault or Fault("")
        if fault.corrupt and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        end = len(data) if fault.drop_after is None else min(len(data), start + fault.drop_after)
        try:
            for at in range(start, end, _CHUNK):
                self.wfile.write(data[at : min(end, at + _CHUNK)])
                time.sleep(fault.seconds_per_chunk)
        except OSError:
            pass  # the client has closed the connection
        if end < len(data):
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(1)

    def _range_start(self, headers: dict[str, str]) -> int:
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        unless = self.headers.get("If-Range")
        if wanted is None or (unless and unless != headers.get("ETag")):
            return 0
        return int(wanted[1])


_NAME = r"(?P<repo>[\w.-]+/[\w.-]+)"
_ROUTES = [
    (("GET",), rf"/api/models/{_NAME}", "info"),
    (("GET",), rf"/api/models/{_NAME}/revision/(?P<revision>.+)", "info"),
    (("GET",), rf"/api/models/{_NAME}/tree/(?P<revision>[^/]+)", "tree"),
    (("GET",), rf"/api/models/{_NAME}/refs", "refs"),
    (("GET", "HEAD"), rf"/{_NAME}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", "resolve"),
    (("GET", "HEAD"), r"/files/(?P<name>.+)", "plain"),
    (("POST",), r"/api/repos/create", "create"),
    (("POST",), r"/api/validate-yaml", "validate_yaml"),
    (("POST",), rf"/api/models/{_NAME}/preupload/main", "preupload"),
    (("POST",), rf"/{_NAME}\.git/info/lfs/objects/batch", "lfs_batch"),
    (("PUT",), r"/lfs/(?P<oid>[0-9a-f]+)", "lfs_put"),
    (("POST",), rf"/api/models/{_NAME}/commit/main", "commit"),
    (("POST", "DELETE"), rf"/api/models/{_NAME}/tag/(?P<revision>.+)", "tag"),
]
