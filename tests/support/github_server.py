"""A real HTTP server on the loopback interface that plays the routes of GitHub for the comments of one pull request.

As https://docs.github.com/rest/issues/comments describes them: pages with a `Link` header, JSON, a message with each error.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT = "github-actions[bot]"
TOKEN = "ghs_made_up"
MAX_CHARACTERS = 65_536


@dataclass
class GitHub:
    """The comments of pull request 7 of ann/project. `failures` by method: status and body of every such answer."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, tuple[int, str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    address: str = ""

    def add(self, body: str | None, login: str = BOT) -> int:
        """Write a comment; its number."""
        number = 1000 + len(self.comments)
        page = f"https://github.com/ann/project/pull/7#issuecomment-{number}"
        self.comments.append({"id": number, "user": {"login": login}, "body": body, "html_url": page})
        return number

    @property
    def environment(self) -> dict[str, str]:
        """What a workflow gets of it."""
        return {
            "GITHUB_API_URL": self.address,
            "GITHUB_REPOSITORY": "ann/project",
            "GITHUB_REF": "refs/pull/7/merge",
            "GITHUB_TOKEN": TOKEN,
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    github: GitHub

    def do_GET(self) -> None:
        """A page of the list, oldest comments first."""
        parts = urlsplit(self.path)
        self._note()
        if parts.path != "/repos/ann/project/issues/7/comments":
            return self._answer(404, {"message": "Not Found"})
        query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
        size, page = min(query.get("per_page", 30), 100), query.get("page", 1)
        listed = self.github.comments[size * (page - 1) : size * page]
        more = len(self.github.comments) > size * page
        link = f'<{self.github.address}{parts.path}?per_page={size}&page={page + 1}>; rel="next"'
        return self._answer(200, listed, **({"Link": link} if more else {}))

    def do_POST(self) -> None:
        """A new comment."""
        self._note()
        body = self._body()
        if self.path != "/repos/ann/project/issues/7/comments":
            return self._answer(404, {"message": "Not Found"})
        if len(body) > MAX_CHARACTERS:
            return self._answer(422, {"message": "Validation Failed"})
        self.github.add(body)
        return self._answer(201, self.github.comments[-1])

    def do_PATCH(self) -> None:
        """Another text for a comment."""
        self._note()
        body = self._body()
        match = re.fullmatch(r"/repos/ann/project/issues/comments/(\d+)", self.path)
        if not match:
            return self._answer(404, {"message": "Not Found"})
        comment = next(one for one in self.github.comments if one["id"] == int(match[1]))
        comment["body"] = body
        return self._answer(200, comment)

    def _body(self) -> str:
        return str(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"])

    def _note(self) -> None:
        self.github.log.append(f"{self.command} {self.path}")
        self.github.tokens.add(self.headers["Authorization"])

    def _answer(self, status: int, value: Any, **headers: str) -> None:
        content, kind = json.dumps(value).encode(), "application/json; charset=utf-8"
        if self.command in self.github.failures:
            status, text = self.github.failures[self.command]
            content, kind = text.encode(), "application/json" if text.startswith("{") else "text/html"
        self.send_response(status)
        for name, text in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


@contextmanager
def github_server() -> Iterator[GitHub]:
    """A running server; stopped on leaving."""
    github = GitHub()
    handler = type("Handler", (_Handler,), {"github": github})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        github.address = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield github
        finally:
            server.shutdown()
