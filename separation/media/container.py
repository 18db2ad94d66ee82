"""Opens a local media file with nothing but the demuxers and decoders an audio service needs."""

from __future__ import annotations

from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.codec import CodecContext
from av.container import InputContainer

from separation.errors import NoAudioStream, UndecodableMedia

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

_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(_FORMATS),
    "codec_whitelist": ",".join(_CODECS),
}


def open_input(path: Path) -> InputContainer:
    """Open ``path`` for reading.

    Raises:
        UndecodableMedia: no allowed demuxer knows the file.
        OSError: the file cannot be read.
    """
    with path.open("rb"):
        pass  # a missing file is the caller's error, not the media's
    try:
        # The "file:" prefix keeps a name with a colon from being taken for a protocol.
        return av.open(f"file:{path.absolute()}", "r", container_options=_OPTIONS, metadata_errors="replace")
    except av.FFmpegError as error:
        raise UndecodableMedia from error


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
