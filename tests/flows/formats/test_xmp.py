"""XMP packets: what is taken out of them, that every other byte stays, and that no packet takes long or a lot."""

from __future__ import annotations

import io
import threading
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flows.formats.provenance import (
    BY_ALGORITHM,
    BY_MODEL,
    IPTC,
    RDF,
    tells_of_video,
    with_provenance,
    without_previews,
)
from flows.formats.xmp import Unreadable, read

CAMERA = "http://ns.google.com/photos/1.0/camera/"
MANY = 400_000  # bytes or tags, for which a time that grows with their square is hours


def packet(inside: str = "", told: str = "", padding: str = "") -> bytes:
    """A packet as Adobe writes it, with more within its description, more attributes of that, and white space."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{RDF}">\n <rdf:Description rdf:about="uuid:7"\n   xmlns:d="urn:d" xmlns:i="{IPTC}"'
        f' xmlns:g="{CAMERA}"{told}>{inside}<d:note>größer &gt; kleiner</d:note></rdf:Description>\n</rdf:RDF>'
        f'</x:xmpmeta>{padding}<?xpacket end="w"?>'
    ).encode()


PADDED = {
    "white space at the end": packet(padding=" " * MANY + "\n" * MANY),
    "white space within": packet("\n " * MANY),
    "white space in a tag": packet(told="\t" * MANY),
    "an attribute of nothing but white space": packet(told=f' d:a="{" " * MANY}"'),
    "many unclosed beginnings of what is looked for": packet(f"<![CDATA[{'<i:DigitalSourceType ' * (MANY // 20)}]]>"),
    "many elements": packet("<d:Thumb/>" * (MANY // 10)),
    "many elements that go": packet("<d:Thumbnails><d:x/></d:Thumbnails>" * (MANY // 30)),
    "deep ones": packet("<d:x>" * (MANY // 10) + "</d:x>" * (MANY // 10)),
    "many attributes": packet(told="".join(f' d:a{k}=""' for k in range(MANY // 10))),
    "many dashes": packet(f"<!-- {'- ' * MANY} -->"),
    "a broken one": packet()[:-60] + b" <" * MANY,
}


@pytest.mark.parametrize("xmp", PADDED.values(), ids=PADDED)
def test_no_packet_of_a_size_that_files_have_holds_the_run_up(xmp):
    done = threading.Event()

    def work() -> None:
        for one in (with_provenance(xmp), without_previews(xmp), tells_of_video(xmp)):
            assert one is not NotImplemented
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(30)  # not a time that is promised: with a square it would be hours


@given(st.text("ab <>&;'\"=/?!-\n\t", max_size=60))
def test_whatever_a_packet_holds_it_is_read_or_refused(text):
    for xmp in (text.encode(), packet(text), packet(told=text), packet(padding=text)):
        assert ElementTree.fromstring(with_provenance(xmp)) is not None
        kept = without_previews(xmp)
        assert kept is None or ElementTree.fromstring(kept) is not None


@pytest.mark.parametrize(
    "part",
    [
        "<d:Thumbnails><rdf:Alt>/9j/4AAQ</rdf:Alt></d:Thumbnails>", "<d:Thumbnails/>", "<d:Thumbnails  d:a='>'  />",
        "<d:Thumbnails><d:Thumbnails>x</d:Thumbnails>y</d:Thumbnails >", "<i:Directory>\n</i:Directory>",
        "<d:Thumbnails><d:x/></d:Thumbnails>", "<g:MicroVideoOffset>7</g:MicroVideoOffset>",
        "<d:HasExtendedXMP>AB</d:HasExtendedXMP>",
    ],
)  # fmt: skip
def test_an_element_that_goes_takes_no_other_byte_with_it(part):
    other = "<!-- <d:Thumbnails> --> text <d:plain d:name='Thumbnails>'/>"
    for before, after in ((other, other), ("", ""), ("<d:x>", "</d:x>"), ("<d:x/>", "<d:x/>")):
        assert without_previews(packet(f"{before}{part}{after}")) == packet(f"{before}{after}")


@pytest.mark.parametrize(
    "attribute",
    [' g:MotionPhoto="1"', "\n\tg:MicroVideo = '1'", ' d:HasExtendedXMP="A>B"', ' g:MotionPhotoVersion="1"'],
)
def test_an_attribute_that_goes_takes_the_white_space_before_it_alone(attribute):
    other = ' d:one="a &lt; b"\n  d:two=\'MotionPhoto="1"\''
    assert without_previews(packet(told=f"{other}{attribute}{other.replace('d:', 'g:')}")) == packet(
        told=f"{other}{other.replace('d:', 'g:')}"
    )


def test_maps_go_by_their_namespace_and_a_name_alone_is_no_reason():
    maps = ' xmlns:h="http://ns.adobe.com/hdr-gain-map/1.0/" h:Version="1.0" d:Version="2"'
    assert without_previews(packet(told=maps)) == packet(told=maps.replace(' h:Version="1.0"', ""))


def test_provenance_is_added_and_every_other_byte_stays():
    xmp = packet(padding=" " * 2000)
    before, after = xmp.split(b"</rdf:RDF>")
    said = with_provenance(xmp, BY_ALGORITHM)
    assert said.startswith(before)
    assert said.endswith(b"</rdf:RDF>" + after)
    (told,) = [tag for tag in ElementTree.fromstring(said).iter() if f"{{{IPTC}}}DigitalSourceType" in tag.attrib]
    assert (told.get(f"{{{IPTC}}}DigitalSourceType"), told.get(f"{{{RDF}}}about")) == (BY_ALGORITHM, "uuid:7")
    assert with_provenance(said, BY_MODEL).count(b"DigitalSourceType=") == 1


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def test_a_packet_in_which_nothing_can_be_said_is_kept_until_something_is():
    for xmp in (f'<a><rdf:RDF xmlns:rdf="{RDF}"/></a>'.encode(), b"<a/>"):
        assert without_previews(xmp) == xmp
        assert BY_MODEL.encode() in with_provenance(xmp)


@pytest.mark.parametrize("doctype", [LAUGHS, "<!DOCTYPE x SYSTEM 'file:///etc/passwd'>", "<!DOCTYPE x>"])
def test_a_packet_that_declares_a_document_type_is_refused_unread_and_not_kept(doctype):
    xmp = doctype.encode() + packet("&b;" if "b" in doctype else "")
    with pytest.raises(Unreadable, match="document type"):
        read(xmp, lambda _: False)
    assert without_previews(xmp) is None
    assert b"DOCTYPE" not in with_provenance(xmp)
    assert BY_MODEL.encode() in with_provenance(xmp)


def test_a_motion_photos_flag_is_seen():
    assert tells_of_video(packet(told=' g:MotionPhoto="1"'))
    assert tells_of_video(packet("<g:MicroVideo>1</g:MicroVideo>"))
    assert not tells_of_video(packet(told=' d:note="MotionPhoto"'))
    assert not tells_of_video(None)


def test_pillow_still_finds_the_packet_in_a_picture():
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", xmp=with_provenance(packet()))
    assert b"uuid:7" in Image.open(out).info["xmp"]
