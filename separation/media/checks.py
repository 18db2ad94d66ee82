"""The faults that make a source unfit for separation.

Each check looks at facts and returns the error, or None. To detect another fault, add a check to one of the
lists; the first error of a list is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ParamSpec

from av.audio.stream import AudioStream
from av.packet import Packet
from fastcrc import crc16

from stemline.separation.errors import (
    DamagedMedia,
    MediaError,
    SeparationError,
    TooLong,
    TooMuchMetadata,
    TruncatedMedia,
    UndecodableMedia,
)
from stemline.separation.media.containers import EXCESS_BYTES, METADATA_MAX_BYTES, Structure
from stemline.separation.media.containers.flac import FRAME_HEAD_BYTES, FRAME_MAX_SAMPLES, sample_number
from stemline.separation.media.demuxers import Demuxer, Measure
from stemline.separation.media.duration import DeclaredDuration
from stemline.separation.media.mpeg import declared_bytes
from stemline.separation.media.types import MediaLimits

Facts = ParamSpec("Facts")

#: Bytes before the first frame, or behind the last one, that may be something else than audio.
FOREIGN_MAX_BYTES = 65_536

#: How a frame begins, by demuxer.
_SYNC_WORDS = {"ac3": b"\x0b\x77", "eac3": b"\x0b\x77", "dts": b"\x7f\xfe\x80\x01", "loas": b"\x56"}

#: Of Matroska's clock, seconds.
_TICK_S = 0.001

_NO_INDEX = "The source has no index (moov box): its recording was not finished, or its transfer broke off."


@dataclass(slots=True)
class DecodeState:
    """What decoding has found so far.

    Attributes:
        demuxer, declared, structure: The source's, see `Probe`.
        declared_bytes: What the container counts as the bytes of the stream; 0 where it does not.
        reached_s: How far the decoded samples and the packets of all streams reach, seconds.
        packet_bytes: Bytes of the packets so far.
        longest_packet: Bytes of the longest one.
        longest_frame_s: How long the longest frame lasts, seconds.
        has_frames: Whether anything was decoded.
        suspect: The last packet since the last good frame that did not decode or is flagged as corrupt.
        skipped_bytes: Bytes since the last good frame that did not decode.
        last_packet: The last packet that was decoded.
        pause_s: Silence that the container puts before the next packet, seconds.
    """

    demuxer: Demuxer
    declared: DeclaredDuration | None
    declared_bytes: int = 0
    structure: Structure = field(default_factory=lambda: Structure(0))
    reached_s: dict[Measure, float] = field(default_factory=lambda: {"samples": 0.0, "streams": 0.0})
    packet_bytes: int = 0
    longest_packet: int = 0
    longest_frame_s: float = 0.0
    has_frames: bool = False
    suspect: Packet[AudioStream] | None = None
    skipped_bytes: int = 0
    last_packet: Packet[AudioStream] | None = None
    pause_s: float = 0.0


def raise_first(
    checks: Iterable[Callable[Facts, SeparationError | None]], *facts: Facts.args, **named: Facts.kwargs
) -> None:
    """Raise the error of the first check that finds one."""
    for check in checks:
        if (error := check(*facts, **named)) is not None:
            raise error


# -- the structure, before FFmpeg opens the file


def ends_early(structure: Structure) -> MediaError | None:
    """A transfer that broke off: a chunk, box, page or packet ends beyond the last byte of the file."""
    if structure.end is None or structure.end <= structure.size:
        return None
    return TruncatedMedia(_NO_INDEX if structure.lacks_index else None)


def has_no_index(structure: Structure) -> MediaError | None:
    """A recording of a camera or phone that lost its power: mp4 is written with its index last."""
    return UndecodableMedia(_NO_INDEX) if structure.lacks_index else None


def has_a_gap(structure: Structure) -> MediaError | None:
    """Bytes lost or overwritten in the middle: the chain of pages or clusters breaks there."""
    return DamagedMedia() if structure.broken_at is not None else None


def has_too_much_metadata(structure: Structure) -> SeparationError | None:
    """A small song with a large attachment, or a chain of empty parts: FFmpeg's memory and time follow it."""
    return TooMuchMetadata() if structure.metadata_bytes > METADATA_MAX_BYTES else None


BEFORE_OPENING = (has_too_much_metadata, ends_early, has_no_index, has_a_gap)


# -- the declared duration, before anything is decoded


