"""Passes the log records and warnings of libraries on to the log of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LIBRARIES = ("py.warnings", "diffusers", "transformers", "huggingface_hub")


class _PassOn(logging.Handler):
    """Hands a record's text to another logger, from any thread."""

    def __init__(self, log: logging.Logger | logging.LoggerAdapter):
        super().__init__(logging.WARNING)
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        self.log.log(record.levelno, "%s: %s", record.name, record.getMessage().strip())


@contextmanager
def passed_on(log: logging.Logger | logging.LoggerAdapter) -> Iterator[None]:
    """While the block runs, warnings of the libraries and of Python itself also reach `log`."""
    handler = _PassOn(log)
    logging.captureWarnings(True)
    try:
        for name in LIBRARIES:
            logging.getLogger(name).addHandler(handler)
        yield
    finally:
        for name in LIBRARIES:
            logging.getLogger(name).removeHandler(handler)
        logging.captureWarnings(False)
