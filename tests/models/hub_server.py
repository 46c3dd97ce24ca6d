"""A stand-in of the Hugging Face hub, as far as a repository of models needs it."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "a" * 40


class Hub(ThreadingHTTPServer):
    """Attributes: files by repository; tokens that it was shown."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers what `create_repo`, `create_commit` and `snapshot_download` ask."""

    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = unquote(self.path).partition("?")[0].strip("/").split("/")
        match parts:
            case ["api", "models", owner, name, "revision", revision]:
                files = self.server.files.get(f"{owner}/{name}")
                if files is None:
                    self._fail(404, "RepoNotFound")
                elif revision not in ("main", COMMIT):
                    self._fail(404, "RevisionNotFound")
                else:
                    siblings = [{"rfilename": file} for file in files]
                    about = {"id": f"{owner}/{name}", "sha": COMMIT, "siblings": siblings}
                    self._send(json.dumps(about).encode())
            case ["api", "models", owner, name, "tree", *_]:
                files = self.server.files.get(f"{owner}/{name}", {})
                tree = [
                    {"type": "file", "path": file, "size": len(data), "oid": _oid(data)}
                    for file, data in files.items()
                ]
                self._send(json.dumps(tree).encode())
            case [owner, name, "resolve", _, file]:
                data = self.server.files[f"{owner}/{name}"][file]
                self._send(data, {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": COMMIT})
            case _:
                self._fail(404, "EntryNotFound")

    def do_POST(self) -> None:
        self.server.tokens.add(self.headers.get("Authorization"))
        body = self._body()
        parts = unquote(self.path).partition("?")[0].strip("/").split("/")
        match parts:
            case ["api", "repos", "create"]:
                wanted = json.loads(body)
                whole = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
                self.server.files.setdefault(whole, {})
                self._send(json.dumps({"url": f"{self.server.url}/{whole}"}).encode())
            case ["api", "validate-yaml"]:
                self._send(json.dumps({"errors": [], "warnings": []}).encode())
            case ["api", "models", owner, name, "preupload", _]:
                files = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                    for f in json.loads(body)["files"]
                ]
                self._send(json.dumps({"files": files}).encode())
            case ["api", "models", owner, name, "commit", _]:
                for line in body.splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        value = entry["value"]
                        data = base64.b64decode(value["content"])
                        self.server.files[f"{owner}/{name}"][value["path"]] = data
                url = f"{self.server.url}/{owner}/{name}/commit/{COMMIT}"
                answer = {"commitUrl": url, "commitOid": COMMIT, "success": True}
                self._send(json.dumps(answer).encode())
            case _:
                self._fail(404, "EntryNotFound")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _fail(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers while the context is open."""
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()
