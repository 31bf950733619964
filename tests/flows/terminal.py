"""A command on a real terminal of its own: what a person would see of it, and the keys that a person would press."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios

import pyte

COLUMNS = 80
PROGRAM = (  # Ctrl-C works, however the tests themselves were started
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from flows.cli.main import main; main()"
)


class OnTerminal:
    """The command on a terminal of its own, of 80 columns; `lines` are what it shows now, `seen` all that it sent."""

    def __init__(self, *arguments: object, lines: int = 50, **environment: str):
        self.ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", lines, COLUMNS, 0, 0))
        settings = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        settings |= {"TERM": "xterm-256color", **environment}
        program = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
        self.process = subprocess.Popen(
            program, stdin=its, stdout=its, stderr=its, env=settings, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(its)
        self.screen = pyte.Screen(COLUMNS, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.seen = b""

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def until(self, shown: str) -> bool:
        """Go on until something like this is shown, or the command has ended."""
        while not any(re.search(shown, line) for line in self.lines):
            if not self._more():
                return False
        return True

    def ended(self) -> int:
        while self._more():
            pass
        os.close(self.ours)
        return self.process.wait(60)

    def press(self, key: bytes) -> None:
        os.write(self.ours, key)

    def _more(self) -> bool:
        assert select.select([self.ours], [], [], 120)[0], self.lines
        try:
            sent = os.read(self.ours, 65536)
        except OSError:  # the other end is closed
            return False
        self.seen += sent
        self.stream.feed(sent)
        return True
