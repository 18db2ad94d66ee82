"""The demuxers of FFmpeg that read sources, and how far the lengths and times of each can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: What a declared duration measures: the decoded samples, or the packets of all streams.
Measure = Literal["samples", "streams"]


@dataclass(frozen=True, slots=True)
class Demuxer:
    """The properties of one demuxer.

    Attributes:
        name: FFmpeg's name, the first of several.
        measures: What the duration that it reports measures; None where that is an estimate or missing.
        slack_s: How far off that duration may be, seconds.
        has_times: Whether packets carry time stamps of the file's own.
        keeps_pauses: Whether a step forward of the time stamps is a pause that was recorded.
        min_pause_s: A shorter step is damage, seconds: the container has packets without checksums.
        has_splices: Whether a step beyond the longest pause is a splice, where nothing is missing.
        starts_anywhere: Whether the stream may begin, or be resumed, in the middle of a frame.
        may_change: Whether the number of channels may change on the way.
        counts_packets: Whether duration and bitrate of a compressed stream are known by its packets alone.
        wrap_s: Where time stamps start again from 0, seconds; None where they do not.
        flags_last_packet: Whether the last packet of a whole file may be flagged as corrupt.
    """

    name: str
    measures: Measure | None = None
    slack_s: float = 0.0
    has_times: bool = True
    keeps_pauses: bool = False
    min_pause_s: float = 0.0
    has_splices: bool = False
    starts_anywhere: bool = False
    may_change: bool = False
    counts_packets: bool = False
    wrap_s: float | None = None
    flags_last_packet: bool = False


def _broadcast(name: str) -> Demuxer:
    return Demuxer(
        name,
        keeps_pauses=True,
        has_splices=True,
        starts_anywhere=True,
        may_change=True,
        counts_packets=True,
    )


# Only those that read one local file and never refer to another: no playlists (hls, dash, concat), no image
# sequences, no devices, no network descriptions.
_ALL = (
    Demuxer("aac", starts_anywhere=True, may_change=True),
    Demuxer("ac3", starts_anywhere=True, counts_packets=True),
    Demuxer("aiff", "samples", 0.001, flags_last_packet=True),
    Demuxer("amr"),
    Demuxer("ape", "samples", 0.001),
    Demuxer("asf", "streams", 0.25, keeps_pauses=True, min_pause_s=1.0, counts_packets=True),
    Demuxer("au", flags_last_packet=True),
    Demuxer("avi", has_times=False, counts_packets=True),
    Demuxer("caf", "samples", 0.001, has_times=False, flags_last_packet=True, counts_packets=True),
    Demuxer("dsf"),
    Demuxer("dts", starts_anywhere=True, counts_packets=True),
    Demuxer("dtshd", counts_packets=True),
    Demuxer("eac3", starts_anywhere=True, counts_packets=True),
    Demuxer("flac", "samples", 0.001),
    Demuxer("flv", "streams", 0.25, keeps_pauses=True, counts_packets=True, wrap_s=2**31 / 1000),
    Demuxer("iff", "samples", 0.001),
    Demuxer("loas", starts_anywhere=True, may_change=True, counts_packets=True),
    Demuxer("matroska", "streams", 0.1, keeps_pauses=True),
    Demuxer("mlp", starts_anywhere=True, counts_packets=True),
    Demuxer("mov", "samples", 0.25, keeps_pauses=True),
    Demuxer("mp3", has_times=False, starts_anywhere=True),
    Demuxer("mpc"),
    Demuxer("mpc8"),
    _broadcast("mpeg"),
    _broadcast("mpegts"),
    Demuxer("ogg", "samples", 0.1, keeps_pauses=True),
    Demuxer("rm", counts_packets=True),
    Demuxer("tak", "samples", 0.001),
    Demuxer("truehd", starts_anywhere=True, counts_packets=True),
    Demuxer("tta", "samples", 0.001),
    Demuxer("voc"),
    Demuxer("w64", "samples", 0.001, flags_last_packet=True, counts_packets=True),
    Demuxer("wav", "samples", 0.001, flags_last_packet=True, counts_packets=True),
    Demuxer("wv", "samples", 0.001),
)

#: Every demuxer that may be used, by name.
DEMUXERS: Mapping[str, Demuxer] = {demuxer.name: demuxer for demuxer in _ALL}
