"""Positions in an XMP packet, so that a part can be removed and every other byte stays as it is.

By hand on expat, which reports the byte at which each tag begins: XMP libraries rewrite a packet, and regular
expressions that look for a tag or an attribute take time with the square of the white space that packets are padded by.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
# One attribute and the white space before it, matched from a known position in a tag that expat found complete.
ATTRIBUTE = re.compile(rb"""\s+([^\s=/>]+)\s*=\s*("[^"]*"|'[^']*')""")
END = re.compile(rb"</(?:[^\s>:]+:)?RDF\s*>")
NAME = re.compile(rb"<[^\s/>]+")

Name = tuple[str, str]  # namespace ("" for none) and local name


class Unreadable(ValueError):
    """An invalid XMP packet, or one that declares entities, which can turn a few bytes into gigabytes."""


@dataclass
class Packet:
    """An XMP packet read once: `parts` to remove (begin and end byte), their `names`, where its RDF ends (-1: it has
    none), and the subject of its first description, with its quotes.
    """

    data: bytes
    end: int = -1
    about: bytes = b'""'
    parts: list[tuple[int, int]] = field(default_factory=list)
    names: set[Name] = field(default_factory=set)

    def without(self, more: bytes = b"") -> bytes:
        """The packet without its `parts`, and with an addition at the end of its RDF."""
        kept, at = [], 0
        for begin, end in sorted([*self.parts, *([(self.end, self.end)] if more else [])]):
            kept += [self.data[at:begin], more if begin == end else b""]
            at = end
        return b"".join([*kept, self.data[at:]])


def read(xmp: bytes, goes: Callable[[Name], bool]) -> Packet:
    """Read a packet; `parts` are the elements and attributes with names to remove. Raises Unreadable."""
    data = xmp.rstrip(b"\0").removeprefix(b"\xef\xbb\xbf")
    reader = _Reader(Packet(data), goes)
    try:
        data.decode()
        reader.parser.Parse(data, True)
    except (UnicodeDecodeError, expat.ExpatError) as error:
        raise Unreadable(str(error)) from error
    return reader.packet


class _Reader:
    def __init__(self, packet: Packet, goes: Callable[[Name], bool]):
        self.packet, self.goes = packet, goes
        self.parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        self.parser.ordered_attributes = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.depth, self.told = 0, False  # depth within an element to remove; whether a subject was found

    def _doctype(self, *_: object) -> None:
        raise Unreadable("it declares a document type")

    def _start(self, name: str, attributes: list[str]) -> None:
        if self.depth:
            self.depth += 1
            return
        if self.goes(_name(name)):
            self.packet.names.add(_name(name))
            begin = self.parser.CurrentByteIndex
            self.depth, self.opened = 1, (begin, self._after(begin))
            return
        names = [_name(one) for one in attributes[::2]]
        described = not self.told and _name(name) == (RDF, "Description") and any(one[1] == "about" for one in names)
        if described or any(map(self.goes, names)):
            self._attributes(names)

    def _attributes(self, names: list[Name]) -> None:
        """Find the bytes of a tag's attributes, which expat reports in order, without namespace declarations."""
        at = self.parser.CurrentByteIndex
        found = NAME.match(self.packet.data, at)
        left = iter(names)
        while found and (found := ATTRIBUTE.match(self.packet.data, found.end())):
            if found[1] == b"xmlns" or found[1].startswith(b"xmlns:"):
                continue
            name = next(left)
            if name[1] == "about" and not self.told:
                self.packet.about, self.told = found[2], True
            elif self.goes(name):
                self.packet.names.add(name)
                self.packet.parts.append(found.span())

    def _end(self, name: str) -> None:
        at, data = self.parser.CurrentByteIndex, self.packet.data
        if self.depth:
            self.depth -= 1
            if not self.depth:
                begin, opened = self.opened
                whole = data.endswith(b"/>", begin, opened)  # an empty-element tag: expat reports the position after it
                self.packet.parts.append((begin, opened if whole else data.index(b">", at) + 1))
        elif _name(name) == (RDF, "RDF") and END.match(data, at):
            self.packet.end = at

    def _after(self, at: int) -> int:
        """The end of the tag that begins at a byte."""
        found = NAME.match(self.packet.data, at)
        while found and (further := ATTRIBUTE.match(self.packet.data, found.end())):
            found = further
        return self.packet.data.index(b">", found.end() if found else at) + 1


def _name(told: str) -> Name:
    namespace, _, local = told.rpartition(" ")
    return namespace, local
