"""The coefficients of a JPEG, read from its bits in plain Python (ITU-T T.81): no library vouches for itself."""

from __future__ import annotations

import struct

import numpy as np

ORDER = [row * 8 + column for total in range(15)
         for row, column in ((k, total - k) for k in (range(total + 1) if total % 2 else range(total, -1, -1)))
         if row < 8 and column < 8]  # fmt: skip


class Bits:
    """The bits of a scan between two restart markers."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data.replace(b"\xff\x00", b"\xff"), 0

    def one(self) -> int:
        byte = self.data[self.at >> 3] if self.at >> 3 < len(self.data) else 0xFF
        bit = byte >> (7 - (self.at & 7)) & 1
        self.at += 1
        return bit

    def number(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self.one()
        return value

    def signed(self, count: int) -> int:
        value = self.number(count)
        return value if not count or value >> (count - 1) else value - (1 << count) + 1

    def symbol(self, codes: dict[tuple[int, int], int]) -> int:
        code = 0
        for length in range(1, 17):
            code = code << 1 | self.one()
            if (length, code) in codes:
                return codes[length, code]
        raise ValueError("no such code")


class Read:
    """Sampling (across, down) and coefficients (rows × columns × 64 in zigzag order, dummies too) of each component."""

    def __init__(self, data: bytes) -> None:
        self.tables: dict[int, dict[tuple[int, int], int]] = {}
        self.quantisation: dict[int, bytes] = {}
        self.interval, self.scans = 0, 0
        self.markers: list[tuple[int, bytes]] = []
        at = 2
        while data[at + 1] != 0xD9:
            marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
            content = data[at + 4 : at + 2 + length]
            self.markers.append((marker, content))
            at += 2 + length
            if marker in (0xC0, 0xC1, 0xC2):
                self._frame(marker, content)
            elif marker == 0xC4:
                self._codes(content)
            elif marker == 0xDB:
                self._quantisation(content)
            elif marker == 0xDD:
                (self.interval,) = struct.unpack(">H", content)
            elif marker == 0xDA:
                end = at
                while data[end] != 0xFF or data[end + 1] == 0 or 0xD0 <= data[end + 1] <= 0xD7:
                    end += 1
                self._scan(content, data[at:end])
                at = end

    def _frame(self, marker: int, content: bytes) -> None:
        self.progressive = marker == 0xC2
        self.height, self.width = struct.unpack_from(">HH", content, 1)
        self.ids = list(content[6::3])
        self.sampling = [(one >> 4, one & 15) for one in content[7::3]]
        self.table_of = list(content[8::3])
        self.most = tuple(max(factor) for factor in zip(*self.sampling, strict=True))
        self.mcus = -(-self.width // (8 * self.most[0])), -(-self.height // (8 * self.most[1]))
        self.blocks = [np.zeros((self.mcus[1] * v, self.mcus[0] * h, 64), int) for h, v in self.sampling]

    def _codes(self, content: bytes) -> None:
        at = 0
        while at < len(content):
            counts, symbols, code, k = content[at + 1 : at + 17], {}, 0, at + 17
            for length, count in enumerate(counts, 1):
                for _ in range(count):
                    symbols[length, code] = content[k]
                    code, k = code + 1, k + 1
                code <<= 1
            self.tables[content[at]] = symbols
            at = k

    def _quantisation(self, content: bytes) -> None:
        at = 0
        while at < len(content):
            size = 128 if content[at] >> 4 else 64
            self.quantisation[content[at] & 15] = content[at + 1 : at + 1 + size]
            at += 1 + size

    def _scan(self, head: bytes, data: bytes) -> None:
        self.scans += 1
        count = head[0]
        parts = [(self.ids.index(head[1 + 2 * k]), head[2 + 2 * k]) for k in range(count)]
        first, last, before, low = head[-3], head[-2], head[-1] >> 4, head[-1] & 15
        pieces, start = [], 0
        for at in range(len(data) - 1):
            if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7:
                pieces.append(data[start:at])
                start = at + 2
        pieces.append(data[start:])
        units = self._units([number for number, _ in parts])
        tables = dict(parts)
        for k, piece in enumerate(pieces):
            bits, previous, self.run = Bits(piece), [0] * len(self.ids), 0
            here = units[k * self.interval : (k + 1) * self.interval] if self.interval else units
            for number, block in (one for unit in here for one in unit):
                self._block(bits, block, number, previous, tables[number], first, last, before, low)

    def _units(self, numbers: list[int]) -> list[list[tuple[int, np.ndarray]]]:
        """The blocks of a scan, MCU by MCU."""
        if len(numbers) == 1:
            number = numbers[0]
            h, v = self.sampling[number]
            across, down = -(-self.width * h // (8 * self.most[0])), -(-self.height * v // (8 * self.most[1]))
            return [[(number, self.blocks[number][row, column])] for row in range(down) for column in range(across)]
        units = []
        for row in range(self.mcus[1]):
            for column in range(self.mcus[0]):
                units.append([
                    (number, self.blocks[number][row * v + y, column * h + x])
                    for number in numbers for h, v in [self.sampling[number]] for y in range(v) for x in range(h)
                ])  # fmt: skip
        return units

    def _block(self, bits, block, number, previous, table, first, last, before, low) -> None:
        dc, ac = self.tables.get(table >> 4, {}), self.tables.get(0x10 | table & 15, {})
        if first == 0 and before:
            block[0] |= bits.one() << low
        elif first == 0:
            previous[number] += bits.signed(bits.symbol(dc))
            block[0] = previous[number] * (1 << low)
        if last and before:
            self._refine(bits, block, ac, max(first, 1), last, 1 << low)
        elif last:
            self._first(bits, block, ac, max(first, 1), last, low)

    def _first(self, bits, block, ac, k, last, low) -> None:
        if self.run:
            self.run -= 1
            return
        while k <= last:
            zeros, size = divmod(bits.symbol(ac), 16)
            if size:
                k += zeros
                block[k] = bits.signed(size) * (1 << low)
            elif zeros == 15:
                k += 15
            else:
                self.run = (1 << zeros) - 1 + (bits.number(zeros) if zeros else 0)
                return
            k += 1

    def _refine(self, bits, block, ac, k, last, step) -> None:
        def corrected(at: int) -> bool:
            if not block[at]:
                return False
            if bits.one() and not abs(block[at]) & step:
                block[at] += step if block[at] > 0 else -step
            return True

        while not self.run and k <= last:
            zeros, size = divmod(bits.symbol(ac), 16)
            value = 0
            if size:
                value = step if bits.one() else -step
            elif zeros < 15:
                self.run = (1 << zeros) + (bits.number(zeros) if zeros else 0)
                break
            while k <= last:
                if not corrected(k):
                    if not zeros:
                        break
                    zeros -= 1
                k += 1
            if value:
                block[k] = value
            k += 1
        if self.run:
            for at in range(k, last + 1):
                corrected(at)
            self.run -= 1
