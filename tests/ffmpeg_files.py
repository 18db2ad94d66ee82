"""Makes media files with the `ffmpeg` command: every format of `media_formats` in every arrangement.

Stemline reads with the FFmpeg that PyAV brings; these files, and what is in them, come from another FFmpeg.
"""

from __future__ import annotations

import base64
import struct
import subprocess
import wave
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.media_formats import OFFSET_S, PAUSE_S, RATE, Format

#: Length of the audio, in samples: no multiple of any codec's frame.
FRAMES = 55_001

#: The inputs of every arrangement, by their numbers, and what is said about them.
_MAPS: Mapping[str, tuple[str, ...]] = {
    "plain": ("-map", "0"),
    "chapters": ("-map", "0", "-map_metadata", "5", "-map_chapters", "5"),
    "cover last": ("-map", "0", "-map", "3", "-c:v", "copy", "-disposition:v:0", "attached_pic"),
    "cover first": ("-map", "3", "-map", "0", "-c:v", "copy", "-disposition:v:0", "attached_pic"),
    "video first": ("-map", "2", "-map", "0"),
    "video last": ("-map", "0", "-map", "2"),
    "video around": ("-map", "2", "-map", "0", "-map", "2"),
    "late": ("-map", "2", "-map", "6"),
    "two tracks": (
        "-map",
        "0",
        "-map",
        "1",
        "-metadata:s:a:0",
        "language=eng",
        "-metadata:s:a:1",
        "language=deu",
    ),
    "second default": ("-map", "1", "-map", "0", "-disposition:a:0", "0", "-disposition:a:1", "default"),
    "subtitles": ("-map", "2", "-map", "0", "-map", "4"),
    "pause": ("-map", "0"),
    "muted": ("-map", "7", "-map", "0"),
}


def signal(frames: int = FRAMES, seed: int = 0) -> NDArray[np.float32]:
    """Return (frames, 2): noise below 3 kHz, different on both sides, which every codec keeps well."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((frames, 2)), axis=0)
    spectrum[int(3000 * frames / RATE) :] = 0
    noise = np.fft.irfft(spectrum, frames, axis=0)
    return (0.5 * noise / np.abs(noise).max()).astype(np.float32)


@dataclass(frozen=True)
class Made:
    """One file: its format, its arrangement, and where it is."""

    kind: Format
    arrangement: str
    path: Path

    @property
    def name(self) -> str:
        """What it is, for messages."""
        return f"{self.kind.name}, {self.arrangement}"


class Workshop:
    """A folder with the inputs, from which `make` writes files of several formats with one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for number, name in enumerate(("first.wav", "second.wav")):
            _write_wav(folder / name, signal(seed=number))
        (folder / "cover.png").write_bytes(_COVER)
        (folder / "words.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nla la\n")
        (folder / "chapters.txt").write_text(
            ";FFMETADATA1\ntitle=A song\n"
            "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=600\ntitle=one\n"
            "[CHAPTER]\nTIMEBASE=1/1000\nSTART=600\nEND=1240\ntitle=two\n"
        )

    def make(self, kinds: Iterable[Format], *arrangements: str) -> list[Made]:
        """Write a file for each arrangement of each format, or for those that are named, and return them."""
        files = [
            Made(kind, each, self.folder / f"{kind.name}-{each.replace(' ', '-')}.{kind.suffix}")
            for kind in kinds
            for each in kind.arrangements()
            if not arrangements or each in arrangements
        ]
        seconds = FRAMES / RATE
        picture = "testsrc=size=64x48:rate=10:duration="
        inputs = [
            ("-i", "first.wav"),
            ("-i", "second.wav"),
            ("-f", "lavfi", "-i", f"{picture}{seconds}"),
            ("-i", "cover.png"),
            ("-i", "words.srt"),
            ("-i", "chapters.txt"),
            ("-itsoffset", str(OFFSET_S), "-i", "first.wav"),
            ("-f", "lavfi", "-i", f"{picture}{seconds + PAUSE_S}"),
        ]
        outputs = [
            (*_streams(file.kind, file.arrangement), *_encoding(file.kind), file.path.name) for file in files
        ]
        ffmpeg(self.folder, *_flat(inputs), *_flat(outputs))
        return files

    def decode(self, files: Sequence[Made]) -> Iterator[tuple[Made, NDArray[np.float32]]]:
        """Yield each file with what `ffmpeg` decodes of it, (frames, 2) at 44.1 kHz, without pauses."""
        inputs = [("-i", file.path.name) for file in files]
        outputs = []
        for number, file in enumerate(files):
            track = 1 if file.arrangement == "second default" else 0
            outputs.append(
                ("-map", f"{number}:a:{track}", "-f", "f32le", "-ac", "2", "-ar", f"{RATE}", f"{number}.raw")
            )
        ffmpeg(self.folder, *_flat(inputs), *_flat(outputs))
        for number, file in enumerate(files):
            yield file, np.fromfile(self.folder / f"{number}.raw", np.float32).reshape(-1, 2)


def _streams(kind: Format, arrangement: str) -> tuple[str, ...]:
    """Return the options that choose and describe the streams."""
    if arrangement == "cover last" and kind.suffix == "mkv":
        return ("-map", "0", "-attach", "cover.png", "-metadata:s:t", "mimetype=image/png")
    if arrangement == "cover last" and kind.suffix in {"ogg", "opus"}:
        block = base64.b64encode(picture_block(_COVER, (8, 8))).decode()
        return ("-map", "0", "-metadata:s:a", f"METADATA_BLOCK_PICTURE={block}")
    options = _MAPS[arrangement]
    if kind.video and "cover" not in arrangement:
        options += ("-c:v", kind.video, "-b:v", "100k")
    if arrangement == "subtitles":
        options += ("-c:s", kind.subtitles)
    if arrangement in {"pause", "muted"}:
        options += _shift(kind)
    return options


def _shift(kind: Format) -> tuple[str, ...]:
    """Return the filter that moves the packets after the first half second by the pause."""
    half, pause = kind.ticks // 2, kind.ticks * PAUSE_S
    return ("-bsf:a", f"setts=ts=if(gte(TS\\,{half})\\,TS+{pause}\\,TS)")


def _encoding(kind: Format) -> tuple[str, ...]:
    return ("-c:a", kind.codec, "-ar", str(kind.rate), "-b:a", "192k", *kind.options)


def ffmpeg(folder: Path, *arguments: str) -> None:
    """Run the command in a folder."""
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments], cwd=folder, check=True, timeout=120
    )


def _flat(groups: Iterable[tuple[str, ...]]) -> list[str]:
    return [word for group in groups for word in group]


def _write_wav(path: Path, samples: NDArray[np.float32]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32768).astype("<i2").tobytes())


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a picture of (rows, columns, 3)."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    rows, columns, _ = pixels.shape
    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines.tobytes()))
        + chunk(b"IEND", b"")
    )


def picture_block(picture: bytes, size: tuple[int, int]) -> bytes:
    """Return a cover as FLAC's picture block, which Ogg keeps as a comment in base64."""
    kind = b"image/png"
    block = struct.pack(">II", 3, len(kind)) + kind + struct.pack(">I4I", 0, *size, 24, 0)
    return block + struct.pack(">I", len(picture)) + picture


#: A black picture of 8 by 8.
_COVER = png(np.zeros((8, 8, 3), np.uint8))
