"""Demuxes and decodes one audio stream, and notices whatever is missing from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from numpy.typing import NDArray

from stemline.separation.errors import DamagedMedia, TruncatedMedia, UndecodableMedia
from stemline.separation.media.channels import to_stereo
from stemline.separation.media.concatenated import reject_gaps, strip_tags
from stemline.separation.media.integrity import (
    declared,
    demuxer,
    is_frame_tail,
    is_short_mpeg_frame,
    itunes_samples,
)
from stemline.separation.media.pcm import to_float

#: Rates a source may have, in Hz: from below telephone to DSD's.
RATES = range(4_000, 768_001)

# A step forward of the time stamps by less than this is jitter of the container, in seconds.
_JITTER_S = 0.1
# Containers of recordings, in which a pause (Opus DTX, a dropped connection) is part of the source.
_PAUSES = frozenset({"matroska", "mov", "flv", "mpegts", "mpeg"})
_PAUSE_MAX_S = 5.0
# Containers without time stamps of their own, or whose jumps are splices.
_UNTIMED = frozenset({"avi", "mp3"})
_SPLICED = frozenset({"mpegts", "mpeg"})
# Streams that can be entered anywhere: what precedes the first whole frame belongs to no one.
_ENTERED_ANYWHERE = frozenset({"mp3", "aac", "ac3", "eac3", "mpegts", "mpeg", "loas", "dts"})
# Bytes before the first frame and behind the last one that may be something else than audio.
_FOREIGN_MAX = 65_536
# Demuxers that flag the last packet of a whole file, if its header gives no length.
_FLAGS_LAST = frozenset({"wav", "caf"})
# Decoders with checksums that no encoder in the wild writes wrongly.
_CHECKSUMMED = frozenset({"flac", "ac3", "eac3", "wavpack", "tta", "tak", "ape", "truehd", "mlp", "alac"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of stereo samples, float32 (frames, 2), at ``rate`` Hz."""

    rate: int
    samples: NDArray[np.float32]


