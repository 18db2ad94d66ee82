"""Gaps in Ogg and Matroska files, recognised by their structure."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemline.separation.errors import DamagedMedia, TruncatedMedia
from stemline.separation.media.checks import ends_early, has_a_gap
from stemline.separation.media.containers import HEAD_BYTES, Structure, read_structure
from stemline.separation.media.containers.ogg import ogg_checksum
from stemline.separation.media.containers.structure import PART_BYTES


def structure(data: bytes) -> Structure:
    return read_structure(io.BytesIO(data), data[:HEAD_BYTES], len(data))


def plain_checksum(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


@given(st.binary(max_size=300))
def test_checksum_equals_the_plain_loop(data: bytes):
    """The mirrored checksum equals the one that the Ogg specification writes down."""
    assert plain_checksum(data) == ogg_checksum(data)


def page(number: int, body: bytes) -> bytes:
    head = b"OggS\0\0" + struct.pack("<qIII", number, 7, number, 0) + bytes([1, len(body)]) + body
    return head[:22] + struct.pack("<I", ogg_checksum(head)) + head[26:]


def element(name: str, body: bytes, *, unknown: bool = False) -> bytes:
    return bytes.fromhex(name) + (b"\xff" if unknown else bytes([0x80 | len(body)])) + body


HEADER = element("1a45dfa3", b"abc")
BLOCK = element("a3", b"sound")
CLUSTER = element("e7", b"\0") + BLOCK + element("ec", b"void") + BLOCK
PAGES = page(0, b"one"), page(1, b"two"), page(2, b"three")
INFO = element("1549a966", b"info")

WHOLE = {
    "ogg": b"".join(PAGES),
    "ogg with a tag behind": b"".join(PAGES) + b"TAG" + bytes(125),
    "ogg that ends in a page": b"".join(PAGES)[:-2],
    "matroska": HEADER
    + element("18538067", INFO + element("1f43b675", CLUSTER) + element("ec", b"x") + INFO),
    "matroska with a checksum first in the cluster": HEADER
    + element("18538067", element("1f43b675", element("bf", b"1234") + CLUSTER)),
    "matroska of a live stream": HEADER
    + element(
        "18538067",
        INFO + element("1f43b675", CLUSTER, unknown=True) + element("1f43b675", CLUSTER, unknown=True) + INFO,
        unknown=True,
    ),
    "anything else": b"RIFF" + bytes(100),
    "nothing": b"",
}
BROKEN = {
    "a changed byte in a page": b"".join(PAGES).replace(b"two", b"twi"),
    "bytes lost from a page": b"".join(PAGES).replace(b"two", b"t"),
    "something between pages": PAGES[0] + b"junk" + PAGES[1],
    "a page longer than the rest of the file, and a page behind it": PAGES[0]
    + PAGES[1].replace(b"\x01\x03two", b"\xff\x03two")
    + PAGES[2],
    "a page behind a tag": PAGES[0] + b"TAG" + bytes(3 << 20) + PAGES[1],
    "zeros in a cluster": HEADER
    + element("18538067", element("1f43b675", CLUSTER[:3] + bytes(4) + CLUSTER[7:])),
    "a block longer than its cluster": HEADER
    + element("18538067", element("1f43b675", CLUSTER + b"\xa3\x90abc") + INFO * 3),
    "something between clusters": HEADER
    + element("18538067", INFO + b"\x42\x42" + element("1f43b675", CLUSTER)),
    "a cluster longer than its segment": HEADER + element("18538067", b"\x1f\x43\xb6\x75\xc0") + INFO * 9,
    "no segment": HEADER + bytes(50),
}

LIVE = HEADER + element("18538067", INFO + element("1f43b675", CLUSTER, unknown=True), unknown=True)


@pytest.mark.parametrize("rest", [b"\xa3\x85abc", b"\xa3", b"\x1f\x43", b"\x1f\x43\xb6\x75\x01\0\0"])
def test_a_live_stream_that_ends_in_an_element_is_truncated(rest: bytes) -> None:
    """Its segment has no length, so that the last element alone shows it; other bytes are a gap."""
    assert isinstance(ends_early(structure(LIVE + rest)), TruncatedMedia)
    assert isinstance(has_a_gap(structure(LIVE + b"\0" + rest)), DamagedMedia)


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_whole_files_have_no_gap(data: bytes):
    """Files whose parts follow one another have no gap, also with something else after the last part."""
    assert has_a_gap(structure(data)) is None


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_gaps_are_found(data: bytes):
    """Changed, lost and foreign bytes among the parts are found."""
    assert isinstance(has_a_gap(structure(data)), DamagedMedia)


#: The beginning of a file of each kind whose parts have lengths of their own.
BEGINNINGS = {
    "wav": b"RIFF\0\0\0\0WAVE",
    "rf64": b"RF64\xff\xff\xff\xffWAVEds64",
    "avi": b"RIFF\0\0\0\0AVI ",
    "mov": b"\0\0\0\x14ftyp",
    "mpegts": b"G" + bytes(187) + b"G",
    "caf": b"caff\0\1\0\0data",
    "ogg": b"OggS\0",
    "matroska": b"\x1a\x45\xdf\xa3",
    "matroska segment": HEADER + b"\x18\x53\x80\x67\xff",
    "flac": b"fLaC",
    "aiff": b"FORM\0\0\0\0AIFF",
    "asf": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    "au": b".snd",
    "flv": b"FLV\1\5\0\0\0\x09",
    "w64": bytes.fromhex("726966662e91cf11a5d628db04c10000"),
    "dsf": b"DSD ",
    "dff": b"FRM8\0\0\0\0\0\0\1\0DSD ",
    "rm": b".RMF",
    "id3": b"ID3\4\0\0",
    "anything": b"",
}
numbers = st.sampled_from([b"\xff", b"\x7f", b"\x80", b"\0", b"\1"])
content = st.lists(st.binary(max_size=8) | numbers.map(lambda byte: byte * 8), max_size=30).map(b"".join)


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
@settings(max_examples=40)
@given(rest=content)
def test_any_bytes_have_a_structure(beginning: bytes, rest: bytes):
    """Whatever follows the beginning of a file of any kind is followed to an end, behind tags as well."""
    for tags in (b"", b"ID3\4\0\0\0\0\0\3abc"):
        data = tags + beginning + rest
        assert len(data) == structure(data).size


def test_tags_hide_no_container():
    """What precedes a file as an ID3v2 tag counts as metadata, and does not keep the rest from being read."""
    tag = b"ID3\4\0\0\0\0\0\x59" + bytes(89)
    empty = b"ID3\4\0\0\0\0\0\0"
    flac = b"fLaC" + b"\6\0\0\x0a" + bytes(10) + b"\x86\0\0\x0a" + bytes(10)

    changed = BROKEN["a changed byte in a page"]

    assert structure(flac).metadata_bytes + 2 * len(tag) == structure(tag + tag + flac).metadata_bytes
    assert structure(flac).metadata_bytes + 9 * PART_BYTES == structure(9 * empty + flac).metadata_bytes
    assert structure(WHOLE["ogg"]).end + 2 * len(tag) == structure(tag + tag + WHOLE["ogg"]).end
    assert structure(changed).broken_at + 2 * len(tag) == structure(tag + tag + changed).broken_at


def test_a_packet_of_many_pages_is_metadata():
    """A packet that ends on no page of an Ogg file counts as what it is: bytes that wait in memory."""
    plain = b"".join(PAGES)
    serial = struct.pack("<I", 7)

    def unfinished(number: int) -> bytes:
        head = (
            b"OggS\0\0"
            + struct.pack("<q", -1)
            + serial
            + struct.pack("<II", number, 0)
            + b"\1\xff"
            + bytes(255)
        )
        return head[:22] + struct.pack("<I", ogg_checksum(head)) + head[26:]

    long = structure(plain + unfinished(3) + unfinished(4))

    assert structure(plain).metadata_bytes + 2 * 255 < long.metadata_bytes


def _element(name: str, body: bytes) -> bytes:
    return bytes.fromhex(name) + (len(body) | 1 << 56).to_bytes(8, "big") + body


@pytest.mark.parametrize(
    ("outer", "inner", "parts", "tags"),
    [
        (
            "1254c367",
            _element("7373", _element("67c8", _element("45a3", b"k") + _element("4487", b"v"))),
            3,
            1,
        ),
        ("1254c367", _element("7373", _element("67c8", _element("67c8", b""))), 1, 2),
        ("1043a770", _element("45b9", _element("b6", _element("73c4", b"1"))), 3, 0),
        ("1654ae6b", _element("ae", _element("e1", _element("9f", b"\2"))), 3, 0),
        ("1c53bb6b", _element("bb", _element("b7", _element("f7", b"\1"))), 3, 0),
        ("1941a469", _element("61a7", _element("466e", b"x")), 2, 0),
        ("114d9b74", _element("4dbb", _element("53ab", b"x")), 2, 0),
        ("1549a966", _element("4d80", b"x"), 1, 0),
    ],
)
def test_elements_within_metadata_count_for_matroska(outer, inner, parts, tags):
    """Small elements, of which FFmpeg keeps each and compares tags with all others, count at every depth."""
    head = b"\x1a\x45\xdf\xa3\x80" + bytes.fromhex("1853806701ffffffffffffff")
    for times in (1, 50):
        found = structure(head + _element(outer, inner * times) + _element("1f43b675", b""))
        counted = PART_BYTES * (1 + parts * times) + 1024 * tags * times
        assert (None, counted + len(inner) * times) == (found.broken_at, found.metadata_bytes)
