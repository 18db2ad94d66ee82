"""Opens a local media file with no other demuxers and decoders than an audio service needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from stemline.separation.errors import UndecodableMedia
from stemline.separation.media.demuxers import DEMUXERS
from stemline.separation.media.mpeg import declared_bytes

#: Audio decoders only: pictures and video streams, which may be hostile, are never decoded.
CODECS = (
    "aac", "aac_latm", "ac3", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_swf", "adpcm_yamaha",
    "alac", "als", "amrnb", "amrwb", "ape", "cook", "dca", "dsd_lsbf", "dsd_lsbf_planar", "dsd_msbf",
    "dsd_msbf_planar", "eac3", "flac", "g722", "g726", "gsm", "gsm_ms", "mace3", "mace6", "mlp", "mp1",
    "mp1float", "mp2", "mp2float", "mp3", "mp3float", "mpc7", "mpc8", "nellymoser", "opus", "pcm_alaw",
    "pcm_bluray", "pcm_dvd", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le", "pcm_mulaw", "pcm_s16be",
    "pcm_s16be_planar", "pcm_s16le", "pcm_s16le_planar", "pcm_s24be", "pcm_s24le", "pcm_s24le_planar",
    "pcm_s32be", "pcm_s32le", "pcm_s32le_planar", "pcm_s64be", "pcm_s64le", "pcm_s8", "pcm_s8_planar",
    "pcm_u16be", "pcm_u16le", "pcm_u24be", "pcm_u24le", "pcm_u32be", "pcm_u32le", "pcm_u8", "qdm2",
    "qdmc", "real_144", "real_288", "ralf", "s302m", "sipr", "speex", "tak", "truehd", "tta", "vorbis",
    "wavpack", "wmalossless", "wmapro", "wmav1", "wmav2", "wmavoice",
)  # fmt: skip

_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(DEMUXERS),
    "codec_whitelist": ",".join(CODECS),
}
# Elementary streams, which have no signature of their own.
_BY_SUFFIX = {
    ".mp3": "mp3",
    ".mp2": "mp3",
    ".aac": "aac",
    ".ac3": "ac3",
    ".eac3": "eac3",
    ".dts": "dts",
    ".thd": "truehd",
    ".mlp": "mlp",
}


def open_container(
    source: Path | BinaryIO, *demuxers: str | None, search_bytes: int | None = None
) -> InputContainer:
    """Open `source` for reading.

    Args:
        source: A local file, by its name or opened.
        demuxers: Names of demuxers to try in turn; None is the one that FFmpeg chooses.
        search_bytes: How much FFmpeg reads to find what its streams are; by default 5 MB.

    Raises:
        UndecodableMedia: None of them opens the file.
    """
    options = _OPTIONS if search_bytes is None else {**_OPTIONS, "probesize": str(search_bytes)}
    for demuxer in demuxers:
        # The "file:" prefix keeps a name with a colon from being taken for a protocol.
        url = f"file:{source.absolute()}" if isinstance(source, Path) else source
        try:
            return av.open(url, "r", format=demuxer, container_options=options, metadata_errors="replace")
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
    raise UndecodableMedia


def demuxed(container: InputContainer, *streams: Stream) -> Iterator[Packet[Stream]]:
    """Yield the packets of some streams, by default of all, and the empty ones that end them.

    PyAV looks at its end for streams that it did not have at the start, which a transport stream may add.

    Raises:
        FFmpegError: FFmpeg cannot read on.
    """
    with suppress(IndexError):  # the streams that were asked for have ended by then
        yield from container.demux(*streams)


def likely_demuxers(path: Path, head: bytes) -> list[str | None]:
    """Return the demuxers to try on a source that begins with `head`.

    FFmpeg does not recognise an elementary stream of a few frames, or takes it for video.
    """
    if head[:3] == b"ID3" or declared_bytes(head[:4]) is not None:
        return [None, "mp3"]
    by_suffix = _BY_SUFFIX.get(path.suffix.lower())
    return [None, by_suffix] if by_suffix else [None]
