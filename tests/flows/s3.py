"""A real S3 server on loopback, behind a proxy that can make it fail or slow."""

from __future__ import annotations

import http.client
import logging
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

OF_THE_WAY = ("connection", "transfer-encoding", "content-length")  # headers of one connection, not of the answer


class Proxy(ThreadingHTTPServer):
    """Hands every request to the server; `failing` of the next ones get 503, and each waits `slow` seconds."""

    daemon_threads = True

    def __init__(self, port: int):
        super().__init__(("127.0.0.1", 0), Hand)
        self.behind, self.failing, self.slow = port, 0, 0.0
        self.asked: list[tuple[str, str]] = []
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Hand(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path))
        time.sleep(self.server.slow)
        if self.server.failing:
            self.server.failing -= 1
            self._answer(503, {}, b"<Error><Code>SlowDown</Code><Message>slow down</Message></Error>")
            return
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        data = answer.read()
        self._answer(answer.status, dict(answer.getheaders()), data)
        behind.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response_only(status)
        kept = {
            k: v for k, v in headers.items() if k.lower() not in ("connection", "transfer-encoding", "content-length")
        }
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        for key, value in (kept | {"Content-Length": length}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


def start() -> tuple[Proxy, object]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    return Proxy(server.get_host_and_port()[1]), server
