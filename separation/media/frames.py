"""Decodes one audio stream, and detects missing parts of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor, remainder

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from numpy.typing import NDArray

from stemline.separation.errors import DamagedMedia, UndecodableMedia
from stemline.separation.media import checks
from stemline.separation.media.channels import to_stereo
from stemline.separation.media.containers import EXCESS_BYTES
from stemline.separation.media.duration import in_seconds, itunes_padding
from stemline.separation.media.layouts import channel_names, has_no_name
from stemline.separation.media.packets import read_packets
from stemline.separation.media.pcm import to_float
from stemline.separation.media.probe import Probe
from stemline.separation.media.types import MediaLimits

#: Rates a source may have, in Hz: from below telephone to DSD's.
RATES = range(4_000, 768_001)

# A step forward of the time stamps by less than this is jitter of the container, in seconds.
_JITTER_S = 0.1
# A shorter step than this share of a frame leaves no frame out.
_MISSING_SHARE = 0.9
# Silence is passed on in pieces of this length, in seconds.
_SILENCE_S = 1.0
# Demuxers of what iTunes writes; an mp3 with a header of its own has been trimmed by it.
_TAGGED_BY_ITUNES = frozenset({"mov", "mp3", "aac"})
# An edit list counts in ticks of about this length, in seconds.
_EDIT_S = 0.001
# How far a time stamp may lie beyond the container's own duration, in seconds.
_BEYOND_S = 2.0
# Decoders with checksums that no encoder in the wild writes wrongly.
_CHECKSUMMED = frozenset({"flac", "ac3", "eac3", "wavpack", "tta", "tak", "ape", "truehd", "mlp", "alac"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of stereo samples, float32 (frames, 2), at `rate` Hz."""

    rate: int
    samples: NDArray[np.float32]


