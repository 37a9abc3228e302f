"""A real HTTP server on the loopback interface that serves files and, on request, misbehaves."""

import gzip
import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

BLOCK_BYTES = 64 * 1024
HTML = b"\n<!DOCTYPE html><html><body>Please log in to the network</body></html>" + b" " * 3000


@dataclass
class Request:
    """What came, and how many bytes of body were sent in answer."""

    path: str
    range: str | None
    sent: int = 0


@dataclass
class FileServer:
    """`files` by path. `script[path]` names the behaviour of one request after the other; the last one stays.

    `truncate`, `stall` and `reset` send half of what is left and then close, wait for `stop`, or reset the connection.
    `drip` sends a byte every 20 ms, `drip headers` before the body.
    `drop` closes and `hold` waits before the first byte. `short` and `long` are whole answers of another length.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    script: dict[str, list[str]] = field(default_factory=dict)
    log: list[Request] = field(default_factory=list)
    stop: Event = field(default_factory=Event)
    address: str = ""

    def behaviour(self, path: str) -> str:
        """What the next request of `path` gets: `ok` unless the script says otherwise."""
        steps = self.script.get(path, ["ok"])
        return steps.pop(0) if len(steps) > 1 else steps[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: FileServer

    def do_GET(self) -> None:
        """Answer one request as the script says."""
        request = Request(self.path, self.headers["Range"])
        self.files.log.append(request)
        behaviour = self.files.behaviour(self.path)
        content = self.files.files.get(self.path)
        start = int(re.fullmatch(r"bytes=(\d+)-", request.range)[1]) if request.range else 0  # type: ignore[index]
        if content is None:
            self._answer(request, 404, b"<html>not found</html>")
        elif behaviour.isdigit():
            self._answer(request, int(behaviour), b"<html>error</html>")
        elif behaviour.startswith("redirect "):
            self._answer(request, 302, b"", Location=behaviour.removeprefix("redirect "))
        elif behaviour == "html":
            self._answer(request, 200, HTML, **{"Content-Type": "text/html"})
        elif behaviour == "html chunked":
            self._send_chunked(request, HTML)
        elif behaviour == "compress" and "gzip" in self.headers["Accept-Encoding"]:
            self._answer(request, 200, gzip.compress(content), **{"Content-Encoding": "gzip"})
        elif behaviour == "corrupt":
            self._answer(request, 200, content[:-1] + bytes([content[-1] ^ 1]))
        elif behaviour == "short":
            self._answer(request, 200, content[:-1])
        elif behaviour == "long":
            self._send_chunked(request, content + b"x" * 40_000_000)
        elif behaviour == "short chunked":
            self._send_chunked(request, content[start:-1], status=206 if start else 200, start=start, total=len(content))
        elif start >= len(content):
            self._answer(request, 416, b"", **{"Content-Range": f"bytes */{len(content)}"})
        else:
            self._send_file(request, behaviour, content, start)

    def _send_file(self, request: Request, behaviour: str, content: bytes, start: int) -> None:
        """The body from `start`, in the manner of `behaviour`."""
        if behaviour.endswith("ignore range"):
            start, behaviour = 0, behaviour.removesuffix("ignore range").strip()
        first = start + 1 if behaviour == "wrong range" else start
        if behaviour == "drip headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self._drip(request, b"x" * 1000)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if behaviour == "encoded":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self._send_body(request, behaviour, content[start:])

    def _send_body(self, request: Request, behaviour: str, body: bytes) -> None:
        if behaviour in ("truncate", "stall", "reset"):
            half = max(3 * BLOCK_BYTES, len(body) // 2)
            self._send(request, body[:half])
            body = body[half:]
        if behaviour == "drip":
            self._drip(request, body)
            return
        if behaviour in ("stall", "hold"):
            self.files.stop.wait(20)
        if behaviour == "reset":
            # A linger time of 0 makes close() send RST instead of FIN; what the client has not read by then is lost.
            time.sleep(1)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif behaviour == "slow":
            for offset in range(0, len(body), BLOCK_BYTES):
                self._send(request, body[offset : offset + BLOCK_BYTES])
                time.sleep(0.02)
        elif behaviour not in ("truncate", "drop"):
            self._send(request, body)

    def _drip(self, request: Request, body: bytes) -> None:
        for offset in range(len(body)):
            self._send(request, body[offset : offset + 1])
            if self.files.stop.wait(0.02):
                return

    def end_headers(self) -> None:
        """One request a connection, and say so."""
        self.send_header("Connection", "close")
        super().end_headers()

    def _answer(self, request: Request, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._send(request, body)

    def _send_chunked(self, request: Request, body: bytes, status: int = 200, start: int = 0, total: int = 0) -> None:
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for offset in range(0, len(body), BLOCK_BYTES):
            chunk = body[offset : offset + BLOCK_BYTES]
            self.wfile.write(f"{len(chunk):x}\r\n".encode())
            self._send(request, chunk)
            self.wfile.write(b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, request: Request, body: bytes) -> None:
        self.wfile.write(body)
        request.sent += len(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests."""


@contextmanager
def file_server() -> Iterator[FileServer]:
    """A running server; stopped, with its stalled answers, on leaving."""
    files = FileServer()
    handler = type("Handler", (_Handler,), {"files": files})
    with _Server(("127.0.0.1", 0), handler) as server:
        files.address = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield files
        finally:
            files.stop.set()
            server.shutdown()
