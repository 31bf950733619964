"""Provenance: a changed picture says in its XMP how a part of it was painted (IPTC's DigitalSourceType)."""

from __future__ import annotations

import re
from xml.etree import ElementTree

CODES = "http://cv.iptc.org/newscodes/digitalsourcetype"
BY_MODEL = f"{CODES}/compositeWithTrainedAlgorithmicMedia"
BY_ALGORITHM = f"{CODES}/compositeSynthetic"  # by one that was not trained on anything, such as Telea's
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF></x:xmpmeta>\n'
    '<?xpacket end="w"?>'
)
SAID = re.compile(  # what the picture said of its source until now, as an attribute or as an element
    r"""\s+[\w.-]+:DigitalSourceType\s*=\s*("[^"]*"|'[^']*')|<([\w.-]+:DigitalSourceType)\b[^>]*?(/>|>.*?</\2\s*>)""",
    re.DOTALL,
)
PREVIEWS = re.compile(  # also where further pictures lie behind the first one (GContainer), which are left out
    r"""<([\w.-]+:(?:Thumbnails|Directory))\b[^>]*?(/>|>.*?</\1\s*>)|\s+[\w.-]+:HasExtendedXMP\s*=\s*("[^"]*"|'[^']*')""",
    re.DOTALL,
)
END = re.compile(r"</(?:[\w.-]+:)?RDF\s*>")
SUBJECT = re.compile(r"""<[\w.-]+:Description\b[^>]*?\b[\w.-]+:about\s*=\s*("[^"]*"|'[^']*')""", re.DOTALL)


def with_provenance(xmp: bytes | None, source_type: str = BY_MODEL) -> bytes:
    """An XMP packet that says how a part was painted, and all that `xmp` says besides, letter for letter."""
    text = _readable(xmp) or EMPTY
    text = SAID.sub("", text)
    about = subject.group(1) if (subject := SUBJECT.search(text)) else '""'
    statement = (
        f'<rdf:Description xmlns:rdf="{RDF}" xmlns:Iptc4xmpExt="{IPTC}" rdf:about={about} '
        f'Iptc4xmpExt:DigitalSourceType="{source_type}"/>'
    )
    last = [*END.finditer(text)][-1].start()
    return (text[:last] + statement + text[last:]).encode()


def without_previews(xmp: bytes) -> bytes:
    """An XMP packet without the previews in it, which may show what was removed."""
    text = _readable(xmp)
    return xmp if text is None else PREVIEWS.sub("", text).encode()


def _readable(xmp: bytes | None) -> str | None:
    """The text of a packet that a reader of XMP can read; what none can is not worth keeping in its way."""
    try:
        text = (xmp or b"").rstrip(b"\0").decode("utf-8-sig")
        ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError):
        return None
    return text if END.search(text) else None