class FrameReader:
    """Iterates once over the audio of a probed source as stereo pieces at the source's own rate.

    Args:
        probe: The opened source.
        limits: How long a pause may be.
        keep_video_origin: Whether silence precedes audio that starts after the other streams.

    Raises, while iterated:
        UndecodableMedia: Nothing of it can be decoded.
        DamagedMedia: Something in the middle cannot be decoded or is missing.
        TruncatedMedia: Its end is missing.
    """

    def __init__(self, probe: Probe, limits: MediaLimits, *, keep_video_origin: bool = False) -> None:
        self._probe = probe
        self._limits = limits
        self._keep_video_origin = keep_video_origin
        self._state = checks.DecodeState(probe.demuxer, probe.declared, probe.declared_bytes, probe.structure)
        self._order: str | None = None  # of the channels of the last frame
        self._names: tuple[str, ...] = ()
        self._end_s: float | None = None
        self._owed_s = 0.0  # what gaps that are too short to be distinguished from jitter add up to
        stream = probe.stream
        stream.codec_context.thread_count = 1
        strict = "crccheck+explode" if stream.codec.canonical_name in _CHECKSUMMED else "crccheck"
        stream.codec_context.options = {"err_detect": strict}

    def __iter__(self) -> Iterator[Piece]:
        held: Piece | None = None
        for frame in self._frames():
            for piece in self._pieces(frame):
                if held is not None:
                    yield held
                held = piece
        checks.raise_first(checks.AFTER_DECODING, self._state)
        if held is None and not self._probe.stream.codec_context.sample_rate:
            raise UndecodableMedia  # something else under the name of an elementary stream
        if held is not None:
            yield self._trimmed(held)

    def _frames(self) -> Iterator[AudioFrame]:
        state = self._state
        context = self._probe.stream.codec_context
        for packet in read_packets(self._probe, state):
            if packet.is_corrupt and not self._probe.demuxer.flags_last_packet:
                state.suspect = packet
            try:
                frames = context.decode(packet)
            except av.FFmpegError as error:
                if isinstance(error, MemoryError):
                    raise
                if self._probe.demuxer.flags_last_packet and packet.size < EXCESS_BYTES:
                    continue  # a part of a sample, behind the last whole one
                state.suspect = packet
                state.skipped_bytes += packet.size
                continue
            if packet.size:
                state.last_packet = packet
            for frame in frames:
                if frame.is_corrupt:
                    state.suspect = packet
                    continue
                # Frames that the decoder had delayed come at the end, and say nothing about the last packets.
                # What decodes of a packet that was cut off does not make it good.
                if packet.size and not (packet.is_corrupt and state.suspect):
                    self._accept()
                yield frame

    def _accept(self) -> None:
        """Note that a good frame was decoded."""
        state = self._state
        checks.raise_first((checks.leaves_a_hole,), state)
        state.skipped_bytes = 0
        state.suspect = None
        state.has_frames = True

    def _pieces(self, frame: AudioFrame) -> Iterator[Piece]:
        """Yield the frame's samples, after the silence that the time stamps put before them."""
        rate = frame.sample_rate
        if rate not in RATES:
            raise UndecodableMedia(f"{rate} Hz is not a sample rate of audio.")
        length_s = frame.samples / rate
        base = frame.time_base if self._probe.demuxer.has_times else None
        if frame.pts is not None and base is not None:
            start_s = self._start_s(in_seconds(frame.pts, base), rate)
            yield from _silence(round(self._pause_s(start_s, length_s) * rate), rate)
            self._end_s = start_s + length_s
            # Not every container says how long a packet lasts.
            reached_s = self._state.reached_s
            reached_s["streams"] = max(reached_s["streams"], self._end_s)
        elif not self._probe.demuxer.has_times:
            yield from _silence(round(self._recorded_pause_s() * rate), rate)
            self._end_s = (self._end_s or 0.0) + length_s
        elif self._end_s is not None:
            self._end_s += length_s
        self._state.reached_s["samples"] += length_s
        self._state.longest_frame_s = max(self._state.longest_frame_s, length_s)
        yield Piece(rate, to_stereo(self._samples(frame), self._channel_names(frame.layout)))

    def _samples(self, frame: AudioFrame) -> NDArray[np.float32]:
        """Return a frame's samples, in (frames, channels).

        Raises:
            UndecodableMedia: More of their bits are used than are said to be valid.
        """
        samples = to_float(frame, holds_floats=self._probe.holds_floats)
        if (scale := self._probe.scale) != 1.0:
            samples *= np.float32(scale)
            if scale > 1.0 and samples.size and np.abs(samples).max() > 1.0:
                raise UndecodableMedia("The samples of the source have more bits than it says are valid.")
        return samples

    def _channel_names(self, layout: AudioLayout) -> tuple[str, ...]:
        """Return the names of a frame's channels: the file's where the decoder knows their number alone."""
        order = layout.name
        if order != self._order:  # seldom: names are asked of FFmpeg one by one
            declared = self._probe.channel_names
            is_declared = has_no_name(layout) and layout.nb_channels == len(declared)
            self._order, self._names = order, declared if is_declared else channel_names(layout)
        return self._names

    def _start_s(self, stamped_s: float, rate: int) -> float:
        """Return when a frame starts, seconds, from its time stamp."""
        structure = self._probe.structure
        if stamped_s * rate < structure.first_page_samples:
            # Of flac in Ogg, FFmpeg counts the first page from 0.
            return stamped_s + structure.first_sample / rate
        return stamped_s

    def _pause_s(self, start_s: float, length_s: float) -> float:
        """Return how much silence lies before a frame that starts at `start_s`, in seconds.

        Raises:
            DamagedMedia: Audio is missing there, or the pause is longer than the limit.
        """
        if self._end_s is None:
            return self._delay_s(start_s)
        pause_s = start_s - self._end_s
        if wrap_s := self._probe.demuxer.wrap_s:
            pause_s = remainder(pause_s, wrap_s)
        if pause_s <= _JITTER_S:
            # Some recorders leave out silent frames, one or two at a time.
            is_gap = pause_s < 0 or pause_s >= _MISSING_SHARE * length_s
            self._owed_s = max(self._owed_s + pause_s, 0.0) if is_gap else self._owed_s
            pause_s, self._owed_s = (self._owed_s, 0.0) if self._owed_s > _JITTER_S else (0.0, self._owed_s)
            self._state.reached_s["samples"] += pause_s
            return pause_s
        demuxer = self._probe.demuxer
        if demuxer.has_splices and pause_s > self._limits.max_pause_s:
            return 0.0
        keeps = demuxer.keeps_pauses and pause_s >= demuxer.min_pause_s
        if not keeps or self._is_beyond_end(start_s):
            raise DamagedMedia(
                f"The source is damaged: {pause_s:.1f} s of audio are missing after {self._end_s:.1f} s."
            )
        if pause_s > self._limits.max_pause_s:
            raise self._too_long_a_pause(pause_s)
        self._state.reached_s["samples"] += pause_s
        return pause_s

    def _recorded_pause_s(self) -> float:
        """Return the silence that a container without time stamps puts before a frame, in seconds."""
        pause_s, self._state.pause_s = self._state.pause_s, 0.0
        if self._end_s is None:
            return min(pause_s, self._limits.max_pause_s) if self._keep_video_origin else 0.0
        if pause_s > self._limits.max_pause_s:
            raise self._too_long_a_pause(pause_s)
        self._state.reached_s["samples"] += pause_s
        return pause_s

    def _too_long_a_pause(self, pause_s: float) -> DamagedMedia:
        return DamagedMedia(
            f"The source pauses for {pause_s:.1f} s after {self._end_s:.1f} s; "
            f"the limit is {self._limits.max_pause_s:.0f} s."
        )

    def _delay_s(self, start_s: float) -> float:
        """Return by how much the first frame starts after the other streams, where that is asked for."""
        origin = self._probe.container.start_time
        if not self._keep_video_origin or origin is None:
            return 0.0
        return min(max(start_s - origin / 1_000_000, 0.0), self._limits.max_pause_s)

    def _is_beyond_end(self, start_s: float) -> bool:
        """Return whether a time stamp lies beyond the duration that the container declares."""
        container = self._probe.container
        if container.duration is None:
            return False
        return start_s > ((container.start_time or 0) + container.duration) / 1_000_000 + _BEYOND_S

    def _trimmed(self, last: Piece) -> Piece:
        """Cut the encoder's padding off the last frame, where the container says how much it is."""
        keep = len(last.samples)
        packet = self._state.last_packet
        if self._probe.demuxer.name == "mov" and packet and packet.duration and packet.time_base:
            keep = min(keep, round(packet.duration * packet.time_base * last.rate))
        keep = min(keep, len(last.samples) - self._beyond_edits(last.rate))
        if self._probe.demuxer.name in _TAGGED_BY_ITUNES and not self._probe.structure.frames:
            # iTunes says it in a tag instead of in the index.
            decoded = round(self._state.reached_s["samples"] * last.rate)
            keep = min(keep, len(last.samples) - itunes_padding(self._probe.container.metadata, decoded))
        return Piece(last.rate, last.samples[:keep]) if 0 < keep < len(last.samples) else last

    def _beyond_edits(self, rate: int) -> int:
        """Return how many samples of an mp3 in mp4 or mov lie surely behind the end of its edit list."""
        stream, declared = self._probe.stream, self._probe.declared
        if self._probe.demuxer.name != "mov" or declared is None or stream.codec.canonical_name != "mp3":
            return 0
        return max(floor((self._state.reached_s["samples"] - declared.seconds - _EDIT_S) * rate), 0)


def _silence(frames: int, rate: int) -> Iterator[Piece]:
    """Yield silence of that many frames, in short pieces."""
    most = round(_SILENCE_S * rate)
    for start in range(0, frames, most):
        yield Piece(rate, np.zeros((min(most, frames - start), 2), dtype=np.float32))
