"""Makes media files of every kind for tests, with FFmpeg's own encoders."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray


@dataclass(frozen=True)
class Kind:
    """A kind of media file: its suffix, audio encoder, rate and layout."""

    suffix: str
    codec: str
    rate: int = 44_100
    layout: str = "stereo"
    bit_rate: int | None = None
    video: bool = False
    muxer: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    sample_format: str | None = None

    @property
    def name(self) -> str:
        """The file's name, which is different for each kind."""
        video = "-video" if self.video else ""
        return f"{self.codec}-{self.rate}-{self.layout.replace('.', '')}{video}.{self.suffix}"


def tone(frames: int, channels: int = 2, rate: int = 44_100, seed: int = 0) -> NDArray[np.float32]:
    """Return (frames, channels): a chord with a little noise, different in each channel, at most 0.6."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / rate
    pitch = 220.0 * (1 + np.arange(channels)[None, :] / 4)
    signal = 0.4 * np.sin(2 * np.pi * pitch * time) + 0.02 * rng.standard_normal((frames, channels))
    return signal.astype(np.float32)


def make(path: Path, kind: Kind, samples: NDArray[np.float32], tags: dict[str, str] | None = None) -> Path:
    """Write ``samples`` (frames, channels) at the kind's rate to ``path`` and return it."""
    with av.open(str(path), "w", format=kind.muxer, container_options=kind.container_options) as container:
        container.metadata.update(tags or {})
        video = container.add_stream("mpeg4", rate=10) if kind.video else None
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        stream = container.add_stream(kind.codec, rate=kind.rate, options=dict(kind.options))
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = kind.layout
        if kind.sample_format:
            stream.codec_context.format = kind.sample_format
        if kind.bit_rate:
            stream.codec_context.bit_rate = kind.bit_rate
        step = kind.rate // 10
        for number, start in enumerate(range(0, len(samples), step)):
            if video is not None:
                picture = av.VideoFrame.from_ndarray(
                    np.full((48, 64, 3), number % 256, np.uint8), format="rgb24"
                )
                picture.pts = number
                container.mux(video.encode(picture.reformat(format="yuv420p")))
            block = np.ascontiguousarray(samples[start : start + step]).reshape(1, -1)
            frame = AudioFrame.from_ndarray(block, format="flt", layout=kind.layout)
            frame.sample_rate = kind.rate
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if video is not None:
            container.mux(video.encode(None))
    return path


#: Every container the service promises to read, with a codec that is usual in it.
KINDS = (
    Kind("wav", "pcm_u8"),
    Kind("wav", "pcm_s16le"),
    Kind("wav", "pcm_s24le"),
    Kind("wav", "pcm_s32le"),
    Kind("wav", "pcm_f32le"),
    Kind("wav", "pcm_f64le"),
    Kind("wav", "pcm_alaw", rate=8000, layout="mono"),
    Kind("aiff", "pcm_s16be"),
    Kind("caf", "pcm_s24be"),
    Kind("flac", "flac"),
    Kind("mp3", "libmp3lame"),
    Kind("aac", "aac", muxer="adts"),
    Kind("m4a", "aac"),
    Kind("m4a", "alac"),
    Kind("mp4", "aac", video=True),
    Kind("mov", "aac", video=True),
    Kind("mkv", "aac", video=True),
    Kind("mkv", "flac"),
    Kind("webm", "libopus", rate=48_000),
    Kind("avi", "libmp3lame", video=True),
    Kind("ts", "aac", muxer="mpegts", video=True),
    Kind("flv", "aac"),
    Kind("3gp", "libopencore_amrnb", rate=8000, layout="mono", bit_rate=12_200),
    Kind("3gp", "aac", video=True),
    Kind("ogg", "vorbis", options={"strict": "-2"}),
    Kind("opus", "libopus", rate=48_000),
    Kind("ogg", "flac"),
    Kind("wma", "wmav2", bit_rate=128_000, muxer="asf"),
    Kind("amr", "libopencore_amrnb", rate=8000, layout="mono", bit_rate=12_200),
    Kind("ac3", "ac3"),
    Kind("mp2", "mp2"),
)
