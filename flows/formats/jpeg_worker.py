"""A process that puts the coefficients of repainted blocks into JPEG files. Imports the standard library alone.

It is started as `jpeg_splice` says, reads requests from its standard input and answers on its standard output, until
there are no more. It reports the first error and ends, since libjpeg cannot continue after one (`libjpeg`).
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from ctypes import addressof, byref, c_uint, c_void_p, create_string_buffer, memmove
from typing import Any, BinaryIO

from flows.formats.libjpeg import BLOCK, GREY, RGB, Library, same_codes

REQUEST = struct.Struct("<6I")  # crop: left, top, width, height; bytes of the source; runs
RUN = struct.Struct("<4I")  # component, row, first block, count
ANSWER = struct.Struct("<BQ")  # success, and the bytes of the JPEG or of the reason
Box = tuple[int, int, int, int]  # left, top, width and height in pixels
Runs = list[tuple[int, ...]]
SPARE = 1 << 16  # bytes that a JPEG may grow by before its buffer moves


def serve(library: str) -> None:
    """Answer requests by that libjpeg-turbo until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which ends this process itself
    asked, answers = sys.stdin.buffer, sys.stdout.buffer

    def failed(message: str) -> None:
        _answer(answers, False, message.encode())
        os._exit(1)

    try:
        turbo = Library(library, failed)
    except (OSError, AttributeError) as error:
        failed(f"{library} cannot be used: {error}")
    while head := asked.read(REQUEST.size):
        left, top, width, height, length, count = REQUEST.unpack(head)
        source = asked.read(length)
        (size,) = struct.unpack("<Q", asked.read(8))
        pixels, runs = asked.read(size), RUN.iter_unpack(asked.read(RUN.size * count))
        _answer(answers, True, spliced(turbo, source, (left, top, width, height), pixels, list(runs)))


def spliced(turbo: Library, source: bytes, box: Box, pixels: bytes, runs: Runs) -> bytes:
    """`source` with some blocks from a repainted crop; every other coefficient stays as it was.

    `box` is the crop's left, top (both at the corner of an MCU), width and height; `pixels` are its grey or RGB bytes.
    `runs` are the rows of blocks to take: component, row, first block and count, within the whole picture. The bytes
    begin with the tables; markers that libjpeg does not need are left out.
    """
    with turbo.reading(source) as whole:
        kept = turbo.coefficients(whole)
        with turbo.reading(_encoded(turbo, whole, box, pixels)) as crop:
            _take(turbo, whole, kept, crop, turbo.coefficients(crop), box, runs)
        with turbo.writing(whole) as record:
            record.restart_interval, record.arith_code = whole.restart_interval, whole.arith_code
            if whole.progressive_mode:
                turbo.so.jpeg_simple_progression(byref(record))
            record.optimize_coding = int(not whole.arith_code and not same_codes(whole, record))
            with turbo.into(record, len(source) + SPARE) as written:
                turbo.so.jpeg_write_coefficients(byref(record), kept)
                turbo.so.jpeg_finish_compress(byref(record))
                return written()


def _encoded(turbo: Library, whole: Any, box: Box, pixels: bytes) -> bytes:
    """The crop as a JPEG with the sampling and the tables of the whole picture."""
    _, _, width, height = box
    grey = whole.num_components == 1
    stride = width if grey else 3 * width
    with turbo.writing(whole) as record:
        record.image_width, record.image_height = width, height
        record.input_components, record.in_color_space = (1, GREY) if grey else (3, RGB)
        with turbo.into(record, len(pixels) + SPARE) as written:
            turbo.so.jpeg_start_compress(byref(record), 1)
            held = create_string_buffer(pixels, len(pixels))
            rows = (c_void_p * height)(*range(addressof(held), addressof(held) + stride * height, stride))
            while record.next_scanline < height:
                at = record.next_scanline
                turbo.so.jpeg_write_scanlines(byref(record), byref(rows, 8 * at), c_uint(height - at))
            turbo.so.jpeg_finish_compress(byref(record))
            return written()


def _take(turbo: Library, whole: Any, kept: Any, crop: Any, new: Any, box: Box, runs: Runs) -> None:
    for number, row, first, count in runs:
        part = whole.comp_info[number]
        across, down = box[0] * part.h // (8 * whole.max_h), box[1] * part.v // (8 * whole.max_v)
        to = turbo.row(whole, kept[number], row) + BLOCK * first
        memmove(to, turbo.row(crop, new[number], row - down) + BLOCK * (first - across), BLOCK * count)


def _answer(answers: BinaryIO, well: bool, content: bytes) -> None:
    answers.write(ANSWER.pack(well, len(content)))
    answers.write(content)
    answers.flush()
