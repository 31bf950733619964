"""Provenance: a changed picture says in its XMP how a part of it was painted (IPTC's DigitalSourceType)."""

from __future__ import annotations

from flows.formats.xmp import RDF, Name, Unreadable, read

CODES = "http://cv.iptc.org/newscodes/digitalsourcetype"
BY_MODEL = f"{CODES}/compositeWithTrainedAlgorithmicMedia"
BY_ALGORITHM = f"{CODES}/compositeSynthetic"  # by an algorithm without training data, such as Telea's
UNTRAINED = frozenset({"telea", "patchmatch"})  # the methods of the second kind
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF></x:xmpmeta>\n'
    '<?xpacket end="w"?>'
).encode()
# Previews, also those in a second packet, and the list of further pictures after the first one (GContainer).
PREVIEWS = frozenset({"Thumbnails", "Directory", "HasExtendedXMP"})
SHOWN = frozenset(  # depth, gain and other maps, and the picture before the phone edited it
    {
        "http://ns.google.com/photos/1.0/image/",
        "http://ns.google.com/photos/1.0/depthmap/",
        "http://ns.adobe.com/hdr-gain-map/1.0/",
    }
)
VIDEO = ("MotionPhoto", "MicroVideo")  # prefixes of the names by which a phone announces a video after the picture


def with_provenance(xmp: bytes | None, source_type: str = BY_MODEL) -> bytes:
    """The XMP packet `xmp`, byte for byte, with a statement of how a part was painted."""
    packet = read(xmp if xmp and is_readable(xmp) else EMPTY, _tells_source)
    statement = (
        f'<rdf:Description xmlns:rdf="{RDF}" xmlns:Iptc4xmpExt="{IPTC}" rdf:about='.encode()
        + packet.about
        + f' Iptc4xmpExt:DigitalSourceType="{source_type}"/>'.encode()
    )
    return packet.without(statement)


def without_previews(xmp: bytes) -> bytes | None:
    """A packet without previews and without references to what is left out; None for an unreadable packet."""
    try:
        return read(xmp, _shows).without()
    except Unreadable:
        return None


def tells_of_video(xmp: bytes | None) -> bool:
    """True if a packet announces a video after the picture (a motion photo)."""
    try:
        return any(_is_video(name) for name in read(xmp or b"", _is_video).names)
    except Unreadable:
        return False


def is_readable(xmp: bytes | None) -> bool:
    """True if a packet can be read as XMP and states something."""
    try:
        return read(xmp or b"", lambda _: False).end >= 0
    except Unreadable:
        return False


def _tells_source(name: Name) -> bool:
    return name[1] == "DigitalSourceType"


def _shows(name: Name) -> bool:
    return name[1] in PREVIEWS or name[0] in SHOWN or _is_video(name)


def _is_video(name: Name) -> bool:
    return name[1].startswith(VIDEO)