class FrameReader:
    """Iterates once over the audio of ``stream`` as stereo pieces at the source's own rate.

    Raises, while iterated:
        UndecodableMedia: nothing of it can be decoded.
        DamagedMedia: something in the middle cannot be decoded or is missing.
        TruncatedMedia: its end is missing.
    """

    def __init__(self, path: Path, container: InputContainer, stream: AudioStream) -> None:
        self._path = path
        self._container = container
        self._stream = stream
        self._name = demuxer(container)
        self.declared = declared(path, container, stream)
        self._reached_s = {"samples": 0.0, "packets": 0.0, "streams": 0.0}
        self._end_s: float | None = None
        self._suspect: Packet[AudioStream] | None = None
        self._skipped = 0
        self._seen = False
        self._last: Packet[AudioStream] | None = None
        stream.codec_context.thread_count = 1
        checks = "crccheck+explode" if stream.codec.canonical_name in _CHECKSUMMED else "crccheck"
        stream.codec_context.options = {"err_detect": checks}

    def __iter__(self) -> Iterator[Piece]:
        held: Piece | None = None
        for frame in self._frames():
            for piece in self._placed(frame):
                if held is not None:
                    yield held
                held = piece
        self._check_end()
        if held is not None:
            yield self._trimmed(held)

    def _frames(self) -> Iterator[AudioFrame]:
        packets = self._packets()
        if self._name == "mp3":
            packets = strip_tags(packets)
        elif self._name == "aac":
            packets = reject_gaps(packets, self._path)
        for packet in packets:
            if self._is_flagged(packet):
                self._suspect = packet
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.FFmpegError:
                self._suspect = packet
                self._skipped += packet.size
                continue
            if packet.size:
                self._last = packet
            for frame in frames:
                if frame.is_corrupt:
                    self._suspect = packet
                    continue
                # What a decoder held back comes out at the end, after whatever is suspect.
                if packet.size:
                    self._accept()
                yield frame

    def _accept(self) -> None:
        """A good frame came: whatever was suspect before it is a hole in the middle."""
        entered = not self._seen and self._name in _ENTERED_ANYWHERE and self._skipped <= _FOREIGN_MAX
        if self._suspect is not None and not entered:
            raise self._damaged()
        self._skipped = 0
        self._suspect = None
        self._seen = True

    def _damaged(self) -> DamagedMedia:
        after_s = self._reached_s["samples"]
        return DamagedMedia(f"the source is damaged: what follows its first {after_s:.1f} s does not decode")

    def _is_flagged(self, packet: Packet[AudioStream]) -> bool:
        return packet.is_corrupt and self._name not in _FLAGS_LAST

    def _packets(self) -> Iterator[Packet[AudioStream]]:
        if self.declared is None or self.declared.of != "streams":
            for other in self._container.streams:
                if other.index != self._stream.index:
                    other.discard = Discard.all
        try:
            for packet in self._container.demux():
                ours = packet.stream_index == self._stream.index
                if packet.pts is not None and packet.time_base:
                    end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    self._reach("streams", end_s)
                    if ours:
                        self._reach("packets", end_s)
                if ours:
                    yield cast("Packet[AudioStream]", packet)
        except av.FFmpegError as error:
            raise (TruncatedMedia if self._seen else UndecodableMedia) from error

    def _reach(self, of: str, end_s: float) -> None:
        self._reached_s[of] = max(self._reached_s[of], end_s)

    def _placed(self, frame: AudioFrame) -> Iterator[Piece]:
        """Yield the frame's samples, after the silence that the time stamps say lies before them."""
        rate = frame.sample_rate
        if rate not in RATES:
            raise UndecodableMedia(f"the sample rate of the source, {rate} Hz, is not one of audio")
        length_s = frame.samples / rate
        if frame.pts is not None and frame.time_base is not None and self._name not in _UNTIMED:
            start_s = float(frame.pts * frame.time_base)
            pause_s = self._pause_s(start_s)
            if pause_s:
                yield Piece(rate, np.zeros((round(pause_s * rate), 2), dtype=np.float32))
            self._end_s = start_s + length_s
        elif self._end_s is not None:
            self._end_s += length_s
        self._reached_s["samples"] += length_s
        names = tuple(channel.name for channel in frame.layout.channels)
        yield Piece(rate, to_stereo(to_float(frame), names))

    def _pause_s(self, start_s: float) -> float:
        """Return how much silence lies between the last frame and ``start_s``."""
        if self._end_s is None or start_s - self._end_s <= _JITTER_S:
            return 0.0
        pause_s = start_s - self._end_s
        if self._name in _PAUSES and pause_s <= _PAUSE_MAX_S:
            self._reached_s["samples"] += pause_s
            return pause_s
        if self._name in _SPLICED:
            return 0.0
        raise DamagedMedia(f"{pause_s:.1f} s of audio are missing after {self._end_s:.1f} s of the source")

    def _check_end(self) -> None:
        if not self._seen and self._suspect is not None:
            raise UndecodableMedia
        if self._suspect is not None and is_frame_tail(self._name, bytes(self._suspect)):
            raise TruncatedMedia
        if self._skipped > _FOREIGN_MAX:
            raise self._damaged()
        if self._name == "mp3" and self._last is not None and is_short_mpeg_frame(bytes(self._last)):
            raise TruncatedMedia
        if self.declared is not None:
            reached_s = self._reached_s[self.declared.of]
            missing_s = self.declared.duration_s - reached_s
            if missing_s > self.declared.slack_s:
                raise TruncatedMedia(
                    f"the source declares {self.declared.duration_s:.1f} s and ends after {reached_s:.1f} s"
                )

    def _trimmed(self, last: Piece) -> Piece:
        """Cut the encoder's padding off the last frame, where the container says how much it is."""
        keep = len(last.samples)
        packet = self._last
        if self._name == "mov" and packet is not None and packet.duration and packet.time_base:
            keep = min(keep, round(packet.duration * packet.time_base * last.rate))
        total = itunes_samples(self._container.metadata)
        if total is not None:
            # iTunes says it beside the samples instead of in the index.
            excess = round(self._reached_s["samples"] * last.rate) - total
            keep = min(keep, len(last.samples) - excess)
        return Piece(last.rate, last.samples[:keep]) if 0 < keep < len(last.samples) else last
