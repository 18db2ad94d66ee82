"""Decodes a media file to a 16-bit WAV that Spleeter's environment can read without FFmpeg.

python -m tests.golden.clip SOURCE TARGET
"""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np

from stemline.separation.media import MediaLimits, open_audio


def decode16(source: Path) -> np.ndarray:
    """Return the samples of a file on the 16-bit grid, (samples, 2) float32."""
    with open_audio(source, limits=MediaLimits(max_duration_s=600.0, max_bytes=1 << 30)) as audio:
        samples = np.concatenate(list(audio))
    return (np.round(samples * 32768.0).clip(-32768, 32767) / 32768.0).astype(np.float32)


def main(source: Path, target: Path) -> None:
    if not source.is_file():
        sys.stderr.write(f"{source} is not here: its golden values stay as they are\n")
        return
    with wave.open(str(target), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes((decode16(source) * 32768.0).astype("<i2").tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