def lasts_too_long(declared: DeclaredDuration | None, limits: MediaLimits) -> SeparationError | None:
    """A recording of a whole day, or a small file of hours of silence: refused before it is decoded."""
    if declared is None or declared.of != "samples":
        return None
    if declared.seconds - declared.slack_s <= limits.max_duration_s:
        return None
    return TooLong(f"The source lasts {declared.seconds:.0f} s; the limit is {limits.max_duration_s:.0f} s.")


BEFORE_DECODING = (lasts_too_long,)


# -- the packets, when a good frame follows others that did not decode


def leaves_a_hole(state: DecodeState) -> MediaError | None:
    """A bad sector in the middle of the file: a packet does not decode, and audio follows it.

    A recording of a broadcast may begin in the middle of a frame; that is not damage.
    """
    is_start = not state.has_frames and state.demuxer.starts_anywhere
    if state.suspect is None or (is_start and state.skipped_bytes <= FOREIGN_MAX_BYTES):
        return None
    return _damaged_after(state)


# -- everything, when the last packet was decoded


def has_no_frame(state: DecodeState) -> MediaError | None:
    """Something else under the name of a media file: nothing of it decodes."""
    return UndecodableMedia() if not state.has_frames and state.suspect is not None else None


def ends_in_a_bad_frame(state: DecodeState) -> MediaError | None:
    """A transfer that broke off in a frame, in a container that declares no length."""
    if state.suspect is None or not _is_audio(state.demuxer.name, bytes(state.suspect)):
        return None
    return TruncatedMedia()


def ends_in_foreign_bytes(state: DecodeState) -> MediaError | None:
    """The end of the file was overwritten: more than a tag's length of it is no audio."""
    return _damaged_after(state) if state.skipped_bytes > FOREIGN_MAX_BYTES else None


def ends_in_a_short_frame(state: DecodeState) -> MediaError | None:
    """An mp3 truncated in its last frame, which decodes nevertheless: it is shorter than its header says."""
    if state.demuxer.name != "mp3" or state.last_packet is None:
        return None
    data = bytes(state.last_packet)
    length = declared_bytes(data[:4])
    return TruncatedMedia() if length is not None and length > len(data) else None


def falls_short(state: DecodeState) -> MediaError | None:
    """A transfer that broke off, or lost a part: the file declares a longer duration than it has."""
    declared = state.declared
    if declared is None:
        return None
    reached_s = state.reached_s[declared.of]
    slack_s = declared.slack_s
    if declared.of == "streams":
        # FFmpeg counts a last frame that is shorter than a tick of Matroska's clock as a whole one.
        slack_s = max(slack_s, state.longest_frame_s + _TICK_S)
    if declared.seconds - reached_s <= slack_s or _is_cut_between_frames(state):
        return None
    return TruncatedMedia(f"The source declares {declared.seconds:.1f} s and ends after {reached_s:.1f} s.")


def lacks_bytes(state: DecodeState) -> MediaError | None:
    """Chunks that the demuxer did not find, where the container counts their bytes but no time."""
    missing = state.declared_bytes - state.packet_bytes
    return TruncatedMedia() if missing > state.longest_packet + EXCESS_BYTES else None


AFTER_DECODING = (
    has_no_frame,
    ends_in_a_bad_frame,
    ends_in_foreign_bytes,
    ends_in_a_short_frame,
    falls_short,
    lacks_bytes,
)


def _is_cut_between_frames(state: DecodeState) -> bool:
    """Return whether a flac ends in a whole frame, with nothing behind its checksum, and lacks none before.

    A program that cuts a flac without encoding it again keeps the length of the whole in the header.
    """
    last = state.last_packet
    if state.demuxer.name != "flac" or last is None or crc16.umts(bytes(last)):
        return False
    known = state.structure
    start = sample_number(bytes(last)[:FRAME_HEAD_BYTES], known.frame_samples) - known.first_sample
    reached = round(state.reached_s["samples"] * last.stream.codec_context.sample_rate)
    # The last frame may be shorter than the others, not longer.
    return start < reached <= start + FRAME_MAX_SAMPLES


def _damaged_after(state: DecodeState) -> DamagedMedia:
    after_s = state.reached_s["samples"]
    return DamagedMedia(f"The source is damaged: it cannot be decoded after {after_s:.1f} s.")


def _is_audio(demuxer: str, packet: bytes) -> bool:
    """Return whether a packet that does not decode begins as a frame, and is not a foreign tag."""
    if demuxer == "mp3":
        return declared_bytes(packet[:4]) is not None
    if demuxer == "aac":
        return packet[:1] == b"\xff" and len(packet) > 1 and packet[1] & 0xF6 == 0xF0
    if demuxer in _SYNC_WORDS:
        return packet.startswith(_SYNC_WORDS[demuxer])
    return True
