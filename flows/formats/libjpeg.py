"""libjpeg-turbo through ctypes: a JPEG's coefficients, read and written without loss. Imports the standard library
alone.

By hand, since no maintained package offers them on every machine: jpeglib has no wheel for Linux on ARM, writes neither
progressive files nor restart intervals and dies under threads; PyTurboJPEG needs a library of the system. The one that
Pillow brings has all of it, and its interface (jpeglib.h, version 6.2 or 8) has been the same since 2010.

Its errors must not return (`error_exit`), and Python cannot leave a C function in any other way: a process that uses
this ends with the first error. So it is a process of its own (`jpeg_worker`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import (
    POINTER,
    addressof,
    byref,
    c_char,
    c_double,
    c_int,
    c_size_t,
    c_ubyte,
    c_uint,
    c_ulong,
    c_ushort,
    c_void_p,
)
from typing import Any

GREY, RGB = 1, 2  # J_COLOR_SPACE
BLOCK = 64 * 2  # bytes of a block's coefficients
MESSAGE = 200  # bytes of a message at most
POINTERS = c_void_p * 4
CODES = c_ubyte * (17 + 256)  # of a Huffman table: the number of codes of each length, and their symbols

Fields = list[tuple[str, Any]]
Stop = ctypes.CFUNCTYPE(None, c_void_p)


class _Errors(ctypes.Structure):
    _fields_ = [(name, c_void_p) for name in ("error_exit", "emit", "output", "format", "reset")] + [
        ("rest", c_ubyte * 256)
    ]


class _Memory(ctypes.Structure):
    _fields_ = [(name, c_void_p) for name in (*"abcdefgh", "access_virt_barray", "free_pool", "self_destruct")]


def _structure(name: str, fields: Fields) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": fields})


def _ints(names: str, kind: Any = c_int) -> Fields:
    return [(name, kind) for name in names.split()]


def _scan() -> Fields:
    """The state of one scan, which both records hold."""
    return [
        ("comps_in_scan", c_int), ("cur_comp_info", POINTERS), *_ints("MCUs_per_row MCU_rows", c_uint),
        ("blocks_in_MCU", c_int), ("MCU_membership", c_int * 10), *_ints("Ss Se Ah Al"),
    ]  # fmt: skip


def _common() -> Fields:
    return [
        ("err", POINTER(_Errors)), ("mem", POINTER(_Memory)), *_ints("progress client_data", c_void_p),
        *_ints("is_decompressor global_state"),
    ]  # fmt: skip


def _component(version: int) -> type[ctypes.Structure]:
    scaled = "h_scaled v_scaled" if version >= 70 else "scaled"
    return _structure("Component", [
        *_ints("id index h v quant_tbl_no dc_tbl_no ac_tbl_no"), *_ints("width_in_blocks height_in_blocks", c_uint),
        *_ints(scaled), *_ints("downsampled_width downsampled_height", c_uint),
        *_ints("needed MCU_width MCU_height MCU_blocks MCU_sample_width last_col_width last_row_height"),
        *_ints("quant_table dct_table", c_void_p),
    ])  # fmt: skip


def _compress(version: int) -> type[ctypes.Structure]:
    new = version >= 70
    return _structure("Compress", [
        *_common(), ("dest", c_void_p), *_ints("image_width image_height", c_uint),
        *_ints("input_components in_color_space"), ("input_gamma", c_double),
        *(_ints("scale_num scale_denom jpeg_width jpeg_height", c_uint) if new else []),
        *_ints("data_precision num_components jpeg_color_space"), ("comp_info", POINTER(_component(version))),
        ("quant_tbl_ptrs", POINTERS), *([("q_scale_factor", c_int * 4)] if new else []),
        ("dc_huff_tbl_ptrs", POINTERS), ("ac_huff_tbl_ptrs", POINTERS), ("arithmetic", c_ubyte * 48),
        ("num_scans", c_int), ("scan_info", c_void_p), *_ints("raw_data_in arith_code optimize_coding CCIR601"),
        *(_ints("do_fancy_downsampling") if new else []), *_ints("smoothing_factor dct_method"),
        ("restart_interval", c_uint), *_ints("restart_in_rows write_JFIF_header"),
        *_ints("JFIF_major JFIF_minor density_unit", c_ubyte), *_ints("X_density Y_density", c_ushort),
        ("write_Adobe_marker", c_int), ("next_scanline", c_uint), *_ints("progressive_mode max_h max_v"),
        *(_ints("min_h_scaled min_v_scaled") if new else []), ("total_iMCU_rows", c_uint), *_scan(),
        *([("block_size", c_int), ("natural_order", c_void_p), ("lim_Se", c_int)] if version >= 80 else []),
        *_ints("master main prep coef marker cconvert downsample fdct entropy script_space", c_void_p),
        ("script_space_size", c_int),
    ])  # fmt: skip


def _decompress(version: int) -> type[ctypes.Structure]:
    return _structure("Decompress", [
        *_common(), ("src", c_void_p), *_ints("image_width image_height", c_uint),
        *_ints("num_components jpeg_color_space out_color_space"), *_ints("scale_num scale_denom", c_uint),
        ("output_gamma", c_double), *_ints("buffered_image raw_data_out dct_method fancy_upsampling block_smoothing"),
        *_ints("quantize_colors dither_mode two_pass desired_colors enable_1pass enable_external enable_2pass"),
        *_ints("output_width output_height", c_uint), *_ints("out_components output_components rec_outbuf_height"),
        ("actual_colors", c_int), ("colormap", c_void_p), ("output_scanline", c_uint), ("input_scan_number", c_int),
        ("input_iMCU_row", c_uint), ("output_scan_number", c_int), ("output_iMCU_row", c_uint),
        ("coef_bits", c_void_p), ("quant_tbl_ptrs", POINTERS), ("dc_huff_tbl_ptrs", POINTERS),
        ("ac_huff_tbl_ptrs", POINTERS), ("data_precision", c_int), ("comp_info", POINTER(_component(version))),
        *(_ints("is_baseline") if version >= 80 else []), *_ints("progressive_mode arith_code"),
        ("arithmetic", c_ubyte * 48), ("restart_interval", c_uint), ("saw_JFIF_marker", c_int),
        *_ints("JFIF_major JFIF_minor density_unit", c_ubyte), *_ints("X_density Y_density", c_ushort),
        ("saw_Adobe_marker", c_int), ("Adobe_transform", c_ubyte), ("CCIR601", c_int), ("marker_list", c_void_p),
        *_ints("max_h max_v"), *_ints("min_h_scaled min_v_scaled" if version >= 70 else "min_scaled"),
        ("total_iMCU_rows", c_uint), ("sample_range_limit", c_void_p), *_scan(),
        *([("block_size", c_int), ("natural_order", c_void_p), ("lim_Se", c_int)] if version >= 80 else []),
        ("unread_marker", c_int),
        *_ints("master main coef post inputctl marker entropy idct upsample cconvert cquantize", c_void_p),
    ])  # fmt: skip


class Library:
    """libjpeg-turbo from a file. `failed` is called with the message of the first error, and must not return.

    Raises OSError if it cannot be loaded, AttributeError if it lacks a function.
    """

    def __init__(self, path: str, failed: Callable[[str], Any]) -> None:
        self.so = ctypes.CDLL(path)
        self.version = 80 if hasattr(self.so, "jpeg_core_output_dimensions") else 62
        self.Compress, self.Decompress = _compress(self.version), _decompress(self.version)
        self.so.jpeg_std_error.restype = c_void_p
        self.so.jpeg_read_coefficients.restype = POINTER(c_void_p)
        self._stop = Stop(lambda about: failed(self._message(about)))
        self._hush = Stop(lambda about: None)

    @contextmanager
    def reading(self, data: bytes) -> Iterator[Any]:
        """The record of a JPEG whose header has been read; released at the end of the block."""
        record, errors = self.Decompress(), _Errors()
        self._with_errors(record, errors)
        self.so.jpeg_CreateDecompress(byref(record), self.version, c_size_t(ctypes.sizeof(record)))
        self.so.jpeg_mem_src(byref(record), ctypes.c_char_p(data), c_ulong(len(data)))
        self.so.jpeg_read_header(byref(record), 1)
        yield record
        self.so.jpeg_destroy_decompress(byref(record))

    @contextmanager
    def writing(self, like: Any) -> Iterator[Any]:
        """The record of a JPEG to be written, of the size, colours, sampling and tables of `like`, without markers."""
        record, errors = self.Compress(), _Errors()
        self._with_errors(record, errors)
        self.so.jpeg_CreateCompress(byref(record), self.version, c_size_t(ctypes.sizeof(record)))
        self.so.jpeg_copy_critical_parameters(byref(like), byref(record))
        record.write_JFIF_header = record.write_Adobe_marker = 0
        yield record
        self.so.jpeg_destroy_compress(byref(record))

    @contextmanager
    def into(self, record: Any, room: int) -> Iterator[Callable[[], bytes]]:
        """The buffer that a record is written to, `room` bytes at first; complete once the record is finished."""
        buffer = ctypes.create_string_buffer(room)
        start, size = c_void_p(addressof(buffer)), c_ulong(room)
        self.so.jpeg_mem_dest(byref(record), byref(start), byref(size))
        yield lambda: ctypes.string_at(start.value or 0, size.value)
        if start.value != addressof(buffer):
            _free(start)

    def coefficients(self, record: Any) -> Any:
        """The coefficients of a JPEG that is read: one array for each component."""
        return self.so.jpeg_read_coefficients(byref(record))

    def row(self, record: Any, component: Any, row: int) -> int:
        """The address of a component's row of blocks, 128 bytes each; they may be written."""
        rows = _access(record)(byref(record), component, row, 1, 1)
        return rows[0]

    def _with_errors(self, record: Any, errors: _Errors) -> None:
        self.so.jpeg_std_error(byref(errors))
        errors.error_exit = ctypes.cast(self._stop, c_void_p)
        errors.output = ctypes.cast(self._hush, c_void_p)
        record.err = ctypes.pointer(errors)

    def _message(self, about: int) -> str:
        text = (c_char * MESSAGE)()
        form = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)(self.Decompress.from_address(about).err.contents.format)
        form(about, addressof(text))
        return text.value.decode("ascii", "replace")


def same_codes(one: Any, other: Any) -> bool:
    """True if two records write their symbols in the same Huffman codes."""
    return all(
        bytes(CODES.from_address(mine)) == bytes(CODES.from_address(yours))
        for tables in ("dc_huff_tbl_ptrs", "ac_huff_tbl_ptrs")
        for mine, yours in zip(getattr(one, tables), getattr(other, tables), strict=True)
        if mine and yours
    )


def _access(record: Any) -> Any:
    kind = ctypes.CFUNCTYPE(POINTER(c_void_p), c_void_p, c_void_p, c_uint, c_uint, c_int)
    return kind(record.mem.contents.access_virt_barray)


def _free(start: c_void_p) -> None:
    ctypes.CDLL(None).free(start)
