"""A model hub in memory: the endpoints that an upload and ``from_pretrained`` use, no more. Answers "regular" to every
pre-upload, which keeps git-lfs and xet out of it."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml


@dataclass
class Commit:
    oid: str
    message: str
    files: dict[str, bytes]


@dataclass
class HubServer:
    """``with HubServer() as hub:`` serves on ``hub.url``; ``hub.repos`` maps an id to its commits, oldest first."""

    repos: dict[str, list[Commit]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def __enter__(self) -> HubServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def files(self, repo: str) -> dict[str, bytes]:
        """Path -> bytes at the head of a repository."""
        return self.repos[repo][-1].files

    def commit(self, repo: str, lines: list[dict[str, Any]]) -> Commit:
        with self.lock:
            commits = self.repos[repo]
            files = dict(commits[-1].files)
            for line in lines:
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "deletedFile":
                    files.pop(line["value"]["path"], None)
            message = next(line["value"]["summary"] for line in lines if line["key"] == "header")
            oid = hashlib.sha1(f"{repo} {len(commits)}".encode()).hexdigest()  # noqa: S324
            commits.append(Commit(oid, message, files))
            return commits[-1]

    def at(self, repo: str, revision: str) -> Commit | None:
        """Commit of a revision: an oid, else the head of the only branch."""
        commits = self.repos.get(repo)
        return next((one for one in commits if one.oid == revision), commits[-1]) if commits else None


def card_errors(content: str) -> list[str]:
    """Errors in a card's metadata by the documented rules of the Hub for ``model-index``, tags and base model."""
    front = yaml.safe_load(content.split("---\n")[1]) if content.startswith("---\n") else {}
    errors = [f"{key} must be a list" for key in ("tags", "model-index") if not isinstance(front.get(key, []), list)]
    for model in front.get("model-index", []) if not errors else []:
        if not (isinstance(model.get("name"), str) and isinstance(model.get("results"), list)):
            return [*errors, "model-index needs a name and a list of results"]
        for result in model["results"]:
            named = [
                result.get("task", {}).get("type"),
                *(result.get("dataset", {}).get(key) for key in ("type", "name")),
            ]
            named += [metric.get("type") for metric in result.get("metrics", [])]
            values = [metric.get("value") for metric in result.get("metrics", [])]
            if not all(isinstance(name, str) and name for name in named):
                errors.append(f"model-index: a task, data set or metric without its type or name in {result}")
            if not values or not all(isinstance(value, (int, float)) and math.isfinite(value) for value in values):
                errors.append(f"model-index: a result without a number in {result}")
    return errors


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *parts: Any) -> None:
        """Be silent."""

    def do_POST(self) -> None:
        path, body = self._path(), self._body()
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            errors = [{"message": error} for error in card_errors(json.loads(body)["content"])]
            return self._json({"errors": errors, "warnings": []}, 400 if errors else 200)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/(.+)", path):
            files = json.loads(body)["files"]
            plain = {"uploadMode": "regular", "shouldIgnore": False}
            return self._json({"files": [{"path": file["path"], **plain} for file in files]})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            commit = self.hub.commit(found[1], [json.loads(line) for line in body.splitlines() if line.strip()])
            url = f"{self.hub.url}/{found[1]}/commit/{commit.oid}"
            return self._json({"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""})
        return self._missing(path)

    def do_GET(self) -> None:
        path = self._path()
        if path == "/api/whoami-v2":
            return self._json({"name": "me", "type": "user", "orgs": []})
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(found[1], found[2], found[3])
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?(.*)", path):
            return self._tree(found[1], found[2], found[3])
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            return self._info(found[1], found[2] or "main")
        return self._missing(path)

    do_HEAD = do_GET

    def _create(self, wanted: dict[str, Any]) -> None:
        repo = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        with self.hub.lock:
            known = repo in self.hub.repos
            first = Commit(hashlib.sha1(repo.encode()).hexdigest(), "initial commit", {})  # noqa: S324
            self.hub.repos.setdefault(repo, [first])
        self._json({"url": f"{self.hub.url}/{repo}", "id": repo, "name": repo}, 409 if known else 200)

    def _info(self, repo: str, revision: str) -> None:
        commit = self.hub.at(repo, revision)
        if commit is None:
            return self._missing(repo, "RepoNotFound")
        siblings = [{"rfilename": name} for name in commit.files]
        self._json(
            {"id": repo, "modelId": repo, "sha": commit.oid, "siblings": siblings, "tags": [], "private": False}
        )

    def _tree(self, repo: str, revision: str, folder: str) -> None:
        commit = self.hub.at(repo, revision)
        if commit is None:
            return self._missing(repo, "RepoNotFound")
        entries: dict[str, dict[str, Any]] = {}
        for name, content in commit.files.items():
            if folder and not name.startswith(f"{folder}/"):
                continue
            inside, slash, _ = name[len(folder) + 1 if folder else 0 :].partition("/")
            path = f"{folder}/{inside}" if folder else inside
            oid = hashlib.sha1(content).hexdigest()  # noqa: S324
            file = {"type": "file", "path": path, "size": len(content), "oid": oid}
            entries[path] = {"type": "directory", "path": path, "size": 0, "oid": oid} if slash else file
        return self._json(list(entries.values())) if entries else self._missing(f"{repo}/{folder}", "EntryNotFound")

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        commit = self.hub.at(repo, revision)
        if commit is None:
            return self._missing(repo, "RepoNotFound")
        if name not in commit.files:
            return self._missing(f"{repo}/{name}", "EntryNotFound", commit.oid)
        content = commit.files[name]
        etag = hashlib.sha1(content).hexdigest()  # noqa: S324
        self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": commit.oid})

    def _path(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        return path

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _missing(self, what: str, code: str = "", commit: str = "") -> None:
        if not code:
            self.hub.unknown.append(f"{self.command} {what}")
        headers = {"X-Error-Code": code or "RepoNotFound", **({"X-Repo-Commit": commit} if commit else {})}
        self._send(404, json.dumps({"error": f"{what} not found"}).encode(), headers)

    def _json(self, answer: Any, status: int = 200) -> None:
        self._send(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
