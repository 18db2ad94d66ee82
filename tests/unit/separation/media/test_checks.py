"""What makes a source unfit for separation, fault by fault."""

from __future__ import annotations

from typing import Any

import av
import pytest

from stemline.separation.errors import DamagedMedia, TooLong, TruncatedMedia, UndecodableMedia
from stemline.separation.media import checks
from stemline.separation.media.checks import DecodeState
from stemline.separation.media.demuxers import DEMUXERS
from stemline.separation.media.duration import DeclaredDuration
from stemline.separation.media.types import MediaLimits

#: Header of an MPEG-1 layer III frame of 128 kbit/s at 44,100 Hz: 417 bytes.
MP3_HEADER = bytes((0xFF, 0xFB, 0x90, 0x00))


def state(demuxer: str = "wav", declared: DeclaredDuration | None = None, **facts: Any) -> DecodeState:
    return DecodeState(DEMUXERS[demuxer], declared, **facts)


def test_a_declared_duration_over_the_limit_is_refused():
    """A file that declares more than the limit, its slack aside, is too long."""
    limits = MediaLimits(max_duration_s=10, max_bytes=1)

    assert isinstance(checks.lasts_too_long(DeclaredDuration(10.2, 0.1, "samples"), limits), TooLong)
    assert checks.lasts_too_long(DeclaredDuration(10.05, 0.1, "samples"), limits) is None
    assert checks.lasts_too_long(None, limits) is None


def test_a_duration_of_other_streams_is_no_reason_to_refuse():
    """A film may be longer than its sound: only a duration of the samples themselves counts."""
    declared = DeclaredDuration(1000, 2.0, "streams")

    assert checks.lasts_too_long(declared, MediaLimits(max_duration_s=10, max_bytes=1)) is None


@pytest.mark.parametrize(
    ("demuxer", "has_frames", "skipped_bytes", "is_hole"),
    [
        ("flac", True, 100, True),
        ("flac", False, 100, True),
        ("mp3", True, 100, True),
        ("mp3", False, 100, False),
        ("mp3", False, 70_000, True),
    ],
)
def test_a_good_frame_after_a_bad_packet_means_a_hole(
    demuxer: str, has_frames: bool, skipped_bytes: int, is_hole: bool
):
    """Only what precedes the first whole frame of a broadcast may be undecodable, and no more than 64 KiB."""
    facts = state(demuxer, suspect=av.Packet(b"bad"), has_frames=has_frames, skipped_bytes=skipped_bytes)

    assert is_hole == isinstance(checks.leaves_a_hole(facts), DamagedMedia)


def test_no_hole_where_everything_decodes():
    """A good frame after good packets is in order."""
    assert checks.leaves_a_hole(state(has_frames=True)) is None


def test_a_file_of_which_nothing_decodes_is_no_media():
    """Where not one packet decodes, the file is something else."""
    assert isinstance(checks.has_no_frame(state(suspect=av.Packet(b"x"))), UndecodableMedia)
    assert checks.has_no_frame(state(suspect=av.Packet(b"x"), has_frames=True)) is None
    assert checks.has_no_frame(state()) is None


@pytest.mark.parametrize(
    ("demuxer", "packet", "is_frame"),
    [
        ("mp3", MP3_HEADER + bytes(10), True),
        ("mp3", b"LYRICSBEGIN", False),
        ("aac", b"\xff\xf1" + bytes(10), True),
        ("aac", b"TAG", False),
        ("flac", b"anything", True),
    ],
)
def test_a_bad_last_packet_is_a_truncated_frame_or_a_tag(demuxer: str, packet: bytes, is_frame: bool):
    """A last packet that does not decode truncates the file, unless it is a foreign tag behind the frames."""
    facts = state(demuxer, suspect=av.Packet(packet), has_frames=True)

    assert is_frame == isinstance(checks.ends_in_a_bad_frame(facts), TruncatedMedia)


def test_much_behind_the_last_frame_is_damage():
    """More than 64 KiB at the end that do not decode are no tag."""
    assert isinstance(checks.ends_in_foreign_bytes(state(skipped_bytes=65_537)), DamagedMedia)
    assert checks.ends_in_foreign_bytes(state(skipped_bytes=65_536)) is None


@pytest.mark.parametrize(
    ("demuxer", "length", "is_short"), [("mp3", 416, True), ("mp3", 417, False), ("avi", 9, False)]
)
def test_a_short_last_mp3_frame_is_truncated(demuxer: str, length: int, is_short: bool):
    """The last frame of an mp3 has the length that its header declares."""
    facts = state(demuxer, last_packet=av.Packet(MP3_HEADER + bytes(length - 4)))

    assert is_short == isinstance(checks.ends_in_a_short_frame(facts), TruncatedMedia)


@pytest.mark.parametrize("of", ["samples", "streams"])
@pytest.mark.parametrize(("reached_s", "is_short"), [(9.8, True), (9.95, False), (12.0, False)])
def test_less_than_declared_is_truncated(of: Any, reached_s: float, is_short: bool):
    """What the declared duration measures has to last that long, its slack aside."""
    facts = state("wav", DeclaredDuration(10.0, 0.1, of))
    facts.reached_s[of] = reached_s

    assert is_short == isinstance(checks.falls_short(facts), TruncatedMedia)


@pytest.mark.parametrize(
    ("of", "missing_s", "is_short"), [("streams", 0.5, False), ("streams", 0.6, True), ("samples", 0.5, True)]
)
def test_a_last_frame_may_be_counted_whole(of: Any, missing_s: float, is_short: bool):
    """A duration of packets may be too long by a frame; a number of samples may not."""
    facts = state("matroska", DeclaredDuration(10.0, 0.1, of), longest_frame_s=0.512)
    facts.reached_s[of] = 10.0 - missing_s

    assert is_short == isinstance(checks.falls_short(facts), TruncatedMedia)


def test_the_first_error_is_raised():
    """Of several faults the first of the list is reported."""
    facts = state("mp3", suspect=av.Packet(MP3_HEADER), skipped_bytes=70_000)

    with pytest.raises(UndecodableMedia):
        checks.raise_first(checks.AFTER_DECODING, facts)
