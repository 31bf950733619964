"""A stand-in for the Hugging Face hub on loopback: what its library asks for, and its refusals."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_a_secret_that_is_never_printed"
REFUSALS = {  # repo: status and the header by which the library tells them apart
    "someone/gated": (403, "GatedRepo"),
    "someone/missing": (401, "RepoNotFound"),
    "someone/broken": (503, ""),
}
PRIVATE = "someone/private"  # as missing, but for who has the token


class Hub(ThreadingHTTPServer):
    """Repos of one commit each, by id a folder. `asked` lists what was asked for: method and path."""

    daemon_threads = True

    def __init__(self, repos: dict[str, Path]):
        super().__init__(("127.0.0.1", 0), Answer)
        self.repos, self.asked, self.cut_short = repos, list[str](), set[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fetched(self) -> list[str]:
        """The files whose bytes were sent."""
        return [
            line.split("/resolve/")[1].split("/", 1)[1]
            for line in self.asked
            if line.startswith("GET") and "/resolve/" in line
        ]


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None: ...

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.asked.append(f"{self.command} {path}")
        api = path.startswith("api/models/")
        words = path.removeprefix("api/models/").split("/")
        repo, rest = "/".join(words[:2]), words[2:]
        if repo in REFUSALS:
            return self._refuse(*REFUSALS[repo])
        if repo not in self.server.repos or (repo == PRIVATE and self.headers["Authorization"] != f"Bearer {TOKEN}"):
            return self._refuse(401, "RepoNotFound")
        folder = self.server.repos[repo]
        if len(rest) > 1 and rest[1] not in ("main", commit(repo)):
            return self._refuse(404, "RevisionNotFound")
        if api:
            return self._json(listing(folder) if rest[:1] == ["tree"] else about(repo, folder))
        self._file(repo, folder / "/".join(rest[2:]))

    def _file(self, repo: str, file: Path) -> None:
        if not file.is_file():
            return self._refuse(404, "EntryNotFound")
        data = file.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit(repo))
        self.send_header("ETag", f'"{oid(file)}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def commit(repo: str) -> str:
    return hashlib.sha1(repo.encode()).hexdigest()


def oid(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def about(repo: str, folder: Path) -> dict[str, Any]:
    siblings = [{"rfilename": one.relative_to(folder).as_posix(), "size": one.stat().st_size} for one in files(folder)]
    return {"id": repo, "modelId": repo, "sha": commit(repo), "siblings": siblings, "tags": [], "private": False}


def listing(folder: Path) -> list[dict[str, Any]]:
    return [
        {"type": "file", "path": one.relative_to(folder).as_posix(), "size": one.stat().st_size, "oid": oid(one)}
        for one in files(folder)
    ]


@contextmanager
def serving(repos: dict[str, Path]) -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    with Hub(repos) as hub:
        thread = threading.Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


def ask_it(hub: Hub, cache: Path, monkeypatch: Any) -> None:
    """Have the library ask this hub, without a token, and keep what it gets in an empty cache."""
    for name, value in {
        "HF_HUB_OFFLINE": False,
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(cache),
    }.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    hub.asked.clear()
