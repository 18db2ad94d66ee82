"""Opens a local media file with nothing but the demuxers and decoders an audio service needs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.codec import CodecContext
from av.container import InputContainer

from stemline.separation.errors import NoAudioStream, UndecodableMedia
from stemline.separation.media.mpeg import declared_bytes

# Demuxers that read one local file and never point elsewhere: no playlists (hls, dash, concat), no image
# sequences, no devices, no network descriptions.
_FORMATS = (
    "aac", "ac3", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "avi", "caf", "dsf", "dts", "dtshd",
    "eac3", "flac", "flv", "loas", "matroska", "mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "ogg",
    "rm", "tak", "tta", "voc", "w64", "wav", "wv",
)  # fmt: skip

# Audio decoders only: a hostile picture size or video stream in the file is never decoded.
_CODECS = (
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

# Elementary streams, which have no signature of their own.
_BY_SUFFIX = {".mp3": "mp3", ".mp2": "mp3", ".aac": "aac", ".ac3": "ac3", ".eac3": "eac3", ".dts": "dts"}

_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(_FORMATS),
    "codec_whitelist": ",".join(_CODECS),
}


def open_input(path: Path, demuxer: str | None = None) -> InputContainer:
    """Open ``path`` for reading, with the named demuxer if it is known.

    Raises:
        UndecodableMedia: no allowed demuxer knows the file.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(4)  # a missing file is the caller's error, not the media's
    # Of a file of a few frames FFmpeg is not sure enough, or takes it for bare video.
    guesses = [demuxer] if demuxer else [None, *_guesses(path, head)]
    for guess in guesses:
        with suppress(av.FFmpegError):
            # The "file:" prefix keeps a name with a colon from being taken for a protocol.
            url = f"file:{path.absolute()}"
            return av.open(url, "r", format=guess, container_options=_OPTIONS, metadata_errors="replace")
    raise UndecodableMedia


def _guesses(path: Path, head: bytes) -> list[str]:
    if head[:3] == b"ID3" or declared_bytes(head) is not None:
        return ["mp3"]
    by_suffix = _BY_SUFFIX.get(path.suffix.lower())
    return [by_suffix] if by_suffix else []


def first_audio(container: InputContainer) -> AudioStream:
    """Return the first audio stream.

    Raises:
        NoAudioStream: there is none.
        UndecodableMedia: there is no decoder for it.
    """
    if not container.streams.audio:
        raise NoAudioStream
    stream = container.streams.audio[0]
    context: CodecContext | None = stream.codec_context
    if context is None or context.codec.name not in _CODECS:
        raise UndecodableMedia("there is no decoder for the audio stream of the source")
    return stream
