"""What of a source's tags goes into a stem."""

from __future__ import annotations

import pytest

from stemline.separation.media.tags import MAX_LENGTH, id3v2, kept_tags, tag_bytes


def test_only_what_describes_the_recording_is_kept():
    """Title and artist stay, whatever the case of their names; brands, encoders and lyrics do not."""
    tags = {"TITLE": "One", "artist": "Two", "encoder": "x", "major_brand": "M4A ", "lyrics": "la"}

    assert {"title": "One", "artist": "Two"} == kept_tags(tags)


def test_hostile_values_are_tamed():
    """Control characters go, and no value is longer than the limit."""
    assert {"title": "ab", "album": "x" * MAX_LENGTH} == kept_tags({"title": "a\0\nb", "album": "x" * 10**6})


def test_id3_sizes_are_synchsafe():
    """Frame and tag sizes use seven bits of each byte, as version 2.4 asks."""
    tag = id3v2({"title": "x" * 200})

    assert b"ID3\x04\x00\x00" == tag[:6]
    assert [0, 0, 1, 211 - 128] == list(tag[6:10])
    assert b"TIT2" + bytes((0, 0, 1, 201 - 128)) == tag[10:18]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"ID3\x04\0\0\0\0\x01\x00" + bytes(5), 10 + 128),
        (b"ID3\x04\0\x10\0\0\x01\x00", 20 + 128),
        (b"ID3\x04\0\0\xff\xff\xff\xff", 0),
        (b"TAG" + bytes(10), 128),
        (b"APETAGEX" + bytes(4) + (100).to_bytes(4, "little") + bytes(16), 132),
        (b"\xff\xfb\x90\x64", 0),
        (b"", 0),
    ],
)
def test_lengths_of_tags(data: bytes, expected: int):
    """The length of each kind of tag is read from its header, and music has none."""
    assert expected == tag_bytes(data)


def test_a_written_tag_has_the_length_that_is_read():
    """What is written is measured as long as it is."""
    tag = id3v2({"title": "x" * 500})

    assert len(tag) == tag_bytes(tag)


def test_nothing_to_say():
    """Without tags there is no tag."""
    assert b"" == id3v2({})
