"""Serves a page on 127.0.0.1 to the person who started it: shows the files of a folder, and saves decisions.

Other programs and web pages on this machine can reach it too. So every address holds a random token, the Host must be
this one (against DNS rebinding), and only the page itself may save (Origin). With the standard library, which is enough
for one person: a framework would bring routes, and none of these checks.
"""

from __future__ import annotations

import hmac
import json
import mimetypes
import re
import secrets
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from flows.errors import EnvironmentFault
from flows.formats.pictures import SUFFIXES, suffix_of
from flows.ledger.lock import Busy
from flows.page.html import as_json

FACTS = re.compile(rb'(<script type="application/json" id="facts">)(.*?)(</script>)')
MOST = 64 * 2**20  # bytes of decisions at once: over 100,000 of them
PROGRAMS = {".js": "text/javascript"}


@dataclass
class Site:
    """The contents: `page` in `root`, files below `root`/`shown`, and pictures of `originals`.

    `save` takes decisions, or raises for invalid ones; it returns a message about what it had to leave out. `refresh`
    writes the page again after that.
    """

    root: Path
    page: str
    shown: tuple[str, ...]
    originals: Path | None
    save: Callable[[str], object]
    refresh: Callable[[], object]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    saving: threading.Lock = field(default_factory=threading.Lock)
    stale: bool = False

    def file(self, path: str) -> Path | None:
        """The file of an address below the token, or None if it is not served."""
        place = path.removeprefix("original/")
        root = self.root if place == path else self.originals
        if root is None or (root is self.root and not path.startswith(self.shown)):
            return None
        file = root / place
        inside = file.resolve().is_relative_to(root.resolve()) and file.is_file()
        picture = suffix_of(file.name) in SUFFIXES
        return file if inside and (picture or (root is self.root and file.suffix in PROGRAMS)) else None

    def html(self) -> bytes:
        """The page for the folder as it is now, with the addresses for saving and for the originals."""
        with self.saving:
            if self.stale:
                self.refresh()
                self.stale = False
        found = "original/" if self.originals else None
        facts = {"save": "save", "source": found, "originals": found}

        def told(match: re.Match[bytes]) -> bytes:
            return match[1] + as_json(json.loads(match[2]) | facts).encode() + match[3]

        return FACTS.sub(told, (self.root / self.page).read_bytes(), count=1)

    def take(self, lines: str) -> str:
        """Save some lines. Returns a message about what had to be left out; "" for nothing."""
        with self.saving:
            said = self.save(lines)
            self.stale = True
        return said if isinstance(said, str) else ""


def server(site: Site, port: int = 0) -> tuple[ThreadingHTTPServer, str]:
    """A server for a site, and the address to open. Raises EnvironmentFault for a port that is in use."""
    try:
        made = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, site))
    except OSError as error:
        raise EnvironmentFault(
            f"port {port} is unavailable: {error.strerror}; leave out --port to get a free one"
        ) from error
    return made, f"http://127.0.0.1:{made.server_address[1]}/{site.token}/{quote(site.page)}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds for a client that connects and sends nothing

    def __init__(self, site: Site, *given: object):
        self.site = site
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self._path()
        if path is None:
            return
        if path in ("", self.site.page):
            self._answer(200, "text/html; charset=utf-8", self.site.html())
        elif file := self.site.file(path):
            self._send(file)
        else:
            self._refuse(404, "there is no such file here")

    def do_POST(self) -> None:
        path = self._path()
        length = self.headers.get("Content-Length", "")
        if path is None:
            return
        if path != "save":
            self._refuse(404, "nothing can be saved there")
        elif self.headers.get("Origin") != f"http://{self.headers['Host']}":
            self._refuse(403, "only the page itself may save")
        elif not (length.isascii() and length.isdecimal()) or int(length) > MOST:
            self._refuse(413, f"decisions are at most {MOST} bytes at once")
        elif len(body := self.rfile.read(int(length))) < int(length):
            self._refuse(400, "the upload broke off; none of it is saved")
        else:
            self._save(body)

    def _save(self, body: bytes) -> None:
        try:
            said = self.site.take(body.decode())
        except Busy as error:
            self._refuse(409, str(error))
        except ValueError as error:
            self._refuse(400, str(error))
        except EnvironmentFault as error:
            self._refuse(507, str(error))
        else:
            words = said.encode(errors="backslashreplace")
            self._answer(200 if words else 204, "text/plain; charset=utf-8" if words else "", words)

    def _path(self) -> str | None:
        """The requested path below the token; None after refusing a request without the token or for another host."""
        here = self.server.server_address[1]  # type: ignore[index]
        token, _, path = self.path.partition("?")[0].lstrip("/").partition("/")
        if self.headers.get("Host") not in (f"127.0.0.1:{here}", f"localhost:{here}"):
            self._refuse(421, "this is another host")
        elif not hmac.compare_digest(token.encode(), self.site.token.encode()):
            self._refuse(403, "the address is incomplete: open the one that was printed")
        else:
            name = unquote_to_bytes(path).decode(errors="surrogateescape")
            if "\0" not in name:
                return name
            self._refuse(404, "there is no such file here")
        return None

    def _send(self, file: Path) -> None:
        kind = PROGRAMS.get(file.suffix) or mimetypes.guess_type(file.name)[0] or ""
        with file.open("rb") as data:
            allowed = kind.startswith("image/") and "svg" not in kind
            known = kind if allowed or file.suffix in PROGRAMS else "application/octet-stream"
            self._answer(200, known, length=file.stat().st_size)
            shutil.copyfileobj(data, self.wfile)

    def _answer(self, code: int, kind: str = "", body: bytes = b"", length: int | None = None) -> None:
        self.send_response(code)
        if kind:
            self.send_header("Content-Type", kind)
        if code != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")  # the address holds the token
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, code: int, words: str) -> None:
        self.close_connection = True  # the rest of the request is not read
        self._answer(code, "text/plain; charset=utf-8", words.encode(errors="backslashreplace"))

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: requests are private."""
