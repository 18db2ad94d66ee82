"""Files whose end was cut off, or whose index counts otherwise, made with the `ffmpeg` command."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stemline.separation.errors import TruncatedMedia
from stemline.separation.media import MediaLimits, open_audio
from tests.ffmpeg_files import ffmpeg

LIMITS = MediaLimits(max_duration_s=3600, max_bytes=10**9)


def read(path: Path) -> NDArray[np.float32]:
    with open_audio(path, limits=LIMITS) as audio:
        return np.concatenate(list(audio))


@pytest.mark.parametrize(("codec", "rate", "frame"), [("flac", 44_100, 4608), ("alac", 8_000, 4096)])
def test_a_last_frame_of_one_sample(codec: str, rate: int, frame: int, tmp_path: Path) -> None:
    """A Matroska file counts it as a whole frame, and has no less for that."""
    beep = f"sine=sample_rate={rate},atrim=end_sample={3 * frame + 1}"
    ffmpeg(tmp_path, "-f", "lavfi", "-i", beep, "-c:a", codec, "in.mkv")

    assert round((3 * frame + 1) * 44_100 / rate) == len(read(tmp_path / "in.mkv"))


@pytest.mark.parametrize("share", [0.5, 0.97])
@pytest.mark.parametrize(
    "arguments",
    [
        ("-c:a", "libopus", "-ar", "48000", "-live", "1", "in.webm"),
        ("-c:a", "flac", "-live", "1", "in.mkv"),
        ("-c:a", "aac", "in.ts"),
        ("-c:a", "mp2", "in.ts"),
    ],
    ids=" ".join,
)
def test_a_transfer_that_broke_off_is_no_damage(
    arguments: tuple[str, ...], share: float, tmp_path: Path
) -> None:
    """What ends in the middle of a packet is truncated, though a part of that packet decodes."""
    ffmpeg(tmp_path, "-f", "lavfi", "-i", "anoisesrc=d=2:a=0.3", *arguments)
    path = tmp_path / arguments[-1]
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share) // 188 * 188 + 100])

    with pytest.raises(TruncatedMedia):
        read(path)


def test_an_index_that_is_compressed(tmp_path: Path) -> None:
    """QuickTime's compressed index (`cmov`) holds the same as a plain one."""

    def box(name: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4, "big") + name + content

    ffmpeg(tmp_path, "-f", "lavfi", "-i", "sine=sample_rate=44100:duration=1.1", "-c:a", "aac", "in.mov")
    content = (tmp_path / "in.mov").read_bytes()
    at = content.rindex(b"moov") - 4
    inner = box(b"cmvd", len(content[at:]).to_bytes(4, "big") + zlib.compress(content[at:]))
    (tmp_path / "c.mov").write_bytes(content[:at] + box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + inner)))

    assert np.array_equal(read(tmp_path / "in.mov"), read(tmp_path / "c.mov"))
    assert len(read(tmp_path / "c.mov")) == 48_510
